/* session_fixture.c - see session_fixture.h. */
#include "tests/client/session_fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/task.h"

enum { ENVELOPE_ROOM = 128, WORDS_MAX = 32 };

/* ---- open, close ---- */

struct fixture *fixture_open(const struct session_options *options)
{
    struct session_options defaults;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    session_options_default(&defaults);
    cr_assert_not_null(fixture);
    cr_assert(outputs_init(&fixture->outputs));
    fixture->session = session_new(options == NULL ? &defaults : options);
    cr_assert_not_null(fixture->session);
    fixture->now_ns = 1000 * NANOSECONDS_PER_MS;
    fixture->epoch = 1;
    return fixture;
}

void fixture_close(struct fixture *fixture)
{
    session_free(fixture->session);
    outputs_release(&fixture->outputs);
    free(fixture);
}

struct task_id fixture_id(uint32_t number)
{
    struct task_id id;
    memset(id.bytes, (int)(number & 0xff), sizeof id.bytes);
    for (int i = 0; i < 4 && number > 0xff; i++)
        id.bytes[i] = (uint8_t)(number >> 8 * i);
    return id;
}

uint8_t *fixture_envelope(const struct task_id *id, size_t payload_bytes, size_t *ret_size)
{
    struct writer writer;
    uint8_t *bytes = malloc(ENVELOPE_ROOM + payload_bytes);
    uint8_t *payload = calloc(1, payload_bytes + 1);
    cr_assert(bytes != NULL && payload != NULL);
    writer_init(&writer, bytes, ENVELOPE_ROOM + payload_bytes);
    write_map(&writer, payload_bytes == 0 ? 2 : 3);
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){id->bytes, TASK_ID_BYTES});
    write_str(&writer, "type");
    write_str(&writer, "noop");
    if (payload_bytes != 0) {
        write_str(&writer, "payload");
        write_bin(&writer, (struct bytes){payload, payload_bytes});
    }
    free(payload);
    *ret_size = writer.size;
    return bytes;
}

/* ---- what a session says, as text ---- */

static void append(char *to, const char *format, ...)
{
    size_t size = strlen(to);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(to + size, FIXTURE_TEXT_BYTES - size, format, arguments);
    va_end(arguments);
}

static struct bytes read_id_of_task(struct reader *reader)
{
    static struct task_fields fields;
    struct bytes raw = read_raw(reader);
    cr_assert_eq(task_parse(raw, PAYLOAD_BYTES_MAX, &fields).code, ERROR_NONE);
    cr_assert(fields.has_id);
    return (struct bytes){fields.id.bytes, TASK_ID_BYTES};
}

/* The "+" of a SUBMIT with watch, then a letter for each entry. */
static void describe_body(struct fixture *fixture, struct sent *sent, struct bytes body)
{
    struct reader reader;
    char letters[3 * FRAME_ENTRIES_MAX + 1] = "";
    size_t size = 0;
    bool watch = false;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 8);
    for (uint32_t i = 0; i < pairs; i++) {
        struct bytes key = read_str(&reader, 1, NAME_BYTES_MAX);
        if (bytes_are(key, "tasks") || bytes_are(key, "ids")) {
            sent->entries = read_array(&reader, FRAME_ENTRIES_MAX);
            for (uint32_t at = 0; at < sent->entries; at++) {
                bool tasks = bytes_are(key, "tasks");
                struct bytes id = tasks ? read_id_of_task(&reader) : read_bin(&reader, 16, 16);
                cr_assert(!reader_failed(&reader));
                size += (size_t)sprintf(letters + size, " %c", id.data[15]);
            }
        } else if (bytes_are(key, "watch")) {
            watch = read_bool(&reader);
        } else {
            (void)read_raw(&reader);
        }
    }
    cr_assert(!reader_failed(&reader));
    append(fixture->said, "%s%s", watch ? "+" : "", letters);
}

static void note_message(struct fixture *fixture, const struct message *message)
{
    struct message_header header;
    cr_assert_lt(message->frame.size, sizeof fixture->frame);
    cr_assert_lt(fixture->sent_count + 1, FIXTURE_SENT_MAX);
    cr_assert(pieces_copy(&fixture->outputs, &message->frame, fixture->frame, NULL, NULL));
    struct bytes frame = {fixture->frame, message->frame.size};
    cr_assert_eq(message_read(frame, &header), READER_OK);
    struct sent *sent = &fixture->sent[++fixture->sent_count];
    *sent = (struct sent){message->peer, header.sequence, header.kind, 0, frame.size};
    fixture->peer = message->peer;
    append(fixture->said, "%s@%d #%u %s", fixture->said[0] == '\0' ? "" : "; ",
           (int)peer_number(message->peer), fixture->sent_count, message_kind_text(header.kind));
    describe_body(fixture, sent, header.body);
}

static void step(struct fixture *fixture, enum event_kind kind, struct bytes frame)
{
    struct event event = {
        .kind = kind, .now_ns = fixture->now_ns, .peer = fixture->peer, .frame = frame, .wall_ms = 1};
    outputs_begin_step(&fixture->outputs);
    session_step(fixture->session, &event, &fixture->outputs);
    outputs_close(&fixture->outputs);
    for (uint32_t i = 0; i < fixture->outputs.message_count; i++)
        note_message(fixture, &fixture->outputs.messages[fixture->outputs.order[i]]);
    outputs_reset(&fixture->outputs);
}

void fixture_step(struct fixture *fixture, enum event_kind kind, struct bytes frame)
{
    fixture->said[0] = '\0';
    step(fixture, kind, frame);
    /* as a host does: a TIMEOUT whenever one is due; bounded, a session that never has enough is a bug */
    for (int i = 0; session_deadline_ns(fixture->session) <= fixture->now_ns; i++) {
        cr_assert_lt(i, 1000, "always due");
        step(fixture, EVENT_TIMEOUT, (struct bytes){.size = 0});
    }
}

static void take(struct fixture *fixture)
{
    static const char *const names[SESSION_EVENT_KIND_COUNT] = {"accepted", "refused", "ended", "unknown"};
    struct session_event event;
    fixture->told[0] = '\0';
    while (session_next(fixture->session, &event)) {
        append(fixture->told, "%s%c %s", fixture->told[0] == '\0' ? "" : "; ", event.id.bytes[15],
               event.duplicate ? "duplicate" : names[event.kind]);
        cr_assert_eq(event.tag, event.id.bytes[15]);
        if (event.code.size != 0)
            append(fixture->told, " %.*s", (int)event.code.size, (const char *)event.code.data);
    }
}

/* ---- replies ---- */

struct writer fixture_reply(struct fixture *fixture, enum message_kind kind, uint64_t sequence)
{
    struct writer writer;
    writer_init(&writer, fixture->frame, sizeof fixture->frame);
    message_write_header(&writer, kind, sequence);
    return writer;
}

void fixture_reply_end(struct fixture *fixture, const struct writer *writer)
{
    uint8_t *copy = malloc(writer->size); /* what a step says is written over fixture->frame */
    cr_assert_not_null(copy);
    memcpy(copy, writer->data, writer->size);
    fixture_step(fixture, EVENT_MESSAGE, (struct bytes){copy, writer->size});
    free(copy);
}

static void write_letter(struct writer *writer, char letter)
{
    struct task_id id = fixture_id((uint8_t)letter);
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
}

static void write_epoch(struct fixture *fixture, struct writer *writer)
{
    write_str(writer, "epoch");
    write_uint(writer, fixture->epoch);
}

/* "B=duplicate", "C=throttled:500", "D=conflict" */
static void write_verdict(struct writer *writer, const char *word)
{
    char status[32] = "";
    int retry_after_ms = 0;
    cr_assert_geq(sscanf(word + 2, "%31[^:]:%d", status, &retry_after_ms), 1);
    bool good = strcmp(status, "ok") == 0 || strcmp(status, "duplicate") == 0;
    const char *shown = strcmp(status, "ok") == 0                  ? "accepted"
                        : good || strcmp(status, "throttled") == 0 ? status
                                                                   : "refused";
    write_map(writer, 3 + (good ? 0 : 2) + (retry_after_ms != 0));
    write_str(writer, "later_version");
    write_array(writer, 0);
    write_str(writer, "id");
    write_letter(writer, word[0]);
    write_str(writer, "status");
    write_str(writer, shown);
    if (!good) {
        write_str(writer, "code");
        write_str(writer, status);
        write_str(writer, "reason");
        write_str(writer, "because");
    }
    if (retry_after_ms != 0) {
        write_str(writer, "retry_after_ms");
        write_uint(writer, (uint64_t)retry_after_ms);
    }
}

static void reply_accepted(struct fixture *fixture, uint64_t sequence, char **words, uint32_t count)
{
    struct writer writer = fixture_reply(fixture, MESSAGE_ACCEPTED, sequence);
    write_map(&writer, 3);
    write_epoch(fixture, &writer);
    write_str(&writer, "held");
    write_str(&writer, "root");
    write_str(&writer, "tasks");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_verdict(&writer, words[i]);
    fixture_reply_end(fixture, &writer);
}

/* The letters behind "ended:" and the like among the words; "" if there are none. */
static const char *letters_of(char **words, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++)
        if (strncmp(words[i], key, strlen(key)) == 0 && words[i][strlen(key)] == ':')
            return words[i] + strlen(key) + 1;
    return "";
}

static void write_end(struct writer *writer, char letter)
{
    write_map(writer, 4);
    write_str(writer, "state");
    write_str(writer, "completed");
    write_str(writer, "id");
    write_letter(writer, letter);
    write_str(writer, "dup_possible");
    write_bool(writer, false);
    write_str(writer, "outcome");
    write_nil(writer);
}

static void write_letters(struct writer *writer, const char *key, const char *letters, bool as_maps)
{
    write_str(writer, key);
    write_array(writer, (uint32_t)strlen(letters));
    for (; *letters != '\0'; letters++) {
        if (as_maps) {
            write_map(writer, 1);
            write_str(writer, "id");
        }
        write_letter(writer, *letters);
    }
}

static void reply_result(struct fixture *fixture, enum message_kind kind, uint64_t sequence, char **words,
                         uint32_t count)
{
    struct writer writer = fixture_reply(fixture, kind, sequence);
    const char *ended = letters_of(words, count, "ended");
    bool push = sequence == 0;
    write_map(&writer, push ? 1 : 4);
    if (!push) {
        write_epoch(fixture, &writer);
        write_letters(&writer, "pending", letters_of(words, count, "pending"), kind == MESSAGE_PENDING);
        write_letters(&writer, "unknown", letters_of(words, count, "unknown"), false);
    }
    write_str(&writer, "results");
    write_array(&writer, (uint32_t)strlen(ended));
    for (; *ended != '\0'; ended++)
        write_end(&writer, *ended);
    fixture_reply_end(fixture, &writer);
}

static void reply_error(struct fixture *fixture, uint64_t sequence, const char *code)
{
    struct writer writer = fixture_reply(fixture, MESSAGE_ERROR, sequence);
    write_map(&writer, 2);
    write_str(&writer, "code");
    write_str(&writer, code);
    write_str(&writer, "reason");
    write_str(&writer, "because");
    fixture_reply_end(fixture, &writer);
}

static void reply_number(struct fixture *fixture, enum message_kind kind, uint64_t sequence)
{
    struct writer writer = fixture_reply(fixture, kind, sequence);
    write_map(&writer, 1);
    write_epoch(fixture, &writer);
    fixture_reply_end(fixture, &writer);
}

/* ---- rows ---- */

static void hand_in(struct fixture *fixture, const char *verb, const char *letter)
{
    struct task_id id = fixture_id((uint8_t)letter[0]);
    size_t size;
    enum session_status status;
    if (strcmp(verb, "watch") == 0) {
        status = session_watch(fixture->session, &id, (uint8_t)letter[0]);
    } else {
        uint8_t *envelope = fixture_envelope(&id, 0, &size);
        bool watch = strcmp(verb, "submit+") == 0;
        status = session_submit(fixture->session, &id, envelope, size, (uint8_t)letter[0], watch);
    }
    cr_assert_eq(status, SESSION_OK, "%s %s: %d", verb, letter, status);
}

static bool do_reply(struct fixture *fixture, const char *verb, char **words, uint32_t count)
{
    if (count < 2 || words[1][0] != '#')
        return false;
    uint32_t number = (uint32_t)atoi(words[1] + 1);
    cr_assert_leq(number, fixture->sent_count, "no message %s was sent", words[1]);
    uint64_t sequence = number == 0 ? 0 : fixture->sent[number].sequence;
    if (number != 0)
        fixture->peer = fixture->sent[number].peer;
    if (strcmp(verb, "accepted") == 0)
        reply_accepted(fixture, sequence, words + 2, count - 2);
    else if (strcmp(verb, "result") == 0)
        reply_result(fixture, MESSAGE_RESULT, sequence, words + 2, count - 2);
    else if (strcmp(verb, "pending") == 0)
        reply_result(fixture, MESSAGE_PENDING, sequence, words + 2, count - 2);
    else if (strcmp(verb, "error") == 0)
        reply_error(fixture, sequence, words[2]);
    else if (strcmp(verb, "done") == 0)
        reply_number(fixture, MESSAGE_DONE, sequence);
    else if (strcmp(verb, "nonsense") == 0)
        reply_number(fixture, MESSAGE_ACCEPTED + (number == 0), sequence);
    else
        return false;
    return true;
}

static void do_words(struct fixture *fixture, char **words, uint32_t count)
{
    const char *verb = words[0];
    const struct bytes none = {.size = 0};
    fixture->said[0] = '\0';
    if (do_reply(fixture, verb, words, count))
        return;
    if (strcmp(verb, "take") == 0) {
        take(fixture);
    } else if (strcmp(verb, "epoch") == 0) {
        fixture->epoch = (uint64_t)atoi(words[1]);
    } else if (strcmp(verb, "down") == 0) {
        fixture_step(fixture, EVENT_LINK_DOWN, none);
    } else if (strcmp(verb, "step") == 0) {
        fixture_step(fixture, EVENT_TIMEOUT, none);
    } else if (strcmp(verb, "wait") == 0) {
        fixture->now_ns += (uint64_t)atoi(words[1]) * NANOSECONDS_PER_MS;
        fixture_step(fixture, EVENT_TIMEOUT, none);
    } else {
        for (uint32_t i = 1; i < count; i++)
            hand_in(fixture, verb, words[i]);
    }
}

void fixture_run(struct fixture *fixture, const struct row *rows)
{
    for (int i = 0; rows[i].does != NULL; i++) {
        char line[512], *words[WORDS_MAX], *rest = NULL;
        uint32_t count = 0;
        snprintf(line, sizeof line, "%s", rows[i].does);
        for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
            cr_assert_lt(count, WORDS_MAX);
            words[count++] = word;
        }
        do_words(fixture, words, count);
        const char *is = strcmp(words[0], "take") == 0 ? fixture->told : fixture->said;
        cr_assert_str_eq(is, rows[i].says, "row %d, %s: \"%s\", not \"%s\"", i, rows[i].does, is,
                         rows[i].says);
    }
}

void fixture_table(const struct row *rows)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture_run(fixture, rows);
    fixture_close(fixture);
}
