/* The command line of meridian-sim: what it takes, what it says of the rest, what it prints. */
#include "sim/options.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#ifdef MERIDIAN_BUGS
#include "proto/bug.h"
#endif

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool parse(const char *line, struct arguments *ret_arguments)
{
    static char text[512];
    char *words[64] = {NULL};
    int count = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " \n"); word != NULL; word = strtok(NULL, " \n"))
        words[count++] = word;
    return options_read(count, words, ret_arguments);
}

static void expect_repeated(const char *line)
{
    struct arguments arguments;
    char printed[512] = "";
    cr_assert(parse(line, &arguments), "%s", line);
    arguments.options.seed = arguments.first; /* as main does for each seed */
    FILE *to = fmemopen(printed, sizeof printed, "w");
    options_print(to, &arguments.options);
    fclose(to);
    printed[strcspn(printed, "\n")] = '\0';
    cr_expect_str_eq(printed, line);
}

Test(options, what_is_printed_repeats_the_run)
{
    expect_repeated("meridian-sim --seed 17");
    expect_repeated(
        "meridian-sim --seed 17 --regions 8 --workers 100 --clients 20 --tasks 4096 --duration 86400");
    expect_repeated("meridian-sim --seed 4294967295 --no-faults");
    expect_repeated("meridian-sim --seed 1 --workers 3 --only-faults 0,7,63");
    expect_repeated("meridian-sim --seed 1 --only-faults none");
#ifdef MERIDIAN_BUGS
    expect_repeated("meridian-sim --seed 1 --workers 3 --bug fence_unchecked");
#endif
}

Test(options, a_value_may_follow_an_equals_sign)
{
    struct arguments one, other;
    cr_assert(parse("meridian-sim --seeds 3..5 --workers 7 --only-faults 1,2 --trace", &one));
    cr_assert(parse("meridian-sim --seeds=3..5 --workers=7 --only-faults=1,2 --trace", &other));
    cr_expect_eq(memcmp(&one, &other, sizeof one), 0);
    cr_expect_eq(other.first, 3);
    cr_expect_eq(other.last, 5);
    cr_expect_eq(other.options.workers, 7);
    cr_expect(other.options.trace);
}

Test(options, help_has_a_short_form)
{
    struct arguments arguments;
    cr_expect(parse("meridian-sim -h", &arguments) && arguments.help);
}

Test(options, one_seed_can_be_shrunk)
{
    struct arguments arguments;
    cr_expect(parse("meridian-sim --seeds 4..4 --shrink", &arguments) && arguments.shrink);
}

static const struct {
    const char *line;
    const char *said; /* behind "meridian-sim: " */
} wrong[] = {
    {"--seed", "--seed needs a value; it takes 0 to 4294967295"},
    {"--seed x", "--seed cannot be x; it takes 0 to 4294967295"},
    {"--seed -1", "--seed cannot be -1; it takes 0 to 4294967295"},
    {"--seeds 9..3", "--seeds cannot be 9..3; it takes A..B, each 0 to 4294967295, A not above B"},
    {"--regions 9", "--regions cannot be 9; it takes 1 to 8"},
    {"--workers 999", "--workers cannot be 999; it takes 1 to 100"},
    {"--workers=0", "--workers cannot be 0; it takes 1 to 100"},
    {"--clients 0", "--clients cannot be 0; it takes 1 to 20"},
    {"--tasks 4097", "--tasks cannot be 4097; it takes 1 to 4096"},
    {"--tasks=", "--tasks cannot be ; it takes 1 to 4096"},
    {"--duration 9999999", "--duration cannot be 9999999; it takes 1 to 86400"},
    {"--only-faults",
     "--only-faults needs a value; it takes numbers from 0 to 63 with commas between, or none"},
    {"--only-faults 3,64",
     "--only-faults cannot be 3,64; it takes numbers from 0 to 63 with commas between, or none"},
    {"--only-faults 1,",
     "--only-faults cannot be 1,; it takes numbers from 0 to 63 with commas between, or none"},
    {"--what 3", "no option --what; see --help"},
    {"--trace=1", "no option --trace=1; see --help"},
    {"--an-option-of-a-very-long-name=1", "no option --an-option-of-a-very-long-name=1; see --help"},
    {"=3", "no option =3; see --help"},
    {"17", "no option 17; see --help"},
    {"--seeds 1..50 --shrink", "--shrink takes one seed that fails, not 1..50; name it with --seed"},
};

Test(options, what_is_wrong_is_told_with_what_would_be_right)
{
    char line[128], expected[4096] = "";
    size_t size = 0;
    struct arguments arguments;
    cr_redirect_stderr();
    for (size_t i = 0; i < COUNT(wrong); i++) {
        snprintf(line, sizeof line, "meridian-sim %s", wrong[i].line);
        cr_expect_not(parse(line, &arguments), "%s", line);
        size +=
            (size_t)snprintf(expected + size, sizeof expected - size, "meridian-sim: %s\n", wrong[i].said);
    }
    fflush(stderr);
    cr_assert_stderr_eq_str(expected);
}
