/* rows.h - the rows of a reply, for programs: -o json (one document), jsonl (a line each), id (names or ids
 * alone). */
#ifndef MERIDIAN_CLI_ROWS_H
#define MERIDIAN_CLI_ROWS_H

#include "cli/cluster.h"

/* False, and nothing printed, if the mode is `table`. `reply` is the body of ROWS. */
bool rows_print(const struct common_options *options, struct bytes reply);

#endif
