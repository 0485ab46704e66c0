/* query.h - QUERY: rows that the broker has, completed by the regions that hold the tasks.
 *
 * A query that needs regions is kept in a slot: each region concerned is sent one ASK; its ANSWER's rows are
 * copied in; when all have answered, or after ASK_WAIT_MS, the client gets one ROWS. Rows that did not come
 * are the broker's own, marked stale. Bounds: QUERIES_MAX at once (more are answered throttled),
 * QUERY_ROWS_MAX rows each. */
#ifndef MERIDIAN_BROKER_QUERY_H
#define MERIDIAN_BROKER_QUERY_H

#include "engine/ledger.h"

/* A client waits for no region longer than ASK_WAIT_MS; what is asked without a client may come from any
 * distance. */
enum {
    QUERIES_MAX = 64,
    QUERY_ROWS_MAX = 256,
    ASK_WAIT_MS = 500,
    ASK_WAIT_UNHURRIED_MS = 10000,
    QUERY_BYTES_MAX = 240 * 1024
};

#define QUERY_NO_CLIENT 0u /* as a peer */

enum query_kind { QUERY_TASKS, QUERY_EXPLAIN, QUERY_WORKERS, QUERY_DRAIN };

/* A region that was sent the ASK. */
struct query_asked {
    uint32_t region; /* its number */
    bool answered;
    bool more;         /* WORKERS: it has more than it sent */
    uint32_t count;    /* WORKERS: rows that came */
    struct bytes rows; /* WORKERS: malloc'ed, one behind the other */
};

struct query_row {
    struct task_id id;
    uint64_t arrival;
    uint32_t rank;
    uint32_t asked;      /* number of the region that was asked, 0 = none */
    struct bytes answer; /* malloc'ed map from a region, size 0 = none came */
};

struct query {
    bool used;
    enum query_kind kind;
    uint64_t peer, sequence, deadline_ns;
    uint32_t generation;  /* tells answers to an earlier query in this slot apart */
    uint32_t waiting;     /* regions that have not answered */
    uint32_t count;       /* rows, of tasks */
    uint32_t limit;       /* TASKS: rows in the reply */
    bool open, late, dup; /* TASKS: only such */
    bool by_state;        /* sort by state, then arrival; else newest first */
    bool more;
    struct query_row rows[QUERY_ROWS_MAX];
    struct query_asked *asked; /* malloc'ed */
    uint32_t asked_count;
    char after[2 * NAME_BYTES_MAX + 2];        /* WORKERS: rows behind this REGION/WORKER */
    struct bytes refusal_code, refusal_reason; /* DRAIN: malloc'ed, from the region */
};

/* The workers of a region as it told last, for when it cannot be asked. Memory only. */
struct known_workers {
    uint32_t region;
    uint32_t workers; /* how many its heartbeat told of when it was asked */
    uint32_t count;
    struct bytes rows; /* malloc'ed, marked stale */
};

struct queries {
    struct query slots[QUERIES_MAX];
    uint32_t open;
    struct known_workers *known; /* malloc'ed */
    uint32_t known_count;
    uint64_t known_check_ns; /* when to look which regions have other workers now */
};

struct broker;

void queries_release(struct queries *queries);
void broker_on_query(struct broker *broker, const struct event *event, const struct message_header *header,
                     struct outputs *outputs);
/* Ask `region` to drain its worker; the reply to the client comes with the ANSWER. False if no slot is free.
 */
bool query_drain(struct broker *broker, const struct event *event, uint64_t sequence, struct child *region,
                 struct bytes node, uint64_t deadline_ms, struct outputs *outputs);
void query_on_answer(struct broker *broker, struct child *region, struct bytes body, struct outputs *outputs);
/* Keep what is known of workers fresh. */
void query_watch_workers(struct broker *broker, struct outputs *outputs);
void queries_on_timeout(struct broker *broker, struct outputs *outputs);
uint64_t queries_deadline_ns(const struct queries *queries);

#endif
