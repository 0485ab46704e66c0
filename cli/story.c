/* story.c - see story.h. */
#include "cli/story.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/cluster.h"
#include "cli/table.h"
#include "proto/reader.h"

__attribute__((format(printf, 3, 4))) static void add(struct story *story, struct bytes who,
                                                      const char *format, ...)
{
    if (story->count == STORY_LINES_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    snprintf(story->lines[story->count].who, STORY_WHO_BYTES, "%.*s", (int)who.size, (const char *)who.data);
    vsnprintf(story->lines[story->count].what, STORY_WHAT_BYTES, format, arguments);
    va_end(arguments);
    story->count++;
}

/* Of a task that went from region to region, only the last one's history came with the outcome. */
static void tell_of_regions(struct story *story, const struct outcome *outcome, uint64_t first_known)
{
    static const char *const without_history[] = {"result_dropped", "outcome_too_large"};
    for (size_t i = 0; i < sizeof without_history / sizeof without_history[0]; i++)
        if (bytes_are(outcome->reason, without_history[i]))
            return;
    if (!outcome->dup_possible || first_known <= 1)
        return;
    if (first_known == 2)
        add(story, bytes_of("a lost region"), "attempt 1");
    else
        add(story, bytes_of("lost regions"), "attempts 1 to %llu", (unsigned long long)first_known - 1);
}

static void tell_of_attempts(struct story *story, const struct outcome *outcome)
{
    struct reader reader;
    reader_init(&reader, outcome->history);
    uint32_t count = outcome->history.size == 0 ? 0 : read_array(&reader, UINT16_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(&reader); i++) {
        struct bytes entry = read_raw(&reader);
        struct bytes end = map_text(entry, "end"), reason = map_text(entry, "reason");
        uint64_t attempt = map_number(entry, "attempt");
        if (i == 0)
            tell_of_regions(story, outcome, attempt);
        add(story, map_text(entry, "worker"), "attempt %llu %.*s%s%.*s%s", (unsigned long long)attempt,
            (int)end.size, (const char *)end.data, reason.size > 0 ? " (" : "", (int)reason.size,
            (const char *)reason.data, reason.size > 0 ? ")" : "");
    }
    if (count == 0)
        tell_of_regions(story, outcome, outcome->attempt);
}

static void tell_of_late_outcomes(struct story *story, struct bytes row)
{
    struct reader reader;
    struct bytes notes = map_value(row, "late_outcomes");
    reader_init(&reader, notes);
    uint32_t count = notes.size == 0 ? 0 : read_array(&reader, UINT16_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(&reader); i++) {
        char ago[SPAN_TEXT_BYTES];
        struct bytes note = read_raw(&reader), end = map_text(note, "end");
        add(story, map_text(note, "where"), "%.*s too late, %s ago", (int)end.size, (const char *)end.data,
            age_text(map_number(note, "ago_ms"), ago));
    }
    if (count == 0 && map_bool(row, "late"))
        add(story, bytes_of("somewhere"), "ended too late, before the broker's start");
}

void story_tell(struct story *story, struct bytes row, const struct outcome *outcome)
{
    story->count = 0;
    if (outcome != NULL && outcome->has_outcome)
        tell_of_attempts(story, outcome);
    tell_of_late_outcomes(story, row);
}

const char *story_text(const struct story *story, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < story->count && used < size; i++)
        used += (size_t)snprintf(to + used, size - used, "%s%s: %s", i == 0 ? "" : "; ", story->lines[i].who,
                                 story->lines[i].what);
    return to;
}
