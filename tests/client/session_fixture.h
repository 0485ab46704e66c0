/* session_fixture.h - step tables for a session: what is done, which messages leave, which events are told.
 *
 * Tasks have letters: the id of task A is sixteen bytes 'A'. A message that left is written
 *     @CONNECTION #NUMBER KIND LETTERS        numbers count from 1; SUBMIT+ asks for pushes
 * several are separated by "; ". Events are written "A accepted; B refused conflict".
 *
 * What a row does:
 *     submit A B | submit+ A B | watch A     verbs of the session (+ = watched); no step
 *     step | wait MS | down                  a step after so long; the connection breaks
 *     accepted #N A=ok B=duplicate C=throttled:500 D=conflict ...
 *     error #N CODE | done #N | nonsense #N  replies to message N, on the newest connection
 *     result #N ended:AB pending:C unknown:D   (#0 = a push)
 *     pending #N pending:A unknown:B
 *     epoch N                                replies carry it from now on
 *     take                                   session_next until there is no more */
#ifndef MERIDIAN_TESTS_CLIENT_SESSION_FIXTURE_H
#define MERIDIAN_TESTS_CLIENT_SESSION_FIXTURE_H

#include "client/session.h"

enum { FIXTURE_SENT_MAX = 8192, FIXTURE_TEXT_BYTES = 64 * 1024, FIXTURE_FRAME_BYTES = 2 * 1024 * 1024 };

struct sent {
    uint64_t peer, sequence;
    enum message_kind kind;
    uint32_t entries; /* tasks or ids */
    size_t size;      /* of the frame */
};

struct fixture {
    struct session *session;
    struct outputs outputs;
    uint64_t now_ns, peer, epoch;
    struct sent sent[FIXTURE_SENT_MAX]; /* the first message is at 1 */
    uint32_t sent_count;
    char said[FIXTURE_TEXT_BYTES]; /* by the last step */
    char told[FIXTURE_TEXT_BYTES]; /* by the last take */
    uint8_t frame[FIXTURE_FRAME_BYTES];
};

struct row {
    const char *does, *says;
};

/* Options may be NULL. */
struct fixture *fixture_open(const struct session_options *options);
void fixture_close(struct fixture *fixture);

/* Do each row and compare what it says (of `take`: tells); fails the test at the first difference. */
void fixture_run(struct fixture *fixture, const struct row *rows);
/* Runs the rows on a fresh session with default options. */
void fixture_table(const struct row *rows);

struct task_id fixture_id(uint32_t number);
/* An envelope of about `payload_bytes`, malloc'ed. */
uint8_t *fixture_envelope(const struct task_id *id, size_t payload_bytes, size_t *ret_size);
void fixture_step(struct fixture *fixture, enum event_kind kind, struct bytes frame);
/* A header in fixture->frame for a reply to `sequence`; the caller writes the body and calls
 * fixture_reply_end. */
struct writer fixture_reply(struct fixture *fixture, enum message_kind kind, uint64_t sequence);
void fixture_reply_end(struct fixture *fixture, const struct writer *writer);

#endif
