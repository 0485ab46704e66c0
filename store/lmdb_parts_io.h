/* lmdb_parts_io.h - what the two halves of the store share: lmdb_io.c (open, transactions, space) and
 * lmdb_record_io.c (records of any length). For these two files only; the API is lmdb_io.h. */
#ifndef MERIDIAN_STORE_LMDB_PARTS_IO_H
#define MERIDIAN_STORE_LMDB_PARTS_IO_H

#include <lmdb.h>
#include <stdatomic.h>

#include "store/directory_io.h"
#include "store/lmdb_io.h"

enum { KEY_BYTES = 12, CHUNK_KEY_BYTES = 14 };

struct key {
    uint8_t bytes[CHUNK_KEY_BYTES];
    size_t size;
};

struct store {
    struct store_directory directory;
    MDB_env *environment;
    MDB_dbi tables[TABLE_COUNT];
    struct key last[TABLE_COUNT]; /* no key of the table is above it; size 0 = the table was never written */
    MDB_txn *transaction;
    MDB_cursor *cursors[TABLE_COUNT]; /* of the running transaction, opened on first use */
    bool writes;
    bool unsynced;    /* the newest transaction may not be on disk yet */
    uint8_t *scratch; /* a long value in one piece */
    size_t scratch_size;
    uint64_t max_bytes;
    _Atomic uint64_t free_bytes;
    struct store_problem problem;
};

/* Note what went wrong and how to get out of it; both return false. */
bool store_fail(struct store *store, const char *what, const char *way_out);
bool store_fail_lmdb(struct store *store, const char *doing, int code);

/* The cursor of a table in the running transaction. */
bool store_cursor(struct store *store, enum table table, MDB_cursor **ret_cursor);

/* End the running transaction, if there is one, without a trace. */
void store_abort(struct store *store);

/* META number 0, the store's own. Get: up to `max` bytes, none if there is no such record. */
bool store_put_own(struct store *store, struct bytes content);
bool store_get_own(struct store *store, uint8_t *to, size_t max, size_t *ret_size);

#endif
