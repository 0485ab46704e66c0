/* units.h - durations and sizes as people write them: 250ms, 90s, 10m, 24h, 2d; 512, 64KiB, 1MiB, 4GiB, 1TiB.
 *
 * A whole number and one unit, nothing else; a duration needs its unit, but for 0. False for everything else
 * and for what does not fit 64 bits. */
#ifndef MERIDIAN_HOST_UNITS_H
#define MERIDIAN_HOST_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNIT_TEXT_BYTES = 32 };

bool duration_parse(const char *text, uint64_t *ret_ms);
bool size_parse(const char *text, uint64_t *ret_bytes);

/* In the largest unit that divides it: 90000 -> "90s". Returns `to`, which has UNIT_TEXT_BYTES. */
const char *duration_text(uint64_t value_ms, char *to);
const char *size_text(uint64_t bytes, char *to);

#endif
