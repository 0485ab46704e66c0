/* The simulated host itself, with nodes made for it: a broker that ends every task when it is submitted, and
 * regions and workers that are silent. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/link.h"
#include "proto/message.h"
#include "sim/fields.h"
#include "sim/sim.h"

struct fake {
    struct known {
        struct task_id id;
        uint64_t body;
    } known[64];
    uint32_t known_count;
    uint64_t next_number;
    bool started, drained;
};

/* What the fake broker does wrong. */
static enum { RIGHT, FORGETS_TASK, CHANGES_END } manner;

static void *make_fake(const struct sim_node *node)
{
    (void)node;
    return take_memory(1, sizeof(struct fake));
}

static uint64_t fake_deadline(const void *self)
{
    (void)self;
    return DEADLINE_NEVER;
}

static bool fake_done(const void *self)
{
    return ((const struct fake *)self)->drained;
}

static void put_ended(struct fake *fake, const struct task_id *id, uint64_t body, enum task_end end,
                      struct outputs *outputs)
{
    struct writer *writer = outputs_put(outputs, TABLE_ENDED, ++fake->next_number, 0);
    write_array(writer, 2);
    write_uint(writer, 0);
    write_array(writer, 4);
    write_bin(writer, (struct bytes){id->bytes, TASK_ID_BYTES});
    write_uint(writer, body);
    write_uint(writer, 0);
    write_uint(writer, end);
    outputs_put_end(outputs);
}

static const struct known *find_known(const struct fake *fake, const struct task_id *id)
{
    for (uint32_t i = 0; i < fake->known_count; i++)
        if (task_id_equal(&fake->known[i].id, id))
            return &fake->known[i];
    return NULL;
}

/* [wall, [id, body, ...]] */
static void restore_ended(struct fake *fake, struct bytes record)
{
    struct known *known = &fake->known[fake->known_count++];
    struct reader reader;
    reader_init(&reader, record);
    read_array(&reader, 2);
    read_uint(&reader, UINT64_MAX);
    read_array(&reader, 4);
    memcpy(known->id.bytes, read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES).data, TASK_ID_BYTES);
    known->body = read_uint(&reader, UINT64_MAX);
}

static uint64_t hash_of(struct bytes bytes)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < bytes.size; i++)
        hash = hash * 31 + bytes.data[i];
    return hash;
}

/* What ACCEPTED says of a task that is known, or becomes so. */
static const char *take(struct fake *fake, const struct task_id *id, struct bytes map,
                        struct outputs *outputs)
{
    const struct known *known = find_known(fake, id);
    uint64_t body = hash_of(map);
    if (known != NULL)
        return known->body == body ? "duplicate" : "refused";
    fake->known[fake->known_count++] = (struct known){*id, body};
    outputs_put(outputs, TABLE_ENVELOPES, ++fake->next_number, 0);
    outputs_put_borrow(outputs, map);
    outputs_put_end(outputs);
    if (manner != FORGETS_TASK)
        put_ended(fake, id, body, TASK_CANCELLED, outputs);
    return "accepted";
}

static void on_submit(struct fake *fake, const struct event *event, const struct message_header *header,
                      struct outputs *outputs)
{
    struct reader reader;
    struct task_id ids[64];
    const char *status[64];
    uint32_t count = field_array(header->body, "tasks", &reader);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes map = read_raw(&reader);
        cr_assert(field_bin(map, "id", &ids[i], sizeof ids[i]));
        status[i] = take(fake, &ids[i], map, outputs);
    }
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_ACCEPTED, NULL, header->sequence);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        write_map(writer, 3);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
        write_str(writer, "status");
        write_str(writer, status[i]);
        write_str(writer, "code");
        write_str(writer, strcmp(status[i], "refused") == 0 ? "conflict" : "");
    }
    outputs_message_end(outputs);
}

/* The ids of a WATCH that it knows, or does not. */
static uint32_t sort_ids(const struct fake *fake, struct bytes body, bool wanted, struct task_id *ret_ids)
{
    struct reader reader;
    uint32_t found = 0, count = field_array(body, "ids", &reader);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(ret_ids[found].bytes, read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES).data, TASK_ID_BYTES);
        found += (find_known(fake, &ret_ids[found]) != NULL) == wanted;
    }
    return found;
}

static void on_watch(const struct fake *fake, const struct event *event, const struct message_header *header,
                     struct outputs *outputs)
{
    struct task_id ids[65];
    uint32_t count = sort_ids(fake, header->body, true, ids);
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_RESULT, NULL, header->sequence);
    write_map(writer, 2);
    write_str(writer, "results");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        write_map(writer, 2);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
        write_str(writer, "state");
        write_str(writer, manner == CHANGES_END && event->random[0] % 2 == 0 ? "failed" : "cancelled");
    }
    count = sort_ids(fake, header->body, false, ids);
    write_str(writer, "unknown");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_bin(writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
    outputs_message_end(outputs);
}

static void reply_empty(const struct event *event, enum message_kind kind, uint64_t sequence,
                        struct outputs *outputs)
{
    write_map(outputs_message(outputs, event->peer, kind, NULL, sequence), 0);
    outputs_message_end(outputs);
}

static void step_broker(void *self, const struct event *event, struct outputs *outputs)
{
    struct fake *fake = self;
    struct message_header header;
    if (event->kind == EVENT_RESTORE) {
        cr_assert(!fake->started);
        if (event->record.number > fake->next_number)
            fake->next_number = event->record.number;
        if (event->record.table == TABLE_ENDED)
            restore_ended(fake, event->record.value);
    }
    fake->started |= event->kind == EVENT_START;
    fake->drained |= event->kind == EVENT_DRAIN;
    if (event->kind != EVENT_MESSAGE || peer_port(event->peer) != PORT_CLIENT)
        return; /* strangers */
    cr_assert(fake->started);
    cr_assert_eq(message_read(event->frame, &header), READER_OK);
    if (header.kind == MESSAGE_SUBMIT)
        on_submit(fake, event, &header, outputs);
    else if (header.kind == MESSAGE_WATCH)
        on_watch(fake, event, &header, outputs);
    else
        reply_empty(event, MESSAGE_DONE, header.sequence, outputs);
}

static void step_silent(void *self, const struct event *event, struct outputs *outputs)
{
    struct fake *fake = self;
    fake->started |= event->kind == EVENT_START;
    fake->drained |= event->kind == EVENT_DRAIN;
    (void)outputs;
}

static const struct role fakes[3] = {
    {"broker", make_fake, free, step_broker, fake_deadline, fake_done},
    {"region", make_fake, free, step_silent, fake_deadline, fake_done},
    {"worker", make_fake, free, step_silent, fake_deadline, fake_done},
};

static struct sim sim;

static bool run(uint64_t seed, uint64_t *ret_hash)
{
    struct sim_options options = {.seed = seed, .tasks = 60, .regions = 1, .workers = 1, .faults = true};
    cr_assert(sim_init(&sim, &options, fakes));
    sim_run(&sim);
    bool good = !sim.failed;
    *ret_hash = sim.hash;
    sim_release(&sim);
    return good;
}

Test(host, a_cluster_that_keeps_its_word_passes, .timeout = 60)
{
    uint64_t hash;
    for (uint64_t seed = 1; seed <= 20; seed++)
        cr_assert(run(seed, &hash), "seed %llu", (unsigned long long)seed);
}

Test(host, the_same_seed_is_the_same_run, .timeout = 60)
{
    uint64_t first, second, other;
    cr_assert(run(5, &first));
    cr_assert(run(5, &second));
    cr_assert(run(6, &other));
    cr_assert_eq(first, second);
    cr_assert_neq(first, other);
}

Test(host, a_forgotten_task_is_noticed, .timeout = 60)
{
    uint64_t hash;
    manner = FORGETS_TASK;
    cr_assert(!run(1, &hash));
}

Test(host, a_changed_end_is_noticed, .timeout = 60)
{
    uint64_t hash;
    manner = CHANGES_END;
    cr_assert(!run(1, &hash));
}
