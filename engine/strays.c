/* strays.c - see strays.h. */
#include "engine/strays.h"

#include <stdlib.h>

#include "engine/task.h"

static bool has_room(struct strays *strays)
{
    if (strays->first + strays->count < strays->capacity)
        return true;
    if (strays->first > 0) {
        memmove(strays->all, strays->all + strays->first, strays->count * sizeof *strays->all);
        strays->first = 0;
        return true;
    }
    uint32_t capacity = strays->capacity == 0 ? 16 : 2 * strays->capacity;
    struct stray *all = realloc(strays->all, capacity * sizeof *all);
    if (all == NULL)
        return false;
    strays->all = all;
    strays->capacity = capacity;
    return true;
}

void strays_add(struct strays *strays, const struct task_id *id, struct fence fence)
{
    if (strays->count < STRAYS_MAX && has_room(strays))
        strays->all[strays->first + strays->count++] = (struct stray){*id, fence};
}

bool strays_answered(struct strays *strays, const struct task_id *id, struct fence fence)
{
    uint32_t end = strays->first + strays->count;
    for (uint32_t i = strays->first; i < end; i++) { /* where there are none, `all` may be NULL */
        if (!task_id_equal(&strays->all[i].id, id) || !fence_names(fence, strays->all[i].fence))
            continue;
        strays->all[i] = strays->all[strays->first]; /* the others keep about their order */
        strays->first++;
        strays->count--;
        return true;
    }
    return false;
}

void strays_clear(struct strays *strays)
{
    strays->first = strays->count = 0;
}

void strays_release(struct strays *strays)
{
    free(strays->all);
    *strays = (struct strays){.count = 0};
}
