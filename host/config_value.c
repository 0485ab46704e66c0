/* config_value.c - a value by the type of its key: parsed, checked against its range, put in its place. */
#include <inttypes.h>

#include "host/config_parts.h"
#include "host/units.h"
#include "proto/assert.h"
#include "proto/task.h"

static bool fail_value(struct load *load, const struct key *key, const char *value, const char *expected)
{
    return config_fail(load, "[%s] %s = %s: expected %s", load->section, key->name, value, expected);
}

static void set_number(struct load *load, const struct key *key, uint64_t value)
{
    void *to = (uint8_t *)load->config + key->offset;
    if (key->bytes == sizeof(uint64_t)) {
        memcpy(to, &value, sizeof value);
        return;
    }
    uint32_t narrow = (uint32_t)value;
    ASSERT(key->bytes == sizeof narrow);
    ASSERT(narrow == value);
    memcpy(to, &narrow, sizeof narrow);
}

static bool set_quantity(struct load *load, const struct key *key, const char *value)
{
    static const char *const kinds[] = {[DURATION] = "a duration like 250ms, 90s, 10m, 24h, 2d",
                                        [SIZE] = "a size like 512, 64KiB, 1MiB, 4GiB",
                                        [COUNT] = "a whole number"};
    uint64_t number = 0;
    char low[UNIT_TEXT_BYTES];
    char high[UNIT_TEXT_BYTES];
    char expected[160];
    bool is_count = key->type == COUNT;
    bool parsed = key->type == DURATION ? duration_parse(value, &number) : size_parse(value, &number);
    if (is_count && strspn(value, "0123456789") != strlen(value))
        parsed = false;
    if (parsed && number >= key->min && number <= key->max) {
        set_number(load, key, number);
        return true;
    }
    if (is_count) {
        snprintf(low, sizeof low, "%" PRIu64, key->min);
        snprintf(high, sizeof high, "%" PRIu64, key->max);
    } else if (key->type == DURATION) {
        duration_text(key->min, low);
        duration_text(key->max, high);
    } else {
        size_text(key->min, low);
        size_text(key->max, high);
    }
    snprintf(expected, sizeof expected, "%s, from %s to %s", kinds[key->type], low, high);
    return fail_value(load, key, value, expected);
}

/* Node names are written eu/w1, in lists with commas, and bare on a command line. */
static bool name_is_good(const char *name, size_t size, const char *without)
{
    if (size == 0 || size > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] <= ' ' || name[i] == 127 || strchr(without, name[i]) != NULL)
            return false;
    return true;
}

static bool set_name(struct load *load, const struct key *key, const char *value)
{
    if (!name_is_good(value, strlen(value), "/,\""))
        return fail_value(load, key, value, "a name of 1 to 64 bytes without spaces, '/', ',' and '\"'");
    strcpy((char *)load->config + key->offset, value);
    return true;
}

static bool set_text(struct load *load, const struct key *key, const char *value)
{
    if (strlen(value) == 0 || strlen(value) >= key->bytes)
        return fail_value(load, key, value, "1 to 255 bytes");
    if (key->type == ENDPOINT && strncmp(value, "tcp://", 6) != 0 && strncmp(value, "ipc://", 6) != 0)
        return fail_value(load, key, value, "an endpoint like tcp://127.0.0.1:7700");
    strcpy((char *)load->config + key->offset, value);
    return true;
}

static bool set_choice(struct load *load, const struct key *key, const char *value)
{
    uint64_t index = 0;
    char expected[96];
    for (const char *word = key->choices;; index++) {
        size_t size = strcspn(word, "|");
        if (strlen(value) == size && strncmp(word, value, size) == 0) {
            set_number(load, key, index);
            return true;
        }
        if (word[size] == '\0')
            break;
        word += size + 1;
    }
    snprintf(expected, sizeof expected, "one of %s", key->choices);
    return fail_value(load, key, value, expected);
}

static bool set_names(struct load *load, const struct key *key, const char *value)
{
    struct worker_options *worker = &load->config->worker;
    worker->capability_count = 0;
    for (const char *at = value + strspn(value, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t size = strcspn(at, ", ");
        if (worker->capability_count == CAPABILITIES_MAX || !name_is_good(at, size, "\""))
            return fail_value(load, key, value, "at most 16 names of 1 to 64 bytes with commas between");
        char *to = worker->capabilities[worker->capability_count++];
        memcpy(to, at, size);
        to[size] = '\0';
        at += size;
    }
    return true;
}

/* ---- [type NAME] ---- */

bool config_find_handler(struct load *load, uint32_t *ret_handler)
{
    struct worker_options *worker = &load->config->worker;
    const char *name = load->section + strlen(TYPE_SECTION);
    name += strspn(name, " ");
    for (uint32_t i = 0; i < worker->handler_count; i++) {
        *ret_handler = i;
        if (strcmp(worker->handlers[i].type, name) == 0)
            return true;
    }
    if (!name_is_good(name, strlen(name), ",\"") || strcmp(name, COMMAND_TYPE) == 0)
        return config_fail(load,
                           "[%s]: expected a type's name of 1 to 64 bytes, other than \"" COMMAND_TYPE "\"",
                           load->section);
    if (worker->handler_count == HANDLERS_MAX)
        return config_fail(load, "[%s]: at most %d types", load->section, HANDLERS_MAX);
    *ret_handler = worker->handler_count++;
    strcpy(worker->handlers[*ret_handler].type, name);
    worker->handlers[*ret_handler].builtin_noop = false;
    return true;
}

/* Words are parted by spaces; "..." keeps them. */
static bool add_words(struct config_handler *handler, const char *value)
{
    const char *at = value + strspn(value, " \t");
    while (*at != '\0') {
        bool quoted = *at == '"';
        at += quoted;
        size_t size = strcspn(at, quoted ? "\"" : " \t");
        if (handler->word_count == HANDLER_WORDS_MAX || handler->text_size + size + 1 > HANDLER_TEXT_BYTES ||
            (quoted && at[size] != '"'))
            return false;
        char *to = handler->text + handler->text_size;
        memcpy(to, at, size);
        to[size] = '\0';
        handler->words[handler->word_count++] = to;
        handler->text_size += (uint32_t)size + 1;
        at += size + quoted;
        at += strspn(at, " \t");
    }
    return handler->word_count != 0;
}

static bool set_handler(struct load *load, const struct key *key, const char *value)
{
    uint32_t index;
    if (!config_find_handler(load, &index))
        return false;
    struct config_handler *handler = &load->config->handlers[index];
    struct worker_handler *type = &load->config->worker.handlers[index];
    bool is_set = handler->word_count != 0 || type->builtin_noop;
    if (is_set && !(load->continued && key->type == COMMAND && !type->builtin_noop))
        return config_fail(load, "[%s] has a command or builtin already: expected one of them, once",
                           load->section);
    if (key->type == COMMAND)
        return add_words(handler, value) ||
               fail_value(
                   load, key, value,
                   "1 to 64 words, with closed quotes, of 2 KiB together: a program and its arguments");
    if (strcmp(value, key->choices) != 0)
        return fail_value(load, key, value, "noop");
    type->builtin_noop = true;
    return true;
}

bool config_set_value(struct load *load, const struct key *key, const char *value)
{
    switch (key->type) {
    case DURATION:
    case SIZE:
    case COUNT:
        return set_quantity(load, key, value);
    case NAME:
        return set_name(load, key, value);
    case TEXT:
    case ENDPOINT:
        return set_text(load, key, value);
    case CHOICE:
        return set_choice(load, key, value);
    case NAMES:
        return set_names(load, key, value);
    case COMMAND:
    case BUILTIN:
        return set_handler(load, key, value);
    }
    ASSERT(!"a type that does not exist");
    return false;
}
