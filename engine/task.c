/* task.c - see task.h. */
#include "engine/task.h"

#include "proto/assert.h"
#include "proto/bug.h"
#include "proto/reader.h"
#include "proto/writer.h"

/* moves[from] has a bit for each state that may follow. NONE: before acceptance, and after the record is
 * erased. */
#define TO(state) (1u << TASK_##state)
static const uint8_t moves[TASK_STATE_COUNT] = {
    [TASK_NONE] = TO(DELAYED) | TO(READY) | TO(GRANTED) | TO(ENDED),
    [TASK_DELAYED] = TO(READY) | TO(GRANTED) | TO(ENDED) | TO(NONE),
    [TASK_READY] = TO(DELAYED) | TO(GRANTED) | TO(ENDED) | TO(NONE),
    [TASK_GRANTED] = TO(RUNNING) | TO(READY) | TO(DELAYED) | TO(ENDED) | TO(NONE),
    [TASK_RUNNING] = TO(READY) | TO(DELAYED) | TO(ENDED) | TO(NONE),
    [TASK_ENDED] = TO(NONE),
};
#undef TO

void task_move(struct task *task, enum task_state state)
{
    ASSERT(task->state < TASK_STATE_COUNT);
    ASSERT(moves[task->state] & 1u << state);
    task->state = (uint8_t)state;
}

const char *task_state_text(enum task_state state)
{
    static const char *const text[TASK_STATE_COUNT] = {"none",    "delayed", "ready",
                                                       "granted", "running", "ended"};
    ASSERT(state < TASK_STATE_COUNT);
    return text[state];
}

const char *task_reason_text(enum task_reason reason)
{
    static const char *const text[] = {
#define X(name, text) text,
        TASK_REASONS(X)
#undef X
    };
    ASSERT((size_t)reason < sizeof text / sizeof text[0]);
    return text[reason];
}

/* [id, hash, class, priority, state, flags, retries, errors, losses, reruns, timeout, deadline, age, wall,
 * due age, fence, envelope size, history size, outcome size, end, first grant, history count] */
enum { RECORD_FIELDS = 22 };

/* 146 years: whatever a wall clock says, ages stay in the range of born_ns and of what is read again. */
#define RESTORED_AGE_MS_MAX (UINT64_MAX / 4000000)

static uint64_t restored_age_ms(uint64_t age_ms, uint64_t then_ms, uint64_t wall_ms)
{
    uint64_t passed_ms = wall_ms > then_ms ? wall_ms - then_ms : 0;
    if (age_ms > RESTORED_AGE_MS_MAX || passed_ms > RESTORED_AGE_MS_MAX - age_ms)
        return RESTORED_AGE_MS_MAX;
    return age_ms + passed_ms;
}

/* The fence up to which grants have ended: at restore a grant above it is open. A granted task's own is, so
 * its record stays one step below (custody counts a broker's grants, attempt a region's). */
static struct fence ended_fence(const struct task *task)
{
    struct fence fence = task->fence;
    if (task->state != TASK_GRANTED && task->state != TASK_RUNNING)
        return fence;
    if (fence.attempt > 0)
        fence.attempt--;
    else
        fence.custody--;
    return fence;
}

void task_record_write(struct writer *writer, const struct task *task, uint64_t now_ns, uint64_t wall_ms)
{
    uint8_t fence[FENCE_BYTES];
    fence_encode(ended_fence(task), fence);
    bool timed = task->state == TASK_DELAYED;
    bool ended = task->state == TASK_ENDED;
    write_array(writer, RECORD_FIELDS);
    write_bin(writer, (struct bytes){task->id.bytes, TASK_ID_BYTES});
    write_uint(writer, task->body_hash);
    write_uint(writer, task->class);
    write_uint(writer, task->priority);
    write_uint(writer, task->state);
    write_uint(writer, task->flags & TASK_DURABLE_FLAGS & (BUG(MARK_NOT_DURABLE) ? ~TASK_DUP_POSSIBLE : ~0));
    write_uint(writer, task->retries);
    write_uint(writer, task->errors);
    write_uint(writer, task->losses);
    write_uint(writer, task->reruns);
    write_uint(writer, task->timeout_ms);
    write_uint(writer, task->deadline_ms);
    write_uint(writer, task_age_ms(task, now_ns));
    write_uint(writer, wall_ms);
    write_uint(writer, timed ? (uint64_t)((int64_t)task->due_ns - task->born_ns) / 1000000 : 0);
    write_bin(writer, (struct bytes){fence, FENCE_BYTES});
    write_uint(writer, task->envelope_size);
    write_uint(writer, task->history_size);
    write_uint(writer, ended ? task->outcome_size : 0);
    write_uint(writer, task->end);
    write_uint(writer, task->first_grant_ms);
    write_uint(writer, task->history_count);
}

bool task_record_read(struct bytes record, struct task *ret_task, uint64_t now_ns, uint64_t wall_ms)
{
    struct reader reader;
    reader_init(&reader, record);
    memset(ret_task, 0, sizeof *ret_task);
    uint32_t fields = read_array(&reader, 64);
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(ret_task->id.bytes, id.data, TASK_ID_BYTES);
    ret_task->body_hash = read_uint(&reader, UINT64_MAX);
    ret_task->class = (uint16_t)read_uint(&reader, UINT16_MAX);
    ret_task->priority = 15 & read_uint(&reader, PRIORITY_COUNT - 1);
    ret_task->state = (uint8_t)read_uint(&reader, TASK_STATE_COUNT - 1);
    ret_task->flags = (uint8_t)read_uint(&reader, UINT8_MAX);
    ret_task->retries = (uint16_t)read_uint(&reader, UINT16_MAX);
    ret_task->errors = (uint16_t)read_uint(&reader, UINT16_MAX);
    ret_task->losses = (uint8_t)read_uint(&reader, UINT8_MAX);
    ret_task->reruns = (uint8_t)read_uint(&reader, UINT8_MAX);
    ret_task->timeout_ms = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_task->deadline_ms = (uint32_t)read_uint(&reader, UINT32_MAX);
    uint64_t age_ms = read_uint(&reader, UINT64_MAX / 2000000);
    uint64_t then_ms = read_uint(&reader, UINT64_MAX);
    uint64_t due_age_ms = read_uint(&reader, UINT64_MAX / 2000000);
    struct bytes fence = read_bin(&reader, FENCE_BYTES, FENCE_BYTES);
    if (fence.size == FENCE_BYTES)
        ret_task->fence = fence_decode(fence.data);
    ret_task->envelope_size = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_task->history_size = (uint16_t)read_uint(&reader, UINT16_MAX);
    uint32_t outcome_size = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_task->end = 15 & read_uint(&reader, TASK_END_COUNT - 1);
    ret_task->first_grant_ms = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_task->history_count = (uint8_t)read_uint(&reader, UINT8_MAX);
    read_skip(&reader, fields, RECORD_FIELDS);
    if (reader_failed(&reader) || fields < RECORD_FIELDS)
        return false;
    if (ret_task->state == TASK_ENDED)
        ret_task->outcome_size = outcome_size;
    ret_task->born_ns = (int64_t)now_ns - (int64_t)(restored_age_ms(age_ms, then_ms, wall_ms) * 1000000);
    int64_t due_ns = ret_task->born_ns + (int64_t)(due_age_ms * 1000000);
    if (ret_task->state == TASK_DELAYED)
        ret_task->due_ns = due_ns < 0 ? 0 : (uint64_t)due_ns; /* before this machine started: now */
    return true;
}
