/* config.c - see config.h. The table of keys comes first; a line is found in it, parsed by its type, checked
 * against its range, and put where the table says. */
#include "host/config.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/units.h"
#include "proto/assert.h"
#include "proto/task.h"

enum { BROKER = 1, REGION = 2, WORKER = 4, ANY = BROKER | REGION | WORKER };

enum value_type { DURATION, SIZE, COUNT, NAME, TEXT, ENDPOINT, CHOICE, NAMES, COMMAND, BUILTIN };

#define TYPE_SECTION "type "
#define HOUR_MS 3600000ull
#define DAY_MS (24 * HOUR_MS)
#define MIB (1ull << 20)

/* Numbers go into 4 or 8 bytes, as their field is. */
#define AT(field) offsetof(struct config, field), sizeof(((struct config *)NULL)->field)

static const struct key {
    const char *section, *name;
    unsigned roles;
    enum value_type type;
    size_t offset, bytes;
    uint64_t min, max;
    const char *choices; /* CHOICE: words with '|' between them; the value is the word's index */
} keys[] = {
    {"node", "data", ANY, TEXT, AT(data), 0, 0, NULL},
    {"node", "log_level", ANY, CHOICE, AT(log_level), 0, 0, "debug|info|warn"},
    {"node", "insecure", ANY, CHOICE, AT(insecure), 0, 0, "no|yes"},
    {"store", "max_bytes", ANY, SIZE, AT(store_max_bytes), 16 * MIB, 16 * MIB *MIB, NULL},
    {"store", "watermark", BROKER | REGION, COUNT, AT(watermark_percent), 10, 95, NULL},
    {"limits", "payload_bytes", ANY, SIZE, AT(payload_bytes_max), 0, PAYLOAD_BYTES_MAX, NULL},
    {"limits", "tasks", BROKER | REGION, COUNT, AT(tasks_max), 1, 100000000, NULL},

    {"broker", "clients", BROKER, ENDPOINT, AT(clients), 0, 0, NULL},
    {"broker", "regions", BROKER, ENDPOINT, AT(children), 0, 0, NULL},
    {"broker", "beat", BROKER, DURATION, AT(broker.beat_ms), 10, 60000, NULL},
    {"broker", "region_grace", BROKER, DURATION, AT(broker.region_grace_ms), 100, DAY_MS, NULL},
    {"broker", "rerun_max", BROKER, COUNT, AT(broker.rerun_max), 0, 1000, NULL},
    {"broker", "window", BROKER, COUNT, AT(broker.window), 1, WINDOW_TASKS, NULL},
    {"broker", "result_ttl", BROKER, DURATION, AT(broker.result_ttl_ms), 1000, 365 * DAY_MS, NULL},
    {"broker", "dedupe_ttl", BROKER, DURATION, AT(broker.dedupe_ttl_ms), 1000, 365 * DAY_MS, NULL},
    {"broker", "dedupe_ids_max", BROKER, COUNT, AT(broker.dedupe_ids_max), 0, 100000000, NULL},

    {"region", "name", REGION, NAME, AT(region.name), 1, NAME_BYTES_MAX, NULL},
    {"region", "parent", REGION, ENDPOINT, AT(parent), 0, 0, NULL},
    {"region", "workers", REGION, ENDPOINT, AT(children), 0, 0, NULL},
    {"region", "beat", REGION, DURATION, AT(region.beat_ms), 10, 60000, NULL},
    {"region", "worker_grace", REGION, DURATION, AT(region.worker_grace_ms), 100, DAY_MS, NULL},
    {"region", "retry_base", REGION, DURATION, AT(region.retry_base_ms), 1, DAY_MS, NULL},
    {"region", "retry_cap", REGION, DURATION, AT(region.retry_cap_ms), 1, DAY_MS, NULL},
    {"region", "poison_limit", REGION, COUNT, AT(region.poison_limit), 1, 1000, NULL},
    {"region", "window", REGION, COUNT, AT(region.window), 1, WINDOW_TASKS, NULL},
    {"region", "reconnect_min", REGION, DURATION, AT(region.reconnect_min_ms), 1, 60000, NULL},
    {"region", "reconnect_max", REGION, DURATION, AT(region.reconnect_max_ms), 1, 60000, NULL},

    {"worker", "name", WORKER, NAME, AT(worker.name), 1, NAME_BYTES_MAX, NULL},
    {"worker", "parent", WORKER, ENDPOINT, AT(parent), 0, 0, NULL},
    {"worker", "slots", WORKER, COUNT, AT(worker.slots), 1, SLOTS_MAX, NULL},
    {"worker", "commands", WORKER, CHOICE, AT(commands), 0, 0, "deny|allow"},
    {"worker", "capabilities", WORKER, NAMES, AT(worker.capabilities), 0, CAPABILITIES_MAX, NULL},
    {"worker", "output_bytes", WORKER, SIZE, AT(output_bytes), 0, MIB / 2, NULL},
    {"worker", "stop_grace", WORKER, DURATION, AT(worker.stop_grace_ms), 0, DAY_MS, NULL},
    {"worker", "spool_after", WORKER, DURATION, AT(worker.spool_after_ms), 0, 60000, NULL},
    {"worker", "drain_deadline", WORKER, DURATION, AT(worker.drain_deadline_ms), 0, 7 * DAY_MS, NULL},
    {"worker", "reconnect_min", WORKER, DURATION, AT(worker.reconnect_min_ms), 1, 60000, NULL},
    {"worker", "reconnect_max", WORKER, DURATION, AT(worker.reconnect_max_ms), 1, 60000, NULL},

    {TYPE_SECTION, "command", WORKER, COMMAND, 0, 0, 0, 0, NULL},
    {TYPE_SECTION, "builtin", WORKER, BUILTIN, 0, 0, 0, 0, "noop"},
};

enum { KEY_COUNT = sizeof keys / sizeof *keys, LINE_BYTES_MAX = 200 /* inih's own */ };
_Static_assert((int)KEY_COUNT <= 64, "one bit of `given` for each key");

static const char *const roles[ROLE_COUNT] = {"broker", "region", "worker"};

enum role role_of(const char *text)
{
    int role = 0;
    while (role < ROLE_COUNT && strcmp(text, roles[role]) != 0)
        role++;
    return (enum role)role;
}

const char *role_text(enum role role)
{
    ASSERT(role < ROLE_COUNT);
    return roles[role];
}

struct load {
    struct config *config;
    struct config_problem *problem; /* the first one stays */
    bool failed;
    FILE *file;
    const char *path;
    unsigned line;
    bool continued;                   /* the line begins with a space: it goes on with the value before */
    char section[LINE_BYTES_MAX + 8]; /* kept here: inih cuts it at 50 bytes */
    const char *override;             /* the text on the command line, NULL while the file is read */
    uint64_t given;                   /* keys of the file, by index in the table */
};

/* ---- problems ---- */

/* Where it is, then what; always false. */
__attribute__((format(printf, 2, 3))) static bool fail(struct load *load, const char *format, ...)
{
    char what[768];
    va_list arguments;
    if (load->failed)
        return false;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (load->override != NULL)
        snprintf(load->problem->text, sizeof load->problem->text, "-s %s: %s", load->override, what);
    else if (load->line != 0)
        snprintf(load->problem->text, sizeof load->problem->text, "%s:%u: %s", load->path, load->line, what);
    else
        snprintf(load->problem->text, sizeof load->problem->text, "%s: %s", load->path, what);
    load->failed = true;
    return false;
}

static bool fail_value(struct load *load, const struct key *key, const char *value, const char *expected)
{
    return fail(load, "[%s] %s = %s: expected %s", load->section, key->name, value, expected);
}

/* ---- values by type ---- */

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

static bool find_handler(struct load *load, uint32_t *ret_handler)
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
        return fail(load, "[%s]: expected a type's name of 1 to 64 bytes, other than \"" COMMAND_TYPE "\"",
                    load->section);
    if (worker->handler_count == HANDLERS_MAX)
        return fail(load, "[%s]: at most %d types", load->section, HANDLERS_MAX);
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
    if (!find_handler(load, &index))
        return false;
    struct config_handler *handler = &load->config->handlers[index];
    struct worker_handler *type = &load->config->worker.handlers[index];
    bool is_set = handler->word_count != 0 || type->builtin_noop;
    if (is_set && !(load->continued && key->type == COMMAND && !type->builtin_noop))
        return fail(load, "[%s] has a command or builtin already: expected one of them, once", load->section);
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

/* ---- lines ---- */

static bool set_value(struct load *load, const struct key *key, const char *value)
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

static bool section_matches(const struct key *key, const char *section)
{
    size_t size = strlen(key->section);
    return key->section[size - 1] == ' ' ? strncmp(section, key->section, size) == 0
                                         : strcmp(section, key->section) == 0;
}

/* The section is one that a node of this role may have. */
static bool check_section(struct load *load)
{
    unsigned role = 1u << load->config->role;
    bool exists = false;
    for (int i = 0; i < KEY_COUNT; i++) {
        if (!section_matches(&keys[i], load->section))
            continue;
        if ((keys[i].roles & role) != 0)
            return true;
        exists = true;
    }
    if (exists)
        return fail(load, "[%s] has no place in the file of a %s", load->section, roles[load->config->role]);
    return fail(load, "[%s] is no section: expected [node], [store], [limits], [%s]%s", load->section,
                roles[load->config->role], load->config->role == ROLE_WORKER ? " or [type NAME]" : "");
}

static bool take(struct load *load, const char *name, const char *value)
{
    if (load->section[0] == '\0')
        return fail(load, "%s stands before any section: expected [node] or another above it", name);
    if (!check_section(load))
        return false;
    for (int i = 0; i < KEY_COUNT; i++) {
        const struct key *key = &keys[i];
        if (!section_matches(key, load->section) || strcmp(key->name, name) != 0)
            continue;
        if ((key->roles & 1u << load->config->role) == 0)
            return fail(load, "[%s] %s has no meaning for a %s", load->section, name,
                        roles[load->config->role]);
        bool repeats = load->override == NULL && (load->given & 1ull << i) != 0;
        if (repeats && key->type != COMMAND && key->type != BUILTIN)
            return fail(load, "[%s] %s is given twice", load->section, name);
        load->given |= 1ull << i;
        return set_value(load, key, value);
    }
    return fail(load, "[%s] %s is no key; conf/%s.ini has them all", load->section, name,
                roles[load->config->role]);
}

/* ---- the file ---- */

static int on_line(void *context, const char *section, const char *name, const char *value)
{
    (void)section;
    return take(context, name, value) ? 1 : 0;
}

/* "[type x]  ; comment" -> "type x" */
static bool read_section(struct load *load, const char *line)
{
    const char *end = strchr(line, ']');
    if (end == NULL)
        return fail(load, "a section without ']'");
    snprintf(load->section, sizeof load->section, "%.*s", (int)(end - line - 1), line + 1);
    uint32_t handler;
    return check_section(load) &&
           (strncmp(load->section, TYPE_SECTION, strlen(TYPE_SECTION)) != 0 || find_handler(load, &handler));
}

/* Gives inih the next line, and keeps what inih does not tell: its number, its section in full. inih splits
 * lines that are longer than its buffer; here they are an error. */
static char *next_line(char *to, int size, void *context)
{
    struct load *load = context;
    char line[LINE_BYTES_MAX + 2];
    if (load->failed || fgets(line, sizeof line, load->file) == NULL)
        return NULL;
    load->line++;
    size_t length = strlen(line);
    if (length >= (size_t)size || length >= LINE_BYTES_MAX) {
        fail(load, "a line of more than %d bytes; a command may go on in a line that begins with a space",
             LINE_BYTES_MAX - 2);
        return NULL;
    }
    size_t indent = strspn(line, " \t");
    load->continued = indent != 0;
    if (line[indent] == '[' && !read_section(load, line + indent))
        return NULL;
    memcpy(to, line, length + 1);
    return to;
}

static bool read_file(struct load *load)
{
    load->file = fopen(load->path, "re");
    if (load->file == NULL)
        return fail(load, "%s; give the file with -c", strerror(errno));
    int line = ini_parse_stream(next_line, load, on_line, load);
    fclose(load->file);
    if (line > 0 && !load->failed) {
        load->line = (unsigned)line;
        fail(load, "expected [section] or key = value");
    }
    load->line = 0;
    return !load->failed;
}

/* Which node's file it is, by its section. */
static bool find_role(struct load *load)
{
    char line[LINE_BYTES_MAX + 2];
    FILE *file = fopen(load->path, "re");
    if (file == NULL)
        return fail(load, "%s", strerror(errno));
    enum role found = ROLE_COUNT;
    while (found == ROLE_COUNT && fgets(line, sizeof line, file) != NULL) {
        char name[16] = "";
        if (sscanf(line, " [%15[a-z]]", name) == 1)
            found = role_of(name);
    }
    fclose(file);
    load->config->role = found;
    return found != ROLE_COUNT || fail(load, "expected a section [broker], [region] or [worker]");
}

static bool read_override(struct load *load, const char *text)
{
    char copy[LINE_BYTES_MAX + 8];
    load->override = text;
    char *name = NULL;
    char *value = NULL;
    if (strlen(text) < sizeof copy) {
        strcpy(copy, text);
        value = strchr(copy, '=');
        if (value != NULL)
            *value++ = '\0';
        name = strrchr(copy, '.');
    }
    if (name == NULL || value == NULL)
        return fail(load, "expected section.key=value");
    *name++ = '\0';
    snprintf(load->section, sizeof load->section, "%s", copy);
    return take(load, name, value);
}

/* ---- the whole ---- */

static void set_defaults(struct config *config)
{
    broker_options_default(&config->broker);
    region_options_default(&config->region);
    worker_options_default(&config->worker);
    config->worker.commands = false;
    config->log_level = TRACE_INFO;
    config->store_max_bytes = 4ull << 30;
    config->watermark_percent = config->broker.watermark_percent;
    config->payload_bytes_max = PAYLOAD_BYTES_MAX;
    config->tasks_max = config->broker.tasks_max;
    config->output_bytes = 64 * 1024;
    strcpy(config->clients, config->role == ROLE_BROKER ? "tcp://127.0.0.1:7700" : "");
    strcpy(config->children, config->role == ROLE_BROKER   ? "tcp://127.0.0.1:7701"
                             : config->role == ROLE_REGION ? "tcp://127.0.0.1:7711"
                                                           : "");
    strcpy(config->parent, config->role == ROLE_REGION   ? "tcp://127.0.0.1:7701"
                           : config->role == ROLE_WORKER ? "tcp://127.0.0.1:7711"
                                                         : "");
}

static const char *node_name(const struct config *config)
{
    switch (config->role) {
    case ROLE_REGION:
        return config->region.name;
    case ROLE_WORKER:
        return config->worker.name;
    case ROLE_BROKER:
    case ROLE_COUNT:
        break;
    }
    return "broker";
}

/* What can only be said once everything is read. */
static bool finish(struct load *load)
{
    struct config *config = load->config;
    load->override = NULL;
    if (node_name(config)[0] == '\0')
        return fail(load, "[%s] name is missing", roles[config->role]);
    if (config->region.reconnect_min_ms > config->region.reconnect_max_ms ||
        config->worker.reconnect_min_ms > config->worker.reconnect_max_ms)
        return fail(load, "reconnect_min is above reconnect_max");
    if (config->region.retry_base_ms > config->region.retry_cap_ms)
        return fail(load, "retry_base is above retry_cap");
    for (uint32_t i = 0; i < config->worker.handler_count; i++)
        if (config->handlers[i].word_count == 0 && !config->worker.handlers[i].builtin_noop)
            return fail(load, "[type %s] has no command", config->worker.handlers[i].type);
    if (config->data[0] == '\0')
        snprintf(config->data, sizeof config->data, "/var/lib/meridian/%s", node_name(config));
    config->broker.watermark_percent = config->region.watermark_percent = config->watermark_percent;
    config->broker.tasks_max = config->region.tasks_max = config->tasks_max;
    config->broker.payload_bytes_max = config->region.payload_bytes_max = config->payload_bytes_max;
    config->worker.commands = config->commands != 0;
    return true;
}

struct config *config_load(const char *path, enum role role, int override_count, char *const *overrides,
                           struct config_problem *ret_problem)
{
    struct load load = {.config = calloc(1, sizeof(struct config)), .problem = ret_problem, .path = path};
    if (load.config == NULL) {
        fail(&load, "no memory to read it");
        return NULL;
    }
    load.config->role = role;
    bool loaded = role != ROLE_COUNT || find_role(&load);
    if (loaded) {
        set_defaults(load.config);
        loaded = read_file(&load);
    }
    for (int i = 0; loaded && i < override_count; i++)
        loaded = read_override(&load, overrides[i]);
    if (loaded && finish(&load))
        return load.config;
    config_free(load.config);
    return NULL;
}

void config_free(struct config *config)
{
    free(config);
}

struct host_options config_host(const struct config *config)
{
    return (struct host_options){
        .role = roles[config->role],
        .node = node_name(config),
        .data = config->data,
        .store_max_bytes = config->store_max_bytes,
        .clients = config->clients[0] != '\0' ? config->clients : NULL,
        .children = config->children[0] != '\0' ? config->children : NULL,
        .parent = config->parent[0] != '\0' ? config->parent : NULL,
        .log_level = (enum trace_level)config->log_level,
        .insecure = config->insecure != 0,
    };
}
