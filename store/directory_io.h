/* directory_io.h - the directory of a store: made, checked and locked for one process.
 *
 * Is:      data/store (0700) with an own lock file, held by flock for as long as the process lives: the
 *          kernel lets go of it with the process, so nothing is left behind by a SIGKILL.
 * Is not:  the files in it (lmdb_io.c).
 * Errors:  returned as one line for people with the path and the way out.
 */
#ifndef MERIDIAN_STORE_DIRECTORY_IO_H
#define MERIDIAN_STORE_DIRECTORY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_PATH_BYTES_MAX = 400 };

struct store_directory {
    char path[STORE_PATH_BYTES_MAX + 8]; /* data/store */
    int lock;                            /* -1 = not held */
};

/* Make data and data/store where they are missing and take the lock. */
bool store_directory_open(const char *data, struct store_directory *ret_directory, char *ret_problem,
                          size_t problem_size);
void store_directory_close(struct store_directory *directory);

/* Make the names in it survive a power cut. False: errno says why. */
bool store_directory_sync(const struct store_directory *directory);

/* Bytes that this process may still write on that disk. */
bool store_directory_room(const struct store_directory *directory, uint64_t *ret_bytes);

/* Give a file in it another name, in place of what had it. False: errno says why. */
bool store_directory_rename(const struct store_directory *directory, const char *from, const char *to);

/* Remove a file from it, if it is there. */
void store_directory_remove(const struct store_directory *directory, const char *name);

/* Size of a file in it; false with errno if there is none. */
bool store_directory_file_bytes(const struct store_directory *directory, const char *name,
                                uint64_t *ret_bytes);

/* Set that size; what is new reads as zeros. */
bool store_directory_resize(const struct store_directory *directory, const char *name, uint64_t bytes);

#endif
