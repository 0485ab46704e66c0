/* children.c - sessions and liveness of a node's children. The HELLO rules are in children_hello.c. */
#include "engine/children.h"

#include <stdlib.h>

#include "engine/children_table.h"
#include "proto/assert.h"
#include "proto/bug.h"

/* Beats leave the greater part of a step to what else is due in it. */
enum { BEATS_TO_SILENCE = 3, BEAT_ROOM_LEFT = STEP_OPERATIONS_MAX / 8 * 5 };

void children_init(struct children *children, const struct children_options *options,
                   const struct classes *known)
{
    memset(children, 0, sizeof *children);
    children->options = *options;
    children->known = known;
    children->next_number = 1;
}

void children_begin_step(struct children *children, const struct event *event)
{
    uint64_t gap_ns = event->now_ns - children->last_step_ns;
    uint64_t beat_ns = children->options.beat_ms * NANOSECONDS_PER_MS;
    if (children->last_step_ns != 0)
        children->awake_ns += gap_ns < beat_ns ? gap_ns : beat_ns;
    children->last_step_ns = event->now_ns;
}

void children_start(struct children *children, const struct event *event, uint32_t epoch)
{
    children->epoch = epoch;
    children->beat_at_ns = event->now_ns;
    for (uint32_t i = 0; i < children->count; i++)
        children->all[i]->heard_ns = children->awake_ns;
}

void child_end_session(struct children *children, struct child *child, struct outputs *outputs)
{
    if (child->peer == 0)
        return;
    outputs_trace(outputs, TRACE_SESSION_DOWN, NULL, child->number, child->peer);
    children_unbind(children, child);
    child->state = CHILD_AWAY;
    strays_clear(&child->strays);
    children->profiles_changed = true;
}

void children_on_link_down(struct children *children, const struct event *event, struct outputs *outputs)
{
    struct child *child = children_by_peer(children, event->peer);
    if (child != NULL)
        child_end_session(children, child, outputs);
}

/* A routing id without a session: tell it to say HELLO. */
static void greet(struct children *children, const struct event *event, struct outputs *outputs)
{
    children->refused++;
    write_array(outputs_message(outputs, event->peer, MESSAGE_GREET, NULL, 0), 0);
    outputs_message_end(outputs);
    outputs_trace(outputs, TRACE_SESSION_LEFTOVER, NULL, 0, event->peer);
}

/* A peer broke the rules of its session: name the fault, end the session. */
static void refuse(struct children *children, struct child *child, const struct event *event,
                   enum error_code code, const char *reason, struct outputs *outputs)
{
    children->refused++;
    error_write_body(outputs_message(outputs, event->peer, MESSAGE_ERROR, NULL, 0), code, reason);
    outputs_message_end(outputs);
    outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, code, event->peer);
    child_end_session(children, child, outputs);
}

/* Round trip from the echo of our own clock, smoothed as in RFC 6298 (weight 1/8). */
static void measure(struct child *child, const struct event *event, const struct heartbeat *heartbeat)
{
    child->clock_us = heartbeat->clock_us;
    child->clock_at_ns = event->now_ns;
    child->commit_age_ms = heartbeat->commit_age_ms;
    uint64_t now_us = event->now_ns / 1000;
    if (heartbeat->echo_us == 0 || heartbeat->echo_us > now_us)
        return;
    uint64_t passed_us = now_us - heartbeat->echo_us;
    if (heartbeat->echo_held_us > passed_us)
        return;
    uint64_t sample_us = passed_us - heartbeat->echo_held_us + 1;
    if (sample_us > UINT32_MAX)
        return;
    if (child->rtt_us == 0)
        child->rtt_us = (uint32_t)sample_us;
    else
        child->rtt_us = (uint32_t)(((uint64_t)child->rtt_us * 7 + sample_us) / 8);
}

/* True if it tells of late outcomes. */
static bool on_heartbeat(struct children *children, struct child *child, const struct event *event,
                         struct bytes body)
{
    struct heartbeat heartbeat;
    if (!heartbeat_read(body, &heartbeat)) {
        children->refused++;
        return false;
    }
    measure(child, event, &heartbeat);
    child->workers = heartbeat.children;
    if (heartbeat.flags & HEARTBEAT_DRAINING && !child->draining) {
        child->draining = true;
        children->profiles_changed = true;
    }
    if (BUG(HEARTBEAT_IS_READINESS))
        child->state = CHILD_LIVE;
    if (heartbeat.profiles.size != 0 && !child_take_profiles(children, child, heartbeat.profiles))
        children->refused++;
    return heartbeat.late.size > 0;
}

static void heard(struct children *children, struct child *child, struct outputs *outputs)
{
    child->heard_ns = children->awake_ns;
    if (!child->suspect)
        return;
    child->suspect = false;
    children->profiles_changed = true;
    outputs_trace(outputs, TRACE_CHILD_BACK, NULL, child->number, 0);
}

/* BYE [kept] */
static void on_bye(struct children *children, struct child *child, struct bytes body, struct outputs *outputs)
{
    struct reader reader;
    reader_init(&reader, body);
    bool told = read_array(&reader, 64) > 0;
    uint64_t kept = told ? read_uint(&reader, UINT64_MAX) : 1;
    child->left = true;
    child->left_empty = kept == 0 && !reader_failed(&reader);
    child_end_session(children, child, outputs);
}

/* A counted message of a session: which of them may come when. */
static enum child_news on_counted(struct children *children, struct child *child, const struct event *event,
                                  const struct message_header *header, struct outputs *outputs)
{
    bool leftover = BUG(LEFTOVERS_BELIEVED) && event->peer != child->peer;
    if (leftover && child->peer == 0)
        return CHILD_NOTHING;
    if (header->sequence != child->link.received + 1 && !leftover && !BUG(GAP_UNNOTICED)) {
        outputs_trace(outputs, TRACE_SESSION_GAP, NULL, child->link.received + 1, header->sequence);
        refuse(children, child, event, ERROR_MALFORMED, "a gap in the session's sequence: say HELLO again",
               outputs);
        return CHILD_NOTHING;
    }
    child->link.received += !leftover;
    bool syncing = child->state == CHILD_SYNCING;
    if (header->kind == MESSAGE_BYE) {
        on_bye(children, child, header->body, outputs);
        return CHILD_NOTHING;
    }
    if (header->kind == MESSAGE_INVENTORY && syncing)
        return CHILD_INVENTORY;
    if (header->kind == MESSAGE_END && syncing) {
        child->state = CHILD_SWEEPING;
        children->profiles_changed = true;
        return CHILD_SYNCED;
    }
    bool allowed = header->kind == MESSAGE_TAKEN || header->kind == MESSAGE_REFUSED ||
                   header->kind == MESSAGE_OUTCOME || header->kind == MESSAGE_ANSWER;
    if (syncing || !allowed) {
        refuse(children, child, event, ERROR_MALFORMED,
               syncing ? "before END only INVENTORY may come" : "not a message of a child", outputs);
        return CHILD_NOTHING;
    }
    return CHILD_MESSAGE;
}

enum child_news children_on_message(struct children *children, const struct event *event,
                                    const struct message_header *header, struct outputs *outputs,
                                    struct child **ret_child)
{
    *ret_child = NULL;
    if (header->kind == MESSAGE_HELLO) {
        children_on_hello(children, event, header, outputs);
        return CHILD_NOTHING;
    }
    struct child *child = children_by_peer(children, event->peer);
    if (child == NULL) {
        greet(children, event, outputs);
        return CHILD_NOTHING;
    }
    heard(children, child, outputs);
    *ret_child = child;
    if (header->kind == MESSAGE_HEARTBEAT)
        return on_heartbeat(children, child, event, header->body) ? CHILD_LATE : CHILD_NOTHING;
    return on_counted(children, child, event, header, outputs);
}

static void send_heartbeat(struct child *child, const struct event *event, struct outputs *outputs)
{
    struct heartbeat heartbeat = {.clock_us = event->now_ns / 1000, .commit_age_ms = event->commit_age_ms};
    if (child->clock_us != 0) {
        heartbeat.echo_us = child->clock_us;
        heartbeat.echo_held_us = (event->now_ns - child->clock_at_ns) / 1000;
    }
    heartbeat_write(outputs_message(outputs, child->peer, MESSAGE_HEARTBEAT, NULL, 0), &heartbeat);
    outputs_message_end(outputs);
    outputs_message_immediate(outputs);
}

static void check_silence(struct children *children, struct child *child, struct outputs *outputs)
{
    uint64_t silent_ns = children->awake_ns - child->heard_ns;
    uint64_t beat_ns = children->options.beat_ms * NANOSECONDS_PER_MS;
    if (!child->suspect && silent_ns >= BEATS_TO_SILENCE * beat_ns) {
        child->suspect = true;
        children->profiles_changed = true;
        if (!child->left)
            outputs_trace(outputs, TRACE_CHILD_SUSPECT, NULL, child->number, 0);
    }
    if (!child->lost && silent_ns >= children->options.grace_ms * NANOSECONDS_PER_MS) {
        if (!child->left || child->granted > 0)
            outputs_trace(outputs, TRACE_CHILD_LOST, NULL, child->number, child->granted);
        child_end_session(children, child, outputs);
        child->lost = true;
        children->profiles_changed = true;
    }
}

/* What an earlier boot held has been claimed or has ended. */
static void record_boot(struct child *child, struct outputs *outputs)
{
    bool swept = child->state == CHILD_LIVE || child->first_grant == 0;
    if (!child->boot_is_new || !swept || outputs_room(outputs) < 512)
        return;
    child->boot_is_new = false;
    child_put_record(child, outputs);
}

void children_on_timeout(struct children *children, const struct event *event, struct outputs *outputs)
{
    if (children->beat_next == 0) {
        if (event->now_ns < children->beat_at_ns)
            return;
        children->beat_at_ns = event->now_ns + children->options.beat_ms * NANOSECONDS_PER_MS;
    }
    for (; children->beat_next < children->count; children->beat_next++) {
        if (outputs_room(outputs) < BEAT_ROOM_LEFT)
            return; /* goes on in the next step */
        struct child *child = children->all[children->beat_next];
        check_silence(children, child, outputs);
        if (child->peer != 0)
            send_heartbeat(child, event, outputs);
        record_boot(child, outputs);
    }
    children->beat_next = 0;
    children_forget_old(children, outputs);
}

uint64_t children_deadline_ns(const struct children *children)
{
    if (children->beat_next != 0)
        return 0;
    return children->count == 0 ? DEADLINE_NEVER : children->beat_at_ns;
}

bool child_is_heard(const struct child *child)
{
    return child->peer != 0 && !child->suspect;
}

void children_forget(struct children *children, struct child *child, struct outputs *outputs)
{
    ASSERT(!child_is_heard(child));
    if (child->forgotten)
        return;
    child_end_session(children, child, outputs); /* a silent one: it would notice nothing for long */
    child->lost = child->forgotten = true;
    outputs_trace(outputs, TRACE_CHILD_FORGOTTEN, NULL, child->number, child->granted);
    if (!BUG(FORGET_NOT_DURABLE))
        child_put_record(child, outputs);
}

bool child_may_work(const struct child *child)
{
    return child->state == CHILD_LIVE && !child->suspect && !child->lost && !child->draining;
}

const char *child_state_text(const struct child *child)
{
    if (child->forgotten)
        return "forgotten";
    if (child->left && child->state == CHILD_AWAY && child->granted == 0)
        return "left";
    if (child->lost)
        return "lost";
    if (child->state == CHILD_AWAY)
        return "away";
    if (child->suspect)
        return "suspect";
    return child->draining ? "draining" : "live";
}
