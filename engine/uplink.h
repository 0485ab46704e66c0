/* uplink.h - a child's side of its session with the parent: connect, HELLO, WELCOME, inventory, beats,
 * reconnect.
 *
 * Is:      used alike by regions (towards the broker) and workers (towards their region). It owns the
 *          session number, the counted link, beats and back-off. It tells its node what happened (enum
 *          uplink_news).
 * Is not:  the content: which rows the INVENTORY has, what is re-sent after it, is the node's.
 * Rules:   a session is one connection (peer_make(PORT_PARENT, session)); the first message to a new number
 *          makes the host open a new socket. HELLO and WELCOME have sequence 1; a gap ends the session;
 *          three beats of silence end it; back-off doubles with jitter from reconnect_min_ms to
 *          reconnect_max_ms (and at most a third of the grace). GREET, ERROR and HEARTBEAT have sequence 0
 *          and are not counted.
 * Use:     uplink_start at START. Each TIMEOUT: uplink_on_timeout. Each MESSAGE from PORT_PARENT:
 *          uplink_on_message. LINK_DOWN of PORT_PARENT: uplink_on_link_down. On UPLINK_WELCOME the node
 *          appends its INVENTORY rows (over as many steps as it needs), then calls uplink_synced, then
 *          re-sends what is unanswered. */
#ifndef MERIDIAN_ENGINE_UPLINK_H
#define MERIDIAN_ENGINE_UPLINK_H

#include "engine/outputs.h"
#include "engine/step.h"
#include "proto/link.h"

enum uplink_state { UPLINK_DOWN, UPLINK_HELLO_SENT, UPLINK_SYNCING, UPLINK_UP };

enum uplink_news {
    UPLINK_NOTHING, /* dealt with here */
    UPLINK_WELCOME, /* send INVENTORY now, then uplink_synced */
    UPLINK_MESSAGE, /* a counted message for the node: ASSIGN, STOP, SETTLED, ASK */
    UPLINK_ENDED,   /* the session is over: what was sent and not answered must be sent again in the next */
};

struct uplink {
    enum uplink_state state;
    uint64_t session;
    struct link link;
    char name[NAME_BYTES_MAX + 1];
    char role[8];
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    uint32_t epoch_seen;   /* highest epoch in a fence this child holds */
    struct bytes profiles; /* encoded array, owned by the node, stays in place */
    bool profiles_changed;
    bool draining;     /* told to the parent with every beat */
    uint32_t children; /* likewise: of a region, workers with a session */
    struct bytes late; /* encoded late entries for the next beat, owned by the node; size 0 = none, or sent */
    uint32_t reconnect_min_ms, reconnect_max_ms;
    uint32_t tries; /* since the last WELCOME */
    uint32_t parent_epoch, beat_ms, grace_ms;
    uint64_t retry_ns, heard_ns, beat_ns, hello_ns;
    uint64_t last_step_ns;                        /* gaps between steps are not the parent's silence */
    uint64_t parent_clock_us, parent_clock_at_ns; /* for the echo */
};

/* `role` "worker" or "region". Copies the names. */
void uplink_init(struct uplink *uplink, const char *name, const char *role, uint32_t reconnect_min_ms,
                 uint32_t reconnect_max_ms);
/* Identity is durable (or becomes so with the outputs of this step): send the first HELLO now. */
void uplink_start(struct uplink *uplink, const struct event *event, struct outputs *outputs,
                  const uint8_t instance[INSTANCE_BYTES], uint64_t boot);
/* New profiles: `encoded` (an array of [types, capabilities, slots]) is owned by the node and stays in place.
 */
void uplink_profiles(struct uplink *uplink, struct bytes encoded);
enum uplink_news uplink_on_message(struct uplink *uplink, const struct event *event,
                                   const struct message_header *header, struct outputs *outputs);
enum uplink_news uplink_on_link_down(struct uplink *uplink, const struct event *event,
                                     struct outputs *outputs);
/* A message of the parent cannot be read. The session ends: a grant may have been in it, which nobody would
 * ever answer for; the next session's INVENTORY shows that we do not have it. */
enum uplink_news uplink_on_malformed(struct uplink *uplink, const struct event *event,
                                     struct outputs *outputs);
enum uplink_news uplink_on_timeout(struct uplink *uplink, const struct event *event, struct outputs *outputs);
/* Appends END; the session is up. */
void uplink_synced(struct uplink *uplink, const struct event *event, struct outputs *outputs);
/* The node goes: BYE if the session is up, and no new session. `kept`: tasks or outcomes that it takes along;
 * with 0 the parent knows that whatever it still has granted never arrived. */
void uplink_bye(struct uplink *uplink, uint64_t kept, struct outputs *outputs);
uint64_t uplink_deadline_ns(const struct uplink *uplink);

/* TAKEN, REFUSED, OUTCOME and ANSWER may be appended (to uplink_peer, counted by &uplink->link). */
static inline bool uplink_is_up(const struct uplink *uplink)
{
    return uplink->state == UPLINK_UP;
}

static inline uint64_t uplink_peer(const struct uplink *uplink)
{
    return peer_make(PORT_PARENT, uplink->session);
}

#endif
