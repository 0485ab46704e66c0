/* task.h - the task as a client sends it: a map of named fields, immutable from SUBMIT to the worker.
 *
 * Is:      the one parser of that map, used by the node that accepts it, the region that runs it, and the
 * worker that starts its process. The map's own bytes are the envelope: stored and forwarded unparsed. Is
 * not:  state (engine/ledger.h). Durations run from acceptance. Refused: unknown or repeated fields, wrong
 * types, values out of range; the field is named. */
#ifndef MERIDIAN_PROTO_TASK_H
#define MERIDIAN_PROTO_TASK_H

#include "proto/bytes.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/message.h"

enum priority { PRIORITY_CRITICAL, PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_COUNT };

/* The type that a task with `argv` has; workers with `commands = allow` offer it. */
#define COMMAND_TYPE "command"

enum { RETRIES_DEFAULT_COMMAND = 0, RETRIES_DEFAULT_HANDLER = 3 };

/* A parsed view; every `struct bytes` points into the map's bytes. */
struct task_fields {
    bool has_id;
    struct task_id id;
    struct bytes type;   /* COMMAND_TYPE for a command */
    struct bytes region; /* required region, size 0 = any */
    struct bytes capabilities[CAPABILITIES_MAX];
    uint32_t capability_count;
    struct bytes payload;           /* stdin of the process, input of a handler; size 0 = none */
    struct bytes working_directory; /* size 0 = the worker's */
    struct bytes arguments;         /* raw msgpack array of str/bin; size 0 for a handler */
    uint32_t argument_count;
    struct bytes environment; /* raw msgpack map of str/bin to str/bin; size 0 = none */
    uint32_t environment_count;
    enum priority priority;
    uint64_t delay_ms;
    uint64_t timeout_ms;  /* of one attempt; 0 = none */
    uint64_t deadline_ms; /* of the whole task from acceptance; 0 = none */
    uint32_t retries;     /* after the first attempt, for errors */
    uint64_t body_hash;   /* over the fields as sent except `id`, in any order */
};

struct task_problem {
    enum error_code code; /* ERROR_NONE if the task is good */
    const char *field;    /* the field at fault, a constant; "" if none is to blame */
    char reason[96];      /* names the field, the value's fault and the bound */
};

/* Parse one task map. Structure must already be sound (message_read checked it).
 * `payload_bytes_max` is limits.payload_bytes. On a problem the fields are not to be used. */
struct task_problem task_parse(struct bytes map, uint64_t payload_bytes_max, struct task_fields *ret_fields);

const char *priority_text(enum priority priority);
/* PRIORITY_COUNT if `text` names none. */
enum priority priority_of(struct bytes text);

#endif
