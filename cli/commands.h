/* commands.h - the verbs of the program, one function each, and what they share.
 *
 * Every verb gets its own words (argv[0] is the verb) and returns the exit code: 0 ok, 1 a task failed, 2
 * usage, 3 timeout, 4 not found, 5 unavailable. Each option also comes from MERIDIAN_NAME in the environment.
 */
#ifndef MERIDIAN_CLI_COMMANDS_H
#define MERIDIAN_CLI_COMMANDS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

enum exit_code {
    EXIT_OK = 0,
    EXIT_TASK_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_TIMEOUT = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_UNAVAILABLE = 5
};

int cli_submit(int argc, char **argv);
int cli_task(int argc, char **argv);
int cli_region(int argc, char **argv);
int cli_worker(int argc, char **argv);
int cli_bench(int argc, char **argv);

enum output_mode { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_ID };

/* What every verb that asks a cluster takes. */
struct common_options {
    const char *server; /* --server, else found: see server_find in cluster.h */
    enum output_mode output;
};

/* The argp child with --server and -o; its input is a struct common_options. */
extern const struct argp common_argp;

/* argp_parse with the options' environment variables put in front. Usage errors exit 2. `program` is
 * "meridian verb". Returns the index of the first word that is no option. */
int options_parse(const struct argp *argp, const char *program, int argc, char **argv, void *input);
/* "--help", "-h", "-?" or "help" in the place of a verb. */
bool is_help(const char *word);
/* One verb of a noun's help: its usage, and the first sentence of an argp doc. */
void print_verb(const char *noun, const char *verb, const char *arguments, const char *doc);
/* A usage error: one line, a hint, exit 2. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Durations and sizes of options; a usage error names `option` if the text is not one. */
uint64_t option_duration_ms(const char *option, const char *text);
uint64_t option_size_bytes(const char *option, const char *text);
enum output_mode option_output(const char *text);
uint64_t option_number(const char *option, const char *text, uint64_t min, uint64_t max);

#endif
