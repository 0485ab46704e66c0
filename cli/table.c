/* table.c - see table.h. */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>

struct table {
    const struct table_column *columns;
    unsigned column_count;
    char **cells;
    size_t count, capacity;
    unsigned width[TABLE_COLUMNS_MAX];
};

struct table *table_new(const struct table_column *columns, unsigned count)
{
    struct table *table = calloc(1, sizeof *table);
    if (table == NULL)
        abort();
    table->columns = columns;
    table->column_count = count;
    for (unsigned column = 0; column < count; column++) {
        unsigned heading = (unsigned)strlen(columns[column].heading);
        table->width[column] = heading > columns[column].width_min ? heading : columns[column].width_min;
    }
    return table;
}

void table_cell(struct table *table, const char *format, ...)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 256 : 2 * table->capacity;
        table->cells = realloc(table->cells, table->capacity * sizeof *table->cells);
        if (table->cells == NULL)
            abort();
    }
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&table->cells[table->count], format, arguments);
    va_end(arguments);
    if (size < 0)
        abort();
    unsigned column = (unsigned)(table->count++ % table->column_count);
    if ((unsigned)size > table->width[column])
        table->width[column] = (unsigned)size;
}

static void print_row(const struct table *table, FILE *to, char *const *cells)
{
    unsigned last = table->column_count;
    while (last > 0 && cells[last - 1][0] == '\0')
        last--; /* no spaces at the end of a line */
    for (unsigned column = 0; column < last; column++) {
        int width = (int)table->width[column];
        bool right = table->columns[column].right;
        if (column + 1 == last && !right)
            width = 0;
        fprintf(to, "%s%*s", column == 0 ? "" : "  ", right ? width : -width, cells[column]);
    }
    fputc('\n', to);
}

void table_print(struct table *table, FILE *to)
{
    char *headings[TABLE_COLUMNS_MAX];
    for (unsigned column = 0; column < table->column_count; column++)
        headings[column] = (char *)(uintptr_t)table->columns[column].heading;
    print_row(table, to, headings);
    for (size_t row = 0; row + table->column_count <= table->count; row += table->column_count)
        print_row(table, to, table->cells + row);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

const char *span_text(uint64_t us, char to[SPAN_TEXT_BYTES])
{
    if (us < 10000)
        snprintf(to, SPAN_TEXT_BYTES, "%.1f ms", (double)us / 1e3);
    else if (us < 1000000)
        snprintf(to, SPAN_TEXT_BYTES, "%llu ms", (unsigned long long)us / 1000);
    else if (us < 10000000)
        snprintf(to, SPAN_TEXT_BYTES, "%.1f s", (double)us / 1e6);
    else
        age_text(us / 1000, to);
    return to;
}

const char *age_text(uint64_t ms, char to[SPAN_TEXT_BYTES])
{
    unsigned long long seconds = ms / 1000;
    if (seconds == 0)
        snprintf(to, SPAN_TEXT_BYTES, "%llu ms", (unsigned long long)ms);
    else if (seconds < 120)
        snprintf(to, SPAN_TEXT_BYTES, "%llu s", seconds);
    else if (seconds < 120 * 60)
        snprintf(to, SPAN_TEXT_BYTES, "%llu min", seconds / 60);
    else if (seconds < 48 * 3600)
        snprintf(to, SPAN_TEXT_BYTES, "%llu h", seconds / 3600);
    else
        snprintf(to, SPAN_TEXT_BYTES, "%llu d", seconds / 86400);
    return to;
}
