/* log.c - lines on stderr: filled texts, levels, floods cut short. */
#include "host/log.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <unistd.h>

static char text[1 << 20];

/* Everything logged since the redirection. */
static const char *logged(void)
{
    FILE *file = cr_get_redirected_stderr();
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    return text;
}

static uint32_t count(const char *words)
{
    uint32_t found = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        found++;
    return found;
}

static void finish(void)
{
    close(STDERR_FILENO);
    logged();
}

TestSuite(log, .init = cr_redirect_stderr);

Test(log, a_trace_is_filled_and_names_node_level_peer_and_task)
{
    struct trace trace = {.code = TRACE_SESSION_UP, .a = 7, .b = 3ull << 56 | 12};
    log_open("eu/w1", TRACE_INFO);
    log_trace(&trace);
    trace = (struct trace){.code = TRACE_TASK_RETRY, .a = 100, .b = 2};
    memset(trace.id.bytes, 0xab, TASK_ID_BYTES);
    log_trace(&trace);
    finish();
    cr_assert_not_null(strstr(text, "Z eu/w1 info session up: child 7, peer parent:12\n"), "%s", text);
    cr_assert_not_null(strstr(text, "attempt failed, next in 100 ms, 2 errors so far: task abababab\n"), "%s",
                       text);
}

Test(log, what_is_below_the_level_is_not_shown)
{
    log_open("eu", TRACE_WARN);
    log_trace(&(struct trace){.code = TRACE_SESSION_UP});
    log_trace(&(struct trace){.code = TRACE_CHILD_LOST, .a = 1, .b = 2});
    log_line(TRACE_INFO, "hidden %d", 1);
    finish();
    cr_assert_eq(count("\n"), 1, "%s", text);
    cr_assert_eq(count("eu warn child 1 is lost; 2 grants end"), 1);
}

Test(log, a_flood_of_one_code_is_cut_short_and_says_so)
{
    log_open("eu", TRACE_INFO);
    enum { COUNT = 3000 };
    for (int i = 0; i < COUNT; i++)
        log_trace(&(struct trace){.code = TRACE_MESSAGE_REFUSED});
    log_trace(&(struct trace){.code = TRACE_CHILD_LOST});
    finish();
    cr_assert_lt(count("message refused"), 200, "a second has 50");
    cr_assert_geq(count("message refused"), 50);
    cr_assert_eq(count("is lost"), 1, "another code has its own lines");
}

Test(log, debug_shows_everything)
{
    log_open("eu", TRACE_DEBUG);
    for (int i = 0; i < 300; i++)
        log_trace(&(struct trace){.code = TRACE_MESSAGE_REFUSED});
    finish();
    cr_assert_eq(count("message refused"), 300);
}
