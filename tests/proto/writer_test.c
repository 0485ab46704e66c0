/* writer_test.c - what the writer writes, and what msgpack-c and our reader make of it. */
#include <criterion/criterion.h>
#include <msgpack.h>
#include <signal.h>

#include "proto/reader.h"
#include "proto/writer.h"
#include "tests/proto/random.h"

Test(writer, each_form_reads_back)
{
    static const uint8_t raw[] = {0x92, 0x01, 0x02};
    uint8_t data[256];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    write_array(&writer, 9);
    write_nil(&writer);
    write_bool(&writer, true);
    write_bool(&writer, false);
    write_uint(&writer, UINT64_MAX);
    write_int(&writer, -5);
    write_str(&writer, "name");
    write_bin(&writer, (struct bytes){raw, sizeof raw});
    write_raw(&writer, (struct bytes){raw, sizeof raw});
    write_map(&writer, 1);
    write_str_bytes(&writer, bytes_of("key"));
    write_bin_head(&writer, 3);
    write_raw(&writer, bytes_of("abc"));

    struct reader reader;
    reader_init(&reader, writer_bytes(&writer));
    cr_assert_eq(read_array(&reader, 9), 9);
    cr_assert(read_nil(&reader));
    cr_assert(read_bool(&reader));
    cr_assert_not(read_bool(&reader));
    cr_assert_eq(read_uint(&reader, UINT64_MAX), UINT64_MAX);
    cr_assert_eq(read_int(&reader), -5);
    cr_assert(bytes_are(read_str(&reader, 0, 9), "name"));
    cr_assert_eq(read_bin(&reader, 3, 3).size, 3);
    cr_assert_eq(read_array(&reader, 2), 2);
    read_skip(&reader, 2, 0);
    cr_assert_eq(read_map(&reader, 1), 1);
    cr_assert(bytes_are(read_str(&reader, 0, 9), "key"));
    cr_assert(bytes_are(read_bin(&reader, 0, 9), "abc"));
    reader_finish(&reader);
    cr_assert_eq(reader.error, READER_OK);
}

Test(writer, numbers_take_the_fewest_bytes)
{
    struct random random = {3};
    for (int round = 0; round < 20000; round++) {
        uint64_t value = random_width(&random);
        uint8_t data[9];
        struct writer writer;
        writer_init(&writer, data, sizeof data);
        write_uint(&writer, value);
        size_t least = value < 0x80          ? 1
                       : value <= UINT8_MAX  ? 2
                       : value <= UINT16_MAX ? 3
                       : value <= UINT32_MAX ? 5
                                             : 9;
        cr_assert_eq(writer.size, least);
    }
}

Test(writer, open_forms_are_patched_in_place)
{
    uint8_t data[64];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    size_t sequence = write_uint64_open(&writer), count = write_array_open(&writer);
    write_nil(&writer);
    write_nil(&writer);
    patch_uint64(data, sequence, 0x0102030405060708ull);
    patch_count(data, count, 2);
    static const uint8_t expected[] = {0xcf, 1, 2, 3, 4, 5, 6, 7, 8, 0xdd, 0, 0, 0, 2, 0xc0, 0xc0};
    cr_assert(bytes_equal(writer_bytes(&writer), (struct bytes){expected, sizeof expected}));
}

Test(writer, fills_its_buffer_to_the_last_byte)
{
    uint8_t data[4];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    write_str(&writer, "abc");
    cr_assert_eq(writer.size, sizeof data);
}

Test(writer, writing_past_the_end_is_our_own_mistake, .signal = SIGABRT)
{
    uint8_t data[3];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    write_str(&writer, "abc");
}
