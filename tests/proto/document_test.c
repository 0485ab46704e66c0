/* document_test.c - PROTOCOL.md and the bytes cannot drift apart: dumps, limits, kinds and error codes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/proto/golden.h"

static const char *document(void)
{
    static char *text;
    if (text == NULL)
        text = golden_file("proto/PROTOCOL.md");
    cr_assert_not_null(text, "proto/PROTOCOL.md cannot be read");
    return text;
}

static void shows_golden(const struct golden *golden)
{
    char fence[64];
    snprintf(fence, sizeof fence, "\n```hex %s\n", golden->name);
    const char *block = strstr(document(), fence);
    cr_assert_not_null(block, "PROTOCOL.md has no dump of %s", golden->name);
    block += strlen(fence);
    const char *end = strstr(block, "```");
    cr_assert_not_null(end);
    uint8_t shown[GOLDEN_BYTES_MAX], data[GOLDEN_BYTES_MAX];
    size_t size = 0;
    cr_assert(golden_parse(block, end, shown, sizeof shown, &size), "the dump of %s is not hex",
              golden->name);
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    golden->write(&writer);
    cr_assert(bytes_equal(writer_bytes(&writer), (struct bytes){shown, size}),
              "the dump of %s has other bytes", golden->name);
}

Test(document, every_dump_has_the_golden_bytes)
{
    for (size_t i = 0; i < golden_link_count; i++)
        shows_golden(&golden_link[i]);
    for (size_t i = 0; i < golden_client_count; i++)
        shows_golden(&golden_client[i]);
}

Test(document, every_dump_has_the_annotation_that_dump_py_prints)
{
    cr_assert_eq(system("/usr/bin/python3 " MERIDIAN_SOURCE_DIR "/tests/proto/dump.py --check"), 0);
}

Test(document, every_kind_and_every_error_code_is_explained)
{
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++) {
        char heading[64];
        snprintf(heading, sizeof heading, "\n### %s\n", message_kind_text((enum message_kind)kind));
        cr_assert_not_null(strstr(document(), heading), "no section%s", heading);
    }
    static const char *const codes[] = {
#define X(name, text) text,
        ERROR_CODES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char row[64];
        snprintf(row, sizeof row, "\n| `%s` | ", codes[i]);
        cr_assert_not_null(strstr(document(), row), "no row for the error code %s", codes[i]);
    }
}

#define LIMIT(name)                                                                                          \
    {                                                                                                        \
#name, name                                                                                          \
    }
static const struct {
    const char *name;
    uint64_t value;
} limits[] = {
    LIMIT(PROTOCOL_VERSION_MIN),
    LIMIT(PROTOCOL_VERSION_MAX),
    LIMIT(FRAME_BYTES_SOFT),
    LIMIT(FRAME_BYTES_MAX),
    LIMIT(PAYLOAD_BYTES_MAX),
    LIMIT(FRAME_ENTRIES_MAX),
    LIMIT(OUTCOME_ENTRIES_MAX),
    LIMIT(INVENTORY_ROWS_MAX),
    LIMIT(FRAME_DEPTH_MAX),
    LIMIT(KIND_BYTES_MAX),
    LIMIT(NAME_BYTES_MAX),
    LIMIT(ARGUMENTS_MAX),
    LIMIT(ARGUMENT_BYTES_MAX),
    LIMIT(ENVIRONMENT_MAX),
    LIMIT(PATH_BYTES_MAX),
    LIMIT(CAPABILITIES_MAX),
    LIMIT(PROFILES_MAX),
    LIMIT(PROFILE_TYPES_MAX),
    LIMIT(SLOTS_MAX),
    LIMIT(RETRIES_MAX),
    LIMIT(WAIT_MS_MAX),
    LIMIT(WINDOW_TASKS),
    LIMIT(DURATION_MS_MAX),
};

Test(document, the_table_of_limits_is_limits_h)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char row[96];
        snprintf(row, sizeof row, "\n| `%s` | %llu | ", limits[i].name, (unsigned long long)limits[i].value);
        cr_assert_not_null(strstr(document(), row), "PROTOCOL.md lacks the row%s", row);
    }
}

/* Is `name` a row of limits[]? */
static bool is_known(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strlen(limits[i].name) == size && memcmp(limits[i].name, name, size) == 0)
            return true;
    return false;
}

Test(document, no_limit_is_forgotten)
{
    char *header = golden_file("proto/limits.h");
    cr_assert_not_null(header);
    size_t found = 0;
    for (const char *at = header; (at = strchr(at, '\n')) != NULL;) {
        at++;
        const char *name = at + strspn(at, " ");
        if (strncmp(name, "#define ", 8) == 0)
            name += 8;
        size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        bool is_value = strncmp(name + size, " = ", 3) == 0 || strncmp(name + size, " (", 2) == 0;
        if (size == 0 || !is_value)
            continue;
        cr_assert(is_known(name, size), "%.*s is missing in limits[] of this test", (int)size, name);
        found++;
    }
    cr_assert_eq(found, sizeof limits / sizeof limits[0]);
    free(header);
}
