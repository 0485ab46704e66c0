/* outcome_text.h - the end of a task as a person reads it: its output passed through, its failure in one
 * line. */
#ifndef MERIDIAN_CLI_OUTCOME_TEXT_H
#define MERIDIAN_CLI_OUTCOME_TEXT_H

#include "cli/commands.h"
#include "client/outcome.h"

/* Output to stdout, error to stderr, then what was cut, what failed and what may have run twice, on stderr.
 * Returns EXIT_OK or EXIT_TASK_FAILED. */
enum exit_code outcome_pass_through(const struct outcome *outcome);
/* The same as one JSON object on stdout, no line end (docs/cli-output.md, "A result"). */
void outcome_print_json(const struct outcome *outcome);
/* What there is to know of it but its output, a line each, for `task show`. */
void outcome_print_facts(const struct outcome *outcome);

#endif
