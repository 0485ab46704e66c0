/* wait.c - see wait.h. */
#include "cli/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/outcome_text.h"
#include "cli/rows.h"
#include "proto/limits.h"
#include "proto/reader.h"

enum { TICK_MS = 100, REASON_AFTER_MS = 2000, EXIT_INTERRUPTED = 130 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t first_left(const struct wait *wait)
{
    size_t at = 0;
    while (at + 1 < wait->count && wait->ended[at])
        at++;
    return at;
}

/* "waiting: 91d4a07e ready, no_credit: ap 4 of 4 slots busy; eu us excluded by --region ap" */
static void name_reason(struct client *client, const struct wait *wait)
{
    uint8_t buffer[128];
    char id[TASK_ID_SHORT_HEX + 1];
    struct writer writer;
    struct bytes kind, reply;
    size_t at = first_left(wait);
    writer_init(&writer, buffer, sizeof buffer);
    write_map(&writer, 2);
    write_str(&writer, "what");
    write_str(&writer, "explain");
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){wait->ids[at].bytes, TASK_ID_BYTES});
    if (client_call(client, "QUERY", writer_bytes(&writer), 0, ANSWER_WAIT_MS, &kind, &reply) != CLIENT_OK ||
        !bytes_are(kind, "ROWS")) {
        fprintf(stderr, "waiting: %s does not answer; asking again\n", server_find(wait->options));
        return;
    }
    struct reader reader;
    reader_init(&reader, map_value(reply, "rows"));
    if (read_array(&reader, 1) == 0)
        return;
    struct bytes row = read_raw(&reader), state = map_text(row, "state"), reason = map_text(row, "reason");
    fprintf(stderr, "waiting: %s %.*s", short_id(&wait->ids[at], id), (int)state.size,
            (const char *)state.data);
    if (reason.size > 0)
        fprintf(stderr, ", %.*s", (int)reason.size, (const char *)reason.data);
    reader_init(&reader, map_value(row, "considered"));
    uint32_t count = reader.at == reader.end ? 0 : read_array(&reader, 64);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes considered = read_raw(&reader), text = map_text(considered, "text");
        struct reader names;
        fputs(i == 0 ? ":" : ";", stderr);
        reader_init(&names, map_value(considered, "names"));
        for (uint32_t name = read_array(&names, 64); name > 0; name--) {
            struct bytes one = read_str(&names, 0, NAME_BYTES_MAX);
            fprintf(stderr, " %.*s", (int)one.size, (const char *)one.data);
        }
        fprintf(stderr, " %.*s", (int)text.size, (const char *)text.data);
    }
    fputc('\n', stderr);
}

static void say_how_to_go_on(const struct wait *wait)
{
    char id[TASK_ID_SHORT_HEX + 1];
    short_id(&wait->ids[first_left(wait)], id);
    fprintf(stderr,
            "\ntask %s goes on%s. Wait: meridian task result %s --wait   Cancel: meridian task cancel %s\n",
            id, wait->left > 1 ? ", and others with it" : "", id, id);
    exit(EXIT_INTERRUPTED);
}

static void print_result(struct wait *wait, const struct outcome *outcome, enum exit_code *code)
{
    if (output_is_json(wait->options)) {
        json_item(wait->options, wait->printed++);
        outcome_print_json(outcome);
        json_item_end(wait->options);
        if (!bytes_are(outcome->state, "completed"))
            *code = EXIT_TASK_FAILED;
    } else if (outcome_pass_through(outcome) != EXIT_OK) {
        *code = EXIT_TASK_FAILED;
    }
}

static void on_event(struct wait *wait, const struct client_event *event, enum exit_code *code)
{
    char id[TASK_ID_SHORT_HEX + 1];
    const struct task_id *named = &wait->ids[event->tag];
    switch (event->kind) {
    case CLIENT_ACCEPTED:
        wait->accepted++;
        return;
    case CLIENT_ENDED:
        wait->left -= !wait->ended[event->tag];
        wait->ended[event->tag] = true;
        print_result(wait, &event->outcome, code);
        return;
    case CLIENT_REFUSED:
    case CLIENT_UNKNOWN:
        wait->refused += event->kind == CLIENT_REFUSED;
        wait->left -= !wait->ended[event->tag];
        wait->ended[event->tag] = true;
        fprintf(stderr, "task %s %s: %.*s (%.*s)\n", short_id(named, id),
                event->kind == CLIENT_REFUSED ? "refused" : "has an unknown outcome", (int)event->reason.size,
                (const char *)event->reason.data, (int)event->code.size, (const char *)event->code.data);
        *code = event->kind == CLIENT_UNKNOWN && bytes_are(event->code, "not_found") ? EXIT_NOT_FOUND
                                                                                     : EXIT_TASK_FAILED;
        return;
    }
}

enum exit_code wait_for_tasks(struct client *client, struct wait *wait)
{
    enum exit_code code = EXIT_OK;
    uint64_t began_ms = now_ms();
    bool reason_named = false, pressure_named = false;
    struct sigaction action = {.sa_handler = on_interrupt};
    if (wait->for_end)
        sigaction(SIGINT, &action, NULL);
    while (wait->for_end ? wait->left > 0 : wait->accepted + wait->refused < wait->count) {
        struct client_event event;
        if (client_next(client, TICK_MS, &event) == CLIENT_OK) {
            on_event(wait, &event, &code);
            continue;
        }
        if (interrupted)
            say_how_to_go_on(wait);
        uint64_t waited_ms = now_ms() - began_ms;
        if (!client_heard(client) && waited_ms >= ANSWER_WAIT_MS)
            cluster_unavailable(wait->options);
        if (!pressure_named && client_pressure(client)[0] != '\0') {
            fprintf(stderr, "waiting: the node holds new tasks back (%s)\n", client_pressure(client));
            pressure_named = true;
        }
        if (wait->for_end && !reason_named && waited_ms >= REASON_AFTER_MS) {
            name_reason(client, wait);
            reason_named = true;
        }
    }
    return code;
}

void wait_end(const struct wait *wait)
{
    if (output_is_json(wait->options))
        json_end(wait->options, wait->printed);
}
