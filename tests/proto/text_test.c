/* text_test.c - lines in a fixed buffer. */
#include <criterion/criterion.h>

#include "proto/text.h"

Test(text, puts_words_bytes_and_numbers_together)
{
    char to[64];
    struct text text;
    text_init(&text, to, sizeof to);
    cr_assert_str_eq(to, "");
    text_add(&text, "tasks[");
    text_add_number(&text, 0);
    text_add_number(&text, UINT64_MAX);
    text_add(&text, "].");
    text_add_bytes(&text, (struct bytes){(const uint8_t *)"a\nb\xff", 4});
    cr_assert_str_eq(to, "tasks[018446744073709551615].a?b?");
}

Test(text, cuts_what_does_not_fit_and_stays_terminated)
{
    char to[6];
    struct text text;
    text_init(&text, to, sizeof to);
    text_add(&text, "abcdefgh");
    text_add(&text, "i");
    cr_assert_str_eq(to, "abcde");
}
