/* task_list.c - meridian task list: the newest tasks, the open ones, those that are marked.
 *
 * With --late and --dup the table says where, at which attempt, and why; of tasks that have ended that is in
 * their outcomes, which are asked for with a WATCH that does not wait. Rows of -o json are the node's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"
#include "cli/selector.h"
#include "cli/story.h"
#include "cli/table.h"
#include "cli/task.h"
#include "proto/limits.h"
#include "proto/reader.h"

enum { WHERE_BYTES = 2 * NAME_BYTES_MAX + 2, WHY_BYTES = 512 };

/* ---- as they are ---- */

static void id_and_state(struct table *table, struct bytes row)
{
    char id[TASK_ID_SHORT_HEX + 1] = "";
    struct bytes raw = map_text(row, "id"), state = map_text(row, "state");
    if (raw.size == TASK_ID_BYTES)
        short_id((const struct task_id *)raw.data, id);
    table_cell(table, "%s", id);
    table_cell(table, "%.*s", (int)state.size, (const char *)state.data);
}

static void attempt_cell(struct table *table, uint64_t attempt)
{
    if (attempt > 0)
        table_cell(table, "%llu", (unsigned long long)attempt);
    else
        table_cell(table, "%s", "");
}

static void print_tasks(struct bytes rows)
{
    static const struct table_column columns[] = {{"ID", 8, false},    {"STATE", 8, false},
                                                  {"WHERE", 0, false}, {"ATTEMPT", 0, true},
                                                  {"AGE", 4, false},   {"REASON", 0, false}};
    struct table *table = table_new(columns, 6);
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t count = read_array(&reader, UINT16_MAX); count > 0; count--) {
        char age[SPAN_TEXT_BYTES];
        struct bytes row = read_raw(&reader), where = map_text(row, "where"),
                     reason = map_text(row, "reason");
        uint64_t attempt = map_number(row, "attempt");
        id_and_state(table, row);
        table_cell(table, "%.*s", (int)where.size, (const char *)where.data);
        attempt_cell(table, attempt);
        table_cell(table, "%s", attempt > 0 ? age_text(map_number(row, "age_ms"), age) : "");
        table_cell(table, "%.*s%s%s%s", (int)reason.size, (const char *)reason.data,
                   reason.size > 0 && map_bool(row, "dup_possible") ? "  " : "",
                   map_bool(row, "dup_possible") ? "dup_possible" : "",
                   map_bool(row, "stale") ? "  (stale)" : "");
    }
    table_print(table, stdout);
}

/* ---- those that are marked ---- */

/* A row, and what its outcome adds to it. */
struct marked {
    struct task_id id;
    struct bytes row;
    bool asked;
    uint64_t attempt;
    char where[WHERE_BYTES], why[WHY_BYTES];
};

static struct marked *marked_by_id(struct marked *all, uint32_t count, struct task_id id)
{
    for (uint32_t i = 0; i < count; i++)
        if (task_id_equal(&all[i].id, &id))
            return &all[i];
    return NULL;
}

/* What the row itself says. */
static void read_marked(struct marked *marked, struct bytes row)
{
    struct story story;
    struct bytes raw = map_text(row, "id"), where = map_text(row, "where");
    *marked =
        (struct marked){.row = row, .attempt = map_number(row, "attempt"), .asked = task_row_has_ended(row)};
    if (raw.size == TASK_ID_BYTES)
        memcpy(marked->id.bytes, raw.data, TASK_ID_BYTES);
    snprintf(marked->where, sizeof marked->where, "%.*s", (int)where.size, (const char *)where.data);
    story_tell(&story, row, NULL);
    story_text(&story, marked->why, sizeof marked->why);
    if (story.count == 0 && !marked->asked)
        strcpy(marked->why, "an earlier attempt was lost, its end is not known");
}

static void take_outcome(struct marked *marked, const struct outcome *outcome)
{
    struct story story;
    marked->asked = false;
    if (!outcome->has_outcome)
        return;
    snprintf(marked->where, sizeof marked->where, "%.*s", (int)outcome->worker.size,
             (const char *)outcome->worker.data);
    marked->attempt = outcome->attempt;
    story_tell(&story, marked->row, outcome);
    story_text(&story, marked->why, sizeof marked->why);
}

/* One WATCH for the outcomes that are still missing; false when none came. */
static bool ask_outcomes(struct client *client, const struct task_input *input, struct marked *all,
                         uint32_t count)
{
    static uint8_t buffer[QUESTION_BYTES_MAX];
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 1);
    write_str(&writer, "ids");
    size_t at = write_array_open(&writer);
    uint32_t asked = 0, taken = 0;
    for (uint32_t i = 0; i < count; i++)
        if (all[i].asked) {
            write_bin(&writer, (struct bytes){all[i].id.bytes, TASK_ID_BYTES});
            asked++;
        }
    if (asked == 0)
        return false;
    patch_count(buffer, at, asked);
    struct bytes reply = cluster_ask(client, &input->common, "WATCH", writer_bytes(&writer), "RESULT");
    struct reader reader;
    reader_init(&reader, map_value(reply, "results"));
    for (uint32_t left = read_array(&reader, UINT16_MAX); left > 0 && !reader_failed(&reader); left--) {
        struct outcome outcome;
        struct marked *marked =
            outcome_read(read_raw(&reader), &outcome) ? marked_by_id(all, count, outcome.id) : NULL;
        if (marked == NULL || !marked->asked)
            continue;
        take_outcome(marked, &outcome);
        taken++;
    }
    return taken > 0;
}

static void print_marked(struct client *client, const struct task_input *input, struct bytes rows)
{
    static const struct table_column columns[] = {
        {"ID", 8, false}, {"STATE", 8, false}, {"WHERE", 0, false}, {"ATTEMPT", 0, true}, {"WHY", 0, false}};
    static struct marked all[LIST_MAX];
    uint8_t *copy = malloc(rows.size); /* the reply is gone with the next question */
    if (copy == NULL)
        usage_error("no memory for %zu bytes", rows.size);
    memcpy(copy, rows.data, rows.size);
    struct reader reader;
    reader_init(&reader, (struct bytes){copy, rows.size});
    uint32_t count = read_array(&reader, LIST_MAX);
    for (uint32_t i = 0; i < count; i++)
        read_marked(&all[i], read_raw(&reader));
    while (ask_outcomes(client, input, all, count))
        continue;
    struct table *table = table_new(columns, 5);
    for (uint32_t i = 0; i < count; i++) {
        id_and_state(table, all[i].row);
        table_cell(table, "%s", all[i].where);
        attempt_cell(table, all[i].attempt);
        table_cell(table, "%s", all[i].why);
    }
    table_print(table, stdout);
    free(copy);
}

int task_list(struct task_input *input)
{
    uint8_t buffer[128];
    struct writer writer;
    if (input->word_count > 0)
        usage_error("%s: list takes no further words; one task: meridian task show %s", input->words[0],
                    input->words[0]);
    const struct {
        const char *name;
        bool is_set;
    } filters[] = {{"open", input->open}, {"late", input->late}, {"dup", input->dup}};
    enum { FILTERS = sizeof filters / sizeof filters[0] };
    uint32_t pairs = 2;
    for (int i = 0; i < FILTERS; i++)
        pairs += filters[i].is_set;
    struct client *client = cluster_open(&input->common);
    writer_init(&writer, buffer, sizeof buffer);
    task_query_begin(&writer, pairs, "tasks");
    for (int i = 0; i < FILTERS; i++)
        if (filters[i].is_set) {
            write_str(&writer, filters[i].name);
            write_bool(&writer, true);
        }
    write_str(&writer, "limit");
    write_uint(&writer, input->limit);
    struct bytes reply = cluster_ask(client, &input->common, "QUERY", writer_bytes(&writer), "ROWS");
    if (!rows_print(&input->common, reply)) {
        bool more = map_bool(reply, "more");
        if (input->late || input->dup)
            print_marked(client, input, map_value(reply, "rows"));
        else
            print_tasks(map_value(reply, "rows"));
        if (more)
            fprintf(stderr, "there are more; --limit shows up to %d\n", LIST_MAX);
    }
    client_close(client);
    return EXIT_OK;
}
