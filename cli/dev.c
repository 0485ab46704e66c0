/* dev.c - the commands `meridian dev`, `dev kill NODE`, `dev partition NODE`, ...: arguments, and what comes
 * before the supervisor runs. */
#include "cli/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/dev_control.h"
#include "cli/dev_shim.h"
#include "cli/dev_status.h"
#include "cli/dev_supervisor.h"
#include "cli/rows.h"

#define DIRECTORY_DEFAULT ".meridian-dev"

enum { LEVELS_ABOVE_MAX = 64, PORTS_MAX = 65535 - 100, KEY_BROKER_IN = 0x100, KEY_SANDBOX, KEY_ONE_WAY };

/* What may follow `dev`. */
static const struct {
    const char *name;
    bool takes_node;
} verbs[] = {{"kill", true},      {"start", true}, {"pause", true},  {"resume", true},
             {"partition", true}, {"heal", true},  {"status", false}};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0], OPTIONS_MAX = 16 };

struct request {
    const char *regions, *directory;
    bool directory_given;
    unsigned workers, slots, port;
    struct dev_wan_options wan;
    const char *verb, *node, *one_way; /* verb NULL: the cluster itself */
    bool takes_node;
    struct common_options common; /* of status */
    int argc;                /* as the program was called: the words before those are from the environment */
    bool typed[OPTIONS_MAX]; /* in the order of `options`; not those of the environment */
};

static const struct argp_option options[] = {
    {"regions", 'r', "NAMES", 0, "Regions, separated by commas (eu,us,ap)", 0},
    {"workers", 'w', "COUNT", 0, "Workers of each region, 1 to 16 (2)", 0},
    {"slots", 's', "COUNT", 0, "Tasks that one worker runs at a time, 1 to 65536 (2)", 0},
    {"dir", 'd', "DIRECTORY", 0, "Where data, logs and configuration live (" DIRECTORY_DEFAULT ")", 0},
    {"port", 'p', "PORT", 0, "Port of the clients; the others follow it (7700)", 0},
    {NULL, 0, NULL, 0, "The sandbox, a bad network between the nodes; each of these turns it on:", 1},
    {"rtt", 'R', "PAIR=TIME,...", 0,
     "Round trips between regions (eu-us=80ms,eu-ap=180ms); a TIME alone is for all pairs not named (0)", 1},
    {"jitter", 'j', "TIME", 0, "Each way takes up to this longer or shorter (0)", 1},
    {"loss", 'l', "PERCENT", 0,
     "Segments lost, 0% to 50%, seen as TCP shows it: they come late, all behind waits (0%)", 1},
    {"broker-in", KEY_BROKER_IN, "REGION", 0, "The region that the broker lives in (the first)", 1},
    {"sandbox", KEY_SANDBOX, NULL, 0, "Links that can be cut, otherwise quick and clean", 1},
    {NULL, 0, NULL, 0, "Of single verbs:", 2},
    {"one-way", KEY_ONE_WAY, "WAY", 0, "partition: only up (to the parent) or only down", 2},
    {"output", 'o', "FORMAT", 0, "status: table, json, jsonl or id (table)", 2},
    {0},
};

_Static_assert(sizeof options / sizeof options[0] <= OPTIONS_MAX, "each has its place in `typed`");

/* The verb that an option is of; the others, but for --dir, are of the cluster itself. */
static const struct {
    int key;
    const char *verb, *example;
} verb_options[] = {{KEY_ONE_WAY, "partition", "meridian dev partition us --one-way up"},
                    {'o', "status", "meridian dev status -o json"}};

static const char documentation[] =
    "Runs a whole cluster on this machine: a broker, regions and their workers.\v"
    "The cluster stops at Ctrl-C; its tasks stay in the directory and go on at the next start. Nodes are "
    "named "
    "broker, eu, us/w2. What can be done to one while the cluster runs:\n"
    "  kill NODE, start NODE        SIGKILL; it stays dead until it is started\n"
    "  pause NODE, resume NODE      SIGSTOP, SIGCONT\n"
    "  partition NODE, heal NODE    its link with its parent is a cut cable, and is whole again (sandbox)\n"
    "  status                       what runs, what is paused or cut, and for how long\n"
    "`heal all' and `resume all' undo all of them. A region is called neither broker nor all.\n\n"
    "The sandbox: the link of a region with the broker has the round trip of the pair of that region and the "
    "broker's own; inside a region links are quick and clean. Pairs of two other regions are taken, but no "
    "link "
    "uses them: regions do not speak to each other. A region is lost after " DEV_SANDBOX_REGION_GRACE
    " of silence there.\n\n"
    "Every option is also read from the environment: MERIDIAN_REGIONS, MERIDIAN_RTT, MERIDIAN_BROKER_IN, "
    "...\n\n"
    "Examples:\n"
    "  meridian dev --regions eu,us --workers 4\n"
    "  meridian dev --rtt eu-us=80ms,eu-ap=180ms --jitter 5ms --loss 1%\n"
    "  meridian dev partition ap    then, later: meridian dev heal ap\n"
    "  meridian dev kill us/w2";

static void parse_word(struct request *request, const char *word)
{
    for (int i = 0; i < VERB_COUNT && request->verb == NULL; i++)
        if (strcmp(word, verbs[i].name) == 0) {
            request->verb = verbs[i].name;
            request->takes_node = verbs[i].takes_node;
            return;
        }
    if (request->verb == NULL)
        usage_error("'%s' is not understood here; kill, start, pause, resume, partition, heal and status are",
                    word);
    if (!request->takes_node || request->node != NULL)
        usage_error("'%s' is not understood here; %s takes %s", word, request->verb,
                    request->takes_node ? "one node" : "no further words");
    request->node = word;
}

/* What was typed is meant: an option that would have no effect here is refused. In the environment it is for
 * whoever can use it. */
static void note_typed(struct request *request, int key, const struct argp_state *state)
{
    int from_environment = state->argc - request->argc;
    for (int i = 0; i < OPTIONS_MAX && (options[i].name != NULL || options[i].doc != NULL); i++)
        if (options[i].name != NULL && options[i].key == key && state->next > 1 + from_environment)
            request->typed[i] = true;
}

static void check_typed(const struct request *request, const struct argp_option *option)
{
    if (option->key == 'd')
        return;
    for (size_t i = 0; i < sizeof verb_options / sizeof verb_options[0]; i++)
        if (verb_options[i].key == option->key) {
            if (request->verb == NULL || strcmp(request->verb, verb_options[i].verb) != 0)
                usage_error("--%s: of %s only, as in: %s", option->name, verb_options[i].verb,
                            verb_options[i].example);
            return;
        }
    if (request->verb != NULL)
        usage_error("--%s is said when the cluster starts; %s does not change it: leave it out", option->name,
                    request->verb);
}

static void check_end(const struct request *request)
{
    if (request->takes_node && request->node == NULL)
        usage_error("%s which node? As in: meridian dev %s us", request->verb, request->verb);
    bool partition = request->verb != NULL && strcmp(request->verb, "partition") == 0;
    if (request->one_way != NULL && partition && strcmp(request->one_way, "up") != 0 &&
        strcmp(request->one_way, "down") != 0)
        usage_error("--one-way %s: up or down", request->one_way);
    for (int i = 0; i < OPTIONS_MAX; i++)
        if (request->typed[i])
            check_typed(request, &options[i]);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct request *request = state->input;
    note_typed(request, key, state);
    switch (key) {
    case 'r':
        request->regions = text;
        return 0;
    case 'w':
        request->workers = (unsigned)option_number("workers", text, 1, DEV_WORKERS_MAX);
        return 0;
    case 's':
        request->slots = (unsigned)option_number("slots", text, 1, SLOTS_MAX);
        return 0;
    case 'd':
        request->directory = text;
        request->directory_given = true;
        return 0;
    case 'p':
        request->port = (unsigned)option_number("port", text, 1, PORTS_MAX);
        return 0;
    case 'R':
        request->wan.rtt = text;
        return 0;
    case 'j':
        request->wan.jitter = text;
        return 0;
    case 'l':
        request->wan.loss = text;
        return 0;
    case KEY_BROKER_IN:
        request->wan.broker_in = text;
        return 0;
    case KEY_SANDBOX:
        request->wan.sandbox = true;
        return 0;
    case KEY_ONE_WAY:
        request->one_way = text;
        return 0;
    case 'o':
        request->common.output = option_output(text);
        return 0;
    case ARGP_KEY_ARG:
        parse_word(request, text);
        return 0;
    case ARGP_KEY_END:
        check_end(request);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The nearest directory, here or above, in which a cluster was started; `ret_directory` stays if there is
 * none. */
static void find_directory(char ret_directory[static PATH_MAX])
{
    char path[PATH_MAX] = DIRECTORY_DEFAULT;
    for (int level = 0; level < LEVELS_ABOVE_MAX; level++) {
        char file[PATH_MAX + 16];
        snprintf(file, sizeof file, "%s/dev.ini", path);
        if (access(file, F_OK) == 0) {
            strcpy(ret_directory, path);
            return;
        }
        char above[PATH_MAX];
        if (snprintf(above, sizeof above, "../%s", path) >= (int)sizeof above)
            return;
        strcpy(path, above);
    }
}

/* Holds the directory for this process's life; -1 after a message. */
static int lock_directory(const struct dev_plan *plan)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", plan->absolute);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        return lock;
    if (lock >= 0 && errno == EWOULDBLOCK)
        fprintf(stderr,
                "meridian: another `meridian dev` runs in %s. Stop it with Ctrl-C in its terminal, or choose "
                "another directory and port: meridian dev --dir NAME --port %u\n",
                plan->directory, plan->port + 100);
    else
        fprintf(stderr, "meridian: cannot lock %s: %s\n", path, strerror(errno));
    if (lock >= 0)
        close(lock);
    return -1;
}

static int supervise(struct dev_plan *plan)
{
    static struct shim shim; /* large */
    if (!dev_plan_ports_are_free(plan) || (plan->sandbox && !shim_open(&shim, plan)) || !dev_plan_write(plan))
        return EXIT_FAILURE;
    int listener = dev_control_listen(plan->absolute);
    if (listener >= 0)
        return dev_supervise(plan, plan->sandbox ? &shim : NULL, listener);
    fprintf(stderr, "meridian: cannot listen in %s: %s\n", plan->directory, strerror(errno));
    return EXIT_FAILURE;
}

static int run_cluster(const struct request *request)
{
    static struct dev_plan plan; /* large */
    if (snprintf(plan.directory, sizeof plan.directory, "%s", request->directory) >=
        (int)sizeof plan.directory)
        usage_error("--dir: the name is too long");
    plan.port = request->port;
    plan.workers = request->workers;
    plan.slots = request->slots;
    if (!dev_plan_fill(&plan, request->regions))
        return EXIT_USAGE;
    dev_wan_fill(&plan, &request->wan);
    if (!dev_plan_open(&plan))
        return EXIT_FAILURE;
    int lock = lock_directory(&plan);
    if (lock < 0)
        return EXIT_FAILURE;
    int status = supervise(&plan);
    close(lock);
    return status;
}

/* Asks the supervisor, and says what it answered. */
static int ask(const struct request *request, const char *directory)
{
    char text[DEV_REQUEST_BYTES_MAX];
    struct bytes answer;
    if (snprintf(text, sizeof text, "%s %s%s%s", request->verb, request->node == NULL ? "" : request->node,
                 request->one_way == NULL ? "" : " ",
                 request->one_way == NULL ? "" : request->one_way) >= (int)sizeof text)
        usage_error("'%s' is no node", request->node);
    int status = dev_control_ask(directory, text, &answer);
    if (status == EXIT_OK && !request->takes_node) {
        if (!rows_print(&request->common, answer))
            dev_status_print(map_value(answer, "rows"));
    } else if (answer.size > 0) {
        fprintf(status == EXIT_OK ? stdout : stderr, "%s%.*s\n",
                status == EXIT_OK ? "" : "meridian: ", (int)answer.size, (const char *)answer.data);
    }
    return status;
}

int cli_dev(int argc, char **argv)
{
    static const struct argp parser = {options, parse, "\nVERB NODE\nstatus", documentation, NULL,
                                       NULL,    NULL};
    struct request request = {.regions = "eu,us,ap",
                              .directory = DIRECTORY_DEFAULT,
                              .workers = 2,
                              .slots = 2,
                              .port = DEV_PORT_DEFAULT,
                              .argc = argc};
    options_parse(&parser, "meridian dev", argc, argv, &request);
    if (request.verb == NULL)
        return run_cluster(&request);
    char directory[PATH_MAX] = DIRECTORY_DEFAULT;
    if (!request.directory_given)
        find_directory(directory);
    else if (snprintf(directory, sizeof directory, "%s", request.directory) >= (int)sizeof directory)
        usage_error("--dir: the name is too long");
    return ask(&request, directory);
}
