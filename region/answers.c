/* answers.c - ASK: what the broker wants to know of tasks and workers here, and drain of a worker. */
#include "engine/rows.h"
#include "proto/text.h"
#include "region/region_state.h"

enum { ROWS_MAX = 256, WORKER_ROWS_BYTES_MAX = 200 * 1024, NAMES_MAX = 64 };

static struct writer *answer_begin(struct region *region, uint64_t request, struct outputs *outputs)
{
    struct writer *writer =
        outputs_message(outputs, uplink_peer(&region->uplink), MESSAGE_ANSWER, &region->uplink.link, 0);
    answer_write_head(writer, request);
    return writer;
}

/* Adds tasks that are marked dup_possible here and not yet among the `count` of `found`, up to `most` in all.
 */
static uint32_t find_marked(struct region *region, uint32_t *found, uint32_t count, uint32_t most)
{
    uint32_t asked = count;
    for (uint32_t i = region->tasks.tasks.next_fresh; i-- > 1 && count < most;) {
        const struct task *task = ledger_task(&region->tasks, i);
        bool wanted = task->state != TASK_NONE && task->flags & TASK_DUP_POSSIBLE;
        for (uint32_t at = 0; at < asked && wanted; at++)
            wanted = found[at] != i;
        if (wanted)
            found[count++] = i;
    }
    return count;
}

/* The ids of {"ids": [..]} or {"id": ..}. */
static uint32_t read_ids(struct bytes body, struct task_id *ids)
{
    struct reader reader;
    uint32_t count = 0;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 8);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        uint32_t values = bytes_are(key, "ids") ? read_array(&reader, ROWS_MAX) : bytes_are(key, "id");
        if (values == 0 && !bytes_are(key, "ids"))
            (void)read_raw(&reader);
        for (uint32_t at = 0; at < values && count < ROWS_MAX; at++) {
            struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
            if (id.size == TASK_ID_BYTES)
                memcpy(ids[count++].bytes, id.data, TASK_ID_BYTES);
        }
    }
    return count;
}

static struct task_row row_of(struct region *region, const struct task *task)
{
    const struct child *worker = ledger_holder(&region->tasks, task);
    enum task_reason reason = task->state == TASK_READY   ? place_reason(region, task->class)
                              : task->state == TASK_ENDED ? REASON_NONE
                                                          : (enum task_reason)task->reason;
    struct task_row row = {
        .state = task->state == TASK_ENDED ? task_end_text((enum task_end)task->end) : task_shown_state(task),
        .region = bytes_of(region->options.name),
        .reason = worker != NULL && worker->suspect ? "suspect" : task_reason_text(reason),
    };
    if (worker != NULL)
        row.worker = bytes_of(worker->name);
    return row;
}

static void answer_tasks(struct region *region, const struct ask *ask, struct outputs *outputs)
{
    struct task_id ids[ROWS_MAX];
    uint32_t found[ROWS_MAX], count = 0, asked = read_ids(ask->body, ids);
    for (uint32_t i = 0; i < asked; i++) {
        uint32_t index = ledger_find(&region->tasks, &ids[i]);
        if (index != 0)
            found[count++] = index;
    }
    struct reader marked;
    reader_init(&marked, read_map_value(ask->body, "marked"));
    uint32_t wanted = (uint32_t)read_uint(&marked, ROWS_MAX);
    if (!reader_failed(&marked))
        count = find_marked(region, found, count, count + wanted < ROWS_MAX ? count + wanted : ROWS_MAX);
    struct writer *writer = answer_begin(region, ask->request, outputs);
    write_map(writer, 1);
    write_str(writer, "rows");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct task *task = ledger_task(&region->tasks, found[i]);
        struct task_row row = row_of(region, task);
        task_row_write(writer, &region->tasks, task, &row, 0);
    }
    outputs_message_end(outputs);
}

/* ---- explain ---- */

/* "4 of 4 slots busy", "no worker runs this type with these capabilities", "runs on w1" */
static void explain(struct region *region, const struct task *task, char *to, size_t size)
{
    const struct child *worker = ledger_holder(&region->tasks, task);
    uint32_t slots, busy;
    place_slots(region, task->class, &slots, &busy);
    struct text text;
    text_init(&text, to, size);
    if (worker != NULL) {
        text_add(&text, worker->suspect ? "held by silent worker " : "runs on ");
        text_add(&text, worker->name);
    } else if (task->state == TASK_ENDED) {
        text_add(&text, "ended; waits for the broker to record it");
    } else if (task->state == TASK_DELAYED) {
        text_add(&text, "waits before its next attempt");
    } else if (slots == 0) {
        text_add(&text, "no worker runs its type with its capabilities");
    } else if (region->room.paused) {
        text_add(&text, "its store is full: dispatch pauses");
    } else {
        text_add_number(&text, busy);
        text_add(&text, " of ");
        text_add_number(&text, slots);
        text_add(&text, " slots busy");
    }
}

static void answer_explain(struct region *region, const struct ask *ask, struct outputs *outputs)
{
    struct task_id ids[ROWS_MAX];
    char text[160];
    uint32_t index = read_ids(ask->body, ids) == 0 ? 0 : ledger_find(&region->tasks, &ids[0]);
    struct writer *writer = answer_begin(region, ask->request, outputs);
    write_map(writer, 1);
    write_str(writer, "rows");
    write_array(writer, index != 0);
    if (index != 0) {
        const struct task *task = ledger_task(&region->tasks, index);
        struct task_row row = row_of(region, task);
        explain(region, task, text, sizeof text);
        task_row_write(writer, &region->tasks, task, &row, 1);
        write_str(writer, "considered");
        write_array(writer, 1);
        write_map(writer, 2);
        write_str(writer, "names");
        write_array(writer, 1);
        write_str(writer, region->options.name);
        write_str(writer, "text");
        write_str(writer, text);
    }
    outputs_message_end(outputs);
}

/* ---- workers ---- */

/* The task types of all its profiles, each once. */
static uint32_t types_of(const struct child *worker, struct bytes *ret_types)
{
    struct reader reader;
    struct profile profile;
    uint32_t count = 0;
    reader_init(&reader, (struct bytes){worker->profiles, worker->profiles_size});
    uint32_t profiles = worker->profiles_size == 0 ? 0 : read_array(&reader, PROFILES_MAX);
    for (uint32_t i = 0; i < profiles && profile_read(&reader, &profile); i++)
        for (uint32_t type = 0; type < profile.type_count; type++) {
            uint32_t at = 0;
            while (at < count && !bytes_equal(ret_types[at], profile.types[type]))
                at++;
            if (at == count && count < NAMES_MAX)
                ret_types[count++] = profile.types[type];
        }
    return count;
}

static void write_named(struct writer *writer, const char *name, uint64_t value)
{
    write_str(writer, name);
    write_uint(writer, value);
}

static void write_worker(struct region *region, struct writer *writer, const struct child *worker)
{
    struct bytes types[NAMES_MAX];
    uint32_t type_count = types_of(worker, types);
    write_map(writer, 12);
    write_str(writer, "region");
    write_str(writer, region->options.name);
    write_str(writer, "name");
    write_str(writer, worker->name);
    write_str(writer, "state");
    write_str(writer, child_state_text(worker));
    write_named(writer, "slots", worker->slots);
    write_named(writer, "busy", worker->granted + worker->strays.count);
    write_named(writer, "done", worker->done);
    write_named(writer, "lost", worker->lost_grants);
    write_named(writer, "late", worker->late);
    write_named(writer, "p50_us", histogram_at(&worker->latency, 500));
    write_named(writer, "p99_us", histogram_at(&worker->latency, 990));
    write_str(writer, "types");
    write_array(writer, type_count);
    for (uint32_t i = 0; i < type_count; i++)
        write_str_bytes(writer, types[i]);
    write_str(writer, "stale");
    write_bool(writer, false);
}

/* Those behind {"after": name}, in the order of their names, as many as a frame should have. */
static void answer_workers(struct region *region, const struct ask *ask, struct outputs *outputs)
{
    struct child *workers[CHILDREN_MAX];
    uint32_t worker_count = children_by_names(&region->tasks.children, workers), first = 0, count = 0;
    struct reader reader;
    reader_init(&reader, read_map_value(ask->body, "after"));
    struct bytes after = read_str(&reader, 0, NAME_BYTES_MAX);
    while (first < worker_count && bytes_compare(bytes_of(workers[first]->name), after) <= 0)
        first++;
    struct writer *writer = answer_begin(region, ask->request, outputs);
    write_map(writer, 2);
    write_str(writer, "rows");
    size_t at = write_array_open(writer), from = writer->size;
    while (first + count < worker_count && writer->size - from < WORKER_ROWS_BYTES_MAX)
        write_worker(region, writer, workers[first + count++]);
    patch_count(writer->data, at, count);
    write_str(writer, "more");
    write_bool(writer, first + count < worker_count);
    outputs_message_end(outputs);
}

/* ---- drain ---- */

static void answer_drain(struct region *region, const struct ask *ask, struct outputs *outputs)
{
    struct reader reader;
    struct bytes node = {ask->body.data, 0};
    reader_init(&reader, ask->body);
    uint32_t pairs = read_map(&reader, 8);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "node"))
            node = read_str(&reader, 1, 2 * NAME_BYTES_MAX + 1);
        else
            (void)read_raw(&reader);
    }
    const uint8_t *slash = node.size == 0 ? NULL : memchr(node.data, '/', node.size);
    struct bytes name =
        slash == NULL ? node : (struct bytes){slash + 1, (size_t)(node.data + node.size - slash - 1)};
    struct child *worker = children_by_name(&region->tasks.children, name);
    bool found = worker != NULL && worker->state >= CHILD_SWEEPING;
    struct writer *writer = answer_begin(region, ask->request, outputs);
    if (found)
        write_map(writer, 0);
    else
        error_write_body(writer, ERROR_NOT_FOUND,
                         "node: no such worker has a session now; see `meridian worker list`");
    outputs_message_end(outputs);
    if (!found)
        return;
    worker->draining = true;
    region->tasks.children.profiles_changed = true;
    outputs_trace(outputs, TRACE_CHILD_DRAINING, NULL, worker->number, 0);
    writer = outputs_message(outputs, worker->peer, MESSAGE_ASK, &worker->link, 0);
    ask_write_head(writer, ask->request, "drain");
    write_raw(writer, ask->body);
    outputs_message_end(outputs);
}

static const struct {
    const char *question;
    void (*answer)(struct region *, const struct ask *, struct outputs *);
} questions[] = {{"tasks", answer_tasks},
                 {"explain", answer_explain},
                 {"workers", answer_workers},
                 {"drain", answer_drain}};

bool region_on_ask(struct region *region, struct bytes body, struct outputs *outputs)
{
    struct ask ask;
    if (!ask_read(body, &ask))
        return false;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++)
        if (bytes_are(ask.question, questions[i].question)) {
            questions[i].answer(region, &ask, outputs);
            return true;
        }
    write_map(answer_begin(region, ask.request, outputs), 0); /* a newer broker's question: nothing to say */
    outputs_message_end(outputs);
    return true;
}
