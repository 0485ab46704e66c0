/* text.h - lines for people, put together in a fixed buffer: pure code has no printf.
 *
 * What does not fit is cut; the text is always terminated. What came from a peer is made printable. */
#ifndef MERIDIAN_PROTO_TEXT_H
#define MERIDIAN_PROTO_TEXT_H

#include "proto/bytes.h"

struct text {
    char *to;
    size_t size, room; /* room includes the terminator, at least 1 */
};

void text_init(struct text *text, char *to, size_t room);
void text_add(struct text *text, const char *words);
void text_add_bytes(struct text *text, struct bytes bytes);
void text_add_number(struct text *text, uint64_t number);

#endif
