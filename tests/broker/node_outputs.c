/* node_outputs.c - the fixture's store, and the outputs of a step as text. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/task.h"
#include "tests/broker/node_fixture.h"

/* ---- records ---- */

static uint32_t position(const struct records *records, uint64_t number)
{
    uint32_t low = 0, high = records->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (records->all[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct record *fixture_record(enum table table, uint64_t number)
{
    const struct records *records = &fixture.tables[table];
    uint32_t at = position(records, number);
    return at < records->count && records->all[at].number == number ? &records->all[at] : NULL;
}

static void put(const struct write *write)
{
    struct records *records = &fixture.tables[write->table];
    uint32_t at = position(records, write->number);
    if (at == records->count || records->all[at].number != write->number) {
        if (records->count == records->capacity) {
            records->capacity = records->capacity == 0 ? 64 : 2 * records->capacity;
            records->all = realloc(records->all, records->capacity * sizeof *records->all);
        }
        memmove(&records->all[at + 1], &records->all[at], (records->count - at) * sizeof *records->all);
        records->count++;
        records->all[at] = (struct record){.number = write->number};
    }
    struct record *record = &records->all[at];
    free(record->bytes);
    record->bytes = malloc(write->value.size + 1);
    record->size = write->value.size;
    cr_assert(pieces_copy(&fixture.outputs, &write->value, record->bytes, NULL, NULL));
}

static void erase(const struct write *write)
{
    struct records *records = &fixture.tables[write->table];
    uint32_t at = position(records, write->number);
    cr_assert(at < records->count && records->all[at].number == write->number,
              "erase of %s %u, which is not there", table_text(write->table), (unsigned)write->number);
    free(records->all[at].bytes);
    records->count--;
    memmove(&records->all[at], &records->all[at + 1], (records->count - at) * sizeof *records->all);
}

void fixture_release_records(void)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        for (uint32_t i = 0; i < fixture.tables[table].count; i++)
            free(fixture.tables[table].all[i].bytes);
        free(fixture.tables[table].all);
    }
}

static bool look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to, size_t size)
{
    (void)context;
    cr_expect_eq(part, 0);
    const struct record *record = fixture_record(table, number);
    if (record == NULL || record->size != size)
        return false;
    memcpy(to, record->bytes, size);
    return true;
}

/* ---- text ---- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    if (fixture.is_mute)
        return;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(fixture.text + fixture.text_size, TEXT_BYTES - fixture.text_size, format, arguments);
    va_end(arguments);
    fixture.text_size += (size_t)size;
    cr_assert(fixture.text_size < TEXT_BYTES);
}

static void begin_item(void)
{
    if (fixture.text_size != 0)
        say(", ");
}

static void say_peer(uint64_t peer, enum message_kind kind)
{
    begin_item();
    if (peer_port(peer) == PORT_CLIENT) {
        say("c%u %s", (unsigned)peer_number(peer), message_kind_text(kind));
        return;
    }
    for (int i = 0; i < REGIONS; i++)
        if (fixture.regions[i].peer == peer)
            say("%s %s", fixture.regions[i].name, message_kind_text(kind));
}

static void say_id(const uint8_t *id)
{
    uint32_t number = fixture_number(id);
    if (number != 0)
        say(" %u", number);
    else
        say(" new");
}

static struct reader reader_of(struct bytes bytes)
{
    struct reader reader;
    reader_init(&reader, bytes);
    return reader;
}

struct bytes fixture_value(struct bytes map, const char *key)
{
    struct reader reader = reader_of(map);
    uint32_t pairs = read_map(&reader, 64);
    for (uint32_t i = 0; i < pairs; i++) {
        struct bytes name = read_str(&reader, 0, NAME_BYTES_MAX);
        struct bytes value = read_raw(&reader);
        cr_assert(!reader_failed(&reader));
        if (bytes_are(name, key))
            return value;
    }
    return (struct bytes){map.data, 0};
}

uint64_t fixture_uint(struct bytes map, const char *key)
{
    struct reader reader = reader_of(fixture_value(map, key));
    uint64_t value = read_uint(&reader, UINT64_MAX);
    cr_assert(!reader_failed(&reader), "%s is a number", key);
    return value;
}

const char *fixture_text(struct bytes map, const char *key)
{
    static char text[4][512];
    static uint32_t next;
    char *to = text[next++ % 4];
    struct reader reader = reader_of(fixture_value(map, key));
    struct bytes value = read_str(&reader, 0, sizeof text[0] - 1);
    cr_assert(!reader_failed(&reader), "%s is a text", key);
    memcpy(to, value.data, value.size);
    to[value.size] = '\0';
    return to;
}

static bool truth(struct bytes map, const char *key)
{
    struct reader reader = reader_of(fixture_value(map, key));
    bool value = read_bool(&reader);
    cr_assert(!reader_failed(&reader), "%s is a bool", key);
    return value;
}

static const uint8_t *id_in(struct bytes map)
{
    struct reader reader = reader_of(fixture_value(map, "id"));
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    cr_assert(!reader_failed(&reader));
    return id.data;
}

/* ---- replies to clients ---- */

static void say_accepted(struct bytes body)
{
    struct reader reader = reader_of(fixture_value(body, "tasks"));
    uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
    cr_expect_str_eq(fixture_text(body, "held"), "root");
    for (uint32_t i = 0; i < count; i++) {
        struct bytes task = read_raw(&reader);
        const char *status = fixture_text(task, "status");
        say_id(id_in(task));
        say(" %s", status);
        if (fixture_value(task, "code").size > 0) {
            say(":%s", fixture_text(task, "code"));
            strcpy(fixture.reason, fixture_text(task, "reason"));
        }
        if (fixture_value(task, "state").size > 0)
            say(":%s", fixture_text(task, "state"));
        bool again = strcmp(status, "throttled") == 0 || fixture_value(task, "retry_after_ms").size > 0;
        cr_expect(!again || fixture_uint(task, "retry_after_ms") > 0);
    }
}

static void say_ids(struct bytes body, const char *key)
{
    struct reader reader = reader_of(fixture_value(body, key));
    uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
    if (count > 0)
        say(" %s", key);
    for (uint32_t i = 0; i < count; i++)
        say_id(read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES).data);
}

/* "5 failed(regions_lost) dup" */
static void say_results(struct bytes body)
{
    struct reader reader = reader_of(fixture_value(body, "results"));
    uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes result = read_raw(&reader);
        struct bytes outcome = fixture_value(result, "outcome");
        cr_assert(!reader_failed(&reader));
        say_id(id_in(result));
        say(" %s", fixture_text(result, "state"));
        if (outcome.data[0] == 0xc0)
            say("(erased)");
        else if (fixture_value(outcome, "reason").size > 1)
            say("(%s)", fixture_text(outcome, "reason"));
        if (truth(result, "dup_possible"))
            say(" dup");
    }
    if (fixture_value(body, "pending").size > 0)
        say_ids(body, "pending");
    if (fixture_value(body, "unknown").size > 0)
        say_ids(body, "unknown");
}

static void say_pending(struct bytes body)
{
    struct reader reader = reader_of(fixture_value(body, "pending"));
    uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes task = read_raw(&reader);
        say_id(id_in(task));
        say(" %s", fixture_text(task, "state"));
        if (fixture_text(task, "reason")[0] != '\0')
            say("(%s)", fixture_text(task, "reason"));
    }
    say_ids(body, "unknown");
}

static void say_forgetting(struct bytes body)
{
    say(" %s %llu", fixture_text(body, "node"), (unsigned long long)fixture_uint(body, "tasks"));
}

static void say_cancelling(struct bytes body)
{
    struct reader reader = reader_of(fixture_value(body, "tasks"));
    uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes task = read_raw(&reader);
        say_id(id_in(task));
        say(" %s", fixture_text(task, "status"));
        if (fixture_text(task, "state")[0] != '\0')
            say("(%s)", fixture_text(task, "state"));
    }
}

static void say_error(struct bytes body)
{
    say(" %s", fixture_text(body, "code"));
    strcpy(fixture.reason, fixture_text(body, "reason"));
}

static void say_rows(struct bytes body)
{
    struct reader reader = reader_of(fixture_value(body, "rows"));
    say(" %u%s", read_array(&reader, 4096), truth(body, "more") ? " more" : "");
}

/* ---- messages to regions ---- */

static void say_entry(enum message_kind kind, struct reader *reader)
{
    if (kind == MESSAGE_ASSIGN) {
        struct assign_entry entry;
        cr_assert(assign_entry_read(reader, &entry));
        cr_expect(entry.fence.epoch == 0 && entry.fence.attempt == 0);
        struct task_fields fields;
        cr_expect_eq(task_parse(entry.envelope, SIZE_MAX, &fields).code, ERROR_NONE, "the envelope is whole");
        say_id(entry.id.bytes);
        say(".%u%s", entry.fence.custody, entry.flags & ASSIGN_DUP_POSSIBLE ? " dup" : "");
    } else if (kind == MESSAGE_STOP) {
        struct stop_entry entry;
        cr_assert(stop_entry_read(reader, &entry));
        cr_expect_eq(entry.mode, STOP_CANCEL);
        say_id(entry.id.bytes);
        say(".%u", entry.fence.custody);
    } else {
        static const char *const status[] = {"recorded", "stale", "unknown"};
        struct settled_entry entry;
        cr_assert_eq(kind, MESSAGE_SETTLED);
        cr_assert(settled_entry_read(reader, &entry));
        say_id(entry.id.bytes);
        say(".%u %s", entry.fence.custody, status[entry.status]);
    }
}

static void say_entries(const struct message_header *header)
{
    struct reader reader = reader_of(header->body);
    cr_assert_eq(read_array(&reader, 1), 1);
    uint32_t count = read_array(&reader, INVENTORY_ROWS_MAX);
    fixture.entries[header->kind] += count;
    for (uint32_t i = 0; i < count; i++)
        say_entry(header->kind, &reader);
    cr_expect(!reader_failed(&reader));
}

/* Every client request has exactly one reply; counted messages to a region come without a gap. */
static void check_sequence(uint64_t peer, const struct message *message, const struct message_header *header)
{
    if (peer_port(peer) == PORT_CHILD) {
        if (message->link == NULL) {
            cr_expect(header->sequence == 0 || header->kind == MESSAGE_ERROR);
            return;
        }
        for (int i = 0; i < REGIONS; i++)
            if (fixture.regions[i].peer == peer)
                cr_expect_eq(header->sequence, ++fixture.regions[i].received);
        return;
    }
    if (header->sequence == 0) {
        bool unreadable = header->kind == MESSAGE_ERROR; /* the request's sequence could not be read */
        cr_expect(unreadable || header->kind == MESSAGE_RESULT, "only results are pushed");
        return;
    }
    for (uint32_t i = 0; i < fixture.open_count; i++)
        if (fixture.open_requests[i] == header->sequence) {
            fixture.open_requests[i] = fixture.open_requests[--fixture.open_count];
            return;
        }
    cr_assert_fail("a second reply to request %u: %s", (unsigned)header->sequence,
                   message_kind_text(header->kind));
}

static const struct {
    enum message_kind kind;
    void (*say_body)(struct bytes body);
} bodies[] = {
    {MESSAGE_ACCEPTED, say_accepted},     {MESSAGE_RESULT, say_results}, {MESSAGE_PENDING, say_pending},
    {MESSAGE_CANCELLING, say_cancelling}, {MESSAGE_ERROR, say_error},    {MESSAGE_ROWS, say_rows},
    {MESSAGE_FORGETTING, say_forgetting},
};

static void say_message(const struct message *message)
{
    static uint8_t frame[FRAME_ROOM];
    struct message_header header;
    cr_assert(message->frame.size <= FRAME_BYTES_MAX);
    cr_assert(pieces_copy(&fixture.outputs, &message->frame, frame, look_up, NULL));
    cr_assert_eq(message_read((struct bytes){frame, message->frame.size}, &header), READER_OK);
    cr_assert_eq(header.kind, message->kind);
    if (header.kind == MESSAGE_HEARTBEAT)
        return;
    check_sequence(message->peer, message, &header);
    fixture.kind = header.kind;
    fixture.body = (struct bytes){fixture.body_bytes, header.body.size < BODY_ROOM ? header.body.size : 0};
    memcpy(fixture.body_bytes, header.body.data, fixture.body.size);
    say_peer(message->peer, header.kind);
    if (message->has_entries && header.kind != MESSAGE_RESULT) {
        say_entries(&header);
        return;
    }
    fixture.entries[header.kind] += message->has_entries ? message->entries : 1;
    if (header.sequence == 0 && header.kind == MESSAGE_RESULT)
        say(" pushed");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (bodies[i].kind == header.kind)
            bodies[i].say_body(header.body);
}

static void apply_writes(enum write_kind kind)
{
    const struct outputs *outputs = &fixture.outputs;
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        if (write->kind != kind)
            continue;
        if (fixture.shows_writes) {
            begin_item();
            say("%s %s %u", kind == WRITE_PUT ? "put" : "erase", table_text(write->table),
                (unsigned)write->number);
        }
        kind == WRITE_PUT ? put(write) : erase(write);
        ++*(kind == WRITE_PUT ? &fixture.puts[write->table] : &fixture.erases[write->table]);
    }
}

void fixture_say_outputs(void)
{
    struct outputs *outputs = &fixture.outputs;
    uint32_t operations = outputs->operations;
    fixture.steps++;
    fixture.operations_max = operations > fixture.operations_max ? operations : fixture.operations_max;
    fixture.bytes_max = outputs->bytes > fixture.bytes_max ? outputs->bytes : fixture.bytes_max;
    outputs_close(outputs);
    apply_writes(WRITE_PUT);
    for (uint32_t i = 0; i < outputs->message_count; i++)
        say_message(&outputs->messages[outputs->order[i]]);
    apply_writes(WRITE_ERASE);
    outputs_reset(outputs);
}
