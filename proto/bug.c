/* bug.c - see bug.h. */
#include "proto/bug.h"

#ifdef MERIDIAN_BUGS

#include <string.h>

enum bug bug_chosen;

static const struct {
    const char *text, *what;
} bugs[BUG_COUNT] = {{"none", "no mistake"},
#define X(name, text, what) {text, what},
                     BUGS(X)
#undef X
};

bool bug_choose(const char *name)
{
    for (int bug = 0; bug < BUG_COUNT; bug++)
        if (strlen(bugs[bug].text) == strlen(name) && memcmp(bugs[bug].text, name, strlen(name)) == 0) {
            bug_chosen = (enum bug)bug;
            return true;
        }
    return false;
}

const char *bug_text(enum bug bug)
{
    return bugs[bug].text;
}

const char *bug_what(enum bug bug)
{
    return bugs[bug].what;
}

#endif
