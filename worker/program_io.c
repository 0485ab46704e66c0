/* program_io.c - see program_io.h. */
#define _GNU_SOURCE
#include "worker/program_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/assert.h"
#include "proto/reader.h"

struct counts {
    uint32_t directories, arguments, variables;
};

/* A buffer that grows while the strings are collected; `failed` is sticky. */
struct text {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

static void append(struct text *text, const void *from, size_t size)
{
    if (text->size + size > text->capacity && !text->failed) {
        size_t capacity = 2 * text->capacity + size + 1024;
        uint8_t *data = realloc(text->data, capacity);
        text->failed = data == NULL;
        text->data = text->failed ? text->data : data;
        text->capacity = text->failed ? text->capacity : capacity;
    }
    if (text->failed || size == 0)
        return;
    memcpy(text->data + text->size, from, size);
    text->size += size;
}

static void append_string(struct text *text, struct bytes string)
{
    append(text, string.data, string.size);
    append(text, "", 1);
}

static void append_variable(struct text *text, struct bytes name, struct bytes value)
{
    append(text, name.data, name.size);
    append(text, "=", 1);
    append_string(text, value);
}

/* The task's strings were checked by task_parse: bounded, no NUL, no '=' in names. */
static uint32_t append_arguments(struct text *text, const struct task_fields *fields, char *const *handler)
{
    uint32_t count = 0;
    if (handler != NULL) {
        for (; handler[count] != NULL; count++)
            append_string(text, bytes_of(handler[count]));
        return count;
    }
    struct reader reader;
    reader_init(&reader, fields->arguments);
    count = read_array(&reader, ARGUMENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        append_string(text, read_text(&reader, ARGUMENT_BYTES_MAX));
    return count;
}

static uint32_t append_environment(struct text *text, const struct task_fields *fields)
{
    if (fields->environment.size == 0)
        return 0;
    struct reader reader;
    reader_init(&reader, fields->environment);
    uint32_t count = read_map(&reader, ENVIRONMENT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = read_text(&reader, ARGUMENT_BYTES_MAX);
        append_variable(text, name, read_text(&reader, ARGUMENT_BYTES_MAX));
    }
    return count;
}

static uint32_t append_ours(struct text *text, const struct task_id *id, struct fence fence, uint32_t attempt)
{
    char task_hex[TASK_ID_HEX + 1], fence_hex[FENCE_HEX + 1], digits[11];
    uint8_t encoded[FENCE_BYTES];
    hex_encode((struct bytes){id->bytes, TASK_ID_BYTES}, task_hex);
    fence_encode(fence, encoded);
    hex_encode((struct bytes){encoded, FENCE_BYTES}, fence_hex);
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + attempt % 10);
    while ((attempt /= 10) != 0);
    append_variable(text, bytes_of(VARIABLE_TASK), bytes_of(task_hex));
    append_variable(text, bytes_of(VARIABLE_ATTEMPT), bytes_of(digits + at));
    append_variable(text, bytes_of(VARIABLE_FENCE), bytes_of(fence_hex));
    return 3;
}

/* Write all; the file is in memory, so only a lack of it can stop this. */
static bool write_all(int file, struct bytes bytes)
{
    while (bytes.size != 0) {
        ssize_t written = write(file, bytes.data, bytes.size);
        if (written < 0 && errno != EINTR)
            return false;
        size_t done = written < 0 ? 0 : (size_t)written;
        bytes = (struct bytes){bytes.data + done, bytes.size - done};
    }
    return lseek(file, 0, SEEK_SET) == 0;
}

static int memory_file(const char *name, struct bytes bytes, unsigned seals)
{
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return -1;
    if (write_all(file, bytes) && fcntl(file, F_ADD_SEALS, seals) == 0)
        return file;
    int cause = errno;
    close(file);
    errno = cause;
    return -1;
}

int program_write(const struct task_fields *fields, char *const *handler, const struct task_id *id,
                  struct fence fence, uint32_t attempt)
{
    struct text text = {0};
    struct counts counts = {.directories = fields->working_directory.size != 0};
    append(&text, &counts, sizeof counts);
    if (counts.directories == 1)
        append_string(&text, fields->working_directory);
    counts.arguments = append_arguments(&text, fields, handler);
    counts.variables = append_environment(&text, fields);
    counts.variables += append_ours(&text, id, fence, attempt);
    int file = -1;
    if (text.failed) {
        errno = ENOMEM;
    } else {
        memcpy(text.data, &counts, sizeof counts);
        file = memory_file("meridian-program", (struct bytes){text.data, text.size}, F_SEAL_SEAL);
    }
    int cause = errno;
    free(text.data);
    errno = cause;
    return file;
}

int input_write(struct bytes payload)
{
    return memory_file("meridian-payload", payload, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

/* Each string of the mapped file in turn. */
static char *next_string(char **at)
{
    char *string = *at;
    *at += strlen(string) + 1;
    return string;
}

/* The agent puts what a program that was not started has "printed" into its message. */
static int fail(const char *what, const char *path)
{
    int cause = errno;
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, path, strlen(path));
    return cause;
}

int program_exec(int file)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return errno;
    /* Private, because putenv keeps the strings where they are and execvp wants them writable. */
    char *at = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (at == MAP_FAILED)
        return errno;
    struct counts counts;
    memcpy(&counts, at, sizeof counts);
    at += sizeof counts;
    char **arguments = calloc((size_t)counts.arguments + 1, sizeof *arguments);
    if (arguments == NULL)
        return ENOMEM;
    const char *directory = counts.directories == 1 ? next_string(&at) : NULL;
    if (directory != NULL && chdir(directory) != 0)
        return fail("working directory ", directory);
    for (uint32_t i = 0; i < counts.arguments; i++)
        arguments[i] = next_string(&at);
    for (uint32_t i = 0; i < counts.variables; i++)
        if (putenv(next_string(&at)) != 0)
            return errno;
    ASSERT(counts.arguments > 0);
    execvp(arguments[0], arguments);
    return fail("", arguments[0]);
}
