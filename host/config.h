/* config.h - a node's configuration file: INI, read by inih, checked key by key.
 *
 * Is:      one table of keys (config_keys.c) with type, range and place; conf/ documents the same keys.
 * Is not:  a default: those of the nodes are in <node>_options_default().
 * Errors:  everything unknown, repeated, of the wrong type or out of range is refused with file, line, key,
 *          value and what is expected.
 */
#ifndef MERIDIAN_HOST_CONFIG_H
#define MERIDIAN_HOST_CONFIG_H

#include "broker/broker.h"
#include "host/host.h"
#include "region/region.h"
#include "worker/worker.h"

enum role { ROLE_BROKER, ROLE_REGION, ROLE_WORKER, ROLE_COUNT };

enum {
    CONFIG_TEXT_BYTES = 256, /* an endpoint, a directory */
    HANDLER_WORDS_MAX = 64,
    HANDLER_TEXT_BYTES = 2048,
};

/* The command of one [type NAME], cut into words; word_count 0 for a builtin. */
struct config_handler {
    char *words[HANDLER_WORDS_MAX + 1]; /* into text, ended by NULL */
    uint32_t word_count;
    char text[HANDLER_TEXT_BYTES];
    uint32_t text_size;
};

struct config {
    enum role role;
    char data[CONFIG_TEXT_BYTES];
    char clients[CONFIG_TEXT_BYTES], children[CONFIG_TEXT_BYTES], parent[CONFIG_TEXT_BYTES];
    uint32_t log_level; /* enum trace_level */
    uint32_t insecure;
    uint64_t store_max_bytes;
    uint32_t watermark_percent, tasks_max;
    uint64_t payload_bytes_max;
    uint32_t commands;
    uint64_t output_bytes;
    struct broker_options broker;
    struct region_options region;
    struct worker_options worker;
    struct config_handler handlers[HANDLERS_MAX]; /* in the order of worker.handlers */
};

/* What is wrong, in one line for people. */
struct config_problem {
    char text[1024];
};

/* ROLE_COUNT if `text` names none. */
enum role role_of(const char *text);
const char *role_text(enum role role);

/* Read `path`, then the overrides ("section.key=value", after the file and over it). `role` ROLE_COUNT:
 * whichever the file's section says. Gives a config that the caller frees with config_free; NULL with the
 * problem. */
struct config *config_load(const char *path, enum role role, int override_count, char *const *overrides,
                           struct config_problem *ret_problem);
void config_free(struct config *config);

/* The host's part of it; points into `config`. Without launcher. */
struct host_options config_host(const struct config *config);

#endif
