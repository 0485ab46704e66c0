/* check_store.c - what each batch does to the stores: the books of the broker and the regions, and the
 * records that may not change or go yet. Everything is looked at before the batch is applied, with the old
 * records in place. */
#include <stdlib.h>

#include "engine/task.h"
#include "proto/assert.h"
#include "sim/check.h"

enum { NUMBERS_MAX = 1 << 22, GRANT_HEAD = 4, GRANT_ENTRY = 8 + FENCE_BYTES };

void book_init(struct sim *sim, struct book *book)
{
    *book = (struct book){.tasks = take_memory(sim->options.tasks, sizeof *book->tasks),
                          .open = take_memory(sim->options.tasks, sizeof *book->open),
                          .touched = take_memory(sim->options.tasks, sizeof *book->touched)};
    for (uint32_t task = 0; task < sim->options.tasks; task++)
        book->tasks[task].ready_ns = NEVER;
}

void book_release(struct book *book)
{
    for (size_t i = 0; i < book->grant_count; i++)
        free(book->grants[i].tasks);
    for (size_t i = 0; i < book->branch_count; i++)
        free(book->branches[i]);
    free(book->tasks);
    free(book->task_of);
    free(book->grants);
    free(book->branches);
    free(book->open);
    free(book->touched);
}

/* Room for index `number` in an array of zeroes; NULL if no store has such numbers. */
static void *grown(void *array, size_t *count, size_t size, uint64_t number)
{
    if (number >= NUMBERS_MAX)
        return NULL;
    size_t wanted = *count;
    while (wanted <= number)
        wanted = wanted == 0 ? 64 : 2 * wanted;
    if (wanted == *count)
        return array;
    array = realloc(array, wanted * size);
    ASSERT(array != NULL);
    memset((uint8_t *)array + *count * size, 0, (wanted - *count) * size);
    *count = wanted;
    return array;
}

uint32_t book_task_of(const struct sim *sim, const struct sim_node *node, uint64_t arrival)
{
    const struct book *book = &sim->checks->books[node->index];
    return arrival < book->task_of_count && book->task_of[arrival] != 0 ? book->task_of[arrival] - 1
                                                                        : TASKS_MAX_SIM;
}

bool on_disk(const struct sim *sim, const struct sim_node *node, enum table table, uint32_t task)
{
    uint64_t arrival = check_booked(sim, node->index, task)->arrival;
    return arrival != 0 && disk_find(&node->disk, table, arrival) != NULL;
}

uint32_t book_holder(const struct book *book, const struct booked *booked)
{
    bool known = booked->child < book->branch_count && book->branches[booked->child] != NULL;
    return known ? book->branches[booked->child]->node - 1 : 0;
}

/* ---- open grants: counted anew for each task that a batch touches ---- */

static bool is_open(const struct booked *booked)
{
    return booked->stored && booked->state != TASK_ENDED && booked->grant != 0 &&
           fence_compare(booked->granted, booked->ended) > 0;
}

static struct branch *branch_of(const struct book *book, const struct booked *booked)
{
    return booked->child < book->branch_count ? book->branches[booked->child] : NULL;
}

/* Before anything of it changes: out of the counts. */
static struct booked *touch(struct sim *sim, struct book *book, uint32_t task)
{
    struct booked *booked = &book->tasks[task];
    if (booked->touched)
        return booked;
    booked->touched = true;
    booked->granted_now = false;
    book->touched[book->touched_count++] = task;
    if (booked->open == 0)
        return booked;
    struct branch *branch = branch_of(book, booked);
    if (branch != NULL) {
        branch->granted--;
        branch->by_class[sim->workload->tasks[task].class]--;
    }
    uint32_t last = book->open[--book->open_count];
    book->open[booked->open - 1] = last;
    book->tasks[last].open = booked->open;
    booked->open = 0;
    return booked;
}

static void count_touched(struct sim *sim, const struct sim_node *node, struct book *book)
{
    for (uint32_t i = 0; i < book->touched_count; i++) {
        uint32_t task = book->touched[i];
        struct booked *booked = &book->tasks[task];
        booked->touched = false;
        booked->orphan_ns = 0;
        if (!is_open(booked))
            continue;
        struct branch *branch = branch_of(book, booked);
        progress_waits(sim, book, task, NEVER);
        book->open[book->open_count++] = task;
        booked->open = book->open_count;
        if (branch == NULL) {
            violation(sim, 9, "%s grants task %u to child %u, which it has no record of", node->name, task,
                      booked->child);
            continue;
        }
        branch->granted++;
        branch->by_class[sim->workload->tasks[task].class]++;
    }
    for (uint32_t i = 0; i < book->touched_count && !sim->failed; i++) {
        const struct booked *booked = &book->tasks[book->touched[i]];
        if (booked->granted_now && booked->open != 0)
            room_granted(sim, node, branch_of(book, booked), book->touched[i]);
    }
    book->touched_count = 0;
}

/* ---- the scheduler's records ---- */

/* The task has this number in the store from now on. */
static struct booked *number_task(struct sim *sim, const struct sim_node *node, struct book *book,
                                  uint64_t number, uint32_t task)
{
    uint32_t *task_of = grown(book->task_of, &book->task_of_count, sizeof *task_of, number);
    struct booked *booked = touch(sim, book, task);
    if (task_of == NULL) {
        violation(sim, 0, "%s gives task %u the number %llu", node->name, task, (unsigned long long)number);
        return booked;
    }
    book->task_of = task_of;
    book->task_of[number] = task + 1;
    booked->arrival = number;
    booked->stored = booked->answered = false;
    booked->grant = 0;
    return booked;
}

static void on_envelope(struct sim *sim, const struct sim_node *node, struct book *book, uint64_t number,
                        struct bytes value)
{
    struct task_id id;
    uint32_t task = field_bin(value, "id", &id, sizeof id) ? sim_task_of(sim, &id) : TASKS_MAX_SIM;
    if (task == TASKS_MAX_SIM)
        violation(sim, 0, "%s: envelope %llu is of no task that was submitted", node->name,
                  (unsigned long long)number);
    else
        number_task(sim, node, book, number, task);
}

/* Since when it could be granted: at once, or when its delay or pause is over. */
static uint64_t ready_ns(const struct sim *sim, const struct task *state)
{
    if (state->state == TASK_DELAYED)
        return state->due_ns > sim->now_ns ? state->due_ns : sim->now_ns;
    return state->state == TASK_READY ? sim->now_ns : NEVER;
}

/* A region's state names the last grant that has ended: recorded, if that end was reported. */
static void on_state(struct sim *sim, const struct sim_node *node, struct book *book, uint64_t number,
                     struct bytes value)
{
    struct task state; /* no wall clock has passed for it: it was written now */
    uint32_t task =
        task_record_read(value, &state, sim->now_ns, 0) ? sim_task_of(sim, &state.id) : TASKS_MAX_SIM;
    if (task == TASKS_MAX_SIM) {
        violation(sim, 0, "%s: state %llu cannot be read, or is of no task that was submitted", node->name,
                  (unsigned long long)number);
        return;
    }
    struct booked *booked = touch(sim, book, task);
    if (booked->arrival != number)
        booked = number_task(sim, node, book, number, task); /* an ended one has no envelope */
    booked->stored = true;
    booked->state = state.state;
    booked->flags = state.flags;
    booked->custody = (uint32_t)state.custody;
    booked->ended = state.fence;
    progress_waits(sim, book, task, ready_ns(sim, &state));
    struct attempt *attempt = is_broker(node) ? NULL : check_attempt(sim, task, state.fence);
    if (attempt != NULL)
        attempt->recorded |= attempt->reported;
}

static uint64_t big_endian(const uint8_t *from, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

static void forget_grant(struct sim *sim, struct book *book, uint64_t number)
{
    if (number >= book->grant_count)
        return;
    struct grant_record *record = &book->grants[number];
    for (uint32_t i = 0; i < record->count; i++)
        if (book->tasks[record->tasks[i]].grant == number)
            touch(sim, book, record->tasks[i])->grant = 0;
    free(record->tasks);
    *record = (struct grant_record){.count = 0};
}

/* A grant record: child u32, then (arrival u64, fence) each. */
static void on_grant(struct sim *sim, const struct sim_node *node, struct book *book, uint64_t number,
                     struct bytes value)
{
    struct grant_record *grants = grown(book->grants, &book->grant_count, sizeof *grants, number);
    if (grants == NULL || value.size < GRANT_HEAD || (value.size - GRANT_HEAD) % GRANT_ENTRY != 0) {
        violation(sim, 0, "%s: grant %llu cannot be read", node->name, (unsigned long long)number);
        return;
    }
    book->grants = grants;
    forget_grant(sim, book, number);
    struct grant_record *record = &book->grants[number];
    record->tasks = take_memory((value.size - GRANT_HEAD) / GRANT_ENTRY, sizeof *record->tasks);
    for (size_t at = GRANT_HEAD; at < value.size; at += GRANT_ENTRY) {
        uint32_t task = book_task_of(sim, node, big_endian(value.data + at, 8));
        struct fence fence = fence_decode(value.data + at + 8);
        if (task == TASKS_MAX_SIM)
            continue; /* it has ended since, and its number is nobody's */
        record->tasks[record->count++] = task;
        struct booked *booked = touch(sim, book, task);
        int order = fence_compare(fence, booked->granted);
        if (order < 0 || big_endian(value.data + at, 8) != booked->arrival)
            continue; /* it has been granted again since */
        booked->granted_now |= order > 0;
        booked->granted = fence;
        booked->grant = number;
        booked->child = (uint32_t)big_endian(value.data, GRANT_HEAD);
    }
}

/* [name, instance, boot, forgotten] */
static void on_child(struct sim *sim, const struct sim_node *node, struct book *book, uint64_t number,
                     struct bytes value)
{
    struct reader reader;
    struct branch **branches = grown(book->branches, &book->branch_count, sizeof *branches, number);
    reader_init(&reader, value);
    uint32_t fields = read_array(&reader, 16);
    struct bytes name = read_str(&reader, 1, NAME_BYTES_MAX);
    read_skip(&reader, 2, 0);
    bool forgotten = fields > 3 && read_bool(&reader);
    if (branches == NULL || reader_failed(&reader)) {
        violation(sim, 0, "%s: child %llu cannot be read", node->name, (unsigned long long)number);
        return;
    }
    book->branches = branches;
    if (branches[number] == NULL)
        branches[number] = take_memory(1, sizeof **branches);
    struct branch *branch = branches[number];
    if (disk_find(&node->disk, TABLE_CHILDREN, number) == NULL) { /* after a restart numbers come again */
        branch->node = 0;
        branch->since_ns = sim->now_ns;
    }
    branch->forgotten = forgotten;
    for (uint32_t i = 1; i < sim->node_count; i++) {
        const struct sim_node *child = &sim->nodes[i];
        const char *short_name = is_worker(child) ? strchr(child->name, '/') + 1 : child->name;
        if (child->parent == node->index && bytes_are(name, short_name))
            branch->node = i + 1;
    }
}

/* [wall_ms, [id, hash, size, arrival and bits], ...]: the low two bits are the end. */
static void on_ended(struct sim *sim, struct bytes value)
{
    struct reader reader;
    reader_init(&reader, value);
    uint32_t fields = read_array(&reader, INVENTORY_ROWS_MAX);
    read_uint(&reader, UINT64_MAX);
    for (uint32_t i = 1; i < fields && !reader_failed(&reader); i++) {
        struct task_id id = {{0}};
        uint32_t parts = read_array(&reader, 16);
        struct bytes bytes = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
        if (bytes.size == TASK_ID_BYTES)
            memcpy(id.bytes, bytes.data, TASK_ID_BYTES);
        read_skip(&reader, parts < 3 ? parts : 3, 1);
        uint8_t end = 1 + (read_uint(&reader, UINT64_MAX) & 3);
        read_skip(&reader, parts, 4);
        uint32_t task = sim_task_of(sim, &id);
        if (task == TASKS_MAX_SIM || reader_failed(&reader)) {
            violation(sim, 0, "a record of ended ids that cannot be read");
            return;
        }
        struct checked *checked = &sim->checks->tasks[task];
        if (checked->now.recorded_end == 0)
            sim->checks->ended++;
        else if (checked->now.recorded_end != end)
            violation(sim, 2, "the end of task %u was recorded as %s, now as %s", task,
                      task_end_text((enum task_end)(checked->now.recorded_end - 1)),
                      task_end_text((enum task_end)(end - 1)));
        checked->now.recorded_end = end;
    }
}

/* ---- puts ---- */

static void on_outcome(struct sim *sim, const struct sim_node *node, const struct disk_put *put)
{
    const struct disk_record *old = disk_find(&node->disk, put->table, put->number);
    uint32_t task = book_task_of(sim, node, put->number);
    if (is_broker(node) && old != NULL && !bytes_equal(old->value, put->value))
        violation(sim, 2, "the broker writes another outcome of task %u, recorded as arrival %llu", task,
                  (unsigned long long)put->number);
    if (!is_broker(node) && task != TASKS_MAX_SIM)
        check_booked(sim, node->index, task)->answered = false;
}

typedef void (*on_record)(struct sim *, const struct sim_node *, struct book *, uint64_t number,
                          struct bytes);

static const on_record records[TABLE_COUNT] = {
    [TABLE_ENVELOPES] = on_envelope,
    [TABLE_STATES] = on_state,
    [TABLE_GRANTS] = on_grant,
    [TABLE_CHILDREN] = on_child,
};

static void on_put(struct sim *sim, struct sim_node *node, const struct disk_put *put)
{
    if (put->table == TABLE_ENDED)
        on_ended(sim, put->value);
    else if (put->table == TABLE_OUTCOMES)
        on_outcome(sim, node, put);
    else if (records[put->table] != NULL)
        records[put->table](sim, node, &sim->checks->books[node->index], put->number, put->value);
}

/* ---- erases ---- */

/* A child's outcome may go when its parent has answered for it, or wants the task run anew. */
static void on_outcome_erased(struct sim *sim, const struct sim_node *node, uint64_t number)
{
    uint32_t task = book_task_of(sim, node, number);
    if (task == TASKS_MAX_SIM || is_broker(node))
        return;
    const struct booked *booked = check_booked(sim, node->index, task);
    bool begun_anew = booked->arrival != number || booked->arrived_custody > booked->custody;
    if (!booked->answered && !begun_anew)
        violation(sim, 10,
                  "%s drops the outcome of task %u, held under custody %u, and no SETTLED for it has come",
                  node->name, task, booked->custody);
}

static void on_spool_erased(struct sim *sim, const struct sim_node *node, struct bytes value)
{
    struct reader reader;
    struct outcome_entry entry;
    reader_init(&reader, value);
    uint32_t task = outcome_entry_read(&reader, &entry) ? sim_task_of(sim, &entry.id) : TASKS_MAX_SIM;
    const struct attempt *attempt = task == TASKS_MAX_SIM ? NULL : check_attempt(sim, task, entry.fence);
    if (attempt != NULL && !attempt->settled)
        violation(sim, 10,
                  "%s drops the outcome of task %u under %s from its spool, and no SETTLED for it has come",
                  node->name, task, check_fence_text(entry.fence, 0));
}

static void on_erase(struct sim *sim, struct sim_node *node, const struct write *erase)
{
    const struct disk_record *record = disk_find(&node->disk, erase->table, erase->number);
    if (erase->table == TABLE_SPOOL && record != NULL) {
        on_spool_erased(sim, node, record->value);
        return;
    }
    if (is_worker(node))
        return;
    struct book *book = &sim->checks->books[node->index];
    uint32_t task = erase->table == TABLE_STATES ? book_task_of(sim, node, erase->number) : TASKS_MAX_SIM;
    if (erase->table == TABLE_OUTCOMES && record != NULL)
        on_outcome_erased(sim, node, erase->number);
    else if (erase->table == TABLE_GRANTS)
        forget_grant(sim, book, erase->number);
    else if (task != TASKS_MAX_SIM && book->tasks[task].arrival == erase->number) {
        touch(sim, book, task)->stored = false;
        progress_waits(sim, book, task, NEVER);
    }
}

void check_before_commit(struct sim *sim, struct sim_node *node, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->put_count && !sim->failed && !is_worker(node); i++)
        on_put(sim, node, &batch->puts[i]);
    for (uint32_t i = 0; i < batch->erase_count && !sim->failed; i++)
        on_erase(sim, node, &batch->erases[i]);
    if (!is_worker(node))
        count_touched(sim, node, &sim->checks->books[node->index]);
}

/* ---- acknowledged tasks ---- */

static void check_accepted(struct sim *sim, uint32_t task)
{
    const struct checked *checked = &sim->checks->tasks[task];
    const struct sim_node *broker = &sim->nodes[0];
    bool lives = on_disk(sim, broker, TABLE_STATES, task) && on_disk(sim, broker, TABLE_ENVELOPES, task);
    if (checked->now.accepted_ns != 0 && checked->now.recorded_end == 0 && !lives)
        violation(sim, 1, "accepted task %u is neither ended nor alive at the broker", task);
}

void check_after_commit(struct sim *sim, struct sim_node *node, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->erase_count && is_broker(node); i++) {
        uint32_t task = book_task_of(sim, node, batch->erases[i].number);
        if (batch->erases[i].table == TABLE_STATES && task != TASKS_MAX_SIM)
            check_accepted(sim, task);
    }
}

/* A region that restarts has forgotten what it had not yet written. */
static void forget_reports(struct sim *sim, uint32_t region)
{
    for (uint32_t task = 0; task < sim->options.tasks; task++) {
        struct checked *checked = &sim->checks->tasks[task];
        for (uint32_t i = 0; i < checked->attempt_count; i++)
            if (checked->attempts[i].region == region)
                checked->attempts[i].reported = false;
    }
}

/* Delays go on as the wall clock says: where it was set back, from the age that the record has. */
static void wait_again(struct sim *sim, const struct sim_node *node, struct book *book)
{
    const struct disk_table *states = &node->disk.tables[TABLE_STATES];
    for (size_t i = 0; i < states->count; i++) {
        struct task state;
        uint32_t task = book_task_of(sim, node, states->records[i].number);
        if (task == TASKS_MAX_SIM || book->tasks[task].open != 0 ||
            !task_record_read(states->records[i].value, &state, sim->now_ns, node_wall_ms(sim, node)) ||
            state.state != TASK_DELAYED)
            continue;
        progress_waits(sim, book, task, NEVER);
        progress_waits(sim, book, task, ready_ns(sim, &state));
    }
}

void check_restart(struct sim *sim, struct sim_node *node)
{
    if (!is_worker(node))
        wait_again(sim, node, &sim->checks->books[node->index]);
    for (uint32_t task = 0; task < sim->options.tasks && is_broker(node); task++)
        check_accepted(sim, task);
    if (is_worker(node))
        attempts_restart(sim, node);
    else if (!is_broker(node))
        forget_reports(sim, node->index);
}

void check_store_replaced(struct sim *sim, struct sim_node *node)
{
    static const enum table tables[] = {TABLE_CHILDREN, TABLE_ENVELOPES, TABLE_STATES, TABLE_GRANTS};
    if (is_worker(node))
        return;
    struct book *book = &sim->checks->books[node->index];
    book_release(book);
    book_init(sim, book);
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        const struct disk_table *in = &node->disk.tables[tables[t]];
        for (size_t i = 0; i < in->count; i++)
            records[tables[t]](sim, node, book, in->records[i].number, in->records[i].value);
    }
    for (uint32_t i = 0; i < book->touched_count; i++)
        book->tasks[book->touched[i]].granted_now = false;
    count_touched(sim, node, book);
}
