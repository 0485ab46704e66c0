/* story.c - see story.h. */
#include "tests/fuzz/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_BYTES = 48 };

bool story_is_told(void)
{
    static int told = -1;
    if (told < 0)
        told = getenv("MERIDIAN_FUZZ_STORY") != NULL;
    return told != 0;
}

static void show_bytes(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size && i < SHOWN_BYTES; i++)
        fprintf(stderr, "%02x", bytes.data[i]);
    fprintf(stderr, "%s\n", bytes.size > SHOWN_BYTES ? "..." : "");
}

static void show_peer(uint64_t peer)
{
    static const char *const ports[] = {"?", "client", "child", "parent"};
    uint32_t port = (uint32_t)peer_port(peer);
    fprintf(stderr, "%s %" PRIu64, ports[port < 4 ? port : 0], peer_number(peer));
}

void story_event(const struct event *event)
{
    static const char *const kinds[] = {"RESTORE",   "START", "TIMEOUT",         "MESSAGE",
                                        "LINK_DOWN", "DRAIN", "PROCESS_STARTED", "PROCESS_ENDED"};
    struct message_header header;
    if (!story_is_told())
        return;
    fprintf(stderr, "%12.3f %s", (double)event->now_ns / 1e9, kinds[event->kind]);
    if (event->kind == EVENT_MESSAGE) {
        fprintf(stderr, " from ");
        show_peer(event->peer);
        enum reader_error error = message_read(event->frame, &header);
        fprintf(stderr, " %s %" PRIu64 " (%zu bytes%s%s) ",
                error != READER_OK || header.kind == MESSAGE_KIND_COUNT ? "?"
                                                                        : message_kind_text(header.kind),
                header.sequence, event->frame.size, error != READER_OK ? ", " : "",
                error != READER_OK ? reader_error_text(error) : "");
        show_bytes(event->frame);
        return;
    }
    if (event->kind == EVENT_LINK_DOWN)
        show_peer(event->peer);
    if (event->kind == EVENT_RESTORE)
        fprintf(stderr, " %s %" PRIu64, table_text(event->record.table), event->record.number);
    if (event->kind >= EVENT_PROCESS_STARTED)
        fprintf(stderr, " in slot %u", event->process.slot);
    fprintf(stderr, "\n");
}

void story_traces(const struct outputs *outputs, uint32_t first)
{
    static const char *const names[TRACE_CODE_COUNT] = {
#define X(name, level, text) #name,
        TRACE_CODES(X)
#undef X
    };
    for (uint32_t i = first; story_is_told() && i < outputs->trace_count; i++)
        fprintf(stderr, "%15s %s a=%" PRIu64 " b=%" PRIu64 "\n", "", names[outputs->traces[i].code],
                outputs->traces[i].a, outputs->traces[i].b);
}

void story_message(uint64_t peer, enum message_kind kind, struct bytes frame)
{
    if (!story_is_told())
        return;
    fprintf(stderr, "%15s %s to ", "->", message_kind_text(kind));
    show_peer(peer);
    fprintf(stderr, " (%zu bytes) ", frame.size);
    show_bytes(frame);
}
