/* config_file.c - lines of a file, and overrides: each finds its key in the table and hands its value on. */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>

#include "host/config_parts.h"

/* Where it is, then what; always false. */
bool config_fail(struct load *load, const char *format, ...)
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

/* The section is one that a node of this role may have. */
static bool check_section(struct load *load)
{
    unsigned role = 1u << load->config->role;
    bool exists = false;
    for (int i = 0; i < config_key_count; i++) {
        if (!config_section_matches(&config_keys[i], load->section))
            continue;
        if ((config_keys[i].roles & role) != 0)
            return true;
        exists = true;
    }
    if (exists)
        return config_fail(load, "[%s] has no place in the file of a %s", load->section,
                           config_roles[load->config->role]);
    return config_fail(load, "[%s] is no section: expected [node], [store], [limits], [%s]%s", load->section,
                       config_roles[load->config->role],
                       load->config->role == ROLE_WORKER ? " or [type NAME]" : "");
}

static bool take(struct load *load, const char *name, const char *value)
{
    if (load->section[0] == '\0')
        return config_fail(load, "%s stands before any section: expected [node] or another above it", name);
    if (!check_section(load))
        return false;
    for (int i = 0; i < config_key_count; i++) {
        const struct key *key = &config_keys[i];
        if (!config_section_matches(key, load->section) || strcmp(key->name, name) != 0)
            continue;
        if ((key->roles & 1u << load->config->role) == 0)
            return config_fail(load, "[%s] %s has no meaning for a %s", load->section, name,
                               config_roles[load->config->role]);
        bool repeats = load->override == NULL && (load->given & 1ull << i) != 0;
        if (repeats && key->type != COMMAND && key->type != BUILTIN)
            return config_fail(load, "[%s] %s is given twice", load->section, name);
        load->given |= 1ull << i;
        return config_set_value(load, key, value);
    }
    return config_fail(load, "[%s] %s is no key; conf/%s.ini has them all", load->section, name,
                       config_roles[load->config->role]);
}

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
        return config_fail(load, "a section without ']'");
    snprintf(load->section, sizeof load->section, "%.*s", (int)(end - line - 1), line + 1);
    uint32_t handler;
    return check_section(load) && (strncmp(load->section, TYPE_SECTION, strlen(TYPE_SECTION)) != 0 ||
                                   config_find_handler(load, &handler));
}

/* Gives inih the next line, and keeps what inih does not tell: its number, its section in full. inih splits
 * lines that are longer than its buffer; here they are an error. */
static char *next_line(char *to, int size, void *context)
{
    struct load *load = context;
    char line[CONFIG_LINE_BYTES + 2];
    if (load->failed || fgets(line, sizeof line, load->file) == NULL)
        return NULL;
    load->line++;
    size_t length = strlen(line);
    if (length >= (size_t)size || length >= CONFIG_LINE_BYTES) {
        config_fail(load,
                    "a line of more than %d bytes; a command may go on in a line that begins with a space",
                    CONFIG_LINE_BYTES - 2);
        return NULL;
    }
    size_t indent = strspn(line, " \t");
    load->continued = indent != 0;
    if (line[indent] == '[' && !read_section(load, line + indent))
        return NULL;
    memcpy(to, line, length + 1);
    return to;
}

bool config_read_file(struct load *load)
{
    load->file = fopen(load->path, "re");
    if (load->file == NULL)
        return config_fail(load, "%s; give the file with -c", strerror(errno));
    int line = ini_parse_stream(next_line, load, on_line, load);
    fclose(load->file);
    if (line > 0 && !load->failed) {
        load->line = (unsigned)line;
        config_fail(load, "expected [section] or key = value");
    }
    load->line = 0;
    return !load->failed;
}

/* Which node's file it is, by its section. */
bool config_find_role(struct load *load)
{
    char line[CONFIG_LINE_BYTES + 2];
    FILE *file = fopen(load->path, "re");
    if (file == NULL)
        return config_fail(load, "%s", strerror(errno));
    enum role found = ROLE_COUNT;
    while (found == ROLE_COUNT && fgets(line, sizeof line, file) != NULL) {
        char name[16] = "";
        if (sscanf(line, " [%15[a-z]]", name) == 1)
            found = role_of(name);
    }
    fclose(file);
    load->config->role = found;
    return found != ROLE_COUNT || config_fail(load, "expected a section [broker], [region] or [worker]");
}

bool config_read_override(struct load *load, const char *text)
{
    char copy[CONFIG_LINE_BYTES + 8];
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
        return config_fail(load, "expected section.key=value");
    *name++ = '\0';
    snprintf(load->section, sizeof load->section, "%s", copy);
    return take(load, name, value);
}
