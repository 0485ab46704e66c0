/* nodes.c - meridian region list, region forget, worker list, worker drain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"
#include "cli/table.h"
#include "proto/limits.h"
#include "proto/reader.h"

enum { DEADLINE_MS_DEFAULT = 30000 };

struct node_input {
    struct common_options common;
    uint64_t deadline_ms;
    const char *node;
};

static const struct argp_option drain_options[] = {
    {"deadline", 'd', "DURATION", 0, "Then tasks that still run are ended and given back (default: 30s)", 0},
    {0},
};

static error_t parse_node(int key, char *text, struct argp_state *state)
{
    struct node_input *input = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &input->common;
        return 0;
    case 'd':
        input->deadline_ms = option_duration_ms("deadline", text);
        return 0;
    case ARGP_KEY_ARG:
        if (input->node != NULL)
            usage_error("%s: one node at a time", text);
        input->node = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

enum { PAGE_BYTES_MAX = 1024 * 1024 };

/* {"what": what, "after": last}, last being empty for the first page. */
static struct bytes ask_page(struct client *client, const struct node_input *input, const char *what,
                             const char *last)
{
    uint8_t buffer[256];
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, last[0] == '\0' ? 1 : 2);
    write_str(&writer, "what");
    write_str(&writer, what);
    if (last[0] != '\0') {
        write_str(&writer, "after");
        write_str(&writer, last);
    }
    return cluster_ask(client, &input->common, "QUERY", writer_bytes(&writer), "ROWS");
}

/* The rows of a page behind those before; `last` becomes the REGION/WORKER of the last one. */
static uint32_t append_rows(struct writer *rows, struct bytes page, char *last, size_t size)
{
    struct reader reader;
    reader_init(&reader, map_value(page, "rows"));
    uint32_t count = read_array(&reader, UINT16_MAX);
    const uint8_t *from = reader.at;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes row = read_raw(&reader), region = map_text(row, "region"), name = map_text(row, "name");
        if (i + 1 == count)
            snprintf(last, size, "%.*s/%.*s", (int)region.size, (const char *)region.data, (int)name.size,
                     (const char *)name.data);
    }
    struct bytes all = {from, (size_t)(reader.at - from)};
    if (rows->capacity - rows->size < all.size) {
        rows->capacity += all.size + PAGE_BYTES_MAX;
        rows->data = realloc(rows->data, rows->capacity);
        if (rows->data == NULL)
            abort();
    }
    write_raw(rows, all);
    return count;
}

/* {"rows": [row, ...]} of all pages; the caller frees its bytes. */
static struct bytes ask_rows(struct client *client, const struct node_input *input, const char *what)
{
    char last[256] = "";
    struct writer rows;
    uint32_t count, all = 0;
    bool more;
    if (input->node != NULL)
        usage_error("%s: list takes no further words", input->node);
    writer_init(&rows, malloc(PAGE_BYTES_MAX), PAGE_BYTES_MAX);
    if (rows.data == NULL)
        abort();
    write_map(&rows, 1);
    write_str(&rows, "rows");
    size_t count_at = write_array_open(&rows);
    do {
        struct bytes page = ask_page(client, input, what, last);
        count = append_rows(&rows, page, last, sizeof last);
        all += count;
        more = map_bool(page, "more");
    } while (more && count > 0);
    patch_count(rows.data, count_at, all);
    return writer_bytes(&rows);
}

static void text_cell(struct table *table, struct bytes row, const char *key)
{
    struct bytes text = map_text(row, key);
    table_cell(table, "%.*s", (int)text.size, (const char *)text.data);
}

static void number_cell(struct table *table, struct bytes row, const char *key)
{
    table_cell(table, "%llu", (unsigned long long)map_number(row, key));
}

static void span_cell(struct table *table, struct bytes row, const char *key)
{
    char span[SPAN_TEXT_BYTES];
    uint64_t us = map_number(row, key);
    table_cell(table, "%s", us == 0 ? "" : span_text(us, span));
}

static void print_regions(struct bytes rows)
{
    static const struct table_column columns[] = {{"REGION", 0, false}, {"STATE", 0, false},
                                                  {"WORKERS", 0, true}, {"SLOTS", 0, true},
                                                  {"HELD", 0, true},    {"RTT", 6, true}};
    struct table *table = table_new(columns, 6);
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t count = read_array(&reader, UINT16_MAX); count > 0; count--) {
        struct bytes row = read_raw(&reader);
        text_cell(table, row, "name");
        text_cell(table, row, "state");
        number_cell(table, row, "workers");
        number_cell(table, row, "slots");
        number_cell(table, row, "held");
        span_cell(table, row, "rtt_us");
    }
    table_print(table, stdout);
}

static void print_workers(struct bytes rows)
{
    static const struct table_column columns[] = {
        {"REGION", 0, false}, {"WORKER", 0, false}, {"STATE", 0, false}, {"SLOTS", 0, true},
        {"BUSY", 0, true},    {"DONE", 0, true},    {"LOST", 0, true},   {"LATE", 0, true},
        {"P50", 7, true},     {"P99", 7, true}};
    struct table *table = table_new(columns, 10);
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t count = read_array(&reader, UINT16_MAX); count > 0; count--) {
        struct bytes row = read_raw(&reader);
        text_cell(table, row, "region");
        text_cell(table, row, "name");
        if (map_bool(row, "stale"))
            table_cell(table, "stale"); /* its region did not answer: this is what it said last */
        else
            text_cell(table, row, "state");
        number_cell(table, row, "slots");
        number_cell(table, row, "busy");
        number_cell(table, row, "done");
        number_cell(table, row, "lost");
        number_cell(table, row, "late");
        span_cell(table, row, "p50_us");
        span_cell(table, row, "p99_us");
    }
    table_print(table, stdout);
}

static int list(struct node_input *input, const char *what, void (*print)(struct bytes rows))
{
    struct client *client = cluster_open(&input->common);
    struct bytes reply = ask_rows(client, input, what);
    if (!rows_print(&input->common, reply))
        print(map_value(reply, "rows"));
    free((void *)(uintptr_t)reply.data);
    client_close(client);
    return EXIT_OK;
}

static int region_list(struct node_input *input)
{
    return list(input, "regions", print_regions);
}

static int worker_list(struct node_input *input)
{
    return list(input, "workers", print_workers);
}

/* The reply as a row, for programs. */
static bool print_forgotten(const struct node_input *input, uint64_t tasks)
{
    uint8_t buffer[256];
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 1);
    write_str(&writer, "rows");
    write_array(&writer, 1);
    write_map(&writer, 2);
    write_str(&writer, "name");
    write_str(&writer, input->node);
    write_str(&writer, "tasks");
    write_uint(&writer, tasks);
    return rows_print(&input->common, writer_bytes(&writer));
}

static int region_forget(struct node_input *input)
{
    uint8_t buffer[256];
    struct writer writer;
    if (input->node == NULL || strchr(input->node, '/') != NULL || strlen(input->node) > NAME_BYTES_MAX)
        usage_error("expected a region, as eu");
    struct client *client = cluster_open(&input->common);
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 1);
    write_str(&writer, "node");
    write_str(&writer, input->node);
    struct bytes reply = cluster_ask(client, &input->common, "FORGET", writer_bytes(&writer), "FORGETTING");
    uint64_t tasks = map_number(reply, "tasks");
    if (!print_forgotten(input, tasks))
        printf("%s is forgotten: the %llu tasks that it held are placed again, marked\n", input->node,
               (unsigned long long)tasks);
    client_close(client);
    return EXIT_OK;
}

static int worker_drain(struct node_input *input)
{
    uint8_t buffer[512];
    struct writer writer;
    if (input->node == NULL || strchr(input->node, '/') == NULL || strlen(input->node) > 2 * 64 + 1)
        usage_error("expected a worker, as us/w2");
    struct client *client = cluster_open(&input->common);
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 2);
    write_str(&writer, "node");
    write_str(&writer, input->node);
    write_str(&writer, "deadline_ms");
    write_uint(&writer, input->deadline_ms);
    cluster_ask(client, &input->common, "DRAIN", writer_bytes(&writer), "DONE");
    if (input->common.output == OUTPUT_TABLE)
        printf("%s drains: no new tasks; what runs may go on for %llu s\n", input->node,
               (unsigned long long)input->deadline_ms / 1000);
    client_close(client);
    return EXIT_OK;
}

static const struct {
    const char *noun, *verb;
    int (*run)(struct node_input *);
    const struct argp_option *options;
    const char *arguments, *doc;
} verbs[] = {
    {"region", "list", region_list, NULL, NULL,
     "Regions, as the broker sees them.\vExample: meridian region list"},
    {"region", "forget", region_forget, NULL, "REGION",
     "End the wait for a region that never comes back.\vIts tasks are placed again at once instead of after "
     "`region_grace', marked as possible duplicates. A region that is connected is not forgotten: stop it "
     "first.\n\nExample: meridian region forget eu"},
    {"worker", "list", worker_list, NULL, NULL,
     "Workers of all regions.\vLOST: grants ended by loss; LATE: outcomes refused; P50, P99: from the first "
     "grant until the outcome was recorded.\n\nExample: meridian worker list -o json"},
    {"worker", "drain", worker_drain, drain_options, "REGION/WORKER",
     "Let a worker finish and go.\vExample: meridian worker drain us/w2 --deadline 30s"},
};

static int run_verb(const char *noun, const char *expected, int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    bool help = argc >= 2 && is_help(argv[1]);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && help; i++)
        if (strcmp(noun, verbs[i].noun) == 0)
            print_verb(noun, verbs[i].verb, verbs[i].arguments, verbs[i].doc);
    if (help)
        return EXIT_OK;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && argc >= 2; i++) {
        if (strcmp(noun, verbs[i].noun) != 0 || strcmp(argv[1], verbs[i].verb) != 0)
            continue;
        static struct node_input input = {.deadline_ms = DEADLINE_MS_DEFAULT};
        char program[64];
        struct argp argp = {.options = verbs[i].options,
                            .parser = parse_node,
                            .args_doc = verbs[i].arguments,
                            .doc = verbs[i].doc,
                            .children = children};
        snprintf(program, sizeof program, "meridian %s %s", noun, verbs[i].verb);
        options_parse(&argp, program, argc - 1, argv + 1, &input);
        return verbs[i].run(&input);
    }
    fprintf(stderr, "meridian: %s: expected %s\n", noun, expected);
    return EXIT_USAGE;
}

int cli_region(int argc, char **argv)
{
    return run_verb("region", "list, forget or run; as `meridian region list'", argc, argv);
}

int cli_worker(int argc, char **argv)
{
    return run_verb("worker", "list, drain or run; as `meridian worker list'", argc, argv);
}
