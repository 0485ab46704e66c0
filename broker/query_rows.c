/* query_rows.c - see query_rows.h. */
#include "broker/query_rows.h"

#include "broker/broker_state.h"
#include "engine/rows.h"
#include "proto/assert.h"

enum { ROW_PAIRS_MAX = 64 };

bool row_is_good(struct bytes map)
{
    struct reader reader;
    uint32_t considered = 0;
    reader_init(&reader, map);
    uint32_t pairs = read_map(&reader, ROW_PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        considered += bytes_are(read_str(&reader, 0, NAME_BYTES_MAX), "considered");
        (void)read_raw(&reader);
    }
    return !reader_failed(&reader) && considered <= 1;
}

bool row_read_id(struct bytes map, struct task_id *ret_id)
{
    struct reader reader;
    reader_init(&reader, read_map_value(map, "id"));
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(ret_id->bytes, id.data, TASK_ID_BYTES);
    return !reader_failed(&reader);
}

static struct bytes row_state(struct bytes map)
{
    struct reader reader;
    reader_init(&reader, read_map_value(map, "state"));
    return read_str(&reader, 0, NAME_BYTES_MAX);
}

struct writer *query_rows_begin(struct broker *broker, uint64_t peer, uint64_t sequence, bool more,
                                uint32_t count, struct outputs *outputs)
{
    struct writer *writer = outputs_message(outputs, peer, MESSAGE_ROWS, NULL, sequence);
    write_map(writer, 3);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    write_str(writer, "more");
    write_bool(writer, more);
    write_str(writer, "rows");
    write_array(writer, count);
    return writer;
}

/* ---- rows of tasks ---- */

/* What the broker itself knows of a living task. */
static struct task_row own_row(struct broker *broker, const struct task *task)
{
    const struct child *holder = ledger_holder(&broker->tasks, task);
    enum task_reason reason =
        task->state == TASK_READY ? route_reason(broker, task->class) : (enum task_reason)task->reason;
    return (struct task_row){
        .state = task_shown_state(task),
        .region = holder == NULL ? (struct bytes){(const uint8_t *)"", 0} : bytes_of(holder->name),
        .reason = holder != NULL && holder->suspect ? "suspect" : task_reason_text(reason),
        .stale = holder != NULL,
    };
}

/* What it was, where it ran and how often its outcome says; a row has no such fields. */
enum { ENDED_ROW_FIELDS = TASK_ROW_FIELDS - 6 };

static void write_ended_row(struct writer *writer, const struct ended_entry *ended)
{
    write_map(writer, ENDED_ROW_FIELDS + LATE_FIELDS);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){ended->id.bytes, TASK_ID_BYTES});
    write_str(writer, "state");
    write_str(writer, task_end_text(ended_end(ended)));
    write_str(writer, "reason");
    write_str(writer, "");
    write_str(writer, "dup_possible");
    write_bool(writer, (ended->arrival_and_bits & ENDED_DUP) != 0);
    write_str(writer, "stale");
    write_bool(writer, false);
}

/* A row as the client gets it: the holder's, the broker's own, or that of an ended task. */
static void write_task_row(struct broker *broker, struct writer *writer, const struct query_row *row)
{
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, &row->id);
    uint32_t index = ledger_find(&broker->tasks, &row->id);
    if (ended != NULL) {
        write_ended_row(writer, ended);
    } else if (row->answer.size > 0 || index == 0) {
        struct reader reader;
        reader_init(&reader, row->answer);
        write_map(writer, read_map(&reader, UINT32_MAX - LATE_FIELDS) + LATE_FIELDS);
        write_raw(writer, (struct bytes){reader.at, (size_t)(reader.end - reader.at)});
    } else {
        const struct task *task = ledger_task(&broker->tasks, index);
        struct task_row own = own_row(broker, task);
        task_row_write(writer, &broker->tasks, task, &own, LATE_FIELDS);
    }
    broker_write_late(broker, writer, &row->id);
}

static void rank_rows(struct broker *broker, struct query *query)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < query->count; i++) {
        struct query_row *row = &query->rows[i];
        uint32_t index = ledger_find(&broker->tasks, &row->id);
        if (index == 0 && ledger_find_ended(&broker->tasks, &row->id) == NULL && row->answer.size == 0)
            continue; /* forgotten meanwhile */
        if ((query->late || query->dup) && !query_wants(broker, query, row)) {
            query_drop_row(query, row);
            i--;
            continue;
        }
        struct bytes state = row->answer.size > 0 ? row_state(row->answer)
                             : index != 0 ? bytes_of(task_shown_state(ledger_task(&broker->tasks, index)))
                                          : bytes_of("ended");
        row->rank = task_state_rank(state);
        query->rows[kept++] = *row;
    }
    query->count = kept;
}

static bool row_before(const struct query *query, const struct query_row *a, const struct query_row *b)
{
    if (!query->by_state)
        return a->arrival > b->arrival;
    return a->rank != b->rank ? a->rank < b->rank : a->arrival < b->arrival;
}

/* Insertion sort: at most QUERY_ROWS_MAX rows, and nearly sorted as they come. */
static void sort_rows(struct query *query)
{
    for (uint32_t i = 1; i < query->count; i++) {
        struct query_row row = query->rows[i];
        uint32_t at = i;
        for (; at > 0 && row_before(query, &row, &query->rows[at - 1]); at--)
            query->rows[at] = query->rows[at - 1];
        query->rows[at] = row;
    }
}

static void reply_tasks(struct broker *broker, struct query *query, struct outputs *outputs)
{
    rank_rows(broker, query);
    sort_rows(query);
    struct writer *writer =
        query_rows_begin(broker, query->peer, query->sequence, query->more, query->count, outputs);
    for (uint32_t i = 0; i < query->count; i++)
        write_task_row(broker, writer, &query->rows[i]);
    outputs_message_end(outputs);
}

/* ---- explain ---- */

enum { GROUPS_MAX = 64, GROUP_TEXT_MAX = 160 };

struct group {
    char text[GROUP_TEXT_MAX];
    struct bytes names[GROUPS_MAX];
    uint32_t count;
};

/* Regions with the same thing to say stand together. */
static uint32_t group_regions(struct broker *broker, const struct task *task, const struct child *holder,
                              struct group *groups)
{
    struct child *regions[CHILDREN_MAX];
    uint32_t region_count = children_by_names(&broker->tasks.children, regions), count = 0;
    for (uint32_t i = 0; i < region_count && i < GROUPS_MAX; i++) {
        struct child *region = regions[i];
        struct group *group = &groups[count];
        if (region == holder)
            continue;
        route_explain(broker, region, task->class, group->text, sizeof group->text);
        if (group->text[0] == '\0')
            memcpy(group->text, holder != NULL ? "not chosen" : "has credit", sizeof "has credit");
        uint32_t at = 0;
        while (at < count && !bytes_are(bytes_of(groups[at].text), group->text))
            at++;
        if (at == count)
            groups[count++].count = 0;
        if (groups[at].count < GROUPS_MAX)
            groups[at].names[groups[at].count++] = bytes_of(region->name);
    }
    return count;
}

static void write_groups(struct writer *writer, const struct group *groups, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        write_map(writer, 2);
        write_str(writer, "names");
        write_array(writer, groups[i].count);
        for (uint32_t name = 0; name < groups[i].count; name++)
            write_str_bytes(writer, groups[i].names[name]);
        write_str(writer, "text");
        write_str(writer, groups[i].text);
    }
}

/* The elements of the region's own "considered", and their number. */
static uint32_t considered_below(struct bytes answer, struct bytes *ret_elements)
{
    struct reader reader;
    reader_init(&reader, answer.size == 0 ? answer : read_map_value(answer, "considered"));
    uint32_t count = reader.at == reader.end ? 0 : read_array(&reader, QUERY_ROWS_MAX);
    *ret_elements = (struct bytes){reader.at, (size_t)(reader.end - reader.at)};
    return reader_failed(&reader) ? 0 : count;
}

/* The region's row without its "considered". */
static void write_answer_fields(struct writer *writer, struct bytes answer)
{
    struct reader reader;
    reader_init(&reader, answer);
    uint32_t pairs = read_map(&reader, ROW_PAIRS_MAX);
    for (uint32_t i = 0; i < pairs; i++) {
        const uint8_t *from = reader.at;
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        (void)read_raw(&reader);
        if (!bytes_are(key, "considered"))
            write_raw(writer, (struct bytes){from, (size_t)(reader.at - from)});
    }
}

static uint32_t pairs_without_considered(struct bytes answer)
{
    struct reader reader;
    reader_init(&reader, answer);
    uint32_t pairs = read_map(&reader, ROW_PAIRS_MAX);
    return pairs - (read_map_value(answer, "considered").size > 0);
}

static void reply_explain(struct broker *broker, struct query *query, struct outputs *outputs)
{
    struct group groups[GROUPS_MAX];
    uint32_t index = query->count == 0 ? 0 : ledger_find(&broker->tasks, &query->rows[0].id);
    /* It may have ended and been forgotten while its region was asked. */
    bool known =
        index != 0 || (query->count > 0 && (query->rows[0].answer.size > 0 ||
                                            ledger_find_ended(&broker->tasks, &query->rows[0].id) != NULL));
    struct writer *writer = query_rows_begin(broker, query->peer, query->sequence, false, known, outputs);
    if (known && index == 0) {
        write_task_row(broker, writer, &query->rows[0]);
    } else if (known) {
        const struct task *task = ledger_task(&broker->tasks, index);
        const struct child *holder = ledger_holder(&broker->tasks, task);
        struct bytes answer = query->rows[0].answer, below;
        uint32_t below_count = considered_below(answer, &below);
        uint32_t group_count = group_regions(broker, task, holder, groups);
        if (answer.size > 0) {
            write_map(writer, pairs_without_considered(answer) + LATE_FIELDS + 1);
            write_answer_fields(writer, answer);
        } else {
            struct task_row own = own_row(broker, task);
            task_row_write(writer, &broker->tasks, task, &own, LATE_FIELDS + 1);
        }
        broker_write_late(broker, writer, &task->id);
        write_str(writer, "considered");
        write_array(writer, below_count + group_count);
        if (below_count > 0)
            write_raw(writer, below);
        write_groups(writer, groups, group_count);
    }
    outputs_message_end(outputs);
}

/* ---- the rest ---- */

static void reply_drain(struct broker *broker, struct query *query, struct outputs *outputs)
{
    bool refused = query->refusal_code.size > 0, silent = query->waiting > 0;
    struct writer *writer = outputs_message(
        outputs, query->peer, refused || silent ? MESSAGE_ERROR : MESSAGE_DONE, NULL, query->sequence);
    if (silent) {
        error_write_body(writer, ERROR_NOT_FOUND, "node: its region did not answer within 500 ms; ask again");
    } else if (refused) {
        write_map(writer, 2);
        write_str(writer, "code");
        write_str_bytes(writer, query->refusal_code);
        write_str(writer, "reason");
        write_str_bytes(writer, query->refusal_reason);
    } else {
        write_map(writer, 1);
        write_str(writer, "epoch");
        write_uint(writer, broker->epoch);
    }
    outputs_message_end(outputs);
}

void query_reply(struct broker *broker, struct query *query, struct outputs *outputs)
{
    switch (query->kind) {
    case QUERY_TASKS:
        reply_tasks(broker, query, outputs);
        return;
    case QUERY_EXPLAIN:
        reply_explain(broker, query, outputs);
        return;
    case QUERY_WORKERS:
        query_reply_workers(broker, query, outputs);
        return;
    case QUERY_DRAIN:
        reply_drain(broker, query, outputs);
        return;
    }
}

static bool ends_in(const struct task_id *id, struct bytes suffix)
{
    char hex[TASK_ID_HEX + 1];
    hex_encode((struct bytes){id->bytes, TASK_ID_BYTES}, hex);
    return suffix.size > 0 && memcmp(hex + TASK_ID_HEX - suffix.size, suffix.data, suffix.size) == 0;
}

enum { RESOLVED_MAX = 2 }; /* more than one is as ambiguous as many */

void query_reply_resolve(struct broker *broker, const struct event *event, uint64_t sequence,
                         struct bytes short_id, struct outputs *outputs)
{
    struct task_id found[RESOLVED_MAX];
    uint32_t count = 0;
    const struct ledger *tasks = &broker->tasks;
    for (uint32_t i = 1; i < tasks->tasks.next_fresh && count < RESOLVED_MAX; i++) {
        const struct task *task = ledger_task(tasks, i);
        if (task->state != TASK_NONE && ledger_find(tasks, &task->id) == i && ends_in(&task->id, short_id))
            found[count++] = task->id;
    }
    for (uint64_t number = broker->ended.first; number < broker->ended.next && count < RESOLVED_MAX;
         number++) {
        const struct ended_entry *entry = ended_at(&broker->ended, ended_value(number));
        if (ends_in(&entry->id, short_id))
            found[count++] = entry->id;
    }
    struct writer *writer = query_rows_begin(broker, event->peer, sequence, false, count, outputs);
    for (uint32_t i = 0; i < count; i++) {
        write_map(writer, 1);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){found[i].bytes, TASK_ID_BYTES});
    }
    outputs_message_end(outputs);
}

static void write_named(struct writer *writer, const char *name, uint64_t value)
{
    write_str(writer, name);
    write_uint(writer, value);
}

static void write_region_row(struct writer *writer, const struct child *region)
{
    write_map(writer, 7);
    write_str(writer, "name");
    write_str(writer, region->name);
    write_str(writer, "state");
    write_str(writer, child_state_text(region));
    write_named(writer, "slots", region->slots);
    write_named(writer, "held", region->granted);
    write_named(writer, "rtt_us", region->rtt_us);
    write_named(writer, "workers", region->workers);
    write_named(writer, "commit_age_ms", region->commit_age_ms);
}

static void write_cluster_row(struct broker *broker, struct writer *writer)
{
    const struct broker_counters *counted = &broker->counters;
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"submitted", counted->submitted},
        {"accepted", counted->accepted},
        {"duplicates", counted->duplicates},
        {"conflicts", counted->conflicts},
        {"throttled", counted->throttled},
        {"refused", counted->refused},
        {"store_full", counted->store_full},
        {"completed", counted->completed},
        {"failed", counted->failed},
        {"cancelled", counted->cancelled},
        {"expired", counted->expired},
        {"reruns", counted->reruns},
        {"late", counted->late},
        {"malformed", counted->malformed},
        {"evicted", counted->evicted},
        {"dropped", counted->dropped},
    };
    enum { COUNTERS = sizeof counters / sizeof counters[0] };
    const uint32_t *counts = broker->tasks.counts;
    write_map(writer, 6);
    write_str(writer, "version");
    write_str(writer, MERIDIAN_VERSION);
    write_named(writer, "epoch", broker->epoch);
    write_str(writer, "tasks");
    write_map(writer, 4);
    write_named(writer, "delayed", counts[TASK_DELAYED]);
    write_named(writer, "ready", counts[TASK_READY]);
    write_named(writer, "granted", (uint64_t)counts[TASK_GRANTED] + counts[TASK_RUNNING]);
    write_named(writer, "ended", broker->ended.next - broker->ended.first);
    write_named(writer, "store_free_bytes", broker->room.free_bytes);
    write_named(writer, "store_max_bytes", broker->room.max_bytes);
    write_str(writer, "counters");
    write_map(writer, COUNTERS);
    for (size_t i = 0; i < COUNTERS; i++)
        write_named(writer, counters[i].name, counters[i].value);
}

void query_reply_own(struct broker *broker, const struct event *event, uint64_t sequence, bool cluster,
                     struct outputs *outputs)
{
    struct child *regions[CHILDREN_MAX];
    uint32_t count = children_by_names(&broker->tasks.children, regions);
    struct writer *writer =
        query_rows_begin(broker, event->peer, sequence, false, cluster ? 1 : count, outputs);
    if (cluster)
        write_cluster_row(broker, writer);
    for (uint32_t i = 0; !cluster && i < count; i++)
        write_region_row(writer, regions[i]);
    outputs_message_end(outputs);
}
