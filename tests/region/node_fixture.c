/* node_fixture.c - events from text; see node_fixture.h. */
#include "tests/region/node_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/peer.h"

enum { BEAT_MS = 500, TIMEOUTS_MAX = 1000 };

struct fixture fixture;

struct task_id fixture_id(unsigned task)
{
    return (struct task_id){{0, (uint8_t)task}};
}

int fixture_read_attempt(const char *text, struct task_id *ret_id, struct fence *ret_fence)
{
    unsigned task, custody, epoch, attempt;
    int used = 0;
    cr_assert_eq(sscanf(text, " %u:%u.%u.%u%n", &task, &custody, &epoch, &attempt, &used), 4,
                 "an attempt: %s", text);
    *ret_id = fixture_id(task);
    *ret_fence = (struct fence){custody, epoch == 0 ? 0 : fixture.first_epoch + epoch - 1, attempt};
    return used;
}

/* ---- steps ---- */

static uint64_t wall_ms(void)
{
    return 1700000000000 + fixture.now_ns / NANOSECONDS_PER_MS;
}

void fixture_step(struct event event)
{
    event.now_ns = fixture.now_ns;
    event.wall_ms = wall_ms();
    event.random[0] = event.random[1] = fixture.random;
    event.store_free_bytes = fixture.store_free_bytes;
    event.store_max_bytes = 1 << 30;
    outputs_begin_step(&fixture.outputs);
    region_step(fixture.region, &event, &fixture.outputs);
    text_of_outputs();
}

static void run_timeouts(void)
{
    for (int i = 0; region_deadline_ns(fixture.region) <= fixture.now_ns; i++) {
        cr_assert(i < TIMEOUTS_MAX, "TIMEOUTs come to an end");
        fixture_step((struct event){.kind = EVENT_TIMEOUT});
    }
}

static struct writer begin(enum message_kind kind, uint64_t sequence)
{
    struct writer writer;
    writer_init(&writer, fixture.frame, sizeof fixture.frame);
    message_write_header(&writer, kind, sequence);
    return writer;
}

struct writer fixture_begin_up(enum message_kind kind)
{
    return begin(kind, ++fixture.sequence);
}

void fixture_deliver_up(const struct writer *writer)
{
    fixture_step(
        (struct event){.kind = EVENT_MESSAGE, .peer = fixture.parent, .frame = writer_bytes(writer)});
}

static struct session *session_of(const char *name)
{
    for (uint32_t i = fixture.session_count; i > 0; i--)
        if (strcmp(fixture.sessions[i - 1].name, name) == 0)
            return &fixture.sessions[i - 1];
    cr_assert_fail("no session of %s", name);
    return NULL;
}

static uint64_t peer_of(const char *name)
{
    return peer_make(PORT_CHILD, (uint64_t)(session_of(name) - fixture.sessions));
}

struct writer fixture_begin_child(const char *name, enum message_kind kind)
{
    return begin(kind, ++session_of(name)->sequence);
}

void fixture_deliver_child(const char *name, const struct writer *writer)
{
    fixture_step((struct event){.kind = EVENT_MESSAGE, .peer = peer_of(name), .frame = writer_bytes(writer)});
}

/* ---- entries: "ENTRY; ENTRY" ---- */

typedef void (*write_entry)(struct writer *writer, const char *words);

static void write_entries(struct writer *writer, const char *text, write_entry write)
{
    char copy[1024];
    uint32_t count = 0;
    write_array(writer, 1);
    size_t at = write_array_open(writer);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *entry = copy, *next; entry != NULL; entry = next, count++) {
        next = strchr(entry, ';');
        if (next != NULL)
            *next++ = '\0';
        write(writer, entry);
    }
    patch_count(writer->data, at, count);
}

static void write_assign(struct writer *writer, const char *words)
{
    unsigned task, custody;
    cr_assert_eq(sscanf(words, " %u.%u", &task, &custody), 2);
    struct assign_entry entry = {
        .id = fixture_id(task),
        .fence = {.custody = custody},
        .age_ms = (uint64_t)words_number(words, "age", 0),
        .flags = words_have(words, "dup") ? ASSIGN_DUP_POSSIBLE : 0,
        .attempt = (uint32_t)words_number(words, "attempt", 1),
        .attempts_max = 9,
    };
    assign_entry_write_head(writer, &entry);
    words_write_task(writer, words);
}

static void write_stop(struct writer *writer, const char *words)
{
    unsigned task, custody;
    cr_assert_eq(sscanf(words, " %u.%u", &task, &custody), 2);
    struct stop_entry entry = {.id = fixture_id(task), .fence = {.custody = custody}};
    entry.mode = words_have(words, "recall") ? STOP_RECALL : STOP_CANCEL;
    stop_entry_write(writer, &entry);
}

static void write_settled(struct writer *writer, const char *words)
{
    unsigned task, custody;
    cr_assert_eq(sscanf(words, " %u.%u", &task, &custody), 2);
    struct settled_entry entry = {.id = fixture_id(task), .fence = {.custody = custody}};
    settled_entry_write(writer, &entry);
}

static void write_taken(struct writer *writer, const char *words)
{
    struct taken_entry entry = {.started = true};
    int used = fixture_read_attempt(words, &entry.id, &entry.fence);
    entry.running_ms = strtoull(words + used, NULL, 10);
    taken_entry_write(writer, &entry);
}

static void write_refused(struct writer *writer, const char *words)
{
    struct refused_entry entry = {.code = bytes_of("throttled")};
    fixture_read_attempt(words, &entry.id, &entry.fence);
    refused_entry_write(writer, &entry);
}

static void write_row(struct writer *writer, const char *words)
{
    static const char *const status[] = {"waiting", "running", "ended"};
    struct inventory_row row = {.status = HELD_WAITING};
    char held[16] = "";
    int used = fixture_read_attempt(words, &row.id, &row.fence);
    unsigned long long running_ms = 0;
    sscanf(words + used, " %15s %llu", held, &running_ms);
    for (int i = 0; i < HELD_STATUS_COUNT; i++)
        if (strcmp(held, status[i]) == 0)
            row.status = (enum held_status)i;
    row.running_ms = running_ms;
    inventory_row_write(writer, &row);
}

static void write_outcome(struct writer *writer, const char *words)
{
    struct outcome_entry entry = {.end = TASK_END_COUNT};
    char end[16] = "";
    int used = fixture_read_attempt(words, &entry.id, &entry.fence);
    sscanf(words + used, " %15s", end);
    for (int i = 0; i < TASK_END_COUNT; i++)
        if (strcmp(end, task_end_text((enum task_end)i)) == 0)
            entry.end = (enum task_end)i;
    cr_assert_neq(entry.end, TASK_END_COUNT, "an end: %s", end);
    entry.flags = (words_have(words, "alive") ? 0 : OUTCOME_DEAD) |
                  (words_have(words, "permanent") ? OUTCOME_PERMANENT : 0);
    outcome_entry_write_head(writer, &entry);
    words_write_result(writer, words);
}

/* ---- the broker's side ---- */

static void welcome(const char *words)
{
    struct writer writer = fixture_begin_up(MESSAGE_WELCOME);
    struct welcome body = {.version = 1, .epoch = 1, .beat_ms = 1000, .grace_ms = 60000};
    welcome_write(&writer, &body);
    fixture.parent_beats = true;
    fixture_deliver_up(&writer);
    if (words_have(words, "drain"))
        fixture_step((struct event){.kind = EVENT_DRAIN});
}

static void entries_up(enum message_kind kind, const char *words, write_entry write)
{
    struct writer writer = fixture_begin_up(kind);
    write_entries(&writer, words, write);
    fixture_deliver_up(&writer);
}

static void assign(const char *words)
{
    entries_up(MESSAGE_ASSIGN, words, write_assign);
}

static void stop(const char *words)
{
    entries_up(MESSAGE_STOP, words, write_stop);
}

static void settled(const char *words)
{
    entries_up(MESSAGE_SETTLED, words, write_settled);
}

/* "tasks 1 2", "explain 1", "workers", "workers w1" (those behind it), "drain us/w1" */
static void ask(const char *words)
{
    char question[16];
    int used = 0;
    cr_assert_eq(sscanf(words, "%15s%n", question, &used), 1);
    struct writer writer = fixture_begin_up(MESSAGE_ASK);
    ask_write_head(&writer, 77, question);
    words += used;
    unsigned task;
    if (strcmp(question, "tasks") == 0) {
        uint32_t count = 0;
        write_map(&writer, 1);
        write_str(&writer, "ids");
        size_t at = write_array_open(&writer);
        for (; sscanf(words, "%u%n", &task, &used) == 1; words += used, count++)
            write_bin(&writer, (struct bytes){fixture_id(task).bytes, TASK_ID_BYTES});
        patch_count(fixture.frame, at, count);
    } else if (sscanf(words, "%u", &task) == 1) {
        struct task_id id = fixture_id(task);
        write_map(&writer, 1);
        write_str(&writer, "id");
        write_bin(&writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    } else {
        write_map(&writer, words[0] != '\0');
        if (words[0] != '\0') {
            write_str(&writer, strcmp(question, "drain") == 0 ? "node" : "after");
            write_str(&writer, words + 1);
        }
    }
    fixture_deliver_up(&writer);
}

static void down(const char *words)
{
    (void)words;
    fixture.parent_beats = false;
    fixture_step((struct event){.kind = EVENT_LINK_DOWN, .peer = fixture.parent});
}

static void silent(const char *words)
{
    (void)words;
    fixture.parent_beats = false;
}

/* ---- a worker's side ---- */

static void worker_hello(const char *name, const char *words)
{
    cr_assert(fixture.session_count < SESSIONS);
    struct session *session = &fixture.sessions[fixture.session_count++];
    *session = (struct session){.beats = true};
    snprintf(session->name, sizeof session->name, "%s", name);
    struct hello hello = {
        .name = bytes_of(session->name),
        .role = bytes_of("worker"),
        .instance = {(uint8_t)words_number(words, "instance", name[1])},
        .boot = (uint64_t)words_number(words, "boot", 1),
        .version_min = 1,
        .version_max = 1,
    };
    uint8_t profiles[256];
    struct writer encoded;
    writer_init(&encoded, profiles, sizeof profiles);
    words_write_profiles(&encoded, words);
    hello.profiles = writer_bytes(&encoded);
    struct writer writer = fixture_begin_child(name, MESSAGE_HELLO);
    hello_write(&writer, &hello);
    fixture_deliver_child(name, &writer);
}

static void entries_child(const char *name, enum message_kind kind, const char *words, write_entry write)
{
    struct writer writer = fixture_begin_child(name, kind);
    write_entries(&writer, words, write);
    fixture_deliver_child(name, &writer);
}

static void worker_inventory(const char *name, const char *words)
{
    entries_child(name, MESSAGE_INVENTORY, words, write_row);
}

static void worker_taken(const char *name, const char *words)
{
    entries_child(name, MESSAGE_TAKEN, words, write_taken);
}

static void worker_refused(const char *name, const char *words)
{
    entries_child(name, MESSAGE_REFUSED, words, write_refused);
}

static void worker_outcome(const char *name, const char *words)
{
    entries_child(name, MESSAGE_OUTCOME, words, write_outcome);
}

static void empty_child(const char *name, enum message_kind kind)
{
    struct writer writer = fixture_begin_child(name, kind);
    write_array(&writer, 0);
    fixture_deliver_child(name, &writer);
}

static void worker_end(const char *name, const char *words)
{
    (void)words;
    empty_child(name, MESSAGE_END);
}

/* "kept=N", or nothing as of a node that does not say. */
static void worker_bye(const char *name, const char *words)
{
    struct writer writer = fixture_begin_child(name, MESSAGE_BYE);
    long kept = words_number(words, "kept", -1);
    write_array(&writer, kept >= 0);
    if (kept >= 0)
        write_uint(&writer, (uint64_t)kept);
    fixture_deliver_child(name, &writer);
    session_of(name)->beats = false;
}

static void worker_join(const char *name, const char *words)
{
    worker_hello(name, words);
    run_timeouts();
    worker_end(name, words);
}

static void beat(uint64_t peer, const char *words)
{
    struct writer writer = begin(MESSAGE_HEARTBEAT, 0);
    uint8_t profiles[256];
    struct writer encoded;
    writer_init(&encoded, profiles, sizeof profiles);
    struct heartbeat heartbeat = {.clock_us = fixture.now_ns / 1000};
    heartbeat.flags = words_have(words, "draining") ? HEARTBEAT_DRAINING : 0;
    if (words_text(words, "slots", NULL) != NULL) {
        words_write_profiles(&encoded, words);
        heartbeat.profiles = writer_bytes(&encoded);
    }
    heartbeat_write(&writer, &heartbeat);
    fixture_step((struct event){.kind = EVENT_MESSAGE, .peer = peer, .frame = writer_bytes(&writer)});
}

static void worker_beat(const char *name, const char *words)
{
    beat(peer_of(name), words);
}

static void worker_silent(const char *name, const char *words)
{
    (void)words;
    session_of(name)->beats = false;
}

static void worker_down(const char *name, const char *words)
{
    (void)words;
    session_of(name)->beats = false;
    fixture_step((struct event){.kind = EVENT_LINK_DOWN, .peer = peer_of(name)});
}

static void worker_skip(const char *name, const char *words)
{
    (void)words;
    session_of(name)->sequence++;
}

/* ---- time and the host ---- */

static bool spoken(uint32_t session)
{
    return fixture.sessions[session].beats &&
           session_of(fixture.sessions[session].name) == &fixture.sessions[session];
}

static void later(const char *words)
{
    uint64_t end_ns = fixture.now_ns + strtoull(words, NULL, 10) * NANOSECONDS_PER_MS;
    uint64_t beat_ns = fixture.now_ns + BEAT_MS * NANOSECONDS_PER_MS;
    for (;;) {
        uint64_t next_ns = region_deadline_ns(fixture.region);
        next_ns = next_ns < beat_ns ? next_ns : beat_ns;
        fixture.now_ns = next_ns < end_ns ? next_ns : end_ns;
        for (uint32_t i = 0; fixture.now_ns >= beat_ns && i < fixture.session_count; i++)
            if (spoken(i))
                beat(peer_make(PORT_CHILD, i), "");
        if (fixture.now_ns >= beat_ns && fixture.parent_beats)
            beat(fixture.parent, "");
        if (fixture.now_ns >= beat_ns)
            beat_ns += BEAT_MS * NANOSECONDS_PER_MS;
        run_timeouts();
        if (fixture.now_ns == end_ns)
            return;
    }
}

static void sleep_for(const char *words)
{
    fixture.now_ns += strtoull(words, NULL, 10) * NANOSECONDS_PER_MS;
}

static void start(const char *words)
{
    (void)words;
    fixture_step((struct event){.kind = EVENT_START});
}

static void restart(const char *words)
{
    (void)words;
    for (uint32_t i = 0; i < fixture.session_count; i++)
        fixture.sessions[i].beats = false;
    fixture.parent_beats = false;
    fixture_new_region();
}

static void drain(const char *words)
{
    (void)words;
    fixture_step((struct event){.kind = EVENT_DRAIN});
}

static int by_key(const void *a, const void *b)
{
    const struct record *first = *(struct record *const *)a, *second = *(struct record *const *)b;
    if (first->table != second->table)
        return first->table < second->table ? -1 : 1;
    return first->number < second->number ? -1 : first->number > second->number;
}

void fixture_new_region(void)
{
    struct record *sorted[RECORDS];
    size_t count = 0;
    if (fixture.region != NULL)
        region_free(fixture.region);
    fixture.region = region_new(&fixture.options);
    cr_assert_not_null(fixture.region);
    for (int i = 0; i < RECORDS; i++)
        if (fixture.records[i].table != TABLE_COUNT && table_is_restored(fixture.records[i].table))
            sorted[count++] = &fixture.records[i];
    qsort(sorted, count, sizeof sorted[0], by_key);
    for (size_t i = 0; i < count; i++) {
        struct event event = {.kind = EVENT_RESTORE};
        event.record.table = sorted[i]->table;
        event.record.number = sorted[i]->number;
        event.record.value = (struct bytes){sorted[i]->bytes, sorted[i]->size};
        fixture_step(event);
    }
}

/* ---- tables ---- */

static const struct {
    const char *word;
    void (*act)(const char *words);
} host_events[] = {{"start", start},   {"restart", restart}, {"later", later}, {"sleep", sleep_for},
                   {"drain", drain},   {"welcome", welcome}, {"down", down},   {"silent", silent},
                   {"assign", assign}, {"stop", stop},       {"recall", NULL}, {"settled", settled},
                   {"ask", ask}};

static const struct {
    const char *word;
    void (*act)(const char *name, const char *words);
} worker_events[] = {{"hello", worker_hello},     {"inventory", worker_inventory},
                     {"end", worker_end},         {"join", worker_join},
                     {"taken", worker_taken},     {"refused", worker_refused},
                     {"outcome", worker_outcome}, {"beat", worker_beat},
                     {"silent", worker_silent},   {"down", worker_down},
                     {"bye", worker_bye},         {"skip", worker_skip}};

static bool act_worker(const char *name, const char *word, const char *words)
{
    for (size_t i = 0; i < sizeof worker_events / sizeof worker_events[0]; i++)
        if (strcmp(word, worker_events[i].word) == 0) {
            worker_events[i].act(name, words);
            return true;
        }
    return false;
}

static bool act_host(const char *word, const char *words)
{
    char recall[64];
    snprintf(recall, sizeof recall, "%s recall", words);
    if (strcmp(word, "recall") == 0) {
        stop(recall);
        return true;
    }
    for (size_t i = 0; i < sizeof host_events / sizeof host_events[0]; i++)
        if (strcmp(word, host_events[i].word) == 0) {
            host_events[i].act(words);
            return true;
        }
    return false;
}

void fixture_act(const char *text)
{
    char word[16], name[16];
    int used = 0;
    fixture.text[0] = '\0';
    bool worker = sscanf(text, "%15s %15s %n", name, word, &used) == 2 && name[0] == 'w' &&
                  act_worker(name, word, text + used);
    if (!worker) {
        cr_assert_eq(sscanf(text, "%15s %n", word, &used), 1);
        cr_assert(act_host(word, text + used), "no such event: %s", text);
    }
    run_timeouts();
}

void fixture_run(const struct row *rows)
{
    for (int i = 0; rows[i].event != NULL; i++) {
        fixture_act(rows[i].event);
        cr_assert_str_eq(fixture.text, rows[i].outputs, "row %d, after '%s':\n  got      %s\n  expected %s",
                         i, rows[i].event, fixture.text, rows[i].outputs);
    }
}

void fixture_set_up(void)
{
    memset(&fixture, 0, sizeof fixture);
    cr_assert(outputs_init(&fixture.outputs));
    records_clear();
    fixture.now_ns = 1000000 * NANOSECONDS_PER_MS;
    fixture.store_free_bytes = 1 << 30;
    fixture.first_epoch = (uint32_t)(wall_ms() / 1000);
    region_options_default(&fixture.options);
    strcpy(fixture.options.name, "eu");
    fixture_new_region();
}

void fixture_connect(void)
{
    static const struct row rows[] = {{"start", "+meta 1, up HELLO boot 1"}, {"welcome", "up END"}, {0}};
    fixture_run(rows);
}

void fixture_tear_down(void)
{
    region_free(fixture.region);
    outputs_release(&fixture.outputs);
}
