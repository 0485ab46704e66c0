/* batch.c - see batch.h. */
#include "host/batch.h"

#include <stdlib.h>

#include "host/log.h"
#include "proto/assert.h"

enum { ERASED_SLOTS = 32768 /* a power of two, four times the writes of a batch */ };

bool batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    if (!outputs_init(&batch->outputs))
        return false;
    ASSERT(batch->outputs.write_capacity <= ERASED_SLOTS / 4);
    batch->received = malloc(BATCH_RECEIVED_MAX * sizeof *batch->received);
    batch->frames = malloc(batch->outputs.message_capacity * sizeof *batch->frames);
    batch->envelopes = malloc(batch->outputs.process_capacity * sizeof *batch->envelopes);
    batch->erased = malloc(ERASED_SLOTS * sizeof *batch->erased);
    if (batch->received != NULL && batch->frames != NULL && batch->envelopes != NULL && batch->erased != NULL)
        return true;
    batch_release(batch);
    return false;
}

static void close_messages(zmq_msg_t *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        zmq_msg_close(&messages[i]);
}

void batch_reset(struct batch *batch)
{
    close_messages(batch->received, batch->received_count);
    close_messages(batch->frames, batch->frame_count);
    free(batch->copied);
    batch->copied = NULL;
    batch->received_count = batch->frame_count = 0;
    batch->received_bytes = 0;
    batch->first_write_ns = batch->handed_ns = 0;
    batch->messages_seen = batch->traces_seen = batch->immediate_count = 0;
    outputs_reset(&batch->outputs);
}

void batch_release(struct batch *batch)
{
    if (batch->received != NULL)
        close_messages(batch->received, batch->received_count);
    if (batch->frames != NULL)
        close_messages(batch->frames, batch->frame_count);
    free(batch->received);
    free(batch->frames);
    free(batch->envelopes);
    free(batch->erased);
    free(batch->copied);
    outputs_release(&batch->outputs);
    memset(batch, 0, sizeof *batch);
}

/* ---- gathering ---- */

zmq_msg_t *batch_slot(struct batch *batch)
{
    ASSERT(batch->received_count < BATCH_RECEIVED_MAX);
    zmq_msg_t *slot = &batch->received[batch->received_count];
    zmq_msg_init(slot);
    return slot;
}

void batch_keep(struct batch *batch)
{
    batch->received_bytes += zmq_msg_size(&batch->received[batch->received_count]);
    batch->received_count++;
}

bool batch_full(const struct batch *batch)
{
    return outputs_full(&batch->outputs) || batch->received_count == BATCH_RECEIVED_MAX ||
           batch->received_bytes >= BATCH_RECEIVED_BYTES;
}

bool batch_is_idle(const struct batch *batch)
{
    const struct outputs *outputs = &batch->outputs;
    return outputs->write_count == 0 && outputs->process_count == 0 &&
           outputs->message_count == batch->immediate_count;
}

bool batch_writes(const struct batch *batch)
{
    return batch->outputs.write_count != 0;
}

bool batch_needs_store(const struct batch *batch)
{
    if (batch_writes(batch))
        return true;
    for (uint32_t i = 0; i < batch->outputs.piece_count; i++)
        if (batch->outputs.pieces[i].kind == PIECE_RECORD)
            return true;
    return false;
}

/* ---- performing ---- */

struct value {
    const struct outputs *outputs;
    const struct pieces *pieces;
};

/* Values hold no records: a record is written from what came in. */
static bool fill_value(void *context, uint8_t *to, size_t size)
{
    const struct value *value = context;
    ASSERT(size == value->pieces->size);
    return pieces_copy(value->outputs, value->pieces, to, NULL, NULL);
}

static bool look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to, size_t size)
{
    ASSERT(context != NULL);
    return store_get(context, table, number, part, to, size);
}

/* The slot in which this number of this table is, or could be noted. */
static uint64_t *erased_slot(struct batch *batch, const struct write *write)
{
    uint64_t key = write->number * TABLE_COUNT + write->table + 1;
    uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 40) % ERASED_SLOTS;
    while (batch->erased[slot] != 0 && batch->erased[slot] != key)
        slot = (slot + 1) % ERASED_SLOTS;
    return &batch->erased[slot];
}

/* Erases happen after all puts, so a put after an erase of its number would be lost: our mistake. */
static void check_order(struct batch *batch)
{
    const struct outputs *outputs = &batch->outputs;
    bool erased_any = false;
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        if (write->kind == WRITE_ERASE) {
            if (!erased_any)
                memset(batch->erased, 0, ERASED_SLOTS * sizeof *batch->erased);
            erased_any = true;
            *erased_slot(batch, write) = write->number * TABLE_COUNT + write->table + 1;
        } else if (erased_any) {
            ASSERT(*erased_slot(batch, write) == 0);
        }
    }
}

static bool put_all(struct batch *batch, struct store *store)
{
    const struct outputs *outputs = &batch->outputs;
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        struct value value = {outputs, &write->value};
        if (write->kind == WRITE_PUT && !store_put(store, write->table, write->number, write->part,
                                                   write->value.size, fill_value, &value))
            return false;
    }
    return true;
}

static bool erase_all(struct batch *batch, struct store *store)
{
    const struct outputs *outputs = &batch->outputs;
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        if (write->kind == WRITE_ERASE && !store_erase(store, write->table, write->number))
            return false;
    }
    return true;
}

static void make_frame(zmq_msg_t *frame, size_t size)
{
    if (zmq_msg_init_size(frame, size) != 0)
        host_fatal("no memory for a frame of %zu bytes; free memory and start again", size);
}

static bool build_frames(struct batch *batch, struct store *store)
{
    const struct outputs *outputs = &batch->outputs;
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        const struct message *message = &outputs->messages[i];
        zmq_msg_t *frame = &batch->frames[i];
        make_frame(frame, message->immediate ? 0 : message->frame.size);
        batch->frame_count = i + 1;
        if (!message->immediate &&
            !pieces_copy(outputs, &message->frame, zmq_msg_data(frame), look_up, store))
            return false;
    }
    return true;
}

/* A chain of one piece of plain bytes is in one piece already. */
static bool in_one_piece(const struct outputs *outputs, const struct pieces *pieces, struct bytes *ret_bytes)
{
    const struct piece *piece = pieces->first == 0 ? NULL : &outputs->pieces[pieces->first - 1];
    if (piece == NULL) {
        *ret_bytes = (struct bytes){NULL, 0};
        return true;
    }
    if (piece->next != 0 || piece->kind == PIECE_RECORD)
        return false;
    const uint8_t *data = piece->kind == PIECE_BORROWED ? piece->data : outputs->arena.data + piece->offset;
    *ret_bytes = (struct bytes){data, piece->size};
    return true;
}

static bool build_envelopes(struct batch *batch, struct store *store)
{
    const struct outputs *outputs = &batch->outputs;
    size_t size = 0;
    for (uint32_t i = 0; i < outputs->process_count; i++)
        if (!in_one_piece(outputs, &outputs->processes[i].envelope, &batch->envelopes[i]))
            size += outputs->processes[i].envelope.size;
    if (size == 0)
        return true;
    batch->copied = malloc(size);
    if (batch->copied == NULL)
        host_fatal("no memory for %zu bytes of tasks to start; free memory and start again", size);
    uint8_t *to = batch->copied;
    for (uint32_t i = 0; i < outputs->process_count; i++) {
        const struct pieces *envelope = &outputs->processes[i].envelope;
        if (in_one_piece(outputs, envelope, &batch->envelopes[i]))
            continue;
        if (!pieces_copy(outputs, envelope, to, look_up, store))
            return false;
        batch->envelopes[i] = (struct bytes){to, envelope->size};
        to += envelope->size;
    }
    return true;
}

bool batch_perform(struct batch *batch, struct store *store)
{
    check_order(batch);
    if (store == NULL) {
        ASSERT(!batch_needs_store(batch));
        return build_frames(batch, NULL) && build_envelopes(batch, NULL);
    }
    return store_begin(store, batch_writes(batch)) && put_all(batch, store) && build_frames(batch, store) &&
           build_envelopes(batch, store) && erase_all(batch, store) && store_end(store);
}

void batch_build_immediate(const struct batch *batch, const struct message *message, zmq_msg_t *ret_frame)
{
    make_frame(ret_frame, message->frame.size);
    ASSERT(pieces_copy(&batch->outputs, &message->frame, zmq_msg_data(ret_frame), look_up, NULL));
}
