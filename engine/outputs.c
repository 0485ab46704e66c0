/* outputs.c - see outputs.h.
 *
 * Literal bytes run straight into the arena. A run becomes a piece when something else is appended to the
 * chain or the chain ends; a run right behind the chain's last literal only lengthens that piece, so a frame
 * of plain entries written one after the other stays one piece. */
#include "engine/outputs.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/limits.h"

enum {
    OPERATIONS_MAX = BATCH_OPERATIONS + STEP_OPERATIONS_MAX,
    PIECES_MAX = 32 * OPERATIONS_MAX, /* a RESULT of 1,024 outcomes is one operation and 2,048 pieces */
    TRACES_MAX = 4 * OPERATIONS_MAX,
    ARENA_BYTES = 48 * 1024 * 1024,
    STEP_PIECES_MIN = PIECES_MAX / 4, /* left free, or a step that asks gets no more room */
    STEP_ARENA_MIN = ARENA_BYTES / 4,
    OPEN_SLOTS = 1024, /* a collision costs a coalescing, nothing else */
};

static void *take(size_t count, size_t size, bool *failed)
{
    void *memory = malloc(count * size);
    *failed |= memory == NULL;
    return memory;
}

bool outputs_init(struct outputs *outputs)
{
    bool failed = false;
    memset(outputs, 0, sizeof *outputs);
    outputs->write_capacity = OPERATIONS_MAX;
    outputs->message_capacity = OPERATIONS_MAX;
    outputs->process_capacity = OPERATIONS_MAX;
    outputs->trace_capacity = TRACES_MAX;
    outputs->piece_capacity = PIECES_MAX;
    outputs->writes = take(OPERATIONS_MAX, sizeof *outputs->writes, &failed);
    outputs->messages = take(OPERATIONS_MAX, sizeof *outputs->messages, &failed);
    outputs->processes = take(OPERATIONS_MAX, sizeof *outputs->processes, &failed);
    outputs->traces = take(TRACES_MAX, sizeof *outputs->traces, &failed);
    outputs->pieces = take(PIECES_MAX, sizeof *outputs->pieces, &failed);
    outputs->open_keys = take(OPEN_SLOTS, sizeof *outputs->open_keys, &failed);
    outputs->open_messages = take(OPEN_SLOTS, sizeof *outputs->open_messages, &failed);
    outputs->order = take(OPERATIONS_MAX, sizeof *outputs->order, &failed);
    writer_init(&outputs->arena, take(ARENA_BYTES, 1, &failed), ARENA_BYTES);
    if (failed)
        outputs_release(outputs);
    else
        outputs_reset(outputs);
    return !failed;
}

void outputs_release(struct outputs *outputs)
{
    free(outputs->writes);
    free(outputs->messages);
    free(outputs->processes);
    free(outputs->traces);
    free(outputs->pieces);
    free(outputs->open_keys);
    free(outputs->open_messages);
    free(outputs->order);
    free(outputs->arena.data);
    memset(outputs, 0, sizeof *outputs);
}

void outputs_reset(struct outputs *outputs)
{
    outputs->write_count = outputs->message_count = outputs->process_count = 0;
    outputs->trace_count = outputs->piece_count = 0;
    outputs->operations = outputs->step_operations = 0;
    outputs->bytes = 0;
    outputs->disk_bytes = 0;
    outputs->arena.size = 0;
    outputs->chain = NULL;
    memset(outputs->open_keys, 0, OPEN_SLOTS * sizeof *outputs->open_keys);
}

void outputs_begin_step(struct outputs *outputs)
{
    ASSERT(outputs->chain == NULL);
    outputs->step_operations = outputs->operations;
}

uint32_t outputs_room(const struct outputs *outputs)
{
    if (outputs->piece_capacity - outputs->piece_count < STEP_PIECES_MIN ||
        outputs->arena.capacity - outputs->arena.size < STEP_ARENA_MIN)
        return 0;
    return STEP_OPERATIONS_MAX - (outputs->operations - outputs->step_operations);
}

bool outputs_full(const struct outputs *outputs)
{
    return outputs->operations >= BATCH_OPERATIONS || outputs->bytes >= BATCH_BYTES ||
           outputs->arena.size >= BATCH_BYTES || outputs->piece_count >= PIECES_MAX / 4 ||
           outputs->process_count >= BATCH_OPERATIONS || outputs->trace_count >= TRACES_MAX / 2;
}

static void count_operation(struct outputs *outputs)
{
    ASSERT(outputs->operations - outputs->step_operations < STEP_OPERATIONS_MAX);
    ASSERT(outputs->operations < OPERATIONS_MAX);
    outputs->operations++;
}

/* ---- chains ---- */

static void append_piece(struct outputs *outputs, struct pieces *chain, struct piece piece)
{
    ASSERT(outputs->piece_count < outputs->piece_capacity);
    uint32_t index = outputs->piece_count++;
    outputs->pieces[index] = piece;
    if (chain->last == 0)
        chain->first = index + 1;
    else
        outputs->pieces[chain->last - 1].next = index + 1;
    chain->last = index + 1;
    chain->size += piece.size;
    outputs->bytes += piece.size;
}

static void begin_chain(struct outputs *outputs, struct pieces *chain)
{
    ASSERT(outputs->chain == NULL);
    outputs->chain = chain;
    outputs->run = outputs->arena.size;
}

/* Turn what was written since the last piece into one. */
static void close_run(struct outputs *outputs)
{
    ASSERT(outputs->chain != NULL);
    size_t size = outputs->arena.size - outputs->run;
    struct pieces *chain = outputs->chain;
    if (size == 0)
        return;
    struct piece *last = chain->last == 0 ? NULL : &outputs->pieces[chain->last - 1];
    if (last != NULL && last->kind == PIECE_LITERAL && last->offset + last->size == outputs->run) {
        last->size += size;
        chain->size += size;
        outputs->bytes += size;
    } else {
        append_piece(outputs, chain,
                     (struct piece){.kind = PIECE_LITERAL, .size = size, .offset = outputs->run});
    }
    outputs->run = outputs->arena.size;
}

static void borrow(struct outputs *outputs, struct bytes bytes)
{
    close_run(outputs);
    if (bytes.size != 0)
        append_piece(outputs, outputs->chain,
                     (struct piece){.kind = PIECE_BORROWED, .size = bytes.size, .data = bytes.data});
}

static void end_chain(struct outputs *outputs)
{
    close_run(outputs);
    outputs->chain = NULL;
}

/* ---- values ---- */

static struct write *append_write(struct outputs *outputs, struct write write)
{
    count_operation(outputs);
    ASSERT(outputs->write_count < outputs->write_capacity);
    outputs->writes[outputs->write_count] = write;
    return &outputs->writes[outputs->write_count++];
}

struct writer *outputs_put(struct outputs *outputs, enum table table, uint64_t number, uint32_t part)
{
    struct write *write = append_write(
        outputs, (struct write){.kind = WRITE_PUT, .table = table, .number = number, .part = part});
    begin_chain(outputs, &write->value);
    return &outputs->arena;
}

void outputs_put_borrow(struct outputs *outputs, struct bytes bytes)
{
    ASSERT(outputs->write_count != 0);
    ASSERT(outputs->chain == &outputs->writes[outputs->write_count - 1].value);
    borrow(outputs, bytes);
}

void outputs_put_end(struct outputs *outputs)
{
    ASSERT(outputs->write_count != 0);
    ASSERT(outputs->chain == &outputs->writes[outputs->write_count - 1].value);
    end_chain(outputs);
    outputs->disk_bytes += record_disk_bytes(outputs->writes[outputs->write_count - 1].value.size);
}

void outputs_erase(struct outputs *outputs, enum table table, uint64_t number)
{
    ASSERT(outputs->chain == NULL);
    append_write(outputs, (struct write){.kind = WRITE_ERASE, .table = table, .number = number});
}

/* ---- messages ---- */

/* Append a message and start its chain with the header. */
static struct message *begin_message(struct outputs *outputs, uint64_t peer, enum message_kind kind,
                                     struct link *link, uint64_t sequence)
{
    ASSERT(outputs->message_count < outputs->message_capacity);
    if (link != NULL && link->peer != peer) {
        link->peer = peer;
        link->sent = 0;
    }
    outputs->current = outputs->message_count++;
    struct message *message = &outputs->messages[outputs->current];
    *message = (struct message){.peer = peer, .kind = kind, .link = link};
    begin_chain(outputs, &message->frame);
    message->sequence_offset = message_write_header(&outputs->arena, kind, sequence);
    return message;
}

struct writer *outputs_message(struct outputs *outputs, uint64_t peer, enum message_kind kind,
                               struct link *link, uint64_t sequence)
{
    count_operation(outputs);
    begin_message(outputs, peer, kind, link, sequence);
    return &outputs->arena;
}

void outputs_message_borrow(struct outputs *outputs, struct bytes bytes)
{
    ASSERT(outputs->message_count != 0);
    ASSERT(outputs->chain == &outputs->messages[outputs->current].frame);
    borrow(outputs, bytes);
}

void outputs_message_record(struct outputs *outputs, enum table table, uint64_t number, uint32_t part,
                            size_t size)
{
    ASSERT(outputs->message_count != 0);
    ASSERT(outputs->chain == &outputs->messages[outputs->current].frame);
    close_run(outputs);
    append_piece(outputs, outputs->chain,
                 (struct piece){.kind = PIECE_RECORD, .size = size, .record = {number, part, table}});
}

size_t outputs_message_size(const struct outputs *outputs)
{
    ASSERT(outputs->chain != NULL);
    return outputs->chain->size + (outputs->arena.size - outputs->run);
}

void outputs_message_end(struct outputs *outputs)
{
    ASSERT(outputs->message_count != 0);
    struct message *message = &outputs->messages[outputs->current];
    ASSERT(outputs->chain == &message->frame);
    ASSERT(!message->has_entries);
    end_chain(outputs);
    ASSERT(message->frame.size <= FRAME_BYTES_MAX);
}

void outputs_message_immediate(struct outputs *outputs)
{
    ASSERT(outputs->message_count != 0);
    struct message *message = &outputs->messages[outputs->message_count - 1];
    ASSERT(message->link == NULL); /* it overtakes what is counted */
    message->immediate = true;
}

void outputs_forget_link(struct outputs *outputs, const struct link *link)
{
    for (uint32_t i = 0; i < outputs->message_count; i++)
        if (outputs->messages[i].link == link)
            outputs->messages[i].link = NULL;
}

/* ---- messages of entries ---- */

static uint32_t entries_max(enum message_kind kind)
{
    if (kind == MESSAGE_OUTCOME)
        return OUTCOME_ENTRIES_MAX;
    return kind == MESSAGE_INVENTORY ? INVENTORY_ROWS_MAX : FRAME_ENTRIES_MAX;
}

/* The open message of (peer, kind) that has room for `bound` bytes more, or NULL. A peer that began a session
 * under another name on the same connection has another link, and starts another message. */
static struct message *open_message(struct outputs *outputs, uint64_t key, uint32_t slot,
                                    const struct link *link, size_t bound)
{
    if (outputs->open_keys[slot] != key)
        return NULL;
    struct message *message = &outputs->messages[outputs->open_messages[slot]];
    if (message->link != link || message->frame.size + bound > FRAME_BYTES_SOFT ||
        message->entries == entries_max(message->kind)) {
        message->open = false;
        return NULL;
    }
    return message;
}

struct writer *outputs_entry(struct outputs *outputs, uint64_t peer, enum message_kind kind,
                             struct link *link, size_t bound, uint32_t *ret_message)
{
    _Static_assert(MESSAGE_KIND_COUNT <= 32, "the key has 5 bits for the kind");
    uint64_t key = peer << 5 | kind;
    uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) % OPEN_SLOTS;
    count_operation(outputs);
    struct message *message = open_message(outputs, key, slot, link, bound);
    if (message == NULL) {
        message = begin_message(outputs, peer, kind, link, 0);
        message->open = true;
        message->has_entries = true;
        if (kind == MESSAGE_RESULT) { /* a push to a client: bodies of clients are maps */
            write_map(&outputs->arena, 1);
            write_str(&outputs->arena, "results");
        } else {
            write_array(&outputs->arena, 1);
        }
        message->count_offset = write_array_open(&outputs->arena);
        outputs->open_keys[slot] = key;
        outputs->open_messages[slot] = outputs->current;
    } else {
        outputs->current = outputs->open_messages[slot];
        begin_chain(outputs, &message->frame);
    }
    message->entries++;
    outputs->entry_end_max = outputs_message_size(outputs) + bound;
    *ret_message = outputs->current;
    return &outputs->arena;
}

void outputs_entry_end(struct outputs *outputs)
{
    ASSERT(outputs->message_count != 0);
    struct message *message = &outputs->messages[outputs->current];
    ASSERT(outputs->chain == &message->frame);
    ASSERT(message->has_entries);
    end_chain(outputs);
    ASSERT(message->frame.size <= outputs->entry_end_max);
    ASSERT(message->frame.size <= FRAME_BYTES_MAX);
}

/* ---- processes and traces ---- */

struct process *outputs_process(struct outputs *outputs, enum process_action action, uint32_t slot)
{
    ASSERT(outputs->process_count < outputs->process_capacity);
    struct process *process = &outputs->processes[outputs->process_count++];
    *process = (struct process){.action = action, .slot = slot, .handler = UINT32_MAX};
    return process;
}

void outputs_process_borrow(struct outputs *outputs, struct bytes bytes)
{
    ASSERT(outputs->process_count != 0);
    if (bytes.size != 0)
        append_piece(outputs, &outputs->processes[outputs->process_count - 1].envelope,
                     (struct piece){.kind = PIECE_BORROWED, .size = bytes.size, .data = bytes.data});
}

void outputs_trace(struct outputs *outputs, enum trace_code code, const struct task_id *id, uint64_t a,
                   uint64_t b)
{
    ASSERT(outputs->trace_count < outputs->trace_capacity);
    struct trace *trace = &outputs->traces[outputs->trace_count++];
    *trace = (struct trace){.code = code, .a = a, .b = b};
    if (id != NULL)
        trace->id = *id;
}

/* ---- the host's side ---- */

/* Message indices by kind, in the order of appending within a kind. */
static void order_messages(struct outputs *outputs)
{
    uint32_t starts[MESSAGE_KIND_COUNT + 1] = {0};
    for (uint32_t i = 0; i < outputs->message_count; i++)
        starts[outputs->messages[i].kind + 1]++;
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++)
        starts[kind + 1] += starts[kind];
    for (uint32_t i = 0; i < outputs->message_count; i++)
        outputs->order[starts[outputs->messages[i].kind]++] = i;
}

void outputs_close(struct outputs *outputs)
{
    ASSERT(outputs->chain == NULL);
    order_messages(outputs);
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        struct message *message = &outputs->messages[outputs->order[i]];
        message->open = false;
        if (message->has_entries)
            patch_count(outputs->arena.data, message->count_offset, message->entries);
        if (message->link != NULL && message->link->peer == message->peer)
            patch_uint64(outputs->arena.data, message->sequence_offset, ++message->link->sent);
    }
    memset(outputs->open_keys, 0, OPEN_SLOTS * sizeof *outputs->open_keys);
}

bool pieces_copy(const struct outputs *outputs, const struct pieces *pieces, uint8_t *to,
                 record_lookup lookup, void *context)
{
    for (uint32_t at = pieces->first; at != 0; at = outputs->pieces[at - 1].next) {
        const struct piece *piece = &outputs->pieces[at - 1];
        switch (piece->kind) {
        case PIECE_LITERAL:
            memcpy(to, outputs->arena.data + piece->offset, piece->size);
            break;
        case PIECE_BORROWED:
            memcpy(to, piece->data, piece->size);
            break;
        case PIECE_RECORD:
            if (!lookup(context, piece->record.table, piece->record.number, piece->record.part, to,
                        piece->size))
                return false;
            break;
        }
        to += piece->size;
    }
    return true;
}
