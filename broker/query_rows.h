/* query_rows.h - the replies to QUERY: what each row says (query_rows.c, query_workers.c), which tasks are
 * marked (query_marked.c), and what these share with query.c. For the four only. */
#ifndef MERIDIAN_BROKER_QUERY_ROWS_H
#define MERIDIAN_BROKER_QUERY_ROWS_H

#include "broker/query.h"

/* query.c: a row for the task, if it is known and there is room. */
void query_add_row(struct broker *broker, struct query *query, const struct task_id *id);
/* The last row takes its place. */
void query_drop_row(struct query *query, struct query_row *row);

/* query_marked.c: the newest tasks with the marks that are asked for, as far as the broker knows. */
void query_add_marked(struct broker *broker, struct query *query);
/* A task that its region says is marked. False if it does not hold it. */
bool query_add_told(struct broker *broker, struct query *query, const struct child *region,
                    const struct task_id *id);
/* Has the task the marks that are asked for, now that its region may have answered? */
bool query_wants(struct broker *broker, const struct query *query, const struct query_row *row);

/* The one reply to a query whose answers are in, or whose time is over. */
void query_reply(struct broker *broker, struct query *query, struct outputs *outputs);
/* Ids whose hex ends in `short_id`; several mean that it is ambiguous. */
void query_reply_resolve(struct broker *broker, const struct event *event, uint64_t sequence,
                         struct bytes short_id, struct outputs *outputs);
/* "regions", or the one row of "cluster". */
void query_reply_own(struct broker *broker, const struct event *event, uint64_t sequence, bool cluster,
                     struct outputs *outputs);
/* A row that a region sent is a map that can be taken apart and put together again: text keys, "considered"
 * at most once. */
bool row_is_good(struct bytes map);
/* ROWS up to its array of `count` rows, which the caller writes; ended by outputs_message_end. */
struct writer *query_rows_begin(struct broker *broker, uint64_t peer, uint64_t sequence, bool more,
                                uint32_t count, struct outputs *outputs);
/* The "id" of a row that a region sent. */
bool row_read_id(struct bytes map, struct task_id *ret_id);

/* ---- query_workers.c ---- */

/* Ask the regions for their workers behind `after`, a REGION/WORKER; size 0 = from the first. */
void query_ask_workers(struct broker *broker, struct query *query, struct bytes after,
                       struct outputs *outputs);
/* The array of rows of an ANSWER. */
void query_take_workers(struct query_asked *asked, struct reader *reader);
/* What has come, in the order of names; of regions that did not answer what they said last, marked stale. */
void query_reply_workers(struct broker *broker, struct query *query, struct outputs *outputs);

/* ---- query.c ---- */

/* NULL if every slot is taken. `peer` 0: nobody waits for a reply. */
struct query *query_open(struct broker *broker, uint64_t peer, uint64_t sequence, enum query_kind kind);
/* Has it a session in which it answers? */
bool query_can_answer(const struct child *region);
/* An ASK; the caller writes the body of the question, then outputs_message_end. */
struct writer *query_ask(struct broker *broker, struct query *query, struct child *region,
                         const char *question, struct outputs *outputs);
/* What was asked of the region with this number, NULL if nothing was. */
struct query_asked *query_asked_of(struct query *query, uint32_t region);
/* The reply, once nobody is waited for. */
void query_reply_when_ready(struct broker *broker, struct query *query, struct outputs *outputs);
/* malloc'ed bytes: a copy (empty if there is no memory), and its end. */
struct bytes query_copy_bytes(struct bytes bytes);
void query_free_bytes(struct bytes *bytes);

#endif
