/* place_least_tasks.c - the worker with the fewest tasks, by exact count; of equals the one with more slots
 * left. */
#include "region/region_state.h"

uint64_t place_least_tasks(const struct child *worker)
{
    uint32_t busy = worker->granted + worker->strays.count;
    uint32_t left = worker->slots > busy ? worker->slots - busy : 0;
    return (uint64_t)busy << 32 | (UINT32_MAX - left);
}
