/* peers.h - who is at the other end: a number per connection that is never used again.
 *
 * Is:      routing id and envelope -> number -> back. The envelope is every frame up to and including the
 *          empty one that a REQ socket sends; it is mirrored in front of each reply. Where it holds more than
 *          the empty frame (a request id, a proxy's client), each envelope is a peer of its own and ends with
 *          its reply.
 * Is not:  a socket (router.c), or a session: what a number means is the node's business.
 * Cost:    O(1) each; about 250 bytes per peer.
 */
#ifndef MERIDIAN_HOST_PEERS_H
#define MERIDIAN_HOST_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

enum {
    ROUTING_ID_BYTES_MAX = 255,
    ENVELOPE_FRAMES_MAX = 8,
    ENVELOPE_BYTES_MAX = 512,
    PEER_KEY_BYTES_MAX = 1 + ROUTING_ID_BYTES_MAX + ENVELOPE_BYTES_MAX + 2 * ENVELOPE_FRAMES_MAX,
};

/* What a message came with: the routing id, then each frame of the envelope, every one behind its length. */
struct peer_key {
    size_t size;
    size_t id_size;  /* of the routing id, at bytes + 1 */
    uint32_t frames; /* of the envelope, the empty one included */
    uint8_t bytes[PEER_KEY_BYTES_MAX];
};

struct peer {
    uint64_t number;
    int connection;              /* file descriptor of its connection, -1 = not known or over */
    uint32_t requests;           /* received and not yet answered */
    bool ending;                 /* its connection is over; what it sent before is still read */
    bool one_request;            /* ends with the reply to its last request */
    LIST_ENTRY(peer) neighbours; /* of the same connection */
    TAILQ_ENTRY(peer) endings;
    UT_hash_handle by_key, by_number;
    struct peer_key key; /* allocated up to key.size: last */
};

LIST_HEAD(peer_list, peer);
TAILQ_HEAD(peer_queue, peer);

struct peers {
    struct peer *by_key, *by_number;
    uint64_t last_number;
    struct peer_list *connections; /* by file descriptor */
    bool *live;                    /* by file descriptor: accepted and not yet disconnected */
    int connection_count;
    struct peer_queue ending;
    uint64_t *gone; /* numbers that ended and were not yet told to the node */
    size_t gone_count, gone_next, gone_capacity;
};

void peer_key_begin(struct peer_key *key, const void *routing_id, size_t size);
/* False if the envelope is longer than allowed. */
bool peer_key_add(struct peer_key *key, const void *frame, size_t size);

void peers_init(struct peers *peers);
void peers_release(struct peers *peers);

struct peer *peers_find(struct peers *peers, const struct peer_key *key);
struct peer *peers_numbered(struct peers *peers, uint64_t number);
/* A new peer on `connection` (-1 = not known). If that connection is over already, it is ending at once. */
struct peer *peers_add(struct peers *peers, const struct peer_key *key, int connection);

/* What the socket's monitor says. The peers of a connection that is over end with peers_end_all. */
void peers_connected(struct peers *peers, int connection);
void peers_disconnected(struct peers *peers, int connection);

/* The peer is over: its number goes to peers_next_gone, its memory is given back. */
void peers_end(struct peers *peers, struct peer *peer);
/* Everything that ended peers had sent was read. */
void peers_end_all(struct peers *peers);
/* The next number that ended; each is given once. */
bool peers_next_gone(struct peers *peers, uint64_t *ret_number);

#endif
