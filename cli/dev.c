/* dev.c - the commands `meridian dev`, `dev kill NODE`, `dev start NODE`: arguments, and what comes before
 * the supervisor runs. */
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
#include "cli/dev_supervisor.h"

#define DIRECTORY_DEFAULT ".meridian-dev"

enum { LEVELS_ABOVE_MAX = 64, PORTS_MAX = 65535 - 100 };

struct request {
    const char *regions, *directory;
    bool directory_given;
    unsigned workers, slots, port;
    const char *verb, *node; /* kill or start; NULL for the cluster itself */
};

static const struct argp_option options[] = {
    {"regions", 'r', "NAMES", 0, "Regions, separated by commas (eu,us,ap)", 0},
    {"workers", 'w', "COUNT", 0, "Workers of each region, 1 to 16 (2)", 0},
    {"slots", 's', "COUNT", 0, "Tasks that one worker runs at a time, 1 to 65536 (2)", 0},
    {"dir", 'd', "DIRECTORY", 0, "Where data, logs and configuration live (" DIRECTORY_DEFAULT ")", 0},
    {"port", 'p', "PORT", 0, "Port of the clients; the others follow it (7700)", 0},
    {0},
};

static const char documentation[] =
    "Runs a whole cluster on this machine: a broker, regions and their workers.\v"
    "The cluster stops at Ctrl-C; its tasks stay in the directory and go on at the next start. A node that "
    "dies "
    "stays dead until `meridian dev start NODE`. Nodes are named broker, eu, us/w2.\n\n"
    "Every option is also read from the environment: MERIDIAN_REGIONS, MERIDIAN_WORKERS, MERIDIAN_SLOTS, "
    "MERIDIAN_DIR, MERIDIAN_PORT.\n\n"
    "Examples:\n"
    "  meridian dev --regions eu,us --workers 4\n"
    "  meridian dev kill us/w2      ends that node with SIGKILL\n"
    "  meridian dev start us/w2";

static void parse_word(struct request *request, const char *word)
{
    if (request->verb == NULL && (strcmp(word, "kill") == 0 || strcmp(word, "start") == 0))
        request->verb = word;
    else if (request->verb != NULL && request->node == NULL)
        request->node = word;
    else
        usage_error("'%s' is not understood here; kill NODE and start NODE are", word);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct request *request = state->input;
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
    case ARGP_KEY_ARG:
        parse_word(request, text);
        return 0;
    case ARGP_KEY_END:
        if (request->verb != NULL && request->node == NULL)
            usage_error("%s which node? As in: meridian dev %s us/w2", request->verb, request->verb);
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
    if (!dev_plan_open(&plan))
        return EXIT_FAILURE;
    int lock = lock_directory(&plan);
    if (lock < 0)
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    if (dev_plan_ports_are_free(&plan) && dev_plan_write(&plan)) {
        int listener = dev_control_listen(plan.absolute);
        if (listener < 0)
            fprintf(stderr, "meridian: cannot listen in %s: %s\n", plan.directory, strerror(errno));
        else
            status = dev_supervise(&plan, listener);
    }
    close(lock);
    return status;
}

int cli_dev(int argc, char **argv)
{
    static const struct argp parser = {options, parse, "\nkill NODE\nstart NODE", documentation, NULL,
                                       NULL,    NULL};
    struct request request = {.regions = "eu,us,ap",
                              .directory = DIRECTORY_DEFAULT,
                              .workers = 2,
                              .slots = 2,
                              .port = DEV_PORT_DEFAULT};
    options_parse(&parser, "meridian dev", argc, argv, &request);
    if (request.verb == NULL)
        return run_cluster(&request);
    char directory[PATH_MAX] = DIRECTORY_DEFAULT;
    if (!request.directory_given)
        find_directory(directory);
    else if (snprintf(directory, sizeof directory, "%s", request.directory) >= (int)sizeof directory)
        usage_error("--dir: the name is too long");
    return dev_control_ask(directory, request.verb, request.node);
}
