/* query_rows.h - the replies to QUERY: what each row says. Used by query.c only. */
#ifndef MERIDIAN_BROKER_QUERY_ROWS_H
#define MERIDIAN_BROKER_QUERY_ROWS_H

#include "broker/query.h"

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
