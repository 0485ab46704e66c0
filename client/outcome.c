/* outcome.c - see outcome.h. One table per map names each key and the function that reads it; a key that is
 * not in the table, or is nil, is skipped. */
#include "client/outcome.h"

#include "proto/limits.h"
#include "proto/reader.h"

enum { PAIRS_MAX = 64 };

struct field {
    const char *name;
    void (*read)(struct reader *reader, struct outcome *outcome);
};

/* ---- result: made by the worker ---- */

static void read_exit(struct reader *reader, struct outcome *outcome)
{
    outcome->exit_status = read_int(reader);
    outcome->exited = true;
}

static void read_signal(struct reader *reader, struct outcome *outcome)
{
    outcome->signal = read_uint(reader, UINT64_MAX);
    outcome->signalled = true;
}

static void read_run(struct reader *reader, struct outcome *outcome)
{
    outcome->run_ms = read_uint(reader, UINT64_MAX);
}

static void read_output(struct reader *reader, struct outcome *outcome)
{
    outcome->output = read_text(reader, SIZE_MAX);
}

static void read_error(struct reader *reader, struct outcome *outcome)
{
    outcome->error = read_text(reader, SIZE_MAX);
}

static void read_output_cut(struct reader *reader, struct outcome *outcome)
{
    outcome->output_cut = read_bool(reader);
}

static void read_error_cut(struct reader *reader, struct outcome *outcome)
{
    outcome->error_cut = read_bool(reader);
}

static void read_message(struct reader *reader, struct outcome *outcome)
{
    outcome->message = read_text(reader, SIZE_MAX);
}

static const struct field result_fields[] = {
    {"exit", read_exit},       {"signal", read_signal},         {"run_ms", read_run},
    {"output", read_output},   {"output_cut", read_output_cut}, {"error", read_error},
    {"message", read_message}, {"error_cut", read_error_cut},   {NULL, NULL},
};

/* ---- outcome: made by the region ---- */

static void read_fields(struct reader *reader, const struct field *fields, struct outcome *outcome)
{
    uint32_t pairs = read_map(reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(reader); i++) {
        struct bytes key = read_str(reader, 0, NAME_BYTES_MAX);
        const struct field *field = fields;
        while (field->name != NULL && !bytes_are(key, field->name))
            field++;
        if (read_nil(reader))
            continue;
        if (field->name == NULL)
            (void)read_raw(reader);
        else
            field->read(reader, outcome);
    }
}

static void read_reason(struct reader *reader, struct outcome *outcome)
{
    outcome->reason = read_text(reader, SIZE_MAX);
}

static void read_worker(struct reader *reader, struct outcome *outcome)
{
    outcome->worker = read_text(reader, SIZE_MAX);
}

static void read_attempt(struct reader *reader, struct outcome *outcome)
{
    outcome->attempt = read_uint(reader, UINT64_MAX);
}

static void read_attempts_max(struct reader *reader, struct outcome *outcome)
{
    outcome->attempts_max = read_uint(reader, UINT64_MAX);
}

static void read_fence(struct reader *reader, struct outcome *outcome)
{
    outcome->fence = read_bin(reader, FENCE_BYTES, FENCE_BYTES);
}

static void read_history(struct reader *reader, struct outcome *outcome)
{
    if (reader_peek(reader) != TYPE_ARRAY)
        reader_fail(reader, READER_TYPE);
    outcome->history = read_raw(reader);
}

static void read_result(struct reader *reader, struct outcome *outcome)
{
    read_fields(reader, result_fields, outcome);
    outcome->has_result = true;
}

static const struct field outcome_fields[] = {
    {"reason", read_reason},   {"worker", read_worker},
    {"attempt", read_attempt}, {"fence", read_fence},
    {"history", read_history}, {"attempts_max", read_attempts_max},
    {"result", read_result},   {NULL, NULL},
};

/* ---- the entry: made by the broker ---- */

static void read_id(struct reader *reader, struct outcome *outcome)
{
    struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(outcome->id.bytes, id.data, TASK_ID_BYTES);
}

static void read_state(struct reader *reader, struct outcome *outcome)
{
    outcome->state = read_str(reader, 1, NAME_BYTES_MAX);
}

static void read_dup_possible(struct reader *reader, struct outcome *outcome)
{
    outcome->dup_possible = read_bool(reader);
}

static void read_outcome(struct reader *reader, struct outcome *outcome)
{
    read_fields(reader, outcome_fields, outcome);
    outcome->has_outcome = true;
}

static const struct field entry_fields[] = {
    {"id", read_id},           {"state", read_state}, {"dup_possible", read_dup_possible},
    {"outcome", read_outcome}, {NULL, NULL},
};

bool outcome_read(struct bytes entry, struct outcome *ret_outcome)
{
    static const struct task_id none;
    struct reader reader;
    memset(ret_outcome, 0, sizeof *ret_outcome);
    reader_init(&reader, entry);
    read_fields(&reader, entry_fields, ret_outcome);
    reader_finish(&reader);
    return !reader_failed(&reader) && ret_outcome->state.size != 0 && !task_id_equal(&ret_outcome->id, &none);
}
