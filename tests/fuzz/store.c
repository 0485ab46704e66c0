/* store.c - fuzz target: records in LMDB, some of them damaged below the store's feet.
 *
 * The script puts records and then changes what lies on the disk: bytes of sealed values, whole values, keys.
 * What is delivered or fetched is what was put, or the store says what is damaged; it never gives anything
 * else. The directory is made once, in memory where there is such a place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/lmdb_parts_io.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/input.h"

enum { RECORDS_MAX = 12, CHANGES_MAX = 6, CONTENT_MAX = 20000, VALUE_MAX = 5000, NUMBERS = 6 };

static struct record {
    enum table table;
    uint64_t number;
    uint32_t part;
    size_t size;
    uint8_t content[CONTENT_MAX];
} records[RECORDS_MAX];
static uint32_t record_count;
static struct store *store;
static char directory[64];

static const enum table tables[] = {TABLE_STATES, TABLE_GRANTS, TABLE_ATTEMPTS, TABLE_SPOOL};

/* ---- the directory ---- */

static void remove_directory(void)
{
    static const char *const files[] = {"/store/data.mdb", "/store/lock.mdb", "/store/lock", "/store", ""};
    char path[128];
    store_close(store);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s%s", directory, files[i]);
        remove(path);
    }
}

static void open_once(void)
{
    struct store_problem problem;
    struct stat memory;
    if (store != NULL)
        return;
    bool in_memory = stat("/dev/shm", &memory) == 0 && access("/dev/shm", W_OK) == 0;
    snprintf(directory, sizeof directory, "%s/meridian-fuzz-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
    check(mkdtemp(directory) != NULL, "there is room for a store");
    struct store_options options = {.data = directory, .role = "broker", .max_bytes = 16 << 20};
    check(store_open(&options, &store, &problem), "an empty store is opened");
    atexit(remove_directory);
}

/* ---- what the script does ---- */

static bool fill(void *context, uint8_t *to, size_t size)
{
    memcpy(to, context, size);
    return true;
}

static struct record *find(enum table table, uint64_t number, uint32_t part)
{
    for (uint32_t i = 0; i < record_count; i++)
        if (records[i].table == table && records[i].number == number && records[i].part == part)
            return &records[i];
    return NULL;
}

static void put(struct input *input)
{
    uint32_t byte = take_byte(input);
    enum table table = tables[byte & 3];
    uint64_t number = 1 + (byte >> 2 & 7) % NUMBERS;
    uint32_t part = table == TABLE_ATTEMPTS ? byte >> 5 & 3 : 0;
    size_t size = take_number(input) % CONTENT_MAX;
    struct bytes pattern = take_run(input, 255);
    struct record *record = find(table, number, part);
    if (record == NULL)
        record = &records[record_count++];
    *record = (struct record){.table = table, .number = number, .part = part, .size = size};
    for (size_t i = 0; i < size && pattern.size != 0; i++)
        record->content[i] = pattern.data[i % pattern.size];
    check(store_put(store, table, number, part, size, fill, record->content), "a record is put");
}

/* The `nth` entry of a table, or what comes after the last: a place for a new one. */
static void change(struct input *input)
{
    uint8_t key_bytes[CHUNK_KEY_BYTES + 2] = {0}, bytes[VALUE_MAX];
    uint32_t byte = take_byte(input), nth = byte >> 2 & 7, how = byte >> 5;
    MDB_dbi table = store->tables[tables[byte & 3]];
    MDB_cursor *cursor;
    MDB_val key, value;
    check(mdb_cursor_open(store->transaction, table, &cursor) == 0, "a table can be walked");
    int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (code == 0 && nth-- > 0)
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    bool found = code == 0 && value.mv_size > 0 && value.mv_size <= VALUE_MAX;
    if (found) {
        memcpy(bytes, value.mv_data, value.mv_size);
        memcpy(key_bytes, key.mv_data, key.mv_size);
    }
    mdb_cursor_close(cursor);
    key.mv_data = key_bytes;
    value.mv_data = bytes;
    if (how == 0 || how == 1) { /* an entry of which every byte is the script's */
        struct bytes name = take_run(input, sizeof key_bytes), run = take_run(input, 255);
        key.mv_size = name.size;
        value.mv_size = run.size;
        memcpy(key_bytes, name.data, name.size);
        memcpy(bytes, run.data, run.size);
        found = name.size > 0;
    } else if (found && how == 2) {
        check(mdb_del(store->transaction, table, &key, NULL) == 0, "an entry can be taken away");
        found = false;
    } else if (found && how == 3) {
        value.mv_size = (take_number(input) + 1) % (value.mv_size + 1);
    } else if (found && how == 4 && value.mv_size + 8 < VALUE_MAX) {
        memset(bytes + value.mv_size, 0, 8);
        value.mv_size += 1 + take_below(input, 8);
    } else if (found) {
        bytes[(take_number(input) + (how == 5 ? 0 : value.mv_size / 2)) % value.mv_size] ^=
            (uint8_t)(1 + take_below(input, 255));
    }
    if (found)
        check(mdb_put(store->transaction, table, &key, &value, 0) == 0, "an entry can be changed");
}

/* ---- what the store says ---- */

static uint32_t delivered;

static void deliver(void *context, enum table table, uint64_t number, uint32_t part, struct bytes value)
{
    (void)context;
    const struct record *record = find(table, number, part);
    check(record != NULL && bytes_equal(value, (struct bytes){record->content, record->size}),
          "what is delivered is what was put");
    delivered++;
}

static void check_problem(void)
{
    check(strstr(store_problem(store), "damaged") != NULL, "a store that refuses says what is damaged");
}

static void fetch_all(bool damaged)
{
    static uint8_t bytes[CONTENT_MAX];
    for (uint32_t i = 0; i < record_count; i++) {
        const struct record *record = &records[i];
        check(store_begin(store, false), "a store can be read");
        if (store_get(store, record->table, record->number, record->part, bytes, record->size)) {
            check(bytes_equal((struct bytes){bytes, record->size},
                              (struct bytes){record->content, record->size}),
                  "what is fetched is what was put");
        } else {
            check(damaged, "what nobody damaged can be fetched");
            check_problem();
        }
        store_abort(store);
    }
}

static void empty_tables(void)
{
    check(store_begin(store, true), "a store can be written");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        check(mdb_drop(store->transaction, store->tables[tables[i]], 0) == 0, "a table can be emptied");
        store->last[tables[i]].size = 0;
    }
    check(store_end(store), "an empty store is committed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    record_count = delivered = 0;
    open_once();
    empty_tables();
    check(store_begin(store, true), "a store can be written");
    uint32_t puts = 1 + take_below(&input, RECORDS_MAX), changes = take_below(&input, CHANGES_MAX);
    for (uint32_t i = 0; i < puts && !input_is_over(&input); i++)
        put(&input);
    check(store_end(store) && store_begin(store, true), "records are committed");
    for (uint32_t i = 0; i < changes; i++)
        change(&input);
    check(store_end(store), "the changes are committed");
    uint32_t restorable = 0;
    for (uint32_t i = 0; i < record_count; i++)
        restorable += table_is_restored(records[i].table);
    if (store_restore(store, deliver, NULL)) {
        check(changes > 0 || delivered == restorable, "what was put is restored");
    } else {
        check(changes > 0, "what nobody damaged is restored");
        check_problem();
    }
    fetch_all(changes > 0);
    return 0;
}
