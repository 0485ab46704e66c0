/* json.c - see json.h. */
#include "cli/json.h"

#include "proto/id.h"
#include "proto/limits.h"
#include "proto/reader.h"

/* Length of the UTF-8 sequence at `at`, 0 if it is not one. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    size_t length = at[0] < 0x80                    ? 1
                    : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                    : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                    : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                    : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90);
    return overlong || beyond ? 0 : length;
}

static bool is_utf8(struct bytes text)
{
    for (size_t at = 0; at < text.size;) {
        size_t length = utf8_length(text.data + at, text.size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

void json_print_text(FILE *to, struct bytes text)
{
    fputc('"', to);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", to);
        else if (c == '\t')
            fputs("\\t", to);
        else if (c < 0x20 || c == 0x7f)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void print_base64(FILE *to, struct bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fputs("{\"base64\":\"", to);
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t word = (uint32_t)bytes.data[i] << 16 | (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                        (left > 2 ? bytes.data[i + 2] : 0);
        for (size_t digit = 0; digit < 4; digit++)
            fputc(digit <= left ? digits[word >> (18 - 6 * digit) & 63] : '=', to);
    }
    fputs("\"}", to);
}

void json_print_bytes(FILE *to, struct bytes bytes)
{
    if (is_utf8(bytes))
        json_print_text(to, bytes);
    else
        print_base64(to, bytes);
}

static void print_bin(FILE *to, struct bytes bytes, struct bytes key)
{
    bool name = bytes_are(key, "id") || bytes_are(key, "ids") || bytes_are(key, "fence") ||
                bytes_are(key, "pending") || bytes_are(key, "unknown");
    if (name && (bytes.size == TASK_ID_BYTES || bytes.size == FENCE_BYTES)) {
        char hex[TASK_ID_HEX + 1];
        hex_encode(bytes, hex);
        fprintf(to, "\"%s\"", hex);
    } else {
        json_print_bytes(to, bytes);
    }
}

/* Recursion is bounded: the caller has checked depth by read_raw. */
static void print_value(FILE *to, struct reader *reader, struct bytes key, int depth)
{
    if (depth > FRAME_DEPTH_MAX || reader_failed(reader))
        return;
    switch (reader_peek(reader)) {
    case TYPE_NIL:
        read_nil(reader);
        fputs("null", to);
        return;
    case TYPE_BOOL:
        fputs(read_bool(reader) ? "true" : "false", to);
        return;
    case TYPE_UINT:
        fprintf(to, "%llu", (unsigned long long)read_uint(reader, UINT64_MAX));
        return;
    case TYPE_INT:
        fprintf(to, "%lld", (long long)read_int(reader));
        return;
    case TYPE_STR:
        json_print_bytes(to, read_str(reader, 0, SIZE_MAX));
        return;
    case TYPE_BIN:
        print_bin(to, read_bin(reader, 0, SIZE_MAX), key);
        return;
    case TYPE_ARRAY: {
        uint32_t count = read_array(reader, UINT32_MAX);
        fputc('[', to);
        for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
            if (i > 0)
                fputc(',', to);
            print_value(to, reader, key, depth + 1);
        }
        fputc(']', to);
        return;
    }
    case TYPE_MAP: {
        uint32_t pairs = read_map(reader, UINT32_MAX / 2);
        fputc('{', to);
        for (uint32_t i = 0; i < pairs && !reader_failed(reader); i++) {
            struct bytes name = read_str(reader, 0, SIZE_MAX);
            if (i > 0)
                fputc(',', to);
            json_print_text(to, name);
            fputc(':', to);
            print_value(to, reader, name, depth + 1);
        }
        fputc('}', to);
        return;
    }
    case TYPE_FLOAT:
    case TYPE_NONE:
        (void)read_raw(reader);
        fputs("null", to);
        return;
    }
}

bool json_print(FILE *to, struct bytes value)
{
    struct reader reader;
    reader_init(&reader, value);
    struct bytes whole = read_raw(&reader);
    if (reader_failed(&reader))
        return false;
    reader_init(&reader, whole);
    print_value(to, &reader, (struct bytes){value.data, 0}, 0);
    return true;
}
