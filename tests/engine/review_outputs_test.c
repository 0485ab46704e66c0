/* review_outputs_test.c - a batch of nothing but processes closes too. */
#include <criterion/criterion.h>

#include "engine/outputs.h"

Test(review_outputs, a_batch_of_processes_is_full_before_there_is_no_place)
{
    struct outputs outputs;
    cr_assert(outputs_init(&outputs));
    while (!outputs_full(&outputs))
        for (int i = 0; i < 1024; i++) /* a messageful of ASSIGNs to a worker of thousands of slots */
            outputs_process(&outputs, PROCESS_START, 0);
    cr_expect_leq(outputs.process_count, outputs.process_capacity);
    outputs_release(&outputs);
}
