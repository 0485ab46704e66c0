#include "engine/slab.h"

#include <criterion/criterion.h>
#include <string.h>

Test(slab, gives_zeroed_items_and_never_index_0)
{
    struct slab slab;
    slab_init(&slab, 24, 100000);
    for (uint32_t i = 1; i <= 3 * SLAB_CHUNK_ITEMS; i++) {
        uint32_t index = slab_take(&slab);
        cr_assert_eq(index, i);
        static const uint8_t zero[24];
        cr_assert_eq(memcmp(slab_at(&slab, index), zero, sizeof zero), 0);
        memset(slab_at(&slab, index), 0xab, sizeof zero);
    }
    cr_assert_eq(slab.live, 3 * SLAB_CHUNK_ITEMS);
    slab_release(&slab);
}

Test(slab, reuses_last_in_first_out_and_zeroes_again)
{
    struct slab slab;
    slab_init(&slab, 8, 10);
    uint32_t a = slab_take(&slab), b = slab_take(&slab);
    memset(slab_at(&slab, a), 0xff, 8);
    slab_give(&slab, a);
    slab_give(&slab, b);
    cr_assert_eq(slab_take(&slab), b);
    cr_assert_eq(slab_take(&slab), a);
    uint64_t value;
    memcpy(&value, slab_at(&slab, a), sizeof value);
    cr_assert_eq(value, 0);
    slab_release(&slab);
}

Test(slab, what_is_reserved_needs_no_more_memory)
{
    struct slab slab;
    slab_init(&slab, 16, UINT32_MAX - 1);
    cr_assert(slab_reserve(&slab, SLAB_CHUNK_ITEMS));
    uint32_t chunks = slab.chunk_count;
    for (int i = 0; i < SLAB_CHUNK_ITEMS; i++)
        cr_assert_neq(slab_take(&slab), 0);
    cr_assert_eq(slab.chunk_count, chunks);
    cr_assert(slab_reserve(&slab, 1));
    cr_assert_eq(slab.chunk_count, chunks);
    slab_release(&slab);
}

Test(slab, says_no_at_its_bound_and_again_yes_below_it)
{
    struct slab slab;
    slab_init(&slab, 16, 3);
    uint32_t last = 0;
    for (int i = 0; i < 3; i++)
        last = slab_take(&slab);
    cr_assert_eq(slab_take(&slab), 0);
    slab_give(&slab, last);
    cr_assert_eq(slab_take(&slab), last);
    slab_release(&slab);
    cr_assert_eq(slab.live, 0);
}

Test(slab, items_never_move)
{
    struct slab slab;
    slab_init(&slab, 16, UINT32_MAX - 1);
    uint32_t first = slab_take(&slab);
    const void *where = slab_at(&slab, first);
    for (int i = 0; i < 40 * SLAB_CHUNK_ITEMS; i++)
        cr_assert_neq(slab_take(&slab), 0);
    cr_assert_eq(slab_at(&slab, first), where);
    slab_release(&slab);
}
