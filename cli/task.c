/* task.c - meridian task VERB: the table of verbs, result and cancel. list is in task_list.c, show and
 * explain in task_show.c. */
#include "cli/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/rows.h"
#include "cli/table.h"
#include "cli/wait.h"
#include "proto/limits.h"
#include "proto/reader.h"

static const struct argp_option list_options[] = {
    {"open", 'O', NULL, 0, "Only tasks that have not ended", 0},
    {"late", 'L', NULL, 0, "Only tasks of which an outcome came too late and was refused", 0},
    {"dup", 'D', NULL, 0, "Only tasks that may have run more than once (dup_possible)", 0},
    {"limit", 'l', "N", 0, "At most so many (default: 50)", 0},
    {0},
};
static const struct argp_option result_options[] = {
    {"wait", 'w', NULL, 0, "Wait for the end", 0},
    {0},
};

static error_t parse_task(int key, char *text, struct argp_state *state)
{
    struct task_input *input = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &input->common;
        return 0;
    case 'O':
        input->open = true;
        return 0;
    case 'L':
        input->late = true;
        return 0;
    case 'D':
        input->dup = true;
        return 0;
    case 'l':
        input->limit = option_number("limit", text, 1, LIST_MAX);
        return 0;
    case 'w':
        input->wait = true;
        return 0;
    case ARGP_KEY_ARG:
        if (input->word_count == TASK_WORDS_MAX)
            usage_error("at most %d tasks at once", TASK_WORDS_MAX);
        input->words[input->word_count++] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- one row ---- */

void task_query_begin(struct writer *writer, uint32_t pairs, const char *what)
{
    write_map(writer, pairs);
    write_str(writer, "what");
    write_str(writer, what);
}

struct task_id task_only(struct client *client, const struct task_input *input)
{
    if (input->word_count != 1)
        usage_error("expected one task: `last' or its id");
    return selector_task(client, &input->common, input->words[0]);
}

struct bytes task_ask_row(struct client *client, const struct task_input *input, const char *what,
                          struct task_id id, struct bytes *ret_reply)
{
    uint8_t buffer[128];
    struct writer writer;
    bool explain = strcmp(what, "explain") == 0;
    writer_init(&writer, buffer, sizeof buffer);
    task_query_begin(&writer, 2, what);
    write_str(&writer, explain ? "id" : "ids");
    if (!explain)
        write_array(&writer, 1);
    write_bin(&writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    *ret_reply = cluster_ask(client, &input->common, "QUERY", writer_bytes(&writer), "ROWS");
    struct reader reader;
    reader_init(&reader, map_value(*ret_reply, "rows"));
    if (read_array(&reader, UINT16_MAX) == 0) {
        char hex[TASK_ID_SHORT_HEX + 1];
        fprintf(stderr, "meridian: task %s is not known at %s\n", short_id(&id, hex),
                server_find(&input->common));
        exit(EXIT_NOT_FOUND);
    }
    return read_raw(&reader);
}

bool task_row_has_ended(struct bytes row)
{
    static const char *const ends[] = {"completed", "failed", "cancelled", "expired"};
    bool ended = false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        ended = ended || bytes_are(map_text(row, "state"), ends[i]);
    return ended;
}

/* ---- result, cancel ---- */

static int task_result(struct task_input *input)
{
    static struct task_id ids[TASK_WORDS_MAX];
    static bool ended[TASK_WORDS_MAX];
    if (input->word_count == 0)
        usage_error("expected tasks: `last' or ids");
    struct client *client = cluster_open(&input->common);
    for (int i = 0; i < input->word_count; i++)
        ids[i] = selector_task(client, &input->common, input->words[i]);
    for (int i = 0; i < input->word_count && !input->wait; i++) {
        struct bytes reply, row = task_ask_row(client, input, "tasks", ids[i], &reply);
        struct bytes state = map_text(row, "state");
        if (task_row_has_ended(row))
            continue;
        char hex[TASK_ID_SHORT_HEX + 1];
        fprintf(stderr, "meridian: task %s is %.*s; wait for it with --wait\n", short_id(&ids[i], hex),
                (int)state.size, (const char *)state.data);
        client_close(client);
        return EXIT_TIMEOUT;
    }
    for (int i = 0; i < input->word_count; i++)
        if (client_watch(client, ids[i].bytes, (uint64_t)i) != CLIENT_OK)
            usage_error("%s: given twice", input->words[i]);
    struct wait wait = {.options = &input->common,
                        .ids = ids,
                        .ended = ended,
                        .count = (size_t)input->word_count,
                        .left = (size_t)input->word_count,
                        .for_end = true};
    enum exit_code code = wait_for_tasks(client, &wait);
    wait_end(&wait);
    client_close(client);
    return code;
}

static void print_cancel(const struct common_options *options, struct bytes row, size_t before)
{
    struct bytes raw = map_text(row, "id"), status = map_text(row, "status"), state = map_text(row, "state");
    char hex[TASK_ID_HEX + 1] = "";
    if (raw.size == TASK_ID_BYTES)
        hex_encode(raw, hex);
    const char *id = hex + strlen(hex) - (raw.size == TASK_ID_BYTES ? TASK_ID_SHORT_HEX : 0);
    if (output_is_json(options)) {
        json_item(options, before);
        json_print(stdout, row);
        json_item_end(options);
    } else if (bytes_are(status, "unknown")) {
        fprintf(stderr, "task %s is not known\n", id);
    } else if (options->output == OUTPUT_ID) {
        puts(hex);
    } else {
        printf("task %s %s%.*s\n", id,
               bytes_are(status, "ended") && !bytes_are(state, "cancelled") ? "had ended: " : "",
               (int)state.size, (const char *)state.data);
    }
}

/* One CANCEL for up to 512 ids; prints what became of each, behind the `*printed` before. */
static enum exit_code cancel_ids(struct client *client, const struct task_input *input,
                                 const struct task_id *ids, uint32_t count, size_t *printed)
{
    static uint8_t buffer[QUESTION_BYTES_MAX];
    enum exit_code code = EXIT_OK;
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 1);
    write_str(&writer, "ids");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_bin(&writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
    struct bytes reply = cluster_ask(client, &input->common, "CANCEL", writer_bytes(&writer), "CANCELLING");
    struct reader reader;
    reader_init(&reader, map_value(reply, "tasks"));
    for (uint32_t rows = read_array(&reader, TASK_WORDS_MAX); rows > 0; rows--) {
        struct bytes row = read_raw(&reader);
        if (bytes_are(map_text(row, "status"), "unknown"))
            code = EXIT_NOT_FOUND;
        print_cancel(&input->common, row, (*printed)++);
    }
    return code;
}

/* Every open task, page after page, until none is left that is not being cancelled. */
static enum exit_code cancel_all(struct client *client, const struct task_input *input, size_t *printed)
{
    static struct task_id ids[LIST_MAX];
    enum exit_code code = EXIT_OK;
    for (;;) {
        uint8_t buffer[128];
        uint32_t count = 0;
        struct writer writer;
        writer_init(&writer, buffer, sizeof buffer);
        task_query_begin(&writer, 3, "tasks");
        write_str(&writer, "open");
        write_bool(&writer, true);
        write_str(&writer, "limit");
        write_uint(&writer, LIST_MAX);
        struct bytes reply = cluster_ask(client, &input->common, "QUERY", writer_bytes(&writer), "ROWS");
        bool more = map_bool(reply, "more");
        struct reader reader;
        reader_init(&reader, map_value(reply, "rows"));
        for (uint32_t rows = read_array(&reader, LIST_MAX); rows > 0; rows--) {
            struct bytes row = read_raw(&reader), raw = map_text(row, "id");
            if (raw.size == TASK_ID_BYTES && !bytes_are(map_text(row, "state"), "cancelling"))
                memcpy(ids[count++].bytes, raw.data, TASK_ID_BYTES);
        }
        if (count > 0)
            code = cancel_ids(client, input, ids, count, printed);
        if (!more || count == 0)
            return code;
    }
}

static int task_cancel(struct task_input *input)
{
    static struct task_id ids[TASK_WORDS_MAX];
    if (input->word_count == 0)
        usage_error("expected tasks: `last', `all' or ids");
    struct client *client = cluster_open(&input->common);
    enum exit_code code;
    size_t printed = 0;
    if (input->word_count == 1 && strcmp(input->words[0], "all") == 0) {
        code = cancel_all(client, input, &printed);
    } else {
        for (int i = 0; i < input->word_count; i++)
            ids[i] = selector_task(client, &input->common, input->words[i]);
        code = cancel_ids(client, input, ids, (uint32_t)input->word_count, &printed);
    }
    if (output_is_json(&input->common))
        json_end(&input->common, printed);
    client_close(client);
    return code;
}

/* ---- verbs ---- */

static const struct {
    const char *name;
    int (*run)(struct task_input *);
    const struct argp_option *options;
    const char *arguments, *doc;
} verbs[] = {
    {"list", task_list, list_options, NULL,
     "The newest tasks; or the open, late or doubtful ones.\vWith --late or --dup the table says why: which "
     "attempt was lost where, and which outcome came when the task had gone on without it. --open, --late "
     "and --dup together show the tasks that all of them name.\n\n"
     "Examples:\n  meridian task list --open\n  meridian task list --late\n  meridian task list --dup -o "
     "json"},
    {"show", task_show, NULL, "TASK", "What is known of a task.\vExample: meridian task show last"},
    {"explain", task_explain, NULL, "TASK",
     "Why a task is where it is: who was considered, and why not.\vExample: meridian task explain last"},
    {"result", task_result, result_options, "TASK...",
     "Pass the output and error of ended tasks through.\vExample: meridian task result last --wait"},
    {"cancel", task_cancel, NULL, "TASK...|all",
     "Cancel queued and running tasks.\vExample: meridian task cancel 91d4a07e"},
};

int cli_task(int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    bool help = argc >= 2 && is_help(argv[1]);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && help; i++)
        print_verb("task", verbs[i].name, verbs[i].arguments, verbs[i].doc);
    if (help) {
        printf("A TASK is `last' or the last 8 (or more) hex digits of its id. Options: meridian task VERB "
               "--help\n");
        return EXIT_OK;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && argc >= 2; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        static struct task_input input = {.limit = LIST_LIMIT};
        char program[64];
        struct argp argp = {.options = verbs[i].options,
                            .parser = parse_task,
                            .args_doc = verbs[i].arguments,
                            .doc = verbs[i].doc,
                            .children = children};
        snprintf(program, sizeof program, "meridian task %s", verbs[i].name);
        options_parse(&argp, program, argc - 1, argv + 1, &input);
        return verbs[i].run(&input);
    }
    fprintf(stderr,
            "meridian: task: expected list, show, explain, result or cancel; as `meridian task list'\n");
    return EXIT_USAGE;
}
