/* golden_test.c - the examples have the bytes they had when they were first written, and read back. */
#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/task.h"
#include "tests/proto/golden.h"
#include "tests/proto/random.h"

static uint8_t data[GOLDEN_BYTES_MAX];

static struct bytes frame_of(const struct golden *golden)
{
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    golden->write(&writer);
    return writer_bytes(&writer);
}

static void print_hex(struct bytes frame)
{
    for (size_t i = 0; i < frame.size; i++)
        fprintf(stderr, "%02x%c", frame.data[i], i % 24 == 23 || i + 1 == frame.size ? '\n' : ' ');
}

static bool has_its_bytes(const struct golden *golden)
{
    char path[128];
    snprintf(path, sizeof path, "tests/proto/golden/%s.hex", golden->name);
    struct bytes frame = frame_of(golden);
    uint8_t kept[GOLDEN_BYTES_MAX];
    size_t kept_size = 0;
    char *text = golden_file(path);
    bool good = text != NULL && golden_parse(text, text + strlen(text), kept, sizeof kept, &kept_size) &&
                bytes_equal(frame, (struct bytes){kept, kept_size});
    if (!good) {
        fprintf(stderr, "%s %s. Bytes of this build:\n", path,
                text == NULL ? "is missing" : "differs (an old message must never change)");
        print_hex(frame);
    }
    free(text);
    return good;
}

Test(golden, link_messages_keep_their_bytes)
{
    bool good = true;
    for (size_t i = 0; i < golden_link_count; i++)
        good = has_its_bytes(&golden_link[i]) && good;
    cr_assert(good);
}

Test(golden, client_messages_keep_their_bytes)
{
    bool good = true;
    for (size_t i = 0; i < golden_client_count; i++)
        good = has_its_bytes(&golden_client[i]) && good;
    cr_assert(good);
}

Test(golden, there_is_one_of_every_kind)
{
    bool seen[MESSAGE_KIND_COUNT] = {false};
    for (size_t i = 0; i < golden_link_count; i++)
        seen[golden_link[i].kind] = true;
    for (size_t i = 0; i < golden_client_count; i++)
        seen[golden_client[i].kind] = true;
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++)
        cr_assert(seen[kind], "no example of %s", message_kind_text((enum message_kind)kind));
}

static struct bytes body_of(const struct golden *golden, struct bytes frame)
{
    struct message_header header;
    cr_assert_eq(message_read(frame, &header), READER_OK, "%s", golden->name);
    cr_assert_eq(header.kind, golden->kind, "%s", golden->name);
    cr_assert_eq(header.version, 1);
    return header.body;
}

/* Each link body or entry is read by its reader and written again to the same bytes. */
static void reads_back(const struct golden *golden)
{
    struct bytes body = body_of(golden, frame_of(golden));
    uint8_t again[GOLDEN_BYTES_MAX];
    struct writer writer;
    writer_init(&writer, again, sizeof again);
    if (!golden_has_entries(golden->kind)) {
        cr_assert(golden_link_again(golden->kind, body, &writer), "%s", golden->name);
        cr_assert(bytes_equal(writer_bytes(&writer), body), "%s", golden->name);
        return;
    }
    struct reader reader;
    reader_init(&reader, body);
    cr_assert_eq(read_array(&reader, 16), 1);
    uint32_t entries = read_array(&reader, FRAME_ENTRIES_MAX);
    cr_assert_gt(entries, 0);
    for (uint32_t i = 0; i < entries; i++) {
        struct bytes entry = read_raw(&reader);
        writer.size = 0;
        cr_assert(golden_link_again(golden->kind, entry, &writer), "%s", golden->name);
        cr_assert(bytes_equal(writer_bytes(&writer), entry), "%s", golden->name);
    }
    reader_finish(&reader);
    cr_assert_eq(reader.error, READER_OK);
}

Test(golden, link_messages_read_back)
{
    for (size_t i = 0; i < golden_link_count; i++) {
        const struct golden *golden = &golden_link[i];
        if (golden->kind == MESSAGE_BYE) {
            struct reader reader;
            reader_init(&reader, body_of(golden, frame_of(golden)));
            cr_assert_eq(read_array(&reader, 1), 1);
            cr_assert_eq(read_uint(&reader, UINT64_MAX), 0, "%s keeps nothing", golden->name);
        } else if (golden->kind == MESSAGE_GREET || golden->kind == MESSAGE_END)
            cr_assert_eq(body_of(golden, frame_of(golden)).size, 1, "%s has an empty body", golden->name);
        else
            reads_back(golden);
    }
}

/* What clients of other languages do with it: msgpack-c unpacks the body, and packs it to the same bytes. */
Test(golden, client_messages_are_what_msgpack_c_would_pack)
{
    for (size_t i = 0; i < golden_client_count; i++) {
        struct bytes body = body_of(&golden_client[i], frame_of(&golden_client[i]));
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t offset = 0;
        (void)msgpack_unpack_next(&unpacked, (const char *)body.data, body.size, &offset);
        cr_assert_eq(offset, body.size);
        cr_assert_eq(unpacked.data.type, MSGPACK_OBJECT_MAP);
        msgpack_sbuffer buffer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer packer;
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_object(&packer, unpacked.data);
        cr_assert(golden_client[i].open_count ||
                      bytes_equal((struct bytes){(uint8_t *)buffer.data, buffer.size}, body),
                  "%s", golden_client[i].name);
        msgpack_sbuffer_destroy(&buffer);
        msgpack_unpacked_destroy(&unpacked);
    }
}

Test(golden, submitted_tasks_parse)
{
    for (size_t i = 0; i < golden_client_count; i++) {
        if (golden_client[i].kind != MESSAGE_SUBMIT)
            continue;
        struct reader reader;
        reader_init(&reader, body_of(&golden_client[i], frame_of(&golden_client[i])));
        (void)read_map(&reader, 2);
        cr_assert(bytes_are(read_str(&reader, 0, 16), "tasks"));
        uint32_t tasks = read_array(&reader, 2);
        for (uint32_t k = 0; k < tasks; k++) {
            struct task_fields fields;
            struct task_problem problem = task_parse(read_raw(&reader), PAYLOAD_BYTES_MAX, &fields);
            cr_assert_eq(problem.code, ERROR_NONE, "%s", problem.reason);
        }
    }
}

Test(golden, every_prefix_of_a_good_frame_is_refused)
{
    for (size_t i = 0; i < golden_link_count + golden_client_count; i++) {
        const struct golden *golden =
            i < golden_link_count ? &golden_link[i] : &golden_client[i - golden_link_count];
        struct bytes frame = frame_of(golden);
        for (size_t size = 0; size < frame.size; size++) {
            uint8_t *cut = malloc(size == 0 ? 1 : size);
            memcpy(cut, frame.data, size);
            struct message_header header;
            cr_assert_eq(message_read((struct bytes){cut, size}, &header), READER_TRUNCATED, "%s cut to %zu",
                         golden->name, size);
            free(cut);
        }
    }
}

/* Garbled frames are refused or read, and nothing outside them is touched (AddressSanitizer watches). */
Test(golden, garbled_link_frames_do_no_harm)
{
    struct random random = {8};
    for (int round = 0; round < 100000; round++) {
        const struct golden *golden = &golden_link[random_below(&random, golden_link_count)];
        struct bytes frame = frame_of(golden);
        uint8_t *garbled = malloc(frame.size);
        memcpy(garbled, frame.data, frame.size);
        for (uint64_t flips = 1 + random_below(&random, 3); flips > 0; flips--)
            garbled[random_below(&random, frame.size)] = (uint8_t)random_next(&random);
        struct message_header header;
        if (message_read((struct bytes){garbled, frame.size}, &header) == READER_OK) {
            uint8_t again[GOLDEN_BYTES_MAX];
            struct writer writer;
            writer_init(&writer, again, sizeof again);
            struct reader reader;
            reader_init(&reader, header.body);
            (void)read_array(&reader, 16);
            struct bytes value = golden_has_entries(golden->kind)
                                     ? reader_failed(&reader) ? header.body : read_raw(&reader)
                                     : header.body;
            (void)golden_link_again(golden->kind, value, &writer);
        }
        free(garbled);
    }
}
