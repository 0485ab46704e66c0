/* configuration.c - fuzz target: a configuration file and overrides, read as a node or `config check` does.
 *
 * The input: which role is asked for, the file up to a NUL (or the end), then overrides, a NUL between them.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/config_parts.h"
#include "tests/fuzz/bench_checks.h"

enum { OVERRIDES_MAX = 4, TEXT_MAX = 64 * 1024 };

/* A file without a disk; config_load opens it by its name. */
static const char *write_file(const uint8_t *text, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("configuration", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    bool written = file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, text, size, 0) == (ssize_t)size;
    check(written, "the file can be written");
    return path;
}

static uint64_t number_in(const struct config *config, const struct key *key)
{
    const uint8_t *from = (const uint8_t *)config + key->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    if (key->bytes == sizeof wide)
        memcpy(&wide, from, sizeof wide);
    else
        memcpy(&narrow, from, sizeof narrow);
    return key->bytes == sizeof wide ? wide : narrow;
}

/* Every value of this role's keys is within the bounds that the table promises, given or not. */
static void check_values(const struct config *config)
{
    for (int i = 0; i < config_key_count; i++) {
        const struct key *key = &config_keys[i];
        const char *text = (const char *)config + key->offset;
        bool is_number = key->type == DURATION || key->type == SIZE || key->type == COUNT;
        bool is_text = key->type == NAME || key->type == TEXT || key->type == ENDPOINT;
        if ((key->roles & 1u << config->role) == 0)
            continue;
        if (is_number)
            check(number_in(config, key) >= key->min && number_in(config, key) <= key->max,
                  "a number is in its range");
        if (is_text)
            check(memchr(text, '\0', key->bytes) != NULL, "a text ends");
    }
    check(config->worker.handler_count <= HANDLERS_MAX && config->worker.capability_count <= CAPABILITIES_MAX,
          "there are no more handlers and capabilities than fit");
    for (uint32_t i = 0; i < config->worker.handler_count; i++) {
        const struct config_handler *handler = &config->handlers[i];
        check(handler->word_count <= HANDLER_WORDS_MAX && handler->words[handler->word_count] == NULL,
              "a command's words end");
        check(handler->word_count != 0 || config->worker.handlers[i].builtin_noop, "a handler has a command");
        for (uint32_t word = 0; word < handler->word_count; word++)
            check(handler->words[word] >= handler->text &&
                      handler->words[word] + strlen(handler->words[word]) <
                          handler->text + HANDLER_TEXT_BYTES,
                  "a word lies in the handler's text");
    }
}

static void check_config(const char *path, enum role role, int override_count, char *const *overrides)
{
    struct config_problem problem = {.text = ""};
    struct config *config = config_load(path, role, override_count, overrides, &problem);
    if (config == NULL) {
        check(problem.text[0] != '\0' && memchr(problem.text, '\0', sizeof problem.text) != NULL,
              "a refusal says why");
        check(strncmp(problem.text, path, strlen(path)) == 0 || strncmp(problem.text, "-s ", 3) == 0,
              "a refusal says where");
        return;
    }
    check(role == ROLE_COUNT ? config->role < ROLE_COUNT : config->role == role,
          "it is of the role asked for");
    check_values(config);
    struct host_options options = config_host(config);
    check(options.data[0] != '\0' && options.node[0] != '\0', "a node has a name and a directory");
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *overrides[OVERRIDES_MAX];
    int override_count = 0;
    if (size == 0 || size > TEXT_MAX)
        return 0;
    enum role role = (enum role)(data[0] % (ROLE_COUNT + 1));
    const uint8_t *text = data + 1, *end = data + size;
    const uint8_t *nul = memchr(text, '\0', (size_t)(end - text));
    size_t text_size = (size_t)((nul == NULL ? end : nul) - text);
    while (nul != NULL && override_count < OVERRIDES_MAX) {
        const uint8_t *from = nul + 1;
        nul = memchr(from, '\0', (size_t)(end - from));
        overrides[override_count++] = strndup((const char *)from, (size_t)((nul == NULL ? end : nul) - from));
    }
    check_config(write_file(text, text_size), role, override_count, overrides);
    while (override_count > 0)
        free(overrides[--override_count]);
    return 0;
}
