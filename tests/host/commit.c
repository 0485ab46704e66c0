/* commit.c - the commit thread over a real store whose flushes the test holds back: the fdatasync below
 * stands in for libc's, also for LMDB's calls. */
#include "host/commit.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/step.h"

enum { PATIENCE_S = 10 };

static bool holding;
static sem_t reached, may_go;

int fdatasync(int file)
{
    if (holding) {
        sem_post(&reached);
        sem_wait(&may_go);
    }
    return (int)syscall(SYS_fdatasync, file);
}

static char data[64];
static struct store *store;
static struct commit commit;
static struct batch batches[COMMIT_DEPTH];

static void setup(void)
{
    struct store_problem problem;
    strcpy(data, "/tmp/meridian-commit-XXXXXX");
    cr_assert_not_null(mkdtemp(data));
    struct store_options options = {.data = data, .role = "broker", .max_bytes = 16 * 1024 * 1024};
    cr_assert(store_open(&options, &store, &problem), "%s", problem.text);
    zsys_handler_set(NULL);
    commit_open(&commit, store);
    for (int i = 0; i < COMMIT_DEPTH; i++)
        cr_assert(batch_init(&batches[i]));
    cr_assert_eq(sem_init(&reached, 0, 0), 0);
    cr_assert_eq(sem_init(&may_go, 0, 0), 0);
    holding = true;
}

static void teardown(void)
{
    char command[128];
    commit_close(&commit);
    store_close(store);
    for (int i = 0; i < COMMIT_DEPTH; i++)
        batch_release(&batches[i]);
    snprintf(command, sizeof command, "rm -rf %s", data);
    cr_assert_eq(system(command), 0);
}

TestSuite(commit, .init = setup, .fini = teardown);

/* The commit thread stands before a flush. */
static void await_flush(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    cr_assert_eq(sem_timedwait(&reached, &until), 0, "no flush was asked for");
}

static void let_flush(void)
{
    sem_post(&may_go);
}

static void write_note(struct batch *batch, uint64_t number)
{
    write_uint(outputs_put(&batch->outputs, TABLE_STATES, number, 0), number);
    outputs_put_end(&batch->outputs);
    outputs_close(&batch->outputs);
}

static struct batch *taken_back(void)
{
    return commit_take_back(&commit, PATIENCE_S * 1000);
}

Test(commit, a_batch_comes_back_after_the_flush_of_its_last_page)
{
    write_note(&batches[0], 1);
    commit_hand_over(&commit, &batches[0]);
    await_flush(); /* of its pages */
    let_flush();
    await_flush(); /* of the page that names them */
    cr_assert_null(commit_take_back(&commit, 0));
    let_flush();
    cr_assert_eq(taken_back(), &batches[0]);
}

Test(commit, the_flush_of_the_next_batch_is_the_last_of_the_one_before)
{
    write_note(&batches[0], 1);
    write_note(&batches[1], 2);
    commit_hand_over(&commit, &batches[0]);
    await_flush();
    commit_hand_over(&commit, &batches[1]);
    let_flush();
    await_flush(); /* the pages of the second */
    cr_assert_null(commit_take_back(&commit, 0));
    let_flush();
    cr_assert_eq(taken_back(), &batches[0]);
    await_flush(); /* nobody follows the second */
    cr_assert_null(commit_take_back(&commit, 0));
    let_flush();
    cr_assert_eq(taken_back(), &batches[1]);
    cr_assert_eq(sem_trywait(&reached), -1, "three flushes were enough");
}

Test(commit, a_batch_that_changed_nothing_does_not_pass_for_a_flush)
{
    write_note(&batches[0], 1);
    outputs_erase(&batches[1].outputs, TABLE_STATES, 77); /* there is no such record */
    outputs_close(&batches[1].outputs);
    commit_hand_over(&commit, &batches[0]);
    await_flush();
    commit_hand_over(&commit, &batches[1]);
    let_flush();
    await_flush();
    cr_assert_null(commit_take_back(&commit, 0));
    let_flush();
    cr_assert_eq(taken_back(), &batches[0]);
    cr_assert_eq(taken_back(), &batches[1]);
}

Test(commit, a_batch_without_writes_reads_only_what_is_on_disk)
{
    struct outputs *outputs = &batches[1].outputs;
    write_note(&batches[0], 7);
    outputs_message(outputs, peer_make(PORT_CLIENT, 1), MESSAGE_DONE, NULL, 1);
    outputs_message_end(outputs);
    outputs_close(outputs);
    commit_hand_over(&commit, &batches[0]);
    await_flush();
    commit_hand_over(&commit, &batches[1]);
    let_flush();
    await_flush();
    cr_assert_null(commit_take_back(&commit, 0));
    let_flush();
    cr_assert_eq(taken_back(), &batches[0]);
    cr_assert_eq(taken_back(), &batches[1]);
}
