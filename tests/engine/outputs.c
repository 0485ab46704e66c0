#include "engine/outputs.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/peer.h"
#include "proto/limits.h"
#include "proto/link.h"

#define CHILD_1 peer_make(PORT_CHILD, 1)
#define CHILD_2 peer_make(PORT_CHILD, 2)
#define CLIENT peer_make(PORT_CLIENT, 1)

static struct outputs outputs;

static void setup(void)
{
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
}

static void teardown(void)
{
    outputs_release(&outputs);
}

TestSuite(outputs, .init = setup, .fini = teardown);

static bool lookup(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to, size_t size)
{
    (void)context;
    if (table != TABLE_ENVELOPES || part != 0)
        return false;
    memset(to, (int)number, size);
    return true;
}

static uint8_t frame_buffer[FRAME_BYTES_MAX];

static struct message_header frame_of(uint32_t message)
{
    struct message_header header;
    const struct pieces *frame = &outputs.messages[message].frame;
    cr_assert(pieces_copy(&outputs, frame, frame_buffer, lookup, NULL));
    cr_assert_eq(message_read((struct bytes){frame_buffer, frame->size}, &header), READER_OK);
    return header;
}

static void stop(uint64_t peer, struct link *link, uint8_t id)
{
    struct stop_entry entry = {.id = {{id}}, .fence = {1, 2, 3}, .mode = STOP_CANCEL};
    uint32_t message;
    stop_entry_write(outputs_entry(&outputs, peer, MESSAGE_STOP, link, 64, &message), &entry);
    outputs_entry_end(&outputs);
}

Test(outputs, a_value_of_literals_and_borrowed_bytes_is_put_together)
{
    uint8_t to[16];
    struct writer *writer = outputs_put(&outputs, TABLE_STATES, 7, 0);
    write_raw(writer, bytes_of("ab"));
    write_raw(writer, bytes_of("c"));
    outputs_put_borrow(&outputs, bytes_of("DEF"));
    write_raw(writer, bytes_of("g"));
    outputs_put_end(&outputs);
    outputs_erase(&outputs, TABLE_SPOOL, 9);
    cr_assert_eq(outputs.write_count, 2);
    cr_assert_eq(outputs.writes[1].kind, WRITE_ERASE);
    cr_assert_eq(outputs.writes[0].value.size, 7);
    cr_assert(pieces_copy(&outputs, &outputs.writes[0].value, to, lookup, NULL));
    cr_assert_eq(memcmp(to, "abcDEFg", 7), 0);
    cr_assert_eq(outputs.operations, 2);
    cr_assert_eq(outputs.bytes, 7);
}

Test(outputs, entries_for_two_children_coalesce_and_keep_their_order)
{
    struct link one = {0}, two = {0};
    for (uint8_t i = 0; i < 100; i++)
        stop(i % 2 == 0 ? CHILD_1 : CHILD_2, i % 2 == 0 ? &one : &two, i);
    outputs_close(&outputs);
    cr_assert_eq(outputs.message_count, 2);
    for (uint32_t m = 0; m < 2; m++) {
        struct message_header header = frame_of(m);
        struct reader reader;
        cr_assert_eq(header.kind, MESSAGE_STOP);
        cr_assert_eq(header.sequence, 1);
        reader_init(&reader, header.body);
        cr_assert_eq(read_array(&reader, 1), 1);
        cr_assert_eq(read_array(&reader, FRAME_ENTRIES_MAX), 50);
        for (uint8_t i = 0; i < 50; i++) {
            struct stop_entry entry;
            cr_assert(stop_entry_read(&reader, &entry));
            cr_assert_eq(entry.id.bytes[0], 2 * i + m);
        }
        reader_finish(&reader);
        cr_assert(!reader_failed(&reader));
    }
}

Test(outputs, messages_leave_by_kind_and_are_counted_in_that_order)
{
    struct link link = {.peer = CHILD_1, .sent = 4};
    stop(CHILD_1, &link, 1);
    write_nil(outputs_message(&outputs, CHILD_1, MESSAGE_WELCOME, &link, 0));
    outputs_message_end(&outputs);
    write_nil(outputs_message(&outputs, CHILD_1, MESSAGE_HEARTBEAT, NULL, 0));
    outputs_message_end(&outputs);
    outputs_message_immediate(&outputs);
    write_nil(outputs_message(&outputs, CLIENT, MESSAGE_DONE, NULL, 77));
    outputs_message_end(&outputs);
    outputs_close(&outputs);
    static const struct {
        enum message_kind kind;
        uint64_t sequence;
        bool immediate;
    } expected[] = {
        {MESSAGE_WELCOME, 5, false},
        {MESSAGE_HEARTBEAT, 0, true},
        {MESSAGE_STOP, 6, false},
        {MESSAGE_DONE, 77, false},
    };
    cr_assert_eq(outputs.message_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct message_header header = frame_of(outputs.order[i]);
        cr_assert_eq(header.kind, expected[i].kind);
        cr_assert_eq(header.sequence, expected[i].sequence);
        cr_assert_eq(outputs.messages[outputs.order[i]].immediate, expected[i].immediate);
    }
    cr_assert_eq(link.sent, 6);
}

Test(outputs, a_superseded_session_uses_up_no_sequence_of_the_new_one)
{
    struct link link = {0};
    stop(CHILD_1, &link, 1);
    stop(CHILD_2, &link, 2); /* the same child, a new session */
    outputs_close(&outputs);
    cr_assert_eq(frame_of(0).sequence, 0);
    cr_assert_eq(frame_of(1).sequence, 1);
    outputs_reset(&outputs);
    outputs_begin_step(&outputs);
    stop(CHILD_2, &link, 3);
    outputs_close(&outputs);
    cr_assert_eq(frame_of(0).sequence, 2);
}

/* Append `count` entries with a record of `size` bytes each; the number of frames it took. */
static uint32_t frames_for(enum message_kind kind, uint32_t count, size_t size)
{
    struct link link = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t message;
        struct writer *writer = outputs_entry(&outputs, CHILD_1, kind, &link, size + 5, &message);
        write_bin_head(writer, (uint32_t)size);
        outputs_message_record(&outputs, TABLE_ENVELOPES, i & 127, 0, size);
        outputs_entry_end(&outputs);
        cr_assert_eq(message, outputs.message_count - 1);
    }
    outputs_close(&outputs);
    uint32_t found = 0;
    for (uint32_t m = 0; m < outputs.message_count; m++) {
        struct message_header header = frame_of(m);
        struct reader reader;
        cr_assert(count == outputs.message_count || outputs.messages[m].frame.size <= FRAME_BYTES_SOFT);
        cr_assert_eq(header.sequence, m + 1);
        reader_init(&reader, header.body);
        cr_assert_eq(read_array(&reader, 1), 1);
        for (uint32_t left = read_array(&reader, INVENTORY_ROWS_MAX); left > 0; left--, found++) {
            struct bytes value = read_bin(&reader, size, size);
            cr_assert_eq(value.size, size);
            cr_assert(size == 0 || value.data[size - 1] == (found & 127));
        }
    }
    cr_assert_eq(found, count);
    return outputs.message_count;
}

Test(outputs, a_frame_ends_at_its_entries)
{
    cr_assert_eq(frames_for(MESSAGE_ASSIGN, FRAME_ENTRIES_MAX + 1, 8), 2);
}

Test(outputs, a_frame_of_outcomes_ends_earlier)
{
    cr_assert_eq(frames_for(MESSAGE_OUTCOME, 2 * OUTCOME_ENTRIES_MAX, 8), 2);
}

Test(outputs, a_frame_of_inventory_ends_later)
{
    cr_assert_eq(frames_for(MESSAGE_INVENTORY, INVENTORY_ROWS_MAX, 8), 1);
}

Test(outputs, a_frame_ends_before_its_bytes)
{
    cr_assert_eq(frames_for(MESSAGE_ASSIGN, 20, 100 * 1024), 10);
}

Test(outputs, a_single_entry_may_be_larger)
{
    cr_assert_eq(frames_for(MESSAGE_ASSIGN, 3, 1024 * 1024), 3);
}

Test(outputs, room_falls_with_the_step_and_the_batch_fills)
{
    struct link link = {0};
    cr_assert_eq(outputs_room(&outputs), STEP_OPERATIONS_MAX);
    for (uint32_t i = 0; i < STEP_OPERATIONS_MAX - 1; i++) {
        stop(CHILD_1, &link, 1);
        cr_assert(!outputs_full(&outputs));
    }
    cr_assert_eq(outputs_room(&outputs), 1);
    outputs_begin_step(&outputs);
    cr_assert_eq(outputs_room(&outputs), STEP_OPERATIONS_MAX);
    for (uint32_t i = 0; i < STEP_OPERATIONS_MAX; i++)
        outputs_erase(&outputs, TABLE_STATES, i);
    cr_assert(outputs_full(&outputs));
    cr_assert_eq(outputs_room(&outputs), 0);
    outputs_reset(&outputs);
    cr_assert(!outputs_full(&outputs));
}

Test(outputs, a_batch_is_full_by_bytes_too)
{
    static const uint8_t large[1024 * 1024];
    for (int i = 0; i < 8; i++) {
        cr_assert(!outputs_full(&outputs));
        outputs_put(&outputs, TABLE_ENVELOPES, 1, 0);
        outputs_put_borrow(&outputs, (struct bytes){large, sizeof large});
        outputs_put_end(&outputs);
    }
    cr_assert(outputs_full(&outputs));
}

Test(outputs, a_missing_record_is_said)
{
    write_nil(outputs_message(&outputs, CLIENT, MESSAGE_RESULT, NULL, 1));
    outputs_message_record(&outputs, TABLE_OUTCOMES, 5, 0, 3);
    outputs_message_end(&outputs);
    outputs_close(&outputs);
    cr_assert(!pieces_copy(&outputs, &outputs.messages[0].frame, frame_buffer, lookup, NULL));
}

Test(outputs, processes_and_traces_are_kept_in_order)
{
    struct task_id id = {{9}};
    struct process *process = outputs_process(&outputs, PROCESS_START, 3);
    process->id = id;
    outputs_process_borrow(&outputs, bytes_of("envelope"));
    outputs_process(&outputs, PROCESS_KILL, 4);
    outputs_trace(&outputs, TRACE_SPOOLED, &id, 1, 2);
    outputs_trace(&outputs, TRACE_DRAIN_DONE, NULL, 0, 0);
    uint8_t to[8];
    cr_assert_eq(outputs.process_count, 2);
    cr_assert_eq(outputs.processes[0].envelope.size, 8);
    cr_assert(pieces_copy(&outputs, &outputs.processes[0].envelope, to, lookup, NULL));
    cr_assert_eq(memcmp(to, "envelope", 8), 0);
    cr_assert_eq(outputs.trace_count, 2);
    cr_assert(task_id_equal(&outputs.traces[0].id, &id));
    cr_assert_eq(outputs.traces[1].id.bytes[0], 0);
}

Test(outputs, an_entry_above_its_bound_is_our_mistake, .signal = SIGABRT)
{
    struct link link = {0};
    uint32_t message;
    write_raw(outputs_entry(&outputs, CHILD_1, MESSAGE_STOP, &link, 3, &message), bytes_of("four"));
    outputs_entry_end(&outputs);
}

Test(outputs, a_step_above_its_operations_is_our_mistake, .signal = SIGABRT)
{
    for (uint32_t i = 0; i <= STEP_OPERATIONS_MAX; i++)
        outputs_erase(&outputs, TABLE_STATES, i);
}

Test(outputs, a_value_inside_a_message_is_our_mistake, .signal = SIGABRT)
{
    outputs_message(&outputs, CLIENT, MESSAGE_DONE, NULL, 1);
    outputs_put(&outputs, TABLE_STATES, 1, 0);
}
