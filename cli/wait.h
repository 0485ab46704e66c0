/* wait.h - waiting for tasks to end, in front of a person: output passed through, the reason of a long wait
 * named, Ctrl-C answered with how to go on. */
#ifndef MERIDIAN_CLI_WAIT_H
#define MERIDIAN_CLI_WAIT_H

#include "cli/selector.h"

struct wait {
    const struct common_options *options;
    const struct task_id *ids; /* of the tasks waited for, in the order of their tags */
    bool *ended;
    size_t count, accepted, refused, left; /* left: not yet ended */
    size_t printed;                        /* results, by -o json or jsonl */
    bool for_end;                          /* else only for ACCEPTED */
};

/* Take events until all tasks are accepted (or have ended). Prints refusals and results as they come.
 * Ctrl-C: says how to go on, exits 130. No first answer in 3 s: exits EXIT_UNAVAILABLE. */
enum exit_code wait_for_tasks(struct client *client, struct wait *wait);
/* No more results: ends the document of -o json. */
void wait_end(const struct wait *wait);

#endif
