/* link_test.c - what holds for every message between a child and its parent, on random contents: it reads
 * back as it was written, trailing fields of a later version are ignored, and what is cut or short is
 * refused. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/proto/golden.h"
#include "tests/proto/random.h"

enum { VALUE_BYTES = 16 * 1024 };

static uint8_t data[VALUE_BYTES];

static struct task_id some_id(struct random *random)
{
    struct task_id id;
    for (int i = 0; i < TASK_ID_BYTES; i++)
        id.bytes[i] = (uint8_t)random_next(random);
    return id;
}

static struct fence some_fence(struct random *random)
{
    return (struct fence){(uint32_t)random_next(random), (uint32_t)random_next(random),
                          (uint32_t)random_next(random)};
}

static struct bytes some_name(struct random *random)
{
    static const char letters[NAME_BYTES_MAX + 1] =
        "abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxyz";
    return (struct bytes){(const uint8_t *)letters, 1 + random_below(random, NAME_BYTES_MAX)};
}

static uint32_t some_uint32(struct random *random)
{
    return (uint32_t)(random_width(random) >> 32);
}

static struct bytes some_profiles(struct random *random)
{
    static uint8_t encoded[VALUE_BYTES / 2];
    struct writer writer;
    writer_init(&writer, encoded, sizeof encoded);
    uint32_t count = (uint32_t)random_below(random, 3);
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct profile profile = {.slots = (uint32_t)random_below(random, SLOTS_MAX + 1)};
        profile.type_count = (uint32_t)random_below(random, 20);
        for (uint32_t k = 0; k < profile.type_count; k++)
            profile.types[k] = some_name(random);
        profile.capability_count = (uint32_t)random_below(random, CAPABILITIES_MAX + 1);
        for (uint32_t k = 0; k < profile.capability_count; k++)
            profile.capabilities[k] = some_name(random);
        profile_write(&writer, &profile);
    }
    return writer_bytes(&writer);
}

static void some_map(struct writer *writer, struct random *random)
{
    write_map(writer, 1);
    write_str_bytes(writer, some_name(random));
    write_uint(writer, random_width(random));
}

static void some_hello(struct writer *writer, struct random *random)
{
    struct hello hello = {
        .name = some_name(random),
        .role = some_name(random),
        .boot = random_width(random),
        .version_min = some_uint32(random),
        .version_max = some_uint32(random),
        .profiles = some_profiles(random),
        .epoch_seen = some_uint32(random),
    };
    hello_write(writer, &hello);
}

static void some_welcome(struct writer *writer, struct random *random)
{
    welcome_write(writer, &(struct welcome){some_uint32(random), some_uint32(random),
                                            1 + (uint32_t)random_below(random, 1000), some_uint32(random),
                                            random_width(random)});
}

static struct bytes some_late_entries(struct random *random)
{
    static uint8_t entries[1024];
    struct writer writer;
    uint32_t count = 1 + (uint32_t)random_below(random, 3);
    writer_init(&writer, entries, sizeof entries);
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++)
        late_entry_write(&writer, &(struct late_entry){some_id(random), some_fence(random),
                                                       (enum task_end)random_below(random, TASK_END_COUNT),
                                                       some_name(random)});
    return writer_bytes(&writer);
}

static void some_heartbeat(struct writer *writer, struct random *random)
{
    struct heartbeat heartbeat = {
        .clock_us = random_width(random),
        .echo_us = random_width(random),
        .echo_held_us = random_width(random),
        .commit_age_ms = some_uint32(random),
        .flags = some_uint32(random),
    };
    if (random_below(random, 2) == 0)
        heartbeat.profiles = some_profiles(random);
    heartbeat_write(writer, &heartbeat);
}

static void some_late_heartbeat(struct writer *writer, struct random *random)
{
    heartbeat_write(writer, &(struct heartbeat){.clock_us = random_width(random),
                                                .children = some_uint32(random),
                                                .late = some_late_entries(random)});
}

static void some_inventory_row(struct writer *writer, struct random *random)
{
    inventory_row_write(writer,
                        &(struct inventory_row){some_id(random), some_fence(random),
                                                (enum held_status)random_below(random, HELD_STATUS_COUNT),
                                                random_width(random)});
}

static void some_assign_entry(struct writer *writer, struct random *random)
{
    assign_entry_write_head(writer, &(struct assign_entry){some_id(random),
                                                           some_fence(random),
                                                           random_width(random) >> 21, /* it has a bound */
                                                           some_uint32(random),
                                                           some_uint32(random),
                                                           some_uint32(random),
                                                           {NULL, 0}});
    some_map(writer, random);
}

static void some_taken_entry(struct writer *writer, struct random *random)
{
    taken_entry_write(writer, &(struct taken_entry){some_id(random), some_fence(random),
                                                    random_below(random, 2) == 0, random_width(random)});
}

static void some_refused_entry(struct writer *writer, struct random *random)
{
    refused_entry_write(writer,
                        &(struct refused_entry){some_id(random), some_fence(random), some_name(random)});
}

static void some_stop_entry(struct writer *writer, struct random *random)
{
    stop_entry_write(writer, &(struct stop_entry){some_id(random), some_fence(random),
                                                  (enum stop_mode)random_below(random, STOP_MODE_COUNT)});
}

static void some_outcome_entry(struct writer *writer, struct random *random)
{
    outcome_entry_write_head(writer,
                             &(struct outcome_entry){some_id(random),
                                                     some_fence(random),
                                                     (enum task_end)random_below(random, TASK_END_COUNT),
                                                     some_uint32(random),
                                                     {NULL, 0}});
    some_map(writer, random);
}

static void some_settled_entry(struct writer *writer, struct random *random)
{
    settled_entry_write(
        writer, &(struct settled_entry){some_id(random), some_fence(random),
                                        (enum settled_status)random_below(random, SETTLED_STATUS_COUNT)});
}

static void some_ask(struct writer *writer, struct random *random)
{
    ask_write_head(writer, random_width(random), "workers");
    some_map(writer, random);
}

static void some_answer(struct writer *writer, struct random *random)
{
    answer_write_head(writer, random_width(random));
    some_map(writer, random);
}

static const struct {
    enum message_kind kind;
    void (*write)(struct writer *writer, struct random *random);
} shapes[] = {
    {MESSAGE_HELLO, some_hello},
    {MESSAGE_WELCOME, some_welcome},
    {MESSAGE_HEARTBEAT, some_heartbeat},
    {MESSAGE_HEARTBEAT, some_late_heartbeat},
    {MESSAGE_INVENTORY, some_inventory_row},
    {MESSAGE_ASSIGN, some_assign_entry},
    {MESSAGE_TAKEN, some_taken_entry},
    {MESSAGE_REFUSED, some_refused_entry},
    {MESSAGE_STOP, some_stop_entry},
    {MESSAGE_OUTCOME, some_outcome_entry},
    {MESSAGE_SETTLED, some_settled_entry},
    {MESSAGE_ASK, some_ask},
    {MESSAGE_ANSWER, some_answer},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static uint8_t again_data[VALUE_BYTES];

static struct bytes write_one(size_t shape, struct random *random)
{
    struct writer writer;
    writer_init(&writer, data, sizeof data - 1); /* room for one trailing field */
    shapes[shape].write(&writer, random);
    return writer_bytes(&writer);
}

static bool read_one(size_t shape, struct bytes value, struct bytes *ret_again)
{
    struct writer writer;
    writer_init(&writer, again_data, sizeof again_data);
    bool good = golden_link_again(shapes[shape].kind, value, &writer);
    *ret_again = writer_bytes(&writer);
    return good;
}

Test(link, what_is_written_is_read_back)
{
    struct random random = {10};
    for (int round = 0; round < 20000; round++) {
        size_t shape = random_below(&random, SHAPES);
        struct bytes value = write_one(shape, &random), again;
        cr_assert(read_one(shape, value, &again), "%s", message_kind_text(shapes[shape].kind));
        cr_assert(bytes_equal(value, again), "%s", message_kind_text(shapes[shape].kind));
    }
}

Test(link, trailing_fields_are_ignored)
{
    struct random random = {11};
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct bytes value = write_one(shape, &random), again;
        data[0]++; /* one field more in the array, */
        data[value.size] = 0xc0;
        cr_assert(read_one(shape, (struct bytes){data, value.size + 1}, &again), "%s",
                  message_kind_text(shapes[shape].kind));
        data[0]--; /* and what was read is what there was without it */
        cr_assert(bytes_equal(value, again), "%s", message_kind_text(shapes[shape].kind));
    }
}

Test(link, a_missing_field_is_refused)
{
    struct random random = {12};
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct bytes value = write_one(shape, &random), again;
        if (shapes[shape].write == some_late_heartbeat)
            continue; /* its last field may be missing */
        data[0]--;
        cr_assert_not(read_one(shape, value, &again), "%s", message_kind_text(shapes[shape].kind));
    }
}

Test(link, every_truncation_is_refused)
{
    struct random random = {13};
    for (int round = 0; round < 20; round++) {
        for (size_t shape = 0; shape < SHAPES; shape++) {
            struct bytes value = write_one(shape, &random), again;
            for (size_t size = 0; size < value.size; size++) {
                uint8_t *cut = malloc(size == 0 ? 1 : size);
                memcpy(cut, data, size);
                cr_assert_not(read_one(shape, (struct bytes){cut, size}, &again), "%s cut to %zu of %zu",
                              message_kind_text(shapes[shape].kind), size, value.size);
                free(cut);
            }
        }
    }
}

Test(link, profiles_are_read_back)
{
    struct random random = {14};
    for (int round = 0; round < 2000; round++) {
        struct bytes value = some_profiles(&random);
        struct reader reader;
        reader_init(&reader, value);
        struct writer writer;
        writer_init(&writer, again_data, sizeof again_data);
        uint32_t count = read_array(&reader, PROFILES_MAX);
        write_array(&writer, count);
        for (uint32_t i = 0; i < count; i++) {
            struct profile profile;
            cr_assert(profile_read(&reader, &profile));
            profile_write(&writer, &profile);
        }
        cr_assert(bytes_equal(value, writer_bytes(&writer)));
    }
}

/* ---- values out of range: the byte at `offset` from the end is set to `value` ---- */

static const struct {
    const char *what;
    enum message_kind kind;
    size_t from_end;
    uint8_t value;
} out_of_range[] = {
    {"an unknown status in INVENTORY", MESSAGE_INVENTORY, 2, HELD_STATUS_COUNT},
    {"an unknown mode in STOP", MESSAGE_STOP, 1, STOP_MODE_COUNT},
    {"an unknown status in SETTLED", MESSAGE_SETTLED, 1, SETTLED_STATUS_COUNT},
    {"an unknown end in OUTCOME", MESSAGE_OUTCOME, 3, TASK_END_COUNT},
    {"an outcome that is no map", MESSAGE_OUTCOME, 1, 0x90},
    {"a started that is a number", MESSAGE_TAKEN, 2, 1},
};

static void write_small(struct writer *writer, enum message_kind kind)
{
    if (kind == MESSAGE_INVENTORY)
        inventory_row_write(writer, &(struct inventory_row){golden_id, golden_fence, HELD_RUNNING, 1});
    else if (kind == MESSAGE_STOP)
        stop_entry_write(writer, &(struct stop_entry){golden_id, golden_fence, STOP_CANCEL});
    else if (kind == MESSAGE_SETTLED)
        settled_entry_write(writer, &(struct settled_entry){golden_id, golden_fence, SETTLED_STALE});
    else if (kind == MESSAGE_TAKEN)
        taken_entry_write(writer, &(struct taken_entry){golden_id, golden_fence, true, 1});
    else {
        outcome_entry_write_head(writer,
                                 &(struct outcome_entry){golden_id, golden_fence, TASK_FAILED, 0, {NULL, 0}});
        write_map(writer, 0);
    }
}

Test(link, values_outside_their_table_are_refused)
{
    for (size_t i = 0; i < sizeof out_of_range / sizeof out_of_range[0]; i++) {
        struct writer writer, again;
        writer_init(&writer, data, sizeof data);
        write_small(&writer, out_of_range[i].kind);
        writer_init(&again, again_data, sizeof again_data);
        cr_assert(golden_link_again(out_of_range[i].kind, writer_bytes(&writer), &again));
        data[writer.size - out_of_range[i].from_end] = out_of_range[i].value;
        cr_assert_not(golden_link_again(out_of_range[i].kind, writer_bytes(&writer), &again), "%s",
                      out_of_range[i].what);
    }
}

Test(link, a_welcome_without_a_beat_is_refused)
{
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    welcome_write(&writer, &(struct welcome){1, 1, 0, 1000, 1});
    struct welcome welcome;
    cr_assert_not(welcome_read(writer_bytes(&writer), &welcome));
}

Test(link, too_many_slots_types_or_capabilities_are_refused)
{
    static struct profile profile = {
        .slots = 1, .type_count = PROFILE_TYPES_MAX, .capability_count = CAPABILITIES_MAX};
    for (uint32_t i = 0; i < PROFILE_TYPES_MAX; i++)
        profile.types[i] = bytes_of("t");
    for (uint32_t i = 0; i < CAPABILITIES_MAX; i++)
        profile.capabilities[i] = bytes_of("c");
    struct writer writer;
    struct reader reader;
    struct profile back;
    writer_init(&writer, data, sizeof data);
    profile_write(&writer, &profile);
    reader_init(&reader, writer_bytes(&writer));
    cr_assert(profile_read(&reader, &back));

    size_t type_count_at = 3, capability_count_at = 1 + 3 + 2 * PROFILE_TYPES_MAX + 2;
    data[type_count_at]++; /* array16 of 65 */
    reader_init(&reader, writer_bytes(&writer));
    cr_assert_not(profile_read(&reader, &back));
    cr_assert_eq(reader.error, READER_RANGE);
    data[type_count_at]--;
    data[capability_count_at]++;
    reader_init(&reader, writer_bytes(&writer));
    cr_assert_not(profile_read(&reader, &back));
    cr_assert_eq(reader.error, READER_RANGE);

    writer_init(&writer, data, sizeof data);
    profile_write(&writer, &(struct profile){.slots = SLOTS_MAX + 1});
    reader_init(&reader, writer_bytes(&writer));
    cr_assert_not(profile_read(&reader, &back));
}

Test(link, ends_have_names)
{
    cr_assert_str_eq(task_end_text(TASK_COMPLETED), "completed");
    cr_assert_str_eq(task_end_text(TASK_NOT_HELD), "not_held");
}
