/* options.c - what the verbs' option parsing shares. See commands.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "host/units.h"

enum { WORDS_MAX = 65536, NAME_MAX_BYTES = 64 };

static const struct argp_option common_options[] = {
    {"server", 's', "ENDPOINT", 0,
     "Cluster to ask (default: $MERIDIAN_SERVER, .meridian-dev here or above, tcp://127.0.0.1:7700)", 90},
    {"output", 'o', "FORMAT", 0, "table, json, jsonl or id (default: table)", 90},
    {0},
};

static error_t parse_common(int key, char *text, struct argp_state *state)
{
    struct common_options *options = state->input;
    if (key == 's') {
        options->server = text;
        return 0;
    }
    if (key != 'o')
        return ARGP_ERR_UNKNOWN;
    options->output = option_output(text);
    return 0;
}

const struct argp common_argp = {.options = common_options, .parser = parse_common};

/* MERIDIAN_PAYLOAD_BYTES for --payload-bytes. */
static const char *from_environment(const char *option)
{
    char name[NAME_MAX_BYTES] = "MERIDIAN_";
    size_t at = strlen(name);
    for (; *option != '\0' && at + 1 < sizeof name; option++)
        name[at++] = *option == '-' ? '_' : (char)toupper((unsigned char)*option);
    name[at] = '\0';
    return getenv(name);
}

/* An option without a value: set it or not. */
static bool is_set(const char *option, const char *value)
{
    static const char *const on[] = {"1", "true", "yes"}, *const off[] = {"0", "false", "no", ""};
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++)
        if (strcmp(value, on[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        if (strcmp(value, off[i]) == 0)
            return false;
    usage_error("the environment sets --%s to %s: 1, true, yes, or 0, false, no", option, value);
}

static int add_from_environment(const struct argp *argp, char **words, int count)
{
    for (const struct argp_option *option = argp->options;
         option != NULL && (option->name || option->key || option->doc); option++) {
        const char *value = option->name == NULL ? NULL : from_environment(option->name);
        if (value == NULL || value[0] == '\0' || (option->arg == NULL && !is_set(option->name, value)))
            continue;
        char *word;
        int size = option->arg != NULL ? asprintf(&word, "--%s=%s", option->name, value)
                                       : asprintf(&word, "--%s", option->name);
        if (size >= 0)
            words[count++] = word;
    }
    for (const struct argp_child *child = argp->children; child != NULL && child->argp != NULL; child++)
        count = add_from_environment(child->argp, words, count);
    return count;
}

int options_parse(const struct argp *argp, const char *program, int argc, char **argv, void *input)
{
    static char *words[WORDS_MAX];
    int count = 0, first;
    words[count++] = program_invocation_name = (char *)(uintptr_t)program;
    count = add_from_environment(argp, words, count);
    int added = count - 1;
    if (count + argc > WORDS_MAX) {
        fprintf(stderr, "%s: more than %d words\n", program, WORDS_MAX);
        exit(EXIT_USAGE);
    }
    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    words[count] = NULL;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(argp, count, words, ARGP_IN_ORDER, &first, input);
    return first - added;
}

bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0 ||
           strcmp(word, "help") == 0;
}

void print_verb(const char *noun, const char *verb, const char *arguments, const char *doc)
{
    enum { USAGE_WIDTH = 40 };
    int width =
        printf("  meridian %s %s%s%s", noun, verb, arguments == NULL ? "" : " ", arguments ? arguments : "");
    printf("%*s  %.*s\n", width < USAGE_WIDTH ? USAGE_WIDTH - width : 0, "", (int)strcspn(doc, "\v"), doc);
}

void usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry `%s --help'.\n", program_invocation_name);
    va_end(arguments);
    exit(EXIT_USAGE);
}

uint64_t option_duration_ms(const char *option, const char *text)
{
    uint64_t value;
    if (!duration_parse(text, &value))
        usage_error("--%s %s: a duration, as 250ms, 90s, 10m, 24h or 2d", option, text);
    return value;
}

uint64_t option_size_bytes(const char *option, const char *text)
{
    uint64_t value;
    if (!size_parse(text, &value))
        usage_error("--%s %s: a size, as 512, 64KiB or 1MiB", option, text);
    return value;
}

uint64_t option_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max)
        usage_error("--%s %s: a number from %llu to %llu", option, text, (unsigned long long)min,
                    (unsigned long long)max);
    return value;
}

enum output_mode option_output(const char *text)
{
    static const char *const modes[] = {"table", "json", "jsonl", "id"};
    for (int mode = 0; mode < 4; mode++)
        if (strcmp(text, modes[mode]) == 0)
            return (enum output_mode)mode;
    usage_error("-o %s: table, json, jsonl or id", text);
}
