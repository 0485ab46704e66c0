/* golden.h - one fixed example of every message, and the bytes it must have for ever.
 *
 * Is:      the table of examples (golden_link.c, golden_client.c) that golden_test.c encodes and compares
 * with tests/proto/golden/NAME.hex, and that PROTOCOL.md shows. The files are the protocol: a test that fails
 * here says that nodes of two builds no longer understand each other. A file is added for a new message; an
 * old one is never changed. Is not:  a test of what nodes answer (tests/broker, tests/e2e). */
#ifndef MERIDIAN_TESTS_PROTO_GOLDEN_H
#define MERIDIAN_TESTS_PROTO_GOLDEN_H

#include "proto/link.h"
#include "proto/message.h"

struct golden {
    const char *name;
    enum message_kind kind;
    void (*write)(struct writer *writer); /* the whole frame */
    bool open_count; /* its array's count is in the 5-byte form, which is patched when the frame closes */
};

extern const struct golden golden_link[], golden_client[];
extern const size_t golden_link_count, golden_client_count;

enum { GOLDEN_BYTES_MAX = 4096 };

/* The cast of the examples. */
extern const struct task_id golden_id, golden_other_id;
extern const struct fence golden_fence, golden_custody_fence;

/* Bytes of hex text: two digits each, blanks between them, '#' starts a comment that ends with its line.
 * False at anything else, or if `capacity` is too small. */
bool golden_parse(const char *from, const char *to, uint8_t *data, size_t capacity, size_t *ret_size);
/* A file below the root of the source tree, terminated; NULL if it cannot be read. The caller frees it. */
char *golden_file(const char *path);

/* Read one link body (or entry) with the reader of link.h and write it again; false if the reader refuses.
 * `kind` is a message of a child or its parent other than GREET, END and BYE, whose bodies are empty. */
bool golden_link_again(enum message_kind kind, struct bytes value, struct writer *writer);
/* Is the body of `kind` an array of entries? */
bool golden_has_entries(enum message_kind kind);

#endif
