/* options.c - see options.h. */
#include "sim/options.h"
#include "proto/bug.h"

#include <stddef.h>
#include <stdlib.h>

enum { DURATION_S_MAX = 24 * 3600, NAME_BYTES = 24 };

_Static_assert(FAULTS_MAX == 64, "the texts below say 0 to 63");

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
    "  --duration N             virtual seconds with faults, 1 to 86400 (default 120)\n"
    "  --no-faults              none at all\n"
    "  --only-faults 3,7        of the seed's plan only these, 0 to 63, as --trace numbers them; none: no "
    "planned ones\n"
    "  --trace                  what the nodes do and what is done to them, a line each\n"
    "  --shrink                 of one seed that fails: look for a smaller run that fails alike, print its "
    "options\n"
    "  --coverage               count the trace codes reached; exit 1 if one is missing that should not\n"
    "  -h, --help               this\n"
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
    const char *values;
} words[] = {
    {"--seed", read_seed, "0 to 4294967295"},
    {"--seeds", read_seeds, "A..B, each 0 to 4294967295, A not above B"},
    {"--only-faults", read_faults, "numbers from 0 to 63 with commas between, or none"},
#ifdef MERIDIAN_BUGS
    {"--bug", read_bug, "a name that --bugs lists"},
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
    {"-h", offsetof(struct arguments, help), true},
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

enum reading { READ, NO_SUCH_OPTION, NOT_ITS_VALUE };

static enum reading read_valued(const char *name, const char *text, struct arguments *arguments)
{
    uint64_t value;
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(name, words[i].name) == 0)
            return text != NULL && words[i].read(text, arguments) ? READ : NOT_ITS_VALUE;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        if (text == NULL || !read_number(text, numbers[i].most, &value) || value == 0)
            return NOT_ITS_VALUE;
        *number_at(&arguments->options, i) = (uint32_t)value * numbers[i].unit;
        return READ;
    }
    return NO_SUCH_OPTION;
}

/* "--workers cannot be 999; it takes 1 to 100" */
static void say_what_it_takes(const char *name, const char *text)
{
    fprintf(stderr, "meridian-sim: %s %s%s; it takes ", name, text != NULL ? "cannot be " : "needs a value",
            text != NULL ? text : "");
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(name, words[i].name) == 0)
            fprintf(stderr, "%s\n", words[i].values);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (strcmp(name, numbers[i].name) == 0)
            fprintf(stderr, "1 to %u\n", numbers[i].most);
}

/* "--seed 3" or "--seed=3"; the number of words that it took, 0 if they are wrong. */
static int read_option(char **words_left, struct arguments *arguments)
{
    char name[NAME_BYTES];
    const char *word = words_left[0], *equals = strchr(word, '='), *text = words_left[1];
    if (read_switch(word, arguments))
        return 1;
    if (equals != NULL && (size_t)(equals - word) < sizeof name) {
        memcpy(name, word, (size_t)(equals - word));
        name[equals - word] = '\0';
        word = name;
        text = equals + 1;
    }
    switch (read_valued(word, text, arguments)) {
    case READ:
        return word == name ? 1 : 2;
    case NO_SUCH_OPTION:
        fprintf(stderr, "meridian-sim: no option %s; see --help\n", words_left[0]);
        return 0;
    case NOT_ITS_VALUE:
        say_what_it_takes(word, text);
        return 0;
    }
    return 0;
}

bool options_read(int argc, char **argv, struct arguments *ret_arguments)
{
    *ret_arguments = (struct arguments){.options = {.faults = true}, .first = 1, .last = 1};
    for (int i = 1, taken; i < argc; i += taken)
        if ((taken = read_option(argv + i, ret_arguments)) == 0)
            return false;
    if (ret_arguments->shrink && ret_arguments->first != ret_arguments->last) {
        fprintf(stderr,
                "meridian-sim: --shrink takes one seed that fails, not %llu..%llu; name it with --seed\n",
                (unsigned long long)ret_arguments->first, (unsigned long long)ret_arguments->last);
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
#ifdef MERIDIAN_BUGS
    if (bug_chosen != BUG_NONE)
        fprintf(to, " --bug %s", bug_text(bug_chosen));
#endif
    fprintf(to, "\n");
}
