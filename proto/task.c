/* task.c - see task.h. One table names each field and the function that reads it. */
#include "proto/task.h"

#include "proto/assert.h"
#include "proto/reader.h"
#include "proto/text.h"

static const char *const priorities[PRIORITY_COUNT] = {"critical", "high", "normal", "low"};

const char *priority_text(enum priority priority)
{
    ASSERT(priority < PRIORITY_COUNT);
    return priorities[priority];
}

enum priority priority_of(struct bytes text)
{
    int priority = 0;
    while (priority < PRIORITY_COUNT && !bytes_are(text, priorities[priority]))
        priority++;
    return (enum priority)priority;
}

struct parse {
    struct reader reader;
    struct task_fields *fields;
    uint64_t payload_bytes_max;
    enum error_code code; /* set by a field function whose value is well-formed but refused */
};

static void parse_id(struct parse *parse)
{
    struct bytes id = read_bin(&parse->reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(parse->fields->id.bytes, id.data, TASK_ID_BYTES);
    parse->fields->has_id = true;
}

static void parse_argv(struct parse *parse)
{
    const uint8_t *from = parse->reader.at;
    uint32_t count = read_array(&parse->reader, ARGUMENTS_MAX);
    if (!reader_failed(&parse->reader) && count == 0)
        reader_fail(&parse->reader, READER_RANGE);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes argument = read_text(&parse->reader, ARGUMENT_BYTES_MAX);
        if (memchr(argument.data, 0, argument.size) != NULL)
            reader_fail(&parse->reader, READER_RANGE);
    }
    parse->fields->arguments = (struct bytes){from, (size_t)(parse->reader.at - from)};
    parse->fields->argument_count = count;
}

static void parse_env(struct parse *parse)
{
    const uint8_t *from = parse->reader.at;
    uint32_t count = read_map(&parse->reader, ENVIRONMENT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = read_text(&parse->reader, ARGUMENT_BYTES_MAX);
        struct bytes value = read_text(&parse->reader, ARGUMENT_BYTES_MAX);
        bool bad_name = name.size == 0 || memchr(name.data, '=', name.size) != NULL ||
                        memchr(name.data, 0, name.size) != NULL;
        if (bad_name || memchr(value.data, 0, value.size) != NULL)
            reader_fail(&parse->reader, READER_RANGE);
    }
    parse->fields->environment = (struct bytes){from, (size_t)(parse->reader.at - from)};
    parse->fields->environment_count = count;
}

static void parse_type(struct parse *parse)
{
    parse->fields->type = read_name(&parse->reader);
    if (bytes_are(parse->fields->type, COMMAND_TYPE))
        reader_fail(&parse->reader, READER_RANGE); /* reserved: a command is what has argv */
}

static void parse_payload(struct parse *parse)
{
    parse->fields->payload = read_bin(&parse->reader, 0, SIZE_MAX);
    if (parse->fields->payload.size > parse->payload_bytes_max)
        parse->code = ERROR_TOO_LARGE;
}

static void parse_cwd(struct parse *parse)
{
    parse->fields->working_directory = read_text(&parse->reader, PATH_BYTES_MAX);
    struct bytes path = parse->fields->working_directory;
    if (path.size == 0 || path.data[0] != '/' || memchr(path.data, 0, path.size) != NULL)
        reader_fail(&parse->reader, READER_RANGE);
}

static void parse_priority(struct parse *parse)
{
    parse->fields->priority = priority_of(read_str(&parse->reader, 0, NAME_BYTES_MAX));
    if (parse->fields->priority == PRIORITY_COUNT)
        reader_fail(&parse->reader, READER_RANGE);
}

static void parse_region(struct parse *parse)
{
    parse->fields->region = read_name(&parse->reader);
}

static void parse_capabilities(struct parse *parse)
{
    parse->fields->capability_count = read_array(&parse->reader, CAPABILITIES_MAX);
    for (uint32_t i = 0; i < parse->fields->capability_count; i++)
        parse->fields->capabilities[i] = read_name(&parse->reader);
}

static void parse_delay(struct parse *parse)
{
    parse->fields->delay_ms = read_uint(&parse->reader, DURATION_MS_MAX);
}

static void parse_timeout(struct parse *parse)
{
    parse->fields->timeout_ms = read_uint(&parse->reader, DURATION_MS_MAX);
}

static void parse_deadline(struct parse *parse)
{
    parse->fields->deadline_ms = read_uint(&parse->reader, DURATION_MS_MAX);
}

static void parse_retries(struct parse *parse)
{
    parse->fields->retries = (uint32_t)read_uint(&parse->reader, RETRIES_MAX);
}

static const struct {
    const char *name;
    void (*parse)(struct parse *);
    const char *expected;
} table[] = {
    {"id", parse_id, "16 bytes (bin)"},
    {"argv", parse_argv, "an array of 1 to 4096 strings of up to 128 KiB, without NUL"},
    {"type", parse_type,
     "a name of 1 to 64 bytes without spaces and control characters, other than \"command\""},
    {"payload", parse_payload, "bytes (bin) within limits.payload_bytes"},
    {"env", parse_env, "a map of up to 1024 names to values, without NUL, no '=' in names"},
    {"cwd", parse_cwd, "an absolute path of up to 4096 bytes"},
    {"priority", parse_priority, "critical, high, normal or low"},
    {"region", parse_region, "a name of 1 to 64 bytes without spaces and control characters"},
    {"capabilities", parse_capabilities,
     "an array of up to 16 names of 1 to 64 bytes without spaces and control characters"},
    {"delay_ms", parse_delay, "milliseconds, 0 to 49 days"},
    {"timeout_ms", parse_timeout, "milliseconds, 0 to 49 days"},
    {"deadline_ms", parse_deadline, "milliseconds, 0 to 49 days"},
    {"retries", parse_retries, "0 to 1000"},
};

enum {
    FIELD_COUNT = sizeof table / sizeof table[0],
    FIELD_ID = 0,
    FIELD_ARGV = 1,
    FIELD_TYPE = 2,
    FIELD_RETRIES = 12
};

static struct task_problem problem(enum error_code code, const char *field, struct bytes name,
                                   const char *what)
{
    struct task_problem found = {.code = code, .field = field};
    struct text text;
    text_init(&text, found.reason, sizeof found.reason);
    text_add_bytes(&text, name);
    text_add(&text, ": ");
    text_add(&text, what);
    return found;
}

/* FNV-1a over one field's bytes. Fields are added up, so their order does not matter. */
static uint64_t hash_field(const uint8_t *from, const uint8_t *to)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    size_t words = (size_t)(to - from) / 8;
    for (size_t i = 0; i < words; i++, from += 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        hash = (hash ^ word) * 0x100000001b3ull;
        hash ^= hash >> 29;
    }
    for (; from < to; from++)
        hash = (hash ^ *from) * 0x100000001b3ull;
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15ull;
}

static struct task_problem check_whole(const struct task_fields *fields, uint32_t seen)
{
    bool command = (seen & 1u << FIELD_ARGV) != 0, handler = (seen & 1u << FIELD_TYPE) != 0;
    if (command == handler)
        return problem(ERROR_INVALID_FIELD, "argv", bytes_of("argv"),
                       "a task has either argv (a command) or type (a handler)");
    if (handler && (fields->environment_count != 0 || fields->working_directory.size != 0))
        return problem(ERROR_INVALID_FIELD, "env", bytes_of("env, cwd"), "only for a command (argv)");
    return (struct task_problem){.code = ERROR_NONE, .field = ""};
}

struct task_problem task_parse(struct bytes map, uint64_t payload_bytes_max, struct task_fields *ret_fields)
{
    struct parse parse = {.fields = ret_fields, .payload_bytes_max = payload_bytes_max};
    memset(ret_fields, 0, sizeof *ret_fields);
    ret_fields->priority = PRIORITY_NORMAL;
    reader_init(&parse.reader, map);
    /* No bound on the pairs but the bytes: the first unknown or repeated field ends the loop, by its name. */
    uint32_t pairs = read_map(&parse.reader, UINT32_MAX), seen = 0;
    for (uint32_t i = 0; i < pairs && !reader_failed(&parse.reader); i++) {
        const uint8_t *from = parse.reader.at;
        struct bytes name = read_str(&parse.reader, 0, NAME_BYTES_MAX);
        int field = 0;
        while (field < FIELD_COUNT && !bytes_are(name, table[field].name))
            field++;
        if (reader_failed(&parse.reader))
            break;
        if (field == FIELD_COUNT)
            return problem(ERROR_UNKNOWN_FIELD, "", name, "no such field of a task");
        if (seen & 1u << field)
            return problem(ERROR_INVALID_FIELD, table[field].name, name, "given twice");
        seen |= 1u << field;
        table[field].parse(&parse);
        if (reader_failed(&parse.reader))
            return problem(ERROR_INVALID_FIELD, table[field].name, name, table[field].expected);
        if (field != FIELD_ID)
            ret_fields->body_hash += hash_field(from, parse.reader.at);
    }
    if (reader_failed(&parse.reader))
        return problem(ERROR_MALFORMED, "", bytes_of("task"), reader_error_text(parse.reader.error));
    if (parse.code == ERROR_TOO_LARGE) /* said last, so that the id is known wherever it stands */
        return problem(ERROR_TOO_LARGE, "payload", bytes_of("payload"), "larger than limits.payload_bytes");
    bool command = (seen & 1u << FIELD_ARGV) != 0;
    if (command)
        ret_fields->type = bytes_of(COMMAND_TYPE);
    if (!(seen & 1u << FIELD_RETRIES))
        ret_fields->retries = command ? RETRIES_DEFAULT_COMMAND : RETRIES_DEFAULT_HANDLER;
    return check_whole(ret_fields, seen);
}
