/* story_test.c - why a task may have run twice, as people read it. */
#include "cli/story.h"

#include <criterion/criterion.h>

#include "proto/writer.h"

static uint8_t history_bytes[1024], row_bytes[1024];

static void write_text(struct writer *writer, const char *key, const char *value)
{
    write_str(writer, key);
    write_str(writer, value);
}

/* A history of one attempt. */
static struct bytes history(uint64_t attempt, const char *end, const char *reason)
{
    struct writer writer;
    writer_init(&writer, history_bytes, sizeof history_bytes);
    write_array(&writer, 1);
    write_map(&writer, 4);
    write_str(&writer, "attempt");
    write_uint(&writer, attempt);
    write_text(&writer, "worker", "us/w1");
    write_text(&writer, "end", end);
    write_text(&writer, "reason", reason);
    return writer_bytes(&writer);
}

/* A row with as many late outcomes. */
static struct bytes row(bool late, uint32_t notes)
{
    struct writer writer;
    writer_init(&writer, row_bytes, sizeof row_bytes);
    write_map(&writer, 2);
    write_str(&writer, "late");
    write_bool(&writer, late);
    write_str(&writer, "late_outcomes");
    write_array(&writer, notes);
    for (uint32_t i = 0; i < notes; i++) {
        write_map(&writer, 3);
        write_text(&writer, "where", "ap/w2");
        write_text(&writer, "end", "completed");
        write_str(&writer, "ago_ms");
        write_uint(&writer, 5000);
    }
    return writer_bytes(&writer);
}

static const char *told(struct bytes of, const struct outcome *outcome)
{
    static char text[2048];
    static struct story story;
    story_tell(&story, of, outcome);
    return story_text(&story, text, sizeof text);
}

Test(story, of_a_lost_attempt_that_came_too_late)
{
    struct outcome outcome = {.dup_possible = true,
                              .has_outcome = true,
                              .attempt = 2,
                              .history = history(1, "lost", "worker_lost")};
    cr_expect_str_eq(told(row(true, 1), &outcome), "us/w1: attempt 1 lost (worker_lost); "
                                                   "ap/w2: completed too late, 5 s ago");
    cr_expect_str_eq(told(row(false, 0), &outcome), "us/w1: attempt 1 lost (worker_lost)");
}

Test(story, of_a_lost_region)
{
    struct outcome outcome = {.dup_possible = true, .has_outcome = true, .attempt = 2};
    cr_expect_str_eq(told(row(false, 0), &outcome), "a lost region: attempt 1");
    outcome.attempt = 4;
    outcome.history = history(3, "failed", "exit_status");
    cr_expect_str_eq(told(row(false, 0), &outcome),
                     "lost regions: attempts 1 to 2; us/w1: attempt 3 failed (exit_status)");
    outcome.reason = bytes_of("result_dropped");
    outcome.history.size = 0;
    cr_expect_str_eq(told(row(false, 0), &outcome), "", "its history was dropped, not lost with a region");
}

Test(story, of_an_error_is_no_story_of_a_region)
{
    struct outcome outcome = {.has_outcome = true, .attempt = 3};
    cr_expect_str_eq(told(row(false, 0), &outcome), "");
}

Test(story, of_what_is_not_remembered)
{
    cr_expect_str_eq(told(row(true, 0), NULL), "somewhere: ended too late, before the broker's start");
    cr_expect_str_eq(told(row(false, 0), NULL), "");
}

Test(story, that_is_too_long_is_cut)
{
    struct story story;
    char text[40];
    story_tell(&story, row(true, STORY_LINES_MAX < 10 ? STORY_LINES_MAX : 10), NULL);
    cr_expect_eq(story.count, 10);
    cr_expect_eq(strlen(story_text(&story, text, sizeof text)), sizeof text - 1);
}
