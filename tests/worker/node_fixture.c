/* node_fixture.c - see node_fixture.h. */
#include "tests/worker/node_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/task.h"

struct fixture fixture;

static struct task_id id_of(unsigned task)
{
    return (struct task_id){{0, (uint8_t)task}};
}

static struct fence fence_of(unsigned attempt)
{
    return (struct fence){1, 1, attempt};
}

/* ---- records ---- */

static struct record *find_record(enum table table, uint64_t number)
{
    for (int i = 0; i < RECORDS; i++)
        if (fixture.records[i].table == table &&
            (table == TABLE_COUNT || fixture.records[i].number == number))
            return &fixture.records[i];
    return NULL;
}

static bool look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to, size_t size)
{
    (void)context;
    (void)part;
    struct record *record = find_record(table, number);
    if (record == NULL || record->size != size)
        return false;
    memcpy(to, record->bytes, size);
    return true;
}

/* ---- outputs as text ---- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;
    size_t at = strlen(fixture.text);
    if (at != 0)
        at += (size_t)snprintf(fixture.text + at, TEXT_BYTES - at, ", ");
    va_start(arguments, format);
    vsnprintf(fixture.text + at, TEXT_BYTES - at, format, arguments);
    va_end(arguments);
}

static void say_write(const struct write *write)
{
    const char *name = table_text(write->table);
    if (write->kind == WRITE_ERASE) {
        struct record *record = find_record(write->table, write->number);
        cr_assert_not_null(record);
        record->table = TABLE_COUNT;
        say("erase %s %u", name, (unsigned)write->number);
        return;
    }
    struct record *record = find_record(write->table, write->number);
    record = record == NULL ? find_record(TABLE_COUNT, 0) : record;
    cr_assert_not_null(record);
    record->table = write->table;
    record->number = write->number;
    record->size = write->value.size;
    cr_assert(record->size <= RECORD_BYTES);
    cr_assert(pieces_copy(&fixture.outputs, &write->value, record->bytes, NULL, NULL));
    say("put %s %u", name, (unsigned)write->number);
}

static void say_outcome(struct reader *reader)
{
    struct outcome_entry entry;
    cr_assert(outcome_entry_read(reader, &entry));
    say("OUTCOME %u.%u %s%s%s", entry.id.bytes[1], entry.fence.attempt, task_end_text(entry.end),
        entry.flags & OUTCOME_DEAD ? " dead" : "", entry.flags & OUTCOME_PERMANENT ? " permanent" : "");
}

static void say_taken(struct reader *reader)
{
    struct taken_entry entry;
    cr_assert(taken_entry_read(reader, &entry));
    say("TAKEN %u.%u", entry.id.bytes[1], entry.fence.attempt);
}

static void say_row(struct reader *reader)
{
    static const char *const status[] = {"waiting", "running", "ended"};
    struct inventory_row row;
    cr_assert(inventory_row_read(reader, &row));
    say("INVENTORY %u.%u %s", row.id.bytes[1], row.fence.attempt, status[row.status]);
}

static void say_message(const struct message *message)
{
    static uint8_t frame[FRAME_BYTES];
    struct message_header header;
    struct reader reader;
    cr_assert(message->frame.size <= sizeof frame);
    cr_assert(pieces_copy(&fixture.outputs, &message->frame, frame, look_up, NULL));
    cr_assert_eq(message_read((struct bytes){frame, message->frame.size}, &header), READER_OK);
    if (header.kind == MESSAGE_HEARTBEAT)
        return;
    if (header.kind == MESSAGE_HELLO) {
        struct hello hello;
        cr_assert(hello_read(header.body, &hello));
        fixture.peer = message->peer;
        fixture.sequence = 0;
        say("HELLO boot %u", (unsigned)hello.boot);
        return;
    }
    cr_expect_eq(message->peer, fixture.peer);
    reader_init(&reader, header.body);
    uint32_t entries = message->has_entries ? (read_array(&reader, 1), read_array(&reader, 4096)) : 0;
    if (header.kind == MESSAGE_BYE && read_array(&reader, 1) == 1)
        say("BYE kept %u", (unsigned)read_uint(&reader, UINT32_MAX));
    else if (!message->has_entries)
        say("%s", message_kind_text(header.kind));
    for (uint32_t i = 0; i < entries; i++)
        header.kind == MESSAGE_OUTCOME ? say_outcome(&reader)
        : header.kind == MESSAGE_TAKEN ? say_taken(&reader)
                                       : say_row(&reader);
    cr_expect(!reader_failed(&reader));
}

static void say_process(const struct process *process)
{
    static const char *const action[] = {"start", "terminate", "kill"};
    if (process->action != PROCESS_START) {
        say("%s %u", action[process->action], process->slot);
        return;
    }
    static uint8_t envelope[FRAME_BYTES];
    struct task_fields fields;
    cr_assert(pieces_copy(&fixture.outputs, &process->envelope, envelope, NULL, NULL));
    struct task_problem problem =
        task_parse((struct bytes){envelope, process->envelope.size}, SIZE_MAX, &fields);
    cr_expect_eq(problem.code, ERROR_NONE, "the envelope arrives whole");
    cr_expect_eq(process->handler, bytes_are(fields.type, COMMAND_TYPE) ? UINT32_MAX : 1);
    say("start %u %u.%u", process->slot, process->id.bytes[1], process->fence.attempt);
}

static void say_outputs(void)
{
    struct outputs *outputs = &fixture.outputs;
    outputs_close(outputs);
    for (uint32_t i = 0; i < outputs->write_count; i++)
        if (outputs->writes[i].kind == WRITE_PUT)
            say_write(&outputs->writes[i]);
    for (uint32_t i = 0; i < outputs->message_count; i++)
        say_message(&outputs->messages[outputs->order[i]]);
    for (uint32_t i = 0; i < outputs->write_count; i++)
        if (outputs->writes[i].kind == WRITE_ERASE)
            say_write(&outputs->writes[i]);
    for (uint32_t i = 0; i < outputs->process_count; i++)
        say_process(&outputs->processes[i]);
    outputs_reset(outputs);
}

/* ---- events from text ---- */

static void step(struct event event)
{
    event.now_ns = fixture.now_ns;
    event.wall_ms = 1700000000000 + fixture.now_ns / 1000000;
    event.random[0] = 0x1234567890abcdef ^ fixture.now_ns;
    event.store_free_bytes = fixture.store_free_bytes;
    event.store_max_bytes = 1 << 30;
    outputs_begin_step(&fixture.outputs);
    worker_step(fixture.worker, &event, &fixture.outputs);
    say_outputs();
}

struct writer fixture_begin_frame(enum message_kind kind)
{
    struct writer writer;
    writer_init(&writer, fixture.frame, sizeof fixture.frame);
    message_write_header(&writer, kind, ++fixture.sequence);
    return writer;
}

static void deliver(const struct writer *writer)
{
    step((struct event){.kind = EVENT_MESSAGE, .peer = fixture.peer, .frame = writer_bytes(writer)});
}

static void send_welcome(void)
{
    struct writer writer = fixture_begin_frame(MESSAGE_WELCOME);
    struct welcome welcome = {.version = 1, .epoch = 1, .beat_ms = 600000, .grace_ms = 1800000};
    welcome_write(&writer, &welcome);
    deliver(&writer);
}

void fixture_write_task(struct writer *writer, const char *type)
{
    if (strcmp(type, "bad") == 0) {
        write_map(writer, 1);
        write_str(writer, "colour");
        write_nil(writer);
        return;
    }
    bool command = strcmp(type, "command") == 0;
    write_map(writer, 1);
    write_str(writer, command ? "argv" : "type");
    if (command)
        write_array(writer, 1);
    write_str(writer, type);
}

/* "T.A TYPE" as often as there are. */
static void send_assign(const char *text)
{
    unsigned task, attempt;
    char type[16];
    int used;
    struct writer writer = fixture_begin_frame(MESSAGE_ASSIGN);
    write_array(&writer, 1);
    size_t count = write_array_open(&writer);
    uint32_t entries = 0;
    for (; sscanf(text, " %u.%u %15s%n", &task, &attempt, type, &used) == 3; text += used, entries++) {
        struct assign_entry entry = {
            .id = id_of(task), .fence = fence_of(attempt), .attempt = attempt, .attempts_max = 9};
        assign_entry_write_head(&writer, &entry);
        fixture_write_task(&writer, type);
    }
    patch_count(fixture.frame, count, entries);
    deliver(&writer);
}

struct writer fixture_stop_frame(unsigned task, unsigned attempt, enum stop_mode mode)
{
    struct writer writer = fixture_begin_frame(MESSAGE_STOP);
    struct stop_entry entry = {.id = id_of(task), .fence = fence_of(attempt), .mode = mode};
    write_array(&writer, 1);
    write_array(&writer, 1);
    stop_entry_write(&writer, &entry);
    return writer;
}

static void send_stop(unsigned task, unsigned attempt, enum stop_mode mode)
{
    struct writer writer = fixture_stop_frame(task, attempt, mode);
    deliver(&writer);
}

static void send_settled(unsigned task, unsigned attempt)
{
    struct writer writer = fixture_begin_frame(MESSAGE_SETTLED);
    struct settled_entry entry = {.id = id_of(task), .fence = fence_of(attempt), .status = SETTLED_RECORDED};
    write_array(&writer, 1);
    write_array(&writer, 1);
    settled_entry_write(&writer, &entry);
    deliver(&writer);
}

static void send_ask(unsigned deadline_ms)
{
    struct writer writer = fixture_begin_frame(MESSAGE_ASK);
    ask_write_head(&writer, 77, "drain");
    write_map(&writer, 1);
    write_str(&writer, "deadline_ms");
    write_uint(&writer, deadline_ms);
    deliver(&writer);
}

static void process_ended(unsigned slot, const char *how, int number)
{
    struct process_end end = {.slot = slot, .started = true, .exit_status = -1};
    end.output = bytes_of("printed");
    if (strcmp(how, "exit") == 0)
        end.exit_status = number;
    else if (strcmp(how, "signal") == 0)
        end.signal = number;
    else
        end = (struct process_end){.slot = slot, .exit_status = -1, .start_error = number};
    step((struct event){.kind = EVENT_PROCESS_ENDED, .process = end});
}

static void time_passes(unsigned ms)
{
    fixture.now_ns += ms * NANOSECONDS_PER_MS;
    for (int i = 0; worker_deadline_ns(fixture.worker) <= fixture.now_ns; i++) {
        cr_assert(i < 1000, "TIMEOUTs come to an end");
        step((struct event){.kind = EVENT_TIMEOUT});
    }
}

void fixture_new_worker(void)
{
    if (fixture.worker != NULL)
        worker_free(fixture.worker);
    fixture.worker = worker_new(&fixture.options);
    cr_assert_not_null(fixture.worker);
    for (int i = 0; i < RECORDS; i++) {
        struct record *record = &fixture.records[i];
        struct event event = {.kind = EVENT_RESTORE};
        event.record.table = record->table;
        event.record.number = record->number;
        event.record.value = (struct bytes){record->bytes, record->size};
        if (record->table != TABLE_COUNT)
            step(event);
    }
}

void fixture_act(const char *text)
{
    unsigned task, attempt, slot, ms;
    int number;
    char how[16];
    if (strncmp(text, "assign ", 7) == 0)
        send_assign(text + 7);
    else if (sscanf(text, "stop %u.%u", &task, &attempt) == 2)
        send_stop(task, attempt, STOP_CANCEL);
    else if (sscanf(text, "recall %u.%u", &task, &attempt) == 2)
        send_stop(task, attempt, STOP_RECALL);
    else if (sscanf(text, "settled %u.%u", &task, &attempt) == 2)
        send_settled(task, attempt);
    else if (sscanf(text, "ended %u %15s %d", &slot, how, &number) == 3)
        process_ended(slot, how, number);
    else if (sscanf(text, "started %u", &slot) == 1)
        step((struct event){.kind = EVENT_PROCESS_STARTED, .process = {.slot = slot}});
    else if (sscanf(text, "later %u", &ms) == 1)
        time_passes(ms);
    else if (sscanf(text, "ask %u", &ms) == 1)
        send_ask(ms);
    else if (strcmp(text, "welcome") == 0)
        send_welcome();
    else if (strcmp(text, "start") == 0)
        step((struct event){.kind = EVENT_START});
    else if (strcmp(text, "down") == 0)
        step((struct event){.kind = EVENT_LINK_DOWN, .peer = fixture.peer});
    else if (strcmp(text, "drain") == 0)
        step((struct event){.kind = EVENT_DRAIN});
    else if (strcmp(text, "restart") == 0)
        fixture_new_worker();
    else
        cr_assert_fail("no such event: %s", text);
}

void fixture_run(const struct row *rows)
{
    for (int i = 0; rows[i].event != NULL; i++) {
        fixture.text[0] = '\0';
        fixture_act(rows[i].event);
        cr_assert_str_eq(fixture.text, rows[i].outputs, "row %d, after '%s':\n  got      %s\n  expected %s",
                         i, rows[i].event, fixture.text, rows[i].outputs);
    }
}

void fixture_set_up(void)
{
    memset(&fixture, 0, sizeof fixture);
    cr_assert(outputs_init(&fixture.outputs));
    for (int i = 0; i < RECORDS; i++)
        fixture.records[i].table = TABLE_COUNT;
    fixture.now_ns = 1000000 * NANOSECONDS_PER_MS;
    fixture.store_free_bytes = 1 << 30;
    worker_options_default(&fixture.options);
    strcpy(fixture.options.name, "w1");
    fixture.options.commands = true;
    fixture.options.handler_count = 2;
    strcpy(fixture.options.handlers[0].type, "noop");
    fixture.options.handlers[0].builtin_noop = true;
    strcpy(fixture.options.handlers[1].type, "resize");
    fixture_new_worker();
}

void fixture_connect(void)
{
    static const struct row rows[] = {{"start", "put meta 1, HELLO boot 1"}, {"welcome", "END"}, {0}};
    fixture_run(rows);
}

void fixture_tear_down(void)
{
    worker_free(fixture.worker);
    outputs_release(&fixture.outputs);
}
