/* options.c - see options.h. */
#include "sim/options.h"
#include "proto/bug.h"

#include <stddef.h>
#include <stdlib.h>

enum { DURATION_S_MAX = 24 * 3600 };

const char options_usage[] =
    "usage: meridian-sim [--seed N | --seeds A..B] [OPTION]...\n"
    "Runs a whole cluster in virtual time, once per seed: under faults first, then without, until all has "
    "ended;\n"
    "its promises are checked at each step. What no option fixes is drawn from the seed. The same seed and\n"
    "options are the same run, to the byte.\n"
    "\n"
    "  --seed N, --seeds A..B   which runs (default 1)\n"
    "  --regions N              1 to 8\n"
    "  --workers N              1 to 100, over all regions\n"
    "  --clients N              1 to 20\n"
    "  --tasks N                1 to 4096\n"
    "  --duration N             virtual seconds with faults (default 120)\n"
    "  --no-faults              none at all\n"
    "  --only-faults 3,7        of the seed's plan only these, as --trace numbers them; none: no planned "
    "ones\n"
    "  --trace                  what the nodes do and what is done to them, a line each\n"
    "  --shrink                 of a seed that fails: look for a smaller run that fails too, print its "
    "options\n"
    "  --coverage               count the trace codes reached; exit 1 if one is missing that should not\n"
    "\n"
    "Exit status: 0 all held, 1 something broke (its line says what, where and when), 2 wrong usage.\n"
    "Example: meridian-sim --seeds 1..200, then meridian-sim --seed 17 --shrink, then what that prints with "
    "--trace.\n";

static bool read_number(const char *text, uint64_t most, uint64_t *ret_number)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || value > most)
        return false;
    *ret_number = value;
    return true;
}

static bool read_seeds(const char *text, struct arguments *arguments)
{
    char first[24];
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = '\0';
    return read_number(first, UINT32_MAX, &arguments->first) &&
           read_number(dots + 2, UINT32_MAX, &arguments->last) && arguments->first <= arguments->last;
}

static bool read_seed(const char *text, struct arguments *arguments)
{
    bool good = read_number(text, UINT32_MAX, &arguments->first);
    arguments->last = arguments->first;
    return good;
}

#ifdef MERIDIAN_BUGS
static bool read_bug(const char *text, struct arguments *arguments)
{
    (void)arguments; /* the nodes look at it where they make it */
    return bug_choose(text);
}
#endif

static bool read_faults(const char *text, struct arguments *arguments)
{
    arguments->options.left_out = UINT64_MAX;
    if (strcmp(text, "none") == 0)
        return true;
    for (const char *at = text;; at++) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at || number >= FAULTS_MAX || (*end != '\0' && *end != ','))
            return false;
        arguments->options.left_out &= ~(1ull << number);
        at = end;
        if (*at == '\0')
            return true;
    }
}

/* ---- the tables of options ---- */

static const struct {
    const char *name;
    size_t offset; /* of a uint32_t in struct sim_options */
    uint32_t most, unit;
} numbers[] = {
    {"--regions", offsetof(struct sim_options, regions), REGIONS_MAX_SIM, 1},
    {"--workers", offsetof(struct sim_options, workers), WORKERS_MAX_SIM, 1},
    {"--clients", offsetof(struct sim_options, clients), CLIENTS_MAX_SIM, 1},
    {"--tasks", offsetof(struct sim_options, tasks), TASKS_MAX_SIM, 1},
    {"--duration", offsetof(struct sim_options, duration_ms), DURATION_S_MAX, 1000},
};

static const struct {
    const char *name;
    bool (*read)(const char *text, struct arguments *arguments);
} words[] = {
    {"--seed", read_seed},
    {"--seeds", read_seeds},
    {"--only-faults", read_faults},
#ifdef MERIDIAN_BUGS
    {"--bug", read_bug},
#endif
};

static const struct {
    const char *name;
    size_t offset; /* of a bool in struct arguments */
    bool value;
} switches[] = {
    {"--trace", offsetof(struct arguments, options.trace), true},
    {"--no-faults", offsetof(struct arguments, options.faults), false},
    {"--coverage", offsetof(struct arguments, coverage), true},
    {"--shrink", offsetof(struct arguments, shrink), true},
#ifdef MERIDIAN_BUGS
    {"--bugs", offsetof(struct arguments, bugs), true},
#endif
    {"--help", offsetof(struct arguments, help), true},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static uint32_t *number_at(const struct sim_options *options, size_t which)
{
    return (uint32_t *)((char *)options + numbers[which].offset);
}

static bool read_switch(const char *name, struct arguments *arguments)
{
    for (size_t i = 0; i < COUNT(switches); i++)
        if (strcmp(name, switches[i].name) == 0) {
            *(bool *)((char *)arguments + switches[i].offset) = switches[i].value;
            return true;
        }
    return false;
}

/* False: there is no such option, or `text` is nothing for it. */
static bool read_valued(const char *name, const char *text, struct arguments *arguments, bool *ret_known)
{
    uint64_t value;
    *ret_known = true;
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(name, words[i].name) == 0)
            return text != NULL && words[i].read(text, arguments);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        if (text == NULL || !read_number(text, numbers[i].most, &value) || value == 0)
            return false;
        *number_at(&arguments->options, i) = (uint32_t)value * numbers[i].unit;
        return true;
    }
    *ret_known = false;
    return false;
}

bool options_read(int argc, char **argv, struct arguments *ret_arguments)
{
    *ret_arguments = (struct arguments){.options = {.faults = true}, .first = 1, .last = 1};
    for (int i = 1; i < argc; i++) {
        bool known;
        if (read_switch(argv[i], ret_arguments))
            continue;
        const char *text = i + 1 < argc ? argv[i + 1] : NULL;
        if (read_valued(argv[i], text, ret_arguments, &known)) {
            i++;
            continue;
        }
        if (!known)
            fprintf(stderr, "meridian-sim: no option %s; see --help\n", argv[i]);
        else if (text == NULL)
            fprintf(stderr, "meridian-sim: %s needs a value; see --help\n", argv[i]);
        else
            fprintf(stderr, "meridian-sim: %s cannot be %s; see --help\n", argv[i], text);
        return false;
    }
    return true;
}

void options_print(FILE *to, const struct sim_options *options)
{
    fprintf(to, "meridian-sim --seed %llu", (unsigned long long)options->seed);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (*number_at(options, i) != 0)
            fprintf(to, " %s %u", numbers[i].name, *number_at(options, i) / numbers[i].unit);
    if (!options->faults)
        fprintf(to, " --no-faults");
    if (options->left_out == UINT64_MAX)
        fprintf(to, " --only-faults none");
    else if (options->left_out != 0)
        for (uint32_t i = 0, printed = 0; i < FAULTS_MAX; i++)
            if (!(options->left_out >> i & 1))
                fprintf(to, "%s%u", printed++ == 0 ? " --only-faults " : ",", i);
    fprintf(to, "\n");
}
