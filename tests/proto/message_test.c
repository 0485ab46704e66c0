/* message_test.c - the header around every message, and ERROR, which never changes shape. */
#include <criterion/criterion.h>

#include "proto/limits.h"
#include "proto/message.h"

static struct bytes frame_of(struct writer *writer, uint8_t *data, size_t capacity, enum message_kind kind)
{
    writer_init(writer, data, capacity);
    message_write_header(writer, kind, 7);
    write_map(writer, 1);
    write_str(writer, "a");
    write_uint(writer, 1);
    return writer_bytes(writer);
}

Test(message, every_kind_is_written_and_recognised)
{
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++) {
        uint8_t data[64];
        struct writer writer;
        struct message_header header;
        struct bytes frame = frame_of(&writer, data, sizeof data, (enum message_kind)kind);
        cr_assert_eq(message_read(frame, &header), READER_OK);
        cr_assert_eq(header.kind, (enum message_kind)kind);
        cr_assert_eq(header.version, PROTOCOL_VERSION_MAX);
        cr_assert_eq(header.sequence, 7);
        cr_assert_eq(header.body.size, 4);
        cr_assert_leq(strlen(message_kind_text((enum message_kind)kind)), KIND_BYTES_MAX);
    }
}

Test(message, every_prefix_is_refused_and_so_is_every_tail)
{
    uint8_t data[64];
    struct writer writer;
    struct message_header header;
    struct bytes frame = frame_of(&writer, data, sizeof data, MESSAGE_SUBMIT);
    for (size_t size = 0; size < frame.size; size++)
        cr_assert_eq(message_read((struct bytes){frame.data, size}, &header), READER_TRUNCATED, "%zu", size);
    write_nil(&writer);
    cr_assert_eq(message_read(writer_bytes(&writer), &header), READER_TRAILING);
}

Test(message, an_unknown_kind_or_version_is_read_so_that_it_can_be_named)
{
    static const uint8_t frame[] = {0x94, 0x63, 0xa4, 'S', 'I', 'N', 'G', 0x05, 0xc0};
    struct message_header header;
    cr_assert_eq(message_read((struct bytes){frame, sizeof frame}, &header), READER_OK);
    cr_assert_eq(header.kind, MESSAGE_KIND_COUNT);
    cr_assert(bytes_are(header.kind_text, "SING"));
    cr_assert_eq(header.version, 99);
    cr_assert_eq(header.sequence, 5);
}

Test(message, kinds_are_exact)
{
    static const uint8_t lower[] = {0x94, 0x01, 0xa3, 'e', 'n', 'd', 0x05, 0x90};
    static const uint8_t longer[] = {0x94, 0x01, 0xa4, 'E', 'N', 'D', 'S', 0x05, 0x90};
    struct message_header header;
    cr_assert_eq(message_read((struct bytes){lower, sizeof lower}, &header), READER_OK);
    cr_assert_eq(header.kind, MESSAGE_KIND_COUNT);
    cr_assert_eq(message_read((struct bytes){longer, sizeof longer}, &header), READER_OK);
    cr_assert_eq(header.kind, MESSAGE_KIND_COUNT);
}

Test(message, a_header_of_more_fields_is_read_and_of_fewer_refused)
{
    static const uint8_t five[] = {0x95, 0x01, 0xa3, 'E', 'N', 'D', 0x05, 0x90, 0xc0};
    static const uint8_t three[] = {0x93, 0x01, 0xa3, 'E', 'N', 'D', 0x05};
    static const uint8_t empty_kind[] = {0x94, 0x01, 0xa0, 0x05, 0x90};
    static const uint8_t map[] = {0x81, 0x01, 0x02};
    struct message_header header;
    cr_assert_eq(message_read((struct bytes){five, sizeof five}, &header), READER_OK);
    cr_assert_eq(header.kind, MESSAGE_END);
    cr_assert_eq(message_read((struct bytes){three, sizeof three}, &header), READER_RANGE);
    cr_assert_eq(message_read((struct bytes){empty_kind, sizeof empty_kind}, &header), READER_RANGE);
    cr_assert_eq(message_read((struct bytes){map, sizeof map}, &header), READER_TYPE);
}

Test(message, an_error_is_read_back)
{
    uint8_t data[128];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    error_write_body(&writer, ERROR_WRONG_PORT, "this is the port of children");
    struct error_body error;
    cr_assert_eq(error_read_body(writer_bytes(&writer), &error), READER_OK);
    cr_assert(bytes_are(error.code, "wrong_port"));
    cr_assert(bytes_are(error.reason, "this is the port of children"));
}

Test(message, an_error_of_a_later_version_is_read_too)
{
    uint8_t data[128];
    struct writer writer;
    struct error_body error;
    writer_init(&writer, data, sizeof data);
    write_map(&writer, 2);
    write_str(&writer, "hint");
    write_array(&writer, 0);
    write_str(&writer, "code");
    write_str(&writer, "sunspots");
    cr_assert_eq(error_read_body(writer_bytes(&writer), &error), READER_OK);
    cr_assert(bytes_are(error.code, "sunspots"));
    cr_assert_eq(error.reason.size, 0);
}

Test(message, a_version_that_is_not_spoken_is_named)
{
    char reason[VERSION_REASON_BYTES];
    version_reason(2, 2, reason);
    cr_expect_str_eq(reason, "version: 2 was offered, this node speaks 1");
    version_reason(3, UINT64_MAX, reason);
    cr_expect_str_eq(reason, "version: 3 to 18446744073709551615 was offered, this node speaks 1");
}
