/* coverage.c - see coverage.h. */
#include "sim/coverage.h"

#include <stdio.h>

static const char *const names[TRACE_CODE_COUNT] = {
#define X(name, level, text) #name,
    TRACE_CODES(X)
#undef X
};

/* Codes that no seed of the simulation reaches, and what tests them instead. */
static const char *const explained[TRACE_CODE_COUNT] = {NULL};

bool coverage_print(const uint64_t traces[TRACE_CODE_COUNT])
{
    bool complete = true;
    for (int code = 0; code < TRACE_CODE_COUNT; code++)
        if (traces[code] != 0)
            printf("%12llu %s\n", (unsigned long long)traces[code], names[code]);
    for (int code = 0; code < TRACE_CODE_COUNT; code++) {
        if (traces[code] != 0)
            continue;
        printf("%12s %s: %s\n", "not reached", names[code],
               explained[code] != NULL ? explained[code] : "and nobody has said why (sim/coverage.c)");
        complete = complete && explained[code] != NULL;
    }
    return complete;
}
