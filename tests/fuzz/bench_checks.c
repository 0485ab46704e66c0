/* bench_checks.c - see bench_checks.h. */
#include "tests/fuzz/bench_checks.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/proto/golden.h"

void check(bool kept, const char *promise)
{
    if (kept)
        return;
    fprintf(stderr, "fuzz: not true: %s\n", promise);
    abort();
}

void check_step(const struct outputs *outputs)
{
    check(outputs->operations - outputs->step_operations <= STEP_OPERATIONS_MAX,
          "a step appends at most STEP_OPERATIONS_MAX operations");
}

void check_writes(const struct outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *put = &outputs->writes[i];
        for (uint32_t e = 0; put->kind == WRITE_PUT && e < i && outputs->write_count < 64; e++)
            check(outputs->writes[e].kind == WRITE_PUT || outputs->writes[e].table != put->table ||
                      outputs->writes[e].number != put->number,
                  "nothing is put after it was erased in the same batch");
    }
}

/* ---- messages ---- */

static struct bench_peer *peer_of(uint64_t peer)
{
    for (uint32_t i = bench.peer_count; i-- > 0;)
        if (bench.peers[i].peer == peer)
            return &bench.peers[i];
    if (bench.peer_count == BENCH_PEERS_MAX)
        return NULL; /* more than a script needs; they go unchecked */
    bench.peers[bench.peer_count] = (struct bench_peer){.peer = peer};
    return &bench.peers[bench.peer_count++];
}

void check_request(uint64_t peer)
{
    struct bench_peer *client = peer_of(peer);
    if (client != NULL)
        client->requests++;
}

static void check_reply(const struct message_header *header, uint64_t peer)
{
    bool pushed = header->kind == MESSAGE_RESULT && header->sequence == 0;
    struct bench_peer *client = pushed ? NULL : peer_of(peer);
    if (client != NULL)
        check(++client->replies <= client->requests, "a client gets one reply to a request");
}

static void check_counted(const struct message *message, const struct message_header *header)
{
    struct bench_peer *peer = peer_of(message->peer);
    if (message->link == NULL) {
        check(header->sequence == 0 || header->kind == MESSAGE_ERROR,
              "what is not counted on a link has sequence 0");
        return;
    }
    if (peer != NULL && header->sequence != 0) /* 0: of a session that ended in this very batch */
        check(header->sequence == ++peer->counted, "messages are counted without a gap");
}

/* Every entry is one that our readers take, and means the same when it is written again. */
static void check_entry(enum message_kind kind, struct bytes entry)
{
    static uint8_t bytes[2 * FRAME_BYTES_MAX];
    struct writer again;
    writer_init(&again, bytes, sizeof bytes);
    check(golden_link_again(kind, entry, &again), "our readers take what our nodes write");
}

static void note_grant(enum message_kind kind, struct bytes entry)
{
    bool down = kind == MESSAGE_ASSIGN;
    if (!down && kind != MESSAGE_OUTCOME && kind != MESSAGE_TAKEN && kind != MESSAGE_INVENTORY)
        return;
    struct reader reader;
    reader_init(&reader, entry);
    (void)read_array(&reader, 64);
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    struct bytes fence = read_bin(&reader, FENCE_BYTES, FENCE_BYTES);
    struct task_id copy;
    memcpy(copy.bytes, id.data, TASK_ID_BYTES);
    cast_add(down ? &bench.down : &bench.up, &copy, fence_decode(fence.data));
}

static void check_link_body(const struct message_header *header)
{
    bool empty = header->kind == MESSAGE_GREET || header->kind == MESSAGE_END || header->kind == MESSAGE_BYE;
    struct error_body error;
    if (empty)
        return;
    if (header->kind == MESSAGE_ERROR) {
        check(error_read_body(header->body, &error) == READER_OK, "ERROR is one");
    } else if (golden_has_entries(header->kind)) {
        struct reader reader;
        reader_init(&reader, header->body);
        check(read_array(&reader, 1) == 1, "a message of entries is [[entry, ...]]");
        uint32_t count = read_array(&reader, INVENTORY_ROWS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            struct bytes entry = read_raw(&reader);
            check_entry(header->kind, entry);
            note_grant(header->kind, entry);
        }
        check(!reader_failed(&reader), "a message of entries has as many as it says");
    } else {
        check_entry(header->kind, header->body);
    }
}

void check_message(const struct message *message, struct bytes frame, struct message_header *ret_header)
{
    check(frame.size <= FRAME_BYTES_MAX, "a frame has at most FRAME_BYTES_MAX bytes");
    check(message_read(frame, ret_header) == READER_OK, "a frame is whole");
    check(ret_header->kind == message->kind, "a frame is of its kind");
    if (peer_port(message->peer) == PORT_CLIENT) {
        check_reply(ret_header, message->peer);
        return;
    }
    if (bench.node->is_client)
        return;
    check_counted(message, ret_header);
    check_link_body(ret_header);
}

/* ---- the books ---- */

struct tasks_kept tasks_kept(const struct ledger *ledger)
{
    return (struct tasks_kept){.living = ledger->tasks.live,
                               .granted = ledger->counts[TASK_GRANTED] + ledger->counts[TASK_RUNNING],
                               .ended = ledger->counts[TASK_ENDED]};
}

void check_kept(const struct tasks_kept *before, const struct ledger *after)
{
    struct tasks_kept found = tasks_kept(after);
    check(found.living == before->living, "a restart finds every task again, and no other");
    check(found.granted == before->granted, "a restart finds every grant again, and no other");
    check(found.ended == before->ended, "a restart finds every outcome again, and no other");
}

void check_ledger(const struct ledger *ledger)
{
    uint32_t counts[TASK_STATE_COUNT] = {0}, granted = 0, held = 0;
    if (ledger->tasks.live > 64)
        return; /* the scripts with crowds would spend their time here */
    for (uint32_t index = 1; index < ledger->tasks.next_fresh; index++) {
        const struct task *task = ledger_task(ledger, index);
        if (task->state == TASK_NONE)
            continue;
        counts[task->state]++;
        granted += task_is_granted(task);
        check((ledger_holder(ledger, task) != NULL) == task_is_granted(task), "a granted task has a holder");
        check(ledger_find(ledger, &task->id) == index, "a task is found by its id");
    }
    for (int state = TASK_DELAYED; state < TASK_STATE_COUNT; state++)
        check(counts[state] == ledger->counts[state], "counts equal sums over the tasks");
    check(counts[TASK_READY] == ledger->ready.count, "every ready task waits in a queue");
    for (uint32_t i = 0; i < ledger->children.count; i++)
        held += ledger->children.all[i]->granted;
    check(held == granted, "what children hold is what was granted");
}
