/* message.h - the frame around every message: [version, kind, sequence, body].
 *
 * The header never changes shape. `kind` is a short string; the table below is the one list of them.
 * Client requests and their replies have maps as bodies and echo `sequence`; link messages (between a child
 * and its parent) have arrays and count `sequence` from 1 per session and direction, HEARTBEAT excepted (0).
 */
#ifndef MERIDIAN_PROTO_MESSAGE_H
#define MERIDIAN_PROTO_MESSAGE_H

#include "proto/bytes.h"
#include "proto/reader.h"
#include "proto/writer.h"

/* In the order in which messages of one batch leave towards one peer. */
#define MESSAGE_KINDS(X)                                                                                     \
    X(GREET)                                                                                                 \
    X(HELLO)                                                                                                 \
    X(WELCOME)                                                                                               \
    X(INVENTORY)                                                                                             \
    X(END)                                                                                                   \
    X(HEARTBEAT)                                                                                             \
    X(SETTLED)                                                                                               \
    X(ASSIGN)                                                                                                \
    X(STOP)                                                                                                  \
    X(TAKEN)                                                                                                 \
    X(REFUSED)                                                                                               \
    X(OUTCOME)                                                                                               \
    X(ASK)                                                                                                   \
    X(ANSWER)                                                                                                \
    X(BYE)                                                                                                   \
    X(SUBMIT)                                                                                                \
    X(ACCEPTED)                                                                                              \
    X(WATCH)                                                                                                 \
    X(RESULT)                                                                                                \
    X(PENDING)                                                                                               \
    X(RECEIVED)                                                                                              \
    X(DONE)                                                                                                  \
    X(CANCEL)                                                                                                \
    X(CANCELLING)                                                                                            \
    X(QUERY)                                                                                                 \
    X(ROWS)                                                                                                  \
    X(DRAIN)                                                                                                 \
    X(FORGET)                                                                                                \
    X(FORGETTING)                                                                                            \
    X(ERROR)

enum message_kind {
#define X(name) MESSAGE_##name,
    MESSAGE_KINDS(X)
#undef X
        MESSAGE_KIND_COUNT
};

/* Error codes a peer may be shown, in ERROR and per task. docs: proto/PROTOCOL.md, "Error codes". */
#define ERROR_CODES(X)                                                                                       \
    X(MALFORMED, "malformed")                                                                                \
    X(UNKNOWN_KIND, "unknown_kind")                                                                          \
    X(UNKNOWN_VERSION, "unknown_version")                                                                    \
    X(UNKNOWN_FIELD, "unknown_field")                                                                        \
    X(INVALID_FIELD, "invalid_field")                                                                        \
    X(TOO_LARGE, "too_large")                                                                                \
    X(TOO_MANY, "too_many")                                                                                  \
    X(WRONG_PORT, "wrong_port")                                                                              \
    X(NAME_IN_USE, "name_in_use")                                                                            \
    X(STALE_BOOT, "stale_boot")                                                                              \
    X(CONFLICT, "conflict")                                                                                  \
    X(TOO_OLD, "too_old")                                                                                    \
    X(STORE_FULL, "store_full")                                                                              \
    X(THROTTLED, "throttled")                                                                                \
    X(DRAINING, "draining")                                                                                  \
    X(NOT_FOUND, "not_found")                                                                                \
    X(AMBIGUOUS, "ambiguous")                                                                                \
    X(UNKNOWN_REGION, "unknown_region")                                                                      \
    X(CONNECTED, "connected")

enum error_code {
    ERROR_NONE = 0,
#define X(name, text) ERROR_##name,
    ERROR_CODES(X)
#undef X
};

struct message_header {
    uint64_t version;
    enum message_kind kind; /* MESSAGE_KIND_COUNT if the kind is none of ours */
    struct bytes kind_text; /* as sent, for the error reply */
    uint64_t sequence;
    struct bytes body; /* one whole msgpack value, checked to its end */
};

const char *message_kind_text(enum message_kind kind);
const char *error_code_text(enum error_code code);

/* Reads the header and checks the body's structure (depth, truncation, nothing behind it).
 * READER_OK even for an unknown kind or version: the caller refuses those by name. */
enum reader_error message_read(struct bytes frame, struct message_header *ret_header);

/* Writes everything before the body; the sequence is in its 9-byte form.
 * Returns the offset of the sequence for patch_uint64. */
size_t message_write_header(struct writer *writer, enum message_kind kind, uint64_t sequence);

/* The body of ERROR: {"code": .., "reason": ..}, the same on every port and in every version. */
void error_write_body(struct writer *writer, enum error_code code, const char *reason);
struct error_body {
    struct bytes code, reason;
};
enum reader_error error_read_body(struct bytes body, struct error_body *ret_error);

/* The reason of an ERROR unknown_version: what was offered, and what is spoken here. */
enum { VERSION_REASON_BYTES = 128 };
void version_reason(uint64_t offered_min, uint64_t offered_max, char to[VERSION_REASON_BYTES]);

#endif
