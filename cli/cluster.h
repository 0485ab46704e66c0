/* cluster.h - which cluster is meant, and asking it one question.
 *
 * A verb that gets no answer says so and what to start, and ends the program with EXIT_UNAVAILABLE: nobody
 * wants to look at a half-printed table. A refusal (ERROR) ends it too, with the node's own words. */
#ifndef MERIDIAN_CLI_CLUSTER_H
#define MERIDIAN_CLI_CLUSTER_H

#include "cli/commands.h"
#include "client/client.h"
#include "proto/writer.h"

enum { ANSWER_WAIT_MS = 3000, QUESTION_BYTES_MAX = 64 * 1024 };

/* --server, MERIDIAN_SERVER (options_parse has looked there), .meridian-dev/dev.ini here or in a folder
 * above, tcp://127.0.0.1:7700. */
const char *server_find(const struct common_options *options);
/* Exits EXIT_USAGE if the endpoint is not one. */
struct client *cluster_open(const struct common_options *options);
/* "no answer from ... in 3 s. Start one here: meridian dev", exit EXIT_UNAVAILABLE. */
_Noreturn void cluster_unavailable(const struct common_options *options);

/* Send `kind` with `body`; the reply must be `expected`, whose body is returned (a view until the next call).
 * Exits as above; ERROR not_found exits EXIT_NOT_FOUND, any other EXIT_TASK_FAILED. */
struct bytes cluster_ask(struct client *client, const struct common_options *options, const char *kind,
                         struct bytes body, const char *expected);
/* The value of `key` in a map; size 0 if there is none. */
struct bytes map_value(struct bytes map, const char *key);
/* Likewise as text (size 0 if it is none), number, boolean. */
struct bytes map_text(struct bytes map, const char *key);
uint64_t map_number(struct bytes map, const char *key);
bool map_bool(struct bytes map, const char *key);

#endif
