/* task.h - what the verbs of `meridian task` share: their words, and how they ask for rows. */
#ifndef MERIDIAN_CLI_TASK_H
#define MERIDIAN_CLI_TASK_H

#include "cli/cluster.h"
#include "client/outcome.h"

enum { TASK_WORDS_MAX = 512, LIST_LIMIT = 50, LIST_MAX = 256 };

struct task_input {
    struct common_options common;
    bool open, late, dup, wait;
    uint64_t limit, timeout_ms;
    char *words[TASK_WORDS_MAX];
    int word_count;
};

/* ---- task.c ---- */
/* The head of a QUERY: a map of `pairs`, "what" first. */
void task_query_begin(struct writer *writer, uint32_t pairs, const char *what);
/* The one task that the words name; a usage error if they name none, or several. */
struct task_id task_only(struct client *client, const struct task_input *input);
/* The row of one task, a view of `ret_reply`; exits EXIT_NOT_FOUND without one. `what` is "explain" or
 * "tasks". */
struct bytes task_ask_row(struct client *client, const struct task_input *input, const char *what,
                          struct task_id id, struct bytes *ret_reply);
/* Is the row that of a task which has ended? */
bool task_row_has_ended(struct bytes row);

/* ---- task_list.c ---- */
int task_list(struct task_input *input);

/* ---- task_show.c ---- */
int task_show(struct task_input *input);
int task_explain(struct task_input *input);

#endif
