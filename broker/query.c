/* query.c - questions and their answers: which rows are wanted, who is asked, when the reply is due. See
 * query.h. What a row says is written in query_rows.c. */
#include "broker/query.h"

#include <stdlib.h>

#include "broker/broker_state.h"
#include "broker/query_rows.h"
#include "engine/rows.h"
#include "proto/assert.h"

/* ---- slots ---- */

struct query *query_open(struct broker *broker, uint64_t peer, uint64_t sequence, enum query_kind kind)
{
    for (uint32_t slot = 0; slot < QUERIES_MAX; slot++) {
        struct query *query = &broker->queries.slots[slot];
        if (query->used)
            continue;
        uint32_t generation = query->generation + 1;
        *query = (struct query){.used = true, .kind = kind, .peer = peer, .sequence = sequence};
        query->generation = generation;
        uint32_t wait_ms = peer == QUERY_NO_CLIENT ? ASK_WAIT_UNHURRIED_MS : ASK_WAIT_MS;
        query->deadline_ns = broker->tasks.now_ns + wait_ms * NANOSECONDS_PER_MS;
        broker->queries.open++;
        return query;
    }
    return NULL;
}

void query_free_bytes(struct bytes *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    *bytes = (struct bytes){NULL, 0};
}

struct bytes query_copy_bytes(struct bytes bytes)
{
    uint8_t *copy = bytes.size == 0 ? NULL : malloc(bytes.size);
    if (copy == NULL)
        return (struct bytes){NULL, 0};
    memcpy(copy, bytes.data, bytes.size);
    return (struct bytes){copy, bytes.size};
}

static void close_query(struct queries *queries, struct query *query)
{
    for (uint32_t i = 0; i < query->count; i++)
        query_free_bytes(&query->rows[i].answer);
    for (uint32_t i = 0; i < query->asked_count; i++)
        query_free_bytes(&query->asked[i].rows);
    free(query->asked);
    query->asked = NULL;
    query->asked_count = 0;
    query_free_bytes(&query->refusal_code);
    query_free_bytes(&query->refusal_reason);
    query->used = false;
    query->count = 0;
    queries->open--;
}

void query_drop_row(struct query *query, struct query_row *row)
{
    query_free_bytes(&row->answer);
    *row = query->rows[--query->count];
}

void queries_release(struct queries *queries)
{
    for (uint32_t slot = 0; slot < QUERIES_MAX; slot++)
        if (queries->slots[slot].used)
            close_query(queries, &queries->slots[slot]);
    for (uint32_t i = 0; i < queries->known_count; i++)
        query_free_bytes(&queries->known[i].rows);
    free(queries->known);
    queries->known_count = 0;
}

static uint64_t request_number(const struct broker *broker, const struct query *query)
{
    return (uint64_t)(query - broker->queries.slots) << 32 | query->generation;
}

/* ---- asking ---- */

struct writer *query_ask(struct broker *broker, struct query *query, struct child *region,
                         const char *question, struct outputs *outputs)
{
    query->asked = realloc(query->asked, (query->asked_count + 1) * sizeof *query->asked);
    ASSERT(query->asked != NULL);
    query->asked[query->asked_count++] = (struct query_asked){.region = region->number};
    struct writer *writer = outputs_message(outputs, region->peer, MESSAGE_ASK, &region->link, 0);
    ask_write_head(writer, request_number(broker, query), question);
    query->waiting++;
    return writer;
}

bool query_can_answer(const struct child *region)
{
    return region->state == CHILD_LIVE || region->state == CHILD_SWEEPING;
}

/* Each region that holds some of the rows is asked for those; with `marked` each region, also for what else
 * it has marked. */
static void ask_holders(struct broker *broker, struct query *query, bool marked, struct outputs *outputs)
{
    struct children *regions = &broker->tasks.children;
    for (uint32_t i = 0; i < regions->count; i++) {
        struct child *region = regions->all[i];
        uint32_t count = 0;
        for (uint32_t row = 0; row < query->count; row++)
            count += query->rows[row].asked == region->number;
        if ((count == 0 && !marked) || !query_can_answer(region))
            continue;
        struct writer *writer = query_ask(broker, query, region, "tasks", outputs);
        write_map(writer, marked ? 2 : 1);
        if (marked) {
            write_str(writer, "marked");
            write_uint(writer, query->limit);
        }
        write_str(writer, "ids");
        write_array(writer, count);
        for (uint32_t row = 0; row < query->count; row++)
            if (query->rows[row].asked == region->number)
                write_bin(writer, (struct bytes){query->rows[row].id.bytes, TASK_ID_BYTES});
        outputs_message_end(outputs);
    }
}

void query_add_row(struct broker *broker, struct query *query, const struct task_id *id)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, id);
    if (index == 0 && ended == NULL)
        return;
    if (query->count == QUERY_ROWS_MAX) {
        query->more = true;
        return;
    }
    struct query_row *row = &query->rows[query->count++];
    *row = (struct query_row){.id = *id};
    if (index == 0) {
        row->arrival = ended_arrival(ended);
        return;
    }
    const struct task *task = ledger_task(&broker->tasks, index);
    const struct child *holder = ledger_holder(&broker->tasks, task);
    row->arrival = task->arrival;
    row->asked = holder == NULL ? 0 : holder->number;
}

/* ---- which tasks ---- */

static void add_open(struct broker *broker, struct query *query, uint32_t limit)
{
    struct ledger *tasks = &broker->tasks;
    for (uint32_t i = 0; i < tasks->children.count; i++)
        for (uint32_t g = tasks->children.all[i]->first_grant; g != 0;) {
            const struct grant *grant = slab_at(&tasks->grants, g);
            for (uint32_t at = grant->first; at != 0 && query->count < limit;
                 at = ledger_task(tasks, at)->next)
                query_add_row(broker, query, &ledger_task(tasks, at)->id);
            g = query->count < limit ? grant->next : 0;
        }
    for (uint32_t class = 1; class <= tasks->classes.count; class ++)
        for (int priority = 0; priority < PRIORITY_COUNT; priority++)
            for (uint32_t at = tasks->ready.classes[class].first[priority]; at != 0 && query->count < limit;
                 at = ledger_task(tasks, at)->next)
                query_add_row(broker, query, &ledger_task(tasks, at)->id);
    for (uint32_t i = 1; i <= tasks->timers.count && query->count < limit; i++) {
        const struct task *task = ledger_task(tasks, tasks->timers.items[i]);
        if (task->state == TASK_DELAYED)
            query_add_row(broker, query, &task->id);
    }
    query->more = query->count == limit;
}

static void add_recent(struct broker *broker, struct query *query, uint32_t limit)
{
    const struct recent *recent = &broker->recent;
    uint64_t count = recent->next < RECENT_MAX ? recent->next : RECENT_MAX;
    for (uint64_t i = 1; i <= count && query->count < limit; i++)
        query_add_row(broker, query, &recent->ids[(recent->next - i) % RECENT_MAX]);
    query->more = recent->next > query->count;
}

/* ---- requests ---- */

struct question {
    struct bytes what, short_id, after;
    bool open, late, dup;
    uint32_t limit, count;
    bool has_ids, has_id;
    struct task_id ids[QUERY_ROWS_MAX]; /* ids, or the one id in ids[0] */
};

static void read_question_ids(struct reader *reader, struct question *question, uint32_t count)
{
    question->count = count;
    question->has_ids = true;
    for (uint32_t at = 0; at < count; at++) {
        struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
        if (id.size == TASK_ID_BYTES)
            memcpy(question->ids[at].bytes, id.data, TASK_ID_BYTES);
    }
}

enum question_field {
    FIELD_WHAT,
    FIELD_OPEN,
    FIELD_LATE,
    FIELD_DUP,
    FIELD_LIMIT,
    FIELD_SHORT,
    FIELD_AFTER,
    FIELD_ID,
    FIELD_IDS,
    FIELD_COUNT
};

static const struct {
    const char *name, *expected;
} question_fields[FIELD_COUNT] = {
    {"what", "what: tasks, resolve, explain, regions, workers or cluster"},
    {"open", "open: true or false"},
    {"late", "late: true or false"},
    {"dup", "dup: true or false"},
    {"limit", "limit: 0 to 256"},
    {"short", "short: the last 4 to 32 hex digits of an id"},
    {"after", "after: REGION/WORKER, the last worker that is known"},
    {"id", "id: 16 bytes (bin)"},
    {"ids", "ids: an array of up to 256 ids of 16 bytes (bin)"},
};

static void read_question_field(struct reader *reader, enum question_field field, struct question *question)
{
    switch (field) {
    case FIELD_WHAT:
        question->what = read_str(reader, 1, NAME_BYTES_MAX);
        return;
    case FIELD_OPEN:
        question->open = read_bool(reader);
        return;
    case FIELD_LATE:
        question->late = read_bool(reader);
        return;
    case FIELD_DUP:
        question->dup = read_bool(reader);
        return;
    case FIELD_LIMIT:
        question->limit = (uint32_t)read_uint(reader, QUERY_ROWS_MAX);
        return;
    case FIELD_SHORT:
        question->short_id = read_str(reader, 4, TASK_ID_HEX);
        return;
    case FIELD_AFTER:
        question->after = read_str(reader, 1, 2 * NAME_BYTES_MAX + 1);
        return;
    case FIELD_ID:
        read_question_ids(reader, question, 1);
        return;
    case FIELD_IDS:
        read_question_ids(reader, question, read_array(reader, QUERY_ROWS_MAX));
        return;
    case FIELD_COUNT:
        return;
    }
}

/* A fault is answered here. */
static bool read_question(struct broker *broker, const struct event *event,
                          const struct message_header *header, struct question *question,
                          struct outputs *outputs)
{
    struct reader reader;
    uint32_t seen = 0;
    reader_init(&reader, header->body);
    *question = (struct question){.limit = 50};
    uint32_t pairs = read_map(&reader, UINT32_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        uint32_t field = 0;
        while (field < FIELD_COUNT && !bytes_are(key, question_fields[field].name))
            field++;
        if (field == FIELD_COUNT || seen & 1u << field) {
            broker_refuse_field(broker, event, header->sequence, key, outputs);
            return false;
        }
        seen |= 1u << field;
        read_question_field(&reader, (enum question_field)field, question);
        if (reader_failed(&reader)) {
            broker_refuse(broker, event, header->sequence, ERROR_INVALID_FIELD,
                          question_fields[field].expected, outputs);
            return false;
        }
    }
    if (reader_failed(&reader))
        broker_refuse(broker, event, header->sequence, ERROR_MALFORMED, "body: a map with \"what\"", outputs);
    return !reader_failed(&reader);
}

/* ROWS, now or when the regions have answered. */
void query_reply_when_ready(struct broker *broker, struct query *query, struct outputs *outputs)
{
    if (query->waiting > 0)
        return;
    query_reply(broker, query, outputs);
    close_query(&broker->queries, query);
}

static void ask_tasks(struct broker *broker, struct query *query, const struct question *question,
                      struct outputs *outputs)
{
    bool marked = !question->has_ids && (question->late || question->dup);
    query->by_state = question->open && !marked;
    query->limit = question->has_ids ? QUERY_ROWS_MAX : question->limit;
    query->open = marked && question->open;
    query->late = marked && question->late;
    query->dup = marked && question->dup;
    if (marked)
        query_add_marked(broker, query);
    else if (question->has_ids)
        for (uint32_t i = 0; i < question->count; i++)
            query_add_row(broker, query, &question->ids[i]);
    else if (question->open)
        add_open(broker, query, question->limit);
    else
        add_recent(broker, query, question->limit);
    ask_holders(broker, query, query->dup, outputs);
    query_reply_when_ready(broker, query, outputs);
}

static void ask_explain(struct broker *broker, struct query *query, const struct question *question,
                        struct outputs *outputs)
{
    query_add_row(broker, query, &question->ids[0]);
    struct child *region =
        query->count == 0 ? NULL : children_by_number(&broker->tasks.children, query->rows[0].asked);
    if (region != NULL && query_can_answer(region)) {
        struct writer *writer = query_ask(broker, query, region, "explain", outputs);
        write_map(writer, 1);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){question->ids[0].bytes, TASK_ID_BYTES});
        outputs_message_end(outputs);
    }
    query_reply_when_ready(broker, query, outputs);
}

bool query_drain(struct broker *broker, const struct event *event, uint64_t sequence, struct child *region,
                 struct bytes node, uint64_t deadline_ms, struct outputs *outputs)
{
    struct query *query = query_open(broker, event->peer, sequence, QUERY_DRAIN);
    if (query == NULL)
        return false;
    struct writer *writer = query_ask(broker, query, region, "drain", outputs);
    write_map(writer, 2);
    write_str(writer, "node");
    write_str_bytes(writer, node);
    write_str(writer, "deadline_ms");
    write_uint(writer, deadline_ms);
    outputs_message_end(outputs);
    return true;
}

void broker_on_query(struct broker *broker, const struct event *event, const struct message_header *header,
                     struct outputs *outputs)
{
    struct question question;
    if (!read_question(broker, event, header, &question, outputs))
        return;
    if (bytes_are(question.what, "resolve")) {
        query_reply_resolve(broker, event, header->sequence, question.short_id, outputs);
        return;
    }
    if (bytes_are(question.what, "regions") || bytes_are(question.what, "cluster")) {
        query_reply_own(broker, event, header->sequence, bytes_are(question.what, "cluster"), outputs);
        return;
    }
    bool tasks = bytes_are(question.what, "tasks"), workers = bytes_are(question.what, "workers");
    bool explain = bytes_are(question.what, "explain");
    if (!(tasks || workers || (explain && question.count == 1))) {
        broker_refuse(broker, event, header->sequence, ERROR_INVALID_FIELD,
                      explain ? "id: the task to explain" : question_fields[FIELD_WHAT].expected, outputs);
        return;
    }
    struct query *query = query_open(broker, event->peer, header->sequence,
                                     tasks     ? QUERY_TASKS
                                     : workers ? QUERY_WORKERS
                                               : QUERY_EXPLAIN);
    if (query == NULL)
        broker_refuse(broker, event, header->sequence, ERROR_THROTTLED,
                      "too many questions at once: ask again", outputs);
    else if (tasks)
        ask_tasks(broker, query, &question, outputs);
    else if (workers)
        query_ask_workers(broker, query, question.after, outputs);
    else
        ask_explain(broker, query, &question, outputs);
}

/* ---- answers ---- */

struct query_asked *query_asked_of(struct query *query, uint32_t region)
{
    for (uint32_t i = 0; i < query->asked_count; i++)
        if (query->asked[i].region == region)
            return &query->asked[i];
    return NULL;
}

static struct query_row *row_of(struct query *query, const struct task_id *id)
{
    for (uint32_t at = 0; at < query->count; at++)
        if (task_id_equal(&query->rows[at].id, id))
            return &query->rows[at];
    return NULL;
}

/* Rows of tasks go to their ids. */
static void take_rows(struct broker *broker, struct query *query, const struct child *region,
                      struct reader *reader)
{
    uint32_t count = read_array(reader, QUERY_ROWS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes map = read_raw(reader);
        if (reader_failed(reader))
            return;
        /* A reply of the most rows, each of its share, fits a frame; a row that does not stays stale. */
        if (map.size > (query->kind == QUERY_TASKS ? QUERY_BYTES_MAX / QUERY_ROWS_MAX : QUERY_BYTES_MAX))
            continue;
        if (!row_is_good(map)) /* nor is one that could not be passed on whole */
            continue;
        struct task_id id;
        struct query_row *row = NULL;
        if (row_read_id(map, &id)) {
            row = row_of(query, &id);
            if (row == NULL && query->dup && query_add_told(broker, query, region, &id))
                row = row_of(query, &id);
        }
        if (row == NULL)
            continue;
        query_free_bytes(&row->answer);
        row->answer = query_copy_bytes(map);
    }
}

/* {"rows": [map, ...], "more": bool} or {"code", "reason"} */
static void take_answer(struct broker *broker, struct query *query, const struct child *region,
                        struct query_asked *asked, struct bytes body)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 16);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "rows") && query->kind == QUERY_WORKERS) {
            query_take_workers(asked, &reader);
        } else if (bytes_are(key, "rows")) {
            take_rows(broker, query, region, &reader);
        } else if (bytes_are(key, "more")) {
            asked->more = read_bool(&reader);
        } else if (bytes_are(key, "code")) {
            query_free_bytes(&query->refusal_code);
            query->refusal_code = query_copy_bytes(read_str(&reader, 1, NAME_BYTES_MAX));
        } else if (bytes_are(key, "reason")) {
            query_free_bytes(&query->refusal_reason);
            query->refusal_reason = query_copy_bytes(read_str(&reader, 1, PATH_BYTES_MAX));
        } else {
            (void)read_raw(&reader);
        }
    }
}

void query_on_answer(struct broker *broker, struct child *region, struct bytes body, struct outputs *outputs)
{
    uint64_t request;
    struct bytes answer;
    if (!answer_read(body, &request, &answer) || request >> 32 >= QUERIES_MAX)
        return;
    struct query *query = &broker->queries.slots[request >> 32];
    if (!query->used || query->generation != (uint32_t)request || query->waiting == 0)
        return; /* too late: the client has its reply */
    struct query_asked *asked = query_asked_of(query, region->number);
    if (asked == NULL || asked->answered) { /* made up: nobody asked this region */
        broker->counters.malformed++;
        outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, ERROR_INVALID_FIELD, region->peer);
        return;
    }
    asked->answered = true;
    take_answer(broker, query, region, asked, answer);
    query->waiting--;
    query_reply_when_ready(broker, query, outputs);
}

void queries_on_timeout(struct broker *broker, struct outputs *outputs)
{
    for (uint32_t slot = 0; slot < QUERIES_MAX && broker->queries.open > 0; slot++) {
        struct query *query = &broker->queries.slots[slot];
        if (!query->used || query->deadline_ns > broker->tasks.now_ns)
            continue;
        query_reply(broker, query, outputs);
        close_query(&broker->queries, query);
    }
}

uint64_t queries_deadline_ns(const struct queries *queries)
{
    uint64_t deadline_ns = DEADLINE_NEVER;
    for (uint32_t slot = 0; slot < QUERIES_MAX && queries->open > 0; slot++)
        if (queries->slots[slot].used && queries->slots[slot].deadline_ns < deadline_ns)
            deadline_ns = queries->slots[slot].deadline_ns;
    return deadline_ns;
}
