/* rows.h - what QUERY shows of a task: one row, written alike by the broker and by the region that holds the
 * task. */
#ifndef MERIDIAN_ENGINE_ROWS_H
#define MERIDIAN_ENGINE_ROWS_H

#include "engine/ledger.h"

enum { TASK_ROW_FIELDS = 11, TASK_ROW_BYTES_MAX = 512 };

struct task_row {
    const char *state;           /* as people see it, "cancelling" included */
    struct bytes region, worker; /* where: region, or region/worker; both empty = nowhere yet */
    const char *reason;
    bool stale; /* the holder did not answer: this is what was last known */
};

/* "delayed", "ready", "granted", "running", or "cancelling" if a cancel is on its way. */
const char *task_shown_state(const struct task *task);
/* Order of states in a list: what runs first, then what waits; `state` as in a row. */
uint32_t task_state_rank(struct bytes state);
/* A map of TASK_ROW_FIELDS pairs, plus `more_fields` that the caller writes behind it. */
void task_row_write(struct writer *writer, const struct ledger *ledger, const struct task *task,
                    const struct task_row *row, uint32_t more_fields);

#endif
