/* link.h - the messages between a child and its parent: one struct per message or entry, one writer, one
 * reader.
 *
 * A worker is the child of a region, a region the child of the broker; both speak the same messages. Bodies
 * are arrays; a reader ignores trailing fields it does not know, so old and new nodes can talk. Messages of
 * entries have the body [[entry, entry, ...]]; the writers below write single entries, the frame around them
 * belongs to engine/outputs.h. Readers check every bound before it is used. */
#ifndef MERIDIAN_PROTO_LINK_H
#define MERIDIAN_PROTO_LINK_H

#include "proto/id.h"
#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/writer.h"

enum { INSTANCE_BYTES = 16 };

/* What a child can run: any of `types`, for tasks whose capabilities are all among `capabilities`. */
struct profile {
    struct bytes types[PROFILE_TYPES_MAX];
    struct bytes capabilities[CAPABILITIES_MAX];
    uint32_t type_count, capability_count;
    uint32_t slots;
};

/* HELLO [name, instance, boot, version_min, version_max, role, profiles, epoch_seen]
 * role "region" or "worker"; profiles is a raw array for profile_read; epoch_seen: highest epoch in a fence
 * held. */
struct hello {
    struct bytes name, role;
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    uint32_t version_min, version_max;
    struct bytes profiles;
    uint32_t epoch_seen;
};
/* `profiles` is already encoded: an array of [types, capabilities, slots]. */
void hello_write(struct writer *writer, const struct hello *hello);
bool hello_read(struct bytes body, struct hello *ret_hello);

void profile_write(struct writer *writer, const struct profile *profile);
bool profile_read(struct reader *reader, struct profile *ret_profile);

/* WELCOME [version, epoch, beat_ms, grace_ms, wall_ms] */
struct welcome {
    uint32_t version, epoch, beat_ms, grace_ms;
    uint64_t wall_ms;
};
void welcome_write(struct writer *writer, const struct welcome *welcome);
bool welcome_read(struct bytes body, struct welcome *ret_welcome);

/* HEARTBEAT [clock_us, echo_us, echo_held_us, commit_age_ms, profiles or nil, flags, children, late]
 * clock_us is the sender's monotonic clock; echo_us the last clock_us it got from the peer (0 = none) and
 * echo_held_us how long ago that was: rtt = now - echo_us - echo_held_us at the receiver. */
enum { HEARTBEAT_DRAINING = 1 };
struct heartbeat {
    uint64_t clock_us, echo_us, echo_held_us;
    uint32_t commit_age_ms;
    struct bytes profiles; /* size 0 = unchanged (nil on the wire) */
    uint32_t flags;
    uint32_t children; /* a region: workers with a session; 0 elsewhere */
    struct bytes late; /* a region: an encoded array of late entries; size 0 = none, and not on the wire */
};
void heartbeat_write(struct writer *writer, const struct heartbeat *heartbeat);
bool heartbeat_read(struct bytes body, struct heartbeat *ret_heartbeat);

/* How a task, or one attempt of it, ended. */
enum task_end {
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_CANCELLED,
    TASK_EXPIRED,
    TASK_RETURNED,
    TASK_NOT_HELD,
    TASK_END_COUNT
};

/* late entry [id, fence, end, worker]: an outcome that was refused here, because its attempt was over and the
 * task had gone on without it. Told for people only, and at most once. */
struct late_entry {
    struct task_id id;
    struct fence fence;
    enum task_end end;
    struct bytes worker; /* of the region that tells it */
};
void late_entry_write(struct writer *writer, const struct late_entry *entry);
bool late_entry_read(struct reader *reader, struct late_entry *ret_entry);

/* INVENTORY row [id, fence, status, running_ms] */
enum held_status { HELD_WAITING, HELD_RUNNING, HELD_ENDED, HELD_STATUS_COUNT };
struct inventory_row {
    struct task_id id;
    struct fence fence;
    enum held_status status;
    uint64_t running_ms;
};
void inventory_row_write(struct writer *writer, const struct inventory_row *row);
bool inventory_row_read(struct reader *reader, struct inventory_row *ret_row);

/* ASSIGN entry [id, fence, age_ms, flags, attempt, attempts_max, envelope]; the envelope map comes last so
 * that it can be spliced from a record: the writer stops before it. */
enum { ASSIGN_DUP_POSSIBLE = 1 };
struct assign_entry {
    struct task_id id;
    struct fence fence;
    uint64_t age_ms;
    uint32_t flags, attempt, attempts_max;
    struct bytes envelope; /* one raw msgpack map */
};
void assign_entry_write_head(struct writer *writer, const struct assign_entry *entry);
bool assign_entry_read(struct reader *reader, struct assign_entry *ret_entry);

/* TAKEN entry [id, fence, started, running_ms] */
struct taken_entry {
    struct task_id id;
    struct fence fence;
    bool started;
    uint64_t running_ms;
};
void taken_entry_write(struct writer *writer, const struct taken_entry *entry);
bool taken_entry_read(struct reader *reader, struct taken_entry *ret_entry);

/* REFUSED entry [id, fence, code]: the child will not hold the task. */
struct refused_entry {
    struct task_id id;
    struct fence fence;
    struct bytes code;
};
void refused_entry_write(struct writer *writer, const struct refused_entry *entry);
bool refused_entry_read(struct reader *reader, struct refused_entry *ret_entry);

/* STOP entry [id, fence, mode] */
enum stop_mode { STOP_CANCEL, STOP_RECALL /* only if not started */, STOP_MODE_COUNT };
struct stop_entry {
    struct task_id id;
    struct fence fence;
    enum stop_mode mode;
};
void stop_entry_write(struct writer *writer, const struct stop_entry *entry);
bool stop_entry_read(struct reader *reader, struct stop_entry *ret_entry);

/* OUTCOME entry [id, fence, end, flags, outcome]; `outcome` is a map (outcome.h) and comes last, so that it
 * can be spliced: write_head stops before it. */
enum {
    OUTCOME_DUP_POSSIBLE = 1, /* may have run more than once */
    OUTCOME_DEAD = 2,         /* no process of this attempt is left, or none was ever started */
    OUTCOME_PERMANENT = 4,    /* retrying cannot help */
};
struct outcome_entry {
    struct task_id id;
    struct fence fence;
    enum task_end end;
    uint32_t flags;
    struct bytes outcome; /* raw msgpack map */
};
void outcome_entry_write_head(struct writer *writer, const struct outcome_entry *entry);
bool outcome_entry_read(struct reader *reader, struct outcome_entry *ret_entry);

/* SETTLED entry [id, fence, status] */
enum settled_status { SETTLED_RECORDED, SETTLED_STALE, SETTLED_UNKNOWN, SETTLED_STATUS_COUNT };
struct settled_entry {
    struct task_id id;
    struct fence fence;
    enum settled_status status;
};
void settled_entry_write(struct writer *writer, const struct settled_entry *entry);
bool settled_entry_read(struct reader *reader, struct settled_entry *ret_entry);

/* ASK [request, question, body]; ANSWER [request, body]. question is "tasks", "explain", "workers" or
 * "drain"; the bodies are maps (proto/query.h). */
struct ask {
    uint64_t request;
    struct bytes question, body;
};
void ask_write_head(struct writer *writer, uint64_t request, const char *question);
bool ask_read(struct bytes body, struct ask *ret_ask);
void answer_write_head(struct writer *writer, uint64_t request);
bool answer_read(struct bytes body, uint64_t *ret_request, struct bytes *ret_body);

/* "completed", "failed", "cancelled", "expired", "returned", "not_held" */
const char *task_end_text(enum task_end end);

#endif
