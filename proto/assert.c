/* assert.c - the one place where a broken promise of ours ends the process. */
#include "proto/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void meridian_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "meridian: a bug: %s is false (%s:%d). Please report this line.\n", condition, file,
            line);
    abort();
}
