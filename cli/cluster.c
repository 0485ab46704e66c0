/* cluster.c - see cluster.h. */
#include "cli/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/reader.h"

enum { LINE_BYTES = 1024, FOLDERS_UP_MAX = 64 };

#define SERVER_DEFAULT "tcp://127.0.0.1:7700"

/* The line server=... of a dev.ini, in `to`. */
static bool read_dev_ini(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    char line[LINE_BYTES];
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *at = line + strspn(line, " \t");
        if (strncmp(at, "server", 6) != 0)
            continue;
        at += 6 + strspn(at + 6, " \t");
        if (*at++ != '=')
            continue;
        at += strspn(at, " \t");
        snprintf(to, size, "%.*s", (int)strcspn(at, " \t\r\n"), at);
        found = true;
    }
    fclose(file);
    return found;
}

const char *server_find(const struct common_options *options)
{
    static char found[LINE_BYTES];
    char path[4 * FOLDERS_UP_MAX + 32] = "";
    if (options->server != NULL)
        return options->server;
    if (found[0] != '\0')
        return found;
    for (int up = 0; up < FOLDERS_UP_MAX; up++) {
        char ini[sizeof path + 32];
        snprintf(ini, sizeof ini, "%s.meridian-dev/dev.ini", path);
        if (read_dev_ini(ini, found, sizeof found))
            return found;
        strcat(path, "../");
    }
    return SERVER_DEFAULT;
}

struct client *cluster_open(const struct common_options *options)
{
    struct client_options client_options;
    client_options_default(&client_options);
    struct client *client = client_open(server_find(options), &client_options);
    if (client == NULL)
        usage_error("--server %s: %s", server_find(options),
                    errno == EINVAL ? "not an endpoint, as tcp://127.0.0.1:7700" : strerror(errno));
    return client;
}

void cluster_unavailable(const struct common_options *options)
{
    fprintf(stderr, "meridian: no answer from %s in %d s. Start one here: meridian dev\n",
            server_find(options), ANSWER_WAIT_MS / 1000);
    exit(EXIT_UNAVAILABLE);
}

struct bytes cluster_ask(struct client *client, const struct common_options *options, const char *kind,
                         struct bytes body, const char *expected)
{
    struct bytes reply_kind, reply;
    if (client_call(client, kind, body, 0, ANSWER_WAIT_MS, &reply_kind, &reply) != CLIENT_OK)
        cluster_unavailable(options);
    if (bytes_are(reply_kind, expected))
        return reply;
    struct bytes code = map_text(reply, "code"), reason = map_text(reply, "reason");
    fprintf(stderr, "meridian: %.*s (%.*s)\n", (int)reason.size, (const char *)reason.data, (int)code.size,
            (const char *)code.data);
    exit(bytes_are(code, "not_found") ? EXIT_NOT_FOUND : EXIT_TASK_FAILED);
}

struct bytes map_value(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map);
    uint32_t pairs = read_map(&reader, UINT16_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes name = read_str(&reader, 0, SIZE_MAX);
        struct bytes value = read_raw(&reader);
        if (!reader_failed(&reader) && bytes_are(name, key))
            return value;
    }
    return (struct bytes){map.data, 0};
}

struct bytes map_text(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map_value(map, key));
    return read_text(&reader, SIZE_MAX);
}

uint64_t map_number(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map_value(map, key));
    return read_uint(&reader, UINT64_MAX);
}

bool map_bool(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map_value(map, key));
    return read_bool(&reader);
}
