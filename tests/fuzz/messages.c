/* messages.c - fuzz target: bytes of a peer, through every reader that a peer can reach.
 *
 * The input is a frame. What is one is read as every message there is, whatever kind it names; what is none
 * is read as a body, since a reader must not rely on others to have looked before. */
#include "proto/message.h"

#include <stdlib.h>

#include "client/outcome.h"
#include "proto/limits.h"
#include "proto/link.h"
#include "proto/task.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/oracle.h"
#include "tests/proto/golden.h"

enum { AGAIN_ROOM = 4 * 1024 * 1024, PAIRS_MAX = 64 };

static uint8_t once[AGAIN_ROOM], twice[AGAIN_ROOM];

/* What was read and written is read as the same. */
static void read_as(enum message_kind kind, struct bytes body)
{
    struct writer first, second;
    struct ask ask;
    if (kind == MESSAGE_ASK && ask_read(body, &ask) && memchr(ask.question.data, '\0', ask.question.size))
        return; /* its writer takes a C string: it is ours alone to write */
    writer_init(&first, once, sizeof once);
    writer_init(&second, twice, sizeof twice);
    if (!golden_link_again(kind, body, &first))
        return;
    check(golden_link_again(kind, writer_bytes(&first), &second), "what our writer wrote our reader takes");
    check(bytes_equal(writer_bytes(&first), writer_bytes(&second)),
          "writing what was written changes nothing");
}

static void read_entries(enum message_kind kind, struct bytes body)
{
    struct reader reader;
    reader_init(&reader, body);
    (void)read_array(&reader, PAIRS_MAX);
    uint32_t count = read_array(&reader, INVENTORY_ROWS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(&reader); i++)
        read_as(kind, read_raw(&reader));
}

/* ---- the task map ---- */

/* The same pairs the other way round, as far as it is a map. */
static bool turn_round(struct bytes map, struct writer *writer)
{
    struct bytes pairs[PAIRS_MAX];
    struct reader reader;
    reader_init(&reader, map);
    uint32_t count = read_map(&reader, PAIRS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *from = reader.at;
        (void)read_raw(&reader);
        (void)read_raw(&reader);
        pairs[i] = (struct bytes){from, (size_t)(reader.at - from)};
    }
    if (reader_failed(&reader))
        return false;
    write_map(writer, count);
    for (uint32_t i = count; i-- > 0;)
        write_raw(writer, pairs[i]);
    return true;
}

static void read_task(struct bytes map)
{
    struct task_fields fields, turned;
    struct writer writer;
    struct task_problem problem = task_parse(map, PAYLOAD_BYTES_MAX, &fields);
    if (problem.code != ERROR_NONE) {
        check(problem.reason[0] != '\0' && memchr(problem.reason, '\0', sizeof problem.reason) != NULL,
              "a refusal says why");
        return;
    }
    check(fields.type.size > 0 && fields.type.size <= NAME_BYTES_MAX, "a good task has a type");
    check(fields.payload.size <= PAYLOAD_BYTES_MAX && fields.retries <= RETRIES_MAX &&
              fields.capability_count <= CAPABILITIES_MAX && fields.delay_ms <= DURATION_MS_MAX &&
              fields.timeout_ms <= DURATION_MS_MAX && fields.deadline_ms <= DURATION_MS_MAX &&
              fields.priority < PRIORITY_COUNT,
          "a good task is within the limits");
    writer_init(&writer, once, sizeof once);
    check(turn_round(map, &writer), "a good task is a map");
    check(task_parse(writer_bytes(&writer), PAYLOAD_BYTES_MAX, &turned).code == ERROR_NONE &&
              turned.body_hash == fields.body_hash && turned.argument_count == fields.argument_count &&
              turned.retries == fields.retries && bytes_equal(turned.type, fields.type),
          "the order of a task's fields says nothing");
}

static void read_tasks(struct bytes body)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        (void)read_raw(&reader);
        struct bytes value = read_raw(&reader);
        struct reader tasks;
        reader_init(&tasks, value);
        uint32_t count = read_array(&tasks, FRAME_ENTRIES_MAX);
        for (uint32_t task = 0; task < count && !reader_failed(&tasks); task++) {
            struct bytes map = read_raw(&tasks);
            if (map.size != 0)
                read_task(map);
        }
    }
}

/* ---- all ---- */

static void read_all(struct bytes body, bool is_sound)
{
    struct outcome outcome;
    struct error_body error;
    struct profile profile;
    struct reader reader;
    for (int kind = 0; kind < MESSAGE_KIND_COUNT; kind++) {
        read_as((enum message_kind)kind, body);
        if (golden_has_entries((enum message_kind)kind))
            read_entries((enum message_kind)kind, body);
    }
    (void)error_read_body(body, &error);
    (void)outcome_read(body, &outcome);
    reader_init(&reader, body);
    (void)profile_read(&reader, &profile);
    if (is_sound) { /* only then may task_parse be asked */
        read_task(body);
        read_tasks(body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes frame = {data, size};
    struct message_header header;
    struct reader reader;
    oracle_compare(frame);
    if (message_read(frame, &header) == READER_OK) {
        check(header.body.size > 0 && header.body.data >= data &&
                  header.body.data + header.body.size <= data + size,
              "a body lies in its frame");
        oracle_compare(header.body);
        read_all(header.body, true);
        return 0;
    }
    reader_init(&reader, frame);
    (void)read_raw(&reader);
    reader_finish(&reader);
    read_all(frame, !reader_failed(&reader));
    return 0;
}
