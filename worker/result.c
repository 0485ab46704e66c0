/* result.c - see result.h. */
#include "worker/result.h"

#include <errno.h>

#include "proto/assert.h"

/* Why a program could not be started. `permanent`: another try at the same worker or elsewhere with the same
 * task would fail alike; the others are a lack of something for the moment. */
static const struct {
    int error;
    bool permanent;
    const char *text;
} start_errors[] = {
    {ENOENT, true, "cannot start: program or working directory not found"},
    {EACCES, true, "cannot start: program or working directory not permitted"},
    {EPERM, true, "cannot start: operation not permitted"},
    {ENOEXEC, true, "cannot start: not a program this machine can execute"},
    {ENOTDIR, true, "cannot start: a part of the path is not a directory"},
    {EISDIR, true, "cannot start: the program is a directory"},
    {ELOOP, true, "cannot start: too many symbolic links in the path"},
    {ENAMETOOLONG, true, "cannot start: the path is too long"},
    {E2BIG, true, "cannot start: arguments and environment are larger than the system takes"},
    {EINVAL, true, "cannot start: not a task this worker can run"},
    {ENOMEM, false, "cannot start: the worker's machine is out of memory"},
    {EAGAIN, false, "cannot start: the worker's machine has too many processes"},
    {EMFILE, false, "cannot start: the worker has too many files open"},
    {ENFILE, false, "cannot start: the worker's machine has too many files open"},
    {ETXTBSY, false, "cannot start: the program is being written"},
    {EIO, false, "cannot start: the worker's disk failed"},
};

enum { START_ERROR_COUNT = sizeof start_errors / sizeof start_errors[0], HEAD_BYTES = 160 };

static int start_error_of(int error)
{
    int i = 0;
    while (i < START_ERROR_COUNT && start_errors[i].error != error)
        i++;
    return i;
}

static const char *message_of(const struct process_end *end)
{
    if (end->started)
        return "";
    int i = start_error_of(end->start_error);
    return i < START_ERROR_COUNT ? start_errors[i].text : "cannot start: the system refused";
}

enum task_end result_judge(const struct process_end *end, uint32_t *ret_flags)
{
    *ret_flags = OUTCOME_DEAD;
    if (end->started)
        return end->exit_status == 0 ? TASK_COMPLETED : TASK_FAILED;
    int i = start_error_of(end->start_error);
    if (i < START_ERROR_COUNT && start_errors[i].permanent)
        *ret_flags |= OUTCOME_PERMANENT;
    return TASK_FAILED;
}

/* Everything before the bytes of "output". */
static void write_head(struct writer *writer, const struct process_end *end, uint64_t run_ms)
{
    write_map(writer, 8);
    write_str(writer, "exit");
    if (end->started && end->exit_status >= 0)
        write_int(writer, end->exit_status);
    else
        write_nil(writer);
    write_str(writer, "signal");
    if (end->started && end->signal != 0)
        write_uint(writer, (uint64_t)end->signal);
    else
        write_nil(writer);
    write_str(writer, "run_ms");
    write_uint(writer, run_ms);
    write_str(writer, "output");
}

static void write_tail(struct writer *writer, bool output_cut, bool error_cut, const char *message)
{
    write_str(writer, "output_cut");
    write_bool(writer, output_cut);
    write_str(writer, "error_cut");
    write_bool(writer, error_cut);
    write_str(writer, "message");
    write_str(writer, message);
}

static struct bytes at_most(struct bytes bytes, size_t max, bool *cut)
{
    *cut = *cut || bytes.size > max;
    return (struct bytes){bytes.data, bytes.size > max ? max : bytes.size};
}

static bool encode_within(struct slab *blocks, struct chain *chain, const struct process_end *end,
                          uint64_t run_ms, size_t stream_bytes_max)
{
    uint8_t buffer[HEAD_BYTES];
    struct writer writer;
    bool output_cut = end->output_cut, error_cut = end->error_cut;
    struct bytes output = at_most(end->output, stream_bytes_max, &output_cut);
    struct bytes error = at_most(end->error, stream_bytes_max, &error_cut);
    writer_init(&writer, buffer, sizeof buffer);
    write_head(&writer, end, run_ms);
    write_bin_head(&writer, (uint32_t)output.size);
    bool fits = chain_append(blocks, chain, writer_bytes(&writer)) && chain_append(blocks, chain, output);
    writer_init(&writer, buffer, sizeof buffer);
    write_str(&writer, "error");
    write_bin_head(&writer, (uint32_t)error.size);
    fits = fits && chain_append(blocks, chain, writer_bytes(&writer)) && chain_append(blocks, chain, error);
    writer_init(&writer, buffer, sizeof buffer);
    write_tail(&writer, output_cut, error_cut, message_of(end));
    fits = fits && chain_append(blocks, chain, writer_bytes(&writer));
    if (!fits)
        chain_release(blocks, chain);
    return fits;
}

bool result_encode(struct slab *blocks, struct chain *chain, const struct process_end *end, uint64_t run_ms)
{
    ASSERT(chain->size == 0);
    return encode_within(blocks, chain, end, run_ms, RESULT_STREAM_BYTES_MAX) ||
           encode_within(blocks, chain, end, run_ms, 0);
}

void result_write_plain(struct writer *writer, enum task_end end)
{
    bool completed = end == TASK_COMPLETED;
    struct process_end process = {.started = completed, .exit_status = completed ? 0 : -1};
    if (end == TASK_RETURNED || end == TASK_NOT_HELD) {
        write_map(writer, 0);
        return;
    }
    write_head(writer, &process, 0);
    write_bin_head(writer, 0);
    write_str(writer, "error");
    write_bin_head(writer, 0);
    write_tail(writer, false, false, "");
}
