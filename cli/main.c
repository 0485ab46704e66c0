/* main.c - meridian: one program for every role. A noun, then a verb; the table below is the whole of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "cli/commands.h"
#include "cli/dev.h"
#include "cli/run.h"
#include "proto/bug.h"
#include "proto/limits.h"
#include "store/record.h"

enum { OVERRIDES_MAX = 64 };

/* ---- broker|region|worker run, config check, version ---- */

static const struct argp_option run_options[] = {
    {"config", 'c', "FILE", 0, "Configuration of the node (see conf/)", 0},
    {"insecure", 'i', NULL, 0, "Listen beyond loopback without encryption", 0},
    {"set", 's', "SECTION.KEY=VALUE", 0, "Override one key of it; may be repeated", 0},
    {"restored", 'r', "N", OPTION_ARG_OPTIONAL,
     "Broker: its store is a backup that was put back, or empty since the disk was lost. For this start "
     "only; N counts the starts with --restored, this one too (1)",
     0},
    {0},
};

struct run_input {
    const char *role, *config;
    uint32_t restored;
    char *overrides[OVERRIDES_MAX];
    int override_count;
};

static error_t parse_run(int key, char *text, struct argp_state *state)
{
    struct run_input *input = state->input;
    switch (key) {
    case 'c':
        input->config = text;
        return 0;
    case 'i':
        text = (char *)(uintptr_t) "node.insecure=yes";
        __attribute__((fallthrough));
    case 's':
        if (input->override_count == OVERRIDES_MAX)
            usage_error("--set: at most %d times", OVERRIDES_MAX);
        input->overrides[input->override_count++] = text;
        return 0;
    case 'r':
        if (strcmp(input->role, "broker") != 0)
            usage_error("--restored: only a broker's store is put back; start a %s with an empty directory",
                        input->role);
        input->restored =
            text == NULL ? 1 : (uint32_t)option_number("restored", text, 1, BROKER_RESTORES_MAX);
        return 0;
    case ARGP_KEY_ARG:
        usage_error("%s: run takes no further words", text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_node(const char *role, int argc, char **argv)
{
    static const struct argp argp = {
        .options = run_options,
        .parser = parse_run,
        .doc = "Run one node until SIGTERM.\vExample: meridian region run -c eu.ini --set "
               "region.worker_grace=3s\n         meridian broker run -c broker.ini --restored",
    };
    struct run_input input = {.role = role};
    char program[64];
    snprintf(program, sizeof program, "meridian %s run", role);
    options_parse(&argp, program, argc, argv, &input);
    if (input.config == NULL)
        usage_error("no configuration: give one with -c FILE (samples are in conf/)");
    return cli_run(role, input.config, input.override_count, input.overrides, input.restored);
}

static bool print_run(const char *role, int argc, char **argv)
{
    if (argc < 2 || !is_help(argv[1]))
        return false;
    print_verb(role, "run", "-c FILE", "Run one node until SIGTERM.");
    printf("Options: meridian %s VERB --help\n", role);
    return true;
}

static int cli_broker(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "run") == 0)
        return run_node("broker", argc - 1, argv + 1);
    if (print_run("broker", argc, argv))
        return EXIT_OK;
    fprintf(stderr, "meridian: broker: expected `meridian broker run -c FILE'\n");
    return EXIT_USAGE;
}

static int region_noun(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "run") == 0)
        return run_node("region", argc - 1, argv + 1);
    int code = cli_region(argc, argv);
    print_run("region", argc, argv);
    return code;
}

static int worker_noun(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "run") == 0)
        return run_node("worker", argc - 1, argv + 1);
    int code = cli_worker(argc, argv);
    print_run("worker", argc, argv);
    return code;
}

static int cli_config(int argc, char **argv)
{
    if ((argc >= 2 && is_help(argv[1])) || (argc == 3 && is_help(argv[2]))) {
        print_verb("config", "check", "FILE", "Say whether a node's configuration is good; nothing starts.");
        return EXIT_OK;
    }
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return cli_config_check(argv[2]);
    fprintf(stderr, "meridian: config: expected `meridian config check FILE'\n");
    return EXIT_USAGE;
}

static int cli_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("meridian %s, protocol %d, store format %d\n", MERIDIAN_VERSION, PROTOCOL_VERSION_MAX,
           STORE_FORMAT_VERSION);
    return EXIT_OK;
}

/* ---- the table ---- */

static int cli_help(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help, *example;
} nouns[] = {
    {"dev", cli_dev, "a cluster here, with a bad network; dev kill|partition|...", "meridian dev"},
    {"submit", cli_submit, "hand in tasks", "meridian submit --wait -- echo hello"},
    {"task", cli_task, "list, show, explain, result, cancel", "meridian task explain last"},
    {"region", region_noun, "list, forget, run", "meridian region list"},
    {"worker", worker_noun, "list, drain, run", "meridian worker drain us/w2 --deadline 30s"},
    {"broker", cli_broker, "run", "meridian broker run -c broker.ini"},
    {"bench", cli_bench, "measure a running cluster", "meridian bench --batch 128 --tasks 100000"},
    {"config", cli_config, "check a node's configuration", "meridian config check eu.ini"},
    {"version", cli_version, "versions of program, protocol and store", "meridian version"},
    {"help", cli_help, "this page", "meridian submit --help"},
};

enum { NOUN_COUNT = sizeof nouns / sizeof nouns[0] };

/* `meridian help', or `meridian help NOUN' for `meridian NOUN --help'. */
static int cli_help(int argc, char **argv)
{
    char help[] = "--help", *words[] = {argv[argc - 1], help, NULL};
    for (int i = 0; i < NOUN_COUNT && argc == 2 && strcmp(argv[0], "help") == 0; i++)
        if (strcmp(argv[1], nouns[i].name) == 0 && nouns[i].run != cli_help)
            return nouns[i].run(2, words);
    if (argc == 2 && strcmp(argv[0], "help") == 0 && strcmp(argv[1], "help") != 0) {
        fprintf(stderr, "meridian: %s: no such noun. Try `meridian help'.\n", argv[1]);
        return EXIT_USAGE;
    }
    printf("Usage: meridian NOUN [VERB] [OPTION...]\n"
           "Runs tasks across datacenters and loses nothing it acknowledged.\n\n");
    for (int i = 0; i < NOUN_COUNT; i++)
        printf("  %-8s %-54s %s\n", nouns[i].name, nouns[i].help, nouns[i].example);
    printf("\n`meridian NOUN --help' says more. Exit codes: 0 ok, 1 a task failed, 2 usage, 3 timeout,\n"
           "4 not found, 5 unavailable. Each option can be set in the environment: --server as "
           "MERIDIAN_SERVER.\n");
    return EXIT_OK;
}

/* Which deliberate mistake this process makes, in a build that has them. */
static void choose_bug(void)
{
#ifdef MERIDIAN_BUGS
    const char *name = getenv("MERIDIAN_BUG");
    if (name != NULL && !bug_choose(name))
        usage_error("MERIDIAN_BUG: there is no bug %s", name);
#endif
}

int main(int argc, char **argv)
{
    choose_bug();
    if (argc < 2) {
        cli_help(argc, argv);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return cli_help(argc, argv);
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(argc, argv);
    for (int i = 0; i < NOUN_COUNT; i++)
        if (strcmp(argv[1], nouns[i].name) == 0)
            return nouns[i].run(argc - 1, argv + 1);
    fprintf(stderr, "meridian: %s: no such noun. Try `meridian help'.\n", argv[1]);
    return EXIT_USAGE;
}
