/* query_rows.h - the replies to QUERY: what each row says; and which tasks are marked. Shared by query.c,
 * query_rows.c and query_marked.c only. */
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
/* The "id" of a row that a region sent. */
bool row_read_id(struct bytes map, struct task_id *ret_id);

#endif
