/* peers.c - see peers.h. */
#include "host/peers.h"

#include <stdlib.h>
#include <string.h>

#include "host/log.h"
#include "proto/assert.h"

#undef uthash_fatal
#define uthash_fatal(text) host_fatal("no memory for the table of peers; free memory and start again")

static void *grow(void *memory, size_t count, size_t size)
{
    void *grown = realloc(memory, count * size);
    if (grown == NULL)
        host_fatal("no memory for the table of peers; free memory and start again");
    return grown;
}

void peer_key_begin(struct peer_key *key, const void *routing_id, size_t size)
{
    ASSERT(size <= ROUTING_ID_BYTES_MAX);
    key->id_size = size;
    key->frames = 0;
    key->bytes[0] = (uint8_t)size;
    memcpy(key->bytes + 1, routing_id, size);
    key->size = 1 + size;
}

bool peer_key_add(struct peer_key *key, const void *frame, size_t size)
{
    if (key->frames == ENVELOPE_FRAMES_MAX || size > ENVELOPE_BYTES_MAX ||
        key->size + 2 + size > PEER_KEY_BYTES_MAX)
        return false;
    key->bytes[key->size] = (uint8_t)(size >> 8);
    key->bytes[key->size + 1] = (uint8_t)size;
    if (size != 0)
        memcpy(key->bytes + key->size + 2, frame, size);
    key->size += 2 + size;
    key->frames++;
    return true;
}

void peers_init(struct peers *peers)
{
    memset(peers, 0, sizeof *peers);
    TAILQ_INIT(&peers->ending);
}

void peers_release(struct peers *peers)
{
    struct peer *peer;
    struct peer *next;
    HASH_CLEAR(by_key, peers->by_key);
    HASH_ITER(by_number, peers->by_number, peer, next)
    {
        HASH_DELETE(by_number, peers->by_number, peer);
        free(peer);
    }
    free(peers->connections);
    free(peers->live);
    free(peers->gone);
    memset(peers, 0, sizeof *peers);
}

struct peer *peers_find(struct peers *peers, const struct peer_key *key)
{
    struct peer *peer;
    HASH_FIND(by_key, peers->by_key, key->bytes, key->size, peer);
    return peer;
}

struct peer *peers_numbered(struct peers *peers, uint64_t number)
{
    struct peer *peer;
    HASH_FIND(by_number, peers->by_number, &number, sizeof number, peer);
    return peer;
}

/* Room for a file descriptor; they are small numbers by nature. */
static void reach(struct peers *peers, int connection)
{
    if (connection < peers->connection_count)
        return;
    int count = (connection + 64) / 64 * 64 + 64;
    struct peer_list *lists = grow(NULL, (size_t)count, sizeof *lists);
    for (int i = 0; i < count; i++) {
        struct peer *first = i < peers->connection_count ? LIST_FIRST(&peers->connections[i]) : NULL;
        lists[i].lh_first = first;
        if (first != NULL) /* it points back at its head, which moves */
            first->neighbours.le_prev = &lists[i].lh_first;
    }
    free(peers->connections);
    peers->connections = lists;
    peers->live = grow(peers->live, (size_t)count, sizeof *peers->live);
    for (int i = peers->connection_count; i < count; i++)
        peers->live[i] = false;
    peers->connection_count = count;
}

static void set_ending(struct peers *peers, struct peer *peer)
{
    ASSERT(!peer->ending);
    if (peer->connection >= 0)
        LIST_REMOVE(peer, neighbours);
    peer->connection = -1;
    peer->ending = true;
    TAILQ_INSERT_TAIL(&peers->ending, peer, endings);
}

/* Two routing ids cannot share a connection: what is on it under another id is left from an earlier one. */
static void end_earlier(struct peers *peers, const struct peer *added)
{
    struct peer *peer = LIST_FIRST(&peers->connections[added->connection]);
    while (peer != NULL) {
        struct peer *next = LIST_NEXT(peer, neighbours);
        if (peer->key.id_size != added->key.id_size ||
            memcmp(peer->key.bytes, added->key.bytes, 1 + added->key.id_size) != 0)
            set_ending(peers, peer);
        peer = next;
    }
}

struct peer *peers_add(struct peers *peers, const struct peer_key *key, int connection)
{
    const size_t head = offsetof(struct peer, key.bytes);
    struct peer *peer = grow(NULL, 1, head + key->size);
    memset(peer, 0, head);
    memcpy(&peer->key, key, offsetof(struct peer_key, bytes) + key->size);
    peer->number = ++peers->last_number;
    peer->connection = connection;
    peer->one_request = key->frames > 1;
    HASH_ADD(by_key, peers->by_key, key.bytes, peer->key.size, peer);
    HASH_ADD(by_number, peers->by_number, number, sizeof peer->number, peer);
    if (connection < 0)
        return peer;
    reach(peers, connection);
    end_earlier(peers, peer);
    LIST_INSERT_HEAD(&peers->connections[connection], peer, neighbours);
    if (!peers->live[connection])
        set_ending(peers, peer);
    return peer;
}

void peers_connected(struct peers *peers, int connection)
{
    peers_disconnected(peers, connection);
    peers->live[connection] = true;
}

void peers_disconnected(struct peers *peers, int connection)
{
    reach(peers, connection);
    peers->live[connection] = false;
    while (!LIST_EMPTY(&peers->connections[connection]))
        set_ending(peers, LIST_FIRST(&peers->connections[connection]));
}

void peers_end(struct peers *peers, struct peer *peer)
{
    if (peer->ending)
        TAILQ_REMOVE(&peers->ending, peer, endings);
    else if (peer->connection >= 0)
        LIST_REMOVE(peer, neighbours);
    if (peers->gone_count == peers->gone_capacity) {
        peers->gone_capacity = peers->gone_capacity == 0 ? 64 : 2 * peers->gone_capacity;
        peers->gone = grow(peers->gone, peers->gone_capacity, sizeof *peers->gone);
    }
    peers->gone[peers->gone_count++] = peer->number;
    HASH_DELETE(by_key, peers->by_key, peer);
    HASH_DELETE(by_number, peers->by_number, peer);
    free(peer);
}

void peers_end_all(struct peers *peers)
{
    while (!TAILQ_EMPTY(&peers->ending))
        peers_end(peers, TAILQ_FIRST(&peers->ending));
}

bool peers_next_gone(struct peers *peers, uint64_t *ret_number)
{
    if (peers->gone_next == peers->gone_count)
        return false;
    *ret_number = peers->gone[peers->gone_next++];
    if (peers->gone_next == peers->gone_count)
        peers->gone_next = peers->gone_count = 0;
    return true;
}
