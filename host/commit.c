/* commit.c - see commit.h. */
#include "host/commit.h"

#include "host/log.h"
#include "proto/assert.h"

/* The next batch: a batch goes over as its address. NULL: none is there, or, with `ret_end`, anything else:
 * czmq's own word for the end. */
static struct batch *receive(void *socket, bool wait, bool *ret_end)
{
    uint8_t word[32];
    struct batch *batch = NULL;
    int size;
    do
        size = zmq_recv(socket, word, sizeof word, wait ? 0 : ZMQ_DONTWAIT);
    while (size < 0 && zmq_errno() == EINTR);
    *ret_end = size >= 0 ? size != sizeof batch : zmq_errno() != EAGAIN;
    if (size == sizeof batch)
        memcpy(&batch, word, sizeof batch);
    return batch;
}

static void give_back(void *socket, struct batch *batch)
{
    if (batch != NULL)
        ASSERT(zmq_send(socket, &batch, sizeof batch, 0) == sizeof batch);
}

static void must(bool done, const struct store *store)
{
    if (!done)
        host_fatal("%s", store_problem(store));
}

static void run(zsock_t *pipe, void *arguments)
{
    struct store *store = arguments;
    void *socket = zsock_resolve(pipe);
    struct batch *written = NULL; /* committed, and on disk with the next flush */
    bool end = false;
    zsock_signal(pipe, 0);
    while (!end) {
        struct batch *batch = receive(socket, written == NULL, &end);
        if (batch == NULL || !batch_writes(batch)) {
            must(store_sync(store), store);
            give_back(socket, written);
            written = NULL;
        }
        if (batch == NULL)
            continue;
        must(batch_perform(batch, store), store);
        give_back(socket, written);
        written = batch_writes(batch) ? batch : NULL;
        if (written == NULL)
            give_back(socket, batch);
    }
}

void commit_open(struct commit *commit, struct store *store)
{
    commit->count = 0;
    commit->actor = zactor_new(run, store);
    if (commit->actor == NULL)
        host_fatal("cannot start the commit thread; raise the limit of threads (ulimit -u)");
    commit->pipe = zsock_resolve(zactor_sock(commit->actor));
}

void commit_close(struct commit *commit)
{
    ASSERT(commit->count == 0);
    zactor_destroy(&commit->actor);
}

void commit_hand_over(struct commit *commit, struct batch *batch)
{
    ASSERT(commit->count < COMMIT_DEPTH);
    ASSERT(zmq_send(commit->pipe, &batch, sizeof batch, 0) == sizeof batch);
    commit->batches[commit->count++] = batch;
}

struct batch *commit_take_back(struct commit *commit, int wait_ms)
{
    struct batch *batch;
    if (commit->count == 0)
        return NULL;
    zmq_pollitem_t item = {.socket = commit->pipe, .events = ZMQ_POLLIN};
    if (wait_ms != 0 && zmq_poll(&item, 1, wait_ms) < 0)
        return NULL;
    if (zmq_recv(commit->pipe, &batch, sizeof batch, ZMQ_DONTWAIT) != sizeof batch)
        return NULL;
    ASSERT(batch == commit->batches[0]);
    commit->batches[0] = commit->batches[1];
    commit->count--;
    return batch;
}
