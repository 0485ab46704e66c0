/* lmdb_io.c - the store on a real disk: records of any length, restart, refusal, free space. */
#include "store/lmdb_io.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/lmdb_parts_io.h"

enum { MAX_BYTES = 64 * 1024 * 1024 };

static char data[64];
static struct store *store;
static struct store_problem problem;

static struct store_options options_of(const char *role)
{
    return (struct store_options){.data = data, .role = role, .max_bytes = MAX_BYTES};
}

static void open_again(void)
{
    store_close(store);
    store = NULL;
    struct store_options options = options_of("broker");
    cr_assert(store_open(&options, &store, &problem), "%s", problem.text);
}

static void setup(void)
{
    strcpy(data, "/tmp/meridian-store-XXXXXX");
    cr_assert_not_null(mkdtemp(data));
    open_again();
}

static void teardown(void)
{
    char command[128];
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", data);
    cr_assert_eq(system(command), 0);
}

TestSuite(store, .init = setup, .fini = teardown);

/* A value of `size` bytes that only this seed has. */
struct pattern {
    uint8_t seed;
};

static bool fill_pattern(void *context, uint8_t *to, size_t size)
{
    const struct pattern *pattern = context;
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(pattern->seed + i * 7 + (i >> 8));
    return true;
}

static void put(enum table table, uint64_t number, uint32_t part, size_t size, uint8_t seed)
{
    struct pattern pattern = {seed};
    cr_assert(store_put(store, table, number, part, size, fill_pattern, &pattern), "%s",
              store_problem(store));
}

static void begin(void)
{
    cr_assert(store_begin(store, true), "%s", store_problem(store));
}

static void end(void)
{
    cr_assert(store_end(store), "%s", store_problem(store));
}

static bool holds(enum table table, uint64_t number, uint32_t part, size_t size, uint8_t seed)
{
    struct pattern pattern = {seed};
    uint8_t *want = malloc(size + 1);
    uint8_t *have = malloc(size + 1);
    fill_pattern(&pattern, want, size);
    bool same = store_get(store, table, number, part, have, size) && memcmp(want, have, size) == 0;
    free(want);
    free(have);
    return same;
}

static bool holds_now(enum table table, uint64_t number, uint32_t part, size_t size, uint8_t seed)
{
    cr_assert(store_begin(store, false));
    bool same = holds(table, number, part, size, seed);
    cr_assert(store_end(store));
    return same;
}

/* What a restart delivers. */
struct delivery {
    uint32_t count;
    uint64_t numbers[64];
    uint32_t parts[64];
    enum table tables[64];
    size_t sizes[64];
    uint64_t sum;
};

static void deliver(void *context, enum table table, uint64_t number, uint32_t part, struct bytes value)
{
    struct delivery *delivery = context;
    if (delivery->count < 64) {
        delivery->tables[delivery->count] = table;
        delivery->numbers[delivery->count] = number;
        delivery->parts[delivery->count] = part;
        delivery->sizes[delivery->count] = value.size;
    }
    for (size_t i = 0; i < value.size; i++)
        delivery->sum += value.data[i];
    delivery->count++;
}

/* Entries of a table as LMDB counts them, hidden chunks included. */
static size_t entries(enum table table)
{
    MDB_stat stat;
    cr_assert(store_begin(store, false));
    cr_assert_eq(mdb_stat(store->transaction, store->tables[table], &stat), 0);
    cr_assert(store_end(store));
    return stat.ms_entries;
}

Test(store, values_of_every_length_come_back_after_a_restart)
{
    static const size_t sizes[] = {0,    1,    100,  1899, 1900,   1901,   3990,   3991,
                                   3992, 4000, 7991, 7992, 100000, 262144, 1048576};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    begin();
    for (uint64_t i = 0; i < COUNT; i++)
        put(TABLE_ENVELOPES, i + 1, 0, sizes[i], (uint8_t)i);
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert(holds(TABLE_ENVELOPES, i + 1, 0, sizes[i], (uint8_t)i), "before commit, size %zu",
                  sizes[i]);
    end();
    open_again();
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert(holds_now(TABLE_ENVELOPES, i + 1, 0, sizes[i], (uint8_t)i), "size %zu: %s", sizes[i],
                  store_problem(store));
}

Test(store, restore_delivers_the_restored_tables_in_order_and_not_the_format)
{
    begin();
    put(TABLE_SPOOL, 9, 0, 5000, 1);
    put(TABLE_STATES, 300, 0, 40, 2);
    put(TABLE_STATES, 2, 0, 40, 3);
    put(TABLE_GRANTS, 1, 0, 30000, 4);
    put(TABLE_META, 1, 0, 24, 5);
    put(TABLE_ENVELOPES, 2, 0, 50, 6);
    put(TABLE_ATTEMPTS, 2, 1, 50, 6);
    end();
    open_again();
    struct delivery delivery = {0};
    cr_assert(store_restore(store, deliver, &delivery), "%s", store_problem(store));
    static const struct {
        enum table table;
        uint64_t number;
        size_t size;
    } want[] = {
        {TABLE_META, 1, 24},      {TABLE_STATES, 2, 40},  {TABLE_STATES, 300, 40},
        {TABLE_GRANTS, 1, 30000}, {TABLE_SPOOL, 9, 5000},
    };
    cr_assert_eq(delivery.count, sizeof want / sizeof *want);
    for (uint32_t i = 0; i < delivery.count; i++) {
        cr_assert_eq(delivery.tables[i], want[i].table);
        cr_assert_eq(delivery.numbers[i], want[i].number);
        cr_assert_eq(delivery.sizes[i], want[i].size);
    }
}

Test(store, an_uncommitted_transaction_leaves_no_trace)
{
    begin();
    put(TABLE_STATES, 1, 0, 10, 1);
    open_again();
    struct delivery delivery = {0};
    cr_assert(store_restore(store, deliver, &delivery));
    cr_assert_eq(delivery.count, 0);
}

Test(store, a_value_is_replaced_whatever_the_lengths)
{
    static const size_t sizes[] = {20000, 50, 9000, 9001, 40000, 0, 1900, 1901, 4001, 3991, 12};
    begin();
    put(TABLE_OUTCOMES, 7, 0, 10, 100);
    put(TABLE_OUTCOMES, 8, 0, 9000, 101);
    end();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        begin();
        put(TABLE_OUTCOMES, 7, 0, sizes[i], (uint8_t)i);
        end();
        cr_assert(holds_now(TABLE_OUTCOMES, 7, 0, sizes[i], (uint8_t)i), "size %zu", sizes[i]);
        cr_assert(holds_now(TABLE_OUTCOMES, 8, 0, 9000, 101));
    }
    cr_assert_eq(entries(TABLE_OUTCOMES), 1 + 3, "no chunk of an older value stays behind");
}

Test(store, erase_takes_all_parts_and_chunks_of_a_number_and_nothing_else)
{
    begin();
    for (uint64_t number = 1; number <= 3; number++)
        for (uint32_t part = 0; part < 400; part++)
            put(TABLE_ATTEMPTS, number, part, part % 50 == 0 ? 9000 : 60, (uint8_t)(number + part));
    end();
    begin();
    cr_assert(store_erase(store, TABLE_ATTEMPTS, 2));
    cr_assert(store_erase(store, TABLE_ATTEMPTS, 77), "none there is no error");
    end();
    for (uint32_t part = 0; part < 400; part++) {
        size_t size = part % 50 == 0 ? 9000 : 60;
        cr_assert(holds_now(TABLE_ATTEMPTS, 1, part, size, (uint8_t)(1 + part)));
        cr_assert(holds_now(TABLE_ATTEMPTS, 3, part, size, (uint8_t)(3 + part)));
    }
    cr_assert_eq(entries(TABLE_ATTEMPTS), 2 * (400 + 8 * 2));
    begin();
    cr_assert(store_erase(store, TABLE_ATTEMPTS, 1));
    cr_assert(store_erase(store, TABLE_ATTEMPTS, 3));
    end();
    cr_assert_eq(entries(TABLE_ATTEMPTS), 0);
}

Test(store, all_parts_of_a_number_are_read_one_behind_the_other)
{
    uint8_t have[60 + 9000 + 40], want[60 + 9000 + 40];
    struct pattern first = {1}, second = {2}, third = {3};
    fill_pattern(&first, want, 60);
    fill_pattern(&second, want + 60, 9000);
    fill_pattern(&third, want + 9060, 40);
    begin();
    put(TABLE_ATTEMPTS, 1, 0, 50, 9);
    put(TABLE_ATTEMPTS, 2, 0, 60, 1);
    put(TABLE_ATTEMPTS, 2, 1, 9000, 2);
    put(TABLE_ATTEMPTS, 2, 7, 40, 3);
    put(TABLE_ATTEMPTS, 3, 0, 50, 9);
    cr_assert(store_get(store, TABLE_ATTEMPTS, 2, PART_ALL, have, sizeof have), "%s", store_problem(store));
    cr_assert_arr_eq(have, want, sizeof want);
    cr_assert_not(store_get(store, TABLE_ATTEMPTS, 2, PART_ALL, have, sizeof have - 1));
    cr_assert_not(store_get(store, TABLE_ATTEMPTS, 4, PART_ALL, have, 50));
    end();
}

Test(store, numbers_are_appended_and_reused_below_the_last_one)
{
    begin();
    for (uint64_t number = 1; number <= 3000; number++)
        put(TABLE_STATES, number, 0, 80, (uint8_t)number);
    end();
    begin();
    for (uint64_t number = 1; number <= 3000; number++)
        cr_assert(store_erase(store, TABLE_STATES, number));
    end();
    begin();
    put(TABLE_STATES, 1500, 0, 80, 1);
    put(TABLE_STATES, 2, 0, 80, 2);
    put(TABLE_STATES, 3001, 0, 80, 3);
    end();
    open_again();
    struct delivery delivery = {0};
    cr_assert(store_restore(store, deliver, &delivery));
    cr_assert_eq(delivery.count, 3);
    cr_assert_eq(delivery.numbers[0], 2);
    cr_assert_eq(delivery.numbers[2], 3001);
}

Test(store, free_space_falls_with_records_and_rises_when_they_are_erased)
{
    begin();
    end();
    uint64_t empty = store_free_bytes(store);
    cr_assert_gt(empty, MAX_BYTES - 1024 * 1024);
    cr_assert_leq(empty, MAX_BYTES);
    uint64_t before = empty;
    for (uint64_t number = 1; number <= 16; number++) {
        begin();
        put(TABLE_ENVELOPES, number, 0, 1024 * 1024, (uint8_t)number);
        end();
        cr_assert_lt(store_free_bytes(store), before - 1024 * 1024);
        before = store_free_bytes(store);
    }
    open_again();
    cr_assert_lt(store_free_bytes(store), empty - 16 * 1024 * 1024);
    for (uint64_t number = 1; number <= 16; number++) {
        begin();
        cr_assert(store_erase(store, TABLE_ENVELOPES, number));
        end();
    }
    begin();
    put(TABLE_META, 1, 0, 8, 1);
    end();
    cr_assert_gt(store_free_bytes(store), empty - 1024 * 1024);
}

Test(store, the_file_does_not_grow_while_a_queue_moves_through_it)
{
    uint64_t file_bytes = 0;
    for (uint64_t number = 1; number <= 2000; number++) {
        begin();
        put(TABLE_ENVELOPES, number, 0, 6000, (uint8_t)number);
        if (number > 50)
            cr_assert(store_erase(store, TABLE_ENVELOPES, number - 50));
        end();
    }
    cr_assert(store_directory_file_bytes(&store->directory, "data.mdb", &file_bytes));
    cr_assert_lt(file_bytes, 8 * 1024 * 1024);
}

Test(store, a_full_map_is_an_error_with_a_way_out)
{
    struct pattern pattern = {1};
    bool full = false;
    begin();
    for (uint64_t number = 1; number <= 200 && !full; number++)
        full = !store_put(store, TABLE_ENVELOPES, number, 0, 1024 * 1024, fill_pattern, &pattern);
    cr_assert(full);
    cr_assert_not_null(strstr(store_problem(store), "raise store.max_bytes"));
    cr_assert_not_null(strstr(store_problem(store), data));
}

Test(store, what_a_crash_left_of_a_store_that_was_being_made_is_not_opened)
{
    static const char *const names[] = {"data.new", "data.new-lock"};
    char path[128];
    store_close(store);
    store = NULL;
    snprintf(path, sizeof path, "%s/store/data.mdb", data);
    cr_assert_eq(unlink(path), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/store/%s", data, names[i]);
        FILE *file = fopen(path, "w");
        cr_assert(file != NULL && fputs("half a page", file) >= 0 && fclose(file) == 0);
    }
    open_again();
    begin();
    put(TABLE_STATES, 1, 0, 100, 1);
    end();
    open_again();
    cr_assert(holds_now(TABLE_STATES, 1, 0, 100, 1));
    cr_assert_neq(access(path, F_OK), 0);
}

Test(store, files_are_private)
{
    static const char *const names[] = {"", "/data.mdb", "/lock.mdb", "/lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        struct stat status;
        snprintf(path, sizeof path, "%s/store%s", data, names[i]);
        cr_assert_eq(stat(path, &status), 0, "%s", path);
        cr_assert_eq(status.st_mode & 077, 0, "%s", path);
    }
}

/* ---- refusals: the message names the path, what is wrong and the way out ---- */

static void refuses(struct store_options options, const char *what, const char *way_out)
{
    struct store *second = NULL;
    cr_assert_not(store_open(&options, &second, &problem));
    cr_assert_null(second);
    cr_assert_not_null(strstr(problem.text, options.data), "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, what), "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, way_out), "%s", problem.text);
}

Test(store, a_store_in_use_is_refused_here_and_in_another_process)
{
    refuses(options_of("broker"), "in use by another process", "a directory of its own");
    pid_t child = fork();
    if (child == 0) {
        struct store *second = NULL;
        struct store_options options = options_of("broker");
        _exit(store_open(&options, &second, &problem) ? 1 : 0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(store, a_newer_format_is_refused)
{
    static const uint8_t newer[] = {0, 0, 0, STORE_FORMAT_VERSION + 1, 'b', 'r', 'o', 'k', 'e', 'r'};
    begin();
    cr_assert(store_put_own(store, (struct bytes){newer, sizeof newer}));
    end();
    store_close(store);
    store = NULL;
    refuses(options_of("broker"), "version 2, this program knows up to version 1", "newer program");
}

Test(store, the_store_of_another_role_is_refused)
{
    store_close(store);
    store = NULL;
    refuses(options_of("region"), "belongs to a broker, this is a region", "node.data");
}

Test(store, a_directory_that_cannot_be_made_is_refused)
{
    char file[128];
    char below[160];
    snprintf(file, sizeof file, "%s/file", data);
    snprintf(below, sizeof below, "%s/below", file);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    struct store_options options = {.data = below, .role = "broker", .max_bytes = MAX_BYTES};
    refuses(options, "Not a directory", "node.data");
    options.data = file;
    refuses(options, "is no directory", "node.data");
    snprintf(below, sizeof below, "%s/no/such", data);
    options.data = below;
    refuses(options, "No such file", "make its parent");
}

Test(store, a_file_that_is_no_store_or_was_cut_is_refused)
{
    char path[128];
    uint8_t noise[8192];
    begin();
    put(TABLE_ENVELOPES, 1, 0, 1024 * 1024, 1);
    end();
    store_close(store);
    store = NULL;
    snprintf(path, sizeof path, "%s/store/data.mdb", data);
    cr_assert_eq(truncate(path, 64 * 1024), 0);
    refuses(options_of("broker"), "cut short", "restore a backup");
    int file = open(path, O_WRONLY | O_TRUNC);
    memset(noise, 0x5a, sizeof noise);
    cr_assert_eq(write(file, noise, sizeof noise), sizeof noise);
    close(file);
    refuses(options_of("broker"), "cannot open its files", "another directory");
}

/* Flip one byte of the record behind the store's back. */
static void damage(enum table table, size_t at)
{
    MDB_cursor *cursor;
    MDB_val name;
    MDB_val value;
    uint8_t copy[8192];
    begin();
    cr_assert(store_cursor(store, table, &cursor));
    cr_assert_eq(mdb_cursor_get(cursor, &name, &value, MDB_LAST), 0);
    memcpy(copy, value.mv_data, value.mv_size);
    copy[at] ^= 0x10;
    value.mv_data = copy;
    cr_assert_eq(mdb_cursor_put(cursor, &name, &value, MDB_CURRENT), 0);
    end();
}

Test(store, a_damaged_record_is_detected_wherever_the_byte_is)
{
    static const size_t at[] = {0, 1, 4, 5, 44};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        begin();
        put(TABLE_STATES, 12, 0, 40, 1);
        end();
        damage(TABLE_STATES, at[i]);
        struct delivery delivery = {0};
        cr_assert_not(store_restore(store, deliver, &delivery));
        cr_assert_eq(delivery.count, 0);
        cr_assert_not_null(strstr(store_problem(store), "record states 12/0 is damaged"), "%s",
                           store_problem(store));
        cr_assert_not(holds_now(TABLE_STATES, 12, 0, 40, 1));
    }
}

Test(store, a_damaged_or_missing_chunk_is_detected)
{
    MDB_cursor *cursor;
    MDB_val name;
    MDB_val value;
    begin();
    put(TABLE_SPOOL, 3, 0, 9000, 1);
    end();
    damage(TABLE_SPOOL, 17);
    struct delivery delivery = {0};
    cr_assert_not(store_restore(store, deliver, &delivery));
    cr_assert_not_null(strstr(store_problem(store), "checksum"));
    begin();
    cr_assert(store_cursor(store, TABLE_SPOOL, &cursor));
    cr_assert_eq(mdb_cursor_get(cursor, &name, &value, MDB_LAST), 0);
    cr_assert_eq(mdb_cursor_del(cursor, 0), 0);
    end();
    cr_assert_not(store_restore(store, deliver, &delivery));
    cr_assert_not_null(strstr(store_problem(store), "a chunk is missing"));
}

Test(store, a_record_of_another_size_or_none_is_refused_to_a_reader)
{
    begin();
    put(TABLE_STATES, 1, 0, 40, 1);
    end();
    cr_assert_not(holds_now(TABLE_STATES, 1, 0, 41, 1));
    cr_assert_not_null(strstr(store_problem(store), "another size"));
    cr_assert_not(holds_now(TABLE_STATES, 2, 0, 40, 1));
    cr_assert_not_null(strstr(store_problem(store), "missing"));
}
