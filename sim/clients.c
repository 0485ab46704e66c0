/* clients.c - see clients.h: who they are, when they act, and what goes over their connections. */
#include "sim/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/fields.h"

enum { LEAVE_MS_MAX = 90000, STALL_MS_MAX = 6000 };

static bool is_calm(const struct sim *sim)
{
    return sim->now_ns >= sim->calm_ns;
}

/* ---- the run's clients ---- */

static void draw_client(struct sim *sim, uint32_t index)
{
    struct client *client = &sim->clients->all[index];
    bool first = index == 0;
    *client = (struct client){.index = index, .leaves_ns = NEVER, .restart_ns = NEVER, .noticed = true};
    client->kind = dice_percent(&sim->dice, 60) ? CLIENT_SESSION : CLIENT_ASKING;
    client->cancel_call = client->other_call = NO_CALL;
    client->latency_ns = topology_client_latency_ns(sim, index);
    uint64_t when_ns = sim->now_ns + dice_below(&sim->dice, LEAVE_MS_MAX * MS);
    if (!first && sim->options.faults && dice_percent(&sim->dice, 8))
        client->leaves_ns = when_ns;
    else if (sim->options.faults && dice_percent(&sim->dice, 15))
        client->restart_ns = when_ns;
    if (client->kind == CLIENT_SESSION)
        session_client_init(sim, client);
    client_set_timer(sim, client, sim->now_ns);
}

void clients_init(struct sim *sim)
{
    workload_init(sim);
    struct clients *clients = sim->clients = take_memory(1, sizeof *clients);
    clients->count = sim->options.clients;
    ASSERT(clients->count >= 1 && clients->count <= CLIENTS_MAX_SIM);
    ASSERT(outputs_init(&clients->outputs));
    clients->open = sim->workload->count;
    clients->told = take_memory(sim->workload->count, sizeof *clients->told);
    for (uint32_t i = 0; i < sim->workload->count; i++)
        clients->told[i] = (struct told){.again_ns = NEVER,
                                         .submit_ns = sim->workload->tasks[i].submit_ns,
                                         .cancel_ns = sim->workload->tasks[i].cancel_ns};
    for (uint32_t i = 0; i < clients->count; i++)
        draw_client(sim, i);
}

void clients_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->clients->count; i++)
        session_free(sim->clients->all[i].session);
    outputs_release(&sim->clients->outputs);
    free(sim->clients->told);
    free(sim->clients);
    sim->clients = NULL;
    workload_release(sim);
}

bool clients_done(const struct sim *sim)
{
    return sim->clients->open == 0 && sim->nodes[0].disk.tables[TABLE_STATES].count == 0;
}

uint32_t clients_open(const struct sim *sim)
{
    return sim->clients->open;
}

void client_knows_end(struct sim *sim, uint32_t task)
{
    struct told *told = &sim->clients->told[task];
    if (told->ended)
        return;
    told->ended = true;
    sim->clients->open--;
}

void client_on_unknown(struct sim *sim, uint32_t task)
{
    if (task == TASKS_MAX_SIM)
        return;
    struct told *told = &sim->clients->told[task];
    check_unknown(sim, task, told->accepted_ns);
    told->accepted = told->watched = false;
    if (!told->ended && dice_percent(&sim->dice, 70))
        return;
    client_knows_end(sim, task);
    told->received = true; /* it asks no more */
}

/* Nobody waits for the rest of its tasks any more; those that were accepted end all the same. */
static void leave(struct sim *sim, struct client *client)
{
    client->gone = true;
    for (uint32_t task = client->index; task < sim->workload->count; task += sim->clients->count)
        client_knows_end(sim, task);
    session_free(client->session);
    client->session = NULL;
}

/* ---- time ---- */

void client_set_timer(struct sim *sim, struct client *client, uint64_t at_ns)
{
    client->timer = ++sim->clients->timers;
    timeline_add(&sim->timeline, (struct occasion){.at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns + 1,
                                                   .what = HAPPENS_CLIENT,
                                                   .number = client->index,
                                                   .detail = client->timer});
}

void client_timer(struct sim *sim, const struct occasion *occasion)
{
    struct client *client = &sim->clients->all[occasion->number];
    if (occasion->detail != client->timer || client->gone)
        return;
    if (sim->now_ns >= client->leaves_ns)
        leave(sim, client);
    else if (client->kind == CLIENT_SESSION)
        session_client_acts(sim, client);
    else
        asking_client_acts(sim, client);
}

/* ---- connections ---- */

static uint64_t passage_ns(struct sim *sim, const struct client *client)
{
    return client->latency_ns + dice_below(&sim->dice, sim->jitter_us * 1000ull);
}

void client_connect(struct sim *sim, struct client *client)
{
    const struct sim_node *broker = &sim->nodes[0];
    if (client->connection != 0 && client->broker_life == broker->life && dice_percent(&sim->dice, 80))
        timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + passage_ns(sim, client),
                                                       .what = HAPPENS_LINK_DOWN,
                                                       .life = broker->life,
                                                       .number = peer_make(PORT_CLIENT, client->connection)});
    client->connection = ++sim->clients->connections * CLIENTS_MAX_SIM + client->index;
    client->broker_life = broker->life;
    client->noticed = false;
    client->up_ns = client->down_ns = client->stalled_ns = 0;
}

bool client_hears_of_end(struct sim *sim, struct client *client)
{
    bool ended = client->broker_life != sim->nodes[0].life;
    bool breaks = !is_calm(sim) && dice_percent(&sim->dice, 1);
    if (client->connection == 0 || client->noticed || (!ended && !breaks))
        return false;
    client->noticed = true;
    return breaks || dice_percent(&sim->dice, 70); /* or it finds out by silence */
}

/* When a frame that leaves now is there; `newest_ns` is the one before it in that direction. */
static uint64_t arrival_ns(struct sim *sim, struct client *client, uint64_t *newest_ns)
{
    if (!is_calm(sim) && dice_below(&sim->dice, 500) == 0)
        client->stalled_ns = sim->now_ns + dice_below(&sim->dice, STALL_MS_MAX * MS);
    uint64_t at_ns = sim->now_ns + passage_ns(sim, client);
    at_ns = at_ns > client->stalled_ns ? at_ns : client->stalled_ns;
    *newest_ns = at_ns > *newest_ns ? at_ns : *newest_ns + 1;
    return *newest_ns;
}

void client_send(struct sim *sim, struct client *client, struct bytes frame)
{
    timeline_add(&sim->timeline, (struct occasion){.at_ns = arrival_ns(sim, client, &client->up_ns),
                                                   .what = HAPPENS_REQUEST,
                                                   .life = client->broker_life,
                                                   .detail = peer_make(PORT_CLIENT, client->connection),
                                                   .frame = (uint8_t *)frame.data,
                                                   .frame_size = frame.size});
}

void client_reply(struct sim *sim, uint64_t peer, struct frame frame)
{
    uint64_t connection = peer_number(peer);
    struct client *client = &sim->clients->all[connection % CLIENTS_MAX_SIM];
    if (connection != client->connection || client->gone) {
        free(frame.data);
        return;
    }
    timeline_add(&sim->timeline, (struct occasion){.at_ns = arrival_ns(sim, client, &client->down_ns),
                                                   .what = HAPPENS_REPLY,
                                                   .number = client->index,
                                                   .detail = connection,
                                                   .frame = frame.data,
                                                   .frame_size = frame.size});
}

void client_on_reply(struct sim *sim, const struct occasion *occasion)
{
    struct client *client = &sim->clients->all[occasion->number];
    struct bytes frame = {occasion->frame, occasion->frame_size};
    struct message_header header;
    if (occasion->detail != client->connection || client->gone)
        return;
    if (message_read(frame, &header) != READER_OK) {
        violation(sim, 0, "a reply to client %u is no message", client->index);
        return;
    }
    if (client->kind == CLIENT_SESSION)
        session_client_reply(sim, client, frame);
    else
        asking_client_reply(sim, client, &header);
}

/* ---- what both kinds say ---- */

struct told *client_told_of(const struct sim *sim, struct bytes map)
{
    struct task_id id;
    if (!field_bin(map, "id", &id, sizeof id) || sim_task_of(sim, &id) == TASKS_MAX_SIM)
        return NULL;
    return &sim->clients->told[sim_task_of(sim, &id)];
}

uint32_t client_pick(struct sim *sim, const struct client *client, wanted is_wanted, uint32_t *to,
                     uint32_t max)
{
    uint32_t found = 0, step = sim->clients->count;
    uint32_t mine = (sim->workload->count + step - 1 - client->index) / step;
    uint32_t from = (uint32_t)dice_below(&sim->dice, mine);
    for (uint32_t i = 0; i < mine && found < max; i++) {
        uint32_t task = client->index + (from + i) % mine * step;
        if (is_wanted(sim, task))
            to[found++] = task;
    }
    return found;
}

void client_write_ids(const struct sim *sim, struct writer *writer, const uint32_t *picked, uint32_t count)
{
    write_str(writer, "ids");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_bin(writer, (struct bytes){sim->workload->tasks[picked[i]].id.bytes, TASK_ID_BYTES});
}

void client_write_drain(struct sim *sim, struct writer *writer)
{
    const struct sim_node *node = &sim->nodes[dice_below(&sim->dice, sim->node_count)];
    write_map(writer, 2);
    write_str(writer, "node");
    write_str(writer, node->name);
    write_str(writer, "deadline_ms");
    write_uint(writer, dice_below(&sim->dice, 5000));
}

void client_write_forget(struct sim *sim, struct writer *writer)
{
    const struct sim_node *gone = departure_to_forget(sim);
    uint64_t any = dice_below(&sim->dice, sim->node_count + 1);
    write_map(writer, 1);
    write_str(writer, "node");
    write_str(writer, gone != NULL ? gone->name : any == sim->node_count ? "nowhere" : sim->nodes[any].name);
}

/* Regions cannot be drained yet, and a worker may have no session now. Most who are named in a FORGET are
 * there, have been forgotten, or are no regions. A broker without memory (tests/sweep) takes no watches. */
bool client_may_fail(enum message_kind asked, struct bytes code)
{
    static const struct {
        enum message_kind asked;
        const char *code;
    } failures[] = {{MESSAGE_DRAIN, "not_found"},      {MESSAGE_DRAIN, "invalid_field"},
                    {MESSAGE_FORGET, "not_found"},     {MESSAGE_FORGET, "connected"},
                    {MESSAGE_FORGET, "invalid_field"}, {MESSAGE_WATCH, "throttled"}};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].asked == asked && bytes_are(code, failures[i].code))
            return true;
    return false;
}

void client_write_query(struct sim *sim, struct writer *writer)
{
    static const char *const what[] = {"cluster", "cluster", "tasks", "regions", "workers"};
    write_map(writer, 1);
    write_str(writer, "what");
    write_str(writer, what[dice_below(&sim->dice, 5)]);
}
