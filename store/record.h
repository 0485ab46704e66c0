/* record.h - what a node keeps: the tables, and the layout and version of each record in them.
 *
 * Is:      the pure half of the store: encode and decode of the small records. docs/storage-format.md says
 * how to change one. Envelopes, outcomes and attempts are wire bytes, kept and spliced unparsed. Is not:  I/O
 * (store/lmdb_io.h), and not the seal: version byte and CRC around every record are added and checked by the
 * store on the way in and out, so that pure code sees only the content. Keys:    (number u64, part u32),
 * big-endian, appended. `number` is the task's arrival number in envelopes, states, outcomes and attempts; a
 * counter of its own in the other tables. `part` is the attempt's index in the attempts table and 0 elsewhere
 * (long values are cut into parts by the store itself, invisibly). */
#ifndef MERIDIAN_STORE_RECORD_H
#define MERIDIAN_STORE_RECORD_H

#include "proto/bytes.h"

#define STORE_TABLES(X)                                                                                      \
    X(META, "meta")           /* number 1: identity of the store (record_meta) */                            \
    X(CLASSES, "classes")     /* number: class; value: requirement, as encoded by engine/classes.c */        \
    X(CHILDREN, "children")   /* number: child; value: name, instance, boot, forgotten */                    \
    X(STATES, "states")       /* number: arrival; one per living task, small, rewritten */                   \
    X(GRANTS, "grants")       /* number: grant; one per ASSIGN message: child, then (arrival, fence) each */ \
    X(ENDED, "ended")         /* number: counter; ids ended in one batch */                                  \
    X(ENVELOPES, "envelopes") /* number: arrival; the task map as the client sent it */                      \
    X(OUTCOMES, "outcomes")   /* number: arrival; the outcome map */                                         \
    X(ATTEMPTS,                                                                                              \
      "attempts")     /* number: arrival, part: attempt; history entry of an attempt that did not end it */  \
    X(SPOOL, "spool") /* worker only. number: counter; an OUTCOME entry not yet settled */

enum table {
#define X(name, text) TABLE_##name,
    STORE_TABLES(X)
#undef X
        TABLE_COUNT
};

/* Version of the whole layout; a store of a newer one is refused. Raise it with every change of a record. */
enum { STORE_FORMAT_VERSION = 1 };

/* In a reference to ATTEMPTS: all parts of the number, one behind the other in the order of their keys. */
#define PART_ALL UINT32_MAX

const char *table_text(enum table table);
/* Tables whose records a restart delivers as RESTORE events, in this order. The others are only read by
 * reference. */
bool table_is_restored(enum table table);
/* What a record of `size` bytes takes on disk at most, its key and its share of the pages' waste included. */
uint64_t record_disk_bytes(size_t size);

#endif
