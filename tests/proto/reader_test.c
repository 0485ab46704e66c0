/* reader_test.c - our reader against msgpack-c, and against bytes that nobody should send.
 *
 * Every input is copied to an allocation of exactly its size, so that AddressSanitizer sees a read outside.
 */
#include <criterion/criterion.h>
#include <msgpack.h>

#include "proto/limits.h"
#include "proto/reader.h"
#include "tests/proto/random.h"

static struct bytes exact_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    cr_assert_not_null(copy);
    if (size != 0)
        memcpy(copy, data, size);
    return (struct bytes){copy, size};
}

static void drop(struct bytes copy)
{
    free((void *)copy.data);
}

/* ---- the oracle: one walk that either packs with msgpack-c or reads with our reader ---- */

struct walk {
    struct random random;
    msgpack_packer *packer; /* NULL while reading */
    struct reader *reader;
};

static void walk_run(struct walk *walk, bool is_text)
{
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 300, 65535, 65536, 70000};
    static char filler[70000];
    size_t size = sizes[random_below(&walk->random, random_below(&walk->random, 8) == 0 ? 10 : 4)];
    memset(filler, (int)random_below(&walk->random, 256), size);
    if (walk->packer != NULL && is_text) {
        msgpack_pack_str(walk->packer, size);
        msgpack_pack_str_body(walk->packer, filler, size);
    } else if (walk->packer != NULL) {
        msgpack_pack_bin(walk->packer, size);
        msgpack_pack_bin_body(walk->packer, filler, size);
    } else {
        struct bytes run =
            is_text ? read_str(walk->reader, 0, SIZE_MAX) : read_bin(walk->reader, 0, SIZE_MAX);
        cr_assert(bytes_equal(run, (struct bytes){(const uint8_t *)filler, size}));
    }
}

static void walk_uint(struct walk *walk)
{
    uint64_t value = random_width(&walk->random);
    if (walk->packer != NULL)
        msgpack_pack_uint64(walk->packer, value);
    else
        cr_assert_eq(read_uint(walk->reader, UINT64_MAX), value);
}

static void walk_int(struct walk *walk)
{
    int64_t value = (int64_t)(random_width(&walk->random) >> 1);
    if (random_below(&walk->random, 2) == 0)
        value = -value - 1;
    if (walk->packer != NULL)
        msgpack_pack_int64(walk->packer, value);
    else
        cr_assert_eq(read_int(walk->reader), value);
}

static void walk_bool(struct walk *walk)
{
    bool value = random_below(&walk->random, 2) == 0;
    if (walk->packer == NULL)
        cr_assert_eq(read_bool(walk->reader), value);
    else if (value)
        msgpack_pack_true(walk->packer);
    else
        msgpack_pack_false(walk->packer);
}

static void walk_nil(struct walk *walk)
{
    if (walk->packer != NULL)
        msgpack_pack_nil(walk->packer);
    else
        cr_assert(read_nil(walk->reader));
}

static void walk_value(struct walk *walk, int depth);

static void walk_array(struct walk *walk, int depth)
{
    static const uint32_t counts[] = {0, 1, 3, 15, 16, 40};
    uint32_t count = counts[random_below(&walk->random, depth < 3 ? 6 : 3)];
    if (walk->packer != NULL)
        msgpack_pack_array(walk->packer, count);
    else
        cr_assert_eq(read_array(walk->reader, UINT32_MAX), count);
    for (uint32_t i = 0; i < count; i++)
        walk_value(walk, depth + 1);
}

static void walk_map(struct walk *walk, int depth)
{
    static const uint32_t counts[] = {0, 1, 2, 15, 16, 20};
    uint32_t count = counts[random_below(&walk->random, depth < 2 ? 6 : 3)];
    if (walk->packer != NULL)
        msgpack_pack_map(walk->packer, count);
    else
        cr_assert_eq(read_map(walk->reader, UINT32_MAX), count);
    for (uint32_t i = 0; i < 2 * count; i++)
        walk_value(walk, depth + 1);
}

static void walk_value(struct walk *walk, int depth)
{
    uint64_t kind = random_below(&walk->random, depth < 5 ? 8 : 6);
    if (kind == 0)
        walk_uint(walk);
    else if (kind == 1)
        walk_int(walk);
    else if (kind == 2)
        walk_bool(walk);
    else if (kind == 3)
        walk_nil(walk);
    else if (kind == 4)
        walk_run(walk, true);
    else if (kind == 5)
        walk_run(walk, false);
    else if (kind == 6)
        walk_array(walk, depth);
    else
        walk_map(walk, depth);
}

Test(reader, reads_back_what_msgpack_c_packed)
{
    for (uint64_t seed = 0; seed < 3000; seed++) {
        msgpack_sbuffer buffer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer packer;
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        walk_array(&(struct walk){.random = {seed}, .packer = &packer}, 0);

        struct bytes frame = exact_copy(buffer.data, buffer.size);
        struct reader reader;
        reader_init(&reader, frame);
        walk_array(&(struct walk){.random = {seed}, .reader = &reader}, 0);
        reader_finish(&reader);
        cr_assert_eq(reader.error, READER_OK, "seed %zu: %s", (size_t)seed, reader_error_text(reader.error));

        reader_init(&reader, frame);
        cr_assert(bytes_equal(read_raw(&reader), frame), "seed %zu", (size_t)seed);
        drop(frame);
        msgpack_sbuffer_destroy(&buffer);
    }
}

/* msgpack-c reserves memory for a count before it looks for the elements: keep it away from large ones. */
static bool has_wide_count(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] >= 0xdc && data[i] <= 0xdf)
            return true;
    return false;
}

Test(reader, agrees_with_msgpack_c_about_random_bytes)
{
    struct random random = {1};
    uint32_t both_accept = 0;
    for (int round = 0; round < 200000; round++) {
        uint8_t data[24];
        size_t size = 1 + random_below(&random, sizeof data);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)random_next(&random);
        if (has_wide_count(data, size))
            continue;
        struct bytes frame = exact_copy(data, size);
        struct reader reader;
        reader_init(&reader, frame);
        struct bytes value = read_raw(&reader);

        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t offset = 0;
        msgpack_unpack_return end = msgpack_unpack_next(&unpacked, (const char *)frame.data, size, &offset);
        bool accepts = end == MSGPACK_UNPACK_SUCCESS || end == MSGPACK_UNPACK_EXTRA_BYTES;
        if (reader.error != READER_DEPTH)
            cr_assert_eq(accepts, reader.error == READER_OK, "round %d", round);
        if (reader.error == READER_OK) {
            cr_assert_eq(offset, value.size, "round %d", round);
            both_accept++;
        }
        msgpack_unpacked_destroy(&unpacked);
        drop(frame);
    }
    cr_assert_gt(both_accept, 10000, "the test met too few good values: %u", both_accept);
}

/* ---- hostile bytes ---- */

/* Ask for everything in an order given by chance; whatever comes back must lie inside the frame. */
static void read_anything(struct bytes frame, struct random *random)
{
    struct reader reader;
    reader_init(&reader, frame);
    for (int i = 0; i < 32 && !reader_failed(&reader); i++) {
        struct bytes run = {frame.data, 0};
        enum reader_type type = reader_peek(&reader);
        bool obey = random_below(random, 8) != 0;
        uint64_t choice = obey ? (uint64_t)type : random_below(random, 10);
        if (choice == TYPE_NIL)
            (void)read_nil(&reader);
        else if (choice == TYPE_BOOL)
            (void)read_bool(&reader);
        else if (choice == TYPE_UINT)
            (void)read_uint(&reader, random_width(random));
        else if (choice == TYPE_INT)
            (void)read_int(&reader);
        else if (choice == TYPE_STR)
            run = obey ? read_str(&reader, 0, 100) : read_text(&reader, 100);
        else if (choice == TYPE_BIN)
            run = read_bin(&reader, 0, 100);
        else if (choice == TYPE_ARRAY)
            cr_assert_leq(read_array(&reader, UINT32_MAX), frame.size);
        else if (choice == TYPE_MAP)
            cr_assert_leq(read_map(&reader, UINT32_MAX), frame.size);
        else
            run = read_raw(&reader);
        cr_assert(reader.at >= frame.data && reader.at <= frame.data + frame.size);
        cr_assert(run.data >= frame.data && run.data + run.size <= frame.data + frame.size);
        uint8_t sum = 0;
        for (size_t k = 0; k < run.size; k++)
            sum ^= run.data[k]; /* touch it all: ASan watches */
        (void)sum;
    }
}

Test(reader, never_leaves_random_bytes)
{
    struct random random = {2};
    for (int round = 0; round < 200000; round++) {
        uint8_t data[64];
        size_t size = random_below(&random, sizeof data + 1);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)random_next(&random);
        struct bytes frame = exact_copy(data, size);
        read_anything(frame, &random);
        drop(frame);
    }
}

struct bomb {
    const char *name;
    uint8_t bytes[12];
    size_t size;
    enum reader_error raw_error; /* of read_raw */
};

static const struct bomb bombs[] = {
    {"nothing at all", {0}, 0, READER_TRUNCATED},
    {"array of 4 billion", {0xdd, 0xff, 0xff, 0xff, 0xff}, 5, READER_TRUNCATED},
    {"map of 4 billion", {0xdf, 0xff, 0xff, 0xff, 0xff}, 5, READER_TRUNCATED},
    {"map of 2^31, twice that wraps 32 bits", {0xdf, 0x80, 0, 0, 0, 0xc0}, 6, READER_TRUNCATED},
    {"array of 65,535", {0xdc, 0xff, 0xff, 0xc0}, 4, READER_TRUNCATED},
    {"str of 4 GiB", {0xdb, 0xff, 0xff, 0xff, 0xff, 'a'}, 6, READER_TRUNCATED},
    {"bin of 4 GiB", {0xc6, 0xff, 0xff, 0xff, 0xff, 'a'}, 6, READER_TRUNCATED},
    {"ext of 4 GiB", {0xc9, 0xff, 0xff, 0xff, 0xff, 1}, 6, READER_TRUNCATED},
    {"map with a key and no value", {0x81, 0xa1, 'a'}, 3, READER_TRUNCATED},
    {"the unused tag", {0xc1}, 1, READER_TYPE},
    {"the unused tag inside", {0x92, 0x01, 0xc1}, 3, READER_TYPE},
    {"half a number", {0xcf, 1, 2, 3}, 4, READER_TRUNCATED},
    {"half a float", {0xcb, 1, 2, 3}, 4, READER_TRUNCATED},
    {"an empty ext without its type", {0xc7, 0x00}, 2, READER_TRUNCATED},
};

Test(reader, bombs_are_refused_before_they_cost)
{
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        struct bytes frame = exact_copy(bombs[i].bytes, bombs[i].size);
        struct reader reader;
        reader_init(&reader, frame);
        cr_assert_eq(read_raw(&reader).size, 0, "%s", bombs[i].name);
        cr_assert_eq(reader.error, bombs[i].raw_error, "%s: %s", bombs[i].name,
                     reader_error_text(reader.error));
        reader_init(&reader, frame);
        cr_assert_leq(read_array(&reader, UINT32_MAX), frame.size, "%s", bombs[i].name);
        reader_init(&reader, frame);
        cr_assert_leq(read_map(&reader, UINT32_MAX), frame.size, "%s", bombs[i].name);
        drop(frame);
    }
}

Test(reader, depth_is_bounded)
{
    uint8_t nested[FRAME_DEPTH_MAX + 2];
    memset(nested, 0x91, sizeof nested);
    struct reader reader;

    nested[FRAME_DEPTH_MAX] = 0xc0; /* the deepest that is allowed */
    reader_init(&reader, (struct bytes){nested, FRAME_DEPTH_MAX + 1});
    cr_assert_eq(read_raw(&reader).size, FRAME_DEPTH_MAX + 1);

    nested[FRAME_DEPTH_MAX] = 0x91;
    nested[FRAME_DEPTH_MAX + 1] = 0xc0;
    reader_init(&reader, (struct bytes){nested, FRAME_DEPTH_MAX + 2});
    cr_assert_eq(read_raw(&reader).size, 0);
    cr_assert_eq(reader.error, READER_DEPTH);
}

Test(reader, counts_sizes_and_numbers_keep_to_their_bounds)
{
    static const uint8_t array[] = {0x93, 1, 2, 3}, text[] = {0xa3, 'a', 'b', 'c'},
                         number[] = {0xcd, 0x01, 0x00};
    static const uint8_t negative[] = {0xff}, large[] = {0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0};
    struct reader reader;
#define REFUSED(data, call, cause)                                                                           \
    do {                                                                                                     \
        reader_init(&reader, (struct bytes){data, sizeof data});                                             \
        (void)(call);                                                                                        \
        cr_assert_eq(reader.error, cause, #call);                                                            \
    } while (0)
    REFUSED(array, read_array(&reader, 2), READER_RANGE);
    REFUSED(array, read_array(&reader, 3), READER_OK);
    REFUSED(array, read_map(&reader, 3), READER_TYPE);
    REFUSED(text, read_str(&reader, 0, 2), READER_RANGE);
    REFUSED(text, read_str(&reader, 4, 9), READER_RANGE);
    REFUSED(text, read_str(&reader, 3, 3), READER_OK);
    REFUSED(text, read_text(&reader, 3), READER_OK);
    REFUSED(text, read_bin(&reader, 0, 9), READER_TYPE);
    REFUSED(number, read_uint(&reader, 255), READER_RANGE);
    REFUSED(number, read_uint(&reader, 256), READER_OK);
    REFUSED(number, read_bool(&reader), READER_TYPE);
    REFUSED(negative, read_uint(&reader, 256), READER_TYPE);
    REFUSED(negative, read_int(&reader), READER_OK);
    REFUSED(large, read_int(&reader), READER_RANGE);
#undef REFUSED
}

Test(reader, the_first_error_sticks)
{
    static const uint8_t data[] = {0xa1, 'a', 0x07};
    struct reader reader;
    reader_init(&reader, (struct bytes){data, sizeof data});
    cr_assert_eq(read_uint(&reader, 9), 0);
    cr_assert_eq(reader.error, READER_TYPE);
    cr_assert_eq(read_str(&reader, 0, 9).size, 0, "nothing is read after an error");
    cr_assert_eq(reader_peek(&reader), TYPE_NONE);
    cr_assert_not(read_nil(&reader));
    reader_fail(&reader, READER_DEPTH);
    reader_finish(&reader);
    cr_assert_eq(reader.error, READER_TYPE);
}

Test(reader, peek_names_each_type)
{
    static const struct {
        uint8_t tag;
        enum reader_type type;
    } first[] = {
        {0x00, TYPE_UINT}, {0x7f, TYPE_UINT},  {0x80, TYPE_MAP},   {0x90, TYPE_ARRAY}, {0xa0, TYPE_STR},
        {0xc0, TYPE_NIL},  {0xc1, TYPE_NONE},  {0xc2, TYPE_BOOL},  {0xc3, TYPE_BOOL},  {0xc4, TYPE_BIN},
        {0xc7, TYPE_NONE}, {0xca, TYPE_FLOAT}, {0xcb, TYPE_FLOAT}, {0xcc, TYPE_UINT},  {0xd0, TYPE_UINT},
        {0xd4, TYPE_NONE}, {0xd9, TYPE_STR},   {0xdc, TYPE_ARRAY}, {0xde, TYPE_MAP},   {0xe0, TYPE_INT},
    };
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        uint8_t data[9] = {first[i].tag};
        struct reader reader;
        reader_init(&reader, (struct bytes){data, sizeof data});
        cr_assert_eq(reader_peek(&reader), first[i].type, "tag %02x", first[i].tag);
    }
}

Test(reader, trailing_bytes_are_an_error_of_finish)
{
    static const uint8_t data[] = {0x01, 0x02};
    struct reader reader;
    reader_init(&reader, (struct bytes){data, sizeof data});
    (void)read_uint(&reader, 9);
    reader_finish(&reader);
    cr_assert_eq(reader.error, READER_TRAILING);
}

Test(reader, the_value_of_a_key)
{
    /* {"a": 1, "bc": [2, 3], "d": nil} and the same cut short */
    static const uint8_t map[] = {0x83, 0xa1, 'a', 1, 0xa2, 'b', 'c', 0x92, 2, 3, 0xa1, 'd', 0xc0};
    const struct bytes whole = {map, sizeof map}, cut = {map, 8}, none = {NULL, 0}, number = {map + 3, 1};
    struct bytes value = read_map_value(whole, "bc");
    cr_expect(value.data == map + 7 && value.size == 3);
    cr_expect_eq(read_map_value(whole, "d").size, 1);
    cr_expect_eq(read_map_value(whole, "b").size, 0);
    cr_expect_eq(read_map_value(cut, "a").size, 1);
    cr_expect_eq(read_map_value(cut, "bc").size, 0);
    cr_expect_eq(read_map_value(none, "a").size, 0);
    cr_expect_eq(read_map_value(number, "a").size, 0);
}
