/* task_test.c - the task map: each field good, of a wrong type, out of range, twice, unknown; and the hash by
 * which a second submit of an id is told from another task under the same id. */
#include <criterion/criterion.h>

#include "proto/task.h"
#include "tests/proto/random.h"

enum { MAP_BYTES = 1 << 20, PAYLOAD_MAX = 1000 };

static uint8_t data[MAP_BYTES];

static struct writer begin(uint32_t pairs)
{
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    write_map(&writer, pairs);
    return writer;
}

static struct task_problem parse(const struct writer *writer, struct task_fields *ret_fields)
{
    return task_parse(writer_bytes(writer), PAYLOAD_MAX, ret_fields);
}

static void put_argv(struct writer *writer)
{
    write_str(writer, "argv");
    write_array(writer, 2);
    write_str(writer, "echo");
    write_str(writer, "hi");
}

static void put_text(struct writer *writer, const char *key, const char *value)
{
    write_str(writer, key);
    write_str(writer, value);
}

static void put_uint(struct writer *writer, const char *key, uint64_t value)
{
    write_str(writer, key);
    write_uint(writer, value);
}

Test(task, the_smallest_command)
{
    struct task_fields fields;
    struct writer writer = begin(1);
    put_argv(&writer);
    cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
    cr_assert_not(fields.has_id);
    cr_assert(bytes_are(fields.type, COMMAND_TYPE));
    cr_assert_eq(fields.argument_count, 2);
    cr_assert_eq(fields.retries, RETRIES_DEFAULT_COMMAND);
    cr_assert_eq(fields.priority, PRIORITY_NORMAL);
    cr_assert_eq(fields.payload.size, 0);
    cr_assert_eq(fields.timeout_ms, 0);
}

Test(task, the_smallest_handler)
{
    struct task_fields fields;
    struct writer writer = begin(1);
    put_text(&writer, "type", "resize");
    cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
    cr_assert(bytes_are(fields.type, "resize"));
    cr_assert_eq(fields.arguments.size, 0);
    cr_assert_eq(fields.retries, RETRIES_DEFAULT_HANDLER);
}

Test(task, every_field_arrives)
{
    static const uint8_t id[TASK_ID_BYTES] = {1, 2, 3};
    struct task_fields fields;
    struct writer writer = begin(12);
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){id, sizeof id});
    put_argv(&writer);
    write_str(&writer, "payload");
    write_bin(&writer, bytes_of("stdin"));
    write_str(&writer, "env");
    write_map(&writer, 1);
    put_text(&writer, "LANG", "C");
    put_text(&writer, "cwd", "/srv");
    put_text(&writer, "priority", "low");
    put_text(&writer, "region", "ap");
    write_str(&writer, "capabilities");
    write_array(&writer, 2);
    write_str(&writer, "gpu");
    write_str(&writer, "ssd");
    put_uint(&writer, "delay_ms", 1);
    put_uint(&writer, "timeout_ms", 2);
    put_uint(&writer, "deadline_ms", DURATION_MS_MAX);
    put_uint(&writer, "retries", RETRIES_MAX);
    struct task_problem problem = parse(&writer, &fields);
    cr_assert_eq(problem.code, ERROR_NONE, "%s", problem.reason);
    cr_assert(fields.has_id);
    cr_assert_arr_eq(fields.id.bytes, id, TASK_ID_BYTES);
    cr_assert(bytes_are(fields.payload, "stdin"));
    cr_assert_eq(fields.environment_count, 1);
    cr_assert(bytes_are(fields.working_directory, "/srv"));
    cr_assert_eq(fields.priority, PRIORITY_LOW);
    cr_assert(bytes_are(fields.region, "ap"));
    cr_assert_eq(fields.capability_count, 2);
    cr_assert(bytes_are(fields.capabilities[1], "ssd"));
    cr_assert_eq(fields.delay_ms, 1);
    cr_assert_eq(fields.timeout_ms, 2);
    cr_assert_eq(fields.deadline_ms, DURATION_MS_MAX);
    cr_assert_eq(fields.retries, RETRIES_MAX);
}

Test(task, arguments_and_paths_may_be_bytes)
{
    struct task_fields fields;
    struct writer writer = begin(2);
    write_str(&writer, "argv");
    write_array(&writer, 1);
    write_bin(&writer, bytes_of("/bin/\xff"));
    write_str(&writer, "cwd");
    write_bin(&writer, bytes_of("/srv/\xff"));
    cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
}

Test(task, priorities_have_names)
{
    for (int priority = 0; priority < PRIORITY_COUNT; priority++)
        cr_assert_eq(priority_of(bytes_of(priority_text((enum priority)priority))), (enum priority)priority);
    cr_assert_eq(priority_of(bytes_of("urgent")), PRIORITY_COUNT);
}

/* ---- what is refused: a raw msgpack value under a name, beside a good argv ---- */

struct bad_value {
    const char *field;
    const char *value;
    size_t size;
};

#define BAD(field, value)                                                                                    \
    {                                                                                                        \
        field, value, sizeof value - 1                                                                       \
    }
static const struct bad_value bad_values[] = {
    BAD("id", "\xa2hi"),
    BAD("id", "\xc4\x0f"
              "123456789012345"),
    BAD("id", "\xc4\x11"
              "12345678901234567"),
    BAD("id", "\xd9\x10"
              "1234567890123456"),
    BAD("payload", "\xa2hi"),
    BAD("payload", "\xc0"),
    BAD("env", "\x90"),
    BAD("env", "\x81\xa1"
               "A\x01"),
    BAD("env", "\x81\xa0\xa1"
               "B"),
    BAD("env", "\x81\xa2"
               "A=\xa1"
               "B"),
    BAD("env", "\x81\xa2"
               "A\0\xa1"
               "B"),
    BAD("env", "\x81\xa1"
               "A\xa2"
               "B\0"),
    BAD("cwd", "\xa0"),
    BAD("cwd", "\xa3srv"),
    BAD("cwd", "\xa3/a\0"),
    BAD("cwd", "\x07"),
    BAD("priority", "\xa6urgent"),
    BAD("priority", "\x01"),
    BAD("region", "\xa0"),
    BAD("region", "\x01"),
    BAD("region", "\xd9\x41"
                  "12345678901234567890123456789012345678901234567890123456789012345"),
    BAD("capabilities", "\x91\xa2\n\x7f"),
    BAD("region", "\xa3"
                  "e\0u"),
    BAD("capabilities", "\xa3gpu"),
    BAD("capabilities", "\x91\x01"),
    BAD("capabilities", "\x91\xa0"),
    BAD("capabilities", "\xdc\x00\x11\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a\xa1"
                        "a"),
    BAD("delay_ms", "\xff"),
    BAD("delay_ms", "\xa1"
                    "5"),
    BAD("delay_ms", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
    BAD("timeout_ms", "\xca\x00\x00\x00\x00"),
    BAD("timeout_ms", "\xcf\x00\x00\x00\x08\x0b\xef\xc4\x01"),
    BAD("deadline_ms", "\xc0"),
    BAD("deadline_ms", "\xcf\x00\x00\x00\x08\x0b\xef\xc4\x01"),
    BAD("retries", "\xcd\x03\xe9"),
    BAD("retries", "\xc3"),
};

static void refused_by_name(const char *field, struct task_problem problem, enum error_code code)
{
    cr_assert_eq(problem.code, code, "%s: %s, %s", field, error_code_text(problem.code), problem.reason);
    cr_assert_str_eq(problem.field, field);
    cr_assert_eq(strncmp(problem.reason, field, strlen(field)), 0, "\"%s\" names %s first", problem.reason,
                 field);
}

Test(task, a_bad_value_is_refused_by_the_name_of_its_field)
{
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        struct task_fields fields;
        struct writer writer = begin(2);
        put_argv(&writer);
        write_str(&writer, bad_values[i].field);
        write_raw(&writer, (struct bytes){(const uint8_t *)bad_values[i].value, bad_values[i].size});
        refused_by_name(bad_values[i].field, parse(&writer, &fields), ERROR_INVALID_FIELD);
    }
}

Test(task, durations_end_at_their_limit)
{
    static const char *const names[] = {"delay_ms", "timeout_ms", "deadline_ms"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct task_fields fields;
        struct writer writer = begin(2);
        put_argv(&writer);
        put_uint(&writer, names[i], DURATION_MS_MAX);
        cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
        writer = begin(2);
        put_argv(&writer);
        put_uint(&writer, names[i], DURATION_MS_MAX + 1);
        refused_by_name(names[i], parse(&writer, &fields), ERROR_INVALID_FIELD);
    }
}

static const struct bad_value bad_alone[] = {
    BAD("argv", "\x90"),
    BAD("argv", "\xa2ls"),
    BAD("argv", "\x91\x01"),
    BAD("argv", "\x91\xa2l\0"),
    BAD("argv", "\x91\xc0"),
    BAD("type", "\xa7"
                "command"),
    BAD("type", "\xa0"),
    BAD("type", "\xc4\x01x"),
    BAD("type", "\xa2\x1b["),
    BAD("type", "\xa3p q"),
};

Test(task, a_bad_command_or_type_is_refused_by_name)
{
    for (size_t i = 0; i < sizeof bad_alone / sizeof bad_alone[0]; i++) {
        struct task_fields fields;
        struct writer writer = begin(1);
        write_str(&writer, bad_alone[i].field);
        write_raw(&writer, (struct bytes){(const uint8_t *)bad_alone[i].value, bad_alone[i].size});
        refused_by_name(bad_alone[i].field, parse(&writer, &fields), ERROR_INVALID_FIELD);
    }
}

Test(task, a_field_given_twice_is_refused)
{
    static const char *const names[] = {"delay_ms", "timeout_ms", "deadline_ms", "retries"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct task_fields fields;
        struct writer writer = begin(3);
        put_uint(&writer, names[i], 1);
        put_argv(&writer);
        put_uint(&writer, names[i], 1);
        refused_by_name(names[i], parse(&writer, &fields), ERROR_INVALID_FIELD);
    }
}

Test(task, an_unknown_field_is_refused_by_its_own_name)
{
    struct task_fields fields;
    struct writer writer = begin(2);
    put_argv(&writer);
    put_uint(&writer, "colour", 1);
    struct task_problem problem = parse(&writer, &fields);
    cr_assert_eq(problem.code, ERROR_UNKNOWN_FIELD);
    cr_assert(strstr(problem.reason, "colour") == problem.reason, "%s", problem.reason);
}

Test(task, an_unknown_field_is_named_even_among_very_many)
{
    struct task_fields fields;
    struct writer writer = begin(2000);
    for (int i = 0; i < 2000; i++)
        put_uint(&writer, "colour", 1);
    struct task_problem problem = parse(&writer, &fields);
    cr_assert_eq(problem.code, ERROR_UNKNOWN_FIELD);
    cr_assert(strstr(problem.reason, "colour") == problem.reason, "%s", problem.reason);
}

Test(task, a_hostile_name_cannot_break_the_log)
{
    struct task_fields fields;
    struct writer writer = begin(2);
    put_argv(&writer);
    put_uint(&writer, "\n\x1b[31m\xff", 1);
    struct task_problem problem = parse(&writer, &fields);
    cr_assert_eq(problem.code, ERROR_UNKNOWN_FIELD);
    for (const char *c = problem.reason; *c != '\0'; c++)
        cr_assert(*c >= ' ' && *c < 127);
}

Test(task, the_longest_name_leaves_room_for_the_reason)
{
    char name[NAME_BYTES_MAX + 1];
    memset(name, 'x', NAME_BYTES_MAX);
    name[NAME_BYTES_MAX] = '\0';
    struct task_fields fields;
    struct writer writer = begin(1);
    put_uint(&writer, name, 1);
    struct task_problem problem = parse(&writer, &fields);
    cr_assert_eq(problem.code, ERROR_UNKNOWN_FIELD);
    cr_assert(strstr(problem.reason, "no such field") != NULL, "%s", problem.reason);
    cr_assert_lt(strlen(problem.reason), sizeof problem.reason);
}

Test(task, a_command_or_a_handler_and_not_both)
{
    struct task_fields fields;
    struct writer neither = begin(0);
    refused_by_name("argv", parse(&neither, &fields), ERROR_INVALID_FIELD);
    struct writer both = begin(2);
    put_argv(&both);
    put_text(&both, "type", "resize");
    refused_by_name("argv", parse(&both, &fields), ERROR_INVALID_FIELD);
}

Test(task, a_handler_has_no_environment_or_directory)
{
    struct task_fields fields;
    struct writer writer = begin(2);
    put_text(&writer, "type", "resize");
    put_text(&writer, "cwd", "/");
    cr_assert_eq(parse(&writer, &fields).code, ERROR_INVALID_FIELD);
}

Test(task, the_payload_keeps_to_the_limit)
{
    static uint8_t payload[PAYLOAD_MAX + 1];
    struct task_fields fields;
    struct writer writer = begin(2);
    put_argv(&writer);
    write_str(&writer, "payload");
    write_bin(&writer, (struct bytes){payload, PAYLOAD_MAX});
    cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
    cr_assert_eq(fields.payload.size, PAYLOAD_MAX);

    writer = begin(2);
    put_argv(&writer);
    write_str(&writer, "payload");
    write_bin(&writer, (struct bytes){payload, PAYLOAD_MAX + 1});
    refused_by_name("payload", parse(&writer, &fields), ERROR_TOO_LARGE);
}

Test(task, what_is_no_map_is_malformed)
{
    static const uint8_t array[] = {0x90}, numbered[] = {0x81, 0x01, 0x02};
    struct task_fields fields;
    cr_assert_eq(task_parse((struct bytes){array, 1}, PAYLOAD_MAX, &fields).code, ERROR_MALFORMED);
    cr_assert_eq(task_parse((struct bytes){numbered, 3}, PAYLOAD_MAX, &fields).code, ERROR_MALFORMED);
    cr_assert_eq(task_parse((struct bytes){array, 0}, PAYLOAD_MAX, &fields).code, ERROR_MALFORMED);
}

/* ---- the hash of the body ---- */

/* The fields of one task, written in the order that `seed` shuffles them into. */
static uint64_t hash_of(uint64_t seed, uint8_t id_byte, uint64_t timeout_ms, const char *payload)
{
    int order[] = {0, 1, 2, 3, 4};
    struct random random = {seed};
    for (uint64_t i = 4; i > 0; i--) {
        uint64_t other = random_below(&random, i + 1);
        int swapped = order[i];
        order[i] = order[other];
        order[other] = swapped;
    }
    uint8_t id[TASK_ID_BYTES] = {id_byte};
    struct writer writer = begin(5);
    for (int i = 0; i < 5; i++) {
        if (order[i] == 0) {
            write_str(&writer, "id");
            write_bin(&writer, (struct bytes){id, sizeof id});
        } else if (order[i] == 1) {
            put_argv(&writer);
        } else if (order[i] == 2) {
            put_uint(&writer, "timeout_ms", timeout_ms);
        } else if (order[i] == 3) {
            write_str(&writer, "payload");
            write_bin(&writer, bytes_of(payload));
        } else {
            put_text(&writer, "region", "eu");
        }
    }
    struct task_fields fields;
    cr_assert_eq(parse(&writer, &fields).code, ERROR_NONE);
    return fields.body_hash;
}

Test(task, the_hash_is_of_the_body_and_not_of_its_order)
{
    uint64_t hash = hash_of(0, 1, 5, "payload");
    for (uint64_t seed = 1; seed < 200; seed++)
        cr_assert_eq(hash_of(seed, (uint8_t)seed, 5, "payload"), hash);
    cr_assert_neq(hash_of(0, 1, 6, "payload"), hash);
    cr_assert_neq(hash_of(0, 1, 5, "payloae"), hash);
    cr_assert_neq(hash_of(0, 1, 5, "payload "), hash);
    cr_assert_neq(hash_of(0, 1, 5, ""), hash);
}

Test(task, a_default_written_out_is_another_body)
{
    struct task_fields silent, spoken;
    struct writer writer = begin(1);
    put_argv(&writer);
    (void)parse(&writer, &silent);
    writer = begin(2);
    put_argv(&writer);
    put_text(&writer, "priority", "normal");
    cr_assert_eq(parse(&writer, &spoken).code, ERROR_NONE);
    cr_assert_neq(silent.body_hash, spoken.body_hash, "the hash is over the fields as sent");
}

Test(task, every_single_bit_of_a_payload_changes_the_hash)
{
    char payload[40];
    memset(payload, 'a', sizeof payload);
    payload[sizeof payload - 1] = '\0';
    uint64_t hash = hash_of(0, 1, 5, payload);
    for (size_t bit = 0; bit < 8 * (sizeof payload - 1); bit++) {
        payload[bit / 8] ^= (char)(1 << bit % 8);
        if (payload[bit / 8] != '\0')
            cr_assert_neq(hash_of(0, 1, 5, payload), hash, "bit %zu", bit);
        payload[bit / 8] ^= (char)(1 << bit % 8);
    }
}

Test(task, a_map_cut_or_garbled_is_refused_or_read_within_its_bytes)
{
    struct random random = {6};
    for (int round = 0; round < 20000; round++) {
        struct writer writer = begin(3);
        put_argv(&writer);
        put_text(&writer, "region", "eu");
        put_uint(&writer, "delay_ms", 70000);
        size_t size = random_below(&random, writer.size + 1);
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, data, size);
        for (uint64_t flips = random_below(&random, 4); flips > 0 && size > 0; flips--)
            copy[random_below(&random, size)] = (uint8_t)random_next(&random);
        struct task_fields fields;
        uint8_t *exact = realloc(copy, size == 0 ? 1 : size);
        struct task_problem problem = task_parse((struct bytes){exact, size}, PAYLOAD_MAX, &fields);
        cr_assert(problem.code == ERROR_NONE || problem.reason[0] != '\0');
        free(exact);
    }
}
