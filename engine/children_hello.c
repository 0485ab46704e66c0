/* children_hello.c - who may begin a session under which name.
 *
 * Same instance, higher boot: it restarted; what it does not claim has ended. Same instance, same boot: a new
 * session of the same life. Same instance, lower boot: an old copy of its store; refused. Another instance:
 * refused while the name is live, welcome once the former bearer is lost or has left and holds nothing. Any
 * instance under the name of a forgotten child: a new child, once the grants of the forgotten one have ended.
 */
#include <stdlib.h>

#include "engine/children_table.h"
#include "proto/assert.h"
#include "proto/bug.h"
#include "proto/text.h"

static void refuse_hello(struct children *children, const struct event *event, enum error_code code,
                         const char *reason, struct outputs *outputs)
{
    children->refused++;
    error_write_body(outputs_message(outputs, event->peer, MESSAGE_ERROR, NULL, 0), code, reason);
    outputs_message_end(outputs);
    outputs_trace(outputs, TRACE_CHILD_REFUSED, NULL, code, event->peer);
}

/* Kept as a string, shown as region/worker in a terminal, and read again at every start. */
static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] == 127 || name.data[i] == '/')
            return false;
    return name.size > 0;
}

static void welcome(struct children *children, struct child *child, const struct event *event,
                    struct outputs *outputs)
{
    struct welcome welcome = {
        .version = PROTOCOL_VERSION_MAX,
        .epoch = children->epoch,
        .beat_ms = children->options.beat_ms,
        .grace_ms = children->options.grace_ms,
        .wall_ms = event->wall_ms,
    };
    welcome_write(outputs_message(outputs, child->peer, MESSAGE_WELCOME, &child->link, 0), &welcome);
    outputs_message_end(outputs);
}

/* Who says HELLO is not the child that is known under this name, but somebody new. */
static bool is_another(const struct child *child, const struct hello *hello)
{
    if (child->forgotten)
        return true; /* be it the same store: what it held has been given up, the count begins anew */
    return !BUG(INSTANCE_UNCHECKED) && memcmp(child->instance, hello->instance, INSTANCE_BYTES) != 0;
}

static void refuse_name(struct children *children, const struct child *child, const struct event *event,
                        struct outputs *outputs)
{
    char reason[NAME_BYTES_MAX + 96];
    struct text text;
    text_init(&text, reason, sizeof reason);
    text_add(&text, child->name);
    text_add(&text,
             child->forgotten
                 ? ": is being forgotten; its tasks are still given up: try again in a second"
                 : ": another instance has this name and is not lost: take another, or wait out its grace");
    refuse_hello(children, event, ERROR_NAME_IN_USE, reason, outputs);
}

/* The child that `hello` speaks for, or NULL after a refusal. */
static struct child *admit(struct children *children, const struct hello *hello, const struct event *event,
                           struct outputs *outputs)
{
    struct child *child = children_by_name(children, hello->name);
    if (child != NULL && is_another(child, hello)) {
        bool gone = (child->lost || child->left) && child->granted == 0 && child->first_grant == 0;
        if (!gone) {
            refuse_name(children, child, event, outputs);
            return NULL;
        }
        children_remove(children, child, outputs);
        child = NULL;
    }
    if (child != NULL && hello->boot < child->boot && !BUG(OLD_STORE_ADMITTED)) {
        refuse_hello(children, event, ERROR_STALE_BOOT,
                     "this instance was seen with a higher boot number: its store is an old copy", outputs);
        return NULL;
    }
    if (child != NULL) {
        child->restarted = hello->boot > child->boot || (child->restarted && child->first_grant != 0);
        if (hello->boot > child->boot) {
            outputs_trace(outputs, TRACE_CHILD_RESTARTED, NULL, child->number, hello->boot);
            child->boot = hello->boot;
            /* On disk only once nothing of the boot before is left: a restart of ours must notice it too. */
            child->boot_is_new = child->first_grant != 0 && !BUG(BOOT_RECORDED_BEFORE_SWEEP);
            if (!child->boot_is_new)
                child_put_record(child, outputs);
        }
        return child;
    }
    child = children_add(children, children->next_number, hello->name);
    if (child == NULL) {
        refuse_hello(children, event, ERROR_TOO_MANY, "no room for another child", outputs);
        return NULL;
    }
    children->next_number++;
    memcpy(child->instance, hello->instance, INSTANCE_BYTES);
    child->boot = hello->boot;
    child_put_record(child, outputs);
    outputs_trace(outputs, TRACE_CHILD_NEW, NULL, child->number, child->boot);
    return child;
}

void children_on_hello(struct children *children, const struct event *event,
                       const struct message_header *header, struct outputs *outputs)
{
    struct hello hello;
    if (header->sequence != 1 || !hello_read(header->body, &hello)) {
        refuse_hello(children, event, ERROR_MALFORMED, "HELLO is cut short or has a field out of range",
                     outputs);
        return;
    }
    if (!is_name(hello.name)) {
        refuse_hello(children, event, ERROR_INVALID_FIELD,
                     "name: 1 to 64 bytes without spaces, control characters and '/'", outputs);
        return;
    }
    if (hello.version_min > PROTOCOL_VERSION_MAX || hello.version_max < PROTOCOL_VERSION_MIN) {
        char reason[VERSION_REASON_BYTES];
        version_reason(hello.version_min, hello.version_max, reason);
        refuse_hello(children, event, ERROR_UNKNOWN_VERSION, reason, outputs);
        return;
    }
    if (!bytes_are(hello.role, children->options.role)) {
        refuse_hello(children, event, ERROR_WRONG_PORT, "children of another role connect elsewhere",
                     outputs);
        return;
    }
    uint32_t slots;
    if (!profiles_are_good(hello.profiles, &slots)) {
        refuse_hello(
            children, event, ERROR_INVALID_FIELD,
            "profiles: at most 64 of [types, capabilities, slots]; names of 1 to 64 bytes without spaces and "
            "control characters",
            outputs);
        return;
    }
    if (memchr(hello.name.data, '/', hello.name.size) != NULL) {
        refuse_hello(children, event, ERROR_INVALID_FIELD,
                     "name: without a slash, which stands in REGION/WORKER", outputs);
        return;
    }
    struct child *old = children_by_peer(children, event->peer);
    if (old != NULL)
        child_end_session(children, old, outputs); /* a second HELLO on one connection begins anew */
    struct child *child = admit(children, &hello, event, outputs);
    if (child == NULL)
        return;
    if (!child_take_profiles(children, child, hello.profiles)) {
        refuse_hello(children, event, ERROR_TOO_MANY, "no memory for its profiles", outputs);
        return;
    }
    child_end_session(children, child, outputs); /* a newer HELLO supersedes */
    children_bind(children, child, event->peer);
    child->link = (struct link){.received = 1};
    child->state = CHILD_SYNCING;
    child->was_lost = child->lost;
    child->suspect = child->lost = child->left = child->left_empty = child->draining = false;
    child->heard_ns = children->awake_ns;
    child->clock_us = 0;
    child->sweep_grant = 0;
    child->stamp = (uint8_t)(child->stamp == UINT8_MAX ? 1 : child->stamp + 1);
    outputs_trace(outputs, TRACE_SESSION_UP, NULL, child->number, event->peer);
    welcome(children, child, event, outputs);
}
