/* bench_checks.h - what must be true of every output of a node, whatever its peers do (the list is in
 * bench.h). A check that fails ends the program, as an assertion of the node itself does. */
#ifndef MERIDIAN_TESTS_FUZZ_BENCH_CHECKS_H
#define MERIDIAN_TESTS_FUZZ_BENCH_CHECKS_H

#include "tests/fuzz/bench.h"

/* `promise` in words; printed if it was not kept. */
void check(bool kept, const char *promise);

void check_step(const struct outputs *outputs);
void check_writes(const struct outputs *outputs);
/* Reads the frame; the grants that it names join the cast. */
void check_message(const struct message *message, struct bytes frame, struct message_header *ret_header);
/* A client asks something. */
void check_request(uint64_t peer);

void check_ledger(const struct ledger *ledger);
/* What a restart must find again. */
struct tasks_kept {
    uint32_t living, granted, ended;
};
struct tasks_kept tasks_kept(const struct ledger *ledger);
void check_kept(const struct tasks_kept *before, const struct ledger *after);

#endif
