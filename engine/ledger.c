/* ledger.c - the verbs. See ledger.h. */
#include "engine/ledger.h"

#include "proto/assert.h"
#include "proto/bug.h"

static const struct task_id *id_of(const void *owner, uint32_t value)
{
    const struct ledger *ledger = owner;
    if (value & ENDED_BIT)
        return &ended_at(ledger->ended, value)->id;
    return &ledger_task(ledger, value)->id;
}

static bool timer_before(void *owner, uint32_t a, uint32_t b)
{
    const struct task *first = ledger_task(owner, a), *second = ledger_task(owner, b);
    return first->due_ns != second->due_ns ? first->due_ns < second->due_ns
                                           : first->arrival < second->arrival;
}

static void timer_place(void *owner, uint32_t item, uint32_t position)
{
    ledger_task(owner, item)->timer_position = position;
}

void ledger_init(struct ledger *ledger, const struct ledger_options *options, struct ended *ended)
{
    memset(ledger, 0, sizeof *ledger);
    slab_init(&ledger->tasks, sizeof(struct task), options->tasks_max);
    slab_init(&ledger->grants, sizeof(struct grant), options->tasks_max);
    map_init(&ledger->by_id, 0x9e3779b97f4a7c15ull, id_of, ledger);
    heap_init(&ledger->timers, (struct heap_owner){ledger, timer_before, timer_place});
    children_init(&ledger->children, &options->children, &ledger->classes);
    ledger->ended = ended;
    ledger->next_arrival = ledger->next_grant = 1;
}

void ledger_release(struct ledger *ledger)
{
    children_release(&ledger->children);
    classes_release(&ledger->classes);
    heap_release(&ledger->timers);
    map_release(&ledger->by_id);
    slab_release(&ledger->grants);
    slab_release(&ledger->tasks);
}

void ledger_begin_step(struct ledger *ledger, const struct event *event)
{
    ledger->now_ns = event->now_ns;
    ledger->wall_ms = event->wall_ms;
    children_begin_step(&ledger->children, event);
}

void ledger_end_step(struct ledger *ledger, struct outputs *outputs)
{
    grants_write(ledger, outputs);
    if (ledger->ended != NULL)
        ended_flush(ledger->ended, ledger->wall_ms, outputs);
}

uint32_t ledger_room(const struct ledger *ledger, const struct outputs *outputs)
{
    uint32_t room = outputs_room(outputs);
    return room > ledger->new_grants ? room - ledger->new_grants : 0;
}

uint32_t ledger_find(const struct ledger *ledger, const struct task_id *id)
{
    uint32_t value = map_find(&ledger->by_id, id);
    return value & ENDED_BIT ? 0 : value;
}

struct ended_entry *ledger_find_ended(const struct ledger *ledger, const struct task_id *id)
{
    uint32_t value = map_find(&ledger->by_id, id);
    return value & ENDED_BIT ? ended_at(ledger->ended, value) : NULL;
}

void ledger_move(struct ledger *ledger, struct task *task, enum task_state state)
{
    if (task->state != TASK_NONE) {
        ASSERT(ledger->counts[task->state] > 0);
        ledger->counts[task->state]--;
    }
    task_move(task, state);
    if (state != TASK_NONE)
        ledger->counts[state]++;
}

/* ---- timers ---- */

static uint64_t after_birth_ns(const struct task *task, uint64_t age_ms)
{
    int64_t at = task->born_ns + (int64_t)(age_ms * NANOSECONDS_PER_MS);
    return at < 0 ? 0 : (uint64_t)at;
}

static void set_timer(struct ledger *ledger, uint32_t index, uint64_t due_ns)
{
    struct task *task = ledger_task(ledger, index);
    task->due_ns = due_ns;
    if (task->timer_position != 0 && due_ns == DEADLINE_NEVER)
        heap_remove(&ledger->timers, task->timer_position);
    else if (task->timer_position != 0)
        heap_changed(&ledger->timers, task->timer_position);
    else if (due_ns != DEADLINE_NEVER) {
        bool room = heap_insert(&ledger->timers, index);
        ASSERT(room);
    }
}

void ledger_arm(struct ledger *ledger, uint32_t index)
{
    struct task *task = ledger_task(ledger, index);
    uint64_t due_ns = DEADLINE_NEVER;
    if (task->deadline_ms != 0 && task->state != TASK_ENDED &&
        !(task->flags & (TASK_EXPIRING | TASK_DEADLINE_BELOW)))
        due_ns = after_birth_ns(task, task->deadline_ms);
    if (task->state == TASK_DELAYED && task->due_ns < due_ns)
        due_ns = task->due_ns;
    set_timer(ledger, index, due_ns);
}

static void arm_granted(struct ledger *ledger, uint32_t index, uint64_t running_ms)
{
    ledger_arm(ledger, index);
    struct task *task = ledger_task(ledger, index);
    if (task->timeout_ms == 0 || task->flags & TASK_TIMED_OUT)
        return;
    uint64_t left_ms = running_ms < task->timeout_ms ? task->timeout_ms - running_ms : 0;
    uint64_t due_ns = ledger->now_ns + left_ms * NANOSECONDS_PER_MS;
    if (task->timer_position == 0 || due_ns < task->due_ns)
        set_timer(ledger, index, due_ns);
}

void ledger_arm_restored(struct ledger *ledger, uint32_t index)
{
    if (task_is_granted(ledger_task(ledger, index)))
        arm_granted(ledger, index, 0);
    else
        ledger_arm(ledger, index);
}

uint32_t ledger_due(const struct ledger *ledger)
{
    uint32_t index = heap_top(&ledger->timers);
    return index != 0 && ledger_task(ledger, index)->due_ns <= ledger->now_ns ? index : 0;
}

uint64_t ledger_deadline_ns(const struct ledger *ledger)
{
    uint32_t index = heap_top(&ledger->timers);
    return index == 0 ? DEADLINE_NEVER : ledger_task(ledger, index)->due_ns;
}

void ledger_wake(struct ledger *ledger, uint32_t index)
{
    struct task *task = ledger_task(ledger, index);
    ledger_move(ledger, task, TASK_READY);
    task->reason = REASON_NONE;
    ready_add(&ledger->ready, &ledger->tasks, index, READY_TAIL);
    ledger_arm(ledger, index);
}

bool ledger_is_expired(const struct ledger *ledger, const struct task *task)
{
    return task->deadline_ms != 0 && ledger->now_ns >= after_birth_ns(task, task->deadline_ms);
}

/* ---- accept ---- */

void ledger_put_state(struct ledger *ledger, uint32_t index, struct outputs *outputs)
{
    const struct task *task = ledger_task(ledger, index);
    task_record_write(outputs_put(outputs, TABLE_STATES, task->arrival, 0), task, ledger->now_ns,
                      ledger->wall_ms);
    outputs_put_end(outputs);
}

static void fill(struct ledger *ledger, struct task *task, const struct acceptance *acceptance)
{
    const struct task_fields *fields = acceptance->fields;
    task->id = acceptance->id;
    task->arrival = ledger->next_arrival++;
    task->body_hash = fields->body_hash;
    task->born_ns = (int64_t)ledger->now_ns - (int64_t)(acceptance->age_ms * NANOSECONDS_PER_MS);
    task->fence = acceptance->fence;
    task->envelope_size = (uint32_t)acceptance->envelope.size;
    task->timeout_ms = (uint32_t)fields->timeout_ms;
    task->deadline_ms = (uint32_t)fields->deadline_ms;
    task->retries = (uint16_t)fields->retries;
    task->priority = fields->priority & 15;
    task->flags = acceptance->flags;
    task->reruns = acceptance->reruns;
}

uint32_t ledger_accept(struct ledger *ledger, const struct acceptance *acceptance, struct outputs *outputs)
{
    const struct task_fields *fields = acceptance->fields;
    bool reused;
    uint16_t class = classes_of(&ledger->classes, fields, outputs, &reused);
    if (reused)
        children_forget_class(&ledger->children, class);
    uint32_t index = class == 0 ? 0 : slab_take(&ledger->tasks);
    if (index == 0)
        return 0;
    struct task *task = ledger_task(ledger, index);
    fill(ledger, task, acceptance);
    task->class = class;
    if (!slab_reserve(&ledger->grants, ledger->tasks.live) || !map_put(&ledger->by_id, &task->id, index)) {
        slab_give(&ledger->tasks, index);
        return 0;
    }
    ledger->classes.tasks[class]++;
    outputs_put(outputs, TABLE_ENVELOPES, task->arrival, 0);
    outputs_put_borrow(outputs, acceptance->envelope);
    outputs_put_end(outputs);
    if (fields->delay_ms > acceptance->age_ms) {
        task->due_ns = after_birth_ns(task, fields->delay_ms);
        task->reason = REASON_DELAY;
        ledger_move(ledger, task, TASK_DELAYED);
    } else {
        ledger_move(ledger, task, TASK_READY);
        ready_add(&ledger->ready, &ledger->tasks, index, READY_TAIL);
    }
    ledger_arm(ledger, index);
    if (!BUG(ACCEPTED_UNSTORED))
        ledger_put_state(ledger, index, outputs);
    outputs_trace(outputs, TRACE_TASK_ACCEPTED, &task->id, task->arrival, 0);
    return index;
}

/* ---- assign, stop ---- */

struct child *ledger_holder(const struct ledger *ledger, const struct task *task)
{
    if (task->grant == 0)
        return NULL;
    const struct grant *grant = slab_at(&ledger->grants, task->grant);
    return children_by_number(&ledger->children, grant->child);
}

static void send_assign(struct ledger *ledger, struct task *task, struct child *child,
                        struct outputs *outputs)
{
    struct assign_entry entry = {
        .id = task->id,
        .fence = task->fence,
        .age_ms = task_age_ms(task, ledger->now_ns),
        .flags = task->flags & TASK_DUP_POSSIBLE ? ASSIGN_DUP_POSSIBLE : 0,
        .attempt = task_attempt(task),
        .attempts_max = task_attempts_max(task),
    };
    uint32_t message;
    assign_entry_write_head(outputs_entry(outputs, child->peer, MESSAGE_ASSIGN, &child->link,
                                          ASSIGN_HEAD_BYTES + task->envelope_size, &message),
                            &entry);
    outputs_message_record(outputs, TABLE_ENVELOPES, task->arrival, 0, task->envelope_size);
    outputs_entry_end(outputs);
    task->stamp = child->stamp;
    task->flags &= (uint8_t)~TASK_STOPPED;
}

void ledger_assign(struct ledger *ledger, uint32_t index, struct child *child, struct fence fence,
                   struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    ASSERT(task->state == TASK_READY);
    ASSERT(fence_compare(fence, task->fence) > 0);
    ready_take(&ledger->ready, &ledger->tasks, index);
    task->fence = fence;
    task->flags &= (uint8_t)~TASK_GRANT_LOST;
    task->reason = REASON_SENT;
    if (task->first_grant_ms == 0)
        task->first_grant_ms = (uint32_t)task_age_ms(task, ledger->now_ns) + 1;
    ledger_move(ledger, task, TASK_GRANTED);
    grant_add(ledger, index, child, outputs);
    arm_granted(ledger, index, 0);
    send_assign(ledger, task, child, outputs);
    outputs_trace(outputs, TRACE_TASK_GRANTED, &task->id, child->number, 0);
}

void ledger_assign_again(struct ledger *ledger, uint32_t index, struct child *child, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    ASSERT(task_is_granted(task));
    if (BUG(ASSIGN_NOT_REPEATED)) {
        task->stamp = child->stamp;
        return;
    }
    send_assign(ledger, task, child, outputs);
    outputs_trace(outputs, TRACE_TASK_REGRANTED, &task->id, child->number, 0);
}

void ledger_stop(struct ledger *ledger, uint32_t index, enum stop_mode mode, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    struct child *child = ledger_holder(ledger, task);
    ASSERT(child != NULL);
    if (child->peer == 0 || task->flags & TASK_STOPPED || task->stamp != child->stamp)
        return; /* sent when the child claims it in its next session */
    task->flags |= TASK_STOPPED;
    struct stop_entry entry = {.id = task->id, .fence = task->fence, .mode = mode};
    uint32_t message;
    stop_entry_write(
        outputs_entry(outputs, child->peer, MESSAGE_STOP, &child->link, ASSIGN_HEAD_BYTES, &message), &entry);
    outputs_entry_end(outputs);
}

void ledger_mark_running(struct ledger *ledger, uint32_t index, uint64_t running_ms)
{
    struct task *task = ledger_task(ledger, index);
    if (task->state == TASK_GRANTED)
        ledger_move(ledger, task, TASK_RUNNING);
    task->reason = REASON_NONE;
    arm_granted(ledger, index, running_ms);
}

/* ---- requeue, end, forget ---- */

void ledger_requeue(struct ledger *ledger, uint32_t index, enum ready_end end, uint64_t delay_ms,
                    enum task_reason reason, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    ASSERT(task_is_granted(task));
    grant_remove(ledger, index, outputs);
    task->flags &= (uint8_t) ~(TASK_STOPPED | TASK_TIMED_OUT | TASK_EXPIRING | TASK_DEADLINE_BELOW);
    task->reason = (uint8_t)reason;
    if (delay_ms > 0) {
        ledger_move(ledger, task, TASK_DELAYED);
        task->due_ns = ledger->now_ns + delay_ms * NANOSECONDS_PER_MS;
    } else {
        ledger_move(ledger, task, TASK_READY);
        ready_add(&ledger->ready, &ledger->tasks, index, end);
    }
    ledger_arm(ledger, index);
    ledger_put_state(ledger, index, outputs);
}

/* Out of its queue or grant, and no timer. */
static void detach(struct ledger *ledger, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    if (task->state == TASK_READY)
        ready_remove(&ledger->ready, &ledger->tasks, index);
    if (task->grant != 0)
        grant_remove(ledger, index, outputs);
    set_timer(ledger, index, DEADLINE_NEVER);
}

void ledger_keep_ended(struct ledger *ledger, uint32_t index, enum task_end end, uint32_t outcome_size,
                       struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    detach(ledger, index, outputs);
    ledger_move(ledger, task, TASK_ENDED);
    task->end = end & 15;
    task->outcome_size = outcome_size;
    outputs_erase(outputs, TABLE_ENVELOPES, task->arrival);
    ledger_put_state(ledger, index, outputs);
    outputs_trace(outputs, TRACE_TASK_ENDED, &task->id, end, 0);
}

void ledger_forget(struct ledger *ledger, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, index);
    if (task->state != TASK_ENDED) {
        detach(ledger, index, outputs);
        outputs_erase(outputs, TABLE_ENVELOPES, task->arrival);
    }
    outputs_erase(outputs, TABLE_STATES, task->arrival);
    if (task->history_size > 0)
        outputs_erase(outputs, TABLE_ATTEMPTS, task->arrival);
    map_remove(&ledger->by_id, &task->id);
    ASSERT(ledger->classes.tasks[task->class] > 0);
    ledger->classes.tasks[task->class]--;
    ledger_move(ledger, task, TASK_NONE);
    slab_give(&ledger->tasks, index);
}
