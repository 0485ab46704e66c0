/* The parts of the simulation that are no nodes: timeline, disk. */
#include <criterion/criterion.h>

#include "sim/dice.h"
#include "sim/disk.h"
#include "sim/timeline.h"

Test(timeline, gives_back_by_time_and_then_by_order)
{
    struct timeline timeline = {NULL, 0, 0, 0};
    struct dice dice = {3};
    struct occasion occasion;
    for (uint64_t i = 0; i < 2000; i++)
        timeline_add(&timeline, (struct occasion){.at_ns = dice_below(&dice, 100), .number = i});
    uint64_t at_ns = 0, order = 0;
    for (int i = 0; i < 2000; i++) {
        cr_assert(timeline_take(&timeline, &occasion));
        cr_assert(occasion.at_ns > at_ns || (occasion.at_ns == at_ns && (i == 0 || occasion.order > order)));
        at_ns = occasion.at_ns;
        order = occasion.order;
    }
    cr_assert(!timeline_take(&timeline, &occasion));
    timeline_release(&timeline);
}

Test(disk, keeps_parts_in_order_and_erases_all_of_a_number)
{
    struct disk disk = {0}, copy = {0};
    disk_put(&disk, TABLE_ATTEMPTS, 7, 2, bytes_of("two"));
    disk_put(&disk, TABLE_ATTEMPTS, 7, 1, bytes_of("one"));
    disk_put(&disk, TABLE_ATTEMPTS, 6, 0, bytes_of("six"));
    disk_put(&disk, TABLE_ATTEMPTS, 7, 1, bytes_of("uno!"));
    cr_assert_eq(disk.bytes, 10);
    cr_assert(bytes_are(disk_find(&disk, TABLE_ATTEMPTS, 7)->value, "uno!"));
    disk_copy(&copy, &disk);
    disk_erase(&disk, TABLE_ATTEMPTS, 7);
    cr_assert_null(disk_find(&disk, TABLE_ATTEMPTS, 7));
    cr_assert_eq(disk.tables[TABLE_ATTEMPTS].count, 1);
    cr_assert_eq(disk.bytes, 3);
    cr_assert_eq(copy.tables[TABLE_ATTEMPTS].count, 3);
    cr_assert_null(disk_find(&copy, TABLE_STATES, 7));
    disk_wipe(&disk);
    disk_wipe(&copy);
}
