/* launcher_wire_io.h - what agent and launcher say to each other, over a SOCK_SEQPACKET pair.
 *
 * Both sides are one program of one version, so the messages are plain structs. Messages of one slot come in
 * order both ways: STARTED, perhaps NOT_STARTED, then ENDED, and a new START only after that. */
#ifndef MERIDIAN_WORKER_LAUNCHER_WIRE_IO_H
#define MERIDIAN_WORKER_LAUNCHER_WIRE_IO_H

#include "proto/id.h"

/* The descriptors that come with a START. */
enum { START_PROGRAM, START_INPUT, START_OUTPUT, START_ERROR, START_DESCRIPTORS };

enum request_action { REQUEST_START, REQUEST_TERMINATE, REQUEST_KILL };

struct request {
    enum request_action action;
    uint32_t slot;
    struct task_id id; /* START: which run a stray descendant belongs to */
    struct fence fence;
};

enum report_kind {
    REPORT_STARTED,     /* forked */
    REPORT_NOT_STARTED, /* value: errno of fork, chdir or exec */
    REPORT_ENDED,       /* value: status as of waitpid; the rest of the group was killed */
};

struct report {
    enum report_kind kind;
    uint32_t slot;
    int value;
};

/* Never blocks. False with errno set; EAGAIN and ETOOMANYREFS mean later. Descriptors stay the caller's. */
bool request_send(int socket, const struct request *request, const int *descriptors, int count);
/* 1 with a request (its descriptors are the caller's, closed on exec; -1 where none came), 0 at the agent's
 * end, -1 if there is nothing now. */
int request_receive(int socket, struct request *ret_request, int ret_descriptors[START_DESCRIPTORS]);
/* Blocks until the agent has room; false if the agent is gone. */
bool report_send(int socket, const struct report *report);
/* 1, 0 at the launcher's end, -1 if there is nothing now. */
int report_receive(int socket, struct report *ret_report);

#endif
