/* memory.h - what the slabs of sweep_nodes grow from: the system's memory, unless the plan says there is
 * none. */
#ifndef MERIDIAN_TESTS_SWEEP_MEMORY_H
#define MERIDIAN_TESTS_SWEEP_MEMORY_H

#include <stddef.h>

void *sweep_malloc(size_t size);
void *sweep_realloc(void *memory, size_t size);

#endif
