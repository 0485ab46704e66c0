/* children.h - a parent's view of its children: names, sessions, liveness, profiles, counts.
 *
 * Is:      used alike by the broker (its regions) and a region (its workers). It answers HELLO, checks
 * sequences, sends beats, notices silence, and says what happened (enum child_news); what that means for
 * tasks is engine/ledger.h and the node. Three facts, kept apart: silent (suspect: no new work), lost (its
 * grants end), wedged (a task's own time limit; not here). A heartbeat is a sign of life, never readiness.
 * Time:    liveness is measured on a clock that advances by at most a beat per step (awake_ns), so that a
 * pause of this node is nobody's silence. Invariants: at most one child per name; at most one session per
 * child; a session's peer number is never reused; granted (per class and over all) equals the sum over the
 * child's grants. Bounds:  CHILDREN_MAX children; profiles up to PROFILES_BYTES_MAX. */
#ifndef MERIDIAN_ENGINE_CHILDREN_H
#define MERIDIAN_ENGINE_CHILDREN_H

#include "engine/classes.h"
#include "engine/histogram.h"
#include "engine/outputs.h"
#include "engine/slab.h"
#include "engine/step.h"
#include "engine/strays.h"
#include "proto/link.h"

enum { CHILDREN_MAX = 4096, PROFILES_BYTES_MAX = 64 * 1024, CLASS_BLOCK = 64 };

enum child_state {
    CHILD_AWAY,     /* no session */
    CHILD_SYNCING,  /* HELLO seen, its INVENTORY is coming */
    CHILD_SWEEPING, /* END seen, what it did not claim is being dealt with */
    CHILD_LIVE,
};

/* What a child offers and holds of one class. */
struct child_class {
    uint32_t slots;
    uint32_t granted;
};

struct child {
    char name[NAME_BYTES_MAX + 1];
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    uint32_t number; /* durable, in CHILDREN and in grant records */
    enum child_state state;
    bool suspect;
    bool lost;       /* declared; its grants end step by step */
    bool forgotten;  /* an operator said that it never comes back: lost; removed when its grants have ended */
    bool left;       /* said BYE */
    bool left_empty; /* and took nothing along: what it is still granted never reached it */
    bool was_lost;   /* before this session: what it reports of unknown tasks is late */
    bool draining;   /* said so, or was told to */
    bool restarted;  /* this session came with a higher boot: what it does not claim has ended */
    bool boot_is_new; /* its record still has the boot before: what that one held is not dealt with yet */
    uint8_t stamp;    /* number of its session, modulo 256, never 0 */
    uint64_t peer;    /* 0 = no session */
    struct link link;
    uint64_t heard_ns;              /* on the awake clock */
    uint64_t clock_us, clock_at_ns; /* its clock, for the echo */
    uint32_t rtt_us;                /* smoothed; 0 = not measured */
    uint32_t commit_age_ms;
    uint32_t workers; /* a region: children of its own */
    uint32_t granted;
    struct strays strays;             /* tasks it runs under old fences, told to stop; busy until answered */
    uint32_t first_grant, last_grant; /* list of grants (engine/ledger.h) */
    uint32_t sweep_grant;             /* SWEEPING: grants before it are all claimed; 0 = from the first */
    uint32_t open_grant;              /* the grant that this step's ASSIGNs go into, 0 = none yet */
    uint32_t slots;                   /* over all profiles */
    uint8_t *profiles;                /* encoded, malloc'ed */
    uint32_t profiles_size;
    struct child_class *classes[CLASSES_MAX / CLASS_BLOCK + 1];
    uint32_t classes_known; /* slots are computed for classes 1 .. classes_known */
    uint64_t done, lost_grants, late;
    struct histogram latency; /* us, first grant to outcome recorded, of tasks it completed */
};

struct children_options {
    uint32_t beat_ms, grace_ms;
    const char *role; /* that children must have: "worker" or "region" */
};

struct child_by_peer;

struct children {
    struct child *all[CHILDREN_MAX]; /* in order of their numbers; all[0 .. count - 1] */
    uint32_t count;
    struct child_by_peer *by_peer; /* uthash */
    const struct classes *known;   /* the node's classes */
    struct children_options options;
    uint64_t awake_ns, last_step_ns, beat_at_ns;
    uint32_t beat_next; /* all[] before it had this beat; 0 = the beat is over */
    uint32_t next_number, epoch;
    bool profiles_changed; /* since the node last looked */
    uint64_t refused;      /* HELLOs and messages refused */
};

enum child_news {
    CHILD_NOTHING,
    CHILD_INVENTORY, /* rows for grants_claim */
    CHILD_LATE,      /* a HEARTBEAT with late entries */
    CHILD_SYNCED,    /* END: start the sweep of what was not claimed */
    CHILD_MESSAGE,   /* a counted message for the node */
};

void children_init(struct children *children, const struct children_options *options,
                   const struct classes *known);
void children_release(struct children *children);
/* A record of CHILDREN. False if it is not one. */
bool children_restore(struct children *children, uint64_t number, struct bytes record);
/* At START: grace of restored children counts from now; WELCOME names `epoch` (fixed from here on). */
void children_start(struct children *children, const struct event *event, uint32_t epoch);
/* Before anything else in every step: moves the awake clock. */
void children_begin_step(struct children *children, const struct event *event);

enum child_news children_on_message(struct children *children, const struct event *event,
                                    const struct message_header *header, struct outputs *outputs,
                                    struct child **ret_child);
/* The session of `event->peer` is over. */
void children_on_link_down(struct children *children, const struct event *event, struct outputs *outputs);
/* Beats and silence, over as many steps as they need. Children that were just declared lost have `lost` set;
 * the node ends their grants. */
void children_on_timeout(struct children *children, const struct event *event, struct outputs *outputs);
uint64_t children_deadline_ns(const struct children *children);

struct child *children_by_number(const struct children *children, uint32_t number);
struct child *children_by_name(const struct children *children, struct bytes name);
/* The children by name, for people; `ret_order` has room for CHILDREN_MAX. Returns their number. */
uint32_t children_by_names(const struct children *children, struct child **ret_order);
/* What `child` offers and holds of `class`. */
struct child_class *child_class(const struct children *children, struct child *child, uint16_t class);
/* `class` has another requirement than before; no child holds anything of it. */
void children_forget_class(struct children *children, uint16_t class);
/* A session is up and quick: new work may go to it. */
bool child_may_work(const struct child *child);
/* It has a session and has been heard lately: nobody may say that it is gone. */
bool child_is_heard(const struct child *child);
/* It will never come back: lost from now on, without waiting for the grace, and also after a restart. When
 * the node has ended its grants it is removed; until then its name is in use. Not for one that is heard. */
void children_forget(struct children *children, struct child *child, struct outputs *outputs);
/* End its session (a broken rule, a send that failed); it will say HELLO again. */
void child_end_session(struct children *children, struct child *child, struct outputs *outputs);
/* "live", "suspect", "draining", "away", "lost", "forgotten", "left" (said BYE and owes nothing) */
const char *child_state_text(const struct child *child);
/* Sum up what all children that may work offer, as an encoded array of profiles, equal ones merged; for a
 * region's own HELLO. Returns the total of slots. */
uint32_t children_profiles(const struct children *children, struct writer *writer);

#endif
