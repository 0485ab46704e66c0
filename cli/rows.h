/* rows.h - the rows of a reply, for programs: -o json (one document), jsonl (a line each), id (names or ids
 * alone). */
#ifndef MERIDIAN_CLI_ROWS_H
#define MERIDIAN_CLI_ROWS_H

#include "cli/cluster.h"

/* False, and nothing printed, if the mode is `table`. `reply` is the body of ROWS. */
bool rows_print(const struct common_options *options, struct bytes reply);

/* The same for objects that come one by one: json_item before each, with the number of those before it,
 * json_item_end behind each, json_end behind the last. -o json makes one array, jsonl a line each. */
void json_item(const struct common_options *options, size_t before);
void json_item_end(const struct common_options *options);
void json_end(const struct common_options *options, size_t count);
static inline bool output_is_json(const struct common_options *options)
{
    return options->output == OUTPUT_JSON || options->output == OUTPUT_JSONL;
}

#endif
