/* handover.pml - one task on its way: client, broker, regions, workers; links that lose, nodes that crash.
 *
 * What is modelled, what is left out, and how to run it: README.md beside this file. The rules are those of the
 * nodes (broker/regions.c, region/upward.c, region/attempts.c, engine/children*.c, engine/ledger_claims.c), written
 * a second time. A step of a node is one atomic block: what it writes is on disk and what it says has left when the
 * block ends. That loses nothing, since nobody sees a node between its step and its commit, and a message that left
 * may still be lost: a crash before the commit is a crash before the step; a crash between commit and sending is a
 * crash after the step in which all that was sent is lost.
 *
 * Seeded mistakes: -DMISTAKE_<NAME>; the list is in `run`. */

#ifndef REGIONS
#define REGIONS 2
#endif
#ifndef WORKERS /* of each region */
#define WORKERS 1
#endif
#ifndef FAULTS /* crashes, wiped disks, broken sessions, children declared lost */
#define FAULTS 1
#endif
#ifndef WHIMS /* refusals, returns and errors: allowed, but not at every turn */
#define WHIMS 1
#endif
#ifndef RERUN_MAX
#define RERUN_MAX 1
#endif
#ifndef POISON_LIMIT
#define POISON_LIMIT 2
#endif

#define CREW (REGIONS * WORKERS)
#define LINKS (REGIONS + CREW) /* of region r: r; of worker w: REGIONS + w */
#define LINK(w) (REGIONS + (w))
#define REGION(w) ((w) / WORKERS)
#define QUEUE (4 + 2 * FAULTS)

/* A fence in eight bits, so that numbers compare as fences do: custody 3, epoch 2, attempt 3. */
#define CUSTODY_MAX (1 + FAULTS + WHIMS)
#define EPOCH_MAX 3
#define ATTEMPT_MAX 7
#define FENCE(custody, epoch, attempt) ((custody) * 32 + (epoch) * 8 + (attempt))
#define CUSTODY(fence) ((fence) >> 5)
#define ATTEMPT(fence) ((fence) & 7)
#define BIT(fence) (1 << ((fence) & 31)) /* in one of the sets below, which are kept per custody */

mtype = {hello, inventory, taken, refused, outcome, assign, stop, settled};     /* messages */
mtype = {none, ready, granted, running, ended};                                 /* a task at a node */
mtype = {completed, failed, cancelled, returned, not_held, recorded, stale};    /* ends, and answers to them */

/* ---- the links: kind, session, fence (hello: boot), state or end, mark (hello: instance) ---- */
chan up[LINKS] = [QUEUE] of {mtype, byte, byte, mtype, byte};
chan down[LINKS] = [QUEUE] of {mtype, byte, byte, mtype, byte};
byte sessions[LINKS];   /* how many the child has begun */
byte session[LINKS];    /* the child's; 0: none */
byte known[LINKS];      /* the parent's; 0: none */
bit live[LINKS];        /* the parent has the child's inventory */
bit lost[LINKS];        /* the parent has given it up */
bit stray[LINKS];       /* a STOP of an attempt that nobody wants is not answered yet: the slot is busy */
byte boot[LINKS];       /* disk of the child */
byte seen_boot[LINKS];  /* memory of the parent */
byte swept_boot[LINKS]; /* disk of the parent: what lower boots held has been claimed or has ended */
byte instance[REGIONS]; /* disk of the region: another one after a wipe */
byte admitted[REGIONS]; /* disk of the broker */

/* ---- the nodes: all on disk, but what a worker runs ---- */
mtype b_state = none, b_end = none;
byte b_custody, b_region, b_reruns, b_fence;
bit b_dup;
bit b_gone; /* the last grant ended by loss */

mtype r_state[REGIONS] = none, r_end[REGIONS] = none;
byte r_custody[REGIONS], r_fence[REGIONS], r_worker[REGIONS], r_losses[REGIONS], r_epoch[REGIONS];
bit r_dup[REGIONS], r_stop[REGIONS];
bit r_gone[REGIONS]; /* the last grant ended by loss: whatever its outcome says now is late */

mtype w_state[CREW] = none, w_end[CREW] = none;
byte w_fence[CREW];
bit w_spooled[CREW];

/* ---- the world, and what only the judge knows ---- */
byte faults = FAULTS, whims = WHIMS;
bit accepted;                  /* the client has heard ACCEPTED */
bit told;                      /* the client has heard the result in this life of the broker */
byte told_fence;               /* 1 + the fence it heard, for ever; 0: not yet */
mtype told_end = none;
byte highest_custody, highest_fence[REGIONS];
byte last_start[CREW];
int unrecorded[CUSTODY_MAX + 1]; /* started, its end recorded by no region: a set of fences */
int unmarked[CUSTODY_MAX + 1];   /* started without a mark */
byte answered;                   /* custodies whose end or return the broker has recorded: a set */
bit keeps[REGIONS];              /* the region owes the broker an outcome */
bit doubled;
bit invariant_1 = 1, invariant_2 = 1, invariant_3 = 1, invariant_4 = 1, invariant_10 = 1, invariant_12 = 1, bounds = 1;

mtype k, x;
byte s, f, i;
byte d;

/* An assertion whose message is its name: an invariant of SEMANTICS, by its number there, or `bounds`, which is no
 * mistake of the rules: QUEUE or a field of the fence is too small for FAULTS and WHIMS. */
inline must(name, condition)
{
    if
    :: condition
    :: else -> assert(!name)
    fi
}

inline say(channel, kind, its_session, fence, word, mark)
{
    must(bounds, len(channel) < QUEUE);
    channel!kind, its_session, fence, word, mark
}

/* Down a session's own socket: one that the child has closed swallows what comes. */
inline tell(link, kind, its_session, fence, word, mark)
{
    if
    :: its_session == session[link] -> say(down[link], kind, its_session, fence, word, mark)
    :: else
    fi
}

inline empty_queue(channel)
{
    do
    :: channel?k, s, f, x, d
    :: empty(channel) -> break
    od
}

inline forget_word()
{
    k = none; s = 0; f = 0; x = none; d = 0
}

/* ---- what must always hold ---- */

inline check()
{
    must(invariant_1, !accepted || b_state != none);
    i = 0;
    do
    :: i < REGIONS ->
        must(invariant_10, !keeps[i] || r_state[i] == ended); /* until SETTLED the sender keeps the OUTCOME */
        i++
    :: else -> break
    od;
    i = 0
}

/* Invariant 4, and the half of 3 that says: one fence, one start. */
inline check_start(w, fence, mark)
{
    must(invariant_3, fence > last_start[w]);
    last_start[w] = fence;
    i = 0;
    do
    :: i <= CUSTODY_MAX ->
        if
        :: i < CUSTODY(fence) && unrecorded[i] != 0 -> doubled = 1; must(invariant_4, mark)
        :: i == CUSTODY(fence) && (unrecorded[i] & (BIT(fence) - 1)) != 0 -> doubled = 1; must(invariant_4, mark)
        :: i == CUSTODY(fence) && (unmarked[i] & ~(BIT(fence) - 1)) != 0 -> must(invariant_4, false)
        :: i > CUSTODY(fence) && unmarked[i] != 0 -> must(invariant_4, false)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    unrecorded[CUSTODY(fence)] = unrecorded[CUSTODY(fence)] | BIT(fence);
    if
    :: !mark -> unmarked[CUSTODY(fence)] = unmarked[CUSTODY(fence)] | BIT(fence)
    :: else
    fi
}

inline note_recorded(fence)
{
    unrecorded[CUSTODY(fence)] = unrecorded[CUSTODY(fence)] & ~BIT(fence)
}

/* ---- sessions ---- */

/* The next message for the parent of this link: of its session in order, but what an older session left behind may be
 * overtaken; a session that the child has given up loses any suffix. `k` is `none` when there is nothing to heed. */
inline hear_child(link)
{
    if
    :: up[link]?k, s, f, x, d
    :: up[link]??hello, s, f, x, d -> k = hello
    :: known[link] != 0 && up[link]??[_, eval(known[link]), _, _, _] ->
        up[link]??k, eval(known[link]), f, x, d;
        s = known[link]
    fi;
    if
    :: s != session[link] ->
        if
        :: skip
        :: k = none;
           if
           :: s == known[link] -> known[link] = 0; live[link] = 0 /* nothing that came behind it counts */
           :: else
           fi
        fi
    :: else
    fi;
#ifndef MISTAKE_LEFTOVERS_BELIEVED
    if
    :: k != hello && s != known[link] -> k = none /* GREET: its session is over */
    :: else
    fi
#endif
}

inline welcome(link, has_grant)
{
    if
    :: f < seen_boot[link] /* an old copy of its store */
    :: else ->
        seen_boot[link] = f;
        known[link] = s;
        live[link] = 0;
        lost[link] = 0;
        stray[link] = 0;
        if
#ifdef MISTAKE_BOOT_RECORDED_BEFORE_SWEEP
        :: true -> swept_boot[link] = f
#else
        :: !has_grant -> swept_boot[link] = f
        :: else
#endif
        fi
    fi
}

inline give_up(link)
{
    known[link] = 0;
    live[link] = 0;
    lost[link] = 1;
    stray[link] = 0
}

#define RESTARTED(link) (seen_boot[link] > swept_boot[link])
/* The child sees the parent's GREET or its silence: its HELLO came too late, or the parent ended the session. */
#define FORGOTTEN(link) \
    (session[link] == 0 || (known[link] != session[link] && !(up[link]??[hello, eval(session[link]), _, _, _])))

/* One socket per session: what was on the way to the child is gone. */
inline hang_up(link)
{
    session[link] = 0;
    empty_queue(down[link])
}

inline begin_session(link, new_instance)
{
    hang_up(link);
    sessions[link]++;
    session[link] = sessions[link];
    say(up[link], hello, session[link], boot[link], none, new_instance)
}

/* ---- broker ---- */

#define B_HOLDS(r) (b_state == granted && b_region == (r))

inline b_record_end(end, fence)
{
    must(invariant_2, b_state != ended);
    b_state = ended;
    b_end = end;
    b_fence = fence
}

inline b_assign(r)
{
    b_custody++;
    must(bounds, b_custody <= CUSTODY_MAX);
    must(invariant_3, b_custody > highest_custody);
    highest_custody = b_custody;
    b_state = granted;
    b_region = r;
    b_gone = 0;
    tell(r, assign, known[r], FENCE(b_custody, 0, 0), none, b_dup)
#ifdef MISTAKE_GRANT_NOT_DURABLE
    ; if
    :: skip
    :: faults > 0 -> faults--; b_state = ready; b_restart()
    fi
#endif
}

inline b_lost(r)
{
    if
    :: B_HOLDS(r) ->
#ifndef MISTAKE_RERUN_UNMARKED
        b_dup = 1;
#endif
        b_gone = 1;
        b_reruns++;
        if
        :: b_reruns > RERUN_MAX -> b_record_end(failed, 0)
        :: else -> b_state = ready
        fi
    :: else
    fi
}

inline b_claim(r)
{
    if
    :: B_HOLDS(r) && x != none && CUSTODY(f) == b_custody
    :: else ->
        if
        :: x == running -> tell(r, stop, s, f, none, 0)
        :: else
        fi;
        if
        :: B_HOLDS(r) && RESTARTED(r) -> b_state = ready /* it never committed it: it never started it */
        :: B_HOLDS(r) && !RESTARTED(r) ->
#ifndef MISTAKE_ASSIGN_NOT_REPEATED
            tell(r, assign, s, FENCE(b_custody, 0, 0), none, b_dup)
#else
            skip
#endif
        :: else
        fi
    fi;
    swept_boot[r] = seen_boot[r];
    live[r] = 1
}

inline b_judge(r)
{
    if
#ifdef MISTAKE_CUSTODY_UNCHECKED
    :: b_state == granted ->
#else
    :: B_HOLDS(r) && CUSTODY(f) == b_custody ->
#endif
        must(invariant_3, CUSTODY(f) == highest_custody); /* a lower fence than the last granted changes nothing */
        answered = answered | (1 << b_custody);
        b_dup = b_dup | d;
        if
        :: x == returned || x == not_held -> b_state = ready
        :: else -> b_record_end(x, f)
        fi;
        tell(r, settled, s, f, recorded, 0)
    :: b_state == ended && CUSTODY(f) == b_custody && !b_gone -> tell(r, settled, s, f, recorded, 0)
    :: else -> tell(r, settled, s, f, stale, 0)
    fi
}

inline b_hear(r)
{
    hear_child(r);
    if
    :: k == hello ->
        if
#ifndef MISTAKE_INSTANCE_UNCHECKED
        :: d != admitted[r] && (!lost[r] || B_HOLDS(r)) /* name in use */
        :: d != admitted[r] && lost[r] && !B_HOLDS(r) -> admitted[r] = d; welcome(r, B_HOLDS(r))
        :: d == admitted[r] -> welcome(r, B_HOLDS(r))
#else
        :: true -> admitted[r] = d; welcome(r, B_HOLDS(r))
#endif
        fi
    :: k == inventory -> b_claim(r)
    :: k == refused ->
        if
        :: B_HOLDS(r) && CUSTODY(f) == b_custody -> b_state = ready
        :: else
        fi
    :: k == outcome -> b_judge(r)
    :: k == taken || k == none
    fi;
    forget_word();
    check()
}

/* The client asks again until it is answered, and after each restart of the broker. */
inline b_tell()
{
    told = 1;
    must(invariant_2, told_fence == 0 || (told_fence == b_fence + 1 && told_end == b_end));
    must(invariant_4, !doubled || b_dup);
    told_fence = b_fence + 1;
    told_end = b_end
}

inline b_forget_session(r)
{
    known[r] = 0;
    live[r] = 0;
    lost[r] = 0;
    seen_boot[r] = swept_boot[r];
    empty_queue(up[r])
}

inline b_restart()
{
    b_forget_session(0);
#if REGIONS > 1
    b_forget_session(1);
#endif
    told = 0;
    forget_word()
}

inline b_accept()
{
    accepted = 1;
    b_state = ready
#ifdef MISTAKE_ACCEPTED_BEFORE_COMMIT
    ; if
    :: skip
    :: faults > 0 -> faults--; b_state = none; b_restart()
    fi
#endif
}

proctype broker()
{
end:
    do
    :: atomic { b_state == none && !accepted -> b_accept(); check() }
    :: atomic { b_state == ended && !told -> b_tell() }
    :: atomic { nempty(up[0]) -> b_hear(0) }
    :: atomic { b_state == ready && live[0] -> b_assign(0) }
#if REGIONS > 1
    :: atomic { nempty(up[1]) -> b_hear(1) }
    :: atomic { b_state == ready && live[1] -> b_assign(1) }
#endif
    od
}

/* ---- region ---- */

#define R_HOLDS(r, w) (r_state[r] == granted && r_worker[r] == (w))
#define R_ABOVE(r) (FENCE(r_custody[r], 0, 0) + (r_fence[r] & 31))

inline r_say(r, kind, fence, word, mark)
{
    if
    :: session[r] != 0 -> say(up[r], kind, session[r], fence, word, mark)
    :: else
    fi
}

inline r_forget(r)
{
    r_state[r] = none; r_end[r] = none; r_custody[r] = 0; r_fence[r] = 0; r_worker[r] = 0; r_losses[r] = 0;
    r_dup[r] = 0; r_stop[r] = 0; r_gone[r] = 0;
    keeps[r] = 0
}

inline r_record_end(r, end)
{
    r_state[r] = ended;
    r_end[r] = end;
    keeps[r] = 1;
    r_say(r, outcome, R_ABOVE(r), end, r_dup[r])
#ifdef MISTAKE_RETURNED_FORGOTTEN
    ; if
    :: end == returned -> r_forget(r)
    :: else
    fi
#endif
}

#define R_CLAIM(r) (r_state[r] == ready || r_state[r] == granted -> running : r_state[r])

/* Else it is refused until the region that had the name before is lost. */
#ifdef MISTAKE_INSTANCE_UNCHECKED
#define MAY_HAVE_NAME(r) true
#else
#define MAY_HAVE_NAME(r) (instance[r] == admitted[r] || lost[r])
#endif

inline r_begin_session(r)
{
    begin_session(r, instance[r]);
    say(up[r], inventory, session[r], R_ABOVE(r), R_CLAIM(r), 0);
    if
#ifndef MISTAKE_OUTCOME_NOT_REPEATED
    :: r_state[r] == ended -> say(up[r], outcome, session[r], R_ABOVE(r), r_end[r], r_dup[r])
#endif
    :: else
    fi;
    forget_word()
}

inline r_take(r)
{
    if
    :: true ->
        r_state[r] = ready;
        r_custody[r] = CUSTODY(f);
        r_fence[r] = FENCE(r_custody[r], 0, 0);
        r_dup[r] = d;
        r_say(r, taken, f, none, 0)
    :: whims > 0 -> whims--; r_say(r, refused, f, none, 0)
    fi
}

inline r_on_assign(r)
{
    if
    :: r_state[r] == none -> r_take(r)
    :: r_state[r] != none && CUSTODY(f) < r_custody[r]
    :: r_state[r] != none && CUSTODY(f) == r_custody[r] ->
        r_dup[r] = r_dup[r] | d;
        if
        :: r_state[r] == ended -> r_say(r, outcome, R_ABOVE(r), r_end[r], r_dup[r])
        :: else -> r_say(r, taken, R_ABOVE(r), none, 0)
        fi
    :: r_state[r] == ended && CUSTODY(f) > r_custody[r] && (r_end[r] == cancelled || r_end[r] == returned) ->
        r_forget(r);
        r_take(r)
    :: r_state[r] != none && CUSTODY(f) > r_custody[r] &&
       !(r_state[r] == ended && (r_end[r] == cancelled || r_end[r] == returned)) -> /* adopted */
        r_custody[r] = CUSTODY(f);
        r_stop[r] = 0;
        r_dup[r] = r_dup[r] | d;
        if
        :: r_state[r] == ended -> r_say(r, outcome, R_ABOVE(r), r_end[r], r_dup[r])
        :: else -> r_say(r, taken, R_ABOVE(r), none, 0)
        fi
    fi
}

inline r_on_stop(r)
{
    if
    :: r_state[r] == none || CUSTODY(f) != r_custody[r] -> r_say(r, outcome, f, not_held, 0)
    :: r_state[r] == ready && CUSTODY(f) == r_custody[r] -> r_record_end(r, cancelled)
    :: r_state[r] == granted && CUSTODY(f) == r_custody[r] ->
        r_stop[r] = 1;
        if
        :: live[LINK(r_worker[r])] ->
            tell(LINK(r_worker[r]), stop, known[LINK(r_worker[r])], r_fence[r], none, 0)
        :: else
        fi
    :: r_state[r] == ended && CUSTODY(f) == r_custody[r]
    fi
}

inline r_hear_broker(r)
{
    down[r]?k, s, f, x, d;
    assert(s == session[r]);
    if
    :: k == assign -> r_on_assign(r)
    :: k == stop -> r_on_stop(r)
    :: k == settled ->
        must(invariant_10, x != recorded || (answered & (1 << CUSTODY(f))));
        if
        :: r_state[r] == ended && CUSTODY(f) == r_custody[r] -> r_forget(r)
        :: else
        fi
    fi;
    forget_word();
    check()
}

inline r_assign(r, w)
{
    must(bounds, ATTEMPT(r_fence[r]) < ATTEMPT_MAX);
    r_fence[r] = FENCE(r_custody[r], r_epoch[r], ATTEMPT(r_fence[r]) + 1);
    must(invariant_3, r_fence[r] > highest_fence[r]);
    highest_fence[r] = r_fence[r];
    r_state[r] = granted;
    r_worker[r] = w;
    r_gone[r] = 0;
    tell(LINK(w), assign, known[LINK(w)], r_fence[r], none, r_dup[r])
#ifdef MISTAKE_GRANT_NOT_DURABLE
    ; if
    :: skip
    :: faults > 0 -> faults--; r_state[r] = ready; r_restart(r)
    fi
#endif
}

inline r_again_or_cancelled(r)
{
    if
    :: r_stop[r] -> r_record_end(r, cancelled)
    :: else -> r_state[r] = ready
    fi
}

inline r_lost(r, w)
{
    if
    :: R_HOLDS(r, w) ->
#ifndef MISTAKE_LOSS_UNMARKED
        r_dup[r] = 1;
#endif
        r_gone[r] = 1;
        r_losses[r]++;
        if
        :: !r_stop[r] && r_losses[r] >= POISON_LIMIT -> r_record_end(r, failed)
        :: else -> r_again_or_cancelled(r)
        fi
    :: else
    fi
}

inline r_claim(r, w)
{
    if
    :: R_HOLDS(r, w) && x != none && f == r_fence[r] ->
        if
        :: r_stop[r] -> tell(LINK(w), stop, s, f, none, 0) /* unanswered in the session before */
        :: else
        fi
    :: else ->
        if
        :: x == running -> tell(LINK(w), stop, s, f, none, 0); stray[LINK(w)] = 1
        :: else
        fi;
        if
        :: R_HOLDS(r, w) && RESTARTED(LINK(w)) -> r_lost(r, w)
        :: R_HOLDS(r, w) && !RESTARTED(LINK(w)) && r_stop[r] -> r_record_end(r, cancelled)
        :: R_HOLDS(r, w) && !RESTARTED(LINK(w)) && !r_stop[r] ->
            tell(LINK(w), assign, s, r_fence[r], none, r_dup[r])
        :: else
        fi
    fi;
    swept_boot[LINK(w)] = seen_boot[LINK(w)];
    live[LINK(w)] = 1
}

inline r_judge(r, w)
{
    if
#ifdef MISTAKE_FENCE_UNCHECKED
    :: r_state[r] == granted ->
#else
    :: R_HOLDS(r, w) && f == r_fence[r] ->
#endif
        must(invariant_3, f == highest_fence[r]); /* a lower fence than the last granted changes nothing */
        tell(LINK(w), settled, s, f, recorded, 0);
#ifdef MISTAKE_SETTLED_BEFORE_RECORD
        if
        :: faults > 0 -> faults--; r_restart(r)
        :: true ->
#endif
        note_recorded(f);
        if
        :: x == completed -> r_record_end(r, completed)
        :: else -> r_again_or_cancelled(r)
        fi
#ifdef MISTAKE_SETTLED_BEFORE_RECORD
        fi
#endif
#ifdef MISTAKE_LATE_OUTCOME_RECORDED
    :: r_state[r] == ended && f == r_fence[r] -> tell(LINK(w), settled, s, f, recorded, 0); stray[LINK(w)] = 0
#else
    :: r_state[r] == ended && f == r_fence[r] && !r_gone[r] -> tell(LINK(w), settled, s, f, recorded, 0)
#endif
    :: else -> tell(LINK(w), settled, s, f, stale, 0); stray[LINK(w)] = 0
    fi
}

inline r_hear_worker(r, w)
{
    hear_child(LINK(w));
    if
    :: k == hello -> welcome(LINK(w), R_HOLDS(r, w))
    :: k == inventory -> r_claim(r, w)
    :: k == refused ->
        if
        :: R_HOLDS(r, w) && f == r_fence[r] -> r_again_or_cancelled(r)
        :: else
        fi
    :: k == outcome -> r_judge(r, w)
    :: k == taken || k == none
    fi;
    forget_word();
    check()
}

inline r_forget_session(w)
{
    known[LINK(w)] = 0;
    live[LINK(w)] = 0;
    lost[LINK(w)] = 0;
    stray[LINK(w)] = 0;
    seen_boot[LINK(w)] = swept_boot[LINK(w)];
    empty_queue(up[LINK(w)])
}

inline r_restart(r)
{
    hang_up(r);
    boot[r]++;
    r_epoch[r]++;
    must(bounds, r_epoch[r] <= EPOCH_MAX);
    r_forget_session((r) * WORKERS);
#if WORKERS > 1
    r_forget_session((r) * WORKERS + 1);
#endif
#ifdef MISTAKE_OUTCOME_DROPPED_AT_RESTART
    if
    :: r_state[r] == ended -> r_state[r] = none
    :: else
    fi;
#endif
    forget_word()
}

proctype region(byte r)
{
end:
    do
    :: atomic { FORGOTTEN(r) && MAY_HAVE_NAME(r) -> r_begin_session(r); check() }
    :: atomic { session[r] != 0 && nempty(down[r]) -> r_hear_broker(r) }
    :: atomic { r_state[r] == ready && whims > 0 -> whims--; r_record_end(r, returned); check() }
    :: atomic { nempty(up[LINK(r * WORKERS)]) -> r_hear_worker(r, r * WORKERS) }
    :: atomic { r_state[r] == ready && live[LINK(r * WORKERS)] && !stray[LINK(r * WORKERS)] ->
            r_assign(r, r * WORKERS); check() }
#if WORKERS > 1
    :: atomic { nempty(up[LINK(r * WORKERS + 1)]) -> r_hear_worker(r, r * WORKERS + 1) }
    :: atomic { r_state[r] == ready && live[LINK(r * WORKERS + 1)] && !stray[LINK(r * WORKERS + 1)] ->
            r_assign(r, r * WORKERS + 1); check() }
#endif
    od
}

/* ---- worker ---- */

inline w_say(w, kind, fence, word)
{
    if
    :: session[LINK(w)] != 0 -> say(up[LINK(w)], kind, session[LINK(w)], fence, word, 0)
    :: else
    fi
}

inline w_forget(w)
{
    w_state[w] = none; w_end[w] = none; w_fence[w] = 0; w_spooled[w] = 0
}

inline w_begin_session(w)
{
    begin_session(LINK(w), 0);
    say(up[LINK(w)], inventory, session[LINK(w)], w_fence[w], w_state[w], 0);
    if
    :: w_state[w] == ended -> w_say(w, outcome, w_fence[w], w_end[w])
    :: else
    fi;
    forget_word()
}

inline w_on_assign(w)
{
    if
    :: w_state[w] == ended && f == w_fence[w] -> w_say(w, outcome, w_fence[w], w_end[w])
    :: w_state[w] == running && f == w_fence[w] -> w_say(w, taken, f, none)
    :: w_state[w] != none && f < w_fence[w]
    :: w_state[w] == none || f > w_fence[w] -> /* an older attempt that is still here is stopped */
        if
        :: true ->
            w_forget(w);
            w_state[w] = running;
            w_fence[w] = f;
            check_start(w, f, d)
        :: whims > 0 -> whims--; w_say(w, refused, f, none)
        fi
    fi
}

inline w_ends(w, end)
{
    w_state[w] = ended;
    w_end[w] = end;
    w_say(w, outcome, w_fence[w], end)
}

inline w_hear(w)
{
    down[LINK(w)]?k, s, f, x, d;
    assert(s == session[LINK(w)]);
    if
    :: k == assign -> w_on_assign(w)
    :: k == stop ->
        if
        :: w_state[w] == running && f == w_fence[w] -> w_ends(w, cancelled)
        :: w_state[w] == ended && f == w_fence[w] -> w_say(w, outcome, w_fence[w], w_end[w])
        :: else -> w_say(w, outcome, f, not_held)
        fi
    :: k == settled ->
        must(invariant_10, x != recorded || !(unrecorded[CUSTODY(f)] & BIT(f)));
        if
        :: w_state[w] == ended && f == w_fence[w] -> w_forget(w)
        :: else
        fi
    fi;
    forget_word();
    check()
}

/* Its processes die with it; what had ended is there again if it was spooled in time. */
inline w_restart(w)
{
    hang_up(LINK(w));
    boot[LINK(w)]++;
    if
    :: w_state[w] == running || (w_state[w] == ended && !w_spooled[w]) -> w_forget(w)
    :: w_state[w] == ended -> w_spooled[w] = 1
    :: w_state[w] == none
    fi
}

proctype worker(byte w)
{
end:
    do
    :: atomic { FORGOTTEN(LINK(w)) -> w_begin_session(w) }
    :: atomic { session[LINK(w)] != 0 && nempty(down[LINK(w)]) -> w_hear(w) }
    :: atomic { w_state[w] == running -> w_ends(w, completed) }
    :: atomic { w_state[w] == running && whims > 0 -> whims--; w_ends(w, failed) }
    od
}

/* ---- the world: faults while there are any, then the end ---- */

#define B_DONE (b_state == ended && told)
#define R_DONE(r) (r_state[r] == none)
#define W_DONE(w) (w_state[w] == none)

inline wipe(r)
{
    r_forget(r);
    instance[r]++;
    r_restart(r)
}

proctype world()
{
    do
    :: atomic { faults > 0 && b_state != none -> faults--; b_restart(); check() }
    :: atomic { faults > 0 -> faults = 0 }
#define REGION_FAULTS(r) \
    :: atomic { faults > 0 && session[r] != 0 -> faults--; hang_up(r); forget_word() } \
    :: atomic { faults > 0 && known[r] != 0 -> faults--; give_up(r); b_lost(r); check() } \
    :: atomic { faults > 0 -> faults--; r_restart(r); check() } \
    :: atomic { faults > 0 -> faults--; wipe(r); check() } \
    :: atomic { instance[r] != admitted[r] && !lost[r] -> give_up(r); b_lost(r); check() }
#define WORKER_FAULTS(w) \
    :: atomic { faults > 0 && session[LINK(w)] != 0 -> faults--; hang_up(LINK(w)); forget_word() } \
    :: atomic { faults > 0 && known[LINK(w)] != 0 -> faults--; give_up(LINK(w)); r_lost(REGION(w), w); check() } \
    :: atomic { faults > 0 -> faults--; w_restart(w); forget_word() }
    REGION_FAULTS(0)
    WORKER_FAULTS(0)
#if REGIONS > 1
    REGION_FAULTS(1)
#endif
#if CREW > 1
    WORKER_FAULTS(1)
#endif
    :: timeout -> break /* nobody has anything left to do */
    od;
    must(invariant_12, B_DONE && R_DONE(0) && W_DONE(0));
#if REGIONS > 1
    must(invariant_12, R_DONE(1));
#endif
#if CREW > 1
    must(invariant_12, W_DONE(1));
#endif
}

init
{
    atomic {
        do /* every link is up, and nothing has been said */
        :: i < LINKS -> sessions[i] = 1; session[i] = 1; known[i] = 1; live[i] = 1; i++
        :: else -> break
        od;
        i = 0;
        run broker();
        run region(0);
        run worker(0);
#if REGIONS > 1
        run region(1);
#endif
#if CREW > 1
        run worker(1);
#endif
        run world()
    }
}
