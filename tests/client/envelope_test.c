/* envelope_test.c - a task of the caller as bytes: read back with the nodes' own parser. */
#include "client/envelope.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/reader.h"
#include "proto/task.h"

static char problem[160];
static const struct task_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static enum client_status make(const struct client_task *task, struct envelope *ret_envelope)
{
    problem[0] = '\0';
    return envelope_make(task, &id, problem, sizeof problem, ret_envelope);
}

static struct task_fields parse(struct envelope envelope)
{
    struct task_fields fields;
    struct task_problem found =
        task_parse((struct bytes){envelope.bytes, envelope.size}, PAYLOAD_BYTES_MAX, &fields);
    cr_assert_eq(found.code, ERROR_NONE, "%s", found.reason);
    return fields;
}

Test(envelope, carries_every_field_of_a_command)
{
    static const char *const arguments[] = {"sh", "-c", "echo $GREETING"};
    static const char *const environment[] = {"GREETING=a=b", "EMPTY="};
    static const char *const capabilities[] = {"gpu", "big"};
    struct envelope envelope;
    const struct client_task task = {
        .arguments = arguments,
        .argument_count = 3,
        .payload = bytes_of("stdin"),
        .environment = environment,
        .environment_count = 2,
        .working_directory = "/var",
        .priority = "low",
        .region = "eu",
        .capabilities = capabilities,
        .capability_count = 2,
        .delay_ms = 1,
        .timeout_ms = 20000,
        .deadline_ms = 3000000,
        .retries = 0,
    };
    cr_assert_eq(make(&task, &envelope), CLIENT_OK, "%s", problem);
    struct task_fields fields = parse(envelope);
    cr_assert(fields.has_id && task_id_equal(&fields.id, &id));
    cr_assert_eq(fields.argument_count, 3);
    cr_assert(bytes_are(fields.payload, "stdin"));
    cr_assert_eq(fields.environment_count, 2);
    struct reader reader;
    reader_init(&reader, fields.environment);
    cr_assert_eq(read_map(&reader, 2), 2);
    cr_assert(bytes_are(read_text(&reader, 100), "GREETING"));
    cr_assert(bytes_are(read_text(&reader, 100), "a=b"));
    cr_assert(bytes_are(fields.working_directory, "/var"));
    cr_assert_eq(fields.priority, PRIORITY_LOW);
    cr_assert(bytes_are(fields.region, "eu"));
    cr_assert_eq(fields.capability_count, 2);
    cr_assert(bytes_are(fields.capabilities[1], "big"));
    cr_assert_eq(fields.delay_ms, 1);
    cr_assert_eq(fields.timeout_ms, 20000);
    cr_assert_eq(fields.deadline_ms, 3000000);
    cr_assert_eq(fields.retries, 0);
    free(envelope.bytes);
}

Test(envelope, leaves_out_what_is_absent)
{
    struct envelope envelope;
    cr_assert_eq(make(&(struct client_task){.type = "resize", .retries = -1}, &envelope), CLIENT_OK);
    struct reader reader;
    reader_init(&reader, (struct bytes){envelope.bytes, envelope.size});
    cr_assert_eq(read_map(&reader, 16), 2);
    cr_assert_eq(parse(envelope).retries, RETRIES_DEFAULT_HANDLER);
    free(envelope.bytes);
}

Test(envelope, writes_arguments_that_are_no_utf8_as_bin)
{
    static const struct {
        const char *text;
        enum reader_type type;
    } rows[] = {
        {"plain", TYPE_STR},
        {"gr\xc3\xbc\xc3\x9f", TYPE_STR},
        {"\xf0\x9f\x8c\x8d", TYPE_STR},
        {"", TYPE_STR},
        {"\xff", TYPE_BIN},
        {"cut \xc3", TYPE_BIN},
        {"\xc0\xaf", TYPE_BIN},
        {"\xe0\x80\xaf", TYPE_BIN},
        {"\xed\xa0\x80", TYPE_BIN},
        {"\xf4\x90\x80\x80", TYPE_BIN},
        {"\x80", TYPE_BIN},
        {"\xe2\x82", TYPE_BIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *arguments[] = {"echo", rows[i].text};
        struct envelope envelope;
        struct client_task task = {.arguments = arguments, .argument_count = 2, .retries = -1};
        cr_assert_eq(make(&task, &envelope), CLIENT_OK, "%s", problem);
        struct reader reader;
        reader_init(&reader, parse(envelope).arguments);
        cr_assert_eq(read_array(&reader, 2), 2);
        (void)read_raw(&reader);
        cr_assert_eq(reader_peek(&reader), rows[i].type, "row %zu", i);
        free(envelope.bytes);
    }
}

Test(envelope, names_the_field_that_cannot_be_right)
{
    static const char *const arguments[] = {"true"};
    static const char *const pair[] = {"NO_VALUE"}, *const nameless[] = {"=value"};
    static const struct {
        struct client_task task;
        const char *field;
    } rows[] = {
        {{.retries = -1}, "argv"},
        {{.type = "a", .arguments = arguments, .argument_count = 1}, "argv"},
        {{.type = ""}, "type"},
        {{.type = "command"}, "type"},
        {{.type = "a", .priority = "urgent"}, "priority"},
        {{.type = "a", .region = ""}, "region"},
        {{.type = "a", .retries = 1001}, "retries"},
        {{.type = "a", .delay_ms = DURATION_MS_MAX + 1}, "delay_ms"},
        {{.type = "a", .working_directory = "/"}, "env, cwd"},
        {{.arguments = arguments, .argument_count = 1, .working_directory = "here"}, "cwd"},
        {{.arguments = arguments, .argument_count = 1, .environment = pair, .environment_count = 1}, "env"},
        {{.arguments = arguments, .argument_count = 1, .environment = nameless, .environment_count = 1},
         "env"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct envelope envelope;
        cr_assert_eq(make(&rows[i].task, &envelope), CLIENT_INVALID, "row %zu", i);
        cr_assert_eq(strncmp(problem, rows[i].field, strlen(rows[i].field)), 0, "row %zu: %s", i, problem);
    }
}

Test(envelope, of_more_than_1_mib_of_payload_or_a_frame_is_refused_with_its_size)
{
    struct envelope envelope;
    uint8_t *payload = calloc(1, PAYLOAD_BYTES_MAX + 1);
    struct client_task task = {.type = "a", .payload = {payload, PAYLOAD_BYTES_MAX + 1}, .retries = -1};
    cr_assert_eq(make(&task, &envelope), CLIENT_TOO_LARGE);
    cr_assert_not_null(strstr(problem, "payload: 1048577 bytes, at most 1048576"), "%s", problem);
    task.payload.size = PAYLOAD_BYTES_MAX;
    cr_assert_eq(make(&task, &envelope), CLIENT_OK);
    free(envelope.bytes);

    char *argument = calloc(1, ARGUMENT_BYTES_MAX + 1);
    memset(argument, 'x', ARGUMENT_BYTES_MAX);
    const char *arguments[] = {argument, argument, argument};
    task = (struct client_task){
        .arguments = arguments, .argument_count = 3, .payload = task.payload, .retries = -1};
    cr_assert_eq(make(&task, &envelope), CLIENT_TOO_LARGE);
    cr_assert_eq(strncmp(problem, "task: ", 6), 0, "%s", problem);
    free(argument);
    free(payload);
}
