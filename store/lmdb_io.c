/* lmdb_io.c - see lmdb_io.h: open and lock, transactions, free space. Records are in lmdb_record_io.c. */
#include "store/lmdb_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "store/lmdb_parts_io.h"

enum {
    ROLE_BYTES_MAX = 32,
    OWN_BYTES_MAX = 4 + ROLE_BYTES_MAX, /* format version u32, role */
    STORE_BYTES_MIN = 1024 * 1024,
};

#define DATA_FILE "data.mdb" /* LMDB's own name for it */

/* ---- problems ---- */

bool store_fail(struct store *store, const char *what, const char *way_out)
{
    snprintf(store->problem.text, sizeof store->problem.text, "store %s: %s; %s", store->directory.path, what,
             way_out);
    return false;
}

/* What to do about an LMDB error; the number of its page never helps anybody. */
bool store_fail_lmdb(struct store *store, const char *doing, int code)
{
    static const struct {
        int code;
        const char *way_out;
    } ways_out[] = {
        {MDB_MAP_FULL, "raise store.max_bytes and start again"},
        {ENOSPC, "make room on that disk and start again; nothing acknowledged is lost"},
        {ENOMEM, "free memory, raise ulimit -v or lower store.max_bytes, and start again"},
        {EINVAL, "put node.data on a local disk"},
        {EIO, "look at the disk (dmesg), then start again or restore a backup"},
        {MDB_CORRUPTED, "restore a backup, or move the directory away to start empty"},
        {MDB_PAGE_NOTFOUND, "restore a backup, or move the directory away to start empty"},
        {MDB_INVALID, "it is no store of ours: restore a backup, or give this node another directory"},
        {MDB_VERSION_MISMATCH, "another LMDB made it: use the version that made it, or move it away"},
    };
    const char *way_out = "start again; if it comes back, restore a backup";
    for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++)
        if (ways_out[i].code == code)
            way_out = ways_out[i].way_out;
    char what[160];
    snprintf(what, sizeof what, "cannot %s: %s", doing, mdb_strerror(code));
    return store_fail(store, what, way_out);
}

const char *store_problem(const struct store *store)
{
    return store->problem.text;
}

/* ---- transactions ---- */

bool store_cursor(struct store *store, enum table table, MDB_cursor **ret_cursor)
{
    ASSERT(store->transaction != NULL);
    if (store->cursors[table] == NULL) {
        int code = mdb_cursor_open(store->transaction, store->tables[table], &store->cursors[table]);
        if (code != 0)
            return store_fail_lmdb(store, "open a cursor", code);
    }
    *ret_cursor = store->cursors[table];
    return true;
}

static void close_cursors(struct store *store)
{
    for (int table = 0; table < TABLE_COUNT; table++)
        if (store->cursors[table] != NULL)
            mdb_cursor_close(store->cursors[table]);
    memset(store->cursors, 0, sizeof store->cursors);
}

void store_abort(struct store *store)
{
    if (store->transaction == NULL)
        return;
    close_cursors(store);
    mdb_txn_abort(store->transaction);
    store->transaction = NULL;
}

bool store_begin(struct store *store, bool writes)
{
    ASSERT(store->transaction == NULL);
    int code = mdb_txn_begin(store->environment, NULL, writes ? 0 : MDB_RDONLY, &store->transaction);
    if (code != 0)
        return store_fail_lmdb(store, "begin a transaction", code);
    store->writes = writes;
    return true;
}

/* Every page is in a table, in the list of free pages, or named by it; so what the tables hold is what is
 * used, and nobody has to walk the list. */
static uint64_t used_bytes(struct store *store)
{
    uint64_t pages = 2; /* the two meta pages */
    uint64_t page_bytes = 0;
    for (int table = -2; table < TABLE_COUNT; table++) {
        MDB_stat stat;
        /* 0 is the list of free pages, 1 the list of tables. */
        MDB_dbi handle = table < 0 ? (MDB_dbi)(table + 2) : store->tables[table];
        if (mdb_stat(store->transaction, handle, &stat) != 0)
            continue;
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        page_bytes = stat.ms_psize;
    }
    return pages * page_bytes;
}

/* What the file system and the free pages inside the file still take. */
static uint64_t room_bytes(struct store *store, uint64_t used)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t disk_bytes;
    if (mdb_env_info(store->environment, &info) != 0 || mdb_env_stat(store->environment, &stat) != 0 ||
        !store_directory_room(&store->directory, &disk_bytes))
        return UINT64_MAX;
    uint64_t file_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    return disk_bytes + (file_bytes > used ? file_bytes - used : 0);
}

static void note_free_bytes(struct store *store)
{
    uint64_t used = used_bytes(store);
    uint64_t free_bytes = store->max_bytes > used ? store->max_bytes - used : 0;
    uint64_t room = room_bytes(store, used), quarter = store->max_bytes / 4;
    room = room > quarter ? room - quarter : 0; /* copies on write need the disk as well as the map */
    atomic_store_explicit(&store->free_bytes, free_bytes < room ? free_bytes : room, memory_order_relaxed);
}

/* A disk that is smaller than max_bytes and its quarter is what gets full, so watermarks are shares of it. */
static void note_max_bytes(struct store *store)
{
    uint64_t used = used_bytes(store);
    uint64_t room = room_bytes(store, used);
    if (room < UINT64_MAX - used && store->max_bytes > (used + room) / 5 * 4)
        store->max_bytes = (used + room) / 5 * 4;
}

uint64_t store_max_bytes(const struct store *store)
{
    return store->max_bytes;
}

bool store_sync(struct store *store)
{
    ASSERT(store->transaction == NULL);
    if (!store->unsynced)
        return true;
    int code = mdb_env_sync(store->environment, 1);
    store->unsynced = code != 0;
    return code == 0 || store_fail_lmdb(store, "sync", code);
}

/* A commit flushes its pages, and with them the meta page of the one before, ahead of writing its own meta
 * page. One that changed nothing does neither. */
bool store_end(struct store *store)
{
    ASSERT(store->transaction != NULL);
    if (!store->writes) {
        store_abort(store);
        return true;
    }
    close_cursors(store);
    note_free_bytes(store);
    MDB_envinfo info;
    size_t number = mdb_txn_id(store->transaction);
    int code = mdb_txn_commit(store->transaction);
    store->transaction = NULL;
    if (code == 0)
        code = mdb_env_info(store->environment, &info);
    if (code != 0)
        return store_fail_lmdb(store, "commit", code);
    if (info.me_last_txnid != number)
        return store_sync(store);
    store->unsynced = true;
    return true;
}

uint64_t store_free_bytes(const struct store *store)
{
    return atomic_load_explicit(&store->free_bytes, memory_order_relaxed);
}

/* ---- open ---- */

static bool open_tables(struct store *store)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        MDB_val name;
        MDB_val value;
        MDB_cursor *cursor;
        int code = mdb_dbi_open(store->transaction, table_text((enum table)table), MDB_CREATE,
                                &store->tables[table]);
        if (code != 0)
            return store_fail_lmdb(store, "open a table", code);
        if (!store_cursor(store, (enum table)table, &cursor))
            return false;
        code = mdb_cursor_get(cursor, &name, &value, MDB_LAST);
        if (code == MDB_NOTFOUND)
            continue;
        if (code != 0)
            return store_fail_lmdb(store, "read a table", code);
        if (name.mv_size < KEY_BYTES || name.mv_size > CHUNK_KEY_BYTES)
            return store_fail(store, "a key of a size that this version never wrote",
                              "restore a backup, or move the directory away to start empty");
        store->last[table].size = name.mv_size;
        memcpy(store->last[table].bytes, name.mv_data, name.mv_size);
    }
    return true;
}

/* A new store gets its format and role. */
static bool put_own(struct store *store, const char *role)
{
    uint8_t own[OWN_BYTES_MAX] = {0, 0, STORE_FORMAT_VERSION >> 8, STORE_FORMAT_VERSION & 0xff};
    size_t role_size = strlen(role);
    ASSERT(role_size <= ROLE_BYTES_MAX);
    memcpy(own + 4, role, role_size);
    return store_put_own(store, (struct bytes){own, 4 + role_size});
}

/* An old one must have those of this program, and gets them again. */
static bool check_own(struct store *store, const char *role)
{
    uint8_t own[OWN_BYTES_MAX];
    size_t role_size = strlen(role);
    size_t size;
    char what[160];
    if (!store_get_own(store, own, sizeof own, &size))
        return false;
    if (size < 4)
        return store_fail(store, "it has no format record", "it is no store of ours: use another directory");
    uint32_t version = (uint32_t)own[0] << 24 | (uint32_t)own[1] << 16 | (uint32_t)own[2] << 8 | own[3];
    if (version > STORE_FORMAT_VERSION) {
        snprintf(what, sizeof what, "its format is version %u, this program knows up to version %d", version,
                 STORE_FORMAT_VERSION);
        return store_fail(store, what, "use the newer program that wrote it");
    }
    if (size - 4 != role_size || memcmp(own + 4, role, role_size) != 0) {
        snprintf(what, sizeof what, "it belongs to a %.*s, this is a %s", (int)(size - 4), own + 4, role);
        return store_fail(store, what, "give this node a directory of its own in node.data");
    }
    return store_put_own(store, (struct bytes){own, size});
}

static bool fail_short(struct store *store)
{
    return store_fail(store, "its file data.mdb is cut short",
                      "restore a backup, or move the directory away to start empty");
}

/* A file that was cut would end the process by SIGBUS at the first missing page; read as zeros the missing
 * pages are errors instead. It need not be damage: free pages at the end may never have been written.
 * `ret_bytes` is the length that was found. */
static bool lengthen_file(struct store *store, uint64_t *ret_bytes, bool *ret_short)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(store->environment, &info) != 0 || mdb_env_stat(store->environment, &stat) != 0 ||
        !store_directory_file_bytes(&store->directory, DATA_FILE, ret_bytes))
        return store_fail(store, "its file data.mdb cannot be looked at", "look at the disk (dmesg)");
    uint64_t committed_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    *ret_short = *ret_bytes < committed_bytes;
    return !*ret_short || store_directory_resize(&store->directory, DATA_FILE, committed_bytes) ||
           fail_short(store);
}

static bool open_environment(struct store *store, const char *path, unsigned flags)
{
    int code = mdb_env_create(&store->environment);
    if (code != 0)
        return store_fail_lmdb(store, "start LMDB", code);
    uint64_t map_bytes = (store->max_bytes + store->max_bytes / 4) / 65536 * 65536;
    mdb_env_set_maxdbs(store->environment, TABLE_COUNT + 8);
    if (map_bytes > SIZE_MAX / 2)
        return store_fail(store, "store.max_bytes is too large for this machine", "lower it");
    code = mdb_env_set_mapsize(store->environment, (size_t)map_bytes);
    if (code != 0)
        return store_fail_lmdb(store, "set the size of its map", code);
    /* NOTLS: restore and commits run in different threads. NOMETASYNC comes with open_content; never NOSYNC
     * or WRITEMAP. */
    code = mdb_env_open(store->environment, path, MDB_NOTLS | flags, 0600);
    if (code != 0)
        return store_fail_lmdb(store, "open its files", code);
    int dead;
    code = mdb_reader_check(store->environment, &dead);
    return code == 0 || store_fail_lmdb(store, "check its readers", code);
}

static bool open_content(struct store *store, const char *role, uint64_t file_bytes, bool was_short)
{
    if (!store_begin(store, true))
        return false;
    if (!open_tables(store))
        return was_short ? fail_short(store) : false;
    if (was_short && file_bytes < used_bytes(store))
        return fail_short(store);
    note_max_bytes(store);
    /* What is read now is perhaps in memory only, and behind a sync that failed no later sync writes it. So
     * this transaction changes something, and its meta page is written and flushed at once. */
    if (!check_own(store, role) || !store_end(store))
        return false;
    store->unsynced = false;
    mdb_env_set_flags(store->environment, MDB_NOMETASYNC, 1); /* from now on: see store_sync */
    return store_directory_sync(&store->directory) || store_fail_lmdb(store, "sync its directory", errno);
}

/* A new store is made beside its place and goes there whole and synced: what a crash leaves of its making is
 * never opened. */
static bool make_files(struct store *store, const char *role)
{
    static const char name[] = "data.new", lock[] = "data.new-lock";
    char path[sizeof store->directory.path + sizeof name + 1];
    snprintf(path, sizeof path, "%s/%s", store->directory.path, name);
    store_directory_remove(&store->directory, name);
    store_directory_remove(&store->directory, lock);
    if (!open_environment(store, path, MDB_NOSUBDIR) || !store_begin(store, true) || !open_tables(store) ||
        !put_own(store, role) || !store_end(store))
        return false;
    mdb_env_close(store->environment);
    store->environment = NULL;
    store_directory_remove(&store->directory, lock);
    return store_directory_rename(&store->directory, name, DATA_FILE) ||
           store_fail_lmdb(store, "put its file in place", errno);
}

/* A refused store is left as it was found. */
static bool open_files(struct store *store, const char *role)
{
    uint64_t file_bytes;
    bool was_short;
    bool is_new = !store_directory_file_bytes(&store->directory, DATA_FILE, &file_bytes) && errno == ENOENT;
    if ((is_new && !make_files(store, role)) || !open_environment(store, store->directory.path, 0) ||
        !lengthen_file(store, &file_bytes, &was_short))
        return false;
    if (open_content(store, role, file_bytes, was_short))
        return true;
    store_abort(store);
    if (was_short)
        store_directory_resize(&store->directory, DATA_FILE, file_bytes);
    return false;
}

bool store_open(const struct store_options *options, struct store **ret_store,
                struct store_problem *ret_problem)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        snprintf(ret_problem->text, sizeof ret_problem->text, "no memory to open a store");
        return false;
    }
    store->directory.lock = -1;
    store->max_bytes = options->max_bytes < STORE_BYTES_MIN ? STORE_BYTES_MIN : options->max_bytes;
    if (store_directory_open(options->data, &store->directory, store->problem.text,
                             sizeof store->problem.text) &&
        open_files(store, options->role)) {
        *ret_store = store;
        return true;
    }
    *ret_problem = store->problem;
    store_close(store);
    return false;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    store_abort(store);
    if (store->environment != NULL)
        mdb_env_close(store->environment);
    store_directory_close(&store->directory);
    free(store->scratch);
    free(store);
}
