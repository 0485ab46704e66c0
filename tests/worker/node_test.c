/* node_test.c - step tables of the worker node: in this state, this event: these outputs.
 *
 * Events and outputs are written as text. A task is named TASK.ATTEMPT, the attempt being the fence.
 *   events:  start, welcome, assign T.A TYPE ..., stop T.A, recall T.A, settled T.A, started SLOT,
 *            ended SLOT exit|signal|error N, later MS (and TIMEOUTs while they are due), down, drain, ask MS,
 *            restart (a new node from the records)
 *   outputs: in the order puts, erases, messages as they leave, processes; HEARTBEATs are left out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/outputs.h"
#include "proto/link.h"
#include "proto/message.h"
#include "proto/task.h"
#include "worker/worker.h"

enum { TEXT_BYTES = 4096, RECORDS = 64, RECORD_BYTES = 4096, FRAME_BYTES = 64 * 1024 };

struct record {
    enum table table; /* TABLE_COUNT = free */
    uint64_t number;
    size_t size;
    uint8_t bytes[RECORD_BYTES];
};

struct bench {
    struct worker_options options;
    struct worker *worker;
    struct outputs outputs;
    struct record records[RECORDS];
    uint64_t now_ns, store_free_bytes;
    uint64_t peer;     /* of the newest HELLO */
    uint64_t sequence; /* of the last message of the region */
    char text[TEXT_BYTES];
    uint8_t frame[FRAME_BYTES];
};

static struct bench bench;

struct row {
    const char *event, *outputs;
};

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
        if (bench.records[i].table == table && (table == TABLE_COUNT || bench.records[i].number == number))
            return &bench.records[i];
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
    size_t at = strlen(bench.text);
    if (at != 0)
        at += (size_t)snprintf(bench.text + at, TEXT_BYTES - at, ", ");
    va_start(arguments, format);
    vsnprintf(bench.text + at, TEXT_BYTES - at, format, arguments);
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
    cr_assert(pieces_copy(&bench.outputs, &write->value, record->bytes, NULL, NULL));
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
    cr_assert(pieces_copy(&bench.outputs, &message->frame, frame, look_up, NULL));
    cr_assert_eq(message_read((struct bytes){frame, message->frame.size}, &header), READER_OK);
    if (header.kind == MESSAGE_HEARTBEAT)
        return;
    if (header.kind == MESSAGE_HELLO) {
        struct hello hello;
        cr_assert(hello_read(header.body, &hello));
        bench.peer = message->peer;
        bench.sequence = 0;
        say("HELLO boot %u", (unsigned)hello.boot);
        return;
    }
    cr_expect_eq(message->peer, bench.peer);
    reader_init(&reader, header.body);
    uint32_t entries = message->has_entries ? (read_array(&reader, 1), read_array(&reader, 4096)) : 0;
    if (!message->has_entries)
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
    cr_assert(pieces_copy(&bench.outputs, &process->envelope, envelope, NULL, NULL));
    struct task_problem problem =
        task_parse((struct bytes){envelope, process->envelope.size}, SIZE_MAX, &fields);
    cr_expect_eq(problem.code, ERROR_NONE, "the envelope arrives whole");
    cr_expect_eq(process->handler, bytes_are(fields.type, COMMAND_TYPE) ? UINT32_MAX : 1);
    say("start %u %u.%u", process->slot, process->id.bytes[1], process->fence.attempt);
}

static void say_outputs(void)
{
    struct outputs *outputs = &bench.outputs;
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
    event.now_ns = bench.now_ns;
    event.wall_ms = 1700000000000 + bench.now_ns / 1000000;
    event.random[0] = 0x1234567890abcdef ^ bench.now_ns;
    event.store_free_bytes = bench.store_free_bytes;
    event.store_max_bytes = 1 << 30;
    outputs_begin_step(&bench.outputs);
    worker_step(bench.worker, &event, &bench.outputs);
    say_outputs();
}

static struct writer begin_frame(enum message_kind kind)
{
    struct writer writer;
    writer_init(&writer, bench.frame, sizeof bench.frame);
    message_write_header(&writer, kind, ++bench.sequence);
    return writer;
}

static void deliver(const struct writer *writer)
{
    step((struct event){.kind = EVENT_MESSAGE, .peer = bench.peer, .frame = writer_bytes(writer)});
}

static void send_welcome(void)
{
    struct writer writer = begin_frame(MESSAGE_WELCOME);
    struct welcome welcome = {.version = 1, .epoch = 1, .beat_ms = 600000, .grace_ms = 1800000};
    welcome_write(&writer, &welcome);
    deliver(&writer);
}

static void write_task(struct writer *writer, const char *type)
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
    struct writer writer = begin_frame(MESSAGE_ASSIGN);
    write_array(&writer, 1);
    size_t count = write_array_open(&writer);
    uint32_t entries = 0;
    for (; sscanf(text, " %u.%u %15s%n", &task, &attempt, type, &used) == 3; text += used, entries++) {
        struct assign_entry entry = {
            .id = id_of(task), .fence = fence_of(attempt), .attempt = attempt, .attempts_max = 9};
        assign_entry_write_head(&writer, &entry);
        write_task(&writer, type);
    }
    patch_count(bench.frame, count, entries);
    deliver(&writer);
}

static void send_stop(unsigned task, unsigned attempt, enum stop_mode mode)
{
    struct writer writer = begin_frame(MESSAGE_STOP);
    struct stop_entry entry = {.id = id_of(task), .fence = fence_of(attempt), .mode = mode};
    write_array(&writer, 1);
    write_array(&writer, 1);
    stop_entry_write(&writer, &entry);
    deliver(&writer);
}

static void send_settled(unsigned task, unsigned attempt)
{
    struct writer writer = begin_frame(MESSAGE_SETTLED);
    struct settled_entry entry = {.id = id_of(task), .fence = fence_of(attempt), .status = SETTLED_RECORDED};
    write_array(&writer, 1);
    write_array(&writer, 1);
    settled_entry_write(&writer, &entry);
    deliver(&writer);
}

static void send_ask(unsigned deadline_ms)
{
    struct writer writer = begin_frame(MESSAGE_ASK);
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
    bench.now_ns += ms * NANOSECONDS_PER_MS;
    for (int i = 0; worker_deadline_ns(bench.worker) <= bench.now_ns; i++) {
        cr_assert(i < 1000, "TIMEOUTs come to an end");
        step((struct event){.kind = EVENT_TIMEOUT});
    }
}

static void new_worker(void)
{
    if (bench.worker != NULL)
        worker_free(bench.worker);
    bench.worker = worker_new(&bench.options);
    cr_assert_not_null(bench.worker);
    for (int i = 0; i < RECORDS; i++) {
        struct record *record = &bench.records[i];
        struct event event = {.kind = EVENT_RESTORE};
        event.record.table = record->table;
        event.record.number = record->number;
        event.record.value = (struct bytes){record->bytes, record->size};
        if (record->table != TABLE_COUNT)
            step(event);
    }
}

static void act(const char *text)
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
        step((struct event){.kind = EVENT_LINK_DOWN, .peer = bench.peer});
    else if (strcmp(text, "drain") == 0)
        step((struct event){.kind = EVENT_DRAIN});
    else if (strcmp(text, "restart") == 0)
        new_worker();
    else
        cr_assert_fail("no such event: %s", text);
}

static void run(const struct row *rows)
{
    for (int i = 0; rows[i].event != NULL; i++) {
        bench.text[0] = '\0';
        act(rows[i].event);
        cr_assert_str_eq(bench.text, rows[i].outputs, "row %d, after '%s':\n  got      %s\n  expected %s", i,
                         rows[i].event, bench.text, rows[i].outputs);
    }
}

static void set_up(void)
{
    memset(&bench, 0, sizeof bench);
    cr_assert(outputs_init(&bench.outputs));
    for (int i = 0; i < RECORDS; i++)
        bench.records[i].table = TABLE_COUNT;
    bench.now_ns = 1000000 * NANOSECONDS_PER_MS;
    bench.store_free_bytes = 1 << 30;
    worker_options_default(&bench.options);
    strcpy(bench.options.name, "w1");
    bench.options.commands = true;
    bench.options.handler_count = 2;
    strcpy(bench.options.handlers[0].type, "noop");
    bench.options.handlers[0].builtin_noop = true;
    strcpy(bench.options.handlers[1].type, "resize");
    new_worker();
}

static void connect(void)
{
    static const struct row rows[] = {{"start", "put meta 1, HELLO boot 1"}, {"welcome", "END"}, {0}};
    run(rows);
}

static void tear_down(void)
{
    worker_free(bench.worker);
    outputs_release(&bench.outputs);
}

TestSuite(worker, .init = set_up, .fini = tear_down);

#define TABLE(name, ...)                                                                                     \
    Test(worker, name)                                                                                       \
    {                                                                                                        \
        static const struct row rows[] = {__VA_ARGS__, {0}};                                                 \
        connect();                                                                                           \
        run(rows);                                                                                           \
    }

TABLE(runs_a_command_and_forgets_it_when_settled, {"assign 1.1 command", "start 0 1.1"}, {"started 0", ""},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"settled 1.1", ""}, {"later 5000", ""},
      {"stop 1.1", "OUTCOME 1.1 not_held dead"})

TABLE(runs_a_handler, {"assign 1.1 resize", "start 0 1.1"})

TABLE(ends_a_noop_in_the_same_step,
      {"assign 1.1 noop 2.1 noop 3.1 noop", "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, "
                                            "OUTCOME 3.1 completed dead"})

TABLE(tells_how_a_process_ended, {"assign 1.1 command 2.1 command", "start 0 1.1, start 1 2.1"},
      {"ended 0 exit 3", "OUTCOME 1.1 failed dead"}, {"ended 1 signal 9", "OUTCOME 2.1 failed dead"},
      {"assign 3.1 command 4.1 command", "start 1 3.1, start 0 4.1"},
      {"ended 1 error 2", "OUTCOME 3.1 failed dead permanent"},
      {"ended 0 error 11", "OUTCOME 4.1 failed dead"})

TABLE(reports_taken_once_after_50_ms, {"assign 1.1 command", "start 0 1.1"}, {"later 20", ""},
      {"assign 2.1 command", "start 1 2.1"}, {"later 29", ""}, {"later 1", "TAKEN 1.1, TAKEN 2.1"},
      {"later 500", ""}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"})

TABLE(reports_no_taken_when_the_outcome_left_before, {"assign 1.1 command", "start 0 1.1"}, {"later 40", ""},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"later 100", ""})

TABLE(answers_a_repeated_assign_with_what_is, {"assign 1.1 command", "start 0 1.1"},
      {"assign 1.1 command", ""}, {"later 50", "TAKEN 1.1"}, {"assign 1.1 command", ""},
      {"later 0", "TAKEN 1.1"}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"},
      {"assign 1.1 command", "OUTCOME 1.1 completed dead"})

TABLE(ignores_a_lower_fence, {"assign 1.2 command", "start 0 1.2"}, {"assign 1.1 command", ""},
      {"stop 1.1", "OUTCOME 1.1 not_held dead"})

TABLE(a_newer_attempt_ends_the_older_one, {"assign 1.1 command", "start 0 1.1"},
      {"assign 1.2 command", "terminate 0, start 1 1.2"}, {"ended 0 signal 15", "OUTCOME 1.1 cancelled dead"},
      {"ended 1 exit 0", "OUTCOME 1.2 completed dead"}, {"settled 1.2", ""},
      {"assign 1.1 command", "OUTCOME 1.1 cancelled dead"}, {"settled 1.1", ""})

TABLE(waits_for_a_slot_in_order_of_arrival,
      {"assign 1.1 command 2.1 command 3.1 command 4.1 resize", "start 0 1.1, start 1 2.1"},
      {"later 50", "TAKEN 1.1, TAKEN 2.1"}, {"ended 1 exit 0", "OUTCOME 2.1 completed dead, start 1 3.1"},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead, start 0 4.1"}, {"started 0", ""})

TABLE(stops_what_runs_with_term_then_kill, {"assign 1.1 command", "start 0 1.1"}, {"stop 1.1", "terminate 0"},
      {"stop 1.1", ""}, {"later 4999", "TAKEN 1.1"}, {"later 1", "kill 0"},
      {"ended 0 signal 9", "OUTCOME 1.1 cancelled dead"}, {"later 900", ""})

TABLE(a_stop_that_comes_too_late_is_answered_with_the_end, {"assign 1.1 command", "start 0 1.1"},
      {"ended 0 exit 4", "OUTCOME 1.1 failed dead"}, {"stop 1.1", "OUTCOME 1.1 failed dead"})

TABLE(stops_what_waits_at_once, {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"},
      {"stop 3.1", "OUTCOME 3.1 cancelled dead"}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"})

TABLE(recalls_only_what_has_not_started,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"}, {"recall 1.1", ""},
      {"recall 3.1", "OUTCOME 3.1 returned dead"}, {"recall 9.1", "OUTCOME 9.1 not_held dead"})

TABLE(returns_a_type_it_does_not_offer, {"assign 1.1 paint", "OUTCOME 1.1 returned dead"})

TABLE(fails_a_task_it_cannot_read, {"assign 1.1 bad", "OUTCOME 1.1 failed dead permanent"})

TABLE(spools_what_is_unsettled_for_a_second, {"assign 1.1 noop", "OUTCOME 1.1 completed dead"},
      {"later 999", ""}, {"later 1", "put spool 1"}, {"later 5000", ""}, {"settled 1.1", "erase spool 1"})

TABLE(spools_at_link_loss_and_sends_again,
      {"assign 1.1 command 2.1 noop 3.1 command", "OUTCOME 2.1 completed dead, start 0 1.1, start 1 3.1"},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"down", ""}, {"later 0", "put spool 1, put spool 2"},
      {"later 100", "HELLO boot 1"}, {"ended 1 exit 0", ""}, {"later 0", "put spool 3"},
      {"welcome", "INVENTORY 1.1 ended, INVENTORY 2.1 ended, INVENTORY 3.1 ended, END"},
      {"later 0", "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, OUTCOME 3.1 completed dead"},
      {"settled 2.1", "erase spool 1"}, {"settled 1.1", "erase spool 2"}, {"settled 3.1", "erase spool 3"},
      {"down", ""}, {"later 100", "HELLO boot 1"}, {"welcome", "END"})

TABLE(shows_what_it_holds_in_a_new_session,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"}, {"down", ""},
      {"later 100", "HELLO boot 1"},
      {"welcome", "INVENTORY 1.1 running, INVENTORY 2.1 running, INVENTORY 3.1 waiting, END"},
      {"later 0", "TAKEN 1.1, TAKEN 2.1"})

TABLE(restores_the_spool_and_raises_the_boot,
      {"assign 1.1 noop 2.1 command", "OUTCOME 1.1 completed dead, start 0 2.1"},
      {"later 1000", "put spool 1, TAKEN 2.1"}, {"restart", ""}, {"start", "put meta 1, HELLO boot 2"},
      {"welcome", "INVENTORY 1.1 ended, END"}, {"later 0", "OUTCOME 1.1 completed dead"},
      {"assign 3.1 noop", "OUTCOME 3.1 completed dead"}, {"later 1000", "put spool 2"},
      {"settled 1.1", "erase spool 1"})

TABLE(drains_and_waits_for_what_runs,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"},
      {"drain", "OUTCOME 3.1 returned dead"}, {"assign 4.1 command", "OUTCOME 4.1 returned dead"},
      {"later 20", ""}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"settled 3.1", ""},
      {"settled 1.1", ""}, {"later 29979", "TAKEN 2.1"}, {"later 1", "terminate 1"}, {"later 5000", "kill 1"},
      {"ended 1 signal 9", "OUTCOME 2.1 returned dead"}, {"settled 2.1", "BYE"})

TABLE(drains_when_the_region_asks, {"assign 1.1 command", "start 0 1.1"}, {"ask 100", "ANSWER"},
      {"later 100", "TAKEN 1.1, terminate 0"}, {"ended 0 exit 0", "OUTCOME 1.1 returned dead"},
      {"later 1000", "put spool 1, BYE"})

TABLE(drains_without_a_region_onto_the_disk, {"assign 1.1 command", "start 0 1.1"}, {"down", ""},
      {"drain", ""}, {"ended 0 exit 0", ""}, {"later 0", "put spool 1"})

TABLE(is_done_at_once_when_it_has_nothing, {"drain", "BYE"}, {"later 100000", ""})

Test(worker, is_done_after_bye)
{
    connect();
    act("assign 1.1 command");
    act("drain");
    act("ended 0 exit 0");
    cr_expect(!worker_done(bench.worker));
    act("settled 1.1");
    cr_expect(worker_done(bench.worker));
    cr_expect_eq(worker_deadline_ns(bench.worker), DEADLINE_NEVER);
}

Test(worker, keeps_outcomes_in_memory_while_the_disk_is_full)
{
    static const struct row full[] = {
        {"assign 1.1 noop", "OUTCOME 1.1 completed dead"}, {"later 3000", ""}, {0}};
    static const struct row room[] = {{"later 1001", "put spool 1"}, {0}};
    connect();
    bench.store_free_bytes = 1000;
    run(full);
    bench.store_free_bytes = 1 << 30;
    run(room);
}

Test(worker, returns_grants_above_its_window)
{
    static const struct row rows[] = {
        {"assign 1.1 noop 2.1 noop 3.1 noop",
         "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, OUTCOME 3.1 returned dead"},
        {"settled 1.1", ""},
        {"assign 4.1 noop", "OUTCOME 4.1 completed dead"},
        {0}};
    bench.options.window = 2;
    new_worker();
    connect();
    run(rows);
}

Test(worker, returns_what_it_has_no_memory_to_keep)
{
    static const struct row rows[] = {{"assign 1.1 command 2.1 command 3.1 command 4.1 command",
                                       "OUTCOME 4.1 returned dead, start 0 1.1, start 1 2.1"},
                                      {"ended 0 exit 0", "OUTCOME 1.1 completed dead, start 0 3.1"},
                                      {0}};
    bench.options.memory_blocks = 1;
    new_worker();
    connect();
    run(rows);
}

Test(worker, offers_no_command_unless_allowed)
{
    static const struct row rows[] = {{"assign 1.1 command", "OUTCOME 1.1 returned dead"}, {0}};
    bench.options.commands = false;
    new_worker();
    connect();
    run(rows);
}

/* More than one step may carry: rows and outcomes come over several, all of them and once. */
Test(worker, a_long_inventory_takes_several_steps)
{
    enum { TASKS = 10000 };
    uint32_t rows = 0, outcomes = 0, steps = 0;
    connect();
    for (unsigned i = 0; i < TASKS; i++) {
        struct writer writer = begin_frame(MESSAGE_ASSIGN);
        struct assign_entry entry = {.fence = {1, 1, 1}};
        memcpy(entry.id.bytes, &i, sizeof i);
        write_array(&writer, 1);
        write_array(&writer, 1);
        assign_entry_write_head(&writer, &entry);
        write_task(&writer, "noop");
        struct event event = {.kind = EVENT_MESSAGE, .peer = bench.peer, .now_ns = bench.now_ns};
        event.frame = writer_bytes(&writer);
        outputs_begin_step(&bench.outputs);
        worker_step(bench.worker, &event, &bench.outputs);
        outputs_close(&bench.outputs);
        outputs_reset(&bench.outputs);
    }
    bench.store_free_bytes = 0;
    act("down");
    bench.text[0] = '\0';
    while (strstr(bench.text, "HELLO") == NULL)
        act("later 100");
    struct writer writer = begin_frame(MESSAGE_WELCOME);
    struct welcome welcome = {.version = 1, .epoch = 1, .beat_ms = 600000, .grace_ms = 1800000};
    welcome_write(&writer, &welcome);
    struct event event = {.kind = EVENT_MESSAGE, .peer = bench.peer, .frame = writer_bytes(&writer)};
    event.now_ns = bench.now_ns;
    do {
        outputs_begin_step(&bench.outputs);
        worker_step(bench.worker, &event, &bench.outputs);
        cr_assert(bench.outputs.operations <= STEP_OPERATIONS_MAX);
        for (uint32_t i = 0; i < bench.outputs.message_count; i++) {
            rows +=
                bench.outputs.messages[i].kind == MESSAGE_INVENTORY ? bench.outputs.messages[i].entries : 0;
            outcomes +=
                bench.outputs.messages[i].kind == MESSAGE_OUTCOME ? bench.outputs.messages[i].entries : 0;
        }
        outputs_close(&bench.outputs);
        outputs_reset(&bench.outputs);
        event = (struct event){.kind = EVENT_TIMEOUT, .now_ns = bench.now_ns};
        cr_assert(++steps < 100);
    } while (worker_deadline_ns(bench.worker) <= bench.now_ns);
    cr_expect_eq(rows, TASKS);
    cr_expect_eq(outcomes, TASKS);
    cr_expect(steps > 4);
}
