/* nodes.h - the processes of the stress: real nodes, each this very program started again with a
 * configuration.
 *
 * Is:      a cluster of NODE_COUNT nodes in a temporary directory, on loopback ports from `first_port` on.
 * Is not:  for several threads: all calls come from the one that opened it, or the nodes would end with it.
 * Errors:  what keeps the stress from running ends the program with a message. A node that ended otherwise
 *          than it was told to (a report of the sanitizer gives status 66) is named and counted. */
#ifndef MERIDIAN_STRESS_NODES_H
#define MERIDIAN_STRESS_NODES_H

#include <stdbool.h>
#include <sys/types.h>

enum node_name { NODE_BROKER, NODE_EU, NODE_US, NODE_EU_W1, NODE_EU_W2, NODE_US_W1, NODE_COUNT };

struct nodes {
    char directory[64];
    int first_port;
    pid_t processes[NODE_COUNT]; /* 0 = not running */
    int wrong;                   /* ends that were not as they should be */
};

/* Writes the configurations and starts every node. */
void nodes_open(struct nodes *nodes, int first_port);
/* Ends every node with SIGTERM; removes the directory if nothing was wrong. */
void nodes_close(struct nodes *nodes);
/* End a node with SIGTERM or SIGKILL, wait for it, start it again. */
void nodes_restart(struct nodes *nodes, enum node_name name, int signal_number);
/* Notes nodes that ended unasked; true if all run. */
bool nodes_all_run(struct nodes *nodes);
/* The endpoint for clients. */
void nodes_server(const struct nodes *nodes, char *to, size_t size);

/* What main does when it was started as a node: `arguments` are a role and a configuration. */
int nodes_be_one(char **arguments);

#endif
