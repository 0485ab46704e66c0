/* envelope.c - see envelope.h. */
#include "client/envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"
#include "proto/limits.h"
#include "proto/task.h"
#include "proto/writer.h"

enum {
    FIELDS_MAX = 15,    /* what the shortest head of a map can count */
    FIXED_BYTES = 256,  /* names of the fields, id, numbers */
    HEAD_BYTES_MAX = 5, /* of one string or array */
    FRAME_HEAD_ROOM = 128,
};

/* A map whose pairs are counted while they are written. */
struct encoder {
    struct writer writer;
    uint32_t fields;
};

static struct writer *field(struct encoder *encoder, const char *name)
{
    encoder->fields++;
    write_str(&encoder->writer, name);
    return &encoder->writer;
}

static bool is_continuation(const uint8_t *at, size_t left, size_t count)
{
    if (left <= count)
        return false;
    for (size_t i = 1; i <= count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* Arguments and paths are bytes on Unix, but a msgpack str must be UTF-8: others go as bin. */
static bool is_utf8(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint8_t lead = text.data[at];
        size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        bool possible = lead < 0x80 || (lead >= 0xc2 && lead <= 0xf4);
        if (!possible || !is_continuation(text.data + at, text.size - at, more))
            return false;
        uint8_t next = more == 0 ? 0 : text.data[at + 1];
        if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) || (lead == 0xf0 && next < 0x90) ||
            (lead == 0xf4 && next > 0x8f))
            return false; /* overlong, a surrogate, or past the last character */
        at += 1 + more;
    }
    return true;
}

static void write_text(struct writer *writer, struct bytes text)
{
    if (is_utf8(text))
        write_str_bytes(writer, text);
    else
        write_bin(writer, text);
}

static void write_texts(struct encoder *encoder, const char *name, const char *const *texts, uint32_t count)
{
    if (count == 0)
        return;
    struct writer *writer = field(encoder, name);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_text(writer, bytes_of(texts[i]));
}

static void write_name(struct encoder *encoder, const char *name, const char *text)
{
    if (text != NULL)
        write_text(field(encoder, name), bytes_of(text));
}

static void write_duration(struct encoder *encoder, const char *name, uint64_t duration_ms)
{
    if (duration_ms != 0)
        write_uint(field(encoder, name), duration_ms);
}

static void write_environment(struct encoder *encoder, const struct client_task *task)
{
    if (task->environment_count == 0)
        return;
    struct writer *writer = field(encoder, "env");
    write_map(writer, task->environment_count);
    for (uint32_t i = 0; i < task->environment_count; i++) {
        const char *pair = task->environment[i], *equals = strchr(pair, '=');
        write_text(writer, (struct bytes){(const uint8_t *)pair, (size_t)(equals - pair)});
        write_text(writer, bytes_of(equals + 1));
    }
}

static void write_task(struct encoder *encoder, const struct client_task *task, const struct task_id *id)
{
    write_bin(field(encoder, "id"), (struct bytes){id->bytes, TASK_ID_BYTES});
    write_texts(encoder, "argv", task->arguments, task->argument_count);
    write_name(encoder, "type", task->type);
    if (task->payload.size != 0)
        write_bin(field(encoder, "payload"), task->payload);
    write_environment(encoder, task);
    write_name(encoder, "cwd", task->working_directory);
    write_name(encoder, "priority", task->priority);
    write_name(encoder, "region", task->region);
    write_texts(encoder, "capabilities", task->capabilities, task->capability_count);
    write_duration(encoder, "delay_ms", task->delay_ms);
    write_duration(encoder, "timeout_ms", task->timeout_ms);
    write_duration(encoder, "deadline_ms", task->deadline_ms);
    if (task->retries >= 0)
        write_uint(field(encoder, "retries"), (uint64_t)task->retries);
}

static size_t size_of_text(const char *text)
{
    return text == NULL ? 0 : HEAD_BYTES_MAX + strlen(text);
}

static size_t size_of_texts(const char *const *texts, uint32_t count)
{
    size_t size = HEAD_BYTES_MAX;
    for (uint32_t i = 0; i < count; i++)
        size += size_of_text(texts[i]);
    return size;
}

/* At least the encoded size. */
static size_t size_bound(const struct client_task *task)
{
    return FIXED_BYTES + task->payload.size + size_of_text(task->type) +
           size_of_text(task->working_directory) + size_of_text(task->priority) + size_of_text(task->region) +
           size_of_texts(task->arguments, task->argument_count) +
           size_of_texts(task->capabilities, task->capability_count) +
           size_of_texts(task->environment, task->environment_count) +
           HEAD_BYTES_MAX * (size_t)task->environment_count;
}

/* What must hold before anything is allocated or written. */
static enum client_status check_first(const struct client_task *task, char *problem, size_t problem_size)
{
    if (task->payload.size > PAYLOAD_BYTES_MAX) {
        snprintf(problem, problem_size, "payload: %zu bytes, at most %d; send a reference to it instead",
                 task->payload.size, PAYLOAD_BYTES_MAX);
        return CLIENT_TOO_LARGE;
    }
    for (uint32_t i = 0; i < task->environment_count; i++)
        if (strchr(task->environment[i], '=') == NULL) {
            snprintf(problem, problem_size, "env: \"%.80s\" has no '='; write NAME=value",
                     task->environment[i]);
            return CLIENT_INVALID;
        }
    return CLIENT_OK;
}

enum client_status envelope_make(const struct client_task *task, const struct task_id *id, char *problem,
                                 size_t problem_size, struct envelope *ret_envelope)
{
    enum client_status status = check_first(task, problem, problem_size);
    if (status != CLIENT_OK)
        return status;
    size_t bound = size_bound(task);
    uint8_t *bytes = malloc(bound);
    if (bytes == NULL)
        return CLIENT_NO_MEMORY;
    struct encoder encoder = {.fields = 0};
    writer_init(&encoder.writer, bytes, bound);
    write_map(&encoder.writer, 0);
    write_task(&encoder, task, id);
    ASSERT(encoder.fields <= FIELDS_MAX);
    bytes[0] |= (uint8_t)encoder.fields; /* the head of a short map has its count in the low bits */
    struct envelope envelope = {bytes, encoder.writer.size};
    struct task_fields fields;
    struct task_problem found =
        task_parse((struct bytes){envelope.bytes, envelope.size}, PAYLOAD_BYTES_MAX, &fields);
    if (found.code != ERROR_NONE) {
        snprintf(problem, problem_size, "%s", found.reason);
        status = CLIENT_INVALID;
    } else if (envelope.size > FRAME_BYTES_MAX - FRAME_HEAD_ROOM) {
        snprintf(problem, problem_size, "task: %zu bytes with all its fields, at most %d", envelope.size,
                 FRAME_BYTES_MAX - FRAME_HEAD_ROOM);
        status = CLIENT_TOO_LARGE;
    }
    if (status != CLIENT_OK)
        free(bytes);
    else
        *ret_envelope = envelope;
    return status;
}
