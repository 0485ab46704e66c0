/* classes_test.c - equal requirements are one class; what a profile meets. */
#include "engine/classes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct classes *classes;
static struct outputs outputs;
static bool reused; /* by the last class_of */

static void set_up(void)
{
    classes = calloc(1, sizeof *classes);
    cr_assert_not_null(classes);
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
}

static void tear_down(void)
{
    classes_release(classes);
    free(classes);
    outputs_release(&outputs);
}

TestSuite(classes, .init = set_up, .fini = tear_down);

static uint16_t class_of(const char *type, const char *a, const char *b, const char *region)
{
    struct task_fields fields = {.type = bytes_of(type), .region = bytes_of(region)};
    if (a != NULL)
        fields.capabilities[fields.capability_count++] = bytes_of(a);
    if (b != NULL)
        fields.capabilities[fields.capability_count++] = bytes_of(b);
    return classes_of(classes, &fields, &outputs, &reused);
}

Test(classes, equal_requirements_are_one_class)
{
    uint16_t first = class_of("resize", "gpu", "disk", "");
    cr_expect_eq(first, 1);
    cr_expect_eq(class_of("resize", "disk", "gpu", ""), first, "the order of capabilities does not matter");
    cr_expect_eq(outputs.write_count, 1, "it is put once");
    cr_expect_neq(class_of("resize", "gpu", NULL, ""), first);
    cr_expect_neq(class_of("resize", "gpu", "disk", "eu"), first);
    cr_expect_neq(class_of("blur", "gpu", "disk", ""), first);
    cr_expect_eq(outputs.write_count, 4);
}

Test(classes, names_do_not_run_into_each_other)
{
    uint16_t first = class_of("ab", "c", NULL, "");
    cr_expect_neq(class_of("a", "bc", NULL, ""), first);
    cr_expect_neq(class_of("abc", NULL, NULL, ""), first);
    cr_expect_neq(class_of("ab", NULL, NULL, "c"), first);
}

Test(classes, a_requirement_comes_back)
{
    struct requirement requirement;
    classes_requirement(classes, class_of("resize", "gpu", "disk", "eu"), &requirement);
    cr_expect(bytes_are(requirement.type, "resize"));
    cr_expect(bytes_are(requirement.region, "eu"));
    cr_assert_eq(requirement.capability_count, 2);
    cr_expect(bytes_are(requirement.capabilities[0], "disk"));
    cr_expect(bytes_are(requirement.capabilities[1], "gpu"));
}

Test(classes, records_bring_them_back_in_order)
{
    uint8_t first[64], second[64];
    class_of("resize", "gpu", NULL, "");
    class_of("blur", NULL, NULL, "eu");
    size_t first_size = classes->encoded[1].size, second_size = classes->encoded[2].size;
    memcpy(first, classes->encoded[1].data, first_size);
    memcpy(second, classes->encoded[2].data, second_size);
    classes_release(classes);
    memset(classes, 0, sizeof *classes);
    cr_expect_not(classes_restore(classes, 2, (struct bytes){second, second_size}), "none is left out");
    cr_expect(classes_restore(classes, 1, (struct bytes){first, first_size}));
    cr_expect(classes_restore(classes, 2, (struct bytes){second, second_size}));
    cr_expect_not(classes_restore(classes, 3, (struct bytes){second, second_size - 1}), "cut short");
    outputs_reset(&outputs);
    cr_expect_eq(class_of("blur", NULL, NULL, "eu"), 2);
    cr_expect_eq(outputs.write_count, 0);
    cr_expect_eq(class_of("blur", NULL, NULL, "us"), 3);
}

Test(classes, the_table_has_a_bound)
{
    char name[16];
    for (int i = 0; i < CLASSES_MAX; i++) {
        snprintf(name, sizeof name, "type%d", i);
        outputs_reset(&outputs);
        cr_assert_eq(class_of(name, NULL, NULL, ""), i + 1);
        classes->tasks[i + 1] = 1;
    }
    cr_expect_eq(class_of("one-more", NULL, NULL, ""), 0);
    cr_expect_eq(class_of("type17", NULL, NULL, ""), 18, "the known ones are still found");
    cr_expect_not(reused);
}

/* Every known type is found in its place, whatever came and went in the hash table. */
static void assert_found(const uint32_t *types)
{
    char name[16];
    for (uint32_t class = 1; class <= CLASSES_MAX; class ++) {
        snprintf(name, sizeof name, "type%u", types[class]);
        cr_assert_eq(class_of(name, NULL, NULL, ""), class);
    }
}

Test(classes, those_without_tasks_are_reused_in_a_full_table)
{
    enum { ROUNDS = 3 };
    static uint32_t types[CLASSES_MAX + 1];
    char name[16];
    uint32_t type = 1;
    for (; type <= CLASSES_MAX; type++) {
        snprintf(name, sizeof name, "type%u", type);
        outputs_reset(&outputs);
        types[class_of(name, NULL, NULL, "")] = type;
        classes->tasks[type] = type % 3;
    }
    for (; type <= ROUNDS * CLASSES_MAX; type++) {
        struct requirement requirement;
        snprintf(name, sizeof name, "type%u", type);
        outputs_reset(&outputs);
        uint16_t class = class_of(name, NULL, NULL, "");
        cr_assert(class > 0 && class % 3 == 0, "only one without tasks");
        cr_assert(reused);
        cr_assert_eq(outputs.write_count, 1);
        classes_requirement(classes, class, &requirement);
        cr_assert(bytes_are(requirement.type, name));
        types[class] = type;
    }
    assert_found(types);
    cr_expect_eq(classes->count, CLASSES_MAX);
}

Test(classes, a_profile_meets_a_type_and_all_capabilities)
{
    struct requirement requirement;
    struct profile profile = {.types = {bytes_of("resize"), bytes_of("blur")},
                              .type_count = 2,
                              .capabilities = {bytes_of("gpu"), bytes_of("disk")},
                              .capability_count = 2};
    static const struct {
        const char *type, *a, *b;
        bool meets;
    } rows[] = {{"resize", NULL, NULL, true}, {"blur", "disk", NULL, true},  {"blur", "gpu", "disk", true},
                {"paint", NULL, NULL, false}, {"blur", "tape", NULL, false}, {"blur", "gpu", "tape", false},
                {"blurr", NULL, NULL, false}, {"blur", "gp", NULL, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        classes_requirement(classes, class_of(rows[i].type, rows[i].a, rows[i].b, "eu"), &requirement);
        cr_expect_eq(profile_meets(&profile, &requirement), rows[i].meets, "row %zu", i);
    }
}
