/* frame_parts.h - what the files behind frames.h share: frames.c (values, the table), frames_client.c (the
 * task map and clients' bodies), frames_link.c (bodies between child and parent). For these only. */
#ifndef MERIDIAN_TESTS_FUZZ_FRAME_PARTS_H
#define MERIDIAN_TESTS_FUZZ_FRAME_PARTS_H

#include "proto/link.h"
#include "tests/fuzz/frames.h"

enum { RUN_MAX = 40 };

typedef void (*write_part)(struct writer *writer, struct frame_maker *maker);

#define PICK(maker, texts) (texts)[take_below((maker)->input, sizeof(texts) / sizeof *(texts))]

/* ---- values ---- */
extern uint32_t frame_crowd; /* 1 .. n while the n-th of many entries is written from the same choices */
extern const char *const frame_types[5], *const frame_capabilities[4];
struct task_id frame_pick_id(struct frame_maker *maker);
/* A task and a fence that belong together, as a rule. */
void frame_pick_grant(struct frame_maker *maker, struct task_id *ret_id, struct fence *ret_fence);
/* Under which the parent grants a task for the first time, or once more. */
struct fence frame_new_fence(struct frame_maker *maker);
uint64_t frame_pick_ms(struct frame_maker *maker);

/* ---- parts of many bodies ---- */
void part_any(struct writer *writer, struct frame_maker *maker); /* anything that msgpack can say */
void part_text(struct writer *writer, struct frame_maker *maker);
void part_id(struct writer *writer, struct frame_maker *maker);
void part_ids(struct writer *writer, struct frame_maker *maker);
void part_ms(struct writer *writer, struct frame_maker *maker);
void part_number(struct writer *writer, struct frame_maker *maker);
void part_truth(struct writer *writer, struct frame_maker *maker);
void part_name(struct writer *writer, struct frame_maker *maker);
void part_task(struct writer *writer, struct frame_maker *maker);
/* A bin, up to a little more than a task's payload may be. */
void part_payload(struct writer *writer, struct frame_maker *maker);

/* An array of 1 to 4 parts; or a crowd: up to 1,024 from the same choices, with ids of their own. */
void frame_write_many(struct writer *writer, struct frame_maker *maker, write_part write);

/* A map: each pair has a bit in the choices, and comes if that says so. */
struct pair {
    const char *key;
    write_part write;
    bool usual; /* it comes unless its bit is set */
};
void frame_write_pairs(struct writer *writer, struct frame_maker *maker, const struct pair *pairs,
                       uint32_t count);
#define WRITE_PAIRS(writer, maker, pairs)                                                                    \
    frame_write_pairs(writer, maker, pairs, sizeof(pairs) / sizeof *(pairs))

/* ---- bodies, a row of the table in frames.c each ---- */
void body_submit(struct writer *writer, struct frame_maker *maker);
void body_ids(struct writer *writer, struct frame_maker *maker); /* CANCEL, RECEIVED */
void body_watch(struct writer *writer, struct frame_maker *maker);
void body_query(struct writer *writer, struct frame_maker *maker);
void body_drain(struct writer *writer, struct frame_maker *maker);
void body_forget(struct writer *writer, struct frame_maker *maker);
void body_error(struct writer *writer, struct frame_maker *maker);
void body_empty(struct writer *writer, struct frame_maker *maker); /* GREET, END */
void body_hello(struct writer *writer, struct frame_maker *maker);
void body_heartbeat(struct writer *writer, struct frame_maker *maker);
void body_bye(struct writer *writer, struct frame_maker *maker);
void body_answer(struct writer *writer, struct frame_maker *maker);
void body_welcome(struct writer *writer, struct frame_maker *maker);
void body_ask(struct writer *writer, struct frame_maker *maker);
void entry_inventory(struct writer *writer, struct frame_maker *maker);
void entry_taken(struct writer *writer, struct frame_maker *maker);
void entry_refused(struct writer *writer, struct frame_maker *maker);
void entry_outcome(struct writer *writer, struct frame_maker *maker);
void entry_assign(struct writer *writer, struct frame_maker *maker);
void entry_stop(struct writer *writer, struct frame_maker *maker);
void entry_settled(struct writer *writer, struct frame_maker *maker);

#endif
