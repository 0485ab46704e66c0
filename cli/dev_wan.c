/* dev_wan.c - see dev_wan.h. */
#include "cli/dev_wan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/dev.h"
#include "host/units.h"

enum { WORD_BYTES = 2 * NAME_BYTES_MAX + 64, PPM_OF_PERCENT = 10 * 1000 };

/* Index of the region that is called `name` (size bytes); -1 if there is none. */
static int region_of(const struct dev_plan *plan, const char *name, size_t size)
{
    for (unsigned i = 0; i < plan->region_count; i++)
        if (strlen(plan->regions[i]) == size && memcmp(plan->regions[i], name, size) == 0)
            return (int)i;
    return -1;
}

/* The regions' names, for a message. */
static const char *region_names(const struct dev_plan *plan)
{
    static char names[DEV_REGIONS_MAX * (NAME_BYTES_MAX + 1) + 1];
    size_t size = 0;
    for (unsigned i = 0; i < plan->region_count; i++)
        size +=
            (size_t)snprintf(names + size, sizeof names - size, "%s%s", i == 0 ? "" : ", ", plan->regions[i]);
    return names;
}

static uint64_t parse_time_us(const char *option, const char *word, const char *time)
{
    uint64_t value_ms;
    if (!duration_parse(time, &value_ms) || value_ms > RTT_MS_MAX)
        usage_error("--%s %s: '%s' is no time from 0 to %ds, as in 80ms", option, word, time,
                    RTT_MS_MAX / 1000);
    return value_ms * 1000;
}

/* "eu-us": names may hold '-' themselves, so each is tried as the one between two names. */
static void parse_pair(const struct dev_plan *plan, const char *word, size_t size, int ret_pair[static 2])
{
    unsigned found = 0;
    for (size_t at = 1; at + 1 < size; at++) {
        int first = region_of(plan, word, at), second = region_of(plan, word + at + 1, size - at - 1);
        if (word[at] != '-' || first < 0 || second < 0)
            continue;
        ret_pair[0] = first;
        ret_pair[1] = second;
        found++;
    }
    if (found == 0)
        usage_error("--rtt %s: '%.*s' is no pair of the regions %s, as in eu-us=80ms", word, (int)size, word,
                    region_names(plan));
    if (found > 1)
        usage_error("--rtt %s: '%.*s' can be read as several pairs of the regions %s", word, (int)size, word,
                    region_names(plan));
    if (ret_pair[0] == ret_pair[1])
        usage_error("--rtt %s: inside one region the round trip is 0", word);
}

static unsigned pair_index(const int pair[static 2])
{
    return (unsigned)(pair[0] < pair[1] ? pair[0] * DEV_REGIONS_MAX + pair[1]
                                        : pair[1] * DEV_REGIONS_MAX + pair[0]);
}

/* One word of --rtt: "eu-us=80ms", or "80ms" for each pair that no word names. */
static void parse_rtt(struct dev_plan *plan, const char *word, bool *given, bool *named)
{
    const char *equals = strchr(word, '=');
    int pair[2];
    uint64_t rtt_us = parse_time_us("rtt", word, equals == NULL ? word : equals + 1);
    if (equals == NULL) {
        for (unsigned i = 0; i < plan->region_count; i++)
            if (i != plan->broker_region && !named[i])
                plan->lines[i].rtt_us = rtt_us;
        return;
    }
    parse_pair(plan, word, (size_t)(equals - word), pair);
    if (given[pair_index(pair)])
        usage_error("--rtt %s: this pair is given twice", word);
    given[pair_index(pair)] = true;
    for (int i = 0; i < 2; i++)
        if (pair[1 - i] == (int)plan->broker_region) {
            plan->lines[pair[i]].rtt_us = rtt_us;
            named[pair[i]] = true;
            return;
        }
    fprintf(stderr,
            "meridian: --rtt %s is used by no link: the broker is in %s, and regions do not speak to each "
            "other\n",
            word, plan->regions[plan->broker_region]);
}

static void parse_rtts(struct dev_plan *plan, const char *words)
{
    bool given[DEV_REGIONS_MAX * DEV_REGIONS_MAX] = {false}, named[DEV_REGIONS_MAX] = {false};
    for (const char *at = words;; at++) {
        char word[WORD_BYTES];
        size_t size = strcspn(at, ",");
        if (size >= sizeof word)
            usage_error("--rtt %s: a word of it is too long", words);
        memcpy(word, at, size);
        word[size] = '\0';
        parse_rtt(plan, word, given, named);
        at += size;
        if (*at == '\0')
            return;
    }
}

static uint32_t parse_loss_ppm(const char *text)
{
    char *end;
    errno = 0;
    double percent = strtod(text, &end);
    bool is_number = errno == 0 && end != text && percent >= 0;
    if (is_number && *end == '\0')
        usage_error("--loss %s: is it percent? Then write --loss %s%%", text, text);
    if (!is_number || strcmp(end, "%") != 0)
        usage_error("--loss %s: a percentage from 0%% to %d%%, as in 1%% or 0.5%%", text,
                    LOSS_PPM_MAX / PPM_OF_PERCENT);
    if (percent > LOSS_PPM_MAX / PPM_OF_PERCENT)
        usage_error(
            "--loss %s: at most %d%%. To lose all: meridian dev partition NODE, while the cluster runs", text,
            LOSS_PPM_MAX / PPM_OF_PERCENT);
    return (uint32_t)(percent * PPM_OF_PERCENT + 0.5);
}

bool dev_wan_is_wanted(const struct dev_wan_options *options)
{
    return options->sandbox || options->rtt != NULL || options->jitter != NULL || options->loss != NULL ||
           options->broker_in != NULL;
}

void dev_wan_fill(struct dev_plan *plan, const struct dev_wan_options *options)
{
    plan->sandbox = dev_wan_is_wanted(options);
    if (options->broker_in != NULL) {
        int region = region_of(plan, options->broker_in, strlen(options->broker_in));
        if (region < 0)
            usage_error("--broker-in %s: no such region; there are %s", options->broker_in,
                        region_names(plan));
        plan->broker_region = (unsigned)region;
    }
    if (options->rtt != NULL)
        parse_rtts(plan, options->rtt);
    uint64_t jitter_us =
        options->jitter == NULL ? 0 : parse_time_us("jitter", options->jitter, options->jitter);
    uint32_t loss_ppm = options->loss == NULL ? 0 : parse_loss_ppm(options->loss);
    for (unsigned i = 0; i < plan->region_count; i++)
        if (i != plan->broker_region) {
            plan->lines[i].jitter_us = jitter_us;
            plan->lines[i].loss_ppm = loss_ppm;
        }
}
