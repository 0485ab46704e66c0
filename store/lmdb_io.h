/* lmdb_io.h - the records of one node on disk: one LMDB environment, one transaction at a time.
 *
 * Is:      sealed records under (table, number, part); layout and change rules in docs/storage-format.md.
 *          Every record carries a version and a CRC, checked whenever it is read. A long one is cut into
 *          chunks here, invisibly. META number 0 is the store's own (format version, role), never delivered.
 * Is not:  a batch (host/batch.c decides what goes into a transaction and in which order), and not a cache.
 * Threads: any one thread at a time; store_free_bytes may be asked from every thread.
 * Errors:  the world's, returned; store_problem() then names the path, what is wrong and the way out. After
 *          an error in a transaction the store is only good for store_close: the node ends, starts again.
 * Durable: a transaction is on disk once store_sync, or the store_end of a later one that wrote, has
 * returned; one flush makes it so and writes the pages of the later one (docs/adr/0007). Whatever a crash
 *          leaves is the state after some transaction, with all before it.
 * Cost:    put and erase O(log records), an append O(1); one copy of a value; one flush per store_end that
 *          wrote, one per store_sync.
 */
#ifndef MERIDIAN_STORE_LMDB_IO_H
#define MERIDIAN_STORE_LMDB_IO_H

#include "store/record.h"

enum { STORE_VALUE_BYTES_MAX = 128 * 1024 * 1024 };

struct store;

/* What is wrong, in one line for people. */
struct store_problem {
    char text[768];
};

struct store_options {
    const char *data;   /* the node's directory: made if missing; the store is in data/store */
    const char *role;   /* "broker", ...: a store that another role made is refused */
    uint64_t max_bytes; /* what the records may use; the map is a quarter larger, sparse */
};

/* Opens the store, or makes a new one; holds its lock until store_close. Refused with the problem: a
 * directory that cannot be made or written, a store in use, made by another role or by a newer format, a
 * damaged one. */
bool store_open(const struct store_options *options, struct store **ret_store,
                struct store_problem *ret_problem);
/* Ends a running transaction without a trace. NULL is allowed. */
void store_close(struct store *store);

typedef void (*store_deliver)(void *context, enum table table, uint64_t number, uint32_t part,
                              struct bytes value);

/* Deliver every record of the restored tables (store/record.h), tables in order, keys ascending. The value is
 * borrowed for the call. No transaction may be open. */
bool store_restore(struct store *store, store_deliver deliver, void *context);

/* Begin a transaction; without `writes` only store_get may follow. */
bool store_begin(struct store *store, bool writes);

/* Writes the `size` bytes of a value to `to`; false if they are not to be had. */
typedef bool (*store_fill)(void *context, uint8_t *to, size_t size);

/* Put a record, new or in place of the old one. `fill` writes straight into the page (of a long value: into a
 * buffer that is then cut) and must not touch the store. */
bool store_put(struct store *store, enum table table, uint64_t number, uint32_t part, size_t size,
               store_fill fill, void *context);

/* Copy a record of exactly `size` bytes to `to`; an error if it is missing, damaged or of another size. */
bool store_get(struct store *store, enum table table, uint64_t number, uint32_t part, uint8_t *to,
               size_t size);

/* Erase all parts of a number; none there is no error. */
bool store_erase(struct store *store, enum table table, uint64_t number);

/* Commit. When it returns all *earlier* transactions are on disk; this one is not yet, if it wrote. */
bool store_end(struct store *store);

/* True once every transaction is on disk; costs nothing if they are already. No transaction may be open. */
bool store_sync(struct store *store);

/* The last error. Valid until the store is closed. */
const char *store_problem(const struct store *store);

/* What may still be written before max_bytes or before the disk is full, as of the last commit. */
uint64_t store_free_bytes(const struct store *store);

/* max_bytes, or what the disk had room for at the start, if that is less. */
uint64_t store_max_bytes(const struct store *store);

#endif
