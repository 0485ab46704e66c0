/* directory_io.c - see directory_io.h. */
#include "store/directory_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_PATH_BYTES = STORE_PATH_BYTES_MAX + 64 };

static bool make_directory(const char *path, char *ret_problem, size_t problem_size)
{
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        snprintf(ret_problem, problem_size,
                 "cannot make the directory %s: %s; make its parent, or give node.data a directory that this "
                 "user may write",
                 path, strerror(errno));
        return false;
    }
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        snprintf(ret_problem, problem_size, "%s is no directory; give node.data another one", path);
        return false;
    }
    return true;
}

/* Who holds the lock wrote its process id into the file; for the message only. */
static long read_holder(int lock)
{
    char text[24] = "";
    ssize_t size = pread(lock, text, sizeof text - 1, 0);
    return size > 0 ? strtol(text, NULL, 10) : 0;
}

static bool take_lock(struct store_directory *directory, char *ret_problem, size_t problem_size)
{
    char path[sizeof directory->path + 8];
    snprintf(path, sizeof path, "%s/lock", directory->path);
    directory->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (directory->lock < 0) {
        snprintf(ret_problem, problem_size,
                 "cannot write in %s: %s; give node.data a directory that this user may write",
                 directory->path, strerror(errno));
        return false;
    }
    if (flock(directory->lock, LOCK_EX | LOCK_NB) == 0) {
        char holder[24];
        int size = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
        if (ftruncate(directory->lock, 0) == 0 && pwrite(directory->lock, holder, (size_t)size, 0) == size)
            return true;
        snprintf(ret_problem, problem_size, "cannot write %s: %s; make room on that disk", path,
                 strerror(errno));
    } else if (errno == EWOULDBLOCK) {
        snprintf(ret_problem, problem_size,
                 "the store %s is in use by another process (%ld); stop that one, or give this node a "
                 "directory of its own in node.data",
                 directory->path, read_holder(directory->lock));
    } else {
        snprintf(ret_problem, problem_size, "cannot lock %s: %s; put node.data on a local disk", path,
                 strerror(errno));
    }
    store_directory_close(directory);
    return false;
}

bool store_directory_open(const char *data, struct store_directory *ret_directory, char *ret_problem,
                          size_t problem_size)
{
    ret_directory->lock = -1;
    if (strlen(data) == 0 || strlen(data) > STORE_PATH_BYTES_MAX - 8) {
        snprintf(ret_problem, problem_size, "node.data is %zu bytes long; give it a path of 1 to %d bytes",
                 strlen(data), STORE_PATH_BYTES_MAX - 8);
        return false;
    }
    snprintf(ret_directory->path, sizeof ret_directory->path, "%s/store", data);
    return make_directory(data, ret_problem, problem_size) &&
           make_directory(ret_directory->path, ret_problem, problem_size) &&
           take_lock(ret_directory, ret_problem, problem_size);
}

void store_directory_close(struct store_directory *directory)
{
    if (directory->lock >= 0)
        close(directory->lock);
    directory->lock = -1;
}

static bool sync_path(const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool synced = fsync(file) == 0;
    int error = errno;
    close(file);
    errno = error;
    return synced;
}

bool store_directory_sync(const struct store_directory *directory)
{
    char path[sizeof directory->path + 8];
    if (!sync_path(directory->path))
        return false;
    snprintf(path, sizeof path, "%s/..", directory->path);
    if (!sync_path(path))
        return false;
    snprintf(path, sizeof path, "%s/../..", directory->path);
    /* The parent of data may be one we may not open; then it was there before us. */
    return sync_path(path) || errno == EACCES;
}

bool store_directory_room(const struct store_directory *directory, uint64_t *ret_bytes)
{
    struct statvfs status;
    if (directory->lock < 0 || fstatvfs(directory->lock, &status) != 0)
        return false;
    *ret_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return true;
}

static void path_in(const struct store_directory *directory, const char *name, char ret_path[FILE_PATH_BYTES])
{
    snprintf(ret_path, FILE_PATH_BYTES, "%s/%s", directory->path, name);
}

bool store_directory_rename(const struct store_directory *directory, const char *from, const char *to)
{
    char from_path[FILE_PATH_BYTES], to_path[FILE_PATH_BYTES];
    path_in(directory, from, from_path);
    path_in(directory, to, to_path);
    return rename(from_path, to_path) == 0;
}

void store_directory_remove(const struct store_directory *directory, const char *name)
{
    char path[FILE_PATH_BYTES];
    path_in(directory, name, path);
    unlink(path);
}

bool store_directory_file_bytes(const struct store_directory *directory, const char *name,
                                uint64_t *ret_bytes)
{
    char path[FILE_PATH_BYTES];
    struct stat status;
    path_in(directory, name, path);
    if (stat(path, &status) != 0)
        return false;
    *ret_bytes = (uint64_t)status.st_size;
    return true;
}

/* By name: closing a descriptor of the file would let go of LMDB's own locks on it. */
bool store_directory_resize(const struct store_directory *directory, const char *name, uint64_t bytes)
{
    char path[FILE_PATH_BYTES];
    path_in(directory, name, path);
    return truncate(path, (off_t)bytes) == 0;
}
