/* replay.c - see replay.h. */
#include "tests/sweep/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/lmdb_parts_io.h"

enum { STORE_MAX_BYTES = 64 * 1024 * 1024, PROCESS_SECONDS_MAX = 20, SYNC_EVERY = 4 };

const struct interpose_plan replay_no_plan = {.log = -1};

static bool problem(struct replay *replay, const char *text)
{
    snprintf(replay->report->problem, sizeof replay->report->problem, "%s", text);
    return false;
}

/* ---- directories ---- */

static const char *const files[] = {"/store/data.mdb", "/store/data.new", "/store/lock.mdb",
                                    "/store/data.new-lock", "/store/lock"};

static void remove_directory(const struct replay *replay)
{
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s%s", replay->data, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/store", replay->data);
    rmdir(path);
    rmdir(replay->data);
}

bool replay_place_image(struct replay *replay, const uint8_t *bytes, size_t size, bool in_place)
{
    char path[128];
    remove_directory(replay);
    snprintf(path, sizeof path, "%s/store", replay->data);
    if (mkdir(replay->data, 0700) != 0 || mkdir(path, 0700) != 0)
        return problem(replay, "cannot make the directory of an image");
    snprintf(path, sizeof path, "%s%s", replay->data, files[in_place ? 0 : 1]);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    bool written = file >= 0 && write(file, bytes, size) == (ssize_t)size;
    return (file >= 0 && close(file) == 0 && written) || problem(replay, "cannot write an image");
}

/* ---- a store ---- */

static struct store *open_store(struct replay *replay)
{
    struct store_options options = {
        .data = replay->data, .role = replay->job->role, .max_bytes = STORE_MAX_BYTES};
    struct store_problem why;
    struct store *store;
    if (store_open(&options, &store, &why)) {
        replay->report->opened = true;
        return store;
    }
    problem(replay, why.text);
    return NULL;
}

static void add_to_digest(uint64_t *digest, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < size; i++)
        *digest = (*digest ^ from[i]) * 0x100000001b3ull;
}

/* Everything in it, as it is in the pages: keys, seals, chunks. */
static bool content(struct store *store, uint64_t *ret_digest)
{
    *ret_digest = 0xcbf29ce484222325ull;
    if (!store_restore(store, NULL, NULL) || !store_begin(store, false))
        return false;
    for (int table = 0; table < TABLE_COUNT; table++) {
        MDB_cursor *cursor;
        MDB_val name, value;
        if (!store_cursor(store, (enum table)table, &cursor))
            return false;
        int code = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
        for (; code == 0; code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
            add_to_digest(ret_digest, &(uint32_t){(uint32_t)table}, sizeof(uint32_t));
            add_to_digest(ret_digest, &name.mv_size, sizeof name.mv_size);
            add_to_digest(ret_digest, name.mv_data, name.mv_size);
            add_to_digest(ret_digest, &value.mv_size, sizeof value.mv_size);
            add_to_digest(ret_digest, value.mv_data, value.mv_size);
        }
        if (code != MDB_NOTFOUND)
            return store_fail_lmdb(store, "read a table", code);
    }
    return store_end(store);
}

static bool fill(void *context, uint8_t *to, size_t size)
{
    memcpy(to, context, size);
    return true;
}

static bool perform(struct store *store, const struct job_batch *batch)
{
    if (!store_begin(store, true))
        return false;
    for (uint32_t i = 0; i < batch->put_count; i++) {
        const struct job_put *put = &batch->puts[i];
        if (!store_put(store, put->table, put->number, put->part, put->value.size, fill,
                       (void *)put->value.data))
            return false;
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        if (!store_erase(store, batch->erases[i].table, batch->erases[i].number))
            return false;
    return store_end(store);
}

static void durable(struct replay *replay, uint32_t count)
{
    if (count <= replay->report->durable)
        return;
    replay->report->durable = count;
    interpose_mark((uint64_t)MARK_DURABLE << 32 | count);
}

/* Transactions `from` up to `until`, as the commit thread makes them: one is durable when the next has ended,
 * or after a sync. Syncs come as they would with the queue empty now and then. */
static bool perform_some(struct replay *replay, struct store *store, uint32_t from, uint32_t until)
{
    for (uint32_t i = from; i < until; i++) {
        replay->report->begun = i + 1;
        interpose_mark((uint64_t)MARK_BEGUN << 32 | (i + 1));
        if (!perform(store, &replay->job->batches[i]))
            return problem(replay, store_problem(store));
        durable(replay, replay->acknowledges_early ? i + 1 : i);
        if (i % SYNC_EVERY != 0 && i + 1 < until)
            continue;
        if (!store_sync(store))
            return problem(replay, store_problem(store));
        durable(replay, i + 1);
    }
    return true;
}

/* Writes through a map would not be seen by interpose.c. */
static bool map_is_read_only(struct replay *replay)
{
    char line[512];
    bool read_only = true;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        read_only &= strstr(line, files[0]) == NULL || strstr(line, " r--s ") != NULL;
    if (maps != NULL)
        fclose(maps);
    return read_only || problem(replay, "data.mdb is mapped for writing: its writes are not seen");
}

/* ---- processes ---- */

struct work {
    struct replay *replay;
    struct interpose_plan plan;
    uint32_t least, most, further;
};

/* It ends as a node does when its store fails: without closing anything. */
static bool in_process(bool (*run)(struct work *work), struct work *work)
{
    char text[80];
    int status;
    *work->replay->report = (struct report){.finished = false};
    fflush(stdout);
    pid_t process = fork();
    if (process == 0) {
        alarm(PROCESS_SECONDS_MAX);
        mallopt(M_TRIM_THRESHOLD, STORE_MAX_BYTES); /* LMDB's pages come and go with each transaction */
        work->plan.under = work->replay->data;
        if (work->plan.nth != 0 || work->plan.log >= 0)
            interpose_arm(&work->plan);
        bool done = run(work);
        work->replay->report->calls = interpose_count();
        _exit(done ? 0 : 1);
    }
    if (process < 0 || waitpid(process, &status, 0) != process)
        return problem(work->replay, "cannot run a process");
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
        return WEXITSTATUS(status) == 0 || work->replay->report->problem[0] != '\0' ||
               problem(work->replay, "it ended without a word");
    snprintf(text, sizeof text, "its process ended by %s %d", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    problem(work->replay, text);
    return false;
}

static bool run_reference(struct work *work)
{
    struct replay *replay = work->replay;
    struct store *store = open_store(replay);
    if (store == NULL || !map_is_read_only(replay) || !content(store, &replay->contents[0]))
        return false;
    for (uint32_t i = 0; i < replay->job->count; i++)
        if (!perform(store, &replay->job->batches[i]) || !content(store, &replay->contents[i + 1]))
            return problem(replay, store_problem(store));
    store_close(store);
    replay->report->finished = true;
    return true;
}

static bool run_whole(struct work *work)
{
    struct store *store = open_store(work->replay);
    if (store == NULL || !perform_some(work->replay, store, 0, work->replay->job->count))
        return false;
    work->replay->report->finished = true;
    return true;
}

static bool find_prefix(struct work *work, struct store *store)
{
    struct replay *replay = work->replay;
    uint64_t found;
    if (!content(store, &found))
        return problem(replay, store_problem(store));
    for (uint32_t count = work->most + 1; count-- > work->least;)
        if (replay->contents[count] == found) {
            replay->report->found = count;
            return true;
        }
    for (uint32_t count = 0; count < work->least; count++)
        if (replay->contents[count] == found) {
            snprintf(replay->report->problem, sizeof replay->report->problem,
                     "lost: transactions 1..%u of %u that were durable are there", count, work->least);
            return false;
        }
    return problem(replay, "mixed: what is there is the state behind no transaction");
}

static bool run_recovery(struct work *work)
{
    struct replay *replay = work->replay;
    uint64_t at_the_end;
    struct store *store = open_store(replay);
    if (store == NULL || !find_prefix(work, store))
        return false;
    durable(replay, replay->report->found); /* store_open says so */
    uint32_t until = replay->report->found + work->further;
    until = until < replay->job->count ? until : replay->job->count;
    if (!perform_some(replay, store, replay->report->found, until))
        return false;
    if (!content(store, &at_the_end))
        return problem(replay, store_problem(store));
    if (at_the_end != replay->contents[until])
        return problem(replay, "what followed led to another state");
    store_close(store);
    replay->report->finished = true;
    return true;
}

bool replay_run(struct replay *replay, struct interpose_plan plan)
{
    struct work work = {.replay = replay, .plan = plan};
    remove_directory(replay);
    return in_process(run_whole, &work);
}

bool replay_recover(struct replay *replay, uint32_t least, uint32_t most, uint32_t further,
                    struct interpose_plan plan)
{
    struct work work = {.replay = replay, .plan = plan, .least = least, .most = most, .further = further};
    return in_process(run_recovery, &work) && replay->report->finished;
}

static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

bool replay_init(struct replay *replay, const struct job *job, const char *base)
{
    struct work work = {.replay = replay, .plan = replay_no_plan};
    *replay = (struct replay){.job = job,
                              .contents = shared_memory((job->count + 1) * sizeof *replay->contents),
                              .report = shared_memory(sizeof *replay->report)};
    snprintf(replay->data, sizeof replay->data, "%s/%s", base, job->role);
    return in_process(run_reference, &work) && replay->report->finished;
}

void replay_release(struct replay *replay)
{
    remove_directory(replay);
    munmap(replay->contents, (replay->job->count + 1) * sizeof *replay->contents);
    munmap(replay->report, sizeof *replay->report);
}
