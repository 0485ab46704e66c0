/* histogram_test.c - percentiles are upper bounds, at most a fifth too large. */
#include "engine/histogram.h"

#include <criterion/criterion.h>

static struct histogram histogram;

static void set_up(void)
{
    histogram = (struct histogram){.total = 0};
}

TestSuite(histogram, .init = set_up);

Test(histogram, of_nothing_is_zero)
{
    cr_expect_eq(histogram_at(&histogram, 500), 0);
}

Test(histogram, small_values_are_exact)
{
    for (uint64_t value = 0; value < 8; value++) {
        histogram = (struct histogram){.total = 0};
        histogram_add(&histogram, value);
        cr_expect_eq(histogram_at(&histogram, 500), value);
    }
}

Test(histogram, a_percentile_bounds_its_value_closely)
{
    for (uint64_t value = 1; value <= UINT32_MAX; value = value * 9 / 8 + 1) {
        histogram = (struct histogram){.total = 0};
        histogram_add(&histogram, value);
        uint64_t at = histogram_at(&histogram, 990);
        cr_expect_geq(at, value);
        cr_expect_leq(at, value + value / 4, "%llu for %llu", (unsigned long long)at,
                      (unsigned long long)value);
    }
}

Test(histogram, what_is_too_large_counts_as_the_largest)
{
    histogram_add(&histogram, UINT64_MAX);
    cr_expect_eq(histogram_at(&histogram, 500), UINT32_MAX);
}

Test(histogram, percentiles_of_a_thousand)
{
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_add(&histogram, value);
    static const struct {
        uint32_t per_mille, least;
    } rows[] = {{1, 1}, {500, 500}, {990, 990}, {1000, 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t at = histogram_at(&histogram, rows[i].per_mille);
        cr_expect(at >= rows[i].least && at <= rows[i].least * 5 / 4, "row %zu: %llu", i,
                  (unsigned long long)at);
    }
}
