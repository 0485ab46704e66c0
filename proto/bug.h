/* bug.h - deliberate mistakes, one of which can be chosen, to see that the judges notice it.
 *
 * Is: the list of the mistakes. Each is a condition at the one place where it is made: `if
 * (!BUG(LOSS_UNMARKED))`. Is not: in any other build. Without -DMERIDIAN_BUGS=ON (CMake) BUG(x) is the
 * constant 0, and nothing of this is in the binary. With it one program can make any of them: `meridian-sim
 * --bug loss_unmarked`; `meridian` reads MERIDIAN_BUG. tests/bugs/run tries all, docs/simulation.md says what
 * catches which. */
#ifndef MERIDIAN_PROTO_BUG_H
#define MERIDIAN_PROTO_BUG_H

#include <stdbool.h>

#define BUGS(X)                                                                                              \
    X(MESSAGE_BEFORE_COMMIT, "message_before_commit", "messages leave before the commit of their step")      \
    X(SETTLED_BEFORE_RECORD, "settled_before_record", "SETTLED leaves before the outcome is on disk")        \
    X(ACCEPTED_UNSTORED, "accepted_unstored", "an accepted task has no state on disk")                       \
    X(GRANT_NOT_DURABLE, "grant_not_durable", "a grant has no record")                                       \
    X(MARK_NOT_DURABLE, "mark_not_durable", "dup_possible is not in the state record")                       \
    X(FENCE_UNCHECKED, "fence_unchecked", "a region takes an outcome under any fence")                       \
    X(CUSTODY_UNCHECKED, "custody_unchecked", "the broker takes an outcome under any custody")               \
    X(LOSS_UNMARKED, "loss_unmarked", "a lost worker's task is granted again unmarked")                      \
    X(CUSTODY_AFTER_RESTORE_FALLS, "custody_after_restore_falls",                                            \
      "custodies go on where a restored backup ends")                                                        \
    X(RESTORES_UNCOUNTED, "restores_uncounted",                                                              \
      "a backup that is put back again gets its first floor again")                                          \
    X(RESTORED_GRANT_REPEATED, "restored_grant_repeated",                                                    \
      "a backup's grant that nobody claims is sent again")                                                   \
    X(RESTORED_UNMARKED, "restored_unmarked", "an unfinished task of a backup is not marked")                \
    X(LOST_ID_UNMARKED, "lost_id_unmarked", "an id that a backup has forgotten is accepted again unmarked")  \
    X(RERUN_UNMARKED, "rerun_unmarked", "a lost region's task goes elsewhere unmarked")                      \
    X(REQUEUED_TWICE, "requeued_twice", "a lost worker's task is put back twice")                            \
    X(RETRY_IN_BOTH_TIERS, "retry_in_both_tiers", "the broker too tries a failed task again")                \
    X(OUTCOME_DROPPED_AT_RESTART, "outcome_dropped_at_restart", "a worker does not restore its spool")       \
    X(OUTCOME_NOT_KEPT, "outcome_not_kept", "a region forgets an outcome when it has sent it")               \
    X(OUTCOME_NOT_REPEATED, "outcome_not_repeated", "a region does not repeat outcomes in a new session")    \
    X(RETURNED_FORGOTTEN, "returned_forgotten", "a region forgets what it returned before it is settled")    \
    X(ASSIGN_NOT_REPEATED, "assign_not_repeated", "an ASSIGN that never came is not repeated")               \
    X(REPEATED_ASSIGN_STARTS, "repeated_assign_starts", "a worker starts what it was assigned once more")    \
    X(RESTART_UNNOTICED, "restart_unnoticed", "a restarted worker gets what it held before once more")       \
    X(BOOT_RECORDED_BEFORE_SWEEP, "boot_recorded_before_sweep",                                              \
      "a child's boot is on disk before it is swept")                                                        \
    X(INSTANCE_UNCHECKED, "instance_unchecked", "another store under a name passes for the one before")      \
    X(OLD_STORE_ADMITTED, "old_store_admitted", "a child with an older copy of its store is let in")         \
    X(LEFTOVERS_BELIEVED, "leftovers_believed", "a parent believes what an ended session left behind")       \
    X(GAP_UNNOTICED, "gap_unnoticed", "a missing message ends no session")                                   \
    X(HEARTBEAT_IS_READINESS, "heartbeat_is_readiness", "a heartbeat makes a child ready for work")          \
    X(STRAY_NOT_STOPPED, "stray_not_stopped", "a claimed attempt that nobody wants goes on")                 \
    X(SLOTS_UNCOUNTED, "slots_uncounted", "a region grants whatever is ready to whoever is there")           \
    X(CREDIT_UNCOUNTED, "credit_uncounted", "the broker grants beyond a region's credit")                    \
    X(LOW_PRIORITY_STARVES, "low_priority_starves", "the highest priority always goes first")                \
    X(BYE_KEEPS_NOTHING, "bye_keeps_nothing", "a worker that leaves says that it kept nothing")              \
    X(ENDED_FORGOTTEN_AT_RESTART, "ended_forgotten_at_restart", "the broker does not restore ended ids")     \
    X(COUNTED_TWICE_AT_RESTART, "counted_twice_at_restart", "a restored grant is counted twice")             \
    X(WATCH_FORGOTTEN_AT_RESTART, "watch_forgotten_at_restart", "a client watches once and never again")     \
    X(FORGET_NOT_DURABLE, "forget_not_durable", "a forgotten region is remembered after a restart")          \
    X(ORPHANED_PROCESS, "orphaned_process", "the processes of a killed worker go on")

enum bug {
    BUG_NONE,
#define X(name, text, what) BUG_##name,
    BUGS(X)
#undef X
        BUG_COUNT
};

#ifdef MERIDIAN_BUGS
extern enum bug bug_chosen;
#define BUG(name) (bug_chosen == BUG_##name)
/* For a main: which one, by its name. False: there is none of that name. */
bool bug_choose(const char *name);
/* Its name, and what it does. */
const char *bug_text(enum bug bug);
const char *bug_what(enum bug bug);
#else
#define BUG(name) ((void)BUG_##name, false)
#endif

#endif
