/* choose.c - in a build with the deliberate bugs a unit test program makes the one that MERIDIAN_BUG names.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/bug.h"

__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("MERIDIAN_BUG");
    if (name != NULL && !bug_choose(name)) {
        fprintf(stderr, "MERIDIAN_BUG: there is no bug %s\n", name);
        exit(2);
    }
}
