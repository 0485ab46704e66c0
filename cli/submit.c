/* submit.c - meridian submit: from words to tasks, to the node, and if wanted to their ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/rows.h"
#include "cli/wait.h"
#include "proto/limits.h"

enum { COUNT_MAX = 10000000 };

enum option_key {
    OPTION_TYPE = 't',
    OPTION_REGION = 'r',
    OPTION_PRIORITY = 'p',
    OPTION_WAIT = 'w',
    OPTION_COUNT = 'n',
    OPTION_CAPABILITY = 256,
    OPTION_DELAY,
    OPTION_TIMEOUT,
    OPTION_DEADLINE,
    OPTION_RETRIES,
    OPTION_EACH_LINE,
    OPTION_PAYLOAD,
    OPTION_ENV,
    OPTION_CWD,
    OPTION_ID,
};

static const struct argp_option submit_options[] = {
    {"wait", OPTION_WAIT, NULL, 0, "Wait for the end; pass output and error through", 0},
    {"type", OPTION_TYPE, "TYPE", 0, "A task for the handler of this type, instead of a command", 0},
    {"payload", OPTION_PAYLOAD, "FILE", 0, "Standard input of the task; - reads it here", 0},
    {"region", OPTION_REGION, "REGION", 0, "Run it there and nowhere else", 0},
    {"capability", OPTION_CAPABILITY, "NAME", 0, "Only on workers with it; may be repeated", 0},
    {"priority", OPTION_PRIORITY, "PRIORITY", 0, "critical, high, normal or low (default: normal)", 0},
    {"delay", OPTION_DELAY, "DURATION", 0, "Not before this has passed", 0},
    {"timeout", OPTION_TIMEOUT, "DURATION", 0, "Of one attempt", 0},
    {"deadline", OPTION_DEADLINE, "DURATION", 0, "Of the whole task, from acceptance", 0},
    {"retries", OPTION_RETRIES, "N", 0, "After errors (default: 0 for a command, 3 for a type)", 0},
    {"count", OPTION_COUNT, "N", 0, "So many tasks alike", 0},
    {"each-line", OPTION_EACH_LINE, "FILE", 0,
     "One task per line, which replaces {} in the command; - reads it here", 0},
    {"env", OPTION_ENV, "NAME=VALUE", 0, "Environment of the command; may be repeated", 0},
    {"cwd", OPTION_CWD, "DIR", 0, "Working directory of the command (default: this one)", 0},
    {"id", OPTION_ID, "HEX", 0, "32 hex digits: submitting it again gives the first answer again", 0},
    {0},
};

struct submit {
    struct common_options common;
    bool wait;
    struct client_task task;
    const char *capabilities[CAPABILITIES_MAX];
    const char *environment[ENVIRONMENT_MAX];
    uint64_t count;
    const char *each_line, *payload_file;
    uint8_t id[TASK_ID_BYTES];
};

static error_t parse_submit(int key, char *text, struct argp_state *state)
{
    struct submit *submit = state->input;
    struct client_task *task = &submit->task;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &submit->common;
        return 0;
    case OPTION_WAIT:
        submit->wait = true;
        return 0;
    case OPTION_TYPE:
        task->type = text;
        return 0;
    case OPTION_PAYLOAD:
        submit->payload_file = text;
        return 0;
    case OPTION_REGION:
        task->region = text;
        return 0;
    case OPTION_CAPABILITY:
        if (task->capability_count == CAPABILITIES_MAX)
            usage_error("--capability: at most %d times", CAPABILITIES_MAX);
        submit->capabilities[task->capability_count++] = text;
        return 0;
    case OPTION_PRIORITY:
        task->priority = text;
        return 0;
    case OPTION_DELAY:
        task->delay_ms = option_duration_ms("delay", text);
        return 0;
    case OPTION_TIMEOUT:
        task->timeout_ms = option_duration_ms("timeout", text);
        return 0;
    case OPTION_DEADLINE:
        task->deadline_ms = option_duration_ms("deadline", text);
        return 0;
    case OPTION_RETRIES:
        task->retries = (int)option_number("retries", text, 0, RETRIES_MAX);
        return 0;
    case OPTION_COUNT:
        submit->count = option_number("count", text, 1, COUNT_MAX);
        return 0;
    case OPTION_EACH_LINE:
        submit->each_line = text;
        return 0;
    case OPTION_ENV:
        if (task->environment_count == ENVIRONMENT_MAX || strchr(text, '=') == NULL)
            usage_error("--env %s: NAME=VALUE, at most %d of them", text, ENVIRONMENT_MAX);
        submit->environment[task->environment_count++] = text;
        return 0;
    case OPTION_CWD:
        task->working_directory = text;
        return 0;
    case OPTION_ID:
        if (!hex_decode(bytes_of(text), submit->id, TASK_ID_BYTES))
            usage_error("--id %s: 32 hex digits", text);
        task->id = submit->id;
        return 0;
    case ARGP_KEY_ARG: /* the command: all that follows is its */
        task->arguments = (const char *const *)&state->argv[state->next - 1];
        task->argument_count = (uint32_t)(state->argc - state->next + 1);
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void check(const struct submit *submit)
{
    const struct client_task *task = &submit->task;
    if ((task->type == NULL) == (task->argument_count == 0))
        usage_error(task->type == NULL ? "nothing to run: give a command behind --, or --type"
                                       : "--type and a command: a task has one or the other");
    if (task->type != NULL && (task->environment_count > 0 || task->working_directory != NULL))
        usage_error("--env and --cwd are for commands; a handler has those of its worker");
    if (task->id != NULL && (submit->count > 1 || submit->each_line != NULL))
        usage_error("--id names one task: not with --count or --each-line");
    if (submit->each_line != NULL && submit->count > 1)
        usage_error("--each-line makes as many tasks as there are lines: not with --count");
    bool placeholder = false;
    for (uint32_t i = 0; i < task->argument_count; i++)
        placeholder = placeholder || strstr(task->arguments[i], "{}") != NULL;
    if (submit->each_line != NULL && !placeholder)
        usage_error("--each-line: the command has no {} to put a line in");
}

/* ---- input files ---- */

static FILE *open_input(const char *option, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL)
        usage_error("--%s %s: %s", option, path, strerror(errno));
    return file;
}

static struct bytes read_payload(const char *path)
{
    FILE *file = open_input("payload", path);
    uint8_t *bytes = malloc(PAYLOAD_BYTES_MAX + 1);
    if (bytes == NULL)
        usage_error("--payload %s: no memory", path);
    size_t size = fread(bytes, 1, PAYLOAD_BYTES_MAX + 1, file);
    if (ferror(file))
        usage_error("--payload %s: %s", path, strerror(errno));
    if (size > PAYLOAD_BYTES_MAX)
        usage_error(
            "--payload %s: larger than limits.payload_bytes (1 MiB); put it where the task can fetch it",
            path);
    if (file != stdin)
        fclose(file);
    return (struct bytes){bytes, size};
}

/* `text` with every {} replaced by `line`; malloc'ed. */
static char *replace(const char *text, const char *line)
{
    size_t places = 0;
    for (const char *at = strstr(text, "{}"); at != NULL; at = strstr(at + 2, "{}"))
        places++;
    char *made = malloc(strlen(text) + places * strlen(line) + 1), *to = made;
    if (made == NULL)
        abort();
    for (const char *at; (at = strstr(text, "{}")) != NULL; text = at + 2) {
        to = mempcpy(to, text, (size_t)(at - text));
        to = stpcpy(to, line);
    }
    strcpy(to, text);
    return made;
}

/* ---- handing in ---- */

struct handed {
    struct task_id *ids;
    bool *ended;
    size_t count, capacity;
};

static void submit_one(struct client *client, const struct submit *submit, const struct client_task *task,
                       struct handed *handed)
{
    if (handed->count == handed->capacity) {
        handed->capacity = handed->capacity == 0 ? 1024 : 2 * handed->capacity;
        handed->ids = realloc(handed->ids, handed->capacity * sizeof *handed->ids);
        handed->ended = realloc(handed->ended, handed->capacity);
        if (handed->ids == NULL || handed->ended == NULL)
            abort();
    }
    enum client_status status =
        client_submit(client, task, handed->count, submit->wait, handed->ids[handed->count].bytes);
    switch (status) {
    case CLIENT_OK:
        handed->ended[handed->count++] = false;
        return;
    case CLIENT_INVALID:
    case CLIENT_TOO_LARGE:
        usage_error("%s", client_problem(client));
    case CLIENT_KNOWN:
        usage_error("--id: given twice");
    case CLIENT_FULL:
    case CLIENT_TIMEOUT:
    case CLIENT_NO_MEMORY:
        fprintf(stderr, "meridian: no memory for so many open tasks; submit them in parts\n");
        exit(EXIT_TASK_FAILED);
    }
}

/* The tasks of --each-line, --count or the one task. Open tasks are bounded: waiting goes on in between. */
static void submit_all(struct client *client, const struct submit *submit, struct handed *handed)
{
    if (submit->each_line == NULL) {
        for (uint64_t i = 0; i < submit->count; i++)
            submit_one(client, submit, &submit->task, handed);
        return;
    }
    FILE *file = open_input("each-line", submit->each_line);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, file)) >= 0;) {
        line[strcspn(line, "\n")] = '\0';
        struct client_task task = submit->task;
        char **words = calloc(task.argument_count, sizeof *words);
        if (words == NULL)
            abort();
        for (uint32_t i = 0; i < task.argument_count; i++)
            words[i] = replace(submit->task.arguments[i], line);
        task.arguments = (const char *const *)words;
        submit_one(client, submit, &task, handed);
        for (uint32_t i = 0; i < task.argument_count; i++)
            free(words[i]);
        free(words);
    }
    free(line);
    if (file != stdin)
        fclose(file);
    if (handed->count == 0)
        usage_error("--each-line %s: it has no lines", submit->each_line);
}

static void print_accepted(const struct submit *submit, const struct handed *handed, size_t accepted)
{
    char id[TASK_ID_HEX + 1];
    const struct task_id *last = &handed->ids[handed->count - 1];
    if (submit->common.output == OUTPUT_TABLE) {
        short_id(last, id);
        if (handed->count == 1 && accepted == 1)
            printf("accepted %s\n", id);
        else if (accepted > 0)
            printf("accepted %zu tasks, last %s\n", accepted, id);
        return;
    }
    size_t printed = 0;
    for (size_t i = 0; i < handed->count; i++) {
        if (handed->ended[i])
            continue; /* refused: said on stderr */
        hex_encode((struct bytes){handed->ids[i].bytes, TASK_ID_BYTES}, id);
        if (submit->common.output == OUTPUT_ID) {
            puts(id);
            continue;
        }
        json_item(&submit->common, printed++);
        printf("{\"id\":\"%s\",\"status\":\"accepted\"}", id);
        json_item_end(&submit->common);
    }
    json_end(&submit->common, printed);
}

int cli_submit(int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = submit_options,
        .parser = parse_submit,
        .args_doc = "[-- COMMAND [ARGUMENT...]]",
        .children = children,
        .doc = "Hand in tasks: a command, or a payload for a handler.\v"
               "Examples:\n"
               "  meridian submit --wait -- echo hello\n"
               "  meridian submit --region ap --count 5 -- sleep 60\n"
               "  ls *.png | meridian submit --each-line - -- convert {} {}.jpg\n"
               "  meridian submit --type resize --payload photo.png --retries 5 --wait",
    };
    static struct submit submit = {.count = 1, .task.retries = -1};
    submit.task.capabilities = submit.capabilities;
    submit.task.environment = submit.environment;
    options_parse(&argp, "meridian submit", argc, argv, &submit);
    check(&submit);
    char *here = NULL;
    if (submit.task.argument_count > 0 && submit.task.working_directory == NULL)
        submit.task.working_directory = here = getcwd(NULL, 0);
    if (submit.payload_file != NULL)
        submit.task.payload = read_payload(submit.payload_file);
    struct client_options options;
    client_options_default(&options);
    options.tasks_max = COUNT_MAX;
    struct client *client = client_open(server_find(&submit.common), &options);
    if (client == NULL)
        usage_error("--server %s: not an endpoint, as tcp://127.0.0.1:7700", server_find(&submit.common));
    struct handed handed = {0};
    submit_all(client, &submit, &handed);
    struct wait wait = {.options = &submit.common,
                        .ids = handed.ids,
                        .ended = handed.ended,
                        .count = handed.count,
                        .left = handed.count,
                        .for_end = false};
    enum exit_code code = wait_for_tasks(client, &wait);
    if (wait.accepted > 0)
        selector_remember(&submit.common, handed.ids, handed.count);
    if (submit.wait) {
        wait.for_end = true;
        enum exit_code end = wait_for_tasks(client, &wait);
        code = end != EXIT_OK ? end : code;
        wait_end(&wait);
    } else {
        print_accepted(&submit, &handed, wait.accepted);
    }
    client_close(client);
    free(here);
    free(handed.ids);
    free(handed.ended);
    return code;
}
