/* node_text.c - a step's outputs as text, and its writes as records, for node_fixture.h. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/peer.h"
#include "engine/task.h"
#include "tests/region/node_fixture.h"

static bool batch_begun; /* the running step said something already */

static void append(const char *format, va_list arguments)
{
    size_t at = strlen(fixture.text);
    int size = vsnprintf(fixture.text + at, TEXT_BYTES - at, format, arguments);
    cr_assert(size >= 0 && at + (size_t)size < TEXT_BYTES);
}

__attribute__((format(printf, 1, 2))) static void more(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(format, arguments);
    va_end(arguments);
}

void text_say(const char *format, ...)
{
    va_list arguments;
    if (fixture.text[0] != '\0')
        more("%s", batch_begun ? ", " : " | ");
    batch_begun = true;
    va_start(arguments, format);
    append(format, arguments);
    va_end(arguments);
}

/* ---- records ---- */

void records_clear(void)
{
    for (int i = 0; i < RECORDS; i++)
        fixture.records[i].table = TABLE_COUNT;
}

static struct record *find_record(enum table table, uint64_t number, uint32_t part)
{
    for (int i = 0; i < RECORDS; i++) {
        struct record *record = &fixture.records[i];
        if (record->table == table &&
            (table == TABLE_COUNT || (record->number == number && record->part == part)))
            return record;
    }
    return NULL;
}

bool records_look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to,
                     size_t size)
{
    (void)context;
    size_t found = 0;
    uint32_t from = part == PART_ALL ? 0 : part;
    for (uint32_t at = from;; at++) {
        const struct record *record = find_record(table, number, at);
        if (record == NULL || found + record->size > size)
            break;
        memcpy(to + found, record->bytes, record->size);
        found += record->size;
        if (part != PART_ALL)
            break;
    }
    return found == size;
}

static void apply_put(const struct write *write)
{
    struct record *record = find_record(write->table, write->number, write->part);
    record = record == NULL ? find_record(TABLE_COUNT, 0, 0) : record;
    cr_assert_not_null(record, "room for one more record");
    record->table = write->table;
    record->number = write->number;
    record->part = write->part;
    record->size = write->value.size;
    cr_assert(record->size <= RECORD_BYTES);
    cr_assert(pieces_copy(&fixture.outputs, &write->value, record->bytes, NULL, NULL));
    if (write->table != TABLE_STATES) {
        text_say("+%s %u", table_text(write->table), (unsigned)write->number);
        return;
    }
    struct task task;
    cr_assert(task_record_read((struct bytes){record->bytes, record->size}, &task, fixture.now_ns, 0));
    text_say("+states %u %s%s%s", (unsigned)write->number, task_state_text((enum task_state)task.state),
             task.flags & TASK_DUP_POSSIBLE ? " dup" : "", task.flags & TASK_CANCELLING ? " cancelling" : "");
}

static void apply_erase(const struct write *write)
{
    int erased = 0;
    for (int i = 0; i < RECORDS; i++)
        if (fixture.records[i].table == write->table && fixture.records[i].number == write->number) {
            fixture.records[i].table = TABLE_COUNT;
            erased++;
        }
    cr_expect(erased > 0, "what is erased was there: %s %u", table_text(write->table),
              (unsigned)write->number);
    text_say("-%s %u", table_text(write->table), (unsigned)write->number);
}

/* ---- values ---- */

static void say_value(struct reader *reader)
{
    switch (reader_peek(reader)) {
    case TYPE_NIL:
        read_nil(reader);
        more("nil");
        return;
    case TYPE_BOOL:
        more("%s", read_bool(reader) ? "yes" : "no");
        return;
    case TYPE_UINT:
        more("%llu", (unsigned long long)read_uint(reader, UINT64_MAX));
        return;
    case TYPE_STR: {
        struct bytes text = read_str(reader, 0, SIZE_MAX);
        more("'%.*s'", (int)text.size, (const char *)text.data);
        return;
    }
    case TYPE_BIN: {
        struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
        more("#%u", id.data[1]);
        return;
    }
    case TYPE_ARRAY: {
        uint32_t count = read_array(reader, 4096);
        more("[");
        for (uint32_t i = 0; i < count; i++) {
            more("%s", i == 0 ? "" : " ");
            say_value(reader);
        }
        more("]");
        return;
    }
    case TYPE_MAP: {
        uint32_t pairs = read_map(reader, 4096);
        more("{");
        for (uint32_t i = 0; i < pairs; i++) {
            struct bytes key = read_str(reader, 0, NAME_BYTES_MAX);
            more("%s%.*s:", i == 0 ? "" : " ", (int)key.size, (const char *)key.data);
            say_value(reader);
        }
        more("}");
        return;
    }
    case TYPE_INT:
    case TYPE_FLOAT:
    case TYPE_NONE:
        cr_assert_fail("no such value is sent");
    }
}

static struct bytes value_of(struct bytes map, const char *name)
{
    struct reader reader;
    reader_init(&reader, map);
    uint32_t pairs = read_map(&reader, 64);
    for (uint32_t i = 0; i < pairs; i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX), value = read_raw(&reader);
        if (bytes_are(key, name))
            return value;
    }
    cr_assert(!reader_failed(&reader));
    cr_assert_fail("no field %s", name);
    return map;
}

static struct bytes text_at(struct bytes map, const char *name)
{
    struct reader reader;
    reader_init(&reader, value_of(map, name));
    return read_str(&reader, 0, SIZE_MAX);
}

static unsigned number_at(struct bytes map, const char *name)
{
    struct reader reader;
    reader_init(&reader, value_of(map, name));
    return (unsigned)read_uint(&reader, UINT64_MAX);
}

static void more_text(struct bytes map, const char *name)
{
    struct bytes text = text_at(map, name);
    if (text.size > 0)
        more(" %.*s", (int)text.size, (const char *)text.data);
}

static void more_number(struct bytes map, const char *name)
{
    if (value_of(map, name).data[0] != 0xc0) /* nil */
        more(" %s %u", name, number_at(map, name));
}

/* ---- messages ---- */

static unsigned epoch_shown(uint32_t epoch)
{
    return epoch == 0 ? 0 : epoch - fixture.first_epoch + 1;
}

static const char *attempt_text(const struct task_id *id, struct fence fence)
{
    static char text[64];
    snprintf(text, sizeof text, "%u:%u.%u.%u", id->bytes[1], fence.custody, epoch_shown(fence.epoch),
             fence.attempt);
    return text;
}

static void more_outcome_map(struct bytes map, const struct outcome_entry *outcome)
{
    struct reader fence;
    reader_init(&fence, value_of(map, "fence"));
    struct fence ran_with = fence_decode(read_bin(&fence, FENCE_BYTES, FENCE_BYTES).data);
    more_text(map, "reason");
    more_text(map, "worker");
    more(" %u/%u", number_at(map, "attempt"), number_at(map, "attempts_max"));
    if (fence_compare(ran_with, outcome->fence) != 0)
        more(" ran as %s", attempt_text(&outcome->id, ran_with));
    struct bytes result = value_of(map, "result");
    if (result.data[0] != 0xc0) { /* nil */
        more_number(result, "exit");
        more_number(result, "signal");
    }
    struct reader reader;
    reader_init(&reader, value_of(map, "history"));
    uint32_t count = read_array(&reader, UINT8_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes entry = read_raw(&reader);
        more(" after %u", number_at(entry, "attempt"));
        more_text(entry, "worker");
        more_text(entry, "end");
        more_text(entry, "reason");
        more_number(entry, "exit");
        more_number(entry, "signal");
    }
    cr_expect(!reader_failed(&reader));
}

static void say_outcome(struct reader *reader, const char *to)
{
    struct outcome_entry entry;
    cr_assert(outcome_entry_read(reader, &entry));
    text_say("%s OUTCOME %s %s%s", to, attempt_text(&entry.id, entry.fence), task_end_text(entry.end),
             entry.flags & OUTCOME_DUP_POSSIBLE ? " dup" : "");
    cr_expect(entry.flags & OUTCOME_DEAD);
    bool bare = entry.end == TASK_RETURNED || entry.end == TASK_NOT_HELD;
    if (!bare)
        more_outcome_map(entry.outcome, &entry);
}

static void say_assign(struct reader *reader, const char *to)
{
    struct assign_entry entry;
    cr_assert(assign_entry_read(reader, &entry));
    text_say("%s ASSIGN %s%s", to, attempt_text(&entry.id, entry.fence),
             entry.flags & ASSIGN_DUP_POSSIBLE ? " dup" : "");
    if (entry.attempt != 1 || entry.attempts_max != 1)
        more(" %u/%u", entry.attempt, entry.attempts_max);
    struct fence *highest = &fixture.highest[entry.id.bytes[1]];
    cr_expect(fence_compare(entry.fence, *highest) >= 0, "fences of a task never fall");
    *highest = entry.fence;
}

static void say_settled(struct reader *reader, const char *to)
{
    static const char *const status[] = {"recorded", "stale", "unknown"};
    struct settled_entry entry;
    cr_assert(settled_entry_read(reader, &entry));
    text_say("%s SETTLED %s %s", to, attempt_text(&entry.id, entry.fence), status[entry.status]);
}

static void say_stop(struct reader *reader, const char *to)
{
    struct stop_entry entry;
    cr_assert(stop_entry_read(reader, &entry));
    text_say("%s STOP %s%s", to, attempt_text(&entry.id, entry.fence),
             entry.mode == STOP_RECALL ? " recall" : "");
}

static void say_taken(struct reader *reader, const char *to)
{
    struct taken_entry entry;
    cr_assert(taken_entry_read(reader, &entry));
    text_say("%s TAKEN %s", to, attempt_text(&entry.id, entry.fence));
}

static void say_refused(struct reader *reader, const char *to)
{
    struct refused_entry entry;
    cr_assert(refused_entry_read(reader, &entry));
    text_say("%s REFUSED %s %.*s", to, attempt_text(&entry.id, entry.fence), (int)entry.code.size,
             (const char *)entry.code.data);
}

static void say_row(struct reader *reader, const char *to)
{
    static const char *const status[] = {"waiting", "running", "ended"};
    struct inventory_row row;
    cr_assert(inventory_row_read(reader, &row));
    text_say("%s INVENTORY %s %s", to, attempt_text(&row.id, row.fence), status[row.status]);
}

static void keep_profiles(struct bytes profiles)
{
    if (profiles.size == 0)
        return;
    struct reader reader;
    size_t from = strlen(fixture.text);
    reader_init(&reader, profiles);
    say_value(&reader);
    snprintf(fixture.profiles, sizeof fixture.profiles, "%s", fixture.text + from);
    fixture.text[from] = '\0';
}

static void say_alone(const struct message_header *header, const char *to)
{
    if (header->kind == MESSAGE_HELLO) {
        struct hello hello;
        cr_assert(hello_read(header->body, &hello));
        text_say("%s HELLO boot %u", to, (unsigned)hello.boot);
        keep_profiles(hello.profiles);
    } else if (header->kind == MESSAGE_ERROR) {
        struct error_body error;
        cr_assert_eq(error_read_body(header->body, &error), READER_OK);
        cr_expect(error.reason.size > 0, "an error gives a reason");
        text_say("%s ERROR %.*s", to, (int)error.code.size, (const char *)error.code.data);
    } else if (header->kind == MESSAGE_ANSWER) {
        uint64_t request;
        struct bytes body;
        struct reader reader;
        cr_assert(answer_read(header->body, &request, &body));
        text_say("%s ANSWER %u ", to, (unsigned)request);
        reader_init(&reader, body);
        say_value(&reader);
    } else {
        text_say("%s %s", to, message_kind_text(header->kind));
    }
}

/* Outcomes that the broker is told of in a beat. */
static void say_late(struct bytes late)
{
    struct reader reader;
    reader_init(&reader, late);
    for (uint32_t count = late.size == 0 ? 0 : read_array(&reader, UINT16_MAX); count > 0; count--) {
        struct late_entry entry;
        cr_assert(late_entry_read(&reader, &entry));
        text_say("up late %s %s %.*s", attempt_text(&entry.id, entry.fence), task_end_text(entry.end),
                 (int)entry.worker.size, (const char *)entry.worker.data);
    }
}

static const struct {
    enum message_kind kind;
    void (*say)(struct reader *reader, const char *to);
} entries[] = {{MESSAGE_OUTCOME, say_outcome}, {MESSAGE_ASSIGN, say_assign}, {MESSAGE_SETTLED, say_settled},
               {MESSAGE_STOP, say_stop},       {MESSAGE_TAKEN, say_taken},   {MESSAGE_REFUSED, say_refused},
               {MESSAGE_INVENTORY, say_row}};

static void say_message(const struct message *message)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    struct message_header header;
    struct reader reader;
    cr_assert(pieces_copy(&fixture.outputs, &message->frame, frame, records_look_up, NULL),
              "what a message refers to is in the store");
    cr_assert_eq(message_read((struct bytes){frame, message->frame.size}, &header), READER_OK);
    bool up = peer_port(message->peer) == PORT_PARENT;
    if (header.kind == MESSAGE_HELLO) {
        fixture.parent = message->peer;
        fixture.sequence = 0;
        fixture.parent_beats = false;
    }
    if (up)
        cr_expect_eq(message->peer, fixture.parent, "only the newest session is spoken in");
    const char *to = up ? "up" : fixture.sessions[peer_number(message->peer)].name;
    if (header.kind == MESSAGE_HEARTBEAT) {
        struct heartbeat heartbeat;
        cr_assert(heartbeat_read(header.body, &heartbeat));
        cr_expect(message->immediate);
        if (up) {
            keep_profiles(heartbeat.profiles);
            fixture.children = heartbeat.children;
            say_late(heartbeat.late);
        }
        return;
    }
    if (!message->has_entries) {
        say_alone(&header, to);
        return;
    }
    reader_init(&reader, header.body);
    read_array(&reader, 1);
    uint32_t count = read_array(&reader, 4096);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        for (uint32_t at = 0; entries[i].kind == header.kind && at < count; at++)
            entries[i].say(&reader, to);
    reader_finish(&reader);
    cr_expect(!reader_failed(&reader));
}

void text_of_outputs(void)
{
    struct outputs *outputs = &fixture.outputs;
    batch_begun = false;
    outputs_close(outputs);
    for (uint32_t i = 0; i < outputs->write_count; i++)
        if (outputs->writes[i].kind == WRITE_PUT)
            apply_put(&outputs->writes[i]);
    for (uint32_t i = 0; i < outputs->message_count; i++)
        say_message(&outputs->messages[outputs->order[i]]);
    for (uint32_t i = 0; i < outputs->write_count; i++)
        if (outputs->writes[i].kind == WRITE_ERASE)
            apply_erase(&outputs->writes[i]);
    outputs_reset(outputs);
}
