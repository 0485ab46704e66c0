/* strays.h - what a child runs that it is not granted (any more): told to stop, and busy until it has
 * answered.
 *
 * Is:      by task and fence, since one stray may be answered for twice (its own end and the answer to its
 * STOP cross), and what had ended before it could be a stray is answered for too: neither frees a slot. Is
 * not:  durable, nor older than the child's session, whose INVENTORY says what there is. Bounds:  STRAYS_MAX;
 * what goes beyond is stopped all the same, and not counted. Cost:    add O(1); answered O(1) in the order in
 * which they were added, else O(strays). */
#ifndef MERIDIAN_ENGINE_STRAYS_H
#define MERIDIAN_ENGINE_STRAYS_H

#include "proto/id.h"
#include "proto/limits.h"

enum { STRAYS_MAX = 2 * WINDOW_TASKS };

struct stray {
    struct task_id id;
    struct fence fence;
};

struct strays {
    struct stray *all; /* malloc'ed; all[first .. first + count - 1] */
    uint32_t first, count, capacity;
};

void strays_add(struct strays *strays, const struct task_id *id, struct fence fence);
/* The child told of its end under `fence`, or (custody, 0, 0) for any of that custody. False if it was none.
 */
bool strays_answered(struct strays *strays, const struct task_id *id, struct fence fence);
/* The session is over. */
void strays_clear(struct strays *strays);
void strays_release(struct strays *strays);

#endif
