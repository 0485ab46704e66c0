/* dev_plan.c - which nodes a development cluster has, where they listen, and their configuration files. */
#include "cli/dev.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/assert.h"

enum { PORT_REGIONS = 1, PORT_WORKERS = 11 }; /* added to --port */

const char *dev_tier_text(enum dev_tier tier)
{
    static const char *const texts[DEV_TIER_COUNT] = {"broker", "region", "worker"};
    ASSERT(tier < DEV_TIER_COUNT);
    return texts[tier];
}

unsigned dev_plan_clients_port(const struct dev_plan *plan)
{
    return plan->port;
}

static unsigned regions_port(const struct dev_plan *plan)
{
    return plan->port + PORT_REGIONS;
}

static unsigned workers_port(const struct dev_plan *plan, unsigned region)
{
    return plan->port + PORT_WORKERS + region;
}

struct dev_node *dev_plan_find(struct dev_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->node_count; i++)
        if (strcmp(plan->nodes[i].name, name) == 0)
            return &plan->nodes[i];
    return NULL;
}

struct dev_node *dev_plan_parent(struct dev_plan *plan, const struct dev_node *node)
{
    ASSERT(node->tier != DEV_BROKER);
    return node->tier == DEV_REGION ? &plan->nodes[0] : dev_plan_find(plan, plan->regions[node->region]);
}

static struct dev_node *add_node(struct dev_plan *plan, enum dev_tier tier, unsigned region)
{
    ASSERT(plan->node_count < DEV_NODES_MAX);
    struct dev_node *node = &plan->nodes[plan->node_count++];
    *node = (struct dev_node){.tier = tier, .region = region, .kill_reply = -1};
    return node;
}

static bool region_name_is_good(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            return false;
    return size > 0 && size <= NAME_BYTES_MAX;
}

/* What a region cannot be called, since `dev VERB NODE` means something else by it. */
static const struct {
    const char *name, *meaning;
} taken[] = {{"broker", "the broker itself is called so"},
             {DEV_ALL, "it means every node, as in `meridian dev heal all`"}};

static bool fill_regions(struct dev_plan *plan, const char *list)
{
    for (const char *at = list;;) {
        size_t size = strcspn(at, ",");
        if (!region_name_is_good(at, size)) {
            fprintf(
                stderr,
                "meridian: --regions %s: '%.*s' is no name; letters, digits, '-' and '_', 1 to %d of them, "
                "as in --regions eu,us\n",
                list, (int)size, at, NAME_BYTES_MAX);
            return false;
        }
        for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
            if (strlen(taken[i].name) == size && memcmp(taken[i].name, at, size) == 0) {
                fprintf(stderr, "meridian: --regions %s: the name '%s' is taken: %s. Choose another\n", list,
                        taken[i].name, taken[i].meaning);
                return false;
            }
        if (plan->region_count == DEV_REGIONS_MAX) {
            fprintf(stderr, "meridian: --regions %s: at most %d regions\n", list, DEV_REGIONS_MAX);
            return false;
        }
        memcpy(plan->regions[plan->region_count++], at, size);
        at += size;
        if (*at == '\0')
            return true;
        at++;
    }
}

static bool names_are_unique(const struct dev_plan *plan)
{
    for (unsigned i = 0; i < plan->node_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(plan->nodes[i].file, plan->nodes[j].file) == 0) {
                if (strcmp(plan->nodes[i].name, plan->nodes[j].name) == 0)
                    fprintf(stderr, "meridian: --regions: %s is named twice\n", plan->nodes[i].name);
                else
                    fprintf(stderr, "meridian: --regions: %s and %s would share the file %s.ini\n",
                            plan->nodes[j].name, plan->nodes[i].name, plan->nodes[i].file);
                return false;
            }
    return true;
}

static void name_worker(struct dev_node *worker, const char *region, unsigned number)
{
    char name[NAME_BYTES_MAX + 1]; /* a copy: snprintf may not read from the object it writes to */
    strcpy(name, region);
    snprintf(worker->name, sizeof worker->name, "%s/w%u", name, number);
    snprintf(worker->file, sizeof worker->file, "%s-w%u", name, number);
}

bool dev_plan_fill(struct dev_plan *plan, const char *regions)
{
    if (!fill_regions(plan, regions))
        return false;
    struct dev_node *broker = add_node(plan, DEV_BROKER, 0);
    strcpy(broker->name, "broker");
    strcpy(broker->file, "broker");
    for (unsigned i = 0; i < plan->region_count; i++) {
        struct dev_node *region = add_node(plan, DEV_REGION, i);
        strcpy(region->name, plan->regions[i]);
        strcpy(region->file, plan->regions[i]);
        region->parent_port = regions_port(plan);
    }
    for (unsigned i = 0; i < plan->region_count; i++)
        for (unsigned number = 1; number <= plan->workers; number++) {
            struct dev_node *worker = add_node(plan, DEV_WORKER, i);
            name_worker(worker, plan->regions[i], number);
            worker->parent_port = workers_port(plan, i);
        }
    return names_are_unique(plan);
}

static bool make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    fprintf(stderr, "meridian: cannot make the directory %s: %s. Choose another with --dir\n", path,
            strerror(errno));
    return false;
}

/* Replaces DIRECTORY/`name` as a whole, so that nobody reads half of it. */
__attribute__((format(printf, 3, 4))) static bool write_file(const struct dev_plan *plan, const char *name,
                                                             const char *format, ...)
{
    char path[2 * PATH_MAX], fresh[2 * PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/%s", plan->absolute, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "we");
    bool good = file != NULL;
    if (good) {
        va_list arguments;
        va_start(arguments, format);
        good = vfprintf(file, format, arguments) >= 0;
        va_end(arguments);
        good = fclose(file) == 0 && good;
    }
    if (!good || rename(fresh, path) != 0) {
        fprintf(stderr, "meridian: cannot write %s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static bool write_node(const struct dev_plan *plan, const struct dev_node *node)
{
    char name[DEV_NAME_BYTES_MAX + 8], head[2 * PATH_MAX];
    snprintf(name, sizeof name, "%s.ini", node->file);
    snprintf(head, sizeof head,
             "# %s, written by `meridian dev` at every start. Every key is explained in conf/%s.ini.\n"
             "[node]\n"
             "data = %s/data/%s\n",
             node->name, dev_tier_text(node->tier), plan->absolute, node->file);
    switch (node->tier) {
    case DEV_BROKER:
        return write_file(plan, name,
                          "%s\n[broker]\n"
                          "clients = tcp://127.0.0.1:%u\n"
                          "regions = tcp://127.0.0.1:%u\n"
                          "%s",
                          head, dev_plan_clients_port(plan), regions_port(plan),
                          plan->sandbox ? "# A silent region is lost after this time; 60s unless set. Short "
                                          "here, so that a\n# partition shows what it does soon.\n"
                                          "region_grace = " DEV_SANDBOX_REGION_GRACE "\n"
                                        : "");
    case DEV_REGION:
        return write_file(
            plan, name,
            "%s\n[region]\n"
            "name = %s\n"
            "parent = tcp://127.0.0.1:%u\n"
            "workers = tcp://127.0.0.1:%u\n"
            "# A silent worker is lost after this time; 10s unless set. Short here, so that the\n"
            "# loss of a worker shows soon.\n"
            "worker_grace = " DEV_WORKER_GRACE "\n",
            head, node->name, node->parent_port, workers_port(plan, node->region));
    case DEV_WORKER:
        return write_file(
            plan, name,
            "%s\n[worker]\n"
            "name = %s\n"
            "parent = tcp://127.0.0.1:%u\n"
            "slots = %u\n"
            "# Runs any command that a client sends; deny unless set.\n"
            "commands = allow\n"
            "# When told to stop: end the running tasks at once (TERM, 5 s, KILL) and return them;\n"
            "# 30s unless set.\n"
            "drain_deadline = 0s\n"
            "\n"
            "# Ends at once inside the worker: for `meridian bench`.\n"
            "[type noop]\n"
            "builtin = noop\n",
            head, strchr(node->name, '/') + 1, node->parent_port, plan->slots);
    case DEV_TIER_COUNT:
        break;
    }
    ASSERT(false);
    return false;
}

bool dev_plan_open(struct dev_plan *plan)
{
    if (!make_directory(plan->directory))
        return false;
    if (realpath(plan->directory, plan->absolute) == NULL) {
        fprintf(stderr, "meridian: %s: %s\n", plan->directory, strerror(errno));
        return false;
    }
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/data", plan->absolute);
    if (!make_directory(path))
        return false;
    snprintf(path, sizeof path, "%s/log", plan->absolute);
    return make_directory(path);
}

bool dev_plan_write(const struct dev_plan *plan)
{
    for (unsigned i = 0; i < plan->node_count; i++)
        if (!write_node(plan, &plan->nodes[i]))
            return false;
    return write_file(plan, "dev.ini",
                      "# Where the command line finds this cluster; written by `meridian dev`.\n"
                      "[cluster]\n"
                      "server = tcp://127.0.0.1:%u\n"
                      "# The supervisor's socket, beside this file.\n"
                      "control = control\n",
                      dev_plan_clients_port(plan));
}

static bool port_is_free(unsigned port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return true; /* the node that binds will say what is wrong */
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on,
               sizeof on); /* as ZeroMQ does; only TIME_WAIT matters */
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_free =
        bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0;
    close(listener);
    return is_free;
}

bool dev_plan_ports_are_free(const struct dev_plan *plan)
{
    for (unsigned i = 0; i < 2 + plan->region_count; i++) {
        unsigned port = i < 2 ? plan->port + i : workers_port(plan, i - 2);
        const char *user = i == 0 ? "the clients" : i == 1 ? "the regions" : plan->regions[i - 2];
        if (port_is_free(port))
            continue;
        fprintf(stderr,
                "meridian: port %u (for %s%s) is in use. Stop the program that listens there, or use other "
                "ports: "
                "meridian dev --port %u\n",
                port, i < 2 ? "" : "the workers of ", user, plan->port + 100);
        return false;
    }
    return true;
}
