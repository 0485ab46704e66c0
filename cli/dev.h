/* dev.h - a whole cluster on this machine in one command: the plan of its nodes and the configuration files
 * that it writes.
 *
 * Is:      `meridian dev`, `dev kill NODE` and the other verbs (cli/dev.c) and what they share. The process
 * that holds the nodes is cli/dev_supervisor.h, the socket by which the verbs speak to it cli/dev_control.h.
 * Is not:  a way to run in production: everything listens on loopback, and a node that dies stays dead.
 * Files:   DIRECTORY/NODE.ini (written anew at every start), DIRECTORY/dev.ini, log/NODE.log, data/NODE
 * (kept), lock, control. NODE in file names is `us-w2` for us/w2.
 * Ports:   P clients, P+1 regions, P+11, P+12, ... the workers of each region; P is --port.
 * Sandbox: with --rtt and its like each link goes through the shim (cli/dev_shim.h), which listens on ports
 * that the system chooses. */
#ifndef MERIDIAN_CLI_DEV_H
#define MERIDIAN_CLI_DEV_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/dev_wan.h"
#include "proto/limits.h"

enum {
    DEV_REGIONS_MAX = 16,
    DEV_WORKERS_MAX = 16, /* of one region */
    DEV_NODES_MAX = 1 + DEV_REGIONS_MAX * (1 + DEV_WORKERS_MAX),
    DEV_NAME_BYTES_MAX = 2 * NAME_BYTES_MAX + 1, /* us/w2 */
    DEV_PORT_DEFAULT = 7700,
};

#define DEV_ALL "all" /* of heal and resume: every node. No region is called so */

/* As the configurations of the nodes say it, and messages for people. */
#define DEV_WORKER_GRACE "3s"
#define DEV_SANDBOX_REGION_GRACE "10s"

/* The tiers, in the order in which they start; they stop in the reverse one. */
enum dev_tier { DEV_BROKER, DEV_REGION, DEV_WORKER, DEV_TIER_COUNT };

struct dev_node {
    enum dev_tier tier;
    unsigned region;                   /* index in the plan; of a region itself, and of a worker */
    char name[DEV_NAME_BYTES_MAX + 1]; /* broker, us, us/w2 */
    char file[DEV_NAME_BYTES_MAX + 1]; /* broker, us, us-w2 */
    unsigned parent_port;              /* where it connects to; not of the broker */
    pid_t pid;                         /* 0: not running */
    bool paused;                       /* SIGSTOP was sent */
    uint64_t since_ms;                 /* when it was started, paused, resumed or reaped */
    uint64_t cut_since_ms;             /* of its link; 0: whole */
    int kill_reply;                    /* connection that waits until it is reaped; -1: none */
};

struct dev_plan {
    char directory[PATH_MAX]; /* as given, for messages */
    char absolute[PATH_MAX];  /* the same, for the nodes; set by dev_plan_open */
    unsigned port;
    unsigned region_count;
    char regions[DEV_REGIONS_MAX][NAME_BYTES_MAX + 1];
    unsigned workers; /* of each region */
    unsigned slots;   /* of each worker */
    bool sandbox;
    unsigned broker_region;             /* in the sandbox: the region that the broker lives in */
    struct line lines[DEV_REGIONS_MAX]; /* in the sandbox: each region's link with the broker */
    unsigned node_count;
    struct dev_node nodes[DEV_NODES_MAX]; /* by tier, then region: the order of starting */
};

const char *dev_tier_text(enum dev_tier tier);

/* Fills `regions` from "eu,us,ap" and then the nodes. On a mistake says which on stderr and returns false. */
bool dev_plan_fill(struct dev_plan *plan, const char *regions);
/* Creates the directory and sets `absolute`. False after a message on stderr. */
bool dev_plan_open(struct dev_plan *plan);
/* The parent of a node that is not the broker. */
struct dev_node *dev_plan_parent(struct dev_plan *plan, const struct dev_node *node);
/* Writes every configuration file and dev.ini. False after a message on stderr. */
bool dev_plan_write(const struct dev_plan *plan);
/* Tries each port; false after a message on stderr that names the first that is taken. */
bool dev_plan_ports_are_free(const struct dev_plan *plan);
/* NULL if there is none of that name. */
struct dev_node *dev_plan_find(struct dev_plan *plan, const char *name);
unsigned dev_plan_clients_port(const struct dev_plan *plan);

/* Waits until every region and worker of the plan is live, asking the broker. Runs in a process of its own
 * (it opens a ZeroMQ context). Returns its exit status; who is missing it names on stderr after two seconds,
 * once, and after `wait_ms`. */
int dev_ready_wait(const struct dev_plan *plan, unsigned wait_ms);

/* The command; argv[0] is "dev". Returns the exit status of the program. */
int cli_dev(int argc, char **argv);

#endif
