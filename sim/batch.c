/* batch.c - from the arena of a node's outputs to a batch of its own: what is put, erased, sent and started.
 */
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/node.h"

/* A record as the transaction sees it: what was put up to this batch is there, what it erases still is. */
static bool copy_record(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to,
                        size_t size)
{
    const struct disk *view = context;
    const struct disk_table *in = &view->tables[table];
    size_t done = 0;
    for (size_t at = disk_seek(view, table, number, part == PART_ALL ? 0 : part);
         at < in->count && in->records[at].number == number; at++) {
        struct bytes value = in->records[at].value;
        if ((part != PART_ALL && in->records[at].part != part) || value.size > size - done)
            break;
        memcpy(to + done, value.data, value.size);
        done += value.size;
    }
    return done == size;
}

static struct bytes copy_pieces(struct sim *sim, struct sim_node *node, const struct pieces *pieces,
                                const char *what)
{
    uint8_t *data = take_memory(pieces->size, 1);
    if (!pieces_copy(&node->outputs, pieces, data, copy_record, &node->view))
        violation(sim, 6, "%s: %s refers to a record that is not there, or of another size", node->name,
                  what);
    return (struct bytes){data, pieces->size};
}

static void gather_writes(struct sim *sim, struct sim_node *node, struct batch *batch)
{
    const struct outputs *outputs = &node->outputs;
    batch->puts = take_memory(outputs->write_count, sizeof *batch->puts);
    batch->erases = take_memory(outputs->write_count, sizeof *batch->erases);
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        if (write->kind == WRITE_ERASE) {
            batch->erases[batch->erase_count++] = *write;
            continue;
        }
        for (uint32_t e = 0; e < batch->erase_count; e++)
            if (batch->erases[e].table == write->table && batch->erases[e].number == write->number)
                violation(sim, 6, "%s: put after erase of %s %llu in one batch", node->name,
                          table_text(write->table), (unsigned long long)write->number);
        struct disk_put *put = &batch->puts[batch->put_count++];
        *put = (struct disk_put){write->table, write->number, write->part,
                                 copy_pieces(sim, node, &write->value, table_text(write->table))};
        disk_put(&node->view, put->table, put->number, put->part, put->value);
    }
}

struct frame batch_frame(struct sim *sim, struct sim_node *node, const struct message *message)
{
    struct bytes bytes = copy_pieces(sim, node, &message->frame, message_kind_text(message->kind));
    return (struct frame){
        .peer = message->peer, .data = (uint8_t *)bytes.data, .size = bytes.size, .kind = message->kind};
}

struct batch *batch_gather(struct sim *sim, struct sim_node *node)
{
    struct outputs *outputs = &node->outputs;
    struct batch *batch = take_memory(1, sizeof *batch);
    outputs_close(outputs);
    batch->closed_ns = sim->now_ns;
    gather_writes(sim, node, batch);
    batch->frames = take_memory(outputs->message_count, sizeof *batch->frames);
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        const struct message *message = &outputs->messages[outputs->order[i]];
        if (!message->immediate)
            batch->frames[batch->frame_count++] = batch_frame(sim, node, message);
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        disk_erase(&node->view, batch->erases[i].table, batch->erases[i].number);
    batch->processes = take_memory(outputs->process_count, sizeof *batch->processes);
    memcpy(batch->processes, outputs->processes, outputs->process_count * sizeof *batch->processes);
    batch->process_count = outputs->process_count;
    return batch;
}

void batch_free(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->put_count; i++)
        free((void *)batch->puts[i].value.data);
    for (uint32_t i = 0; i < batch->frame_count; i++)
        free(batch->frames[i].data);
    free(batch->puts);
    free(batch->erases);
    free(batch->frames);
    free(batch->processes);
    free(batch);
}

void node_reset_outputs(struct sim_node *node)
{
    outputs_reset(&node->outputs);
    node->immediate_seen = 0;
    for (uint32_t i = 0; i < node->kept_count; i++)
        free(node->kept[i].data);
    node->kept_count = 0;
}
