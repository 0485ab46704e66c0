/* config.c - see config.h: defaults, the file, the overrides, and what can only be checked at the end. */
#include <stdlib.h>

#include "host/config_parts.h"

static void set_defaults(struct config *config)
{
    broker_options_default(&config->broker);
    region_options_default(&config->region);
    worker_options_default(&config->worker);
    config->worker.commands = false;
    config->log_level = TRACE_INFO;
    config->store_max_bytes = 4ull << 30;
    config->watermark_percent = config->broker.watermark_percent;
    config->payload_bytes_max = PAYLOAD_BYTES_MAX;
    config->tasks_max = config->broker.tasks_max;
    config->output_bytes = 64 * 1024;
    strcpy(config->clients, config->role == ROLE_BROKER ? "tcp://127.0.0.1:7700" : "");
    strcpy(config->children, config->role == ROLE_BROKER   ? "tcp://127.0.0.1:7701"
                             : config->role == ROLE_REGION ? "tcp://127.0.0.1:7711"
                                                           : "");
    strcpy(config->parent, config->role == ROLE_REGION   ? "tcp://127.0.0.1:7701"
                           : config->role == ROLE_WORKER ? "tcp://127.0.0.1:7711"
                                                         : "");
}

static const char *node_name(const struct config *config)
{
    switch (config->role) {
    case ROLE_REGION:
        return config->region.name;
    case ROLE_WORKER:
        return config->worker.name;
    case ROLE_BROKER:
    case ROLE_COUNT:
        break;
    }
    return "broker";
}

/* What can only be said once everything is read. */
static bool finish(struct load *load)
{
    struct config *config = load->config;
    load->override = NULL;
    if (node_name(config)[0] == '\0')
        return config_fail(load, "[%s] name is missing", config_roles[config->role]);
    if (config->region.reconnect_min_ms > config->region.reconnect_max_ms ||
        config->worker.reconnect_min_ms > config->worker.reconnect_max_ms)
        return config_fail(load, "reconnect_min is above reconnect_max");
    if (config->region.retry_base_ms > config->region.retry_cap_ms)
        return config_fail(load, "retry_base is above retry_cap");
    for (uint32_t i = 0; i < config->worker.handler_count; i++)
        if (config->handlers[i].word_count == 0 && !config->worker.handlers[i].builtin_noop)
            return config_fail(load, "[type %s] has no command", config->worker.handlers[i].type);
    if (config->data[0] == '\0')
        snprintf(config->data, sizeof config->data, "/var/lib/meridian/%s", node_name(config));
    config->broker.watermark_percent = config->region.watermark_percent = config->watermark_percent;
    config->broker.tasks_max = config->region.tasks_max = config->tasks_max;
    config->broker.payload_bytes_max = config->region.payload_bytes_max = config->payload_bytes_max;
    config->worker.commands = config->commands != 0;
    return true;
}

struct config *config_load(const char *path, enum role role, int override_count, char *const *overrides,
                           struct config_problem *ret_problem)
{
    struct load load = {.config = calloc(1, sizeof(struct config)), .problem = ret_problem, .path = path};
    if (load.config == NULL) {
        config_fail(&load, "no memory to read it");
        return NULL;
    }
    load.config->role = role;
    bool loaded = role != ROLE_COUNT || config_find_role(&load);
    if (loaded) {
        set_defaults(load.config);
        loaded = config_read_file(&load);
    }
    for (int i = 0; loaded && i < override_count; i++)
        loaded = config_read_override(&load, overrides[i]);
    if (loaded && finish(&load))
        return load.config;
    config_free(load.config);
    return NULL;
}

void config_free(struct config *config)
{
    free(config);
}

struct host_options config_host(const struct config *config)
{
    return (struct host_options){
        .role = config_roles[config->role],
        .node = node_name(config),
        .data = config->data,
        .store_max_bytes = config->store_max_bytes,
        .clients = config->clients[0] != '\0' ? config->clients : NULL,
        .children = config->children[0] != '\0' ? config->children : NULL,
        .parent = config->parent[0] != '\0' ? config->parent : NULL,
        .log_level = (enum trace_level)config->log_level,
        .insecure = config->insecure != 0,
    };
}
