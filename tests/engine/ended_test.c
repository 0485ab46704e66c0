/* ended_test.c - remembered ids: the ring over its chunks, expiry, eviction, restore. */
#include "engine/ended.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { RESULT_TTL_MS = 1000, DEDUPE_TTL_MS = 5000 };

static struct ended ended;
static struct map map;
static struct outputs outputs;
static uint64_t now_ms = 1700000000000;
static struct task_id living;

static const struct task_id *id_of(const void *owner, uint32_t value)
{
    return value & ENDED_BIT ? &ended_at(owner, value)->id : &living;
}

static void begin(uint32_t ids_max)
{
    ended_init(&ended, ids_max, RESULT_TTL_MS, DEDUPE_TTL_MS);
    map_init(&map, 1, id_of, &ended);
}

static void set_up(void)
{
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    begin(1000000);
}

static void tear_down(void)
{
    map_release(&map);
    ended_release(&ended);
    outputs_release(&outputs);
}

TestSuite(ended, .init = set_up, .fini = tear_down);

static struct task_id id(uint32_t number)
{
    struct task_id made = {{0}};
    memcpy(made.bytes, &number, sizeof number);
    return made;
}

static uint32_t add(uint32_t number)
{
    struct ended_entry entry = {.id = id(number),
                                .body_hash = number * 3,
                                .outcome_size = 10,
                                .arrival_and_bits = (uint64_t)number << 8 | TASK_FAILED};
    uint32_t value = ended_add(&ended, &entry);
    cr_assert(map_put(&map, &entry.id, value));
    return value;
}

static bool known(uint32_t number)
{
    struct task_id wanted = id(number);
    uint32_t value = map_find(&map, &wanted);
    return value != 0 && task_id_equal(&ended_at(&ended, value)->id, &wanted);
}

static const struct ended_entry *entry_of(uint32_t number)
{
    struct task_id wanted = id(number);
    return ended_at(&ended, map_find(&map, &wanted));
}

static void flush(void)
{
    ended_flush(&ended, now_ms, &outputs);
}

static void next_step(void)
{
    outputs_reset(&outputs);
    outputs_begin_step(&outputs);
}

static uint32_t writes(enum write_kind kind, enum table table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < outputs.write_count; i++)
        count += outputs.writes[i].kind == kind && outputs.writes[i].table == table;
    return count;
}

static void expire_all(void)
{
    for (int i = 0; ended_expire(&ended, now_ms, &map, &outputs); i++) {
        cr_assert(i < 1000, "it comes to an end");
        next_step();
    }
}

Test(ended, an_entry_is_found_by_its_value)
{
    uint32_t value = add(7);
    cr_expect(value & ENDED_BIT);
    const struct ended_entry *entry = ended_at(&ended, value);
    cr_expect_eq(entry->body_hash, 21);
    cr_expect_eq(ended_arrival(entry), 7);
    cr_expect_eq(ended_end(entry), TASK_FAILED);
}

Test(ended, one_record_per_fifty)
{
    for (uint32_t i = 1; i <= 101; i++)
        add(i);
    flush();
    cr_expect_eq(writes(WRITE_PUT, TABLE_ENDED), 3);
    next_step();
    flush();
    cr_expect_eq(outputs.write_count, 0, "nothing new, nothing put");
}

Test(ended, results_go_first_then_ids)
{
    add(1);
    flush();
    next_step();
    cr_expect_eq(ended_due_wall_ms(&ended), now_ms + RESULT_TTL_MS);
    now_ms += RESULT_TTL_MS;
    expire_all();
    cr_expect_eq(outputs.write_count, 0, "not yet");
    now_ms++;
    expire_all();
    cr_expect_eq(writes(WRITE_ERASE, TABLE_OUTCOMES), 1);
    cr_expect_eq(writes(WRITE_PUT, TABLE_ENDED), 1, "its record no longer speaks of an outcome");
    cr_assert(known(1));
    cr_expect_eq(entry_of(1)->outcome_size, 0);
    next_step();
    now_ms += DEDUPE_TTL_MS;
    expire_all();
    cr_expect_eq(writes(WRITE_ERASE, TABLE_ENDED), 1);
    cr_expect_eq(writes(WRITE_ERASE, TABLE_OUTCOMES), 0, "it was erased before");
    cr_expect_not(known(1));
    cr_expect_eq(ended_due_wall_ms(&ended), UINT64_MAX);
}

Test(ended, the_oldest_ids_make_room)
{
    map_release(&map);
    ended_release(&ended);
    begin(100);
    for (uint32_t i = 1; i <= 150; i++) {
        add(i);
        if (i % 10 == 0)
            flush();
    }
    next_step();
    expire_all();
    for (uint32_t i = 1; i <= 150; i++)
        cr_expect_eq(known(i), i > 50, "%u", i);
}

Test(ended, goes_on_over_many_chunks)
{
    const uint32_t turns = 5 * ENDED_CHUNK / 40;
    for (uint32_t turn = 0; turn < turns; turn++) {
        for (uint32_t i = 0; i < 40; i++)
            add(turn * 40 + i + 1);
        flush();
        now_ms += 100; /* about 50 turns live */
        next_step();
        expire_all();
        next_step();
    }
    cr_expect_leq(ended.chunk_count, 2, "chunks are given back: %u", ended.chunk_count);
    cr_expect(known(turns * 40));
    cr_expect_not(known(1));
    uint32_t alive = 0;
    for (uint32_t i = 1; i <= turns * 40; i++)
        alive += known(i);
    cr_expect_eq(alive, ended.next - ended.first);
}

Test(ended, expiry_keeps_to_the_room_of_a_step)
{
    for (uint32_t i = 1; i <= 10000; i++) {
        add(i);
        if (i % 1000 == 0) {
            flush();
            next_step();
        }
    }
    now_ms += DEDUPE_TTL_MS + 1;
    int steps = 1;
    while (ended_expire(&ended, now_ms, &map, &outputs)) {
        cr_assert_leq(outputs.operations, STEP_OPERATIONS_MAX);
        next_step();
        steps++;
    }
    cr_expect_geq(steps, 3);
    cr_expect_eq(ended.first, ended.next);
}

static void receive(uint32_t number)
{
    struct task_id received = id(number);
    ended_received(&ended, map_find(&map, &received));
}

Test(ended, only_received_results_are_evicted)
{
    for (uint32_t i = 1; i <= 4; i++)
        add(i);
    flush();
    next_step();
    receive(2);
    cr_expect_eq(ended_evict_received(&ended, 10, &outputs), 1);
    cr_expect_eq(writes(WRITE_ERASE, TABLE_OUTCOMES), 1);
    cr_expect_eq(entry_of(2)->outcome_size, 0);
    cr_expect_eq(entry_of(1)->outcome_size, 10);
    next_step();
    cr_expect_eq(ended_evict_received(&ended, 10, &outputs), 0, "once");
    cr_expect_eq(outputs.write_count, 0);
}

Test(ended, eviction_goes_round)
{
    for (uint32_t i = 1; i <= 6; i++) {
        add(i);
        flush();
        next_step();
    }
    for (uint32_t i = 1; i <= 6; i++)
        receive(i);
    cr_expect_eq(ended_evict_received(&ended, 2, &outputs), 2);
    cr_expect_eq(entry_of(2)->outcome_size, 0, "the oldest first");
    cr_expect_eq(entry_of(3)->outcome_size, 10);
    cr_expect_eq(ended_evict_received(&ended, 10, &outputs), 4);
    cr_expect_eq(ended_evict_received(&ended, 10, &outputs), 0);
}

/* What a put holds, copied out of the outputs. */
static size_t copy_put(uint32_t at, uint8_t *to, uint64_t *ret_number)
{
    const struct write *write = &outputs.writes[at];
    cr_assert(write->kind == WRITE_PUT && write->table == TABLE_ENDED);
    cr_assert(pieces_copy(&outputs, &write->value, to, NULL, NULL));
    *ret_number = write->number;
    return write->value.size;
}

Test(ended, comes_back_from_its_records)
{
    static uint8_t records[2][8192];
    size_t sizes[2];
    uint64_t numbers[2];
    for (uint32_t i = 1; i <= 60; i++)
        add(i);
    flush();
    for (uint32_t i = 0; i < 2; i++)
        sizes[i] = copy_put(i, records[i], &numbers[i]);
    uint64_t ended_ms = now_ms;
    map_release(&map);
    ended_release(&ended);
    begin(1000000);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert(ended_restore(&ended, numbers[i], (struct bytes){records[i], sizes[i]}, &map));
    for (uint32_t i = 1; i <= 60; i++)
        cr_assert(known(i), "%u", i);
    cr_expect_eq(entry_of(33)->body_hash, 99);
    cr_expect_eq(entry_of(33)->outcome_size, 10);
    cr_expect_eq(ended_due_wall_ms(&ended), ended_ms + RESULT_TTL_MS);
    next_step();
    add(61);
    flush();
    uint64_t number;
    copy_put(0, records[0], &number);
    cr_expect_gt(number, numbers[1], "numbers go on");
    cr_expect_eq(writes(WRITE_PUT, TABLE_ENDED), 1, "what was restored is not put again");
}

Test(ended, receipts_are_put_once_for_all_of_a_record_and_come_back)
{
    static uint8_t records[2][8192];
    uint64_t numbers[2];
    for (uint32_t i = 1; i <= 60; i++)
        add(i);
    receive(60); /* before its record was written: with it */
    flush();
    cr_expect_not(ended_has_receipts(&ended));
    size_t sizes[2] = {0, copy_put(1, records[1], &numbers[1])};
    next_step();
    for (uint32_t i = 10; i <= 30; i++)
        receive(i);
    cr_expect(ended_has_receipts(&ended));
    cr_expect_eq(outputs.write_count, 0, "no write for each");
    cr_expect_not(ended_put_receipts(&ended, &outputs));
    cr_expect_eq(outputs.write_count, 1);
    sizes[0] = copy_put(0, records[0], &numbers[0]);
    receive(10); /* again */
    cr_expect_not(ended_has_receipts(&ended));
    map_release(&map);
    ended_release(&ended);
    begin(1000000);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert(ended_restore(&ended, numbers[i], (struct bytes){records[i], sizes[i]}, &map));
    cr_expect_eq(ended.evictable, 22);
    cr_expect_eq(ended_evict_received(&ended, 100, &outputs), 22);
}

Test(ended, receipts_of_forgotten_records_are_none)
{
    for (uint32_t i = 1; i <= 3; i++) {
        add(i);
        flush();
        next_step();
    }
    for (uint32_t i = 1; i <= 3; i++)
        receive(i);
    ended.ids_max = 1;
    cr_expect_not(ended_expire(&ended, now_ms, &map, &outputs));
    next_step();
    cr_expect_not(ended_put_receipts(&ended, &outputs));
    cr_expect_eq(outputs.write_count, 1, "of the one that is left");
    cr_expect_eq(ended.evictable, 1);
}

static uint8_t record[8192];
static uint64_t record_number;

/* One id has ended and its record is in `record`; then the node starts anew. Returns the record's size. */
static size_t end_one_and_restart(void)
{
    add(1);
    flush();
    size_t size = copy_put(0, record, &record_number);
    map_release(&map);
    ended_release(&ended);
    begin(1000000);
    return size;
}

Test(ended, a_damaged_record_is_told)
{
    size_t size = end_one_and_restart();
    cr_expect_not(ended_restore(&ended, record_number, (struct bytes){record, size - 1}, &map));
}

/* Else the living task would never be found again. */
Test(ended, an_id_of_a_living_task_is_refused)
{
    enum { LIVING = 7 }; /* a task's index: no ENDED_BIT */
    size_t size = end_one_and_restart();
    living = id(1);
    cr_assert(map_put(&map, &living, LIVING));
    cr_expect_not(ended_restore(&ended, record_number, (struct bytes){record, size}, &map));
    cr_expect_eq(map_find(&map, &living), LIVING);
}
