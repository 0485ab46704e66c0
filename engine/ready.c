/* ready.c - see ready.h. */
#include "engine/ready.h"

#include "proto/assert.h"
#include "proto/bug.h"

/* Stride scheduling (Waldspurger 1995): each priority pays STRIDE / weight per task; the least paid is next.
 */
static const uint64_t stride[PRIORITY_COUNT] = {1, 4, 16, 64};

static struct task *at(const struct slab *tasks, uint32_t index)
{
    return slab_at(tasks, index);
}

static void ring_add(struct ready *ready, uint16_t class)
{
    struct ready_class *self = &ready->classes[class];
    if (ready->ring == 0) {
        self->next = self->previous = class;
        ready->ring = class;
    } else {
        struct ready_class *first = &ready->classes[ready->ring];
        self->next = ready->ring;
        self->previous = first->previous;
        ready->classes[first->previous].next = class;
        first->previous = class;
    }
    ready->ring_count++;
}

static void ring_remove(struct ready *ready, uint16_t class)
{
    struct ready_class *self = &ready->classes[class];
    ready->ring_count--;
    if (self->next == class) {
        ready->ring = 0;
        return;
    }
    ready->classes[self->previous].next = self->next;
    ready->classes[self->next].previous = self->previous;
    if (ready->ring == class)
        ready->ring = self->next;
}

void ready_add(struct ready *ready, const struct slab *tasks, uint32_t index, enum ready_end end)
{
    struct task *task = at(tasks, index);
    struct ready_class *class = &ready->classes[task->class];
    int priority = task->priority;
    if (class->first[priority] == 0 && class->pass[priority] < class->served)
        class->pass[priority] = class->served; /* no credit for the time it had nothing to run */
    task->next = end == READY_HEAD ? class->first[priority] : 0;
    task->previous = end == READY_HEAD ? 0 : class->last[priority];
    if (task->next != 0)
        at(tasks, task->next)->previous = index;
    else
        class->last[priority] = index;
    if (task->previous != 0)
        at(tasks, task->previous)->next = index;
    else
        class->first[priority] = index;
    if (class->count++ == 0)
        ring_add(ready, task->class);
    ready->count++;
}

void ready_remove(struct ready *ready, const struct slab *tasks, uint32_t index)
{
    struct task *task = at(tasks, index);
    struct ready_class *class = &ready->classes[task->class];
    int priority = task->priority;
    ASSERT(class->count > 0);
    if (task->next != 0)
        at(tasks, task->next)->previous = task->previous;
    else
        class->last[priority] = task->previous;
    if (task->previous != 0)
        at(tasks, task->previous)->next = task->next;
    else
        class->first[priority] = task->next;
    task->next = task->previous = 0;
    if (--class->count == 0)
        ring_remove(ready, task->class);
    ready->count--;
}

void ready_take(struct ready *ready, const struct slab *tasks, uint32_t index)
{
    const struct task *task = at(tasks, index);
    struct ready_class *class = &ready->classes[task->class];
    ASSERT(class->first[task->priority] == index);
    class->served = class->pass[task->priority];
    class->pass[task->priority] += stride[task->priority];
    ready_remove(ready, tasks, index);
}

uint32_t ready_peek(const struct ready *ready, uint16_t class)
{
    const struct ready_class *self = &ready->classes[class];
    int best = PRIORITY_COUNT;
    for (int priority = 0; priority < PRIORITY_COUNT; priority++)
        if (self->first[priority] != 0 &&
            (best == PRIORITY_COUNT ||
             (self->pass[priority] < self->pass[best] && !BUG(LOW_PRIORITY_STARVES))))
            best = priority;
    return best == PRIORITY_COUNT ? 0 : self->first[best];
}

uint16_t ready_first_class(const struct ready *ready)
{
    return ready->ring;
}

void ready_turn(struct ready *ready)
{
    if (ready->ring != 0)
        ready->ring = ready->classes[ready->ring].next;
}
