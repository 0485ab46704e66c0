/* query_marked.c - QUERY tasks with "late" or "dup": which tasks carry the mark, the newest of them.
 *
 * The broker knows the marks of all that has ended, and of the living what it marked itself. That a worker
 * was lost a region has marked, and will say with the outcome: until then only the region knows, and is asked
 * ("marked" in ASK tasks). Cost: a look at every living task and, newest first, at as many ended ones as it
 * takes to find the rows, as `resolve` does. */
#include "broker/broker_state.h"
#include "broker/query_rows.h"

static bool row_is_dup(struct bytes answer)
{
    struct reader reader;
    reader_init(&reader, read_map_value(answer, "dup_possible"));
    return read_bool(&reader) && !reader_failed(&reader);
}

bool query_wants(struct broker *broker, const struct query *query, const struct query_row *row)
{
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, &row->id);
    uint32_t index = ledger_find(&broker->tasks, &row->id);
    bool dup = ended != NULL
                   ? (ended->arrival_and_bits & ENDED_DUP) != 0
                   : (index != 0 && ledger_task(&broker->tasks, index)->flags & TASK_DUP_POSSIBLE) ||
                         row_is_dup(row->answer);
    if (query->open && ended != NULL)
        return false;
    return (!query->dup || dup) && (!query->late || broker_was_late(broker, &row->id));
}

/* The row that a newer one may take the place of. */
static struct query_row *oldest_row(struct query *query)
{
    struct query_row *oldest = &query->rows[0];
    for (uint32_t i = 1; i < query->count; i++)
        if (query->rows[i].arrival < oldest->arrival)
            oldest = &query->rows[i];
    return oldest;
}

/* Among the `limit` newest; a living task's arrival is enough to know. */
static void add_newest(struct broker *broker, struct query *query, const struct task_id *id, uint64_t arrival)
{
    if (query->count < query->limit) {
        query_add_row(broker, query, id);
        return;
    }
    query->more = true;
    if (query->count == 0)
        return;
    struct query_row *oldest = oldest_row(query);
    if (oldest->arrival >= arrival)
        return;
    query_drop_row(query, oldest);
    query_add_row(broker, query, id);
}

static void add_living(struct broker *broker, struct query *query)
{
    uint8_t wanted = (query->dup ? TASK_DUP_POSSIBLE : 0) | (query->late ? TASK_LATE : 0);
    const struct ledger *tasks = &broker->tasks;
    for (uint32_t i = 1; i < tasks->tasks.next_fresh; i++) {
        const struct task *task = ledger_task(tasks, i);
        if (task->state != TASK_NONE && (task->flags & wanted) == wanted &&
            ledger_find(tasks, &task->id) == i)
            add_newest(broker, query, &task->id, task->arrival);
    }
}

static void add_ended(struct broker *broker, struct query *query)
{
    uint32_t found = 0;
    for (uint64_t number = broker->ended.next; number-- > broker->ended.first && found <= query->limit;) {
        const struct ended_entry *entry = ended_at(&broker->ended, ended_value(number));
        bool wanted = (!query->dup || entry->arrival_and_bits & ENDED_DUP) && (!query->late || entry->late);
        if (!wanted || ledger_find_ended(&broker->tasks, &entry->id) != entry)
            continue;
        add_newest(broker, query, &entry->id, ended_arrival(entry));
        found++;
    }
}

void query_add_marked(struct broker *broker, struct query *query)
{
    add_living(broker, query);
    if (!query->open)
        add_ended(broker, query);
}

bool query_add_told(struct broker *broker, struct query *query, const struct child *region,
                    const struct task_id *id)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    if (index == 0 || ledger_holder(&broker->tasks, ledger_task(&broker->tasks, index)) != region)
        return false;
    add_newest(broker, query, id, ledger_task(&broker->tasks, index)->arrival);
    return true;
}
