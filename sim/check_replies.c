/* check_replies.c - frames to clients as they leave: what is said to be accepted, cancelled or ended is on
 * the broker's disk, and what is counted is what is stored. */
#include "engine/task.h"
#include "proto/message.h"
#include "sim/check.h"

/* The task of an entry, or TASKS_MAX_SIM. */
static uint32_t task_in(const struct sim *sim, struct bytes entry)
{
    struct task_id id;
    return field_bin(entry, "id", &id, sizeof id) ? sim_task_of(sim, &id) : TASKS_MAX_SIM;
}

static void on_accepted(struct sim *sim, struct bytes entry)
{
    struct bytes status = field_text(entry, "status");
    bool is_new = bytes_are(status, "accepted");
    uint32_t task = task_in(sim, entry);
    if (task == TASKS_MAX_SIM)
        violation(sim, 0, "ACCEPTED names a task that was never submitted");
    if (sim->failed || (!is_new && !bytes_are(status, "duplicate")))
        return;
    struct checked *checked = &sim->checks->tasks[task];
    if (is_new && checked->now.accepted_ns != 0)
        violation(sim, 1, "task %u is accepted as new, and was accepted before", task);
    if (checked->now.accepted_ns == 0)
        checked->now.accepted_ns = sim->now_ns;
    if (checked->now.recorded_end == 0 && !on_disk(sim, &sim->nodes[0], TABLE_STATES, task))
        violation(sim, 6, "ACCEPTED leaves before task %u is on the broker's disk", task);
}

/* The frames of one batch have no order: what was said before it was accepted may leave behind that. */
static void check_is_unknown(struct sim *sim, uint32_t task)
{
    uint64_t accepted_ns = sim->checks->tasks[task].now.accepted_ns;
    if (accepted_ns != 0 && accepted_ns < sim->now_ns)
        violation(sim, 1, "the broker says that it does not know task %u, which it has accepted", task);
}

static void on_cancelling(struct sim *sim, struct bytes entry)
{
    struct bytes status = field_text(entry, "status");
    uint32_t task = task_in(sim, entry);
    if (task != TASKS_MAX_SIM && bytes_are(status, "unknown"))
        check_is_unknown(sim, task);
    if (task == TASKS_MAX_SIM || !bytes_are(status, "cancelling"))
        return;
    const struct booked *booked = check_booked(sim, 0, task);
    bool durable = booked->stored && booked->flags & TASK_CANCELLING;
    if (!durable && sim->checks->tasks[task].now.recorded_end == 0)
        violation(sim, 6, "CANCELLING leaves before the broker's disk says that task %u is to be cancelled",
                  task);
}

/* The fence of the attempt that decided, and whether its process really ended well. */
static void check_truth(struct sim *sim, uint32_t task, struct bytes outcome)
{
    uint8_t bytes[FENCE_BYTES];
    if (!field_bin(outcome, "fence", bytes, sizeof bytes)) {
        violation(sim, 0, "task %u completed, and its outcome names no fence", task);
        return;
    }
    struct fence fence = fence_decode(bytes);
    const struct checked *checked = &sim->checks->tasks[task];
    for (uint32_t i = 0; i < checked->attempt_count; i++) {
        const struct attempt *attempt = &checked->attempts[i];
        bool named = attempt->fence.epoch == fence.epoch && attempt->fence.attempt == fence.attempt;
        if (named && (!attempt->started || attempt->completed))
            return; /* custody may have been renewed; what has not started was a builtin */
    }
    violation(sim, 0, "task %u completed under %s, where no process ended well", task,
              check_fence_text(fence, 0));
}

bool check_is_evicted(struct bytes result)
{
    return field(result, "outcome").size < 2; /* nil */
}

/* What the watcher is told of the outcome is the record. */
static void check_outcome(struct sim *sim, uint32_t task, struct bytes outcome)
{
    const struct disk_record *record =
        disk_find(&sim->nodes[0].disk, TABLE_OUTCOMES, check_booked(sim, 0, task)->arrival);
    if (record != NULL && !bytes_equal(record->value, outcome))
        violation(sim, 2, "RESULT tells another outcome of task %u than the broker has recorded", task);
}

static void on_result(struct sim *sim, struct bytes entry)
{
    uint32_t task = task_in(sim, entry);
    if (task == TASKS_MAX_SIM) {
        violation(sim, 0, "RESULT names a task that was never submitted");
        return;
    }
    struct checked *checked = &sim->checks->tasks[task];
    struct bytes state = field_text(entry, "state");
    bool evicted = check_is_evicted(entry);
    uint64_t hash = check_hash(entry);
    if (!evicted && checked->now.result_hash != 0 && checked->now.result_hash != hash)
        violation(sim, 2, "the result of task %u has changed since it was told first", task);
    checked->now.result_hash = evicted ? checked->now.result_hash : hash;
    if (checked->now.recorded_end == 0)
        violation(sim, 6, "RESULT leaves before the end of task %u is on disk", task);
    else if (!bytes_are(state, task_end_text((enum task_end)(checked->now.recorded_end - 1))))
        violation(sim, 2, "RESULT says task %u is %.*s; recorded is %s", task, (int)state.size,
                  (const char *)state.data, task_end_text((enum task_end)(checked->now.recorded_end - 1)));
    if (checked->now.doubled && !field_bool(entry, "dup_possible"))
        violation(sim, 4, "task %u ran twice, and its RESULT does not say that it may have", task);
    if (evicted)
        return;
    check_outcome(sim, task, field(entry, "outcome"));
    if (bytes_are(state, "completed"))
        check_truth(sim, task, field(entry, "outcome"));
}

static void on_unknown(struct sim *sim, struct bytes id)
{
    struct task_id unknown = {{0}};
    struct reader reader;
    reader_init(&reader, id);
    struct bytes bytes = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (bytes.size == TASK_ID_BYTES)
        memcpy(unknown.bytes, bytes.data, TASK_ID_BYTES);
    uint32_t task = sim_task_of(sim, &unknown);
    if (task != TASKS_MAX_SIM)
        check_is_unknown(sim, task);
}

/* QUERY cluster is alone in its batch (host.c): what it counts is what is on disk when it leaves. */
static void on_row(struct sim *sim, struct bytes row)
{
    struct bytes tasks = field(row, "tasks");
    const struct disk *disk = &sim->nodes[0].disk;
    if (tasks.size == 0 || field(row, "epoch").size == 0)
        return; /* a row of another QUERY */
    uint64_t granted = field_uint(tasks, "granted");
    uint64_t living = field_uint(tasks, "delayed") + field_uint(tasks, "ready") + granted;
    if (living != disk->tables[TABLE_STATES].count)
        violation(sim, 11, "the broker counts %llu living tasks and stores %zu", (unsigned long long)living,
                  disk->tables[TABLE_STATES].count);
    if (granted != sim->checks->books[0].open_count)
        violation(sim, 11, "the broker counts %llu granted tasks and stores grants of %u",
                  (unsigned long long)granted, sim->checks->books[0].open_count);
    if (field_uint(tasks, "ended") != sim->checks->ended)
        violation(sim, 11, "the broker counts %llu ended tasks and stores %u",
                  (unsigned long long)field_uint(tasks, "ended"), sim->checks->ended);
}

/* The record of a forgotten region says so, or is erased. Another one under its name may be there already, if
 * it came in the same batch. */
static void on_forgetting(struct sim *sim, struct bytes body)
{
    const struct book *book = &sim->checks->books[0];
    const struct disk_table *children = &sim->nodes[0].disk.tables[TABLE_CHILDREN];
    struct bytes name = field_text(body, "node");
    for (size_t i = 0; i < children->count; i++) {
        const struct branch *branch = book->branches[children->records[i].number];
        bool named = branch->node != 0 && bytes_are(name, sim->nodes[branch->node - 1].name);
        if (named && !branch->forgotten && branch->since_ns < sim->now_ns)
            violation(sim, 6, "FORGETTING leaves, and the broker's disk does not say that %s is forgotten",
                      sim->nodes[branch->node - 1].name);
    }
}

static const struct {
    enum message_kind kind;
    const char *list;
    void (*on_element)(struct sim *sim, struct bytes element);
} replies[] = {
    {MESSAGE_ACCEPTED, "tasks", on_accepted}, {MESSAGE_CANCELLING, "tasks", on_cancelling},
    {MESSAGE_RESULT, "results", on_result},   {MESSAGE_RESULT, "unknown", on_unknown},
    {MESSAGE_PENDING, "unknown", on_unknown}, {MESSAGE_ROWS, "rows", on_row},
};

void check_reply(struct sim *sim, const struct message_header *header)
{
    struct reader reader;
    if (header->kind == MESSAGE_FORGETTING)
        on_forgetting(sim, header->body);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        if (replies[i].kind != header->kind)
            continue;
        for (uint32_t left = field_array(header->body, replies[i].list, &reader); left > 0 && !sim->failed;
             left--)
            replies[i].on_element(sim, read_raw(&reader));
    }
}
