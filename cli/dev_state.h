/* dev_state.h - the supervisor's insides, shared by dev_supervisor.c, dev_requests.c and dev_status.c only.
 */
#ifndef MERIDIAN_CLI_DEV_STATE_H
#define MERIDIAN_CLI_DEV_STATE_H

#include <signal.h>

#include "cli/dev.h"
#include "cli/dev_shim.h"

enum dev_phase { DEV_STARTING, DEV_RUNNING, DEV_STOPPING };

struct supervisor {
    struct dev_plan *plan;
    enum dev_phase phase;
    int stopping; /* the tier that is being stopped; -1 when all are */
    uint64_t stop_deadline_ms;
    int exit_status;
    int signals;  /* signalfd */
    int listener; /* `dev kill`, `dev partition`, ... */
    pid_t self, ready, shim_pid;
    struct shim *shim;  /* NULL without the sandbox */
    sigset_t inherited; /* the signal mask that children get back */
};

/* ---- dev_supervisor.c ---- */
uint64_t dev_now_ms(void);
bool dev_start_node(struct supervisor *supervisor, struct dev_node *node);

/* ---- dev_requests.c ---- */
/* One caller of the control socket: read, done, answered (a kill is answered when the node is reaped). */
void dev_on_request(struct supervisor *supervisor);
/* Answers the `dev kill` that waits until the node is reaped. */
void dev_killed(const struct supervisor *supervisor, struct dev_node *node);
/* Its link is whole again, if it was not. */
void dev_heal(struct supervisor *supervisor, struct dev_node *node);
/* SIGCONT, if it was paused. */
void dev_resume(struct dev_node *node);

/* ---- dev_status.c ---- */
/* Answers and closes `connection`: the rows of `dev status`. */
void dev_status_reply(const struct supervisor *supervisor, int connection);

#endif
