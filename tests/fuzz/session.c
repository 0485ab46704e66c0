/* session.c - fuzz target: the client's session under any story of its caller, its node and time.
 *
 * The script is the caller (submit, watch, take, call) and the node (a reply to one of the messages that have
 * left, good or not, or anything else). What is checked beside the bench's own: each task ends at most once,
 * and is accepted before only once; every message is one that a node would read. */
#include "client/session.h"

#include <stdlib.h>
#include <string.h>

#include "proto/task.h"
#include "tests/fuzz/bench_checks.h"

enum {
    ACTS_MAX = 150,
    TASKS = 32, /* ids in play */
    SENT_MAX = 64,
    IDS_MAX = 64,
    ENVELOPE_ROOM = 8 * 1024 * 1024,
};

/* Requests that have left, the newest SENT_MAX. */
static struct {
    uint64_t peer, sequence;
    enum message_kind kind;
    struct task_id ids[IDS_MAX];
    uint32_t id_count;
} sent[SENT_MAX];
static uint32_t sent_count; /* of all time */

static struct story { /* of a task since it was handed in, or watched */
    bool open, accepted;
} stories[TASKS];
static bool calls[SESSION_CALLS_MAX];

BENCH_NODE(session)

static void *make(void)
{
    struct session_options options;
    session_options_default(&options);
    options.tasks_max = TASKS - 4; /* so that it can be full */
    options.batch_tasks_max = 8;
    options.unanswered_max = 4;
    return session_new(&options);
}

static struct session *session(void)
{
    return bench.self;
}

/* ---- what has left ---- */

static void note_id(uint32_t at, struct bytes id)
{
    check(id.size == TASK_ID_BYTES, "a request's ids are ids");
    if (sent[at].id_count < IDS_MAX)
        memcpy(sent[at].ids[sent[at].id_count++].bytes, id.data, TASK_ID_BYTES);
}

static void note_tasks(uint32_t at, struct reader *reader)
{
    struct task_fields fields;
    uint32_t count = read_array(reader, FRAME_ENTRIES_MAX);
    check(count > 0, "a SUBMIT has tasks");
    for (uint32_t i = 0; i < count; i++) {
        struct bytes map = read_raw(reader);
        check(task_parse(map, SIZE_MAX, &fields).code == ERROR_NONE && fields.has_id,
              "a task leaves as it was handed in");
        note_id(at, (struct bytes){fields.id.bytes, TASK_ID_BYTES});
    }
}

static void on_message(uint64_t peer, const struct message_header *header)
{
    uint32_t at = sent_count++ % SENT_MAX;
    struct reader reader;
    sent[at].peer = peer;
    sent[at].sequence = header->sequence;
    sent[at].kind = header->kind;
    sent[at].id_count = 0;
    check(header->sequence != 0, "a request has a number");
    if (header->kind != MESSAGE_SUBMIT && header->kind != MESSAGE_WATCH && header->kind != MESSAGE_RECEIVED)
        return;
    reader_init(&reader, header->body);
    uint32_t pairs = read_map(&reader, 8);
    for (uint32_t i = 0; i < pairs; i++) {
        struct bytes key = read_str(&reader, 1, NAME_BYTES_MAX);
        if (bytes_are(key, "tasks")) {
            note_tasks(at, &reader);
        } else if (bytes_are(key, "ids")) {
            uint32_t count = read_array(&reader, FRAME_ENTRIES_MAX);
            for (uint32_t id = 0; id < count; id++)
                note_id(at, read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES));
        } else {
            (void)read_raw(&reader);
        }
    }
    check(!reader_failed(&reader), "a request is whole");
}

static const struct bench_node node = {
    .is_client = true,
    .make = make,
    BENCH_FUNCTIONS(session),
    .on_message = on_message,
};

/* ---- the node's side ---- */

static uint8_t body_bytes[ENVELOPE_ROOM];

static const char *const words[] = {"accepted",  "duplicate", "throttled", "refused", "completed",
                                    "cancelled", "ready",     "running",   ""};
static const char *const codes[] = {"conflict", "too_old", "throttled", "store_full", "draining", ""};

#define PICK(input, texts) (texts)[take_below(input, sizeof(texts) / sizeof *(texts))]

static void write_entry(struct writer *writer, struct input *input, const struct task_id *id)
{
    uint32_t byte = take_byte(input);
    write_map(writer, 2 + (byte & 1) + 2 * (byte >> 1 & 1));
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id->bytes, TASK_ID_BYTES});
    write_str(writer, byte & 4 ? "state" : "status");
    write_str(writer, PICK(input, words));
    if (byte & 1) {
        write_str(writer, "retry_after_ms");
        write_uint(writer, take_number(input));
    }
    if (byte & 2) {
        write_str(writer, "code");
        write_str(writer, PICK(input, codes));
        write_str(writer, "reason");
        write_str_bytes(writer, take_run(input, 200));
    }
}

/* Some of the ids that were asked about, or all and any. */
static void write_list(struct writer *writer, struct input *input, const char *key, uint32_t at, bool entries)
{
    uint32_t byte = take_byte(input), count = sent[at].id_count, strange = byte >> 5;
    uint32_t first = count == 0 ? 0 : byte % (count + 1);
    size_t offset;
    uint32_t written = 0;
    write_str(writer, key);
    offset = write_array_open(writer);
    for (uint32_t i = strange == 7 ? first : 0; i < count && strange != 6; i++, written++) {
        if (entries)
            write_entry(writer, input, &sent[at].ids[i]);
        else
            write_bin(writer, (struct bytes){sent[at].ids[i].bytes, TASK_ID_BYTES});
    }
    if (strange == 5) {
        struct task_id other = frame_id(take_below(input, TASKS));
        write_entry(writer, input, &other);
        written++;
    }
    patch_count(writer->data, offset, written);
}

/* A reply's body: epoch, and up to three lists. */
static struct bytes reply_body(struct input *input, enum message_kind kind, uint32_t at)
{
    static const char *const lists[] = {"results", "pending", "unknown", "tasks"};
    struct writer writer;
    uint32_t byte = take_byte(input), usual = kind == MESSAGE_ACCEPTED ? 3 : kind == MESSAGE_PENDING ? 1 : 0;
    uint32_t extra = byte >> 6;
    writer_init(&writer, body_bytes, sizeof body_bytes);
    write_map(&writer, 2 + (extra == 3));
    write_str(&writer, "epoch");
    write_uint(&writer, byte & 1 ? take_number(input) : 5);
    uint32_t list = (usual + (byte >> 1 & 3)) % 4;
    write_list(&writer, input, lists[list], at, list == 0 || list == 3);
    if (extra == 3)
        write_list(&writer, input, lists[take_below(input, 4)], at, take_byte(input) & 1);
    return writer_bytes(&writer);
}

static enum message_kind usual_reply(enum message_kind request)
{
    return request == MESSAGE_SUBMIT     ? MESSAGE_ACCEPTED
           : request == MESSAGE_WATCH    ? MESSAGE_RESULT
           : request == MESSAGE_RECEIVED ? MESSAGE_DONE
                                         : MESSAGE_ROWS;
}

static void play_node(struct input *input)
{
    uint32_t byte = take_byte(input);
    if (sent_count == 0)
        return;
    uint32_t kept = sent_count < SENT_MAX ? sent_count : SENT_MAX;
    uint32_t at = (sent_count - 1 - (byte & 15) % kept) % SENT_MAX;
    uint64_t newest = sent[(sent_count - 1) % SENT_MAX].peer, peer = byte & 16 ? sent[at].peer : newest;
    enum message_kind kind = usual_reply(sent[at].kind);
    uint64_t sequence = sent[at].sequence;
    struct cast nobody = {.count = 0};
    struct frame_maker maker = {.input = input, .cast = &nobody, .role = "", .name = ""};
    switch (byte >> 5) {
    case 4:
        kind = take_byte(input) & 1 ? MESSAGE_PENDING : MESSAGE_RESULT;
        break;
    case 5: /* pushed */
        kind = MESSAGE_RESULT;
        sequence = 0;
        break;
    case 6:
        bench_message(peer, frame_make(&maker, MESSAGE_ERROR, sequence));
        return;
    case 7:
        if (take_byte(input) & 1)
            bench_event((struct event){.kind = EVENT_LINK_DOWN, .peer = newest});
        else
            bench_message(peer, take_run(input, 255));
        return;
    default:
        break;
    }
    bench_message(peer, frame_with_body(input, kind, sequence, reply_body(input, kind, at)));
}

/* ---- the caller's side ---- */

static void hand_in(struct input *input, bool only_watch)
{
    static uint8_t bytes[ENVELOPE_ROOM];
    struct cast nobody = {.count = 0};
    struct frame_maker maker = {.input = input, .cast = &nobody, .role = "", .name = ""};
    struct task_fields fields;
    struct writer writer;
    uint32_t number = take_below(input, TASKS);
    struct task_id id = frame_id(number);
    bool watch = !(take_byte(input) & 1);
    enum session_status status = SESSION_TOO_LARGE;
    if (only_watch) {
        status = session_watch(session(), &id, number);
    } else {
        writer_init(&writer, bytes, sizeof bytes);
        frame_write_task(&writer, &maker, &id);
        if (task_parse(writer_bytes(&writer), SIZE_MAX, &fields).code != ERROR_NONE || !fields.has_id)
            return; /* the caller's own mistake: client/envelope.c lets none of those through */
        uint8_t *envelope = malloc(writer.size);
        check(envelope != NULL, "there is memory for an envelope");
        memcpy(envelope, bytes, writer.size);
        status = session_submit(session(), &id, envelope, writer.size, number, watch);
        if (status != SESSION_OK)
            free(envelope);
    }
    check(status == SESSION_OK || status == SESSION_KNOWN || status == SESSION_FULL ||
              (status == SESSION_TOO_LARGE && !only_watch),
          "a verb has one of its answers");
    if (status == SESSION_OK)
        stories[number] = (struct story){.open = true, .accepted = only_watch};
}

static void take(void)
{
    struct session_event event;
    while (session_next(session(), &event)) {
        struct story *story = &stories[event.tag];
        struct task_id id = frame_id((uint32_t)event.tag);
        check(event.tag < TASKS && task_id_equal(&event.id, &id), "an event names a task that was handed in");
        check(story->open, "a task that is over has no more events");
        if (event.kind == SESSION_ACCEPTED) {
            check(!story->accepted, "a task is accepted once");
            story->accepted = true;
        } else {
            story->open = false;
            check(event.kind != SESSION_ENDED || story->accepted, "a task is accepted before it ends");
            check(event.kind != SESSION_ENDED || event.result.size > 0, "an end has a result");
        }
    }
}

static void play_call(struct input *input)
{
    uint32_t call, byte = take_byte(input);
    enum message_kind kind;
    struct bytes body;
    for (call = 0; call < SESSION_CALLS_MAX; call++)
        if (calls[call] && (session_call_reply(session(), call, &kind, &body) || byte & 1)) {
            session_call_end(session(), call);
            calls[call] = false;
        }
    static const uint8_t empty_map[] = {0x80};
    enum session_status status = session_call(session(), byte & 2 ? MESSAGE_CANCEL : MESSAGE_QUERY,
                                              (struct bytes){empty_map, 1}, byte & 4 ? 30000 : 0, &call);
    check(status == SESSION_OK || status == SESSION_FULL, "a call has a place or there is none");
    if (status == SESSION_OK)
        calls[call] = true;
}

static void play_caller(struct input *input)
{
    uint32_t byte = take_byte(input);
    switch (byte % 8) {
    case 0:
    case 1:
    case 2:
        hand_in(input, false);
        break;
    case 3:
        hand_in(input, true);
        break;
    case 4:
    case 5:
        take();
        break;
    case 6:
        play_call(input);
        break;
    default:
        session_finish(session());
        break;
    }
    check(session_open(session()) <= TASKS && session_unaccepted(session()) <= session_open(session()),
          "what is open is within what was handed in");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t pauses_ms[] = {1, 30, 100, 1000, 3500, 11000, 31000, 65000};
    struct input input = {data, data + size};
    sent_count = 0;
    memset(stories, 0, sizeof stories);
    memset(calls, 0, sizeof calls);
    bench_begin(&node);
    for (int i = 0; i < ACTS_MAX && !input_is_over(&input); i++) {
        uint32_t byte = take_byte(&input);
        if ((byte & 3) == 3)
            bench_pass(pauses_ms[take_below(&input, 8)]);
        else if (byte & 1)
            play_node(&input);
        else
            play_caller(&input);
        bench_commit(); /* the library sends after every step */
        if (byte < 0xc0)
            bench_settle();
    }
    take();
    bench_end();
    return 0;
}
