/* json.c and rows.c - msgpack as JSON that any parser reads, in the shapes of docs/cli-output.md. */
#include "cli/json.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"
#include "proto/id.h"
#include "proto/writer.h"

static uint8_t space[4096];

static struct writer writer_new(void)
{
    struct writer writer;
    writer_init(&writer, space, sizeof space);
    return writer;
}

/* What json_print prints; malloc'ed. NULL if it says that the bytes are no msgpack. */
static char *json(struct bytes value)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    bool whole = json_print(to, value);
    fclose(to);
    if (whole)
        return text;
    cr_assert_str_eq(text, "", "half a value was printed");
    free(text);
    return NULL;
}

static void assert_json(const struct writer *writer, const char *expected)
{
    char *text = json(writer_bytes(writer));
    cr_assert_not_null(text, "%s", expected);
    cr_assert_str_eq(text, expected);
    free(text);
}

Test(json, scalars)
{
    struct writer writer = writer_new();
    write_array(&writer, 7);
    write_nil(&writer);
    write_bool(&writer, true);
    write_bool(&writer, false);
    write_uint(&writer, 0);
    write_uint(&writer, UINT64_MAX);
    write_int(&writer, INT64_MIN);
    write_str(&writer, "");
    assert_json(&writer, "[null,true,false,0,18446744073709551615,-9223372036854775808,\"\"]");
}

Test(json, maps_and_arrays_nest)
{
    struct writer writer = writer_new();
    write_map(&writer, 2);
    write_str(&writer, "a");
    write_array(&writer, 2);
    write_map(&writer, 0);
    write_array(&writer, 0);
    write_str(&writer, "b");
    write_map(&writer, 1);
    write_str(&writer, "c");
    write_uint(&writer, 1);
    assert_json(&writer, "{\"a\":[{},[]],\"b\":{\"c\":1}}");
}

Test(json, control_characters_and_quotes_are_escaped)
{
    struct writer writer = writer_new();
    write_str(&writer, "\" \\ \n \t \r \b \x01 \x1f \x7f /");
    assert_json(&writer, "\"\\\" \\\\ \\n \\t \\u000d \\u0008 \\u0001 \\u001f \\u007f /\"");
}

Test(json, a_nul_is_a_character)
{
    struct writer writer = writer_new();
    write_bin(&writer, (struct bytes){(const uint8_t *)"a\0b", 3});
    assert_json(&writer, "\"a\\u0000b\"");
}

Test(json, utf8_passes)
{
    static const char *const texts[] = {"\xc3\xa9",     "\xe2\x82\xac", "\xf0\x9f\x90\x87",
                                        "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[16];
        struct writer writer = writer_new();
        write_bin(&writer, bytes_of(texts[i]));
        snprintf(expected, sizeof expected, "\"%s\"", texts[i]);
        assert_json(&writer, expected);
    }
}

Test(json, what_is_not_utf8_is_base64)
{
    static const struct {
        const char *bytes, *base64;
    } cases[] = {
        {"\xff", "/w=="},         /* no lead byte */
        {"a\x80", "YYA="},        /* a continuation alone */
        {"ab\xc3", "YWLD"},       /* cut short */
        {"\xc0\xaf", "wK8="},     /* overlong, 2 bytes */
        {"\xe0\x80\xaf", "4ICv"}, /* overlong, 3 bytes */
        {"\xf0\x80\x80\xaf", "8ICArw=="},
        {"\xed\xa0\x80", "7aCA"},         /* a surrogate */
        {"\xf4\x90\x80\x80", "9JCAgA=="}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", "9YCAgA=="},
        {"\xc3(", "wyg="}, /* a wrong continuation */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64];
        struct writer writer = writer_new();
        write_bin(&writer, bytes_of(cases[i].bytes));
        snprintf(expected, sizeof expected, "{\"base64\":\"%s\"}", cases[i].base64);
        assert_json(&writer, expected);
    }
}

Test(json, text_that_is_not_utf8_is_base64_too)
{
    struct writer writer = writer_new();
    write_str_bytes(&writer, (struct bytes){(const uint8_t *)"\xfe", 1});
    assert_json(&writer, "{\"base64\":\"/g==\"}");
}

Test(json, ids_and_fences_are_hex)
{
    static const uint8_t bytes[TASK_ID_BYTES] = {0x01, 0xa1, [15] = 0xff};
    struct writer writer = writer_new();
    write_map(&writer, 4);
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){bytes, TASK_ID_BYTES});
    write_str(&writer, "ids");
    write_array(&writer, 1);
    write_bin(&writer, (struct bytes){bytes, TASK_ID_BYTES});
    write_str(&writer, "fence");
    write_bin(&writer, (struct bytes){bytes, FENCE_BYTES});
    write_str(&writer, "output"); /* as long as an id, and none */
    write_bin(&writer, (struct bytes){(const uint8_t *)"0123456789abcdef", TASK_ID_BYTES});
    assert_json(&writer, "{\"id\":\"01a100000000000000000000000000ff\","
                         "\"ids\":[\"01a100000000000000000000000000ff\"],"
                         "\"fence\":\"01a100000000000000000000\","
                         "\"output\":\"0123456789abcdef\"}");
}

Test(json, a_float_is_null)
{
    static const uint8_t pi[] = {0x92, 0xcb, 0x40, 9, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18, 1};
    char *text = json((struct bytes){pi, sizeof pi});
    cr_assert_str_eq(text, "[null,1]");
    free(text);
}

Test(json, cut_bytes_are_refused_and_print_nothing)
{
    struct writer writer = writer_new();
    write_map(&writer, 1);
    write_str(&writer, "key");
    write_array(&writer, 2);
    write_str(&writer, "value");
    write_uint(&writer, 70000);
    for (size_t size = 0; size < writer.size; size++)
        cr_assert_null(json((struct bytes){space, size}), "%zu bytes", size);
    assert_json(&writer, "{\"key\":[\"value\",70000]}");
}

/* ---- rows ---- */

static struct bytes reply_of_two(void)
{
    static const uint8_t id[TASK_ID_BYTES] = {[15] = 7};
    struct writer writer = writer_new();
    write_map(&writer, 2);
    write_str(&writer, "epoch");
    write_uint(&writer, 3);
    write_str(&writer, "rows");
    write_array(&writer, 2);
    write_map(&writer, 1);
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){id, sizeof id});
    write_map(&writer, 2);
    write_str(&writer, "region");
    write_str(&writer, "us");
    write_str(&writer, "name");
    write_str(&writer, "w2");
    return writer_bytes(&writer);
}

#define ID_7 "00000000000000000000000000000007"

Test(rows, table_is_left_to_the_caller)
{
    struct common_options options = {.output = OUTPUT_TABLE};
    cr_assert_not(rows_print(&options, reply_of_two()));
}

Test(rows, json_is_one_array, .init = cr_redirect_stdout)
{
    struct common_options options = {.output = OUTPUT_JSON};
    cr_assert(rows_print(&options, reply_of_two()));
    fflush(stdout);
    cr_assert_stdout_eq_str("[{\"id\":\"" ID_7 "\"},{\"region\":\"us\",\"name\":\"w2\"}]\n");
}

Test(rows, jsonl_is_a_line_each, .init = cr_redirect_stdout)
{
    struct common_options options = {.output = OUTPUT_JSONL};
    cr_assert(rows_print(&options, reply_of_two()));
    fflush(stdout);
    cr_assert_stdout_eq_str("{\"id\":\"" ID_7 "\"}\n{\"region\":\"us\",\"name\":\"w2\"}\n");
}

Test(rows, id_is_a_name_each, .init = cr_redirect_stdout)
{
    struct common_options options = {.output = OUTPUT_ID};
    cr_assert(rows_print(&options, reply_of_two()));
    fflush(stdout);
    cr_assert_stdout_eq_str(ID_7 "\nus/w2\n");
}

static void print_items(enum output_mode mode, size_t count)
{
    struct common_options options = {.output = mode};
    for (size_t i = 0; i < count; i++) {
        json_item(&options, i);
        printf("{\"n\":%zu}", i);
        json_item_end(&options);
    }
    json_end(&options, count);
    fflush(stdout);
}

Test(rows, items_of_json, .init = cr_redirect_stdout)
{
    print_items(OUTPUT_JSON, 2);
    cr_assert_stdout_eq_str("[{\"n\":0},{\"n\":1}]\n");
}

Test(rows, no_items_of_json, .init = cr_redirect_stdout)
{
    print_items(OUTPUT_JSON, 0);
    cr_assert_stdout_eq_str("[]\n");
}

Test(rows, items_of_jsonl, .init = cr_redirect_stdout)
{
    print_items(OUTPUT_JSONL, 2);
    cr_assert_stdout_eq_str("{\"n\":0}\n{\"n\":1}\n");
}
