/* result_test.c - result maps, and the chains of blocks they are kept in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/limits.h"
#include "proto/reader.h"
#include "worker/result.h"

enum { BUFFER_BYTES = 2 * 1024 * 1024, BLOCKS = 4096 };

static uint8_t buffer[BUFFER_BYTES];
static uint8_t printed[RESULT_STREAM_BYTES_MAX + 1000];

static struct bytes text_of(const struct slab *blocks, const struct chain *chain)
{
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    chain_write(blocks, chain, &writer);
    cr_expect_eq(writer.size, chain->size);
    return writer_bytes(&writer);
}

/* What a reader finds under `key`, as raw bytes. */
static struct bytes field(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map);
    uint32_t pairs = read_map(&reader, 16);
    for (uint32_t i = 0; i < pairs; i++) {
        struct bytes name = read_str(&reader, 1, 64);
        struct bytes value = read_raw(&reader);
        cr_assert(!reader_failed(&reader));
        if (bytes_are(name, key))
            return value;
    }
    cr_assert_fail("no field %s", key);
    return map;
}

static bool is_true(struct bytes map, const char *key)
{
    return *field(map, key).data == 0xc3;
}

static size_t bin_size(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, field(map, key));
    return read_bin(&reader, 0, BUFFER_BYTES).size;
}

Test(chain, keeps_bytes_of_any_size)
{
    static const size_t sizes[] = {0,   1, CHAIN_BLOCK_BYTES - 1, CHAIN_BLOCK_BYTES, CHAIN_BLOCK_BYTES + 1,
                                   5000};
    struct slab blocks;
    slab_init(&blocks, sizeof(struct chain_block), BLOCKS);
    for (size_t i = 0; i < sizeof printed; i++)
        printed[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            struct chain chain = {0};
            cr_assert(chain_append(&blocks, &chain, (struct bytes){printed, sizes[i]}));
            cr_assert(chain_append(&blocks, &chain, (struct bytes){printed + sizes[i], sizes[j]}));
            cr_expect(bytes_equal(text_of(&blocks, &chain), (struct bytes){printed, sizes[i] + sizes[j]}));
            chain_release(&blocks, &chain);
            cr_expect_eq(blocks.live, 0u);
        }
    slab_release(&blocks);
}

Test(chain, is_left_as_it_was_when_there_is_no_room)
{
    struct slab blocks;
    struct chain chain = {0};
    slab_init(&blocks, sizeof(struct chain_block), 3);
    cr_assert(chain_append(&blocks, &chain, bytes_of("first")));
    cr_expect(!chain_append(&blocks, &chain, (struct bytes){printed, 5000}));
    cr_expect(bytes_are(text_of(&blocks, &chain), "first"));
    cr_expect_eq(blocks.live, 1u);
    cr_expect(chain_append(&blocks, &chain, (struct bytes){printed, 2 * CHAIN_BLOCK_BYTES}));
    chain_release(&blocks, &chain);
    cr_expect(!chain_append(&blocks, &chain, (struct bytes){printed, 5000}));
    cr_expect_eq(blocks.live, 0u);
    slab_release(&blocks);
}

Test(result, is_a_whole_map_within_the_frame)
{
    struct slab blocks;
    struct chain chain = {0};
    slab_init(&blocks, sizeof(struct chain_block), BLOCKS);
    struct process_end end = {.started = true,
                              .exit_status = -1,
                              .signal = 9,
                              .output = {printed, sizeof printed},
                              .error = {printed, RESULT_STREAM_BYTES_MAX}};
    cr_assert(result_encode(&blocks, &chain, &end, 1234));
    struct bytes map = text_of(&blocks, &chain);
    cr_expect(map.size + 256 < FRAME_BYTES_MAX);
    cr_expect_eq(bin_size(map, "output"), (size_t)RESULT_STREAM_BYTES_MAX);
    cr_expect(is_true(map, "output_cut"));
    cr_expect(!is_true(map, "error_cut"));
    cr_expect_eq(*field(map, "exit").data, 0xc0);
    cr_expect_eq(*field(map, "signal").data, 9);
    chain_release(&blocks, &chain);
    slab_release(&blocks);
}

Test(result, drops_what_was_printed_when_memory_is_short)
{
    struct slab blocks;
    struct chain chain = {0};
    slab_init(&blocks, sizeof(struct chain_block), 1);
    struct process_end end = {.started = true, .output = {printed, 3000}};
    cr_assert(result_encode(&blocks, &chain, &end, 1));
    struct bytes map = text_of(&blocks, &chain);
    cr_expect_eq(bin_size(map, "output"), 0u);
    cr_expect(is_true(map, "output_cut"));
    cr_expect_eq(*field(map, "exit").data, 0);
    chain_release(&blocks, &chain);
    slab_release(&blocks);
}

Test(result, judges_what_an_end_means)
{
    static const struct {
        struct process_end process;
        enum task_end end;
        uint32_t flags;
    } rows[] = {
        {{.started = true, .exit_status = 0}, TASK_COMPLETED, OUTCOME_DEAD},
        {{.started = true, .exit_status = 1}, TASK_FAILED, OUTCOME_DEAD},
        {{.started = true, .exit_status = -1, .signal = 11}, TASK_FAILED, OUTCOME_DEAD},
        {{.started = false, .start_error = ENOENT}, TASK_FAILED, OUTCOME_DEAD | OUTCOME_PERMANENT},
        {{.started = false, .start_error = EACCES}, TASK_FAILED, OUTCOME_DEAD | OUTCOME_PERMANENT},
        {{.started = false, .start_error = ENOEXEC}, TASK_FAILED, OUTCOME_DEAD | OUTCOME_PERMANENT},
        {{.started = false, .start_error = EMFILE}, TASK_FAILED, OUTCOME_DEAD},
        {{.started = false, .start_error = 9999}, TASK_FAILED, OUTCOME_DEAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t flags;
        cr_expect_eq(result_judge(&rows[i].process, &flags), rows[i].end, "row %zu", i);
        cr_expect_eq(flags, rows[i].flags, "row %zu", i);
    }
}

Test(result, plain_maps_fit_their_bound)
{
    static const struct {
        enum task_end end;
        uint8_t exit;
    } rows[] = {{TASK_COMPLETED, 0}, {TASK_CANCELLED, 0xc0}, {TASK_FAILED, 0xc0}};
    struct writer writer;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        writer_init(&writer, buffer, RESULT_PLAIN_BYTES_MAX);
        result_write_plain(&writer, rows[i].end);
        cr_expect_eq(*field(writer_bytes(&writer), "exit").data, rows[i].exit);
    }
    writer_init(&writer, buffer, RESULT_PLAIN_BYTES_MAX);
    result_write_plain(&writer, TASK_RETURNED);
    cr_expect_eq(writer.size, 1u);
    cr_expect_eq(buffer[0], 0x80);
}

Test(result, says_what_could_not_be_started_and_why)
{
    static const struct {
        const char *path;
        int error;
        const char *message;
    } rows[] = {
        {"/no/such", ENOENT, "cannot start: /no/such: not found"},
        {"working directory /x\ny", EACCES, "cannot start: working directory /x?y: not permitted"},
        {"", EAGAIN, "cannot start: the worker's machine has too many processes"},
        {"/bin/x", 9999, "cannot start: /bin/x: the system refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slab blocks;
        struct chain chain = {0, 0, 0};
        struct reader reader;
        struct process_end end = {
            .exit_status = -1, .start_error = rows[i].error, .error = bytes_of(rows[i].path)};
        slab_init(&blocks, sizeof(struct chain_block), BLOCKS);
        cr_assert(result_encode(&blocks, &chain, &end, 5));
        struct bytes map = text_of(&blocks, &chain);
        reader_init(&reader, field(map, "message"));
        struct bytes message = read_str(&reader, 0, 1000);
        cr_expect(bytes_are(message, rows[i].message), "%.*s", (int)message.size, message.data);
        cr_expect_eq(bin_size(map, "error"), 0, "it was no process that printed this");
        cr_expect(!is_true(map, "error_cut"));
        slab_release(&blocks);
    }
}

Test(result, of_a_path_longer_than_a_message_is_cut)
{
    struct slab blocks;
    struct chain chain = {0, 0, 0};
    struct process_end end = {.exit_status = -1, .start_error = ENAMETOOLONG, .error = {printed, 100000}};
    slab_init(&blocks, sizeof(struct chain_block), BLOCKS);
    cr_assert(result_encode(&blocks, &chain, &end, 5));
    cr_expect_lt(text_of(&blocks, &chain).size, 1000);
    slab_release(&blocks);
}
