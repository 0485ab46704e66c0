/* dev_status.c - both ends of `meridian dev status`: the supervisor writes a row for each node, the verb
 * prints them as a table (docs/cli-output.md promises the rows of -o json). */
#include "cli/dev_status.h"

#include <string.h>

#include "cli/cluster.h"
#include "cli/dev_control.h"
#include "cli/dev_state.h"
#include "cli/table.h"
#include "proto/reader.h"
#include "proto/writer.h"

enum { ROW_FIELDS = 13 };

static const char *const cut_texts[] = {[0] = "", [CUT_UP] = "up", [CUT_DOWN] = "down", [CUT_BOTH] = "both"};

/* ---- the supervisor's end ---- */

static const char *state_of(const struct dev_node *node)
{
    return node->pid == 0 ? "down" : node->paused ? "paused" : "running";
}

static void write_text(struct writer *writer, const char *name, const char *text)
{
    write_str(writer, name);
    write_str(writer, text);
}

static void write_number(struct writer *writer, const char *name, uint64_t value)
{
    write_str(writer, name);
    write_uint(writer, value);
}

static void write_link(const struct supervisor *supervisor, struct writer *writer,
                       const struct dev_node *node)
{
    static const struct shim_shared whole;
    static const struct line none;
    bool sandboxed = supervisor->shim != NULL && node->tier != DEV_BROKER;
    const struct shim_shared *link = sandboxed ? shim_link(supervisor->shim, node) : &whole;
    const struct line *line =
        sandboxed && node->tier == DEV_REGION ? &supervisor->plan->lines[node->region] : &none;
    write_text(writer, "parent",
               node->tier == DEV_BROKER ? "" : dev_plan_parent(supervisor->plan, node)->name);
    write_number(writer, "rtt_us", line->rtt_us);
    write_number(writer, "jitter_us", line->jitter_us);
    write_number(writer, "loss_ppm", line->loss_ppm);
    write_text(writer, "cut", cut_texts[atomic_load(&link->cut)]);
    write_number(writer, "cut_ms", node->cut_since_ms == 0 ? 0 : dev_now_ms() - node->cut_since_ms);
    write_number(writer, "up_bytes", atomic_load(&link->bytes[WAY_UP]));
    write_number(writer, "down_bytes", atomic_load(&link->bytes[WAY_DOWN]));
    write_number(writer, "lost_segments", atomic_load(&link->lost_segments));
}

void dev_status_reply(const struct supervisor *supervisor, int connection)
{
    static uint8_t space[DEV_REPLY_BYTES_MAX - 1];
    struct writer writer;
    writer_init(&writer, space, sizeof space);
    write_map(&writer, 1);
    write_str(&writer, "rows");
    write_array(&writer, supervisor->plan->node_count);
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        const struct dev_node *node = &supervisor->plan->nodes[i];
        write_map(&writer, ROW_FIELDS);
        write_text(&writer, "name", node->name);
        write_text(&writer, "state", state_of(node));
        write_number(&writer, "state_ms", dev_now_ms() - node->since_ms);
        write_number(&writer, "pid", (uint64_t)node->pid);
        write_link(supervisor, &writer, node);
    }
    dev_control_reply(connection, EXIT_OK, writer_bytes(&writer));
}

/* ---- the reader's end ---- */

static void text_cell(struct table *table, struct bytes row, const char *name)
{
    struct bytes text = map_text(row, name);
    table_cell(table, "%.*s", (int)text.size, (const char *)text.data);
}

/* The most that any row has. */
static uint64_t most(struct bytes rows, const char *name)
{
    uint64_t result = 0;
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t left = read_array(&reader, UINT16_MAX); left > 0 && !reader_failed(&reader); left--) {
        uint64_t value = map_number(read_raw(&reader), name);
        result = value > result ? value : result;
    }
    return result;
}

/* Empty for the broker, which has no link. */
static void ms_cell(struct table *table, struct bytes row, const char *name)
{
    if (map_text(row, "parent").size == 0)
        table_cell(table, "%s", "");
    else
        table_cell(table, "%.0f ms", (double)map_number(row, name) / 1000);
}

static void loss_cell(struct table *table, struct bytes row)
{
    if (map_text(row, "parent").size == 0)
        table_cell(table, "%s", "");
    else
        table_cell(table, "%g%%", (double)map_number(row, "loss_ppm") / 10000);
}

static void cut_cell(struct table *table, struct bytes row)
{
    char span[SPAN_TEXT_BYTES];
    struct bytes cut = map_text(row, "cut");
    if (cut.size == 0)
        table_cell(table, "%s", "");
    else
        table_cell(table, "cut%s%.*s for %s", bytes_are(cut, "both") ? "" : " ",
                   bytes_are(cut, "both") ? 0 : (int)cut.size, (const char *)cut.data,
                   age_text(map_number(row, "cut_ms"), span));
}

void dev_status_print(struct bytes rows)
{
    enum { ALWAYS = 6, MOST = ALWAYS + 3 };
    struct table_column columns[MOST] = {{"NODE", 0, false}, {"PID", 0, true},     {"STATE", 0, false},
                                         {"FOR", 0, true},   {"PARENT", 0, false}, {"RTT", 0, true}};
    bool jitter = most(rows, "jitter_us") > 0, loss = most(rows, "loss_ppm") > 0;
    unsigned count = ALWAYS;
    if (jitter)
        columns[count++] = (struct table_column){"JITTER", 0, true};
    if (loss)
        columns[count++] = (struct table_column){"LOSS", 0, true};
    columns[count++] = (struct table_column){"LINK", 0, false};
    char span[SPAN_TEXT_BYTES];
    struct table *table = table_new(columns, count);
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t left = read_array(&reader, UINT16_MAX); left > 0 && !reader_failed(&reader); left--) {
        struct bytes row = read_raw(&reader);
        text_cell(table, row, "name");
        if (map_number(row, "pid") == 0)
            table_cell(table, "%s", "");
        else
            table_cell(table, "%llu", (unsigned long long)map_number(row, "pid"));
        text_cell(table, row, "state");
        table_cell(table, "%s", age_text(map_number(row, "state_ms"), span));
        text_cell(table, row, "parent");
        ms_cell(table, row, "rtt_us");
        if (jitter)
            ms_cell(table, row, "jitter_us");
        if (loss)
            loss_cell(table, row);
        cut_cell(table, row);
    }
    table_print(table, stdout);
}
