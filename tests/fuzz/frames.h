/* frames.h - messages that a peer might send, made of choices: whole and in order, or a little wrong.
 *
 * Is: a writer for each kind of message, whose fields are drawn from a small world (16 ids, a few names, the
 * grants that the node itself has told of), so that messages fit together and reach deep; and the last step
 * of each frame, that changes some of its bytes. Is not: a list of what is allowed: nothing keeps a script
 * from sending anything at any time.
 * Bounds: a frame has at most FRAME_BYTES_MAX bytes, as the host lets no longer one through. */
#ifndef MERIDIAN_TESTS_FUZZ_FRAMES_H
#define MERIDIAN_TESTS_FUZZ_FRAMES_H

#include "proto/id.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "tests/fuzz/input.h"

enum { CAST_MAX = 2048 };

/* Tasks and fences that were named on the wire, the newest CAST_MAX. */
struct cast {
    struct {
        struct task_id id;
        struct fence fence;
    } grants[CAST_MAX];
    uint32_t count; /* of all time */
};

void cast_add(struct cast *cast, const struct task_id *id, struct fence fence);

/* What the frame is made of. */
struct frame_maker {
    struct input *input;
    const struct cast *cast; /* grants that it may be about */
    const char *role;        /* of the children, in HELLO */
    bool grants_attempts;    /* the parent grants attempts (a region), not custody */
    uint64_t asked;          /* request of the newest ASK, for ANSWER */
    uint64_t wall_ms, now_us;
    const char *name; /* in HELLO */
    uint8_t instance; /* likewise, its first byte */
    uint64_t boot;    /* likewise */
};

struct task_id frame_id(uint32_t number);
/* A frame of `kind`, good until the next one. Changed bytes are part of the choices. */
struct bytes frame_make(struct frame_maker *maker, enum message_kind kind, uint64_t sequence);
/* A task map, as SUBMIT and ASSIGN carry it. */
void frame_write_task(struct writer *writer, struct frame_maker *maker, const struct task_id *id);
/* A frame around a body that was made otherwise, with changes as above. */
struct bytes frame_with_body(struct input *input, enum message_kind kind, uint64_t sequence,
                             struct bytes body);

#endif
