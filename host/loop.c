/* loop.c - see loop.h. One turn of the loop, in order:
 *   1. wait for sockets, signals, processes, the commit thread, or the node's deadline;
 *   2. take back the batch that was committed: send its messages, start its processes;
 *   3. step the node: messages until the sockets are drained or the batch is full, broken links, ended
 * processes, a signal, then TIMEOUT if its time has come;
 *   4. hand the gathered batch over, if the commit thread has room.
 * HEARTBEATs leave right after their step. */
#include "host/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/log.h"
#include "proto/assert.h"

enum {
    COMPANY_MS = 5, /* records that nobody waits for wait so long for others, to save a sync */
    PIPELINED_WRITES_MIN = 256,
    POLL_MS_MAX = 1000,
    DRAIN_ROUND = 64, /* messages of one socket before the next one's turn */
};

/* ---- stepping ---- */

static void send_frame(struct host *host, uint64_t peer, zmq_msg_t *frame)
{
    switch (peer_port(peer)) {
    case PORT_CLIENT:
        router_send(&host->clients, peer, frame);
        return;
    case PORT_CHILD:
        router_send(&host->children, peer, frame);
        return;
    case PORT_PARENT:
        parent_send(&host->parent, peer, frame);
        return;
    }
    ASSERT(!"a message to a port that does not exist");
}

/* Messages of the last step that do not wait, and its traces. */
static void follow_step(struct host *host)
{
    struct batch *batch = host->gathering;
    const struct outputs *outputs = &batch->outputs;
    for (; batch->traces_seen < outputs->trace_count; batch->traces_seen++)
        log_trace(&outputs->traces[batch->traces_seen]);
    for (; batch->messages_seen < outputs->message_count; batch->messages_seen++) {
        const struct message *message = &outputs->messages[batch->messages_seen];
        zmq_msg_t frame;
        if (!message->immediate)
            continue;
        batch_build_immediate(batch, message, &frame);
        send_frame(host, message->peer, &frame);
        batch->immediate_count++;
    }
}

/* What the records may take that were asked for and are not committed yet: those of an idle batch are none.
 */
static uint64_t asked_bytes(const struct host *host)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof host->batches / sizeof host->batches[0]; i++)
        bytes += host->batches[i].outputs.disk_bytes;
    return bytes;
}

static void tell_store(const struct host *host, struct event *event)
{
    event->store_free_bytes = event->store_max_bytes = UINT64_MAX;
    if (host->store == NULL)
        return;
    uint64_t free_bytes = store_free_bytes(host->store), asked = asked_bytes(host);
    event->store_free_bytes = free_bytes > asked ? free_bytes - asked : 0;
    event->store_max_bytes = store_max_bytes(host->store);
}

void host_step(struct host *host, struct event *event)
{
    struct batch *batch = host->gathering;
    ASSERT(!batch_full(batch));
    event->now_ns = clock_now_ns(&host->clock);
    event->wall_ms = clock_wall_ms();
    clock_random(&host->clock, event->random);
    tell_store(host, event);
    if (host->commit.count != 0)
        event->commit_age_ms =
            (uint32_t)((event->now_ns - host->commit.batches[0]->handed_ns) / NANOSECONDS_PER_MS);
    outputs_begin_step(&batch->outputs);
    host->node.step(host->node.self, event, &batch->outputs);
    if (batch->first_write_ns == 0 && batch->outputs.write_count != 0)
        batch->first_write_ns = event->now_ns;
    follow_step(host);
}

/* Up to DRAIN_ROUND messages of one socket; false once it is drained. */
static bool step_messages(struct host *host, enum port port)
{
    for (int i = 0; i < DRAIN_ROUND; i++) {
        struct event event = {.kind = EVENT_MESSAGE};
        bool received = false;
        if (batch_full(host->gathering))
            return false;
        zmq_msg_t *frame = batch_slot(host->gathering);
        switch (port) {
        case PORT_CLIENT:
            received = router_receive(&host->clients, frame, &event.peer);
            break;
        case PORT_CHILD:
            received = router_receive(&host->children, frame, &event.peer);
            break;
        case PORT_PARENT:
            received = parent_receive(&host->parent, frame, &event.peer);
            break;
        }
        if (!received) {
            zmq_msg_close(frame);
            return false;
        }
        event.frame = (struct bytes){zmq_msg_data(frame), zmq_msg_size(frame)};
        batch_keep(host->gathering);
        host_step(host, &event);
    }
    return true;
}

static bool next_gone(struct host *host, uint64_t *ret_peer)
{
    return parent_next_gone(&host->parent, ret_peer) || router_next_gone(&host->children, ret_peer) ||
           router_next_gone(&host->clients, ret_peer);
}

static void step_processes(struct host *host)
{
    struct host_launcher *launcher = host->options->launcher;
    struct event event = {0};
    while (launcher != NULL && !batch_full(host->gathering) && launcher->next_event(launcher->self, &event)) {
        host_step(host, &event);
        event = (struct event){0};
    }
}

/* Read also while nothing can be stepped: the way out must not depend on the disk. */
static void read_signals(struct host *host)
{
    struct signalfd_siginfo signal;
    while (read(host->signals, &signal, sizeof signal) == sizeof signal) {
        if (host->signalled)
            host_fatal("ended at once by a second signal; what was acknowledged is on disk");
        host->signalled = true;
        log_line(TRACE_INFO, "signal %u: ending; a second one ends at once", signal.ssi_signo);
    }
}

static void step_drain(struct host *host)
{
    if (!host->signalled || host->draining || batch_full(host->gathering))
        return;
    host->draining = true;
    host_step(host, &(struct event){.kind = EVENT_DRAIN});
}

static void step_all(struct host *host)
{
    bool more = true;
    uint64_t peer;
    while (more) {
        more = step_messages(host, PORT_PARENT);
        more |= step_messages(host, PORT_CHILD);
        more |= step_messages(host, PORT_CLIENT);
    }
    while (!batch_full(host->gathering) && next_gone(host, &peer))
        host_step(host, &(struct event){.kind = EVENT_LINK_DOWN, .peer = peer});
    step_processes(host);
    step_drain(host);
    if (!batch_full(host->gathering) && host->node.deadline_ns(host->node.self) <= clock_now_ns(&host->clock))
        host_step(host, &(struct event){.kind = EVENT_TIMEOUT});
}

/* ---- batches ---- */

/* The batch is on disk: now its messages may leave and its processes start. */
static void leave(struct host *host, struct batch *batch)
{
    const struct outputs *outputs = &batch->outputs;
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        uint32_t index = outputs->order[i];
        if (!outputs->messages[index].immediate)
            send_frame(host, outputs->messages[index].peer, &batch->frames[index]);
    }
    for (uint32_t i = 0; i < outputs->process_count; i++) {
        ASSERT(host->options->launcher != NULL);
        host->options->launcher->perform(host->options->launcher->self, outputs, &outputs->processes[i],
                                         batch->envelopes[i]);
    }
    batch_reset(batch);
}

/* Is it better to wait for more? Only for records that nobody outside waits for. */
static bool waits_for_company(struct host *host)
{
    const struct batch *batch = host->gathering;
    return !batch_full(batch) && batch->outputs.message_count == batch->immediate_count &&
           batch->outputs.process_count == 0 &&
           clock_now_ns(&host->clock) < batch->first_write_ns + COMPANY_MS * NANOSECONDS_PER_MS;
}

static struct batch *idle_batch(struct host *host)
{
    for (int i = 0; i <= COMMIT_DEPTH; i++) {
        struct batch *batch = &host->batches[i];
        bool under_way = batch == host->gathering;
        for (int j = 0; j < host->commit.count; j++)
            under_way |= batch == host->commit.batches[j];
        if (!under_way)
            return batch;
    }
    ASSERT(!"more batches under way than there are");
    return NULL;
}

/* Can the batch go now? Behind another one only if it is large: under load that saves a flush a batch, while
 * many small ones cost more flushes than waiting for the one under way. */
static bool may_hand_over(struct host *host)
{
    if (host->commit.count == 0)
        return !waits_for_company(host);
    return host->commit.count < COMMIT_DEPTH && host->gathering->outputs.write_count >= PIPELINED_WRITES_MIN;
}

static void hand_over(struct host *host)
{
    struct batch *batch = host->gathering;
    if (batch_is_idle(batch)) {
        batch_reset(batch);
        return;
    }
    outputs_close(&batch->outputs);
    if (!batch_needs_store(batch)) { /* nothing is under way that it would have to wait for */
        ASSERT(host->commit.count == 0 && batch_perform(batch, NULL));
        leave(host, batch);
        return;
    }
    if (host->store == NULL)
        host_fatal("this node has records to keep and no store; set node.data");
    batch->handed_ns = clock_now_ns(&host->clock);
    commit_hand_over(&host->commit, batch);
    host->gathering = idle_batch(host);
}

static void take_back(struct host *host, int wait_ms)
{
    struct batch *batch = commit_take_back(&host->commit, wait_ms);
    if (batch != NULL)
        leave(host, batch);
}

/* Everything gathered goes out: before the end, and after the records were restored. */
void host_flush(struct host *host)
{
    while (host->commit.count != 0)
        take_back(host, POLL_MS_MAX);
    hand_over(host);
    while (host->commit.count != 0)
        take_back(host, POLL_MS_MAX);
}

/* ---- waiting ---- */

/* Milliseconds until something is due without anybody asking. */
static long due_ms(struct host *host)
{
    uint64_t now_ns = clock_now_ns(&host->clock);
    uint64_t due_ns = host->node.deadline_ns(host->node.self);
    const struct batch *batch = host->gathering;
    if (host->commit.count == 0 && batch->first_write_ns != 0) {
        uint64_t company_ns = batch->first_write_ns + COMPANY_MS * NANOSECONDS_PER_MS;
        due_ns = company_ns < due_ns ? company_ns : due_ns;
    }
    if (due_ns <= now_ns)
        return 0;
    uint64_t wait_ms = (due_ns - now_ns + NANOSECONDS_PER_MS - 1) / NANOSECONDS_PER_MS;
    return wait_ms < POLL_MS_MAX ? (long)wait_ms : POLL_MS_MAX;
}

static int add_socket(struct host *host, int count, void *socket)
{
    if (socket == NULL)
        return count;
    host->poll_items[count] = (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN};
    return count + 1;
}

void host_grow_poll_items(struct host *host, int count)
{
    host->poll_items = realloc(host->poll_items, (size_t)count * sizeof *host->poll_items);
    if (host->poll_items == NULL)
        host_fatal("no memory to wait for %d sockets; free memory and start again", count);
    host->poll_capacity = count;
}

static int add_processes(struct host *host, int count)
{
    struct host_launcher *launcher = host->options->launcher;
    if (launcher == NULL)
        return count;
    int wanted = launcher->fill_poll(launcher->self, host->poll_items + count, host->poll_capacity - count);
    while (wanted > host->poll_capacity - count) {
        host_grow_poll_items(host, 2 * (count + wanted));
        wanted = launcher->fill_poll(launcher->self, host->poll_items + count, host->poll_capacity - count);
    }
    return count + wanted;
}

/* With a full batch nothing can be stepped, so only the commit thread and signals are waited for. */
static void wait_for_work(struct host *host)
{
    bool full = batch_full(host->gathering);
    int count = add_socket(host, 0, host->commit.pipe);
    host->poll_items[count++] = (zmq_pollitem_t){.fd = host->signals, .events = ZMQ_POLLIN};
    if (!full) {
        count = add_socket(host, count, host->clients.socket);
        count = add_socket(host, count, host->clients.monitor);
        count = add_socket(host, count, host->children.socket);
        count = add_socket(host, count, host->children.monitor);
        count = add_socket(host, count, host->parent.socket);
        count = add_socket(host, count, host->parent.monitor);
        ASSERT(count <= POLL_ITEMS_OWN);
        count = add_processes(host, count);
    }
    if (zmq_poll(host->poll_items, count, full ? POLL_MS_MAX : due_ms(host)) < 0 && zmq_errno() != EINTR)
        host_fatal("cannot wait for sockets: %s", zmq_strerror(zmq_errno()));
}

void host_turn(struct host *host)
{
    wait_for_work(host);
    read_signals(host);
    for (int i = 0; i < COMMIT_DEPTH; i++)
        take_back(host, 0);
    if (!batch_full(host->gathering))
        step_all(host);
    if (may_hand_over(host))
        hand_over(host);
}
