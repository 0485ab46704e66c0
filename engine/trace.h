/* trace.h - what a node did, for the log and for coverage: one code per thing worth knowing.
 * The text says what `a` and `b` are; %e is `a` as the name of an error code. Tests prove with these that
 * they reached the branch they were written for. */
#ifndef MERIDIAN_ENGINE_TRACE_H
#define MERIDIAN_ENGINE_TRACE_H

enum trace_level { TRACE_DEBUG, TRACE_INFO, TRACE_WARN };

#define TRACE_CODES(X)                                                                                       \
    X(MESSAGE_REFUSED, WARN, "message refused: %e, from peer %b")                                            \
    X(SESSION_UP, INFO, "session up: child %a, peer %b")                                                     \
    X(SESSION_DOWN, INFO, "session down: child %a, peer %b")                                                 \
    X(SESSION_GAP, WARN, "session ended by a gap: expected sequence %a, got %b")                             \
    X(SESSION_LEFTOVER, DEBUG, "message of a superseded session dropped: peer %b")                           \
    X(PARENT_UP, INFO, "session with the parent up, session %a")                                             \
    X(PARENT_DOWN, INFO, "session with the parent down, session %a; next try in %b ms")                      \
    X(PARENT_REFUSED, WARN, "the parent refused this node: %e")                                              \
    X(CHILD_NEW, INFO, "new child %a, boot %b")                                                              \
    X(CHILD_SUSPECT, WARN, "child %a is silent: no new work")                                                \
    X(CHILD_BACK, INFO, "child %a is heard again")                                                           \
    X(CHILD_LOST, WARN, "child %a is lost; %b grants end")                                                   \
    X(CHILD_FORGOTTEN, WARN, "child %a is forgotten; %b grants end")                                         \
    X(CHILD_DRAINING, INFO, "child %a drains")                                                               \
    X(CHILD_RESTARTED, INFO, "child %a restarted, boot %b")                                                  \
    X(CHILD_REFUSED, WARN, "HELLO refused: %e, peer %b")                                                     \
    X(TASK_ACCEPTED, DEBUG, "accepted as arrival %a")                                                        \
    X(TASK_DUPLICATE, DEBUG, "duplicate submit of arrival %a")                                               \
    X(TASK_CONFLICT, INFO, "same id, another body: arrival %a")                                              \
    X(TASK_REFUSED, INFO, "task refused: %e")                                                                \
    X(TASK_GRANTED, DEBUG, "granted to child %a in grant %b")                                                \
    X(TASK_REGRANTED, INFO, "ASSIGN sent again to child %a, same fence")                                     \
    X(TASK_ADOPTED, INFO, "held under custody %a, now under %b")                                             \
    X(TASK_RETURNED, INFO, "returned by child %a")                                                           \
    X(TASK_RETRY, INFO, "attempt failed, next in %a ms, %b errors so far")                                   \
    X(TASK_TIMEOUT, INFO, "attempt ran longer than its timeout of %a ms: stopped")                           \
    X(TASK_EXPIRED, INFO, "deadline of %a ms passed")                                                        \
    X(TASK_LOST, WARN, "grant to child %a ended by loss; %b losses so far")                                  \
    X(TASK_POISON, WARN, "lost %a workers: failed")                                                          \
    X(TASK_DUP_POSSIBLE, INFO, "marked dup_possible")                                                        \
    X(TASK_CANCELLING, INFO, "cancel asked, task held by child %a")                                          \
    X(TASK_ENDED, DEBUG, "ended as %a")                                                                      \
    X(OUTCOME_STALE, WARN, "late outcome refused: child %a, end %b")                                         \
    X(OUTCOME_UNKNOWN, INFO, "outcome of a task that is not known here: child %a")                           \
    X(STRAY_STOPPED, INFO, "child %a holds it under an old fence: told to stop")                             \
    X(GRANT_REWRITTEN, DEBUG, "grant %a rewritten, %b tasks still live")                                     \
    X(STORE_FULL, WARN, "store above its watermark: %a bytes free of %b")                                    \
    X(STORE_EVICTED, INFO, "%a received results evicted to make room")                                       \
    X(DISPATCH_PAUSED, WARN, "dispatch pauses until the store has room: %a bytes free of %b")                \
    X(RESULT_DROPPED, WARN, "result dropped, the store is full: %a bytes, ended as %b")                      \
    X(DRAIN_STARTED, INFO, "draining: %a tasks held")                                                        \
    X(DRAIN_DONE, INFO, "drained")                                                                           \
    X(SPOOLED, DEBUG, "outcome spooled as %a")                                                               \
    X(STOPPED, INFO, "process in slot %a told to end (signal %b)")                                           \
    X(RESTORED, INFO, "restored %a tasks, %b grants")                                                        \
    X(BACKUP_RESTORED, WARN, "restored from a backup: custodies rise above %a, %b tasks are marked")

enum trace_code {
#define X(name, level, text) TRACE_##name,
    TRACE_CODES(X)
#undef X
        TRACE_CODE_COUNT
};

#endif
