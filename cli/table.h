/* table.h - aligned tables for people: the first row is the heading, columns are as wide as their widest
 * cell.
 *
 * Two spaces between columns, none behind the last; numbers to the right. Cells are copied. */
#ifndef MERIDIAN_CLI_TABLE_H
#define MERIDIAN_CLI_TABLE_H

#include <stdio.h>

#include "proto/bytes.h"

enum { TABLE_COLUMNS_MAX = 16, SPAN_TEXT_BYTES = 32 };

struct table_column {
    const char *heading;
    unsigned width_min;
    bool right; /* numbers */
};

struct table;

struct table *table_new(const struct table_column *columns, unsigned count);
/* Cells in the order of the columns, rows after each other. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints headings and rows, and frees the table. */
void table_print(struct table *table, FILE *to);

/* A span of time for people: "38 ms", "3.2 s", "22 s", "12 min", "5 h", "3 d". Returns `to`. */
const char *span_text(uint64_t us, char to[SPAN_TEXT_BYTES]);
/* Likewise for ages, whose fractions nobody needs: whole seconds from one second on. */
const char *age_text(uint64_t ms, char to[SPAN_TEXT_BYTES]);

#endif
