/* outcome_test.c - one entry of RESULT, read; msgpack-c writes what is read. */
#include "client/outcome.h"

#include <criterion/criterion.h>
#include <msgpack.h>

static msgpack_sbuffer buffer;
static msgpack_packer packer;

static void begin(uint32_t pairs)
{
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, pairs);
}

static void key(const char *name)
{
    msgpack_pack_str_with_body(&packer, name, strlen(name));
}

static void text(const char *name, const char *value)
{
    key(name);
    msgpack_pack_str_with_body(&packer, value, strlen(value));
}

static void binary(const char *name, const char *value)
{
    key(name);
    msgpack_pack_bin_with_body(&packer, value, strlen(value));
}

static void number(const char *name, int64_t value)
{
    key(name);
    msgpack_pack_int64(&packer, value);
}

static void flag(const char *name, bool value)
{
    key(name);
    value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer);
}

static void nil(const char *name)
{
    key(name);
    msgpack_pack_nil(&packer);
}

static struct bytes entry(void)
{
    return (struct bytes){(const uint8_t *)buffer.data, buffer.size};
}

static void write_whole(void)
{
    begin(5);
    binary("id", "0123456789abcdef");
    text("state", "failed");
    flag("dup_possible", true);
    key("of_a_later_version");
    msgpack_pack_array(&packer, 2);
    msgpack_pack_nil(&packer);
    msgpack_pack_float(&packer, 1.5f);
    key("outcome");
    msgpack_pack_map(&packer, 8);
    text("reason", "exit_status");
    text("worker", "us/w1");
    number("attempt", 3);
    number("attempts_max", 4);
    binary("fence", "cccceeeeaaaa");
    key("history");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 0);
    nil("also_later");
    key("result");
    msgpack_pack_map(&packer, 9);
    number("exit", -1);
    nil("signal");
    number("run_ms", 4000000000);
    binary("output", "out");
    binary("error", "err");
    flag("output_cut", true);
    flag("error_cut", false);
    text("message", "said");
    number("later", 1);
}

Test(outcome, is_read_whole_and_what_later_versions_add_is_skipped)
{
    struct outcome outcome;
    write_whole();
    cr_assert(outcome_read(entry(), &outcome));
    cr_assert_arr_eq(outcome.id.bytes, "0123456789abcdef", 16);
    cr_assert(bytes_are(outcome.state, "failed"));
    cr_assert(outcome.dup_possible && outcome.has_outcome && outcome.has_result);
    cr_assert(bytes_are(outcome.reason, "exit_status"));
    cr_assert(bytes_are(outcome.worker, "us/w1"));
    cr_assert_eq(outcome.attempt, 3);
    cr_assert_eq(outcome.attempts_max, 4);
    cr_assert(bytes_are(outcome.fence, "cccceeeeaaaa"));
    cr_assert_eq(outcome.history.size, 2);
    cr_assert(outcome.exited && !outcome.signalled);
    cr_assert_eq(outcome.exit_status, -1);
    cr_assert_eq(outcome.run_ms, 4000000000);
    cr_assert(bytes_are(outcome.output, "out") && bytes_are(outcome.error, "err"));
    cr_assert(outcome.output_cut && !outcome.error_cut);
    cr_assert(bytes_are(outcome.message, "said"));
    msgpack_sbuffer_destroy(&buffer);
}

Test(outcome, cut_anywhere_is_refused)
{
    struct outcome outcome;
    write_whole();
    for (size_t size = 0; size < buffer.size; size++)
        cr_assert(!outcome_read((struct bytes){(const uint8_t *)buffer.data, size}, &outcome));
    msgpack_pack_nil(&packer);
    cr_assert(!outcome_read(entry(), &outcome), "a value behind it");
    msgpack_sbuffer_destroy(&buffer);
}

Test(outcome, may_be_no_longer_kept)
{
    struct outcome outcome;
    begin(4);
    nil("outcome");
    binary("id", "0123456789abcdef");
    text("state", "cancelled");
    flag("dup_possible", false);
    cr_assert(outcome_read(entry(), &outcome));
    cr_assert(bytes_are(outcome.state, "cancelled"));
    cr_assert(!outcome.has_outcome && !outcome.has_result && !outcome.exited && !outcome.signalled);
    cr_assert_eq(outcome.reason.size + outcome.worker.size + outcome.fence.size + outcome.history.size, 0);
    msgpack_sbuffer_destroy(&buffer);
}

Test(outcome, of_a_task_whose_process_was_ended_by_a_signal)
{
    struct outcome outcome;
    begin(3);
    binary("id", "0123456789abcdef");
    text("state", "failed");
    key("outcome");
    msgpack_pack_map(&packer, 2);
    text("reason", "signal");
    key("result");
    msgpack_pack_map(&packer, 2);
    nil("exit");
    number("signal", 9);
    cr_assert(outcome_read(entry(), &outcome));
    cr_assert(outcome.signalled && !outcome.exited);
    cr_assert_eq(outcome.signal, 9);
    msgpack_sbuffer_destroy(&buffer);
}

static void refuse(void)
{
    struct outcome outcome;
    cr_assert(!outcome_read(entry(), &outcome));
    msgpack_sbuffer_destroy(&buffer);
}

Test(outcome, needs_an_id_and_a_state_of_the_right_types)
{
    begin(1);
    text("state", "failed");
    refuse();
    begin(1);
    binary("id", "0123456789abcdef");
    refuse();
    begin(2);
    binary("id", "short");
    text("state", "failed");
    refuse();
    begin(2);
    binary("id", "0123456789abcdef");
    number("state", 1);
    refuse();
    begin(3);
    binary("id", "0123456789abcdef");
    text("state", "failed");
    number("outcome", 1);
    refuse();
}
