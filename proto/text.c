/* text.c - see text.h. */
#include "proto/text.h"

#include "proto/assert.h"

void text_init(struct text *text, char *to, size_t room)
{
    ASSERT(room > 0);
    *text = (struct text){.to = to, .size = 0, .room = room};
    to[0] = '\0';
}

void text_add_bytes(struct text *text, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size && text->size + 1 < text->room; i++)
        text->to[text->size++] = bytes.data[i] >= ' ' && bytes.data[i] < 127 ? (char)bytes.data[i] : '?';
    text->to[text->size] = '\0';
}

void text_add(struct text *text, const char *words)
{
    text_add_bytes(text, bytes_of(words));
}

void text_add_number(struct text *text, uint64_t number)
{
    char digits[21];
    size_t start = sizeof digits - 1;
    digits[start] = '\0';
    do {
        digits[--start] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_add(text, digits + start);
}
