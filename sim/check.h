/* check.h - the judge's own books, shared by the check_*.c files and nobody else.
 *
 * Is:      what can be known from the frames as they leave and arrive, the batches as they are written, the
 *          processes as they start and end; and the rules that hold between these. No node is asked, nothing
 * of a node is read. Files:   check.c          the list of invariants, the way in, the end of a run
 *          check_store.c    batches: which task is where, granted to whom (struct book)
 *          check_wire.c     frames between parents and children as they leave: fences, records, custody
 *          check_replies.c  frames to clients: ACCEPTED, RESULT, CANCELLING, counters
 *          check_attempts.c starts and ends of processes: marks, what a worker has in its hands
 *          check_room.c     windows: what children offered, and no grant beyond it
 *          check_progress.c grants nobody below knows of; priorities that wait too long
 *          check_restored.c what the broker may forget when its store is put back from a backup
 * Cost:    per entry of a frame and per record O(1), but for the handful of attempts of a task and of tasks
 * in a worker's hands. No table of all tasks is walked but at restarts and at the end. */
#ifndef MERIDIAN_SIM_CHECK_H
#define MERIDIAN_SIM_CHECK_H

#include "proto/link.h"
#include "sim/fields.h"
#include "sim/workload.h"

enum { ATTEMPTS_MAX_SIM = 64, OFFERS_KEPT = 8 };

/* One ASSIGN of a region to a worker. */
struct attempt {
    struct fence fence;
    uint32_t region, worker, worker_life; /* node indices */
    bool dup_possible, started, completed;
    bool reported; /* its OUTCOME has reached the region, in the region's present life */
    bool recorded; /* and is on the region's disk */
    bool settled;  /* SETTLED for it has reached the worker */
    uint64_t assigned_ns;
};

/* How a task stands at the broker, by what that has recorded and said. It goes back with the broker's disk.
 */
struct standing {
    uint64_t accepted_ns; /* when the broker first said so; 0 = never */
    uint8_t recorded_end; /* on the broker's disk: enum task_end + 1, 0 = none */
    bool doubled;         /* was started twice with no end between */
    uint32_t custody;     /* that the broker gave away last */
    uint32_t given_back;  /* custody that its region has returned, or did not hold; 0 = none */
    uint64_t result_hash; /* of the first RESULT, 0 = none */
};

/* What a restored backup cannot know of a task: whether custodies above `from`, up to `to`, have ended. */
struct forgotten {
    uint32_t from, to; /* to: the highest that was given out by then */
    bool
        unmarked; /* nor that it ever was: its id was made later, by the broker's clock (broker/restored.c) */
};

/* One task, over the whole cluster and all that was ever restored. */
struct checked {
    struct standing now;
    uint32_t custody, holder; /* highest that the broker ever gave away; to whom, 0: before a restore */
    bool lost;                /* was accepted once, by a broker that has forgotten it */
    struct forgotten forgotten[RESTORES_MAX];
    uint64_t lost_hashes[RESTORES_MAX]; /* of a RESULT that was sent before the restore */
    struct attempt *attempts;
    uint32_t attempt_count, attempt_capacity;
};

/* One task in the store of one scheduler (the broker, a region), as its commits left it. */
struct booked {
    uint64_t arrival; /* its newest number, 0 = never here */
    bool stored;      /* it has a state record */
    uint8_t state, flags;
    uint32_t custody;            /* region: under which it is held */
    struct fence ended, granted; /* grants up to `ended` are over; the newest record grants under `granted` */
    uint64_t grant;              /* number of that record, 0 = none */
    uint32_t child;              /* to whom, as the scheduler numbers its children */
    uint32_t open;               /* place among the open grants + 1, 0 = not granted now */
    bool touched;                /* by the batch in hand */
    bool granted_now;            /* likewise, newly */
    uint64_t ready_ns;           /* since when it could be granted; NEVER: it could not */
    uint64_t orphan_ns;          /* since when nobody below knows of its grant; 0: somebody does */
    bool answered;               /* region: its parent's SETTLED for its newest outcome has arrived */
    uint32_t sent_wire;          /* broker: by which its newest ASSIGN left, index + 1 */
    uint32_t arrived_custody;    /* region: of the newest ASSIGN that arrived */
    uint64_t listed_session;     /* region: in whose INVENTORY it was last */
};

/* How long the tasks of one class and priority have been passed over by others of the class. */
struct turn {
    uint32_t waiting, passed;
    uint64_t since_ns;
};

/* A child as its scheduler numbers it. */
struct branch {
    uint32_t node;     /* index + 1, 0 = no such child */
    uint64_t since_ns; /* its first record */
    bool forgotten;    /* says its record */
    uint32_t granted;
    uint32_t by_class[CLASSES_MAX_SIM];
};

/* A scheduler's store. */
struct book {
    struct booked *tasks;
    uint32_t *task_of; /* by arrival number: task + 1 */
    size_t task_of_count;
    struct grant_record {
        uint32_t *tasks;
        uint32_t count;
    } * grants; /* by number */
    size_t grant_count;
    struct branch **branches; /* by number */
    size_t branch_count;
    uint32_t *open, open_count;
    uint32_t *touched, touched_count;
    struct turn turns[CLASSES_MAX_SIM][PRIORITY_COUNT];
};

/* An attempt in the hands of a worker's present life, or on its way there. */
struct holding {
    uint32_t task;
    struct fence fence;
    uint32_t wire; /* index + 1 of the wire it is on its way by; 0: it has arrived */
    bool started;  /* a process, or it was in the spool at the start */
    bool over;     /* the worker said how it ended, or its process did */
    uint64_t since_ns, listed_session;
};

/* What a child told its parent of its slots. */
struct offer {
    uint64_t at_ns;
    uint32_t slots, by_class[CLASSES_MAX_SIM];
};

/* A node as a child. */
struct ward {
    struct holding *held; /* workers */
    uint32_t held_count, held_capacity;
    struct offer offers[OFFERS_KEPT];
    uint32_t offer_next; /* modulo OFFERS_KEPT the place of the next */
    uint64_t hello_session, hello_ns;
    uint32_t hello_wire;                 /* index + 1 of the newest wire whose HELLO has reached the parent */
    uint32_t synced_wire;                /* index + 1 of the wire whose END has reached the parent */
    uint64_t heard_up_ns, heard_down_ns; /* when a frame last reached the parent from it, and it from there */
};

struct checks {
    struct checked *tasks;
    struct book *books;   /* by node; of workers none */
    struct ward *wards;   /* by node */
    uint32_t ended;       /* ids on the broker's disk */
    uint64_t doubled;     /* pairs of starts without an end between; all marked, or the run has failed */
    uint64_t look_ns;     /* when the open grants are looked at next */
    uint64_t restored_ns; /* when a copy of the broker's store was put back last */
    uint32_t restores;    /* copies of the broker's store that were put back */
};

/* Where a frame goes. */
struct way {
    struct sim_node *from;
    uint32_t to, to_life;
    uint32_t wire; /* index + 1, 0 = to a client */
};

static inline bool is_broker(const struct sim_node *node)
{
    return node->index == 0;
}

static inline bool is_worker(const struct sim_node *node)
{
    return node->parent != 0;
}

static inline struct booked *check_booked(const struct sim *sim, uint32_t node, uint32_t task)
{
    return &sim->checks->books[node].tasks[task];
}

/* check.c */
struct attempt *check_attempt(struct sim *sim, uint32_t task, struct fence fence);
/* Two buffers, so that two fences fit one line. */
const char *check_fence_text(struct fence fence, int which);
uint64_t check_hash(struct bytes bytes);

/* check_store.c */
void book_init(struct sim *sim, struct book *book);
void book_release(struct book *book);
/* The task that a number names in the node's store; TASKS_MAX_SIM if none. */
uint32_t book_task_of(const struct sim *sim, const struct sim_node *node, uint64_t arrival);
bool on_disk(const struct sim *sim, const struct sim_node *node, enum table table, uint32_t task);
/* The child that has an open grant of it: node index, 0 = none. */
uint32_t book_holder(const struct book *book, const struct booked *booked);

/* check_replies.c */
/* A result whose outcome a full store has dropped, once it was received. */
bool check_is_evicted(struct bytes result);
/* One reply, entry by entry. */
void check_reply(struct sim *sim, const struct message_header *header);

/* check_attempts.c */
/* A region assigns it: by its fence, to whom, marked or not. */
void attempts_assigned(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry);
/* The ASSIGN leaves by a wire, and reaches the worker. */
void attempts_on_the_way(struct sim *sim, const struct way *way, uint32_t task, struct fence fence);
void attempts_arrived(struct sim *sim, struct sim_node *worker, uint32_t task, struct fence fence);
/* The worker says how it ended. */
void attempts_over(struct sim *sim, const struct sim_node *worker, uint32_t task, struct fence fence);
/* SETTLED reaches the worker. */
void attempts_settled(struct sim *sim, struct sim_node *worker, uint32_t task, struct fence fence);
/* A row of its INVENTORY leaves; and its END. */
void attempts_listed(struct sim *sim, const struct way *way, uint32_t task, struct fence fence,
                     uint64_t session);
void attempts_listed_all(struct sim *sim, const struct way *way, uint64_t session);
/* A new life: what the spool has is all it has. */
void attempts_restart(struct sim *sim, struct sim_node *worker);
struct holding *attempts_find(const struct sim *sim, uint32_t worker, uint32_t task, struct fence fence);

/* check_restored.c */
/* Two starts, the earlier under a custody that was granted before a restore, the later under one since. */
enum restored_pair {
    PAIR_OF_NO_RESTORE,
    PAIR_UNKNOWABLE, /* and the broker cannot know: nothing is promised */
    PAIR_FORGOTTEN,  /* the end of the earlier one, if there was one, is forgotten: the later one is marked */
};
enum restored_pair restored_pair(const struct sim *sim, uint32_t task, struct fence early, struct fence late);
/* This RESULT was told before the store was put back. */
bool restored_was_told(const struct sim *sim, uint32_t task, uint64_t hash);

/* check_room.c */
/* HELLO or HEARTBEAT has told the parent what `child` offers. */
void room_offered(struct sim *sim, const struct sim_node *child, struct bytes profiles);
/* Most slots offered lately: over all classes, or of one. */
uint32_t room_slots(const struct sim *sim, uint32_t child);
/* A batch gave `task` to a child: is there room? */
void room_granted(struct sim *sim, const struct sim_node *parent, const struct branch *branch, uint32_t task);
/* An ASSIGN to a worker leaves: has it slots for all that is in its hands? */
void room_assigned(struct sim *sim, const struct way *way, uint32_t task);

/* check_progress.c */
/* It became, or no longer is, ready to be granted at `node`. */
void progress_waits(struct sim *sim, struct book *book, uint32_t task, uint64_t ready_ns);
/* It is granted: others of its class were passed over. */
void progress_granted(struct sim *sim, const struct sim_node *node, uint32_t task);
/* Now and then: does somebody below know of each open grant? */
void progress_look(struct sim *sim);

#endif
