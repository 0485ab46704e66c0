/* play.c - see play.h. */
#include "tests/fuzz/play.h"

#include "proto/link.h"

struct played_child {
    const char *name;
    uint8_t instance;
    uint64_t boot;
    uint64_t peer; /* 0 = not connected */
    uint64_t sent;
};

static struct {
    const char *role;
    struct played_child children[PLAY_CHILDREN];
    uint64_t next_peer;
    uint64_t asked;                  /* request of the newest ASK */
    uint64_t parent, parent_counted; /* the node's newest session, and what was sent in it */
} play;

void play_begin(const char *role)
{
    static const char *const names[PLAY_CHILDREN] = {"eu", "us", "ap", "eu"}; /* two want the same name */
    play.role = role;
    play.next_peer = 1;
    play.asked = 0;
    for (uint32_t i = 0; i < PLAY_CHILDREN; i++)
        play.children[i] = (struct played_child){.name = names[i], .instance = (uint8_t)(i + 1), .boot = 1};
    play_restart();
}

void play_restart(void)
{
    for (uint32_t i = 0; i < PLAY_CHILDREN; i++)
        play.children[i].peer = 0;
    play.parent = 0;
}

void play_note(uint64_t peer, const struct message_header *header)
{
    struct ask ask;
    if (header->kind == MESSAGE_ASK && ask_read(header->body, &ask))
        play.asked = ask.request;
    if (header->kind == MESSAGE_HELLO) {
        play.parent = peer;
        play.parent_counted = 0;
    }
}

static struct frame_maker make_for(struct input *input, const struct cast *cast)
{
    return (struct frame_maker){.input = input,
                                .cast = cast,
                                .role = play.role,
                                .asked = play.asked,
                                .wall_ms = bench.wall_ms,
                                .now_us = bench.now_ns / 1000};
}

/* Heartbeats, greetings and errors are not counted; of the rest a few are, in a script, miscounted. */
static uint64_t next_sequence(struct input *input, enum message_kind kind, uint64_t *counted)
{
    bool uncounted = kind == MESSAGE_HEARTBEAT || kind == MESSAGE_GREET || kind == MESSAGE_ERROR;
    uint32_t byte = take_byte(input);
    if (uncounted)
        return byte < 0xf0 ? 0 : byte;
    if (byte >= 0xf8)
        return take_number(input);
    return ++*counted;
}

/* ---- children ---- */

static void connect_child(struct played_child *child)
{
    if (child->peer != 0)
        bench_event((struct event){.kind = EVENT_LINK_DOWN, .peer = child->peer});
    child->peer = peer_make(PORT_CHILD, play.next_peer++);
    child->sent = 0;
}

static void say_child(struct input *input, struct played_child *child, enum message_kind kind)
{
    struct frame_maker maker = make_for(input, &bench.down);
    uint64_t sequence = next_sequence(input, kind, &child->sent);
    maker.name = child->name;
    maker.instance = child->instance;
    maker.boot = child->boot;
    bench_message(child->peer, frame_make(&maker, kind, sequence));
}

void play_child(struct input *input)
{
    static const enum message_kind kinds[] = {
        MESSAGE_OUTCOME, MESSAGE_TAKEN, MESSAGE_REFUSED,   MESSAGE_HEARTBEAT,
        MESSAGE_ANSWER,  MESSAGE_END,   MESSAGE_INVENTORY, MESSAGE_BYE,
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    uint32_t byte = take_byte(input), what = byte >> 2;
    struct played_child *child = &play.children[byte % PLAY_CHILDREN];
    if (child->peer == 0 || what == 16 || what == 17) {
        child->boot += what == 17;
        connect_child(child);
        say_child(input, child, MESSAGE_HELLO);
        if (what != 16)
            say_child(input, child, MESSAGE_END);
    } else if (what < 16) {
        say_child(input, child, kinds[what % KINDS]);
    } else if (what == 18) {
        bench_event((struct event){.kind = EVENT_LINK_DOWN, .peer = child->peer});
        child->peer = 0;
    } else if (what == 19) { /* another store under the same name */
        child->instance += 16;
    } else if (what == 20) { /* once more on the same connection */
        say_child(input, child, MESSAGE_HELLO);
    } else if (what == 21) {
        bench_message(child->peer, take_run(input, 255));
    } else {
        say_child(input, child, (enum message_kind)(what % MESSAGE_KIND_COUNT));
    }
}

/* ---- the parent ---- */

static void say_parent(struct input *input, bool grants_attempts, enum message_kind kind)
{
    struct frame_maker maker = make_for(input, &bench.up);
    uint64_t sequence = next_sequence(input, kind, &play.parent_counted);
    maker.name = "";
    maker.grants_attempts = grants_attempts;
    bench_message(play.parent, frame_make(&maker, kind, sequence));
}

void play_parent(struct input *input, bool grants_attempts)
{
    static const enum message_kind kinds[] = {
        MESSAGE_ASSIGN, MESSAGE_SETTLED,   MESSAGE_STOP,  MESSAGE_ASK,
        MESSAGE_ASSIGN, MESSAGE_HEARTBEAT, MESSAGE_GREET, MESSAGE_ERROR,
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    uint32_t byte = take_byte(input);
    if (play.parent == 0)
        return;
    if (play.parent_counted == 0 && byte < 0xf0) {
        say_parent(input, grants_attempts, MESSAGE_WELCOME);
        bench_settle();
    } else if (byte < 0xc0) {
        say_parent(input, grants_attempts, kinds[byte % KINDS]);
    } else if (byte < 0xd0) {
        bench_event((struct event){.kind = EVENT_LINK_DOWN, .peer = play.parent});
    } else if (byte < 0xd8 && peer_number(play.parent) > 1) { /* late, of the session before */
        struct frame_maker maker = make_for(input, &bench.up);
        maker.name = "";
        bench_message(play.parent - 1, frame_make(&maker, kinds[byte % KINDS], take_number(input)));
    } else if (byte < 0xe0) {
        bench_message(play.parent, take_run(input, 255));
    } else {
        say_parent(input, grants_attempts, (enum message_kind)(take_byte(input) % MESSAGE_KIND_COUNT));
    }
}
