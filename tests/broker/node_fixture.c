/* node_fixture.c - see node_fixture.h. */
#include "tests/broker/node_fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker_state.h"
#include "tests/broker/node_regions.h"

struct fixture fixture;

static uint8_t frame_bytes[FRAME_ROOM];
static struct writer frame;

/* ---- names ---- */

struct task_id fixture_id(uint32_t task)
{
    struct task_id id = {{0xb0}};
    for (int i = 0; i < 4; i++)
        id.bytes[12 + i] = (uint8_t)(task >> (24 - 8 * i));
    return id;
}

uint32_t fixture_number(const uint8_t *id)
{
    uint32_t task = 0;
    for (int i = 0; i < 4; i++)
        task = task << 8 | id[12 + i];
    struct task_id made = fixture_id(task);
    return memcmp(made.bytes, id, TASK_ID_BYTES) == 0 ? task : 0;
}

struct played_region *fixture_region(const char *name)
{
    for (int i = 0; i < REGIONS; i++) {
        if (fixture.regions[i].name[0] == '\0')
            strcpy(fixture.regions[i].name, name);
        if (strcmp(fixture.regions[i].name, name) == 0)
            return &fixture.regions[i];
    }
    cr_assert_fail("too many regions");
    return NULL;
}

/* ---- steps ---- */

/* Invariants that hold between any two steps: counts equal sums over the tasks. */
static void check_books(void)
{
    const struct ledger *tasks = &fixture.broker->tasks;
    uint32_t counts[TASK_STATE_COUNT] = {0}, granted[CHILDREN_MAX + 1] = {0}, ready = 0;
    for (uint32_t index = 1; index < tasks->tasks.next_fresh; index++) {
        const struct task *task = ledger_task(tasks, index);
        if (task->state == TASK_NONE)
            continue;
        counts[task->state]++;
        ready += task->state == TASK_READY;
        const struct child *holder = ledger_holder(tasks, task);
        cr_assert_eq(holder != NULL, task_is_granted(task));
        if (holder != NULL)
            granted[holder->number]++;
    }
    for (int state = TASK_DELAYED; state < TASK_STATE_COUNT; state++)
        cr_assert_eq(counts[state], tasks->counts[state], "count of state %d", state);
    cr_assert_eq(ready, tasks->ready.count);
    for (uint32_t i = 0; i < tasks->children.count; i++)
        cr_assert_eq(granted[tasks->children.all[i]->number], tasks->children.all[i]->granted);
}

void fixture_step(struct event event)
{
    event.now_ns = fixture.now_ns;
    event.wall_ms = fixture.wall_ms;
    event.random[0] = ++fixture.drawn * 0x9e3779b97f4a7c15;
    event.random[1] = fixture.drawn * 0xc2b2ae3d27d4eb4f;
    event.store_free_bytes = fixture.store_free_bytes;
    event.store_max_bytes = fixture.store_max_bytes;
    outputs_begin_step(&fixture.outputs);
    broker_step(fixture.broker, &event, &fixture.outputs);
    if (event.kind == EVENT_RESTORE)
        return;
    fixture_say_outputs();
    check_books();
}

static void time_out(void)
{
    fixture_step((struct event){.kind = EVENT_TIMEOUT});
}

void fixture_go(void)
{
    for (int i = 0; broker_deadline_ns(fixture.broker) <= fixture.now_ns; i++) {
        cr_assert(i < 5000, "TIMEOUTs come to an end");
        time_out();
    }
}

static void later(uint64_t ms)
{
    uint64_t end_ns = fixture.now_ns + ms * NANOSECONDS_PER_MS;
    for (;;) {
        fixture_go();
        uint64_t next_ns = broker_deadline_ns(fixture.broker);
        next_ns = next_ns < end_ns ? next_ns : end_ns;
        fixture.wall_ms += (next_ns - fixture.now_ns) / NANOSECONDS_PER_MS;
        fixture.now_ns = next_ns;
        for (int i = 0; i < REGIONS; i++)
            if (fixture.regions[i].peer != 0 && !fixture.regions[i].silent)
                region_beat(&fixture.regions[i]);
        if (next_ns == end_ns)
            break;
    }
    fixture_go();
}

/* ---- clients ---- */

struct writer *fixture_client_frame(enum message_kind kind)
{
    writer_init(&frame, frame_bytes, sizeof frame_bytes);
    message_write_header(&frame, kind, ++fixture.sequence);
    return &frame;
}

void fixture_client_deliver(uint32_t client)
{
    cr_assert(fixture.open_count < OPEN_REQUESTS_MAX);
    fixture.open_requests[fixture.open_count++] = fixture.sequence;
    fixture_step((struct event){
        .kind = EVENT_MESSAGE, .peer = peer_make(PORT_CLIENT, client), .frame = writer_bytes(&frame)});
}

static void write_id(uint32_t task)
{
    struct task_id id = fixture_id(task);
    write_bin(&frame, (struct bytes){id.bytes, TASK_ID_BYTES});
}

/* The fields of a task as words; those with a number, then those with a name. */
static const struct {
    const char *key, *field;
} numbers[] = {{"delay", "delay_ms"},
               {"deadline", "deadline_ms"},
               {"timeout", "timeout_ms"},
               {"retries", "retries"}},
  names[] = {{"region", "region"}, {"priority", "priority"}, {"type", "type"}};

enum { NUMBERS = sizeof numbers / sizeof numbers[0], NAMES = sizeof names / sizeof names[0] };

static uint32_t write_field(const char *word)
{
    for (int i = 0; i < NUMBERS; i++) {
        const char *text = word_option(word, numbers[i].key);
        if (text == NULL)
            continue;
        write_str(&frame, numbers[i].field);
        write_uint(&frame, strtoull(text, NULL, 10));
        return 1;
    }
    for (int i = 0; i < NAMES; i++) {
        const char *text = word_option(word, names[i].key);
        if (text == NULL)
            continue;
        write_str(&frame, names[i].field);
        write_str(&frame, text);
        return 1;
    }
    if (word_option(word, "cap") != NULL) {
        write_str(&frame, "capabilities");
        write_array(&frame, 1);
        write_str(&frame, word_option(word, "cap"));
        return 1;
    }
    if (word_option(word, "payload") != NULL) {
        uint32_t size = (uint32_t)strtoul(word_option(word, "payload"), NULL, 10);
        write_str(&frame, "payload");
        write_bin_head(&frame, size);
        memset(frame.data + frame.size, 'p', size);
        frame.size += size;
        return 1;
    }
    if (strcmp(word, "colour") == 0) {
        write_str(&frame, "colour");
        write_nil(&frame);
        return 1;
    }
    cr_assert(strcmp(word, "no-id") == 0 || strcmp(word, "id-last") == 0, "no such field of a task: %s",
              word);
    return 0;
}

static uint32_t write_id_field(uint32_t task)
{
    write_str(&frame, "id");
    write_id(task);
    return 1;
}

static void write_task(uint32_t task, char *const *options, int option_count)
{
    bool has_type = false, id_first = true, id_last = false;
    size_t at = frame.size;
    uint32_t pairs = 0;
    write_raw(&frame, (struct bytes){(const uint8_t *)"\x80", 1}); /* the count is patched below */
    for (int i = 0; i < option_count; i++) {
        id_last = id_last || strcmp(options[i], "id-last") == 0;
        id_first = id_first && !id_last && strcmp(options[i], "no-id") != 0;
    }
    pairs += id_first ? write_id_field(task) : 0;
    for (int i = 0; i < option_count; i++) {
        has_type = has_type || word_option(options[i], "type") != NULL;
        pairs += write_field(options[i]);
    }
    pairs += id_last ? write_id_field(task) : 0;
    if (!has_type) {
        write_str(&frame, "type");
        write_str(&frame, "noop");
        pairs++;
    }
    frame.data[at] |= (uint8_t)pairs;
}

static void submit(uint32_t client, const struct words *words)
{
    bool watch = words_has(words, "watch");
    fixture_client_frame(MESSAGE_SUBMIT);
    write_map(&frame, watch ? 2 : 1);
    if (watch) {
        write_str(&frame, "watch");
        write_bool(&frame, true);
    }
    write_str(&frame, "tasks");
    size_t count_offset = write_array_open(&frame);
    uint32_t count = 0;
    for (int at = watch ? 3 : 2, end; at < words->count; at = end + 1) {
        uint32_t first, last;
        int tasks = at;
        while (tasks < words->count && word_range(words->all[tasks], &first, &last))
            tasks++;
        for (end = tasks; end < words->count && strcmp(words->all[end], "/") != 0;)
            end++;
        for (int range = at; range < tasks; range++)
            for (word_range(words->all[range], &first, &last); first <= last; first++, count++)
                write_task(first, &words->all[tasks], end - tasks);
    }
    patch_count(frame_bytes, count_offset, count);
    fixture_client_deliver(client);
}

static void write_ids(const struct words *words)
{
    uint32_t count = 0, first, last;
    write_str(&frame, "ids");
    size_t count_offset = write_array_open(&frame);
    for (int i = 2; i < words->count; i++)
        if (word_range(words->all[i], &first, &last))
            for (; first <= last; first++, count++)
                write_id(first);
    patch_count(frame_bytes, count_offset, count);
}

static void watch(uint32_t client, const struct words *words)
{
    fixture_client_frame(MESSAGE_WATCH);
    write_map(&frame, 2);
    write_ids(words);
    write_str(&frame, words_has(words, "push") ? "push" : "wait_ms");
    if (words_has(words, "push"))
        write_bool(&frame, true);
    else
        write_uint(&frame, words_number(words, "wait", 0));
    fixture_client_deliver(client);
}

static void forget(uint32_t client, const char *node)
{
    fixture_client_frame(MESSAGE_FORGET);
    write_map(&frame, 1);
    write_str(&frame, "node");
    write_str(&frame, node);
    fixture_client_deliver(client);
}

static void act_client(uint32_t client, const struct words *words)
{
    const char *verb = words->all[1];
    if (strcmp(verb, "submit") == 0) {
        submit(client, words);
    } else if (strcmp(verb, "watch") == 0) {
        watch(client, words);
    } else if (strcmp(verb, "forget") == 0) {
        forget(client, words->all[2]);
    } else if (strcmp(verb, "gone") == 0) {
        fixture_step((struct event){.kind = EVENT_LINK_DOWN, .peer = peer_make(PORT_CLIENT, client)});
    } else {
        bool cancel = strcmp(verb, "cancel") == 0;
        cr_assert(cancel || strcmp(verb, "received") == 0, "no such request: %s", verb);
        fixture_client_frame(cancel ? MESSAGE_CANCEL : MESSAGE_RECEIVED);
        write_map(&frame, 1);
        write_ids(words);
        fixture_client_deliver(client);
    }
}

/* ---- the whole ---- */

void fixture_new_broker(void)
{
    broker_free(fixture.broker);
    fixture.broker = broker_new(&fixture.options);
    cr_assert_not_null(fixture.broker);
    for (int i = 0; i < REGIONS; i++)
        fixture.regions[i].peer = 0;
    fixture.open_count = 0;
    for (int table = 0; table < TABLE_COUNT; table++) {
        if (!table_is_restored((enum table)table))
            continue;
        for (uint32_t i = 0; i < fixture.tables[table].count; i++) {
            const struct record *record = &fixture.tables[table].all[i];
            struct event event = {.kind = EVENT_RESTORE};
            event.record.table = (enum table)table;
            event.record.number = record->number;
            event.record.value = (struct bytes){record->bytes, record->size};
            fixture_step(event);
        }
    }
}

static void forget_outputs(void)
{
    fixture.text[0] = fixture.reason[0] = '\0';
    fixture.text_size = 0;
    fixture.steps = fixture.operations_max = 0;
    fixture.bytes_max = 0;
    fixture.kind = MESSAGE_KIND_COUNT;
    memset(fixture.entries, 0, sizeof fixture.entries);
    memset(fixture.puts, 0, sizeof fixture.puts);
    memset(fixture.erases, 0, sizeof fixture.erases);
}

void fixture_act(const char *event, ...)
{
    va_list arguments;
    va_start(arguments, event);
    struct words words = words_split(event, arguments);
    va_end(arguments);
    forget_outputs();
    const char *subject = words.all[0];
    if (strcmp(subject, "restart") == 0)
        fixture_new_broker();
    if (strcmp(subject, "restart") == 0 || strcmp(subject, "start") == 0)
        fixture_step((struct event){.kind = EVENT_START});
    else if (strcmp(subject, "drain") == 0)
        fixture_step((struct event){.kind = EVENT_DRAIN});
    else if (strcmp(subject, "time") == 0)
        time_out();
    else if (strcmp(subject, "go") == 0)
        fixture_go();
    else if (strcmp(subject, "later") == 0)
        later(strtoull(words.all[1], NULL, 10));
    else if (subject[0] == 'c' && subject[1] >= '1' && subject[1] <= '9')
        act_client((uint32_t)strtoul(subject + 1, NULL, 10), &words);
    else
        region_act(fixture_region(subject), &words);
}

void fixture_run(const struct row *rows)
{
    for (int i = 0; rows[i].event != NULL; i++) {
        fixture_act("%s", rows[i].event);
        cr_assert_str_eq(fixture.text, rows[i].outputs, "row %d, after '%s':\n  got      %s\n  expected %s",
                         i, rows[i].event, fixture.text, rows[i].outputs);
    }
}

static struct bytes cluster_row(void)
{
    fixture_client_frame(MESSAGE_QUERY);
    write_map(&frame, 1);
    write_str(&frame, "what");
    write_str(&frame, "cluster");
    fixture_client_deliver(9);
    struct bytes rows = fixture_value(fixture.body, "rows");
    struct reader reader;
    reader_init(&reader, rows);
    cr_assert_eq(read_array(&reader, 1), 1);
    return (struct bytes){reader.at, (size_t)(reader.end - reader.at)};
}

uint64_t fixture_counter(const char *name)
{
    return fixture_uint(fixture_value(cluster_row(), "counters"), name);
}

uint64_t fixture_state_count(const char *name)
{
    return fixture_uint(fixture_value(cluster_row(), "tasks"), name);
}

void fixture_set_up(void)
{
    memset(&fixture, 0, sizeof fixture);
    cr_assert(outputs_init(&fixture.outputs));
    fixture.now_ns = 5000000 * NANOSECONDS_PER_MS;
    fixture.wall_ms = 1700000000000;
    fixture.store_free_bytes = fixture.store_max_bytes = 1 << 30;
    broker_options_default(&fixture.options);
    fixture.options.region_grace_ms = 10000;
    fixture_new_broker();
    fixture_act("start");
}

void fixture_tear_down(void)
{
    broker_free(fixture.broker);
    outputs_release(&fixture.outputs);
    fixture_release_records();
}
