/* id_test.c - task ids, fences and their text. */
#include <criterion/criterion.h>

#include "proto/id.h"
#include "tests/proto/random.h"

static struct fence some_fence(struct random *random)
{
    /* Few values per part, so that equal parts are met; near the edges, so that a sign would show. */
    static const uint32_t parts[] = {0, 1, 2, 255, 256, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    return (struct fence){parts[random_below(random, 9)], parts[random_below(random, 9)],
                          parts[random_below(random, 9)]};
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

Test(id, fences_are_ordered_as_their_bytes)
{
    struct random random = {4};
    for (int round = 0; round < 100000; round++) {
        struct fence a = some_fence(&random), b = some_fence(&random);
        uint8_t a_bytes[FENCE_BYTES], b_bytes[FENCE_BYTES];
        fence_encode(a, a_bytes);
        fence_encode(b, b_bytes);
        cr_assert_eq(sign(fence_compare(a, b)), sign(memcmp(a_bytes, b_bytes, FENCE_BYTES)));
        cr_assert_eq(fence_compare(fence_decode(a_bytes), a), 0);
    }
}

Test(id, custody_outweighs_epoch_outweighs_attempt)
{
    cr_assert_gt(fence_compare((struct fence){2, 0, 0}, (struct fence){1, 9, 9}), 0);
    cr_assert_gt(fence_compare((struct fence){1, 2, 0}, (struct fence){1, 1, 9}), 0);
    cr_assert_gt(fence_compare((struct fence){1, 1, 2}, (struct fence){1, 1, 1}), 0);
}

Test(id, a_fence_is_12_bytes_big_endian)
{
    static const uint8_t expected[FENCE_BYTES] = {0, 0, 0, 1, 0x66, 0x55, 0x44, 0x33, 0, 0, 1, 2};
    uint8_t encoded[FENCE_BYTES];
    fence_encode((struct fence){1, 0x66554433, 258}, encoded);
    cr_assert_arr_eq(encoded, expected, FENCE_BYTES);
}

Test(id, hex_goes_there_and_back)
{
    static const uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff};
    char text[9];
    hex_encode((struct bytes){bytes, sizeof bytes}, text);
    cr_assert_str_eq(text, "009fa0ff");
    uint8_t back[4];
    cr_assert(hex_decode(bytes_of("009FA0ff"), back, sizeof back), "capitals are read too");
    cr_assert_arr_eq(back, bytes, sizeof bytes);
}

Test(id, hex_of_another_length_or_letter_is_refused)
{
    static const char *const bad[] = {"",         "009fa0f",  "009fa0ff0",     "009fa0fg",
                                      "009fa0f ", "0x9fa0ff", "009fa0\xff\xff"};
    uint8_t to[4];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_not(hex_decode(bytes_of(bad[i]), to, sizeof to), "%s", bad[i]);
}

Test(id, a_made_id_is_a_uuid_of_version_7)
{
    struct random random = {5};
    for (int round = 0; round < 1000; round++) {
        uint64_t wall_ms = random_next(&random) >> 16;
        const uint64_t words[2] = {random_next(&random), random_next(&random)};
        struct task_id id = task_id_make(wall_ms, words);
        cr_assert_eq(id.bytes[6] >> 4, 7);
        cr_assert_eq(id.bytes[8] >> 6, 2);
        cr_assert_eq(task_id_time_ms(&id), wall_ms);
    }
}

Test(id, made_ids_use_both_random_words_and_sort_by_time)
{
    const uint64_t words[2] = {1, 2}, first[2] = {9, 2}, second[2] = {1, 9};
    struct task_id id = task_id_make(1000, words), by_first = task_id_make(1000, first);
    struct task_id by_second = task_id_make(1000, second), later = task_id_make(1001, words);
    cr_assert_not(task_id_equal(&id, &by_first));
    cr_assert_not(task_id_equal(&id, &by_second));
    cr_assert_lt(memcmp(id.bytes, later.bytes, TASK_ID_BYTES), 0);
}

Test(id, another_uuid_has_no_time)
{
    struct task_id version_4 = {{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89}},
                   variant_0 = {{1, 2, 3, 4, 5, 6, 0x77, 8, 0x09}};
    cr_assert_eq(task_id_time_ms(&version_4), 0);
    cr_assert_eq(task_id_time_ms(&variant_0), 0);
}
