/* config_parts.h - what the files behind config.h share: config.c (the whole), config_file.c (lines),
 * config_keys.c (the table), config_value.c (values by type). */
#ifndef MERIDIAN_HOST_CONFIG_PARTS_H
#define MERIDIAN_HOST_CONFIG_PARTS_H

#include <stdio.h>

#include "host/config.h"

#define TYPE_SECTION "type " /* [type NAME] */

enum { CONFIG_LINE_BYTES = 200 /* inih's own buffer */ };

enum value_type { DURATION, SIZE, COUNT, NAME, TEXT, ENDPOINT, CHOICE, NAMES, COMMAND, BUILTIN };

struct key {
    const char *section, *name;
    unsigned roles; /* bits 1 << enum role */
    enum value_type type;
    size_t offset, bytes; /* of its field in struct config; numbers have 4 or 8 bytes */
    uint64_t min, max;
    const char *choices; /* CHOICE: words with '|' between them; the value is the word's index */
};

extern const struct key config_keys[];
extern const int config_key_count;
extern const char *const config_roles[ROLE_COUNT];
/* Is the key one of this section? [type NAME] has any name. */
bool config_section_matches(const struct key *key, const char *section);

struct load {
    struct config *config;
    struct config_problem *problem; /* the first one stays */
    bool failed;
    FILE *file;
    const char *path;
    unsigned line;
    bool continued;                      /* the line begins with a space: it goes on with the value before */
    char section[CONFIG_LINE_BYTES + 8]; /* kept here: inih cuts it at 50 bytes */
    const char *override;                /* the text on the command line, NULL while the file is read */
    uint64_t given;                      /* keys of the file, by index in the table */
};

/* Note the first problem, behind where it is; always false. */
__attribute__((format(printf, 2, 3))) bool config_fail(struct load *load, const char *format, ...);

/* All further ones: false with the problem noted. */
bool config_set_value(struct load *load, const struct key *key, const char *value);
/* The handler of the current section [type NAME]; made on first use. */
bool config_find_handler(struct load *load, uint32_t *ret_handler);
bool config_read_file(struct load *load);
bool config_read_override(struct load *load, const char *text);
/* Which node's file it is, by its section. */
bool config_find_role(struct load *load);

#endif
