/* dev_wan_test.c - the words that say how far apart regions are. Usage errors end the process with 2: each of
 * their tests is its own process. */
#include "cli/dev_wan.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "cli/commands.h"
#include "cli/dev.h"

static struct dev_plan plan;

static void fill(const char *regions, struct dev_wan_options options)
{
    plan = (struct dev_plan){.port = 7700, .workers = 1, .slots = 1};
    cr_assert(dev_plan_fill(&plan, regions));
    dev_wan_fill(&plan, &options);
}

static uint64_t rtt_ms(unsigned region)
{
    return plan.lines[region].rtt_us / 1000;
}

Test(dev_wan, pairs_with_the_brokers_region)
{
    fill("eu,us,ap",
         (struct dev_wan_options){.rtt = "eu-us=80ms,ap-eu=180ms", .jitter = "5ms", .loss = "1%"});
    cr_expect(plan.sandbox);
    cr_expect_eq(rtt_ms(0), 0);
    cr_expect_eq(rtt_ms(1), 80);
    cr_expect_eq(rtt_ms(2), 180);
    cr_expect_eq(plan.lines[1].jitter_us, 5000);
    cr_expect_eq(plan.lines[1].loss_ppm, 10000);
    cr_expect_eq(plan.lines[0].jitter_us, 0, "in its own region the broker is near");
    cr_expect_eq(plan.lines[0].loss_ppm, 0);
}

Test(dev_wan, the_broker_may_live_elsewhere, .init = cr_redirect_stderr)
{
    fill("eu,us,ap", (struct dev_wan_options){.rtt = "eu-us=80ms,us-ap=1s", .broker_in = "us"});
    cr_expect_eq(rtt_ms(0), 80);
    cr_expect_eq(rtt_ms(1), 0);
    cr_expect_eq(rtt_ms(2), 1000);
    fill("eu,us,ap", (struct dev_wan_options){.rtt = "eu-us=80ms,us-ap=1s"});
    cr_expect_eq(rtt_ms(2), 0, "a pair of others is taken and not used");
}

Test(dev_wan, a_time_alone_is_for_the_pairs_that_are_not_named)
{
    fill("eu,us,ap", (struct dev_wan_options){.rtt = "eu-us=80ms,30ms"});
    cr_expect_eq(rtt_ms(1), 80);
    cr_expect_eq(rtt_ms(2), 30);
    fill("eu,us,ap", (struct dev_wan_options){.rtt = "30ms,eu-us=80ms"});
    cr_expect_eq(rtt_ms(0), 0);
    cr_expect_eq(rtt_ms(1), 80);
    cr_expect_eq(rtt_ms(2), 30);
}

Test(dev_wan, names_may_hold_dashes)
{
    fill("eu-west,us-east", (struct dev_wan_options){.rtt = "eu-west-us-east=80ms"});
    cr_expect_eq(rtt_ms(1), 80);
}

Test(dev_wan, is_off_unless_asked_for)
{
    fill("eu,us", (struct dev_wan_options){.rtt = NULL});
    cr_expect_not(plan.sandbox);
    fill("eu,us", (struct dev_wan_options){.sandbox = true});
    cr_expect(plan.sandbox);
    fill("eu,us", (struct dev_wan_options){.loss = "0.5%"});
    cr_expect(plan.sandbox);
    cr_expect_eq(plan.lines[1].loss_ppm, 5000);
}

#define REFUSED(name, regions, ...)                                                                          \
    Test(dev_wan_refused, name, .exit_code = EXIT_USAGE, .init = cr_redirect_stderr)                         \
    {                                                                                                        \
        fill(regions, (struct dev_wan_options){__VA_ARGS__});                                                \
        cr_assert_fail("it was taken");                                                                      \
    }

REFUSED(unknown_region, "eu,us", .rtt = "eu-mars=80ms")
REFUSED(no_pair, "eu,us", .rtt = "eu=80ms")
REFUSED(a_region_with_itself, "eu,us", .rtt = "eu-eu=80ms")
REFUSED(the_same_pair_twice, "eu,us", .rtt = "eu-us=80ms,us-eu=90ms")
REFUSED(a_pair_of_two_meanings, "a,a-b,b-c,c", .rtt = "a-b-c=1ms")
REFUSED(a_time_without_unit, "eu,us", .rtt = "eu-us=80")
REFUSED(a_time_too_long, "eu,us", .rtt = "eu-us=2m")
REFUSED(no_time, "eu,us", .rtt = "eu-us=")
REFUSED(an_empty_word, "eu,us", .rtt = "eu-us=80ms,")
REFUSED(nothing, "eu,us", .rtt = "")
REFUSED(jitter_without_unit, "eu,us", .jitter = "5")
REFUSED(loss_without_percent, "eu,us", .loss = "1")
REFUSED(loss_of_all, "eu,us", .loss = "100%")
REFUSED(negative_loss, "eu,us", .loss = "-1%")
REFUSED(loss_that_is_no_number, "eu,us", .loss = "nan%")
REFUSED(broker_in_an_unknown_region, "eu,us", .broker_in = "mars")
