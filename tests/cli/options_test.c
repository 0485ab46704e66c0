/* options.c, cluster.c, selector.c - words and environment as options; which cluster; which task. Usage
 * errors end the process with 2: each of their tests is its own process. */
#include "cli/commands.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/selector.h"

Test(options, durations)
{
    cr_assert_eq(option_duration_ms("delay", "0"), 0);
    cr_assert_eq(option_duration_ms("delay", "250ms"), 250);
    cr_assert_eq(option_duration_ms("delay", "90s"), 90000);
    cr_assert_eq(option_duration_ms("delay", "10m"), 600000);
    cr_assert_eq(option_duration_ms("delay", "2d"), 172800000);
}

Test(options, sizes)
{
    cr_assert_eq(option_size_bytes("payload", "256"), 256);
    cr_assert_eq(option_size_bytes("payload", "64KiB"), 65536);
}

Test(options, numbers)
{
    cr_assert_eq(option_number("count", "1", 1, 10), 1);
    cr_assert_eq(option_number("count", "10", 1, 10), 10);
}

static void redirect(void)
{
    cr_redirect_stderr();
}

#define REFUSED(name, call)                                                                                  \
    Test(options_refused, name, .exit_code = EXIT_USAGE, .init = redirect)                                   \
    {                                                                                                        \
        call;                                                                                                \
        cr_assert_fail("it was taken");                                                                      \
    }

REFUSED(duration_without_unit, option_duration_ms("delay", "5"))
REFUSED(duration_of_two_parts, option_duration_ms("delay", "1h30m"))
REFUSED(size_of_ten, option_size_bytes("payload", "1KB"))
REFUSED(number_below, option_number("count", "0", 1, 10))
REFUSED(number_above, option_number("count", "11", 1, 10))
REFUSED(negative_number, option_number("count", "-1", 0, UINT64_MAX))
REFUSED(number_with_a_tail, option_number("count", "1x", 1, 10))
REFUSED(empty_number, option_number("count", "", 0, 10))
REFUSED(number_beyond_64_bits, option_number("count", "18446744073709551616", 0, UINT64_MAX))

/* ---- options_parse ---- */

static error_t parse(int key, char *text, struct argp_state *state)
{
    const char **words = state->input;
    switch (key) {
    case 'n':
        words[0] = text;
        return 0;
    case 'w':
        words[1] = "yes";
        return 0;
    case ARGP_KEY_ARG:
        words[2] = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option own_options[] = {
    {"dry-run", 'n', "NAME", 0, "", 0}, {"wait", 'w', NULL, 0, "", 0}, {0}};
static const struct argp own = {.options = own_options, .parser = parse};

Test(options, words_beat_the_environment)
{
    const char *words[3] = {NULL};
    char *argv[] = {(char *)"verb", (char *)"--dry-run=here", (char *)"rest", NULL};
    setenv("MERIDIAN_DRY_RUN", "there", 1);
    options_parse(&own, "meridian verb", 3, argv, words);
    cr_assert_str_eq(words[0], "here");
    cr_assert_null(words[1]);
    cr_assert_str_eq(words[2], "rest");
}

Test(options, the_environment_alone)
{
    const char *words[3] = {NULL};
    char *argv[] = {(char *)"verb", NULL};
    setenv("MERIDIAN_DRY_RUN", "there", 1);
    setenv("MERIDIAN_WAIT", "yes", 1);
    options_parse(&own, "meridian verb", 1, argv, words);
    cr_assert_str_eq(words[0], "there");
    cr_assert_str_eq(words[1], "yes");
}

Test(options, a_flag_of_the_environment_that_says_no)
{
    const char *words[3] = {NULL};
    char *argv[] = {(char *)"verb", NULL};
    setenv("MERIDIAN_DRY_RUN", "", 1);
    setenv("MERIDIAN_WAIT", "0", 1);
    options_parse(&own, "meridian verb", 1, argv, words);
    cr_assert_null(words[0]);
    cr_assert_null(words[1]);
}

Test(options_refused, an_unknown_option, .exit_code = EXIT_USAGE, .init = redirect)
{
    const char *words[3] = {NULL};
    char *argv[] = {(char *)"verb", (char *)"--frob", NULL};
    options_parse(&own, "meridian verb", 2, argv, words);
}

Test(options, help_is_asked_for_in_many_ways)
{
    cr_assert(is_help("--help") && is_help("-h") && is_help("-?") && is_help("help"));
    cr_assert_not(is_help("helps"));
}

/* ---- which cluster, which task ---- */

/* A directory of its own, entered; it is empty again when the test ends. */
static void enter_new_directory(char path[32])
{
    strcpy(path, "/tmp/meridian-cli-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    cr_assert_eq(chdir(path), 0);
}

Test(cluster, found_by_dev_ini_above)
{
    char path[32], command[128];
    struct common_options options = {0};
    enter_new_directory(path);
    cr_assert_eq(system("mkdir -p .meridian-dev a/b && printf '# x\\n server = tcp://127.0.0.1:25501 \\n' "
                        "> .meridian-dev/dev.ini"),
                 0);
    cr_assert_eq(chdir("a/b"), 0);
    cr_assert_str_eq(server_find(&options), "tcp://127.0.0.1:25501");
    options.server = "tcp://127.0.0.1:25502";
    cr_assert_str_eq(server_find(&options), "tcp://127.0.0.1:25502");
    snprintf(command, sizeof command, "rm -r %s", path);
    cr_assert_eq(system(command), 0);
}

Test(cluster, the_default_without_any)
{
    char path[32];
    struct common_options options = {0};
    enter_new_directory(path);
    cr_assert_str_eq(server_find(&options), "tcp://127.0.0.1:7700");
    cr_assert_eq(rmdir(path), 0);
}

Test(selector, last_and_short_ids_without_asking)
{
    char path[32], command[128];
    struct common_options options = {.server = "tcp://127.0.0.1:25503"};
    struct task_id ids[2] = {{{1}}, {{2}}};
    ids[0].bytes[15] = 0xab;
    ids[1].bytes[15] = 0xcd;
    enter_new_directory(path);
    setenv("XDG_STATE_HOME", path, 1);
    selector_remember(&options, ids, 2);
    struct task_id last = selector_task(NULL, &options, "last");
    struct task_id first = selector_task(NULL, &options, "000000AB");
    struct task_id whole = selector_task(NULL, &options, "000102030405060708090a0b0c0d0e0f");
    cr_assert(task_id_equal(&last, &ids[1]));
    cr_assert(task_id_equal(&first, &ids[0]));
    cr_assert_eq(whole.bytes[15], 15);
    snprintf(command, sizeof command, "rm -r %s", path);
    cr_assert_eq(system(command), 0);
}

Test(selector, last_of_another_cluster, .exit_code = EXIT_NOT_FOUND, .init = redirect)
{
    struct common_options options = {.server = "tcp://127.0.0.1:25504"};
    setenv("XDG_STATE_HOME", "/nonexistent", 1);
    selector_task(NULL, &options, "last");
}

Test(selector, what_is_no_id, .exit_code = EXIT_USAGE, .init = redirect)
{
    struct common_options options = {.server = "tcp://127.0.0.1:25504"};
    selector_task(NULL, &options, "xyz12345");
}
