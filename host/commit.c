/* commit.c - see commit.h. */
#include "host/commit.h"

#include "host/log.h"
#include "proto/assert.h"

/* A batch goes over as its address; anything else on the pipe is czmq's own word for the end. */
static void run(zsock_t *pipe, void *arguments)
{
    struct store *store = arguments;
    void *socket = zsock_resolve(pipe);
    zsock_signal(pipe, 0);
    for (;;) {
        uint8_t word[32];
        struct batch *batch;
        int size = zmq_recv(socket, word, sizeof word, 0);
        if (size < 0 && zmq_errno() == EINTR)
            continue;
        if (size != sizeof batch)
            return;
        memcpy(&batch, word, sizeof batch);
        if (!batch_perform(batch, store))
            host_fatal("%s", store_problem(store));
        if (zmq_send(socket, &batch, sizeof batch, 0) < 0)
            return;
    }
}

void commit_open(struct commit *commit, struct store *store)
{
    commit->batch = NULL;
    commit->actor = zactor_new(run, store);
    if (commit->actor == NULL)
        host_fatal("cannot start the commit thread; raise the limit of threads (ulimit -u)");
    commit->pipe = zsock_resolve(zactor_sock(commit->actor));
}

void commit_close(struct commit *commit)
{
    commit_take_back(commit, -1);
    zactor_destroy(&commit->actor);
}

void commit_hand_over(struct commit *commit, struct batch *batch)
{
    ASSERT(commit->batch == NULL);
    ASSERT(zmq_send(commit->pipe, &batch, sizeof batch, 0) == sizeof batch);
    commit->batch = batch;
}

struct batch *commit_take_back(struct commit *commit, int wait_ms)
{
    struct batch *batch;
    if (commit->batch == NULL)
        return NULL;
    zmq_pollitem_t item = {.socket = commit->pipe, .events = ZMQ_POLLIN};
    if (wait_ms != 0 && zmq_poll(&item, 1, wait_ms) < 0)
        return NULL;
    if (zmq_recv(commit->pipe, &batch, sizeof batch, ZMQ_DONTWAIT) != sizeof batch)
        return NULL;
    ASSERT(batch == commit->batch);
    commit->batch = NULL;
    return batch;
}
