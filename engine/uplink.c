/* uplink.c - DOWN -> HELLO_SENT -> SYNCING -> UP, and back to DOWN at any trouble. See uplink.h. */
#include "engine/uplink.h"

#include "proto/assert.h"
#include "proto/bug.h"

enum { BEAT_MS_DEFAULT = 1000, BEATS_TO_SILENCE = 3, HELLO_TIMEOUT_MS_MIN = 500 };

void uplink_init(struct uplink *uplink, const char *name, const char *role, uint32_t reconnect_min_ms,
                 uint32_t reconnect_max_ms)
{
    memset(uplink, 0, sizeof *uplink);
    ASSERT(strlen(name) <= NAME_BYTES_MAX);
    ASSERT(strlen(role) < sizeof uplink->role);
    memcpy(uplink->name, name, strlen(name));
    memcpy(uplink->role, role, strlen(role));
    uplink->reconnect_min_ms = reconnect_min_ms;
    uplink->reconnect_max_ms = reconnect_max_ms;
    uplink->beat_ms = BEAT_MS_DEFAULT;
    uplink->retry_ns = DEADLINE_NEVER;
}

static void send_hello(struct uplink *uplink, const struct event *event, struct outputs *outputs)
{
    uplink->session++;
    uplink->link = (struct link){.sent = 0};
    uplink->state = UPLINK_HELLO_SENT;
    uplink->hello_ns = event->now_ns;
    uplink->retry_ns = DEADLINE_NEVER;
    uplink->profiles_changed = false;
    uplink->parent_clock_us = 0;
    struct hello hello = {
        .name = bytes_of(uplink->name),
        .role = bytes_of(uplink->role),
        .boot = uplink->boot,
        .version_min = PROTOCOL_VERSION_MIN,
        .version_max = PROTOCOL_VERSION_MAX,
        .profiles = uplink->profiles,
        .epoch_seen = uplink->epoch_seen,
    };
    memcpy(hello.instance, uplink->instance, INSTANCE_BYTES);
    hello_write(outputs_message(outputs, uplink_peer(uplink), MESSAGE_HELLO, &uplink->link, 0), &hello);
    outputs_message_end(outputs);
}

/* Back-off: doubles with the tries, at most a third of the grace, then a random half of it on top of the
 * other. */
static uint64_t pause_ms(const struct uplink *uplink, uint64_t random)
{
    uint64_t cap = uplink->reconnect_max_ms;
    if (uplink->grace_ms != 0 && cap > uplink->grace_ms / 3)
        cap = uplink->grace_ms / 3;
    uint64_t pause = uplink->reconnect_min_ms;
    for (uint32_t i = 0; i < uplink->tries && pause < cap; i++)
        pause *= 2;
    if (pause > cap)
        pause = cap;
    return pause / 2 + random % (pause / 2 + 1);
}

static enum uplink_news end_session(struct uplink *uplink, const struct event *event, struct outputs *outputs)
{
    if (uplink->state == UPLINK_DOWN)
        return UPLINK_NOTHING;
    uint64_t pause = pause_ms(uplink, event->random[0]);
    uplink->tries++;
    uplink->state = UPLINK_DOWN;
    uplink->retry_ns = event->now_ns + pause * NANOSECONDS_PER_MS;
    outputs_trace(outputs, TRACE_PARENT_DOWN, NULL, uplink->session, pause);
    return UPLINK_ENDED;
}

void uplink_start(struct uplink *uplink, const struct event *event, struct outputs *outputs,
                  const uint8_t instance[INSTANCE_BYTES], uint64_t boot)
{
    memcpy(uplink->instance, instance, INSTANCE_BYTES);
    uplink->boot = boot;
    uplink->last_step_ns = event->now_ns;
    send_hello(uplink, event, outputs);
}

void uplink_profiles(struct uplink *uplink, struct bytes encoded)
{
    uplink->profiles = encoded;
    uplink->profiles_changed = true;
    if (uplink->state >= UPLINK_SYNCING)
        uplink->beat_ns = 0; /* the parent should know at once */
}

static void on_heartbeat(struct uplink *uplink, const struct event *event, struct bytes body)
{
    struct heartbeat heartbeat;
    if (!heartbeat_read(body, &heartbeat))
        return;
    uplink->parent_clock_us = heartbeat.clock_us;
    uplink->parent_clock_at_ns = event->now_ns;
}

static enum uplink_news on_welcome(struct uplink *uplink, const struct event *event, struct bytes body,
                                   struct outputs *outputs)
{
    struct welcome welcome;
    if (uplink->state != UPLINK_HELLO_SENT || !welcome_read(body, &welcome))
        return end_session(uplink, event, outputs);
    uplink->state = UPLINK_SYNCING;
    uplink->tries = 0;
    uplink->parent_epoch = welcome.epoch;
    uplink->beat_ms = welcome.beat_ms;
    uplink->grace_ms = welcome.grace_ms;
    uplink->beat_ns = 0;
    outputs_trace(outputs, TRACE_PARENT_UP, NULL, uplink->session, 0);
    return UPLINK_WELCOME;
}

/* GREET: the parent knows no session of ours. ERROR: it refused us; the next try may find things mended. */
static enum uplink_news on_uncounted(struct uplink *uplink, const struct event *event,
                                     const struct message_header *header, struct outputs *outputs)
{
    if (header->kind == MESSAGE_HEARTBEAT) {
        on_heartbeat(uplink, event, header->body);
        return UPLINK_NOTHING;
    }
    if (header->kind == MESSAGE_ERROR) {
        uplink->tries += uplink->tries < 4 ? 4 : 0; /* asking again at once cannot help */
        struct error_body error;
        if (error_read_body(header->body, &error) == READER_OK)
            for (int code = 1; code <= ERROR_UNKNOWN_REGION; code++)
                if (bytes_are(error.code, error_code_text((enum error_code)code)))
                    outputs_trace(outputs, TRACE_PARENT_REFUSED, NULL, (uint64_t)code, 0);
    }
    return end_session(uplink, event, outputs);
}

enum uplink_news uplink_on_message(struct uplink *uplink, const struct event *event,
                                   const struct message_header *header, struct outputs *outputs)
{
    if (uplink->state == UPLINK_DOWN || event->peer != uplink_peer(uplink)) {
        outputs_trace(outputs, TRACE_SESSION_LEFTOVER, NULL, 0, event->peer);
        return UPLINK_NOTHING;
    }
    uplink->heard_ns = event->now_ns;
    if (header->kind == MESSAGE_HEARTBEAT || header->kind == MESSAGE_GREET || header->kind == MESSAGE_ERROR)
        return on_uncounted(uplink, event, header, outputs);
    if (header->sequence != uplink->link.received + 1 && !BUG(GAP_UNNOTICED)) {
        outputs_trace(outputs, TRACE_SESSION_GAP, NULL, uplink->link.received + 1, header->sequence);
        return end_session(uplink, event, outputs);
    }
    uplink->link.received++;
    if (header->kind == MESSAGE_WELCOME)
        return on_welcome(uplink, event, header->body, outputs);
    if (uplink->state == UPLINK_HELLO_SENT)
        return end_session(uplink, event, outputs);
    return UPLINK_MESSAGE;
}

enum uplink_news uplink_on_link_down(struct uplink *uplink, const struct event *event,
                                     struct outputs *outputs)
{
    if (event->peer != uplink_peer(uplink))
        return UPLINK_NOTHING;
    return end_session(uplink, event, outputs);
}

enum uplink_news uplink_on_malformed(struct uplink *uplink, const struct event *event,
                                     struct outputs *outputs)
{
    outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, ERROR_MALFORMED, event->peer);
    return uplink_on_link_down(uplink, event, outputs);
}

static void send_heartbeat(struct uplink *uplink, const struct event *event, struct outputs *outputs)
{
    struct heartbeat heartbeat = {
        .clock_us = event->now_ns / 1000,
        .commit_age_ms = event->commit_age_ms,
        .flags = uplink->draining ? HEARTBEAT_DRAINING : 0,
        .children = uplink->children,
    };
    if (uplink->parent_clock_us != 0) {
        heartbeat.echo_us = uplink->parent_clock_us;
        heartbeat.echo_held_us = (event->now_ns - uplink->parent_clock_at_ns) / 1000;
    }
    if (uplink->profiles_changed)
        heartbeat.profiles = uplink->profiles;
    uplink->profiles_changed = false;
    heartbeat.late = uplink->late;
    uplink->late.size = 0;
    heartbeat_write(outputs_message(outputs, uplink_peer(uplink), MESSAGE_HEARTBEAT, NULL, 0), &heartbeat);
    outputs_message_end(outputs);
    outputs_message_immediate(outputs);
    uplink->beat_ns = event->now_ns + uplink->beat_ms * NANOSECONDS_PER_MS;
}

/* When silence has lasted too long in the present state. */
static uint64_t silence_ns(const struct uplink *uplink)
{
    uint64_t beats_ns = (uint64_t)BEATS_TO_SILENCE * uplink->beat_ms * NANOSECONDS_PER_MS;
    if (uplink->state == UPLINK_HELLO_SENT) {
        uint64_t least_ns = HELLO_TIMEOUT_MS_MIN * NANOSECONDS_PER_MS;
        return uplink->hello_ns + (beats_ns > least_ns ? beats_ns : least_ns);
    }
    return uplink->heard_ns + beats_ns;
}

enum uplink_news uplink_on_timeout(struct uplink *uplink, const struct event *event, struct outputs *outputs)
{
    uint64_t beat_ns = uplink->beat_ms * NANOSECONDS_PER_MS;
    uint64_t gap_ns = event->now_ns - uplink->last_step_ns;
    uplink->last_step_ns = event->now_ns;
    if (gap_ns > 2 * beat_ns && uplink->state >= UPLINK_SYNCING)
        uplink->heard_ns += gap_ns - beat_ns; /* we slept; the parent was not silent */
    switch (uplink->state) {
    case UPLINK_DOWN:
        if (event->now_ns >= uplink->retry_ns)
            send_hello(uplink, event, outputs);
        return UPLINK_NOTHING;
    case UPLINK_HELLO_SENT:
    case UPLINK_SYNCING:
    case UPLINK_UP:
        break;
    }
    if (event->now_ns >= silence_ns(uplink))
        return end_session(uplink, event, outputs);
    if (uplink->state >= UPLINK_SYNCING && event->now_ns >= uplink->beat_ns)
        send_heartbeat(uplink, event, outputs);
    return UPLINK_NOTHING;
}

void uplink_synced(struct uplink *uplink, const struct event *event, struct outputs *outputs)
{
    ASSERT(uplink->state == UPLINK_SYNCING);
    (void)event; /* END says nothing about time */
    write_array(outputs_message(outputs, uplink_peer(uplink), MESSAGE_END, &uplink->link, 0), 0);
    outputs_message_end(outputs);
    uplink->state = UPLINK_UP;
}

void uplink_bye(struct uplink *uplink, uint64_t kept, struct outputs *outputs)
{
    if (uplink->state == UPLINK_UP) {
        struct writer *writer = outputs_message(outputs, uplink_peer(uplink), MESSAGE_BYE, &uplink->link, 0);
        write_array(writer, 1);
        write_uint(writer, kept);
        outputs_message_end(outputs);
    }
    uplink->state = UPLINK_DOWN;
    uplink->retry_ns = DEADLINE_NEVER;
}

uint64_t uplink_deadline_ns(const struct uplink *uplink)
{
    switch (uplink->state) {
    case UPLINK_DOWN:
        return uplink->retry_ns;
    case UPLINK_HELLO_SENT:
        return silence_ns(uplink);
    case UPLINK_SYNCING:
    case UPLINK_UP:
        break;
    }
    uint64_t silence = silence_ns(uplink);
    return uplink->beat_ns < silence ? uplink->beat_ns : silence;
}
