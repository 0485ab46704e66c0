/* rows.c - see rows.h. */
#include "cli/rows.h"

#include "cli/json.h"
#include "proto/reader.h"

static void print_name(struct bytes row)
{
    struct bytes id = map_text(row, "id"), region = map_text(row, "region"), name = map_text(row, "name");
    char hex[TASK_ID_HEX + 1];
    if (id.size == TASK_ID_BYTES) {
        hex_encode(id, hex);
        puts(hex);
    } else {
        printf("%.*s%s%.*s\n", (int)region.size, (const char *)region.data, region.size > 0 ? "/" : "",
               (int)name.size, (const char *)name.data);
    }
}

bool rows_print(const struct common_options *options, struct bytes reply)
{
    struct bytes rows = map_value(reply, "rows");
    if (options->output == OUTPUT_TABLE)
        return false;
    if (options->output == OUTPUT_JSON) {
        json_print(stdout, rows);
        putchar('\n');
        return true;
    }
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t count = read_array(&reader, UINT16_MAX); count > 0; count--) {
        struct bytes row = read_raw(&reader);
        if (options->output == OUTPUT_ID) {
            print_name(row);
        } else {
            json_print(stdout, row);
            putchar('\n');
        }
    }
    return true;
}

void json_item(const struct common_options *options, size_t before)
{
    if (options->output == OUTPUT_JSON)
        putchar(before == 0 ? '[' : ',');
}

void json_item_end(const struct common_options *options)
{
    if (options->output == OUTPUT_JSONL)
        putchar('\n');
    fflush(stdout); /* whoever reads along gets each as it comes */
}

void json_end(const struct common_options *options, size_t count)
{
    if (options->output == OUTPUT_JSON)
        puts(count == 0 ? "[]" : "]");
}
