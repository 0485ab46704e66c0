/* ledger_grants.c - which child has which task, and the records that say so.
 *
 * A grant is the tasks given to one child in one step (at most GRANT_TASKS_MAX). Its record is written once,
 * at the end of the step; when its last task has moved on it is erased; when under a quarter is left it is
 * written again with those, so that one straggler does not keep a large record for ever. */
#include "engine/ledger.h"
#include "proto/assert.h"
#include "proto/bug.h"

enum { GRANT_ENTRY_BYTES = 8 + FENCE_BYTES, ROOM_LEFT = 64 };

static struct grant *at(const struct ledger *ledger, uint32_t index)
{
    return slab_at(&ledger->grants, index);
}

static void mark_dirty(struct ledger *ledger, uint32_t index)
{
    struct grant *grant = at(ledger, index);
    if (grant->dirty)
        return;
    grant->dirty = true;
    grant->next_dirty = ledger->first_dirty;
    ledger->first_dirty = index;
}

static uint32_t grant_new(struct ledger *ledger, struct child *child, uint64_t number)
{
    uint32_t index = slab_take(&ledger->grants);
    ASSERT(index != 0); /* never more grants than tasks: each reserved one */
    struct grant *grant = at(ledger, index);
    grant->number = number;
    grant->child = child->number;
    grant->previous = child->last_grant;
    if (child->last_grant != 0)
        at(ledger, child->last_grant)->next = index;
    else
        child->first_grant = index;
    child->last_grant = index;
    return index;
}

static void grant_free(struct ledger *ledger, uint32_t index, struct child *child)
{
    struct grant *grant = at(ledger, index);
    if (grant->previous != 0)
        at(ledger, grant->previous)->next = grant->next;
    else
        child->first_grant = grant->next;
    if (grant->next != 0)
        at(ledger, grant->next)->previous = grant->previous;
    else
        child->last_grant = grant->previous;
    if (child->open_grant == index)
        child->open_grant = 0;
    if (child->sweep_grant == index)
        child->sweep_grant = grant->next;
    slab_give(&ledger->grants, index);
}

static void link_task(struct ledger *ledger, uint32_t task_index, uint32_t grant_index, struct child *child)
{
    struct task *task = ledger_task(ledger, task_index);
    struct grant *grant = at(ledger, grant_index);
    task->grant = grant_index;
    task->previous = 0;
    task->next = grant->first;
    if (grant->first != 0)
        ledger_task(ledger, grant->first)->previous = task_index;
    grant->first = task_index;
    grant->live++;
    child->granted++;
    child_class(&ledger->children, child, task->class)->granted++;
}

void grant_add(struct ledger *ledger, uint32_t task, struct child *child, struct outputs *outputs)
{
    (void)outputs; /* the record is put at the end of the step */
    if (child->open_grant == 0 || at(ledger, child->open_grant)->live == GRANT_TASKS_MAX) {
        child->open_grant = grant_new(ledger, child, ledger->next_grant++);
        ledger->new_grants++;
    }
    mark_dirty(ledger, child->open_grant);
    link_task(ledger, task, child->open_grant, child);
}

void grant_remove(struct ledger *ledger, uint32_t task_index, struct outputs *outputs)
{
    struct task *task = ledger_task(ledger, task_index);
    uint32_t index = task->grant;
    struct grant *grant = at(ledger, index);
    struct child *child = children_by_number(&ledger->children, grant->child);
    ASSERT(child != NULL && grant->live > 0);
    if (task->next != 0)
        ledger_task(ledger, task->next)->previous = task->previous;
    if (task->previous != 0)
        ledger_task(ledger, task->previous)->next = task->next;
    else
        grant->first = task->next;
    task->next = task->previous = task->grant = 0;
    grant->live--;
    ASSERT(child->granted > 0);
    child->granted--;
    child_class(&ledger->children, child, task->class)->granted--;
    if (grant->live == 0 && !grant->dirty) {
        outputs_erase(outputs, TABLE_GRANTS, grant->number);
        grant_free(ledger, index, child);
    } else if (grant->total >= GRANT_REWRITE_MIN && grant->live * 4 < grant->total) {
        mark_dirty(ledger, index);
        outputs_trace(outputs, TRACE_GRANT_REWRITTEN, NULL, grant->number, grant->live);
    }
}

/* child u32, then (arrival u64, fence 12 bytes) each; big-endian. */
static void put_record(const struct ledger *ledger, const struct grant *grant, struct outputs *outputs)
{
    if (BUG(GRANT_NOT_DURABLE))
        return;
    struct writer *writer = outputs_put(outputs, TABLE_GRANTS, grant->number, 0);
    uint8_t head[4] = {(uint8_t)(grant->child >> 24), (uint8_t)(grant->child >> 16),
                       (uint8_t)(grant->child >> 8), (uint8_t)grant->child};
    write_raw(writer, (struct bytes){head, sizeof head});
    for (uint32_t index = grant->first; index != 0; index = ledger_task(ledger, index)->next) {
        const struct task *task = ledger_task(ledger, index);
        uint8_t entry[GRANT_ENTRY_BYTES];
        patch_uint64(entry, 0, task->arrival);
        fence_encode(task->fence, entry + 8);
        write_raw(writer, (struct bytes){entry, sizeof entry});
    }
    outputs_put_end(outputs);
}

void grants_write(struct ledger *ledger, struct outputs *outputs)
{
    uint32_t next, postponed = 0;
    for (uint32_t index = ledger->first_dirty; index != 0; index = next) {
        struct grant *grant = at(ledger, index);
        struct child *child = children_by_number(&ledger->children, grant->child);
        next = grant->next_dirty;
        if (grant->live == 0 && outputs_room(outputs) < ROOM_LEFT) { /* only to be erased: that can wait */
            grant->next_dirty = postponed;
            postponed = index;
            continue;
        }
        grant->dirty = false;
        if (child->open_grant == index)
            child->open_grant = 0;
        if (grant->live == 0) {
            if (grant->total > 0)
                outputs_erase(outputs, TABLE_GRANTS, grant->number);
            grant_free(ledger, index, child);
            continue;
        }
        grant->total = grant->live;
        put_record(ledger, grant, outputs);
    }
    ledger->first_dirty = postponed;
    ledger->new_grants = 0;
}

/* Arrival numbers rise with the slab's indices while a store is restored: find by bisection. */
static uint32_t restored_task(const struct ledger *ledger, uint64_t arrival)
{
    uint32_t low = 1, high = ledger->tasks.next_fresh;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ledger_task(ledger, middle)->arrival < arrival)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < ledger->tasks.next_fresh && ledger_task(ledger, low)->arrival == arrival;
    return found ? low : 0;
}

static uint64_t big_endian(const uint8_t *from, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

/* Out of a grant that an older record gave it: a later one has a higher fence. */
static void supersede(struct ledger *ledger, uint32_t task_index)
{
    struct task *task = ledger_task(ledger, task_index);
    struct grant *grant = at(ledger, task->grant);
    struct child *child = children_by_number(&ledger->children, grant->child);
    if (task->next != 0)
        ledger_task(ledger, task->next)->previous = task->previous;
    if (task->previous != 0)
        ledger_task(ledger, task->previous)->next = task->next;
    else
        grant->first = task->next;
    grant->live--;
    child->granted--;
    child_class(&ledger->children, child, task->class)->granted--;
}

bool grants_restore(struct ledger *ledger, uint64_t number, struct bytes record)
{
    if (record.size < 4 || (record.size - 4) % GRANT_ENTRY_BYTES != 0)
        return false;
    struct child *child = children_by_number(&ledger->children, (uint32_t)big_endian(record.data, 4));
    if (child == NULL)
        return false;
    uint32_t grant = grant_new(ledger, child, number);
    at(ledger, grant)->total = (uint32_t)((record.size - 4) / GRANT_ENTRY_BYTES);
    for (size_t offset = 4; offset < record.size; offset += GRANT_ENTRY_BYTES) {
        uint64_t arrival = big_endian(record.data + offset, 8);
        uint32_t index = restored_task(ledger, arrival);
        if (arrival >= ledger->next_arrival)
            ledger->next_arrival = arrival + 1; /* of a task that is gone: no other may be taken for it */
        struct fence fence = fence_decode(record.data + offset + 8);
        struct task *task = index == 0 ? NULL : ledger_task(ledger, index);
        if (task == NULL || task->state == TASK_ENDED || fence_compare(fence, task->fence) <= 0)
            continue; /* it has moved on since */
        if (task->grant != 0)
            supersede(ledger, index);
        task->fence = fence;
        link_task(ledger, index, grant, child);
    }
    if (number >= ledger->next_grant)
        ledger->next_grant = number + 1;
    return true;
}
