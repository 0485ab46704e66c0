/* sim.h - a whole cluster in one thread and in virtual time: the second host of the nodes (engine/step.h).
 *
 * Is: the nodes as the live host runs them, with a clock, a network, disks, processes and faults that follow
 * from one seed; clients that use the cluster (clients.c); and a judge that looks only at what goes over the
 * wires and what lies on the disks (check.c).
 *
 * Is not: a model of libzmq or LMDB. It keeps the contract of step.h and uses every freedom that the contract
 * leaves: what a crash loses, when a batch is on disk, which of two peers is heard first, whether a broken
 * link is noticed. Memory that the system does not give ends the program: this is no node. */
#ifndef MERIDIAN_SIM_SIM_H
#define MERIDIAN_SIM_SIM_H

#include "engine/outputs.h"
#include "engine/step.h"
#include "sim/dice.h"
#include "sim/disk.h"
#include "sim/timeline.h"

enum {
    REGIONS_MAX_SIM = 8,
    WORKERS_MAX_SIM = 100,
    CLIENTS_MAX_SIM = 20,
    NODES_MAX = 1 + REGIONS_MAX_SIM + WORKERS_MAX_SIM,
    SLOTS_MAX_SIM = 8,
    SLOTS_SIM = 2, /* of each worker */
    TASKS_MAX_SIM = 4096,
    FAULTS_MAX = 64,
    RESTORES_MAX = 3, /* of the broker's store from a backup, in one run */
    NAME_ROOM = 16,
    BEAT_MS = 500,
    WORKER_GRACE_MS = 4000,
    REGION_GRACE_MS = 12000,
    LIVING_MAX_SIM = 500, /* tasks that the broker has room for; more are throttled */
    WINDOW_SIM = 32,      /* tasks that a region may hold of it: less than many a topology has credit for */
};

#define STORE_BYTES (256ull * 1024 * 1024)
#define WALL_START_MS 1750000000000ull
#define NEVER UINT64_MAX
#define MS NANOSECONDS_PER_MS

struct sim;
struct sim_node;

/* What a node does; the roles of a real cluster are in cluster.c, tests bring their own. */
struct role {
    const char *name;
    void *(*make)(const struct sim_node *node);
    void (*free)(void *self);
    void (*step)(void *self, const struct event *event, struct outputs *outputs);
    uint64_t (*deadline_ns)(const void *self);
    bool (*done)(const void *self);
};

struct frame {
    uint64_t peer;
    uint8_t *data; /* malloc'ed */
    size_t size;
    enum message_kind kind; /* of those that wait for a commit */
    bool injected;          /* no node has sent it: hostile.c */
};

/* Outputs that wait for the disk, out of the arena: puts and frames in the order in which they were asked. */
struct batch {
    struct batch *next;
    struct disk_put {
        enum table table;
        uint64_t number;
        uint32_t part;
        struct bytes value; /* malloc'ed */
    } * puts;
    struct write *erases;
    struct frame *frames;
    struct process *processes;
    uint32_t put_count, erase_count, frame_count, process_count;
    uint64_t closed_ns, durable_ns;
};

/* A process that a worker runs. */
struct sim_process {
    uint64_t number; /* 0 = none */
    struct task_id id;
    struct fence fence;
    int exit_status, signal, start_error;
    bool deaf;        /* to SIGTERM */
    bool worker_down; /* its end is the end of its worker */
    uint32_t output_bytes;
    bool output_cut;
};

/* A machine's clocks: they start anywhere, run a little fast or slow, and the wall clock may be set. */
struct sim_clock {
    uint64_t since_ns, base_ns; /* virtual time `since` is `base` on the clock that never goes back */
    int32_t drift_ppm;
    int64_t wall_ahead_ms;
};

struct sim_node {
    const struct role *role;
    char name[NAME_ROOM];
    uint32_t index, parent; /* parent: index, its own for the root */
    void *self;
    bool alive;
    uint32_t life;
    bool draining;
    struct outputs outputs;
    uint32_t immediate_seen; /* messages of the gathering batch already looked at */
    struct frame *kept;      /* frames that the gathering batch may have borrowed from */
    uint32_t kept_count, kept_capacity;
    struct batch *batches, **batches_end; /* closed and not on disk yet, oldest first */
    uint32_t batch_count;
    uint64_t durable_ns; /* when the youngest of them is on disk */
    bool commit_fails;   /* the next one */
    bool closing;        /* a CLOSE is on the timeline */
    uint64_t wake_ns;    /* the next WAKE on the timeline */
    struct disk disk;    /* what is committed */
    struct disk view;    /* what will be, when all batches are: messages are put together from it */
    bool is_backup;      /* the broker: its disk is an older copy, and it has not said that it knows */
    uint32_t restored;   /* the option of that name at its start */
    uint32_t departed;   /* departures.c: number + 1 of the fault by which it is gone; 0: it is here */
    struct sim_clock clock;
    /* Faults, each until its time: */
    uint64_t paused_until_ns, slow_disk_until_ns, hung_disk_until_ns, full_disk_until_ns;
    uint64_t cut_up_until_ns, cut_down_until_ns, slow_link_until_ns, hostile_until_ns;
    uint32_t free_percent, link_bytes_per_ms, trick; /* while the disk is full, the link slow, hostile */
    uint64_t latency_ns;                             /* one way, of the wire to its parent */
    uint64_t session;                                /* its number for the newest wire to its parent */
    uint32_t wire;                                   /* index + 1 of that wire */
    struct sim_process processes[SLOTS_MAX_SIM];
};

/* One connection between a child and its parent; frames arrive in order until an end is gone. */
struct wire {
    uint32_t child, child_life, parent, parent_life;
    uint64_t session; /* the child's number for it; the parent's is index + 1 */
    bool child_open, parent_open;
    bool stranger; /* its child end is nobody's: hostile.c */
    struct wire_queue {
        struct frame *frames; /* peer: as the receiver names the sender */
        size_t first, count, capacity;
        uint64_t last_ns; /* arrival of the newest */
    } up, down;
};

struct workload; /* workload.h */
struct backups;  /* backup.c */
struct standing; /* check.h */
struct clients;  /* clients.h */
struct checks;   /* check.h */

/* What becomes of a commit, for sweeps over every one of them (tests/sweep). */
enum commit_fate {
    COMMIT_GOOD,
    COMMIT_FAILS,  /* nothing of it is on disk, and the node stops */
    COMMIT_UNTOLD, /* it is on disk, and the node stops before anything of it leaves */
    COMMIT_LAST,   /* what it held back leaves, and the node stops */
};

typedef enum commit_fate (*commit_decide)(void *context, const struct sim_node *node,
                                          const struct batch *batch);

/* What is 0 is drawn from the seed; after sim_init all of it is what the run has. */
struct sim_options {
    uint64_t seed;
    uint32_t tasks, regions, workers /* over all regions */, clients;
    uint32_t duration_ms; /* of the first phase, the one with faults */
    bool faults, trace;
    uint64_t left_out;  /* bit i: fault i of the plan does not happen */
    commit_decide fate; /* asked before each commit that writes; NULL: all are good */
    void *fate_context;
};

struct sim {
    struct sim_options options;
    const struct role *roles; /* of the broker, the regions, the workers */
    struct dice dice;
    struct timeline timeline;
    uint64_t now_ns, calm_ns; /* calm_ns: all faults are over */
    struct sim_node *nodes;
    uint32_t node_count;
    struct wire *wires;
    uint32_t wire_count, wire_capacity;
    uint32_t broker_site;           /* topology.c: where it stands */
    uint32_t jitter_us, high_water; /* of each wire: drawn latency on top; frames that fit a direction */
    struct frame overheard[8];      /* hostile.c: frames of others, to be said again elsewhere */
    struct fault {
        uint64_t at_ns, until_ns, draw;
        uint32_t kind, node;
    } faults[FAULTS_MAX];
    uint32_t fault_count;
    struct backups *backups;
    uint64_t processes_started;
    struct workload *workload;
    struct clients *clients;
    struct checks *checks;
    uint64_t hash; /* of every frame that left, every record that was committed, and when */
    uint64_t traces[TRACE_CODE_COUNT];
    bool failed;
    int broken; /* the invariant, if it failed */
};

/* host.c */
bool sim_init(struct sim *sim, const struct sim_options *options, const struct role roles[3]);
void sim_release(struct sim *sim);
/* Runs to the end, or to the first violation. */
void sim_run(struct sim *sim);
void node_step(struct sim *sim, struct sim_node *node, struct event *event, struct frame *keep);
void node_start(struct sim *sim, struct sim_node *node);
void node_crash(struct sim *sim, struct sim_node *node);
/* SIGTERM: it may end its work first, then it stops with nothing lost. */
void node_drain(struct sim *sim, struct sim_node *node);
/* It comes back with another disk, if it is down. */
void node_wipe(struct sim *sim, struct sim_node *node);
/* Close what was gathered now, so that the next step begins a batch of its own. */
void node_close_batch(struct sim *sim, struct sim_node *node);
void *take_memory(size_t count, size_t size);
/* Into the hash of the run: frames that leave, records that are committed. */
void sim_hash(struct sim *sim, const void *data, size_t size);

/* topology.c: regions, workers and clients of this seed, where they stand, and how their links are. False if
 * the options ask for more than there can be. */
bool topology_draw(struct sim *sim);
/* One way between a client and the broker. It has dice of its own, so it moves nothing else of the seed. */
uint64_t topology_client_latency_ns(const struct sim *sim, uint32_t client);

/* clock.c: what the clocks of a node's machine show. */
uint64_t node_now_ns(const struct sim *sim, const struct sim_node *node);
uint64_t node_wall_ms(const struct sim *sim, const struct sim_node *node);
/* The earliest virtual time at which node_now_ns is `node_ns`. */
uint64_t node_time_of(const struct sim_node *node, uint64_t node_ns);
/* The machine starts: its clock begins again. */
void node_boot_machine(struct sim *sim, struct sim_node *node, uint64_t uptime_ns);

/* network.c */
void network_send(struct sim *sim, struct sim_node *from, struct frame frame);
void network_arrival(struct sim *sim, const struct occasion *occasion);
/* The end of `wire` at the child (or the parent) is gone; the other hears of it sooner, later or never. */
void wire_close(struct sim *sim, struct wire *wire, bool at_child);
/* Both ends lose it and are told. */
void wire_cut(struct sim *sim, struct wire *wire);
void network_node_gone(struct sim *sim, const struct sim_node *node);
void network_release(struct sim *sim);
/* The newest wire of a child, NULL if it has none. */
struct wire *network_wire(const struct sim *sim, const struct sim_node *child);

/* hostile.c */
enum trick {
    TRICK_GAP,
    TRICK_REPEAT,
    TRICK_REORDER,
    TRICK_FOREIGN,
    TRICK_FORGED,
    TRICK_GARBAGE,
    TRICK_COUNT
};
/* Sends `frame` on the wire of a hostile link: it, or what its trick makes of it. */
void hostile_push(struct sim *sim, struct wire *wire, bool up, struct frame frame);
/* Somebody else connects to the parent of `victim`, under its name or another, or says nothing that makes
 * sense. */
void hostile_stranger(struct sim *sim, const struct sim_node *victim);

/* faults.c */
void faults_plan(struct sim *sim);
void fault_happens(struct sim *sim, const struct fault *fault);
void fault_ends(struct sim *sim, const struct fault *fault);
const char *fault_text(const struct fault *fault);

/* backup.c: copies of the broker's store. The plan: restores behind all other faults, as faults of `kind`. */
void backups_plan(struct sim *sim, uint32_t kind);
void backups_release(struct sim *sim);
/* In this run ids may be forgotten. */
bool backups_planned(const struct sim *sim);
/* Copy `number` is made of what is on the broker's disk now. */
void backup_make(struct sim *sim, uint32_t number);
/* The broker stops, and its disk is that of a copy. */
void backup_put_back(struct sim *sim, struct sim_node *broker, const struct fault *fault);
/* Before each start of the broker: what it is told of that ... */
void backup_starts(struct sim *sim, struct sim_node *broker);
/* ... until it has a commit on the disk, without which it says nothing to anybody. */
void backup_answers(struct sim_node *broker);

/* departures.c: nodes that leave for good, or for long. The plan: behind all other faults, as faults of
 * `kind`. */
void departures_plan(struct sim *sim, uint32_t kind);
/* The node, or another of its role, and perhaps all its children are gone: unless what stays could not run
 * every task. */
void departure_begins(struct sim *sim, struct sim_node *node, const struct fault *fault);
/* Those who left by that fault are here again. */
void departure_ends(struct sim *sim, struct sim_node *node, const struct fault *fault);
/* It has left, or its parent has. */
bool node_is_gone(const struct sim *sim, const struct sim_node *node);
/* A region that is gone, of which an operator knows that it is; NULL if there is none. */
const struct sim_node *departure_to_forget(const struct sim *sim);

/* process.c */
void process_perform(struct sim *sim, struct sim_node *node, const struct process *process);
void process_happens(struct sim *sim, const struct occasion *occasion);

/* clients.c: the workload is drawn by it too. */
void clients_init(struct sim *sim);
void clients_release(struct sim *sim);
void client_acts(struct sim *sim, uint32_t client);
void client_timer(struct sim *sim, const struct occasion *occasion);
void client_reply(struct sim *sim, uint64_t peer, struct frame frame);
void client_on_reply(struct sim *sim, const struct occasion *occasion);
/* Every task that was accepted has ended, and every client knows what it wants to know. */
bool clients_done(const struct sim *sim);
/* Tasks of which a client still waits to hear. */
uint32_t clients_open(const struct sim *sim);

/* check.c */
void check_init(struct sim *sim);
void check_release(struct sim *sim);
void check_before_commit(struct sim *sim, struct sim_node *node, const struct batch *batch);
void check_after_commit(struct sim *sim, struct sim_node *node, const struct batch *batch);
void check_frame(struct sim *sim, struct sim_node *from, const struct frame *frame);
void check_arrival(struct sim *sim, struct sim_node *to, const struct frame *frame);
void check_process_start(struct sim *sim, struct sim_node *node, const struct process *process);
void check_process_end(struct sim *sim, struct sim_node *node, const struct sim_process *process);
void check_restart(struct sim *sim, struct sim_node *node);
/* It was drained, and its process ends now. */
void check_drained(struct sim *sim, struct sim_node *node);
/* What lies on its disk is no longer what it wrote last: wiped, or an older copy. It is down. */
void check_store_replaced(struct sim *sim, struct sim_node *node);
/* How all tasks stand at the broker, as its disk is now; malloc'ed. */
struct standing *check_remember(const struct sim *sim);
/* The broker's disk is again what it was then. It is down. */
void check_restored(struct sim *sim, const struct standing *copy);
/* It is started, and told that its store was put back. */
void check_restored_start(struct sim *sim);
/* The task was accepted once, by a broker whose store has been put back since from a copy without it. */
bool check_is_lost(const struct sim *sim, uint32_t task);
/* A client is told that its task is not known; it heard at `heard_ns` that it is accepted. */
void check_unknown(struct sim *sim, uint32_t task, uint64_t heard_ns);
/* A client was told of the end of its task: one entry of RESULT. */
void check_told(struct sim *sim, uint32_t task, struct bytes result);
void check_end(struct sim *sim);
/* Print and stop: `invariant` is the number in the list of check.c. */
void violation(struct sim *sim, int invariant, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The task an id names, as its number in the workload; TASKS_MAX_SIM if none. */
uint32_t sim_task_of(const struct sim *sim, const struct task_id *id);
const char *sim_id_text(const struct task_id *id);

/* cluster.c */
extern const struct role cluster_roles[3];

#endif
