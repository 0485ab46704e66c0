/* clients_session.c - a program around the shipped session: it hands in tasks as far as the session takes
 * them, deals with its events, and now and then starts anew with nothing in memory but what it had been told.
 */
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/clients.h"
#include "sim/fields.h"

enum {
    ACT_MS = 250, /* it looks at its list at least so often */
    CALL_IDS_MAX = 16,
    CALL_ROOM = 1024,
    QUERY_PATIENCE_MS = 1000,
    STEPS_AT_ONCE = 100,
    AGAIN_PERCENT = 4, /* ended tasks that are handed in once more */
    AGAIN_MS_MAX = 10000,
};

void session_client_init(struct sim *sim, struct client *client)
{
    static const uint32_t tasks_max[] = {16, 64, 1024}, batch_max[] = {1, 7, 1024},
                          unanswered_max[] = {1, 4, 256};
    session_options_default(&client->options);
    client->options.tasks_max = tasks_max[dice_below(&sim->dice, 3)];
    client->options.batch_tasks_max = batch_max[dice_below(&sim->dice, 3)];
    client->options.unanswered_max = unanswered_max[dice_below(&sim->dice, 3)];
    client->options.hash_seed = dice_bits(&sim->dice);
    client->session = session_new(&client->options);
    ASSERT(client->session != NULL);
}

/* ---- steps ---- */

/* The session's messages leave at once: a client has no disk to wait for. */
static void send_outputs(struct sim *sim, struct client *client)
{
    struct outputs *outputs = &sim->clients->outputs;
    outputs_close(outputs);
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        const struct message *message = &outputs->messages[outputs->order[i]];
        uint8_t *data = take_memory(message->frame.size, 1);
        ASSERT(pieces_copy(outputs, &message->frame, data, NULL, NULL)); /* it has no records */
        if (peer_number(message->peer) != client->session_connection) {
            client_connect(sim, client);
            client->session_connection = peer_number(message->peer);
        }
        client_send(sim, client, (struct bytes){data, message->frame.size});
    }
    outputs_reset(outputs);
}

static void step(struct sim *sim, struct client *client, struct event event)
{
    event.now_ns = sim->now_ns;
    event.wall_ms = WALL_START_MS + sim->now_ns / MS;
    event.random[0] = dice_bits(&sim->dice);
    event.random[1] = dice_bits(&sim->dice);
    outputs_begin_step(&sim->clients->outputs);
    session_step(client->session, &event, &sim->clients->outputs);
    send_outputs(sim, client);
}

static void step_while_due(struct sim *sim, struct client *client)
{
    int steps = 0;
    while (session_deadline_ns(client->session) <= sim->now_ns && steps++ < STEPS_AT_ONCE)
        step(sim, client, (struct event){.kind = EVENT_TIMEOUT});
    if (steps > STEPS_AT_ONCE)
        violation(sim, 12, "the session of client %u is still due after %d steps", client->index,
                  STEPS_AT_ONCE);
}

/* ---- what it hands in ---- */

static bool to_hand_in(const struct told *told, uint64_t now_ns)
{
    bool again = told->ended && told->again_ns <= now_ns;
    return !told->handed && told->submit_ns <= now_ns && (!told->ended || again);
}

static void hand_in(struct sim *sim, struct client *client)
{
    for (uint32_t task = client->index; task < sim->workload->count && !session_is_full(client->session);
         task += sim->clients->count) {
        struct told *told = &sim->clients->told[task];
        const struct work *work = &sim->workload->tasks[task];
        if (!to_hand_in(told, sim->now_ns))
            continue;
        uint8_t *map = take_memory(work->map.size, 1);
        memcpy(map, work->map.data, work->map.size);
        told->watched = dice_percent(&sim->dice, 80);
        enum session_status status =
            session_submit(client->session, &work->id, map, work->map.size, task, told->watched);
        if (status != SESSION_OK) {
            violation(sim, 0, "the session of client %u takes task %u with status %d", client->index, task,
                      (int)status);
            free(map);
            return;
        }
        told->handed = true;
        told->again_ns = NEVER;
    }
}

static bool to_cancel(const struct sim *sim, uint32_t task)
{
    const struct told *told = &sim->clients->told[task];
    return told->accepted && !told->ended && told->cancel_ns <= sim->now_ns;
}

static void cancel(struct sim *sim, struct client *client)
{
    uint8_t body[CALL_ROOM];
    uint32_t picked[CALL_IDS_MAX], count;
    struct writer writer;
    if (client->cancel_call != NO_CALL || dice_percent(&sim->dice, 30) ||
        (count = client_pick(sim, client, to_cancel, picked, CALL_IDS_MAX)) == 0)
        return;
    writer_init(&writer, body, sizeof body);
    write_map(&writer, 1);
    client_write_ids(sim, &writer, picked, count);
    for (uint32_t i = 0; i < count; i++)
        sim->clients->told[picked[i]].cancel_ns = NEVER; /* the session repeats it until it is answered */
    ASSERT(session_call(client->session, MESSAGE_CANCEL, writer_bytes(&writer), 0, &client->cancel_call) ==
           SESSION_OK);
}

/* What it asks besides: mostly a QUERY. While there are faults it is an operator too. */
static enum message_kind draw_request(struct sim *sim)
{
    if (!sim->options.faults || sim->now_ns >= sim->calm_ns)
        return MESSAGE_QUERY;
    uint64_t kind = dice_below(&sim->dice, 100), forget_until = departure_to_forget(sim) != NULL ? 60 : 20;
    return kind < 15 ? MESSAGE_DRAIN : kind < forget_until ? MESSAGE_FORGET : MESSAGE_QUERY;
}

static void ask(struct sim *sim, struct client *client)
{
    uint8_t body[CALL_ROOM];
    struct writer writer;
    if (client->other_call != NO_CALL || !dice_percent(&sim->dice, 3))
        return;
    writer_init(&writer, body, sizeof body);
    client->asked = draw_request(sim);
    if (client->asked == MESSAGE_DRAIN)
        client_write_drain(sim, &writer);
    else if (client->asked == MESSAGE_FORGET)
        client_write_forget(sim, &writer);
    else
        client_write_query(sim, &writer);
    ASSERT(session_call(client->session, client->asked, writer_bytes(&writer), QUERY_PATIENCE_MS,
                        &client->other_call) == SESSION_OK);
}

static void end_call(struct sim *sim, struct client *client, uint32_t *call, enum message_kind asked)
{
    enum message_kind kind;
    struct bytes body;
    if (*call == NO_CALL || !session_call_reply(client->session, *call, &kind, &body))
        return;
    struct bytes code = field_text(body, "code"), reason = field_text(body, "reason");
    if (kind == MESSAGE_ERROR && !client_may_fail(asked, code))
        violation(sim, 0, "a good %s of client %u was answered ERROR %.*s: %.*s", message_kind_text(asked),
                  client->index, (int)code.size, (const char *)code.data, (int)reason.size,
                  (const char *)reason.data);
    session_call_end(client->session, *call);
    *call = NO_CALL;
}

/* ---- what it is told ---- */

static void on_event(struct sim *sim, struct client *client, const struct session_event *event)
{
    uint32_t task = (uint32_t)event->tag;
    struct told *told = &sim->clients->told[task];
    switch (event->kind) {
    case SESSION_ACCEPTED:
        if (told->accepted && !event->duplicate && !check_is_lost(sim, task))
            violation(sim, 0, "client %u is told that task %u is new, which had been accepted", client->index,
                      task);
        told->accepted = true;
        told->accepted_ns = sim->now_ns;
        break;
    case SESSION_REFUSED:
        violation(sim, 0, "task %u refused: %.*s: %.*s", task, (int)event->code.size,
                  (const char *)event->code.data, (int)event->reason.size, (const char *)event->reason.data);
        break;
    case SESSION_ENDED:
        check_told(sim, task, event->result);
        client_knows_end(sim, task);
        told->handed = false;
        if (dice_percent(&sim->dice, AGAIN_PERCENT))
            told->again_ns = sim->now_ns + dice_below(&sim->dice, AGAIN_MS_MAX * MS);
        break;
    case SESSION_UNKNOWN:
        told->handed = false;
        client_on_unknown(sim, task);
        break;
    case SESSION_EVENT_KIND_COUNT:
        break;
    }
}

/* What was accepted and is not watched is watched now, or some other time. */
static void watch_unwatched(struct sim *sim, struct client *client)
{
    for (uint32_t task = client->index; task < sim->workload->count; task += sim->clients->count) {
        struct told *told = &sim->clients->told[task];
        if (!told->accepted || told->ended || told->watched || session_is_full(client->session) ||
            dice_percent(&sim->dice, 80))
            continue;
        if (session_watch(client->session, &sim->workload->tasks[task].id, task) == SESSION_OK)
            told->watched = told->handed = true;
    }
}

static void take_events(struct sim *sim, struct client *client)
{
    struct session_event event;
    while (!sim->failed && session_next(client->session, &event))
        on_event(sim, client, &event);
    end_call(sim, client, &client->cancel_call, MESSAGE_CANCEL);
    end_call(sim, client, &client->other_call, client->asked);
}

/* The program ends and starts again: it knows its tasks and what it was told of them. */
static void start_anew(struct sim *sim, struct client *client)
{
    session_free(client->session);
    client->session = session_new(&client->options);
    ASSERT(client->session != NULL);
    client->restart_ns = NEVER;
    client->session_connection = 0;
    client->cancel_call = client->other_call = NO_CALL;
    for (uint32_t task = client->index; task < sim->workload->count; task += sim->clients->count)
        sim->clients->told[task].handed = sim->clients->told[task].watched = false;
}

static void go_on(struct sim *sim, struct client *client)
{
    step_while_due(sim, client);
    take_events(sim, client);
    uint64_t due_ns = session_deadline_ns(client->session), look_ns = sim->now_ns + ACT_MS * MS;
    client_set_timer(sim, client, due_ns < look_ns ? due_ns : look_ns);
}

void session_client_acts(struct sim *sim, struct client *client)
{
    struct event down = {.kind = EVENT_LINK_DOWN, .peer = peer_make(PORT_PARENT, client->session_connection)};
    if (sim->now_ns >= client->restart_ns)
        start_anew(sim, client);
    if (client->session_connection != 0 && client_hears_of_end(sim, client))
        step(sim, client, down);
    hand_in(sim, client);
    watch_unwatched(sim, client);
    cancel(sim, client);
    ask(sim, client);
    go_on(sim, client);
}

void session_client_reply(struct sim *sim, struct client *client, struct bytes frame)
{
    if (client->session_connection == 0)
        return; /* it was started anew since */
    step(sim, client,
         (struct event){.kind = EVENT_MESSAGE,
                        .peer = peer_make(PORT_PARENT, client->session_connection),
                        .frame = frame});
    go_on(sim, client);
}
