/* message.c - see message.h. */
#include "proto/message.h"

#include "proto/assert.h"
#include "proto/limits.h"
#include "proto/text.h"

static const char *const kinds[MESSAGE_KIND_COUNT] = {
#define X(name) #name,
    MESSAGE_KINDS(X)
#undef X
};

const char *message_kind_text(enum message_kind kind)
{
    return kind < MESSAGE_KIND_COUNT ? kinds[kind] : "?";
}

const char *error_code_text(enum error_code code)
{
    static const char *const text[] = {"none",
#define X(name, text) text,
                                       ERROR_CODES(X)
#undef X
    };
    ASSERT((size_t)code < sizeof text / sizeof text[0]);
    return text[code];
}

static enum message_kind kind_of(struct bytes text)
{
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++)
        if (bytes_are(text, kinds[kind]))
            return (enum message_kind)kind;
    return MESSAGE_KIND_COUNT;
}

enum reader_error message_read(struct bytes frame, struct message_header *ret_header)
{
    struct reader reader;
    reader_init(&reader, frame);
    uint32_t fields = read_array(&reader, 16);
    if (!reader_failed(&reader) && fields < 4)
        reader_fail(&reader, READER_RANGE);
    ret_header->version = read_uint(&reader, UINT32_MAX);
    ret_header->kind_text = read_str(&reader, 1, KIND_BYTES_MAX);
    ret_header->sequence = read_uint(&reader, UINT64_MAX);
    ret_header->body = read_raw(&reader);
    read_skip(&reader, fields, 4);
    reader_finish(&reader);
    ret_header->kind = reader_failed(&reader) ? MESSAGE_KIND_COUNT : kind_of(ret_header->kind_text);
    return reader.error;
}

size_t message_write_header(struct writer *writer, enum message_kind kind, uint64_t sequence)
{
    write_array(writer, 4);
    write_uint(writer, PROTOCOL_VERSION_MAX);
    write_str(writer, message_kind_text(kind));
    size_t offset = write_uint64_open(writer);
    patch_uint64(writer->data, offset, sequence);
    return offset;
}

void error_write_body(struct writer *writer, enum error_code code, const char *reason)
{
    write_map(writer, 2);
    write_str(writer, "code");
    write_str(writer, error_code_text(code));
    write_str(writer, "reason");
    write_str(writer, reason);
}

enum reader_error error_read_body(struct bytes body, struct error_body *ret_error)
{
    struct reader reader;
    reader_init(&reader, body);
    *ret_error = (struct error_body){{body.data, 0}, {body.data, 0}};
    uint32_t pairs = read_map(&reader, 16);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "code"))
            ret_error->code = read_str(&reader, 0, NAME_BYTES_MAX);
        else if (bytes_are(key, "reason"))
            ret_error->reason = read_str(&reader, 0, PATH_BYTES_MAX);
        else
            (void)read_raw(&reader);
    }
    return reader.error;
}

static void add_range(struct text *text, uint64_t min, uint64_t max)
{
    text_add_number(text, min);
    if (max == min)
        return;
    text_add(text, " to ");
    text_add_number(text, max);
}

void version_reason(uint64_t offered_min, uint64_t offered_max, char to[VERSION_REASON_BYTES])
{
    struct text text;
    text_init(&text, to, VERSION_REASON_BYTES);
    text_add(&text, "version: ");
    add_range(&text, offered_min, offered_max);
    text_add(&text, " was offered, this node speaks ");
    add_range(&text, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
}
