/* config_keys.c - every key that a configuration may have: type, place, range. conf/ documents the same ones.
 */
#include "host/config_parts.h"
#include "proto/assert.h"

enum {
    BROKER = 1u << ROLE_BROKER,
    REGION = 1u << ROLE_REGION,
    WORKER = 1u << ROLE_WORKER,
    ANY = BROKER | REGION | WORKER
};

#define HOUR_MS 3600000ull
#define DAY_MS (24 * HOUR_MS)
#define MIB (1ull << 20)
#define TIB (1ull << 40)

#define AT(field) offsetof(struct config, field), sizeof(((struct config *)NULL)->field)

const struct key config_keys[] = {
    {"node", "data", ANY, TEXT, AT(data), 0, 0, NULL},
    {"node", "log_level", ANY, CHOICE, AT(log_level), 0, 0, "debug|info|warn"},
    {"node", "insecure", ANY, CHOICE, AT(insecure), 0, 0, "no|yes"},
    {"store", "max_bytes", ANY, SIZE, AT(store_max_bytes), 16 * MIB, 16 * TIB, NULL},
    {"store", "watermark", BROKER | REGION, COUNT, AT(watermark_percent), 10, 95, NULL},
    {"limits", "payload_bytes", ANY, SIZE, AT(payload_bytes_max), 0, PAYLOAD_BYTES_MAX, NULL},
    {"limits", "tasks", BROKER | REGION, COUNT, AT(tasks_max), 1, 100000000, NULL},

    {"broker", "clients", BROKER, ENDPOINT, AT(clients), 0, 0, NULL},
    {"broker", "regions", BROKER, ENDPOINT, AT(children), 0, 0, NULL},
    {"broker", "beat", BROKER, DURATION, AT(broker.beat_ms), 10, 60000, NULL},
    {"broker", "region_grace", BROKER, DURATION, AT(broker.region_grace_ms), 100, DAY_MS, NULL},
    {"broker", "rerun_max", BROKER, COUNT, AT(broker.rerun_max), 0, 200, NULL},
    {"broker", "window", BROKER, COUNT, AT(broker.window), 1, WINDOW_TASKS, NULL},
    {"broker", "result_ttl", BROKER, DURATION, AT(broker.result_ttl_ms), 1000, 365 * DAY_MS, NULL},
    {"broker", "dedupe_ttl", BROKER, DURATION, AT(broker.dedupe_ttl_ms), 1000, 365 * DAY_MS, NULL},
    {"broker", "dedupe_ids_max", BROKER, COUNT, AT(broker.dedupe_ids_max), 0, 100000000, NULL},

    {"region", "name", REGION, NAME, AT(region.name), 1, NAME_BYTES_MAX, NULL},
    {"region", "parent", REGION, ENDPOINT, AT(parent), 0, 0, NULL},
    {"region", "workers", REGION, ENDPOINT, AT(children), 0, 0, NULL},
    {"region", "beat", REGION, DURATION, AT(region.beat_ms), 10, 60000, NULL},
    {"region", "worker_grace", REGION, DURATION, AT(region.worker_grace_ms), 100, DAY_MS, NULL},
    {"region", "retry_base", REGION, DURATION, AT(region.retry_base_ms), 1, DAY_MS, NULL},
    {"region", "retry_cap", REGION, DURATION, AT(region.retry_cap_ms), 1, DAY_MS, NULL},
    {"region", "poison_limit", REGION, COUNT, AT(region.poison_limit), 1, 200, NULL},
    {"region", "window", REGION, COUNT, AT(region.window), 1, WINDOW_TASKS, NULL},
    {"region", "reconnect_min", REGION, DURATION, AT(region.reconnect_min_ms), 1, 60000, NULL},
    {"region", "reconnect_max", REGION, DURATION, AT(region.reconnect_max_ms), 1, 60000, NULL},

    {"worker", "name", WORKER, NAME, AT(worker.name), 1, NAME_BYTES_MAX, NULL},
    {"worker", "parent", WORKER, ENDPOINT, AT(parent), 0, 0, NULL},
    {"worker", "slots", WORKER, COUNT, AT(worker.slots), 1, SLOTS_MAX, NULL},
    {"worker", "commands", WORKER, CHOICE, AT(commands), 0, 0, "deny|allow"},
    {"worker", "capabilities", WORKER, NAMES, AT(worker.capabilities), 0, CAPABILITIES_MAX, NULL},
    {"worker", "output_bytes", WORKER, SIZE, AT(output_bytes), 0, MIB / 2, NULL},
    {"worker", "stop_grace", WORKER, DURATION, AT(worker.stop_grace_ms), 0, DAY_MS, NULL},
    {"worker", "spool_after", WORKER, DURATION, AT(worker.spool_after_ms), 0, 60000, NULL},
    {"worker", "drain_deadline", WORKER, DURATION, AT(worker.drain_deadline_ms), 0, 7 * DAY_MS, NULL},
    {"worker", "reconnect_min", WORKER, DURATION, AT(worker.reconnect_min_ms), 1, 60000, NULL},
    {"worker", "reconnect_max", WORKER, DURATION, AT(worker.reconnect_max_ms), 1, 60000, NULL},

    {TYPE_SECTION, "command", WORKER, COMMAND, 0, 0, 0, 0, NULL},
    {TYPE_SECTION, "builtin", WORKER, BUILTIN, 0, 0, 0, 0, "noop"},
};

const int config_key_count = sizeof config_keys / sizeof *config_keys;
_Static_assert(sizeof config_keys / sizeof *config_keys <= 64, "one bit of `given` for each key");

const char *const config_roles[ROLE_COUNT] = {"broker", "region", "worker"};

enum role role_of(const char *text)
{
    int role = 0;
    while (role < ROLE_COUNT && strcmp(text, config_roles[role]) != 0)
        role++;
    return (enum role)role;
}

const char *role_text(enum role role)
{
    ASSERT(role < ROLE_COUNT);
    return config_roles[role];
}

bool config_section_matches(const struct key *key, const char *section)
{
    size_t size = strlen(key->section);
    return key->section[size - 1] == ' ' ? strncmp(section, key->section, size) == 0
                                         : strcmp(section, key->section) == 0;
}
