/* golden.c - what the examples share: their cast, their files, and reading a link message back. See golden.h.
 */
#include "tests/proto/golden.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const struct task_id golden_id = {
    {0x01, 0x9a, 0xa3, 0x9c, 0x58, 0x00, 0x7c, 0x11, 0x8e, 0x22, 0x5d, 0x40, 0x5c, 0x0b, 0xe2, 0xd4}};
const struct task_id golden_other_id = {
    {0x01, 0x9a, 0xa3, 0x9c, 0x58, 0x01, 0x7b, 0x93, 0xa1, 0x0f, 0x37, 0xee, 0x91, 0xd4, 0xa0, 0x7e}};
const struct fence golden_fence = {1, 0x691fd280, 1};
const struct fence golden_custody_fence = {1, 0, 0};

bool golden_parse(const char *from, const char *to, uint8_t *data, size_t capacity, size_t *ret_size)
{
    size_t size = 0;
    while (from < to) {
        if (*from == '#') {
            while (from < to && *from != '\n')
                from++;
        } else if (isspace((unsigned char)*from)) {
            from++;
        } else {
            if (to - from < 2 || size == capacity ||
                !hex_decode((struct bytes){(const uint8_t *)from, 2}, data + size, 1))
                return false;
            size++;
            from += 2;
        }
    }
    *ret_size = size;
    return true;
}

char *golden_file(const char *path)
{
    char whole[1024];
    snprintf(whole, sizeof whole, "%s/%s", MERIDIAN_SOURCE_DIR, path);
    FILE *file = fopen(whole, "rb");
    if (file == NULL)
        return NULL;
    enum { FILE_BYTES_MAX = 1 << 20 };
    char *text = malloc(FILE_BYTES_MAX);
    size_t size = text == NULL ? 0 : fread(text, 1, FILE_BYTES_MAX - 1, file);
    if (text != NULL)
        text[size] = '\0';
    fclose(file);
    return text;
}

/* ---- one line per link message: read with link.h's reader, write with its writer ---- */

#define AGAIN_BODY(name)                                                                                     \
    static bool name##_again(struct bytes value, struct writer *writer)                                      \
    {                                                                                                        \
        struct name name;                                                                                    \
        if (!name##_read(value, &name))                                                                      \
            return false;                                                                                    \
        name##_write(writer, &name);                                                                         \
        return true;                                                                                         \
    }

#define AGAIN_ENTRY(name, tail)                                                                              \
    static bool name##_again(struct bytes value, struct writer *writer)                                      \
    {                                                                                                        \
        struct name name;                                                                                    \
        struct reader reader;                                                                                \
        reader_init(&reader, value);                                                                         \
        if (!name##_read(&reader, &name))                                                                    \
            return false;                                                                                    \
        tail;                                                                                                \
        return true;                                                                                         \
    }

AGAIN_BODY(hello)
AGAIN_BODY(welcome)
AGAIN_BODY(heartbeat)
AGAIN_ENTRY(inventory_row, inventory_row_write(writer, &inventory_row))
AGAIN_ENTRY(assign_entry, assign_entry_write_head(writer, &assign_entry);
            write_raw(writer, assign_entry.envelope))
AGAIN_ENTRY(taken_entry, taken_entry_write(writer, &taken_entry))
AGAIN_ENTRY(refused_entry, refused_entry_write(writer, &refused_entry))
AGAIN_ENTRY(stop_entry, stop_entry_write(writer, &stop_entry))
AGAIN_ENTRY(outcome_entry, outcome_entry_write_head(writer, &outcome_entry);
            write_raw(writer, outcome_entry.outcome))
AGAIN_ENTRY(settled_entry, settled_entry_write(writer, &settled_entry))

static bool ask_again(struct bytes value, struct writer *writer)
{
    struct ask ask;
    if (!ask_read(value, &ask))
        return false;
    char question[NAME_BYTES_MAX + 1] = "";
    memcpy(question, ask.question.data, ask.question.size);
    ask_write_head(writer, ask.request, question);
    write_raw(writer, ask.body);
    return true;
}

static bool answer_again(struct bytes value, struct writer *writer)
{
    uint64_t request;
    struct bytes body;
    if (!answer_read(value, &request, &body))
        return false;
    answer_write_head(writer, request);
    write_raw(writer, body);
    return true;
}

static const struct {
    enum message_kind kind;
    bool has_entries;
    bool (*again)(struct bytes value, struct writer *writer);
} link_kinds[] = {
    {MESSAGE_HELLO, false, hello_again},
    {MESSAGE_WELCOME, false, welcome_again},
    {MESSAGE_HEARTBEAT, false, heartbeat_again},
    {MESSAGE_INVENTORY, true, inventory_row_again},
    {MESSAGE_ASSIGN, true, assign_entry_again},
    {MESSAGE_TAKEN, true, taken_entry_again},
    {MESSAGE_REFUSED, true, refused_entry_again},
    {MESSAGE_STOP, true, stop_entry_again},
    {MESSAGE_OUTCOME, true, outcome_entry_again},
    {MESSAGE_SETTLED, true, settled_entry_again},
    {MESSAGE_ASK, false, ask_again},
    {MESSAGE_ANSWER, false, answer_again},
};

bool golden_link_again(enum message_kind kind, struct bytes value, struct writer *writer)
{
    for (size_t i = 0; i < sizeof link_kinds / sizeof link_kinds[0]; i++)
        if (link_kinds[i].kind == kind)
            return link_kinds[i].again(value, writer);
    return false;
}

bool golden_has_entries(enum message_kind kind)
{
    for (size_t i = 0; i < sizeof link_kinds / sizeof link_kinds[0]; i++)
        if (link_kinds[i].kind == kind)
            return link_kinds[i].has_entries;
    return false;
}
