/* client_io.c - client.h on the pure session: clock, random numbers, the socket, and waiting.
 *
 * Everything happens within the caller's calls. Events that are there are handed out before the socket is
 * looked at again: so tasks handed in between gather into full messages. */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "client/connection_io.h"
#include "client/envelope.h"
#include "client/session.h"
#include "proto/assert.h"

enum {
    FRAMES_PER_TURN = 64, /* received before events are handed out */
    DICE = 128,
    PROBLEM_BYTES = 160,
    CLOSE_PATIENCE_MS = 200,
    NO_CALL = SESSION_CALLS_MAX,
};

struct client {
    struct session *session;
    struct connection connection;
    struct outputs outputs;
    zmq_msg_t frame;
    uint64_t last_ns;
    uint64_t dice[DICE];
    uint32_t dice_left;
    uint32_t call; /* whose reply the caller is looking at, or NO_CALL */
    char problem[PROBLEM_BYTES];
};

/* ---- time and chance ---- */

static uint64_t now_ns(struct client *client)
{
    struct timespec time;
    ASSERT(clock_gettime(CLOCK_BOOTTIME, &time) == 0);
    uint64_t now = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    if (now > client->last_ns)
        client->last_ns = now;
    return client->last_ns;
}

static uint64_t wall_ms(void)
{
    struct timespec time;
    ASSERT(clock_gettime(CLOCK_REALTIME, &time) == 0);
    return (uint64_t)time.tv_sec * 1000u + (uint64_t)time.tv_nsec / 1000000u;
}

/* A system call for each id would cost as much as the rest of it. */
static bool fetch_dice(struct client *client)
{
    uint8_t *to = (uint8_t *)client->dice;
    size_t done = 0;
    while (done < sizeof client->dice) {
        ssize_t got = getrandom(to + done, sizeof client->dice - done, 0);
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0)
            done += (size_t)got;
    }
    client->dice_left = DICE;
    return true;
}

static uint64_t draw(struct client *client)
{
    if (client->dice_left == 0)
        ASSERT(fetch_dice(client)); /* client_open saw it work */
    return client->dice[--client->dice_left];
}

static uint64_t later(uint64_t from_ns, uint64_t ms)
{
    uint64_t room_ms = (UINT64_MAX - from_ns) / NANOSECONDS_PER_MS;
    return ms >= room_ms ? UINT64_MAX : from_ns + ms * NANOSECONDS_PER_MS;
}

/* ---- the session's host ---- */

static void step(struct client *client, struct event event)
{
    struct outputs *outputs = &client->outputs;
    event.now_ns = now_ns(client);
    event.random[0] = draw(client);
    outputs_begin_step(outputs);
    session_step(client->session, &event, outputs);
    if (outputs->message_count == 0)
        return;
    outputs_close(outputs);
    for (uint32_t i = 0; i < outputs->message_count; i++)
        connection_send(&client->connection, outputs, &outputs->messages[outputs->order[i]]);
    outputs_reset(outputs);
}

/* Take what has come, then send what is due. False if there was nothing to do. */
static bool turn(struct client *client)
{
    struct event event = {.kind = EVENT_MESSAGE};
    int frames = 0;
    while (frames < FRAMES_PER_TURN && connection_receive(&client->connection, &client->frame, &event.peer)) {
        event.frame = (struct bytes){zmq_msg_data(&client->frame), zmq_msg_size(&client->frame)};
        step(client, event);
        frames++;
    }
    if (frames == FRAMES_PER_TURN)
        return true; /* there may be more, and no time-out before it was read */
    bool lost = connection_lost(&client->connection, &event.peer);
    if (lost)
        step(client, (struct event){.kind = EVENT_LINK_DOWN, .peer = event.peer});
    bool due = session_deadline_ns(client->session) <= now_ns(client);
    if (due)
        step(client, (struct event){.kind = EVENT_TIMEOUT});
    return frames != 0 || lost || due;
}

/* Until something comes, something is due, or `until_ns`. False if a signal arrived first. */
static bool wait_until(struct client *client, uint64_t until_ns)
{
    enum { WAIT_MS_LONGEST = 1000000000 };
    uint64_t now = now_ns(client), due_ns = session_deadline_ns(client->session);
    if (until_ns < due_ns)
        due_ns = until_ns;
    if (due_ns <= now)
        return true;
    uint64_t wait_ms = (due_ns - now - 1) / NANOSECONDS_PER_MS + 1; /* late rather than early */
    return connection_wait(&client->connection, wait_ms < WAIT_MS_LONGEST ? (long)wait_ms : WAIT_MS_LONGEST);
}

/* ---- open and close ---- */

void client_options_default(struct client_options *options)
{
    struct session_options session;
    session_options_default(&session);
    *options = (struct client_options){
        .tasks_max = session.tasks_max,
        .batch_tasks_max = session.batch_tasks_max,
    };
}

static bool start(struct client *client, const char *endpoint, const struct client_options *options)
{
    struct session_options session;
    session_options_default(&session);
    session.tasks_max = options->tasks_max;
    session.batch_tasks_max = options->batch_tasks_max;
    client->call = NO_CALL;
    zmq_msg_init(&client->frame);
    if (!connection_open(&client->connection, endpoint) || !fetch_dice(client))
        return false;
    session.hash_seed = draw(client);
    if (!outputs_init(&client->outputs))
        return false;
    client->session = session_new(&session);
    return client->session != NULL;
}

static void release(struct client *client)
{
    session_free(client->session);
    outputs_release(&client->outputs);
    connection_close(&client->connection);
    zmq_msg_close(&client->frame);
    free(client);
}

struct client *client_open(const char *endpoint, const struct client_options *options)
{
    enum { TASKS_MAX_MOST = 1 << 24 };
    struct client_options defaults;
    client_options_default(&defaults);
    if (options == NULL)
        options = &defaults;
    if (options->tasks_max < 1 || options->tasks_max > TASKS_MAX_MOST || options->batch_tasks_max < 1 ||
        options->batch_tasks_max > FRAME_ENTRIES_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    if (!start(client, endpoint, options)) {
        int problem = errno;
        release(client);
        errno = problem;
        return NULL;
    }
    return client;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    uint64_t until_ns = later(now_ns(client), CLOSE_PATIENCE_MS);
    session_finish(client->session);
    while (session_owes(client->session) && now_ns(client) < until_ns)
        if (!turn(client))
            (void)wait_until(client, until_ns);
    release(client);
}

/* ---- tasks ---- */

static const enum client_status statuses[] = {
    [SESSION_OK] = CLIENT_OK,
    [SESSION_FULL] = CLIENT_FULL,
    [SESSION_KNOWN] = CLIENT_KNOWN,
    [SESSION_TOO_LARGE] = CLIENT_TOO_LARGE,
    [SESSION_NO_MEMORY] = CLIENT_NO_MEMORY,
};

static void begin_call(struct client *client)
{
    if (client->call != NO_CALL)
        session_call_end(client->session, client->call);
    client->call = NO_CALL;
    client->problem[0] = '\0';
}

static struct task_id id_for(struct client *client, const uint8_t *given)
{
    struct task_id id;
    if (given == NULL) {
        const uint64_t random[2] = {draw(client), draw(client)};
        return task_id_make(wall_ms(), random);
    }
    memcpy(id.bytes, given, sizeof id.bytes);
    return id;
}

enum client_status client_submit(struct client *client, const struct client_task *task, uint64_t tag,
                                 bool watch, uint8_t ret_id[TASK_ID_BYTES])
{
    struct envelope envelope;
    begin_call(client);
    if (session_is_full(client->session))
        return CLIENT_FULL; /* before the work of encoding */
    struct task_id id = id_for(client, task->id);
    enum client_status status = envelope_make(task, &id, client->problem, sizeof client->problem, &envelope);
    if (status != CLIENT_OK)
        return status;
    status = statuses[session_submit(client->session, &id, envelope.bytes, envelope.size, tag, watch)];
    if (status != CLIENT_OK)
        free(envelope.bytes);
    else if (ret_id != NULL)
        memcpy(ret_id, id.bytes, sizeof id.bytes);
    return status;
}

enum client_status client_watch(struct client *client, const uint8_t id[TASK_ID_BYTES], uint64_t tag)
{
    begin_call(client);
    struct task_id watched = id_for(client, id);
    return statuses[session_watch(client->session, &watched, tag)];
}

static void convert(const struct session_event *from, struct client_event *ret_event)
{
    static const enum client_event_kind kinds[SESSION_EVENT_KIND_COUNT] = {
        [SESSION_ACCEPTED] = CLIENT_ACCEPTED,
        [SESSION_REFUSED] = CLIENT_REFUSED,
        [SESSION_ENDED] = CLIENT_ENDED,
        [SESSION_UNKNOWN] = CLIENT_UNKNOWN,
    };
    *ret_event = (struct client_event){
        .kind = kinds[from->kind],
        .tag = from->tag,
        .duplicate = from->duplicate,
        .code = from->code,
        .reason = from->reason,
    };
    memcpy(ret_event->id, from->id.bytes, sizeof ret_event->id);
    if (from->kind == SESSION_ENDED && !outcome_read(from->result, &ret_event->outcome)) {
        ret_event->kind = CLIENT_UNKNOWN;
        ret_event->code = bytes_of("malformed");
        ret_event->reason = bytes_of("the node's entry in RESULT cannot be read");
    }
}

enum client_status client_next(struct client *client, uint64_t timeout_ms, struct client_event *ret_event)
{
    struct session_event event;
    uint64_t until_ns = 0;
    begin_call(client);
    while (!session_next(client->session, &event)) {
        if (until_ns == 0)
            until_ns = later(now_ns(client), timeout_ms);
        if (turn(client))
            continue;
        if (now_ns(client) >= until_ns || !wait_until(client, until_ns))
            return CLIENT_TIMEOUT;
    }
    convert(&event, ret_event);
    return CLIENT_OK;
}

/* ---- calls ---- */

static bool kind_of(const char *kind, enum message_kind *ret_kind)
{
    static const enum message_kind kinds[] = {MESSAGE_QUERY,  MESSAGE_CANCEL, MESSAGE_DRAIN,
                                              MESSAGE_FORGET, MESSAGE_WATCH,  MESSAGE_RECEIVED};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, message_kind_text(kinds[i])) == 0) {
            *ret_kind = kinds[i];
            return true;
        }
    return false;
}

static bool is_map(struct bytes body)
{
    struct reader reader;
    reader_init(&reader, body);
    bool map = reader_peek(&reader) == TYPE_MAP;
    (void)read_raw(&reader);
    reader_finish(&reader);
    return map && !reader_failed(&reader);
}

enum client_status client_call(struct client *client, const char *kind, struct bytes body,
                               uint32_t patience_ms, uint64_t timeout_ms, struct bytes *ret_kind,
                               struct bytes *ret_body)
{
    enum message_kind asked, answered;
    uint32_t call;
    begin_call(client);
    if (!kind_of(kind, &asked)) {
        snprintf(client->problem, sizeof client->problem,
                 "kind: \"%.16s\" is none of QUERY, CANCEL, DRAIN, FORGET, WATCH, RECEIVED", kind);
        return CLIENT_INVALID;
    }
    if (!is_map(body)) {
        snprintf(client->problem, sizeof client->problem, "body of %s: not one msgpack map", kind);
        return CLIENT_INVALID;
    }
    enum client_status status = statuses[session_call(client->session, asked, body, patience_ms, &call)];
    if (status == CLIENT_TOO_LARGE)
        snprintf(client->problem, sizeof client->problem, "body of %s: %zu bytes, no frame can hold it", kind,
                 body.size);
    if (status != CLIENT_OK)
        return status;
    uint64_t until_ns = later(now_ns(client), timeout_ms);
    while (!session_call_reply(client->session, call, &answered, ret_body)) {
        if (turn(client))
            continue;
        if (now_ns(client) >= until_ns) {
            session_call_end(client->session, call);
            return CLIENT_TIMEOUT;
        }
        (void)wait_until(client, until_ns);
    }
    *ret_kind = bytes_of(message_kind_text(answered));
    client->call = call;
    return CLIENT_OK;
}

/* ---- what it is doing ---- */

uint32_t client_open_tasks(const struct client *client)
{
    return session_open(client->session);
}

const char *client_pressure(const struct client *client)
{
    return session_pressure(client->session);
}

bool client_heard(const struct client *client)
{
    return session_heard_ns(client->session) != 0;
}

const char *client_problem(const struct client *client)
{
    return client->problem;
}
