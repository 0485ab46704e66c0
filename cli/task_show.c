/* task_show.c - meridian task show and explain: all that is known of one task, and why it is where it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/outcome_text.h"
#include "cli/rows.h"
#include "cli/selector.h"
#include "cli/story.h"
#include "cli/table.h"
#include "cli/task.h"
#include "proto/limits.h"
#include "proto/reader.h"

enum { NAMES_WIDTH = 6 };

/* A reply is gone with the next question; this is its row, malloc'ed. */
static struct bytes keep(struct bytes row)
{
    uint8_t *copy = malloc(row.size);
    if (copy == NULL)
        usage_error("no memory for %zu bytes", row.size);
    memcpy(copy, row.data, row.size);
    return (struct bytes){copy, row.size};
}

/* How an ended task ended: a WATCH that is answered at once. False if it is not kept any more. */
static bool ask_outcome(struct client *client, const struct task_input *input, struct task_id id,
                        struct outcome *ret_outcome)
{
    uint8_t buffer[128];
    struct writer writer;
    struct reader reader;
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 1);
    write_str(&writer, "ids");
    write_array(&writer, 1);
    write_bin(&writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    struct bytes reply = cluster_ask(client, &input->common, "WATCH", writer_bytes(&writer), "RESULT");
    reader_init(&reader, map_value(reply, "results"));
    return read_array(&reader, 1) > 0 && outcome_read(read_raw(&reader), ret_outcome) &&
           ret_outcome->has_outcome;
}

/* ---- show ---- */

static bool is_kept_of_ended(struct bytes key)
{
    static const char *const kept[] = {"id", "state", "dup_possible", "late"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (bytes_are(key, kept[i]))
            return true;
    return false;
}

static void print_value(struct bytes value)
{
    struct reader reader;
    reader_init(&reader, value);
    if (reader_peek(&reader) == TYPE_STR) {
        struct bytes text = read_str(&reader, 0, SIZE_MAX);
        printf("%.*s\n", (int)text.size, (const char *)text.data);
    } else if (reader_peek(&reader) == TYPE_BIN) {
        char hex[TASK_ID_HEX + 1];
        hex_encode(read_bin(&reader, 0, TASK_ID_BYTES), hex);
        puts(hex);
    } else {
        json_print(stdout, value);
        putchar('\n');
    }
}

static void print_fields(struct bytes row, bool ended)
{
    struct reader reader;
    reader_init(&reader, row);
    for (uint32_t pairs = read_map(&reader, 64); pairs > 0; pairs--) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX), value = read_raw(&reader);
        if (bytes_are(key, "late_outcomes") || (ended && !is_kept_of_ended(key)))
            continue;
        printf("%-14.*s", (int)key.size, (const char *)key.data);
        print_value(value);
    }
}

int task_show(struct task_input *input)
{
    struct bytes reply;
    struct outcome outcome;
    struct story story;
    struct client *client = cluster_open(&input->common);
    struct task_id id = task_only(client, input);
    struct bytes row = task_ask_row(client, input, "tasks", id, &reply);
    if (!rows_print(&input->common, reply)) {
        bool ended = task_row_has_ended(row);
        row = keep(row);
        print_fields(row, ended);
        bool known = ended && ask_outcome(client, input, id, &outcome);
        if (known)
            outcome_print_facts(&outcome);
        else if (ended)
            printf("%-14snot kept any more (result_ttl)\n", "outcome");
        story_tell(&story, row, known ? &outcome : NULL);
        for (unsigned i = 0; i < story.count; i++)
            printf("%-14s%s: %s\n", i == 0 ? "history" : "", story.lines[i].who, story.lines[i].what);
        free((void *)(uintptr_t)row.data);
    }
    client_close(client);
    return EXIT_OK;
}

/* ---- explain ---- */

static void print_line(const char *who, int width, const char *what)
{
    printf("  %s%*s  %s\n", who, width < NAMES_WIDTH ? NAMES_WIDTH - width : 0, "", what);
}

static void print_head(struct bytes row)
{
    char id[TASK_ID_SHORT_HEX + 1], age[SPAN_TEXT_BYTES];
    struct bytes state = map_text(row, "state"), reason = map_text(row, "reason"), raw = map_text(row, "id");
    short_id((const struct task_id *)raw.data, id);
    printf("%s  %.*s", id, (int)state.size, (const char *)state.data);
    if (map_number(row, "attempt") > 0)
        printf(" %s", age_text(map_number(row, "age_ms"), age));
    if (reason.size > 0)
        printf("  %.*s", (int)reason.size, (const char *)reason.data);
    printf(map_bool(row, "dup_possible") ? "  dup_possible\n" : "\n");
}

static void print_considered(struct bytes row)
{
    struct reader reader;
    reader_init(&reader, map_value(row, "considered"));
    uint32_t count = reader.at == reader.end ? 0 : read_array(&reader, 1024);
    for (; count > 0; count--) {
        struct bytes considered = read_raw(&reader), text = map_text(considered, "text");
        struct reader names;
        int width = 0;
        reader_init(&names, map_value(considered, "names"));
        printf("  ");
        for (uint32_t i = 0, name_count = read_array(&names, 1024); i < name_count; i++) {
            struct bytes name = read_str(&names, 0, NAME_BYTES_MAX);
            width += printf("%s%.*s", i == 0 ? "" : " ", (int)name.size, (const char *)name.data);
        }
        printf("%*s  %.*s\n", width < NAMES_WIDTH ? NAMES_WIDTH - width : 0, "", (int)text.size,
               (const char *)text.data);
    }
}

/* Where and at which attempt it ended, and what went before and came too late. */
static void print_story(struct bytes row, const struct outcome *outcome)
{
    struct story story;
    story_tell(&story, row, outcome);
    for (unsigned i = 0; i < story.count; i++)
        print_line(story.lines[i].who, (int)strlen(story.lines[i].who), story.lines[i].what);
    if (outcome == NULL || outcome->worker.size == 0)
        return;
    char who[STORY_WHO_BYTES], what[STORY_WHAT_BYTES];
    snprintf(who, sizeof who, "%.*s", (int)outcome->worker.size, (const char *)outcome->worker.data);
    snprintf(what, sizeof what, "attempt %llu of %llu, the recorded one",
             (unsigned long long)outcome->attempt, (unsigned long long)outcome->attempts_max);
    print_line(who, (int)strlen(who), what);
}

int task_explain(struct task_input *input)
{
    struct bytes reply;
    struct outcome outcome;
    struct client *client = cluster_open(&input->common);
    struct task_id id = task_only(client, input);
    struct bytes row = task_ask_row(client, input, "explain", id, &reply);
    if (!rows_print(&input->common, reply)) {
        row = keep(row);
        print_head(row);
        print_considered(row);
        bool known = task_row_has_ended(row) && ask_outcome(client, input, id, &outcome);
        print_story(row, known ? &outcome : NULL);
        free((void *)(uintptr_t)row.data);
    }
    client_close(client);
    return EXIT_OK;
}
