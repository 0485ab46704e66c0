/* judge_fixture.h - a judge and nothing to judge: records and frames made by hand, as good or as bad nodes
 * would.
 *
 * The cluster is one region (eu) with two workers (w1, w2); nothing runs, no frame travels. A test commits
 * and sends what it likes; judge_said() is what the judge prints, "" as long as it finds nothing. */
#ifndef MERIDIAN_TESTS_SIM_JUDGE_FIXTURE_H
#define MERIDIAN_TESTS_SIM_JUDGE_FIXTURE_H

#include "engine/task.h"
#include "proto/link.h"
#include "sim/check.h"

enum { BROKER, EU, W1, W2 };
/* A task's number of arrival, everywhere. */
enum { ARRIVAL_OF_0 = 1 };

extern struct sim judged;

void judge_set_up(void);
void judge_tear_down(void);
/* What the judge has said, "" if nothing. */
const char *judge_said(void);
#define JUDGE_SAYS(words) cr_assert(strstr(judge_said(), words) != NULL, "%s", judge_said())
#define JUDGE_IS_SILENT() cr_assert_str_eq(judge_said(), "")

/* ---- records: put or erased, then committed together ---- */
struct writer *judge_put(enum table table, uint64_t number);
void judge_erase(enum table table, uint64_t number);
void judge_commit(uint32_t node);
void judge_put_envelope(uint32_t task);
/* `fence`: of its grant, or of the last one that has ended. */
void judge_put_state(uint32_t node, uint32_t task, enum task_state state, struct fence fence, uint8_t flags);
void judge_put_grant(uint64_t number, uint32_t child, uint32_t task, struct fence fence);
void judge_put_ended(uint32_t task, enum task_end end);

/* ---- frames ---- */
/* A frame that is being written; judge_send and judge_arrive end it. */
struct writer *judge_frame(enum message_kind kind);
/* The head of one entry's array, for messages of entries. */
struct writer *judge_entry(enum message_kind kind);
void judge_send(uint32_t from, uint32_t to);
void judge_arrive(uint32_t from, uint32_t to);

/* ---- what goes well ---- */
struct task_id judge_id(uint32_t task);
/* The broker accepts it and says so. */
void judge_accepted(uint32_t task);
/* The broker gives custody 1 of it to eu, and eu takes it: records and frames. */
void judge_in_custody(uint32_t task);
/* eu assigns it to a worker, which gets it. */
void judge_assigned(uint32_t worker, uint32_t task, struct fence fence, bool marked);
void judge_assign_frame(uint32_t task, struct fence fence, bool marked);
void judge_started(uint32_t worker, uint32_t task, struct fence fence);
void judge_outcome_frame(uint32_t task, struct fence fence, enum task_end end);
void judge_settled_frame(uint32_t task, struct fence fence);
/* A child says what it can run. */
void judge_offers(uint32_t child, uint32_t slots);
void judge_write_id(struct writer *writer, uint32_t task);

#endif
