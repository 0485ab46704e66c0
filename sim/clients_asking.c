/* clients_asking.c - scripted REQ clients: they submit until they hear ACCEPTED, long-poll until every task
 * has ended, and in between do whatever a client may do at the wrong moment. */
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/clients.h"
#include "sim/fields.h"

enum {
    SUBMIT_BATCH_MAX = 16,
    WATCH_IDS_MAX = 64,
    PATIENCE_MS = 3000,
    IDLE_MS = 500,
    CANCEL_AGAIN_MS = 20000,
    REQUEST_ROOM = 8192,
};

/* ---- requests ---- */

static struct writer begin_request(struct sim *sim, struct client *client, enum message_kind kind,
                                   size_t room)
{
    struct writer writer;
    if (client->connection == 0 || client->broker_life != sim->nodes[0].life || dice_percent(&sim->dice, 2))
        client_connect(sim, client);
    writer_init(&writer, take_memory(room, 1), room);
    message_write_header(&writer, kind, ++client->sequence);
    client->other_body = false;
    client->asked = kind;
    return writer;
}

static void send_request(struct sim *sim, struct client *client, const struct writer *writer,
                         uint64_t wait_ms)
{
    client->waiting = true;
    client_send(sim, client, writer_bytes(writer));
    client_set_timer(sim, client, sim->now_ns + (wait_ms + PATIENCE_MS) * MS);
}

static void submit(struct sim *sim, struct client *client, const uint32_t *picked, uint32_t count)
{
    size_t room = REQUEST_ROOM;
    for (uint32_t i = 0; i < count; i++)
        room += sim->workload->tasks[picked[i]].map.size;
    if (room > FRAME_BYTES_SOFT) { /* the largest go alone */
        count = 1;
        room = REQUEST_ROOM + sim->workload->tasks[picked[0]].map.size;
    }
    struct writer writer = begin_request(sim, client, MESSAGE_SUBMIT, room);
    write_map(&writer, 1);
    write_str(&writer, "tasks");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_raw(&writer, sim->workload->tasks[picked[i]].map);
    send_request(sim, client, &writer, 0);
}

/* An id that the broker has accepted, with another body: refused, whatever became of the task. But one that
 * is lost with a restored backup would be taken, and the first body refused from then on. */
static void submit_other_body(struct sim *sim, struct client *client, uint32_t task)
{
    struct bytes map = workload_other_body(&sim->workload->tasks[task]);
    struct writer writer = begin_request(sim, client, MESSAGE_SUBMIT, REQUEST_ROOM + map.size);
    write_map(&writer, 1);
    write_str(&writer, "tasks");
    write_array(&writer, 1);
    write_raw(&writer, map);
    free((void *)map.data);
    client->other_body = true;
    send_request(sim, client, &writer, 0);
}

static void watch(struct sim *sim, struct client *client, const uint32_t *picked, uint32_t count)
{
    static const uint64_t waits_ms[] = {0, 200, 1000, 5000};
    uint64_t wait_ms = waits_ms[dice_below(&sim->dice, 4)];
    struct writer writer = begin_request(sim, client, MESSAGE_WATCH, REQUEST_ROOM);
    write_map(&writer, 2);
    client_write_ids(sim, &writer, picked, count);
    write_str(&writer, "wait_ms");
    write_uint(&writer, wait_ms);
    send_request(sim, client, &writer, wait_ms);
}

static void name_ids(struct sim *sim, struct client *client, enum message_kind kind, const uint32_t *picked,
                     uint32_t count)
{
    struct writer writer = begin_request(sim, client, kind, REQUEST_ROOM);
    write_map(&writer, 1);
    client_write_ids(sim, &writer, picked, count);
    send_request(sim, client, &writer, 0);
}

static void ask(struct sim *sim, struct client *client, enum message_kind kind,
                void (*write_body)(struct sim *, struct writer *))
{
    struct writer writer = begin_request(sim, client, kind, REQUEST_ROOM);
    write_body(sim, &writer);
    send_request(sim, client, &writer, 1000);
}

/* ---- which tasks ---- */

static bool to_submit(const struct sim *sim, uint32_t task)
{
    const struct told *told = &sim->clients->told[task];
    return !told->accepted && !told->ended && told->submit_ns <= sim->now_ns;
}

static bool to_cancel(const struct sim *sim, uint32_t task)
{
    const struct told *told = &sim->clients->told[task];
    return told->accepted && !told->ended && told->cancel_ns <= sim->now_ns;
}

static bool to_confirm(const struct sim *sim, uint32_t task)
{
    const struct told *told = &sim->clients->told[task];
    return told->ended && !told->received;
}

static bool to_watch(const struct sim *sim, uint32_t task)
{
    const struct told *told = &sim->clients->told[task];
    return told->accepted && !told->ended;
}

static bool any(const struct sim *sim, uint32_t task)
{
    (void)sim, (void)task;
    return true;
}

static bool known(const struct sim *sim, uint32_t task)
{
    return sim->clients->told[task].accepted;
}

/* What it need not do, but may. True if it did. */
static bool meddle(struct sim *sim, struct client *client, uint32_t batch)
{
    uint32_t picked[SUBMIT_BATCH_MAX], count;
    uint64_t kind = dice_below(&sim->dice, 200);
    if (kind < 8 && (count = client_pick(sim, client, known, picked, batch)) != 0)
        submit(sim, client, picked, count); /* duplicates: the first answer again */
    else if (kind >= 8 && kind < 10 && !backups_planned(sim) &&
             client_pick(sim, client, known, picked, 1) != 0)
        submit_other_body(sim, client, picked[0]);
    else if (kind == 10 && sim->options.faults && sim->now_ns < sim->calm_ns)
        ask(sim, client, MESSAGE_DRAIN, client_write_drain);
    else if (kind == 11 && client_pick(sim, client, any, picked, 1) != 0)
        name_ids(sim, client, MESSAGE_CANCEL, picked, 1); /* unknown, running or long over */
    else if (kind > 11 && kind < 20)
        ask(sim, client, MESSAGE_QUERY, client_write_query);
    else if ((kind == 20 || (kind > 20 && kind < 26 && departure_to_forget(sim) != NULL)) &&
             sim->options.faults && sim->now_ns < sim->calm_ns)
        ask(sim, client, MESSAGE_FORGET, client_write_forget);
    else
        return false;
    return true;
}

void asking_client_acts(struct sim *sim, struct client *client)
{
    uint32_t picked[WATCH_IDS_MAX];
    uint32_t batch = (uint32_t)dice_between(&sim->dice, 1, SUBMIT_BATCH_MAX), count;
    client->waiting = false; /* its patience has ended, if it waited */
    if (meddle(sim, client, batch))
        return;
    if ((count = client_pick(sim, client, to_submit, picked, batch)) != 0) {
        submit(sim, client, picked, count);
    } else if ((count = client_pick(sim, client, to_cancel, picked, batch)) != 0 &&
               dice_percent(&sim->dice, 70)) {
        for (uint32_t i = 0; i < count; i++)
            sim->clients->told[picked[i]].cancel_ns += CANCEL_AGAIN_MS * MS;
        name_ids(sim, client, MESSAGE_CANCEL, picked, count);
    } else if ((count = client_pick(sim, client, to_confirm, picked, batch)) != 0 &&
               dice_percent(&sim->dice, 70)) {
        name_ids(sim, client, MESSAGE_RECEIVED, picked, count);
    } else if ((count = client_pick(sim, client, dice_percent(&sim->dice, 5) ? known : to_watch, picked,
                                    WATCH_IDS_MAX)) != 0) {
        watch(sim, client, picked, count);
    } else {
        client_set_timer(sim, client, sim->now_ns + IDLE_MS * MS);
    }
}

/* ---- replies ---- */

static void on_answer(struct sim *sim, const struct client *client, struct bytes task)
{
    struct bytes status = field_text(task, "status"), code = field_text(task, "code");
    struct told *told = client_told_of(sim, task);
    bool known_here = bytes_are(status, "accepted") || bytes_are(status, "duplicate");
    if (told == NULL) {
        violation(sim, 0, "ACCEPTED to client %u names a task that was never submitted", client->index);
        return;
    }
    uint32_t number = (uint32_t)(told - sim->clients->told);
    if (client->other_body) {
        if (!bytes_are(code, "conflict"))
            violation(
                sim, 0,
                "task %u was submitted again with another body, and is answered %.*s %.*s, not conflict",
                number, (int)status.size, (const char *)status.data, (int)code.size, (const char *)code.data);
    } else if (known_here) {
        told->accepted = true;
        told->accepted_ns = sim->now_ns;
    } else if (bytes_are(status, "throttled") || bytes_are(code, "draining") ||
               bytes_are(code, "store_full")) {
        told->submit_ns = sim->now_ns + (field_uint(task, "retry_after_ms") + 100) * MS;
    } else {
        violation(sim, 0, "task %u refused: %.*s", number, (int)field_text(task, "reason").size,
                  (const char *)field_text(task, "reason").data);
    }
}

static void on_accepted(struct sim *sim, const struct client *client, struct bytes body)
{
    struct reader reader;
    for (uint32_t left = field_array(body, "tasks", &reader); left > 0 && !sim->failed; left--)
        on_answer(sim, client, read_raw(&reader));
}

static void on_result(struct sim *sim, struct bytes body)
{
    struct reader reader;
    uint32_t count = field_array(body, "results", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct told *told = client_told_of(sim, read_raw(&reader));
        if (told != NULL)
            client_knows_end(sim, (uint32_t)(told - sim->clients->told));
    }
    count = field_array(body, "unknown", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct task_id id;
        memcpy(id.bytes, read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES).data, TASK_ID_BYTES);
        client_on_unknown(sim, sim_task_of(sim, &id));
    }
}

static void on_done(struct sim *sim, const struct client *client)
{
    for (uint32_t task = client->index; task < sim->workload->count; task += sim->clients->count)
        sim->clients->told[task].received |= sim->clients->told[task].ended && dice_percent(&sim->dice, 50);
}

void asking_client_reply(struct sim *sim, struct client *client, const struct message_header *header)
{
    struct bytes code = field_text(header->body, "code"), reason = field_text(header->body, "reason");
    if (header->sequence == 0)
        violation(sim, 0, "%s pushed to client %u, which asked for no pushes",
                  message_kind_text(header->kind), client->index);
    if (header->sequence != client->sequence || !client->waiting)
        return; /* too late */
    client->waiting = false;
    if (header->kind == MESSAGE_RESULT || header->kind == MESSAGE_PENDING)
        on_result(sim, header->body);
    else if (header->kind == MESSAGE_ACCEPTED)
        on_accepted(sim, client, header->body);
    else if (header->kind == MESSAGE_DONE)
        on_done(sim, client);
    else if (header->kind == MESSAGE_ERROR && !client_may_fail(client->asked, code))
        violation(sim, 0, "a good request of client %u was answered ERROR %.*s: %.*s", client->index,
                  (int)code.size, (const char *)code.data, (int)reason.size, (const char *)reason.data);
    client_set_timer(sim, client, sim->now_ns + dice_below(&sim->dice, 300 * MS));
}
