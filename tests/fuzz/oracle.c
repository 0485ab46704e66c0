/* oracle.c - see oracle.h. */
#include "tests/fuzz/oracle.h"

#include <msgpack.h>
#include <stdlib.h>

#include "proto/limits.h"
#include "proto/reader.h"
#include "proto/writer.h"
#include "tests/fuzz/bench_checks.h"

enum { FIRST_32_BIT_COUNT = 0xdc, AGAIN_ROOM = 4 * 1024 * 1024 };

/* Somewhere there may be the head of an array or a map with a count that cannot be. */
static bool asks_for_much(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t tag = bytes.data[i];
        size_t size = tag == 0xdd || tag == 0xdf ? 4 : tag == 0xdc || tag == 0xde ? 2 : 0;
        uint64_t count = 0;
        for (size_t at = 1; at <= size && i + at < bytes.size; at++)
            count = count << 8 | bytes.data[i + at];
        if (count > bytes.size)
            return true;
    }
    return false;
}

static uint32_t depth_of(const msgpack_object *object)
{
    uint32_t deepest = 0;
    if (object->type == MSGPACK_OBJECT_ARRAY)
        for (uint32_t i = 0; i < object->via.array.size; i++) {
            uint32_t depth = depth_of(&object->via.array.ptr[i]);
            deepest = depth > deepest ? depth : deepest;
        }
    else if (object->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < 2 * object->via.map.size; i++) {
            const msgpack_object_kv *pair = &object->via.map.ptr[i / 2];
            uint32_t depth = depth_of(i % 2 == 0 ? &pair->key : &pair->val);
            deepest = depth > deepest ? depth : deepest;
        }
    else
        return 0;
    return deepest + 1;
}

/* ---- the same value? and written again by our writer ---- */

struct again {
    struct reader reader;
    struct writer writer;
    bool has_foreign; /* floats and extensions: our writer has none, their bytes are copied */
};

static void compare_bytes(struct bytes ours, const void *theirs, size_t size)
{
    check(bytes_equal(ours, (struct bytes){theirs, size}), "our reader gives the bytes that msgpack-c gives");
}

static void compare(struct again *again, const msgpack_object *object)
{
    struct reader *reader = &again->reader;
    struct writer *writer = &again->writer;
    struct bytes run;
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        check(reader_peek(reader) == TYPE_NIL && read_nil(reader), "nil is nil");
        write_nil(writer);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        check(reader_peek(reader) == TYPE_BOOL && read_bool(reader) == object->via.boolean, "a bool is one");
        write_bool(writer, object->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        check(reader_peek(reader) == TYPE_UINT, "a number that is not negative is a uint");
        check(read_uint(reader, UINT64_MAX) == object->via.u64, "a uint is the same for both");
        write_uint(writer, object->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        check(reader_peek(reader) == TYPE_INT, "a negative number is an int");
        check(read_int(reader) == object->via.i64, "an int is the same for both");
        write_int(writer, object->via.i64);
        break;
    case MSGPACK_OBJECT_STR:
        run = read_str(reader, 0, SIZE_MAX);
        compare_bytes(run, object->via.str.ptr, object->via.str.size);
        write_str_bytes(writer, run);
        break;
    case MSGPACK_OBJECT_BIN:
        run = read_bin(reader, 0, SIZE_MAX);
        compare_bytes(run, object->via.bin.ptr, object->via.bin.size);
        write_bin(writer, run);
        break;
    case MSGPACK_OBJECT_ARRAY:
        check(read_array(reader, UINT32_MAX) == object->via.array.size, "arrays have the same count");
        write_array(writer, object->via.array.size);
        for (uint32_t i = 0; i < object->via.array.size; i++)
            compare(again, &object->via.array.ptr[i]);
        break;
    case MSGPACK_OBJECT_MAP:
        check(read_map(reader, UINT32_MAX) == object->via.map.size, "maps have the same count");
        write_map(writer, object->via.map.size);
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            compare(again, &object->via.map.ptr[i].key);
            compare(again, &object->via.map.ptr[i].val);
        }
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
    case MSGPACK_OBJECT_EXT:
        write_raw(writer, read_raw(reader));
        again->has_foreign = true;
        break;
    }
    check(!reader_failed(reader), "what msgpack-c has read our reader reads");
}

static void compare_written(const struct again *again, const msgpack_object *object)
{
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    msgpack_pack_object(&packer, *object);
    check(again->has_foreign ||
              bytes_equal(writer_bytes(&again->writer), (struct bytes){(uint8_t *)packed.data, packed.size}),
          "our writer writes what msgpack-c writes");
    msgpack_sbuffer_destroy(&packed);
}

void oracle_compare(struct bytes bytes)
{
    static uint8_t written[AGAIN_ROOM];
    struct reader reader;
    msgpack_unpacked unpacked;
    size_t end = 0;
    reader_init(&reader, bytes);
    (void)read_raw(&reader);
    reader_finish(&reader);
    if (bytes.size == 0 || asks_for_much(bytes)) {
        check(bytes.size != 0 || reader_failed(&reader), "no bytes are no value");
        return;
    }
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return status = msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.size, &end);
    bool theirs = status == MSGPACK_UNPACK_SUCCESS && end == bytes.size;
    if (theirs && depth_of(&unpacked.data) > FRAME_DEPTH_MAX) {
        check(reader.error == READER_DEPTH, "what is nested too deep is refused as that");
    } else {
        check(theirs == !reader_failed(&reader), "our reader and msgpack-c agree on what is a value");
        struct again again = {.has_foreign = false};
        reader_init(&again.reader, bytes);
        writer_init(&again.writer, written, sizeof written);
        if (theirs) {
            compare(&again, &unpacked.data);
            compare_written(&again, &unpacked.data);
        }
    }
    msgpack_unpacked_destroy(&unpacked);
}
