/* selector.h - what people write for a task: `last`, `all`, the last 8 (or more) hex digits, or all 32.
 *
 * The ids of the newest submit are kept per server in a file under XDG_STATE_HOME (~/.local/state), written
 * after the node has ACCEPTED them; short ids are looked for there first, then at the node. */
#ifndef MERIDIAN_CLI_SELECTOR_H
#define MERIDIAN_CLI_SELECTOR_H

#include "cli/cluster.h"

/* Keep the ids of this submit as `last`. Trouble with the file is told on stderr and costs nothing else. */
void selector_remember(const struct common_options *options, const struct task_id *ids, size_t count);
/* The one task that `text` names; exits EXIT_NOT_FOUND, or EXIT_USAGE if it is ambiguous or no id at all. */
struct task_id selector_task(struct client *client, const struct common_options *options, const char *text);
/* Its last 8 hex digits. */
const char *short_id(const struct task_id *id, char to[TASK_ID_SHORT_HEX + 1]);

#endif
