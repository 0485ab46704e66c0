/* clients.c - scripted clients: they submit until they hear ACCEPTED, watch until every task has ended,
 * cancel a few, ask again for what they know, and lose their patience when the broker is gone. Client 0 has
 * its results pushed to it (a DEALER); the others poll (REQ). */
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/task.h"
#include "sim/fields.h"
#include "sim/sim.h"

enum {
    SUBMIT_UNTIL_MS = 60000,
    SUBMIT_BATCH_MAX = 16,
    WATCH_IDS_MAX = 64,
    PATIENCE_MS = 3000,
    MAP_ROOM = 512,
    REQUEST_ROOM = SUBMIT_BATCH_MAX * MAP_ROOM + 256,
    PUSHED_TO = 0, /* the client that has its results pushed */
};

struct work {
    struct task_id id;
    uint8_t map[MAP_ROOM];
    size_t map_size;
    uint64_t submit_ns; /* not before */
    bool accepted, ended, received;
    uint64_t cancel_ns; /* not before; NEVER */
};

struct client {
    uint64_t connection; /* its peer number at the broker */
    uint32_t broker_life;
    uint64_t timer;    /* the newest on the timeline */
    uint64_t sequence; /* of the newest request */
    bool waiting;
};

struct clients {
    struct work work[TASKS_MAX_SIM];
    uint32_t count, open; /* open: not ended */
    struct client all[CLIENTS];
    uint64_t connections, timers;
};

/* ---- the tasks ---- */

static void field_head(struct writer *writer, uint32_t *pairs, const char *name)
{
    (*pairs)++;
    write_str(writer, name);
}

static void number_sometimes(struct sim *sim, struct writer *writer, uint32_t *pairs, const char *name,
                             unsigned percent, uint64_t least, uint64_t most)
{
    if (!dice_percent(&sim->dice, percent))
        return;
    field_head(writer, pairs, name);
    write_uint(writer, dice_between(&sim->dice, least, most));
}

static void what_runs(struct sim *sim, struct writer *writer, uint32_t *pairs)
{
    uint64_t kind = dice_below(&sim->dice, 100);
    if (kind < 70) {
        field_head(writer, pairs, "argv");
        write_array(writer, 1);
        write_str(writer, "simulated");
        return;
    }
    field_head(writer, pairs, "type");
    write_str(writer, kind < 95 ? "job" : "noop");
}

static void make_map(struct sim *sim, struct work *work)
{
    uint8_t content[MAP_ROOM];
    struct writer writer, map;
    uint32_t pairs = 0;
    writer_init(&writer, content, sizeof content);
    field_head(&writer, &pairs, "id");
    write_bin(&writer, (struct bytes){work->id.bytes, TASK_ID_BYTES});
    what_runs(sim, &writer, &pairs);
    number_sometimes(sim, &writer, &pairs, "retries", 50, 0, 4);
    number_sometimes(sim, &writer, &pairs, "delay_ms", 10, 1, 10000);
    number_sometimes(sim, &writer, &pairs, "timeout_ms", 15, 100, 4000);
    number_sometimes(sim, &writer, &pairs, "deadline_ms", 6, 100, 60000);
    if (dice_percent(&sim->dice, 30)) {
        field_head(&writer, &pairs, "priority");
        write_str(&writer, priority_text((enum priority)dice_below(&sim->dice, PRIORITY_COUNT)));
    }
    if (dice_percent(&sim->dice, 10)) {
        field_head(&writer, &pairs, "region");
        write_str(&writer, sim->nodes[1].name);
    }
    if (dice_percent(&sim->dice, 10)) {
        field_head(&writer, &pairs, "capabilities");
        write_array(&writer, 1);
        write_str(&writer, "disk");
    }
    writer_init(&map, work->map, sizeof work->map);
    write_map(&map, pairs);
    write_raw(&map, writer_bytes(&writer));
    work->map_size = map.size;
}

void clients_init(struct sim *sim)
{
    struct clients *clients = sim->clients = take_memory(1, sizeof *clients);
    uint64_t until_ms = dice_percent(&sim->dice, 30) ? 1000 : SUBMIT_UNTIL_MS;
    clients->count = clients->open = sim->options.tasks;
    for (uint32_t i = 0; i < clients->count; i++) {
        struct work *work = &clients->work[i];
        const uint64_t name[2] = {(uint64_t)i << 8 | dice_bits(&sim->dice) << 32, dice_bits(&sim->dice)};
        work->submit_ns = sim->now_ns + dice_below(&sim->dice, until_ms) * MS;
        work->id = task_id_make(WALL_START_MS + work->submit_ns / MS, name);
        work->cancel_ns = NEVER;
        if (dice_percent(&sim->dice, 8))
            work->cancel_ns = work->submit_ns + dice_below(&sim->dice, 8000 * MS);
        make_map(sim, work);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients->all[i].timer = ++clients->timers;
        timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns,
                                                       .what = HAPPENS_CLIENT,
                                                       .number = i,
                                                       .detail = clients->timers});
    }
}

void clients_release(struct sim *sim)
{
    free(sim->clients);
    sim->clients = NULL;
}

uint32_t sim_task_of(const struct sim *sim, const struct task_id *id)
{
    uint32_t index = (uint32_t)id->bytes[9] | (uint32_t)id->bytes[10] << 8;
    if (index >= sim->clients->count || !task_id_equal(&sim->clients->work[index].id, id))
        return TASKS_MAX_SIM;
    return index;
}

const char *sim_id_text(const struct task_id *id)
{
    static char text[TASK_ID_HEX + 1];
    hex_encode((struct bytes){id->bytes + 9, 2}, text); /* the number of the task, low byte first */
    return text;
}

bool clients_done(const struct sim *sim)
{
    return sim->clients->open == 0;
}

uint32_t clients_open(const struct sim *sim)
{
    return sim->clients->open;
}

/* ---- requests ---- */

static void set_timer(struct sim *sim, uint32_t index, uint64_t after_ns)
{
    struct client *client = &sim->clients->all[index];
    client->timer = ++sim->clients->timers;
    timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + after_ns + 1,
                                                   .what = HAPPENS_CLIENT,
                                                   .number = index,
                                                   .detail = client->timer});
}

/* A new connection when the broker is another one, and now and then without need. */
static void connect(struct sim *sim, uint32_t index)
{
    struct client *client = &sim->clients->all[index];
    const struct sim_node *broker = &sim->nodes[0];
    bool restless = dice_percent(&sim->dice, 2);
    if (client->connection != 0 && client->broker_life == broker->life && !restless)
        return;
    if (client->connection != 0 && client->broker_life == broker->life)
        timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + MS,
                                                       .what = HAPPENS_LINK_DOWN,
                                                       .life = broker->life,
                                                       .number = peer_make(PORT_CLIENT, client->connection)});
    client->connection = ++sim->clients->connections * CLIENTS + index;
    client->broker_life = broker->life;
}

static struct writer begin_request(struct sim *sim, uint32_t index, enum message_kind kind)
{
    struct writer writer;
    connect(sim, index);
    writer_init(&writer, take_memory(REQUEST_ROOM, 1), REQUEST_ROOM);
    message_write_header(&writer, kind, ++sim->clients->all[index].sequence);
    return writer;
}

static void send_request(struct sim *sim, uint32_t index, const struct writer *writer, uint64_t wait_ms)
{
    struct client *client = &sim->clients->all[index];
    client->waiting = true;
    timeline_add(&sim->timeline,
                 (struct occasion){.at_ns = sim->now_ns + MS / 2 + dice_below(&sim->dice, 2 * MS),
                                   .what = HAPPENS_REQUEST,
                                   .life = sim->nodes[0].life,
                                   .detail = peer_make(PORT_CLIENT, client->connection),
                                   .frame = writer->data,
                                   .frame_size = writer->size});
    set_timer(sim, index, (wait_ms + PATIENCE_MS) * MS);
}

typedef bool (*wanted)(const struct sim *sim, const struct work *work);

static bool to_submit(const struct sim *sim, const struct work *work)
{
    return !work->accepted && work->submit_ns <= sim->now_ns;
}

static bool to_cancel(const struct sim *sim, const struct work *work)
{
    return work->accepted && !work->ended && work->cancel_ns <= sim->now_ns;
}

static bool to_confirm(const struct sim *sim, const struct work *work)
{
    (void)sim;
    return work->ended && !work->received;
}

static bool to_watch(const struct sim *sim, const struct work *work)
{
    (void)sim;
    return work->accepted && !work->ended;
}

static bool known(const struct sim *sim, const struct work *work)
{
    (void)sim;
    return work->accepted;
}

/* Numbers of up to `max` of the client's tasks, from a drawn one on. */
static uint32_t pick(struct sim *sim, uint32_t client, wanted is_wanted, uint32_t *to, uint32_t max)
{
    const struct clients *clients = sim->clients;
    uint32_t found = 0, from = (uint32_t)dice_below(&sim->dice, clients->count);
    for (uint32_t i = 0; i < clients->count && found < max; i++) {
        uint32_t index = (from + i) % clients->count;
        if (index % CLIENTS == client && is_wanted(sim, &clients->work[index]))
            to[found++] = index;
    }
    return found;
}

static void write_ids(const struct sim *sim, struct writer *writer, const uint32_t *picked, uint32_t count)
{
    write_str(writer, "ids");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_bin(writer, (struct bytes){sim->clients->work[picked[i]].id.bytes, TASK_ID_BYTES});
}

static void submit(struct sim *sim, uint32_t client, const uint32_t *picked, uint32_t count)
{
    struct writer writer = begin_request(sim, client, MESSAGE_SUBMIT);
    write_map(&writer, client == PUSHED_TO ? 2 : 1);
    write_str(&writer, "tasks");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct work *work = &sim->clients->work[picked[i]];
        write_raw(&writer, (struct bytes){work->map, work->map_size});
    }
    if (client == PUSHED_TO) {
        write_str(&writer, "watch");
        write_bool(&writer, true);
    }
    send_request(sim, client, &writer, 0);
}

static void watch(struct sim *sim, uint32_t client, const uint32_t *picked, uint32_t count)
{
    static const uint64_t waits_ms[] = {0, 200, 1000, 5000};
    uint64_t wait_ms = waits_ms[dice_below(&sim->dice, 4)];
    struct writer writer = begin_request(sim, client, MESSAGE_WATCH);
    write_map(&writer, 2);
    write_ids(sim, &writer, picked, count);
    if (client == PUSHED_TO) {
        write_str(&writer, "push");
        write_bool(&writer, true);
    } else {
        write_str(&writer, "wait_ms");
        write_uint(&writer, wait_ms);
    }
    send_request(sim, client, &writer, wait_ms);
}

static void name_ids(struct sim *sim, uint32_t client, enum message_kind kind, const uint32_t *picked,
                     uint32_t count)
{
    struct writer writer = begin_request(sim, client, kind);
    write_map(&writer, 1);
    write_ids(sim, &writer, picked, count);
    send_request(sim, client, &writer, 0);
}

static void query(struct sim *sim, uint32_t client)
{
    static const char *const what[] = {"cluster", "cluster", "tasks", "regions", "workers"};
    struct writer writer = begin_request(sim, client, MESSAGE_QUERY);
    write_map(&writer, 1);
    write_str(&writer, "what");
    write_str(&writer, what[dice_below(&sim->dice, 5)]);
    send_request(sim, client, &writer, 1000);
}

void client_acts(struct sim *sim, uint32_t client)
{
    uint32_t picked[WATCH_IDS_MAX];
    uint32_t batch = (uint32_t)dice_between(&sim->dice, 1, SUBMIT_BATCH_MAX), count;
    if (dice_percent(&sim->dice, 4) && (count = pick(sim, client, known, picked, batch)) != 0) {
        submit(sim, client, picked, count); /* duplicates: the first answer again */
    } else if ((count = pick(sim, client, to_submit, picked, batch)) != 0) {
        submit(sim, client, picked, count);
    } else if ((count = pick(sim, client, to_cancel, picked, batch)) != 0 && dice_percent(&sim->dice, 70)) {
        for (uint32_t i = 0; i < count; i++)
            sim->clients->work[picked[i]].cancel_ns += 20000 * MS;
        name_ids(sim, client, MESSAGE_CANCEL, picked, count);
    } else if ((count = pick(sim, client, to_confirm, picked, batch)) != 0 && dice_percent(&sim->dice, 70)) {
        name_ids(sim, client, MESSAGE_RECEIVED, picked, count);
    } else if (dice_percent(&sim->dice, 10)) {
        query(sim, client);
    } else if ((count = pick(sim, client, dice_percent(&sim->dice, 5) ? known : to_watch, picked,
                             WATCH_IDS_MAX)) != 0) {
        watch(sim, client, picked, count);
    } else {
        set_timer(sim, client, 500 * MS);
    }
}

void client_timer(struct sim *sim, const struct occasion *occasion)
{
    struct client *client = &sim->clients->all[occasion->number];
    if (occasion->detail != client->timer)
        return;
    client->waiting = false; /* its patience has ended, if it waited */
    client_acts(sim, (uint32_t)occasion->number);
}

/* ---- replies ---- */

void client_reply(struct sim *sim, uint64_t peer, struct frame frame)
{
    uint64_t connection = peer_number(peer);
    if (connection != sim->clients->all[connection % CLIENTS].connection) {
        free(frame.data);
        return;
    }
    timeline_add(&sim->timeline,
                 (struct occasion){.at_ns = sim->now_ns + MS / 2 + dice_below(&sim->dice, 2 * MS),
                                   .what = HAPPENS_REPLY,
                                   .number = connection % CLIENTS,
                                   .detail = connection,
                                   .frame = frame.data,
                                   .frame_size = frame.size});
}

static struct work *work_of(const struct sim *sim, struct bytes map)
{
    struct task_id id;
    if (!field_bin(map, "id", &id, sizeof id) || sim_task_of(sim, &id) == TASKS_MAX_SIM)
        return NULL;
    return &sim->clients->work[sim_task_of(sim, &id)];
}

static void on_accepted(struct sim *sim, struct bytes body)
{
    struct reader reader;
    uint32_t count = field_array(body, "tasks", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes task = read_raw(&reader), status = field_text(task, "status");
        struct work *work = work_of(sim, task);
        if (work == NULL)
            violation(sim, 0, "ACCEPTED names a task that was never submitted");
        else if (bytes_are(status, "accepted") || bytes_are(status, "duplicate"))
            work->accepted = true;
        else if (bytes_are(status, "throttled") || bytes_are(field_text(task, "code"), "draining"))
            work->submit_ns = sim->now_ns + (field_uint(task, "retry_after_ms") + 100) * MS;
        else
            violation(sim, 0, "task %s refused: %.*s", sim_id_text(&work->id),
                      (int)field_text(task, "reason").size, (const char *)field_text(task, "reason").data);
    }
}

static void on_result(struct sim *sim, struct bytes body)
{
    struct reader reader;
    uint32_t count = field_array(body, "results", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct work *work = work_of(sim, read_raw(&reader));
        if (work == NULL || work->ended)
            continue;
        work->ended = true;
        sim->clients->open--;
    }
    count = field_array(body, "unknown", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct task_id id;
        memcpy(id.bytes, read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES).data, TASK_ID_BYTES);
        violation(sim, 1, "accepted task %s is unknown", sim_id_text(&id));
    }
}

static void on_done(struct sim *sim, uint32_t client)
{
    for (uint32_t i = client; i < sim->clients->count; i += CLIENTS)
        sim->clients->work[i].received |= sim->clients->work[i].ended && dice_percent(&sim->dice, 50);
}

void client_on_reply(struct sim *sim, const struct occasion *occasion)
{
    uint32_t index = (uint32_t)occasion->number;
    struct client *client = &sim->clients->all[index];
    struct message_header header;
    if (occasion->detail != client->connection)
        return;
    if (message_read((struct bytes){occasion->frame, occasion->frame_size}, &header) != READER_OK) {
        violation(sim, 0, "a reply is no message");
        return;
    }
    if (header.sequence == 0 && header.kind != MESSAGE_RESULT)
        violation(sim, 0, "%s pushed to a client", message_kind_text(header.kind));
    if (header.kind == MESSAGE_RESULT || header.kind == MESSAGE_PENDING)
        on_result(sim, header.body);
    if (header.sequence != client->sequence || !client->waiting)
        return; /* pushed, or too late */
    client->waiting = false;
    if (header.kind == MESSAGE_ACCEPTED)
        on_accepted(sim, header.body);
    else if (header.kind == MESSAGE_DONE)
        on_done(sim, index);
    else if (header.kind == MESSAGE_ERROR)
        violation(sim, 0, "a good request was answered ERROR %.*s",
                  (int)field_text(header.body, "reason").size,
                  (const char *)field_text(header.body, "reason").data);
    set_timer(sim, index, dice_below(&sim->dice, 300 * MS));
}
