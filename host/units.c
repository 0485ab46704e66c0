/* units.c - see units.h. */
#include "host/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Ascending, ended by a factor of 0. */
static const struct unit durations[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}, {NULL, 0}};

static bool parse(const char *text, const struct unit *units, uint64_t *ret_value)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (at == text)
        return false;
    for (const struct unit *unit = units; unit->factor != 0; unit++) {
        if (strcmp(at, unit->name) != 0)
            continue;
        if (number > UINT64_MAX / unit->factor)
            return false;
        *ret_value = number * unit->factor;
        return true;
    }
    return false;
}

bool duration_parse(const char *text, uint64_t *ret_ms)
{
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return true;
    }
    return parse(text, durations, ret_ms);
}

bool size_parse(const char *text, uint64_t *ret_bytes)
{
    return parse(text, sizes, ret_bytes);
}

static const char *format(uint64_t value, const struct unit *units, char *to)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->factor != 0; unit++)
        if (value != 0 && value % unit->factor == 0)
            best = unit;
    snprintf(to, UNIT_TEXT_BYTES, "%" PRIu64 "%s", value / best->factor, best->name);
    return to;
}

const char *duration_text(uint64_t value_ms, char *to)
{
    return format(value_ms, durations, to);
}

const char *size_text(uint64_t bytes, char *to)
{
    return format(bytes, sizes, to);
}
