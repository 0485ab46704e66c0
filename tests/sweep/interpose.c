/* interpose.c - see interpose.h. The real calls are made with syscall(): no look-up, no recursion. */
#include "tests/sweep/interpose.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct interpose_plan plan = {.log = -1};
static atomic_uint_fast64_t calls;

uint64_t interpose_count(void)
{
    return atomic_load(&calls);
}

/* MERIDIAN_INTERPOSE of a program that does not know of this library. */
__attribute__((constructor)) static void arm_from_environment(void)
{
    static char under[512];
    char kind[16], onward[16], how[16];
    unsigned long long nth;
    const char *text = getenv("MERIDIAN_INTERPOSE");
    if (text == NULL)
        return;
    if (sscanf(text, "%511s %15s %llu %15s %15s", under, kind, &nth, onward, how) != 5) {
        fprintf(stderr, "MERIDIAN_INTERPOSE: cannot read %s\n", text);
        _exit(2);
    }
    plan = (struct interpose_plan){.under = under,
                                   .calls = strcmp(kind, "syncs") == 0 ? INTERPOSE_SYNCS : INTERPOSE_WRITES,
                                   .nth = nth,
                                   .onward = strcmp(onward, "onward") == 0,
                                   .error = atoi(how),
                                   .log = -1};
}

/* ---- which file ---- */

struct target {
    bool watched;  /* below `under` */
    bool logged;   /* it is the data file, and there is a log */
    bool is_store; /* it is the directory in which that file is, and there is a log */
    bool dsync;
};

static bool ends_in(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

static struct target target_of_path(const char *path)
{
    bool watched = plan.under != NULL && strncmp(path, plan.under, strlen(plan.under)) == 0;
    bool to_log = watched && plan.log >= 0;
    return (struct target){.watched = watched,
                           .logged = to_log && (ends_in(path, "/data.mdb") || ends_in(path, "/data.new")),
                           .is_store = to_log && ends_in(path, "/store")};
}

/* The last file that was asked about: a look at /proc costs more than the call. */
static _Thread_local struct {
    int file;
    dev_t device;
    ino_t inode; /* 0 = none */
    struct target target;
} latest;

static struct target target_of(int file)
{
    char link[40], path[600];
    struct stat status;
    if (plan.under == NULL || fstat(file, &status) != 0)
        return (struct target){.watched = false};
    if (latest.inode == status.st_ino && latest.device == status.st_dev && latest.file == file)
        return latest.target;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = '\0';
    latest.file = file;
    latest.device = status.st_dev;
    latest.inode = status.st_ino;
    latest.target = target_of_path(path);
    if (latest.target.watched)
        latest.target.dsync = (fcntl(file, F_GETFL) & O_DSYNC) != 0;
    return latest.target;
}

void interpose_arm(const struct interpose_plan *new_plan)
{
    plan = *new_plan;
    latest.inode = 0;
    atomic_store(&calls, 0);
}

/* ---- the log ---- */

static void log_bytes(const void *bytes, size_t size)
{
    if (syscall(SYS_write, plan.log, bytes, size) == (long)size)
        return;
    static const char lost[] = "interpose: the log cannot be written\n";
    syscall(SYS_write, STDERR_FILENO, lost, sizeof lost - 1);
    _exit(2);
}

static void log_record(enum interpose_what what, uint64_t offset, const void *bytes, size_t size)
{
    struct interpose_record record = {what, (uint32_t)size, offset};
    log_bytes(&record, sizeof record);
    if (size != 0)
        log_bytes(bytes, size);
}

void interpose_mark(uint64_t number)
{
    if (plan.log >= 0)
        log_record(INTERPOSE_MARK, number, NULL, 0);
}

/* ---- the calls ---- */

/* Is this the call that fails? */
static bool fails(struct target target, enum interpose_calls kind)
{
    if (!target.watched || kind != plan.calls)
        return false;
    uint64_t number = atomic_fetch_add(&calls, 1) + 1;
    return plan.nth != 0 && (plan.onward ? number >= plan.nth : number == plan.nth);
}

/* `offset` of a write that goes where the file stands is -1. */
static ssize_t write_at(int file, const void *bytes, size_t size, off_t offset)
{
    struct target target = target_of(file);
    bool failing = fails(target, target.dsync ? INTERPOSE_SYNCS : INTERPOSE_WRITES);
    off_t at = offset;
    if (target.logged && offset < 0)
        at = lseek(file, 0, SEEK_CUR);
    /* A synced write that fails has reached the cache of the system all the same, and a full disk has not. */
    if (failing && plan.error != 0 && !target.dsync) {
        errno = plan.error;
        return -1;
    }
    if (failing && plan.error == 0)
        size /= 2;
    ssize_t written =
        offset < 0 ? syscall(SYS_write, file, bytes, size) : syscall(SYS_pwrite64, file, bytes, size, offset);
    if (target.logged && written > 0)
        log_record(target.dsync && !failing ? INTERPOSE_WRITE_DSYNC : INTERPOSE_WRITE, (uint64_t)at, bytes,
                   (size_t)written);
    if (!failing || plan.error == 0)
        return written;
    if (target.logged)
        log_record(INTERPOSE_SYNC_FAILED, 0, NULL, 0);
    errno = plan.error;
    return -1;
}

ssize_t write(int file, const void *bytes, size_t size)
{
    return write_at(file, bytes, size, -1);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    return write_at(file, bytes, size, offset);
}

/* In one piece: then there is one way to shorten and to log a write. */
ssize_t writev(int file, const struct iovec *pieces, int count)
{
    size_t size = 0, done = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    char *bytes = malloc(size + 1);
    if (bytes == NULL) {
        errno = ENOMEM;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        memcpy(bytes + done, pieces[i].iov_base, pieces[i].iov_len);
        done += pieces[i].iov_len;
    }
    ssize_t written = write_at(file, bytes, size, -1);
    int error = errno;
    free(bytes);
    errno = error;
    return written;
}

static int set_length(struct target target, long call, long file_or_path, off_t length)
{
    if (fails(target, INTERPOSE_WRITES)) {
        errno = plan.error != 0 ? plan.error : EIO;
        return -1;
    }
    int result = (int)syscall(call, file_or_path, length);
    if (target.logged && result == 0)
        log_record(INTERPOSE_LENGTH, (uint64_t)length, NULL, 0);
    return result;
}

int ftruncate(int file, off_t length)
{
    return set_length(target_of(file), SYS_ftruncate, file, length);
}

int truncate(const char *path, off_t length)
{
    return set_length(target_of_path(path), SYS_truncate, (long)path, length);
}

int rename(const char *from, const char *to)
{
    struct target target = target_of_path(from);
    if (fails(target, INTERPOSE_WRITES)) {
        errno = plan.error != 0 ? plan.error : EIO;
        return -1;
    }
    int result = (int)syscall(SYS_rename, from, to);
    if (target.logged && result == 0)
        log_record(INTERPOSE_RENAMED, 0, NULL, 0);
    return result;
}

int unlink(const char *path)
{
    struct target target = target_of_path(path);
    int result = (int)syscall(SYS_unlink, path);
    latest.inode = 0; /* another file may get it */
    if (target.logged && result == 0)
        log_record(INTERPOSE_REMOVED, 0, NULL, 0);
    return result;
}

static int sync_file(int file, long call)
{
    struct target target = target_of(file);
    bool failing = fails(target, INTERPOSE_SYNCS);
    int result = failing ? -1 : (int)syscall(call, file);
    if (target.logged)
        log_record(result == 0 ? INTERPOSE_SYNC : INTERPOSE_SYNC_FAILED, 0, NULL, 0);
    if (target.is_store && result == 0)
        log_record(INTERPOSE_NAMES_SYNC, 0, NULL, 0);
    if (failing)
        errno = plan.error != 0 ? plan.error : EIO;
    return result;
}

int fsync(int file)
{
    return sync_file(file, SYS_fsync);
}

int fdatasync(int file)
{
    return sync_file(file, SYS_fdatasync);
}
