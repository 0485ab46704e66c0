/* peers.c - numbers of peers: one per connection and envelope, never used again, each end told once. */
#include "host/peers.h"

#include <criterion/criterion.h>

static struct peers peers;

static void setup(void)
{
    peers_init(&peers);
}

static void teardown(void)
{
    peers_release(&peers);
}

TestSuite(peers, .init = setup, .fini = teardown);

/* A plain peer with a routing id of one letter; with a request id if `request` is one. */
static struct peer_key key_of(char id, const char *request)
{
    struct peer_key key;
    peer_key_begin(&key, &id, 1);
    if (request != NULL) {
        cr_assert(peer_key_add(&key, request, strlen(request)));
        cr_assert(peer_key_add(&key, "", 0));
    }
    return key;
}

static struct peer *add(char id, const char *request, int connection)
{
    struct peer_key key = key_of(id, request);
    return peers_add(&peers, &key, connection);
}

static uint64_t next_gone(void)
{
    uint64_t number;
    return peers_next_gone(&peers, &number) ? number : 0;
}

Test(peers, are_found_by_key_and_by_number)
{
    peers_connected(&peers, 5);
    struct peer *plain = add('a', NULL, 5);
    struct peer *first = add('a', "r1", 5);
    struct peer *second = add('a', "r2", 5);
    struct peer_key key = key_of('a', "r1");
    cr_assert_eq(peers_find(&peers, &key), first);
    key = key_of('a', NULL);
    cr_assert_eq(peers_find(&peers, &key), plain);
    cr_assert_eq(peers_numbered(&peers, second->number), second);
    cr_assert_not(plain->one_request);
    cr_assert(second->one_request);
    key = key_of('b', NULL);
    cr_assert_null(peers_find(&peers, &key));
    cr_assert_null(peers_numbered(&peers, 99));
}

Test(peers, end_after_everything_was_read_and_are_told_once)
{
    peers_connected(&peers, 5);
    uint64_t one = add('a', NULL, 5)->number;
    uint64_t two = add('a', "r", 5)->number;
    peers_disconnected(&peers, 5);
    peers_disconnected(&peers, 5);
    cr_assert_eq(next_gone(), 0);
    cr_assert_not_null(peers_numbered(&peers, one));
    peers_end_all(&peers);
    uint64_t gone = next_gone();
    cr_assert_eq(gone + next_gone(), one + two);
    cr_assert_eq(next_gone(), 0);
    cr_assert_null(peers_numbered(&peers, one));
    cr_assert_gt(add('a', NULL, -1)->number, two, "a number is never used again");
}

Test(peers, of_a_reused_descriptor_are_told_apart)
{
    peers_connected(&peers, 7);
    uint64_t old = add('a', NULL, 7)->number;
    peers_disconnected(&peers, 7);
    peers_connected(&peers, 7);
    uint64_t new = add('b', NULL, 7)->number;
    peers_end_all(&peers);
    cr_assert_eq(next_gone(), old);
    cr_assert_eq(next_gone(), 0);
    cr_assert_not_null(peers_numbered(&peers, new));
    peers_disconnected(&peers, 7);
    peers_end_all(&peers);
    cr_assert_eq(next_gone(), new);
}

Test(peers, whose_connection_is_over_before_their_first_message_end_too)
{
    peers_connected(&peers, 7);
    peers_disconnected(&peers, 7);
    uint64_t number = add('a', NULL, 7)->number;
    peers_end_all(&peers);
    cr_assert_eq(next_gone(), number);
}

Test(peers, of_an_earlier_connection_end_when_another_id_comes_by_it)
{
    peers_connected(&peers, 7);
    uint64_t old = add('a', NULL, 7)->number;
    add('b', NULL, 7);
    add('b', "r", 7);
    peers_end_all(&peers);
    cr_assert_eq(next_gone(), old);
    cr_assert_eq(next_gone(), 0);
}

Test(peers, keep_their_connections_while_the_table_of_descriptors_grows)
{
    peers_connected(&peers, 3);
    add('a', NULL, 3);
    add('a', "r", 3);
    for (int connection = 100; connection < 5000; connection += 97) {
        peers_connected(&peers, connection);
        add((char)(connection % 26 + 'A'), "x", -1);
        peers_end_all(&peers);
    }
    peers_disconnected(&peers, 3);
    peers_end_all(&peers);
    cr_assert_eq(next_gone() + next_gone(), 1 + 2);
    cr_assert_eq(next_gone(), 0);
}

Test(peers, keys_are_bounded)
{
    struct peer_key key = key_of('a', NULL);
    char frame[ENVELOPE_BYTES_MAX + 1] = "";
    cr_assert_not(peer_key_add(&key, frame, sizeof frame));
    cr_assert(peer_key_add(&key, frame, ENVELOPE_BYTES_MAX));
    key = key_of('a', NULL);
    for (int i = 0; i < ENVELOPE_FRAMES_MAX; i++)
        cr_assert(peer_key_add(&key, "f", 1));
    cr_assert_not(peer_key_add(&key, "f", 1));
}
