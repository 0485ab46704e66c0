/* units.c - durations and sizes as people write them. */
#include "host/units.h"

#include <criterion/criterion.h>
#include <string.h>

Test(units, durations)
{
    static const struct {
        const char *text;
        uint64_t value_ms;
    } good[] = {
        {"0", 0},        {"0s", 0},         {"250ms", 250},    {"90s", 90000},
        {"10m", 600000}, {"24h", 86400000}, {"2d", 172800000}, {"18446744073709551615ms", UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "-1s",
                                      "1.5s",
                                      "1s ",
                                      " 1s",
                                      "1 s",
                                      "1w",
                                      "1S",
                                      "1h30m",
                                      "0x1s",
                                      "18446744073709551616ms",
                                      "99999999999999999999d"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t value_ms = 7;
        cr_assert(duration_parse(good[i].text, &value_ms), "%s", good[i].text);
        cr_assert_eq(value_ms, good[i].value_ms, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t value_ms = 7;
        cr_assert_not(duration_parse(bad[i], &value_ms), "%s", bad[i]);
        cr_assert_eq(value_ms, 7, "%s", bad[i]);
    }
}

Test(units, sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},          {"512", 512},         {"64KiB", 65536},
                {"1MiB", 1048576}, {"4GiB", 1ull << 32}, {"2TiB", 2ull << 40}};
    static const char *const bad[] = {"", "KiB", "1KB", "1kib", "1 KiB", "-1", "1.5GiB", "16777216TiB"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 7;
        cr_assert(size_parse(good[i].text, &bytes), "%s", good[i].text);
        cr_assert_eq(bytes, good[i].bytes, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 7;
        cr_assert_not(size_parse(bad[i], &bytes), "%s", bad[i]);
    }
}

Test(units, texts_are_read_back_as_the_same_value)
{
    static const uint64_t values[] = {0,       1,        999,      1000,  90000,     60000,
                                      3600000, 86400000, 90061000, 65536, 1ull << 40};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[UNIT_TEXT_BYTES];
        uint64_t again = 1;
        cr_assert(duration_parse(duration_text(values[i], text), &again));
        cr_assert_eq(again, values[i]);
        cr_assert(size_parse(size_text(values[i], text), &again));
        cr_assert_eq(again, values[i]);
    }
    char text[UNIT_TEXT_BYTES];
    cr_assert_str_eq(duration_text(90000, text), "90s");
    cr_assert_str_eq(size_text(65536, text), "64KiB");
}
