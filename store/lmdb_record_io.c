/* lmdb_record_io.c - records in LMDB: seal, cut into chunks, put, get, erase, scan.
 *
 * A key is 12 bytes, number and part big-endian; chunk n > 0 of a long value has n in two more bytes behind
 * them, so that chunks follow their head and a number's parts stay together. LMDB puts what passes 2,038
 * bytes on pages of its own: a chunk is made to fill one, because runs of several free pages are slow to
 * find. */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "proto/assert.h"
#include "store/lmdb_parts_io.h"

enum {
    SEAL_VERSION = 1,
    SEAL_LONG = 0x80,        /* flag in the version byte: the total size follows the CRC */
    SEAL_BYTES = 5,          /* version, CRC u32 */
    SEAL_LONG_BYTES = 9,     /* version, CRC u32, total size u32 */
    INLINE_BYTES_MAX = 1900, /* content of a record in one piece */
    CHUNK_BYTES = 4000,
    CHUNKS_MAX = 65535,
};

_Static_assert(STORE_VALUE_BYTES_MAX / CHUNK_BYTES < CHUNKS_MAX, "a chunk's number has 16 bits");

/* ---- keys and seals ---- */

static void put_be(uint8_t *to, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--, value >>= 8)
        to[i] = (uint8_t)value;
}

static uint64_t get_be(const uint8_t *from, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

static struct key key_make(uint64_t number, uint32_t part)
{
    struct key key = {.size = KEY_BYTES};
    put_be(key.bytes, number, 8);
    put_be(key.bytes + 8, part, 4);
    return key;
}

static void key_set_chunk(struct key *key, uint32_t chunk)
{
    ASSERT(chunk > 0 && chunk <= CHUNKS_MAX);
    put_be(key->bytes + KEY_BYTES, chunk, 2);
    key->size = CHUNK_KEY_BYTES;
}

static int key_compare(const struct key *a, const struct key *b)
{
    size_t common = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->bytes, b->bytes, common);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static MDB_val key_value(const struct key *key)
{
    return (MDB_val){.mv_size = key->size, .mv_data = (void *)(uintptr_t)key->bytes};
}

/* Table and key are part of the sum: a sound record in the wrong place is damage too. */
static uint32_t seal_crc(enum table table, const struct key *key, const uint8_t *value, size_t size)
{
    const uint8_t name = (uint8_t)table;
    uLong crc = crc32(0, &name, 1);
    crc = crc32(crc, key->bytes, KEY_BYTES);
    return (uint32_t)crc32_z(crc, value, size);
}

static bool fail_record(struct store *store, enum table table, const struct key *key, const char *what)
{
    uint64_t number = 0;
    uint32_t part = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | key->bytes[i];
    for (int i = 8; i < KEY_BYTES; i++)
        part = part << 8 | key->bytes[i];
    char text[160];
    snprintf(text, sizeof text, "record %s %llu/%u is damaged: %s", table_text(table),
             (unsigned long long)number, part, what);
    return store_fail(store, text, "restore a backup, or move the directory away to start empty");
}

/* ---- put ---- */

/* Room for one LMDB value; `ret_to` points into the page until the next change. */
static bool reserve(struct store *store, enum table table, const struct key *key, size_t size,
                    uint8_t **ret_to)
{
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    bool append = store->last[table].size == 0 || key_compare(key, &store->last[table]) > 0;
    MDB_val name = key_value(key);
    MDB_val value = {.mv_size = size};
    int code = mdb_cursor_put(cursor, &name, &value, MDB_RESERVE | (append ? MDB_APPEND : 0));
    if (code != 0)
        return store_fail_lmdb(store, "put a record", code);
    if (append)
        store->last[table] = *key;
    *ret_to = value.mv_data;
    return true;
}

/* The chunks of a long value that is about to be replaced; a short one is overwritten in place. */
static bool erase_chunks(struct store *store, enum table table, const struct key *head)
{
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    MDB_val name = key_value(head);
    MDB_val value;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_KEY);
    if (code == MDB_NOTFOUND)
        return true;
    bool is_long = code == 0 && value.mv_size > 0 && (*(const uint8_t *)value.mv_data & SEAL_LONG) != 0;
    if (code == 0 && !is_long)
        return true;
    while (code == 0 && name.mv_size >= KEY_BYTES && memcmp(name.mv_data, head->bytes, KEY_BYTES) == 0) {
        code = mdb_cursor_del(cursor, 0);
        if (code == 0)
            code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    return code == 0 || code == MDB_NOTFOUND || store_fail_lmdb(store, "erase a record", code);
}

static bool take_scratch(struct store *store, size_t size)
{
    if (size <= store->scratch_size)
        return true;
    uint8_t *scratch = realloc(store->scratch, size);
    if (scratch == NULL)
        return store_fail(store, "no memory for a long record", "free memory and start again");
    store->scratch = scratch;
    store->scratch_size = size;
    return true;
}

static bool put_long(struct store *store, enum table table, struct key *key, size_t size)
{
    uint32_t crc = seal_crc(table, key, store->scratch, size);
    size_t done = 0;
    for (uint32_t chunk = 0; done < size; chunk++) {
        size_t head = chunk == 0 ? SEAL_LONG_BYTES : 0;
        size_t piece = size - done < CHUNK_BYTES - head ? size - done : CHUNK_BYTES - head;
        uint8_t *to;
        if (chunk != 0)
            key_set_chunk(key, chunk);
        if (!reserve(store, table, key, head + piece, &to))
            return false;
        if (chunk == 0) {
            to[0] = SEAL_VERSION | SEAL_LONG;
            put_be(to + 1, crc, 4);
            put_be(to + SEAL_BYTES, size, 4);
        }
        memcpy(to + head, store->scratch + done, piece);
        done += piece;
    }
    return true;
}

static bool put(struct store *store, enum table table, struct key key, size_t size, store_fill content,
                void *context)
{
    bool may_exist = store->last[table].size != 0 && key_compare(&key, &store->last[table]) <= 0;
    if (may_exist && !erase_chunks(store, table, &key))
        return false;
    if (size > INLINE_BYTES_MAX) {
        if (!take_scratch(store, size))
            return false;
        if (!content(context, store->scratch, size))
            return store_fail(store, "a value could not be put together", "report this");
        return put_long(store, table, &key, size);
    }
    uint8_t *to;
    if (!reserve(store, table, &key, SEAL_BYTES + size, &to))
        return false;
    if (!content(context, to + SEAL_BYTES, size))
        return store_fail(store, "a value could not be put together", "report this");
    to[0] = SEAL_VERSION;
    put_be(to + 1, seal_crc(table, &key, to + SEAL_BYTES, size), 4);
    return true;
}

bool store_put(struct store *store, enum table table, uint64_t number, uint32_t part, size_t size,
               store_fill content, void *context)
{
    ASSERT(store->transaction != NULL && store->writes);
    ASSERT(table < TABLE_COUNT);
    ASSERT(size <= STORE_VALUE_BYTES_MAX);
    ASSERT(table != TABLE_META || number != 0);
    ASSERT(part != PART_ALL);
    return put(store, table, key_make(number, part), size, content, context);
}

static bool fill_bytes(void *context, uint8_t *to, size_t size)
{
    const struct bytes *bytes = context;
    ASSERT(bytes->size == size);
    memcpy(to, bytes->data, size);
    return true;
}

bool store_put_own(struct store *store, struct bytes content)
{
    ASSERT(content.size <= INLINE_BYTES_MAX);
    return put(store, TABLE_META, key_make(0, 0), content.size, fill_bytes, &content);
}

/* ---- get ---- */

/* The head of a record: its total size and CRC, and the piece of content in this chunk. */
struct head {
    uint32_t crc;
    size_t size;
    struct bytes piece;
};

static bool head_read(struct store *store, enum table table, const struct key *key, MDB_val value,
                      struct head *ret_head)
{
    const uint8_t *from = value.mv_data;
    if (value.mv_size < SEAL_BYTES)
        return fail_record(store, table, key, "shorter than its seal");
    bool is_long = (from[0] & SEAL_LONG) != 0;
    if ((from[0] & ~SEAL_LONG) != SEAL_VERSION)
        return fail_record(store, table, key, "unknown version");
    size_t seal = is_long ? SEAL_LONG_BYTES : SEAL_BYTES;
    if (value.mv_size < seal)
        return fail_record(store, table, key, "shorter than its seal");
    ret_head->crc = (uint32_t)get_be(from + 1, 4);
    ret_head->piece = (struct bytes){from + seal, value.mv_size - seal};
    ret_head->size = is_long ? get_be(from + SEAL_BYTES, 4) : ret_head->piece.size;
    if (ret_head->size < ret_head->piece.size || ret_head->size > STORE_VALUE_BYTES_MAX)
        return fail_record(store, table, key, "a size that cannot be");
    return true;
}

/* Copy the chunks behind the cursor's head to `to`, all of `head->size` bytes. */
static bool gather(struct store *store, enum table table, MDB_cursor *cursor, const struct key *key,
                   const struct head *head, uint8_t *to)
{
    memcpy(to, head->piece.data, head->piece.size);
    size_t done = head->piece.size;
    struct key chunk_key = *key;
    for (uint32_t chunk = 1; done < head->size; chunk++) {
        MDB_val name;
        MDB_val value;
        key_set_chunk(&chunk_key, chunk);
        int code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
        if (code != 0 && code != MDB_NOTFOUND)
            return store_fail_lmdb(store, "read a record", code);
        if (code != 0 || name.mv_size != chunk_key.size ||
            memcmp(name.mv_data, chunk_key.bytes, chunk_key.size) != 0)
            return fail_record(store, table, key, "a chunk is missing");
        if (value.mv_size > head->size - done || value.mv_size == 0)
            return fail_record(store, table, key, "a chunk of another size");
        memcpy(to + done, value.mv_data, value.mv_size);
        done += value.mv_size;
    }
    return true;
}

/* All parts of a number, one behind the other: together `size` bytes. */
static bool get_all(struct store *store, enum table table, uint64_t number, uint8_t *to, size_t size)
{
    struct key first = key_make(number, 0);
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    MDB_val name = key_value(&first);
    MDB_val value;
    size_t done = 0;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    while (code == 0 && name.mv_size == KEY_BYTES && memcmp(name.mv_data, first.bytes, 8) == 0) {
        struct key key = key_make(number, (uint32_t)get_be((const uint8_t *)name.mv_data + 8, 4));
        struct head head;
        if (!head_read(store, table, &key, value, &head))
            return false;
        if (head.size > size - done)
            return fail_record(store, table, &key, "its parts are larger than its node remembers");
        if (!gather(store, table, cursor, &key, &head, to + done))
            return false;
        if (seal_crc(table, &key, to + done, head.size) != head.crc)
            return fail_record(store, table, &key, "its checksum is wrong");
        done += head.size;
        code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    if (code != 0 && code != MDB_NOTFOUND)
        return store_fail_lmdb(store, "read a record", code);
    return done == size || fail_record(store, table, &first, "its parts are smaller than its node remembers");
}

bool store_get(struct store *store, enum table table, uint64_t number, uint32_t part, uint8_t *to,
               size_t size)
{
    ASSERT(table < TABLE_COUNT);
    if (part == PART_ALL)
        return get_all(store, table, number, to, size);
    struct key key = key_make(number, part);
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    MDB_val name = key_value(&key);
    MDB_val value;
    struct head head;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_KEY);
    if (code == MDB_NOTFOUND)
        return fail_record(store, table, &key, "it is missing");
    if (code != 0)
        return store_fail_lmdb(store, "read a record", code);
    if (!head_read(store, table, &key, value, &head))
        return false;
    if (head.size != size)
        return fail_record(store, table, &key, "it has another size than its node remembers");
    if (!gather(store, table, cursor, &key, &head, to))
        return false;
    return seal_crc(table, &key, to, size) == head.crc ||
           fail_record(store, table, &key, "its checksum is wrong");
}

bool store_get_own(struct store *store, uint8_t *to, size_t max, size_t *ret_size)
{
    struct key key = key_make(0, 0);
    MDB_cursor *cursor;
    if (!store_cursor(store, TABLE_META, &cursor))
        return false;
    MDB_val name = key_value(&key);
    MDB_val value;
    struct head head;
    *ret_size = 0;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_KEY);
    if (code == MDB_NOTFOUND)
        return true;
    if (code != 0)
        return store_fail_lmdb(store, "read a record", code);
    if (!head_read(store, TABLE_META, &key, value, &head))
        return false;
    if (head.size != head.piece.size || head.size > max)
        return fail_record(store, TABLE_META, &key, "it has a size that this version never wrote");
    if (seal_crc(TABLE_META, &key, head.piece.data, head.size) != head.crc)
        return fail_record(store, TABLE_META, &key, "its checksum is wrong");
    memcpy(to, head.piece.data, head.size);
    *ret_size = head.size;
    return true;
}

/* ---- erase ---- */

bool store_erase(struct store *store, enum table table, uint64_t number)
{
    ASSERT(store->transaction != NULL && store->writes);
    ASSERT(table < TABLE_COUNT && (table != TABLE_META || number != 0));
    struct key first = key_make(number, 0);
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    MDB_val name = key_value(&first);
    MDB_val value;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    while (code == 0 && name.mv_size >= KEY_BYTES && memcmp(name.mv_data, first.bytes, 8) == 0) {
        code = mdb_cursor_del(cursor, 0);
        /* After a deletion MDB_NEXT gives the entry that moved into its place. */
        if (code == 0)
            code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    return code == 0 || code == MDB_NOTFOUND || store_fail_lmdb(store, "erase a record", code);
}

/* ---- restore ---- */

static bool restore_record(struct store *store, enum table table, MDB_cursor *cursor, MDB_val name,
                           MDB_val value, store_deliver deliver, void *context)
{
    struct key key = {.size = name.mv_size < CHUNK_KEY_BYTES ? name.mv_size : CHUNK_KEY_BYTES};
    memcpy(key.bytes, name.mv_data, key.size);
    struct head head;
    if (name.mv_size != KEY_BYTES)
        return fail_record(store, table, &key, "a chunk without its head");
    if (!head_read(store, table, &key, value, &head))
        return false;
    struct bytes content = head.piece;
    if (head.size > head.piece.size) {
        if (!take_scratch(store, head.size) || !gather(store, table, cursor, &key, &head, store->scratch))
            return false;
        content = (struct bytes){store->scratch, head.size};
    }
    if (seal_crc(table, &key, content.data, content.size) != head.crc)
        return fail_record(store, table, &key, "its checksum is wrong");
    uint64_t number = get_be(key.bytes, 8);
    if (deliver != NULL && (table != TABLE_META || number != 0))
        deliver(context, table, number, (uint32_t)get_be(key.bytes + 8, 4), content);
    return true;
}

static bool restore_table(struct store *store, enum table table, store_deliver deliver, void *context)
{
    MDB_cursor *cursor;
    if (!store_cursor(store, table, &cursor))
        return false;
    MDB_val name;
    MDB_val value;
    int code = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
    while (code == 0) {
        if (!restore_record(store, table, cursor, name, value, deliver, context))
            return false;
        code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    return code == MDB_NOTFOUND || store_fail_lmdb(store, "read a table", code);
}

bool store_restore(struct store *store, store_deliver deliver, void *context)
{
    if (!store_begin(store, false))
        return false;
    bool restored = true;
    for (int table = 0; table < TABLE_COUNT && restored; table++)
        if (table_is_restored((enum table)table))
            restored = restore_table(store, (enum table)table, deliver, context);
    store_abort(store);
    return restored;
}
