/* job.c - see job.h. */
#include "tests/sweep/job.h"

#include <stdlib.h>

enum { JOB_SEED = 1, PAYLOAD_MAX = 20000, MUTE_EVERY = 10 /* commits of regions */, MUTE_MS = 2500 };

struct sim_options job_options(void)
{
    return (struct sim_options){.seed = JOB_SEED,
                                .tasks = JOB_TASKS,
                                .regions = JOB_REGIONS,
                                .workers = JOB_WORKERS,
                                .clients = JOB_CLIENTS};
}

/* How much payload a number gets: three of four none, the others up to PAYLOAD_MAX. */
static size_t payload_size(enum table table, uint64_t number)
{
    uint64_t drawn = (number * TABLE_COUNT + table) * 0x9e3779b97f4a7c15ull;
    bool carries = table == TABLE_ENVELOPES || table == TABLE_OUTCOMES || table == TABLE_SPOOL;
    return carries && drawn >> 62 == 0 ? (drawn >> 32 & 0xffff) % PAYLOAD_MAX : 0;
}

static struct job_put copy_put(const struct disk_put *put)
{
    size_t payload = payload_size(put->table, put->number);
    uint8_t *copy = take_memory(put->value.size + payload, 1);
    memcpy(copy, put->value.data, put->value.size);
    for (size_t i = 0; i < payload; i++)
        copy[put->value.size + i] = (uint8_t)(put->number + i * 7 + (i >> 8));
    return (struct job_put){put->table, put->number, put->part, {copy, put->value.size + payload}};
}

struct recorder {
    struct sim sim;
    const char *role;
    uint32_t commits[NODES_MAX];
    uint32_t region_commits;
    uint32_t node;   /* whose commits are noted */
    struct job *job; /* NULL: they are only counted */
};

static void note_batch(struct job *job, const struct batch *batch)
{
    if (job->count == job->capacity) {
        job->capacity = job->capacity == 0 ? 64 : 2 * job->capacity;
        job->batches = realloc(job->batches, job->capacity * sizeof *job->batches);
        if (job->batches == NULL)
            abort();
    }
    struct job_batch *to = &job->batches[job->count++];
    *to = (struct job_batch){.put_count = batch->put_count, .erase_count = batch->erase_count};
    to->puts = take_memory(batch->put_count, sizeof *to->puts);
    to->erases = take_memory(batch->erase_count, sizeof *to->erases);
    for (uint32_t i = 0; i < batch->put_count; i++)
        to->puts[i] = copy_put(&batch->puts[i]);
    for (uint32_t i = 0; i < batch->erase_count; i++)
        to->erases[i] = (struct job_erase){batch->erases[i].table, batch->erases[i].number};
}

static bool has_role(const struct sim_node *node, const char *role)
{
    return strcmp(node->role->name, role) == 0;
}

/* A worker writes only what its region does not settle within a second: now and then none hears of them. */
static void mute_workers(struct recorder *recorder)
{
    struct sim *sim = &recorder->sim;
    if (++recorder->region_commits % MUTE_EVERY != 0)
        return;
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (has_role(&sim->nodes[i], "worker"))
            sim->nodes[i].cut_up_until_ns = sim->now_ns + MUTE_MS * MS;
}

static enum commit_fate note(void *context, const struct sim_node *node, const struct batch *batch)
{
    struct recorder *recorder = context;
    if (strcmp(recorder->role, "worker") == 0 && has_role(node, "region"))
        mute_workers(recorder);
    if (recorder->job != NULL && node->index == recorder->node)
        note_batch(recorder->job, batch);
    else if (recorder->job == NULL && has_role(node, recorder->role))
        recorder->commits[node->index]++;
    return COMMIT_GOOD;
}

static bool run(struct recorder *recorder)
{
    struct sim_options options = job_options();
    options.fate = note;
    options.fate_context = recorder;
    recorder->region_commits = 0;
    if (!sim_init(&recorder->sim, &options, cluster_roles))
        return false;
    sim_run(&recorder->sim);
    bool good = !recorder->sim.failed;
    sim_release(&recorder->sim);
    return good;
}

bool job_record(const char *role, struct job *ret_job)
{
    static struct recorder recorder;
    recorder = (struct recorder){.role = role};
    *ret_job = (struct job){.role = role};
    if (!run(&recorder))
        return false;
    for (uint32_t node = 0; node < NODES_MAX; node++)
        if (recorder.commits[node] > recorder.commits[recorder.node])
            recorder.node = node;
    recorder.job = ret_job;
    return run(&recorder);
}

void job_release(struct job *job)
{
    for (uint32_t b = 0; b < job->count; b++) {
        for (uint32_t i = 0; i < job->batches[b].put_count; i++)
            free((void *)job->batches[b].puts[i].value.data);
        free(job->batches[b].puts);
        free(job->batches[b].erases);
    }
    free(job->batches);
    *job = (struct job){.count = 0};
}
