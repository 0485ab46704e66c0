/* result.c - see result.h. */
#include "worker/result.h"

#include <errno.h>

#include "proto/assert.h"
#include "proto/text.h"

/* Why a program could not be started. `permanent`: another try at the same worker or elsewhere with the same
 * task would fail alike; the others are a lack of something for the moment. */
static const struct {
    int error;
    bool permanent;
    const char *text;
} start_errors[] = {
    {ENOENT, true, "not found"},
    {EACCES, true, "not permitted"},
    {EPERM, true, "operation not permitted"},
    {ENOEXEC, true, "not a program this machine can execute"},
    {ENOTDIR, true, "a part of the path is not a directory"},
    {EISDIR, true, "the program is a directory"},
    {ELOOP, true, "too many symbolic links in the path"},
    {ENAMETOOLONG, true, "the path is too long"},
    {E2BIG, true, "arguments and environment are larger than the system takes"},
    {EINVAL, true, "not a task this worker can run"},
    {ENOMEM, false, "the worker's machine is out of memory"},
    {EAGAIN, false, "the worker's machine has too many processes"},
    {EMFILE, false, "the worker has too many files open"},
    {ENFILE, false, "the worker's machine has too many files open"},
    {ETXTBSY, false, "the program is being written"},
    {EIO, false, "the worker's disk failed"},
};

enum {
    START_ERROR_COUNT = sizeof start_errors / sizeof start_errors[0],
    MESSAGE_BYTES = 512,
    PATH_SHOWN_BYTES = 384,
    PIECE_BYTES = MESSAGE_BYTES + 160, /* of a map, without what was printed */
};

static int start_error_of(int error)
{
    int i = 0;
    while (i < START_ERROR_COUNT && start_errors[i].error != error)
        i++;
    return i;
}

static struct bytes at_most(struct bytes bytes, size_t max)
{
    return (struct bytes){bytes.data, bytes.size > max ? max : bytes.size};
}

/* "cannot start: /no/such/program: not found" */
static void write_message(struct writer *writer, const struct process_end *end)
{
    char message[MESSAGE_BYTES] = "";
    struct text text;
    struct bytes path = end->error;
    text_init(&text, message, sizeof message);
    if (!end->started) {
        int i = start_error_of(end->start_error);
        text_add(&text, "cannot start: ");
        text_add_bytes(&text, at_most(path, PATH_SHOWN_BYTES));
        text_add(&text, path.size > PATH_SHOWN_BYTES ? "...: " : path.size > 0 ? ": " : "");
        text_add(&text, i < START_ERROR_COUNT ? start_errors[i].text : "the system refused");
    }
    write_str(writer, message);
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

static void write_tail(struct writer *writer, bool output_cut, bool error_cut, const struct process_end *end)
{
    write_str(writer, "output_cut");
    write_bool(writer, output_cut);
    write_str(writer, "error_cut");
    write_bool(writer, error_cut);
    write_str(writer, "message");
    write_message(writer, end);
}

static bool encode_within(struct slab *blocks, struct chain *chain, const struct process_end *end,
                          uint64_t run_ms, size_t stream_bytes_max)
{
    uint8_t buffer[PIECE_BYTES];
    struct writer writer;
    struct bytes output = at_most(end->output, stream_bytes_max);
    struct bytes error = at_most(end->error, end->started ? stream_bytes_max : 0); /* else in the message */
    bool output_cut = end->output_cut || output.size < end->output.size;
    bool error_cut = end->started && (end->error_cut || error.size < end->error.size);
    writer_init(&writer, buffer, sizeof buffer);
    write_head(&writer, end, run_ms);
    write_bin_head(&writer, (uint32_t)output.size);
    bool fits = chain_append(blocks, chain, writer_bytes(&writer)) && chain_append(blocks, chain, output);
    writer_init(&writer, buffer, sizeof buffer);
    write_str(&writer, "error");
    write_bin_head(&writer, (uint32_t)error.size);
    fits = fits && chain_append(blocks, chain, writer_bytes(&writer)) && chain_append(blocks, chain, error);
    writer_init(&writer, buffer, sizeof buffer);
    write_tail(&writer, output_cut, error_cut, end);
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
    struct process_end process = {.started = true, .exit_status = end == TASK_COMPLETED ? 0 : -1};
    if (end == TASK_RETURNED || end == TASK_NOT_HELD) {
        write_map(writer, 0);
        return;
    }
    write_head(writer, &process, 0);
    write_bin_head(writer, 0);
    write_str(writer, "error");
    write_bin_head(writer, 0);
    write_tail(writer, false, false, &process);
}
