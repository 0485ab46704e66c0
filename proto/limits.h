/* limits.h - every bound of the protocol, in one place; PROTOCOL.md lists the same numbers. */
#ifndef MERIDIAN_PROTO_LIMITS_H
#define MERIDIAN_PROTO_LIMITS_H

enum {
    PROTOCOL_VERSION_MIN = 1,
    PROTOCOL_VERSION_MAX = 1,

    FRAME_BYTES_SOFT = 256 * 1024,   /* a frame of many tasks closes before it passes this */
    FRAME_BYTES_MAX = 1280 * 1024,   /* a frame with a single task may use up to this */
    PAYLOAD_BYTES_MAX = 1024 * 1024, /* default of limits.payload_bytes */
    FRAME_ENTRIES_MAX = 1024,        /* tasks in one message */
    OUTCOME_ENTRIES_MAX = 512,       /* an OUTCOME costs its receiver more records than other entries */
    INVENTORY_ROWS_MAX = 4096,
    FRAME_DEPTH_MAX = 12,

    KIND_BYTES_MAX = 16,
    NAME_BYTES_MAX = 64, /* node names, task types, capabilities, region names */
    ARGUMENTS_MAX = 4096,
    ARGUMENT_BYTES_MAX = 128 * 1024,
    ENVIRONMENT_MAX = 1024,
    PATH_BYTES_MAX = 4096,
    CAPABILITIES_MAX = 16,
    PROFILES_MAX = 64,
    PROFILE_TYPES_MAX = 64,
    SLOTS_MAX = 65536,
    RETRIES_MAX = 1000,
    WAIT_MS_MAX = 30000,
    WINDOW_TASKS = 65536, /* what one child may hold of its parent */
};

/* The longest duration a task may carry (delay, timeout, deadline): 49 days, what 32 bits of milliseconds
 * hold. */
#define DURATION_MS_MAX (49ull * 24 * 3600 * 1000)

#endif
