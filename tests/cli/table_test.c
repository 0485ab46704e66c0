/* table.c - tables and spans of time as people read them. */
#include "cli/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The printed table; malloc'ed. */
static char *printed(struct table *table)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    table_print(table, to);
    fclose(to);
    return text;
}

Test(table, columns_are_as_wide_as_their_widest_cell)
{
    static const struct table_column columns[] = {{"NAME", 0, false}, {"N", 3, true}, {"REASON", 0, false}};
    struct table *table = table_new(columns, 3);
    table_cell(table, "%s", "a");
    table_cell(table, "%d", 1);
    table_cell(table, "%s", "no_credit");
    table_cell(table, "%s", "longer");
    table_cell(table, "%d", 1234);
    table_cell(table, "%s", "x");
    char *text = printed(table);
    cr_assert_str_eq(text, "NAME       N  REASON\n"
                           "a          1  no_credit\n"
                           "longer  1234  x\n");
    free(text);
}

Test(table, no_line_ends_in_spaces)
{
    static const struct table_column columns[] = {{"ID", 8, false}, {"WHERE", 0, false}, {"RTT", 6, true}};
    struct table *table = table_new(columns, 3);
    table_cell(table, "%s", "91d4a07e");
    table_cell(table, "%s", "");
    table_cell(table, "%s", "");
    table_cell(table, "%s", "");
    table_cell(table, "%s", "");
    table_cell(table, "%s", "");
    char *text = printed(table);
    cr_assert_str_eq(text, "ID        WHERE     RTT\n91d4a07e\n\n");
    free(text);
}

Test(table, a_table_without_rows_is_its_heading)
{
    static const struct table_column columns[] = {{"A", 0, false}, {"B", 0, true}};
    char *text = printed(table_new(columns, 2));
    cr_assert_str_eq(text, "A  B\n");
    free(text);
}

Test(table, many_rows)
{
    static const struct table_column columns[] = {{"N", 0, true}};
    struct table *table = table_new(columns, 1);
    for (int i = 0; i < 3000; i++) /* past several growths */
        table_cell(table, "%d", i);
    char *text = printed(table);
    cr_assert_not_null(strstr(text, "\n   0\n   1\n"));
    cr_assert_not_null(strstr(text, "\n2999\n"));
    free(text);
}

Test(table, spans)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "0.0 ms"},          {442, "0.4 ms"},        {9949, "9.9 ms"},      {10000, "10 ms"},
        {38999, "38 ms"},       {999999, "999 ms"},     {1000000, "1.0 s"},    {3240000, "3.2 s"},
        {10000000, "10 s"},     {119999999, "119 s"},   {120000000, "2 min"},  {7199000000, "119 min"},
        {7200000000, "2 h"},    {172799000000, "47 h"}, {172800000000, "2 d"}, {864000000000, "10 d"},
        {UINT64_MAX / 2, NULL}, /* no more than that it ends */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[SPAN_TEXT_BYTES];
        cr_assert_eq(span_text(cases[i].us, text), text);
        if (cases[i].text != NULL)
            cr_assert_str_eq(text, cases[i].text);
    }
}

Test(table, ages_are_whole_seconds_from_one_on)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0 ms"},       {999, "999 ms"},   {1000, "1 s"},    {1999, "1 s"},     {22500, "22 s"},
                 {119999, "119 s"}, {120000, "2 min"}, {7200000, "2 h"}, {172800000, "2 d"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[SPAN_TEXT_BYTES];
        cr_assert_str_eq(age_text(cases[i].ms, text), cases[i].text);
    }
}
