/* session_call.c - single requests of the caller (QUERY, CANCEL, DRAIN, FORGET, a long-polling WATCH): sent,
 * sent again on a new connection, and their reply kept until the caller has read it. */
#include "client/session_state.h"

#include <stdlib.h>

#include "proto/assert.h"

enum session_status session_call(struct session *session, enum message_kind kind, struct bytes body,
                                 uint32_t patience_ms, uint32_t *ret_call)
{
    enum { HEADER_ROOM = 64 };
    if (body.size > FRAME_BYTES_MAX - HEADER_ROOM)
        return SESSION_TOO_LARGE;
    for (uint32_t i = 0; i < SESSION_CALLS_MAX; i++) {
        struct session_call_slot *call = &session->calls[i];
        if (call->state != CALL_FREE)
            continue;
        uint8_t *copy = malloc(body.size);
        if (copy == NULL)
            return SESSION_NO_MEMORY;
        memcpy(copy, body.data, body.size);
        *call = (struct session_call_slot){.state = CALL_UNSENT,
                                           .kind = kind,
                                           .patience_ms = patience_ms,
                                           .body = copy,
                                           .body_size = body.size};
        *ret_call = i;
        return SESSION_OK;
    }
    return SESSION_FULL;
}

bool session_call_reply(const struct session *session, uint32_t number, enum message_kind *ret_kind,
                        struct bytes *ret_body)
{
    ASSERT(number < SESSION_CALLS_MAX && session->calls[number].state != CALL_FREE);
    const struct session_call_slot *call = &session->calls[number];
    if (call->state != CALL_ANSWERED)
        return false;
    *ret_kind = call->reply_kind;
    *ret_body = (struct bytes){call->reply, call->reply_size};
    return true;
}

void session_call_end(struct session *session, uint32_t number)
{
    ASSERT(number < SESSION_CALLS_MAX);
    free(session->calls[number].body);
    free(session->calls[number].reply);
    session->calls[number] = (struct session_call_slot){.state = CALL_FREE};
}

void call_flush(struct session *session, uint64_t now_ns, struct outputs *outputs)
{
    for (uint32_t i = 0; i < SESSION_CALLS_MAX && outputs_room(outputs) != 0; i++) {
        struct session_call_slot *call = &session->calls[i];
        if (call->state != CALL_UNSENT)
            continue;
        call->sequence = ++session->request_counter << SESSION_SLOT_BITS | (SESSION_REQUESTS_MAX + i);
        call->sent_ns = now_ns;
        call->state = CALL_SENT;
        outputs_message(outputs, session_peer(session), call->kind, NULL, call->sequence);
        outputs_message_borrow(outputs, (struct bytes){call->body, call->body_size});
        outputs_message_end(outputs);
    }
}

uint64_t call_deadline_ns(const struct session *session)
{
    for (uint32_t i = 0; i < SESSION_CALLS_MAX; i++)
        if (session->calls[i].state == CALL_UNSENT)
            return 0;
    return DEADLINE_NEVER;
}

void call_on_reply(struct session *session, const struct message_header *header)
{
    uint64_t slot = header->sequence & ((1u << SESSION_SLOT_BITS) - 1);
    struct session_call_slot *call = &session->calls[slot - SESSION_REQUESTS_MAX];
    if (call->state != CALL_SENT || call->sequence != header->sequence)
        return; /* of a call that was given up */
    call->reply = malloc(header->body.size);
    if (call->reply == NULL)
        return; /* asked again after the time-out */
    memcpy(call->reply, header->body.data, header->body.size);
    call->reply_size = header->body.size;
    call->reply_kind = header->kind;
    call->state = CALL_ANSWERED;
}

void call_forget_connection(struct session *session)
{
    for (uint32_t i = 0; i < SESSION_CALLS_MAX; i++)
        if (session->calls[i].state == CALL_SENT)
            session->calls[i].state = CALL_UNSENT;
}
