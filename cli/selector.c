/* selector.c - see selector.h. */
#include "cli/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proto/reader.h"

enum { REMEMBERED_MAX = 10000, SHORT_MIN = 4 };

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* it may exist; the open that follows says what is wrong */
        *slash = '/';
    }
}

/* $XDG_STATE_HOME/meridian/last-tcp___127.0.0.1_7700 */
static bool state_path(const struct common_options *options, char *to, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int at = state != NULL && state[0] == '/' ? snprintf(to, size, "%s/meridian/last-", state)
             : home != NULL                   ? snprintf(to, size, "%s/.local/state/meridian/last-", home)
                                              : -1;
    if (at < 0 || (size_t)at >= size)
        return false;
    for (const char *from = server_find(options); *from != '\0' && (size_t)at + 1 < size; from++)
        to[at++] = isalnum((unsigned char)*from) || *from == '.' ? *from : '_';
    to[at] = '\0';
    return true;
}

void selector_remember(const struct common_options *options, const struct task_id *ids, size_t count)
{
    char path[4096], hex[TASK_ID_HEX + 1];
    if (count == 0 || !state_path(options, path, sizeof path))
        return;
    make_folders(path);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "meridian: cannot keep `last' in %s: %s\n", path, strerror(errno));
        return;
    }
    size_t from = count > REMEMBERED_MAX ? count - REMEMBERED_MAX : 0;
    for (size_t i = from; i < count; i++) {
        hex_encode((struct bytes){ids[i].bytes, TASK_ID_BYTES}, hex);
        fprintf(file, "%s\n", hex);
    }
    if (fclose(file) != 0)
        fprintf(stderr, "meridian: cannot keep `last' in %s: %s\n", path, strerror(errno));
}

/* The last remembered id that ends in `suffix` ("" = the last of all). */
static bool recall(const struct common_options *options, const char *suffix, struct task_id *ret_id)
{
    char path[4096], line[TASK_ID_HEX + 2];
    FILE *file = state_path(options, path, sizeof path) ? fopen(path, "r") : NULL;
    bool found = false;
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t size = strcspn(line, "\n");
        line[size] = '\0';
        if (size == TASK_ID_HEX && strcasecmp(line + size - strlen(suffix), suffix) == 0)
            found = hex_decode(bytes_of(line), ret_id->bytes, TASK_ID_BYTES);
    }
    fclose(file);
    return found;
}

static struct task_id resolve(struct client *client, const struct common_options *options, const char *text)
{
    uint8_t buffer[256];
    char lower[TASK_ID_HEX + 1] = "";
    struct writer writer;
    for (size_t i = 0; text[i] != '\0'; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 2);
    write_str(&writer, "what");
    write_str(&writer, "resolve");
    write_str(&writer, "short");
    write_str(&writer, lower);
    struct bytes rows =
        map_value(cluster_ask(client, options, "QUERY", writer_bytes(&writer), "ROWS"), "rows");
    struct reader reader;
    reader_init(&reader, rows);
    uint32_t count = read_array(&reader, UINT16_MAX);
    if (count == 0) {
        fprintf(stderr, "meridian: no task ends in %s at %s\n", text, server_find(options));
        exit(EXIT_NOT_FOUND);
    }
    if (count > 1)
        usage_error("%s: more than one task ends so; give more of its 32 digits (-o json shows them)", text);
    struct task_id id = {{0}};
    struct bytes found = map_text(read_raw(&reader), "id");
    if (found.size == TASK_ID_BYTES)
        memcpy(id.bytes, found.data, TASK_ID_BYTES);
    return id;
}

struct task_id selector_task(struct client *client, const struct common_options *options, const char *text)
{
    struct task_id id;
    if (strcmp(text, "last") == 0) {
        if (recall(options, "", &id))
            return id;
        fprintf(stderr, "meridian: last: nothing was submitted to %s from here\n", server_find(options));
        exit(EXIT_NOT_FOUND);
    }
    size_t size = strlen(text);
    if (size < SHORT_MIN || size > TASK_ID_HEX || strspn(text, "0123456789abcdefABCDEF") != size)
        usage_error("%s: a task is `last' or the last 8 to 32 hex digits of its id", text);
    if (size == TASK_ID_HEX && hex_decode(bytes_of(text), id.bytes, TASK_ID_BYTES))
        return id;
    return recall(options, text, &id) ? id : resolve(client, options, text);
}

const char *short_id(const struct task_id *id, char to[TASK_ID_SHORT_HEX + 1])
{
    hex_encode((struct bytes){id->bytes + TASK_ID_BYTES - TASK_ID_SHORT_HEX / 2, TASK_ID_SHORT_HEX / 2}, to);
    return to;
}
