/* capture_io.c - see capture_io.h. */
#define _GNU_SOURCE
#include "worker/capture_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, CAPACITY_FIRST = 4096 };

bool capture_open(struct capture *capture, size_t limit, int *ret_pipe)
{
    int ends[2];
    *capture = (struct capture){.pipe = -1, .limit = limit};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        int cause = errno;
        close(ends[0]);
        close(ends[1]);
        errno = cause;
        return false;
    }
    capture->pipe = ends[0];
    *ret_pipe = ends[1];
    return true;
}

static void keep(struct capture *capture, const uint8_t *from, size_t size)
{
    if (size > capture->limit - capture->size) {
        size = capture->limit - capture->size;
        capture->cut = true;
    }
    if (capture->size + size > capture->capacity) {
        size_t capacity = capture->capacity == 0 ? CAPACITY_FIRST : capture->capacity;
        while (capacity < capture->size + size)
            capacity *= 2;
        uint8_t *data = realloc(capture->data, capacity);
        if (data == NULL) {
            capture->cut = true;
            return;
        }
        capture->data = data;
        capture->capacity = capacity;
    }
    if (size != 0)
        memcpy(capture->data + capture->size, from, size);
    capture->size += size;
}

static ssize_t read_some(struct capture *capture)
{
    uint8_t some[READ_BYTES];
    ssize_t got = read(capture->pipe, some, sizeof some);
    if (got > 0)
        keep(capture, some, (size_t)got);
    return got;
}

static void close_pipe(struct capture *capture)
{
    if (capture->pipe >= 0)
        close(capture->pipe);
    capture->pipe = -1;
}

bool capture_read(struct capture *capture)
{
    if (capture->pipe < 0)
        return false;
    ssize_t got = read_some(capture);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        close_pipe(capture);
    return got > 0;
}

void capture_finish(struct capture *capture)
{
    if (capture->pipe < 0)
        return;
    int capacity = fcntl(capture->pipe, F_GETPIPE_SZ);
    for (ssize_t left = capacity; left > 0;) {
        ssize_t got = read_some(capture);
        if (got <= 0)
            break;
        left -= got;
    }
    close_pipe(capture);
}

void capture_release(struct capture *capture)
{
    close_pipe(capture);
    free(capture->data);
    *capture = (struct capture){.pipe = -1};
}
