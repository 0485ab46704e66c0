/* slab.c - engine/slab.c for sweep_nodes: the same, with memory that nodes.c may refuse. */
#include "tests/sweep/memory.h"

#include <stdlib.h>

#define malloc sweep_malloc
#define realloc sweep_realloc
#include "engine/slab.c"
