/* submit_test.c - SUBMIT: accepted, known, refused, put off. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/broker/node_fixture.h"

TestSuite(submit, .init = fixture_set_up, .fini = fixture_tear_down);

Test(submit, is_durable_before_it_is_accepted)
{
    static const struct row rows[] = {
        {"c1 submit 5", "put classes 1, put envelopes 1, put states 1, c1 ACCEPTED 5 accepted"},
        {"c1 submit 6 7", "put envelopes 2, put states 2, put envelopes 3, put states 3, "
                          "c1 ACCEPTED 6 accepted 7 accepted"},
        {0}};
    fixture.shows_writes = true;
    fixture_run(rows);
}

Test(submit, of_a_known_id_gets_the_first_answer_again)
{
    static const struct row rows[] = {{"c1 submit 5 / 5", "c1 ACCEPTED 5 accepted 5 duplicate:ready"},
                                      {"c2 submit 5", "c2 ACCEPTED 5 duplicate:ready"},
                                      {"eu up slots=1", "eu WELCOME, eu ASSIGN 5.1"},
                                      {"c1 submit 5", "c1 ACCEPTED 5 duplicate:granted"},
                                      {"eu outcome 5.1 failed", "eu SETTLED 5.1 recorded"},
                                      {"c1 submit 5", "c1 ACCEPTED 5 duplicate:failed"},
                                      {"restart", ""},
                                      {"c1 submit 5", "c1 ACCEPTED 5 duplicate:failed"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("accepted"), 0, "counters begin anew");
    cr_expect_eq(fixture_counter("duplicates"), 1);
}

Test(submit, with_another_body_is_a_conflict)
{
    static const struct row rows[] = {{"c1 submit 5", "c1 ACCEPTED 5 accepted"},
                                      {"c1 submit 5 retries=1", "c1 ACCEPTED 5 refused:conflict"},
                                      {"c1 cancel 5", "c1 CANCELLING 5 ended(cancelled)"},
                                      {"c1 submit 5 retries=1", "c1 ACCEPTED 5 refused:conflict"},
                                      {"c1 submit 5", "c1 ACCEPTED 5 duplicate:cancelled"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("conflicts"), 2);
    cr_expect_eq(fixture_counter("refused"), 2);
    cr_expect_eq(fixture_counter("submitted"), 4);
}

/* An id made by hand: UUIDv7 of `ms`. */
static void submit_of_age(uint64_t ms)
{
    uint64_t random[2] = {1, 2};
    struct task_id id = task_id_make(ms, random);
    fixture_act("go");
    struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    write_str(writer, "type");
    write_str(writer, "noop");
    fixture_client_deliver(1);
}

Test(submit, of_an_id_older_than_the_horizon_is_too_old)
{
    const uint64_t hour_ms = 3600 * 1000;
    submit_of_age(fixture.wall_ms - 25 * hour_ms);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new refused:too_old");
    submit_of_age(fixture.wall_ms - 23 * hour_ms);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new accepted");
    submit_of_age(1000);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new accepted", "no UUIDv7 was drawn in 1970: not a time");
}

Test(submit, of_too_large_a_payload_refuses_that_task_alone)
{
    static const struct row rows[] = {{"c1 submit 1 / 2 payload=101 / 3 payload=100",
                                       "c1 ACCEPTED 1 accepted 2 refused:too_large 3 accepted"},
                                      {"c1 submit 4 payload=101 id-last", "c1 ACCEPTED 4 refused:too_large"},
                                      {0}};
    fixture.options.payload_bytes_max = 100;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
    cr_expect(strstr(fixture.reason, "payload") != NULL);
}

Test(submit, with_a_fault_of_structure_is_refused_whole_with_the_index)
{
    static const struct row rows[] = {{"c1 submit 1 2 / 3 colour", "c1 ERROR unknown_field"}, {0}};
    fixture_run(rows);
    cr_expect_str_eq(fixture.reason, "tasks[2].colour: no such field of a task");
    static const struct row range[] = {{"c1 submit 1 2 / 3 retries=1001", "c1 ERROR invalid_field"}, {0}};
    fixture_run(range);
    cr_expect_str_eq(fixture.reason, "tasks[2].retries: 0 to 1000");
    static const struct row none[] = {
        {"c1 submit", "c1 ERROR malformed"}, {"c1 watch 1 2 3", "c1 PENDING unknown 1 2 3"}, {0}};
    fixture_run(none);
    cr_expect_eq(fixture_counter("submitted"), 0);
}

Test(submit, above_the_number_of_tasks_is_throttled)
{
    static const struct row rows[] = {
        {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 throttled:throttled"},
        {"c1 cancel 1", "c1 CANCELLING 1 ended(cancelled)"},
        {"c1 submit 3", "c1 ACCEPTED 3 accepted"},
        {0}};
    fixture.options.tasks_max = 2;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
    cr_expect_eq(fixture_counter("throttled"), 1);
}

Test(submit, above_the_watermark_is_refused_while_the_backlog_drains)
{
    static const struct row before[] = {
        {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"c1 cancel 1 2", "c1 CANCELLING 1 ended(cancelled) 2 ended(cancelled)"},
        {"c1 received 1", "c1 DONE"},
        {0}};
    static const struct row full[] = {
        {"c1 submit 4", "c1 ACCEPTED 4 refused:store_full"},
        {"c1 submit 3", "c1 ACCEPTED 3 duplicate:ready"},
        {"later 1", ""},
        {"c1 watch 1 2", "c1 RESULT 1 cancelled(erased) 2 cancelled(cancelled)"},
        {"eu up slots=1", "eu WELCOME, eu ASSIGN 3.1"},
        {"eu outcome 3.1 completed", "eu SETTLED 3.1 recorded"},
        {0}};
    static const struct row again[] = {{"c1 submit 4", "c1 ACCEPTED 4 accepted"}, {0}};
    fixture_run(before);
    fixture.store_free_bytes = fixture.store_max_bytes / 10;
    fixture_run(full);
    cr_expect_eq(fixture_counter("store_full"), 1);
    cr_expect_eq(fixture_counter("evicted"), 1, "what was received goes first, and only that");
    fixture.store_free_bytes = fixture.store_max_bytes / 2;
    fixture_run(again);
}

Test(submit, without_an_id_is_given_one_each)
{
    static const struct row rows[] = {{"c1 submit 1 2 no-id", "c1 ACCEPTED new accepted new accepted"},
                                      {"c1 submit 1 2 no-id", "c1 ACCEPTED new accepted new accepted"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_state_count("ready"), 4);
}

Test(submit, to_a_node_that_shuts_down_is_refused)
{
    static const struct row rows[] = {{"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"drain", ""},
                                      {"c1 submit 1 2", "c1 ACCEPTED 1 duplicate:ready 2 refused:draining"},
                                      {0}};
    fixture_run(rows);
    cr_expect(broker_done(fixture.broker));
}

/* The most tasks that fit, each of a type of its own: "t<first>" and so on. */
static void submit_classes(int first)
{
    struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, FRAME_ENTRIES_MAX);
    for (int i = first; i < first + FRAME_ENTRIES_MAX; i++) {
        char type[16];
        snprintf(type, sizeof type, "t%d", i);
        write_map(writer, 1);
        write_str(writer, "type");
        write_str(writer, type);
    }
    fixture_client_deliver(1);
}

Test(submit, of_the_most_tasks_each_of_a_new_class_fits_one_step)
{
    fixture_act("go");
    submit_classes(0);
    cr_expect_eq(fixture_state_count("ready"), FRAME_ENTRIES_MAX);
    cr_expect_eq(fixture.puts[TABLE_CLASSES], FRAME_ENTRIES_MAX);
    fixture_act("restart");
    cr_expect_eq(fixture_state_count("ready"), FRAME_ENTRIES_MAX);
}

Test(submit, names_an_unknown_field_of_the_message)
{
    struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
    write_map(writer, 1);
    write_str(writer, "jobs");
    write_array(writer, 0);
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field");
    cr_expect(strncmp(fixture.reason, "jobs: ", 6) == 0, "%s", fixture.reason);
}

Test(submit, of_an_id_older_than_one_that_was_forgotten_is_too_old)
{
    fixture.options.dedupe_ids_max = 3;
    fixture_new_broker();
    fixture_act("start");
    for (int i = 1; i <= 5; i++) {
        fixture_act("c1 submit %d", i);
        fixture_act("c1 cancel %d", i);
        fixture_act("later 1000");
    }
    cr_expect_eq(fixture_state_count("ended"), 3);
    submit_of_age(1700000000000 - 1);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new refused:too_old", "it may be one of the forgotten");
    fixture_act("restart");
    submit_of_age(1700000000000 - 1);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new refused:too_old", "and a restart does not forget that");
    submit_of_age(fixture.wall_ms);
    cr_expect_str_eq(fixture.text, "c1 ACCEPTED new accepted");
}

Test(submit, of_a_task_that_no_assign_could_carry_is_refused)
{
    fixture_act("eu up slots=2 type=command");
    struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
    const uint32_t overhead = 100;
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, 1);
    write_map(writer, 1);
    write_str(writer, "argv");
    write_array(writer, 10);
    for (uint32_t left = FRAME_BYTES_MAX - overhead; left > 0;) {
        uint32_t size = left < 128 * 1024 ? left : 128 * 1024 - 8;
        write_bin_head(writer, size);
        memset(writer->data + writer->size, 'a', size);
        writer->size += size;
        left -= size;
    }
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "eu WELCOME, c1 ACCEPTED new refused:too_large");
    cr_expect(strstr(fixture.reason, "1.25 MiB") != NULL, "%s", fixture.reason);
    fixture_act("go");
    cr_expect_str_eq(fixture.text, "");
}

Test(submit, of_more_classes_than_can_be_is_refused_for_good)
{
    fixture.options.tasks_max = 5000;
    fixture_new_broker();
    fixture_act("start");
    for (int i = 0; i < 4; i++)
        submit_classes(i * FRAME_ENTRIES_MAX);
    static const struct row rows[] = {{"c1 submit 1 type=one-more", "c1 ACCEPTED 1 refused:too_many"},
                                      {"c1 submit 2 type=t7", "c1 ACCEPTED 2 accepted"},
                                      {0}};
    fixture_run(rows);
}
