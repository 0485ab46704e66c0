/* ready.h - the tasks that could run now: one queue per class and priority.
 *
 * Order:   FIFO within class and priority, returned tasks at the head. Between priorities of a class by
 * stride 64 : 16 : 4 : 1, so that low is served and never starves. Classes with ready tasks form a ring, in
 * the order in which they became ready; the caller takes them in turn. Is not:  a judge of who may run (the
 * node's dispatch loop). Lists run through task.next / task.previous. Cost: all O(1). */
#ifndef MERIDIAN_ENGINE_READY_H
#define MERIDIAN_ENGINE_READY_H

#include "engine/classes.h"
#include "engine/slab.h"
#include "engine/task.h"

struct ready_class {
    uint32_t first[PRIORITY_COUNT], last[PRIORITY_COUNT];
    uint64_t pass[PRIORITY_COUNT];
    uint64_t served; /* pass of the task taken last */
    uint32_t count;
    uint16_t next, previous; /* in the ring of classes with ready tasks */
};

struct ready {
    struct ready_class classes[CLASSES_MAX + 1];
    uint16_t ring; /* any class with ready tasks, 0 = none */
    uint32_t ring_count, count;
};

enum ready_end { READY_TAIL, READY_HEAD };

void ready_add(struct ready *ready, const struct slab *tasks, uint32_t task, enum ready_end end);
/* It will not run now: its priority has not had its turn. */
void ready_remove(struct ready *ready, const struct slab *tasks, uint32_t task);
/* It runs: the first of its priority, which pays for the turn. */
void ready_take(struct ready *ready, const struct slab *tasks, uint32_t task);
/* The task of `class` that is next in turn, 0 if none; does not take it. */
uint32_t ready_peek(const struct ready *ready, uint16_t class);
/* The first class of the ring, 0 if no task is ready; ready_turn makes the next one first. */
uint16_t ready_first_class(const struct ready *ready);
void ready_turn(struct ready *ready);

#endif
