/* ended.c - see ended.h. */
#include "engine/ended.h"

#include <stdlib.h>

#include "proto/assert.h"

/* Expiry stops while the step has less room than this, so that whatever caused the step fits too. */
enum { ROOM_LEFT = 256, EVICT_LOOK_MAX = 256, RECEIPTS_LOOK_MAX = 16384 /* records per call */ };

void ended_init(struct ended *ended, uint32_t ids_max, uint64_t result_ttl_ms, uint64_t dedupe_ttl_ms)
{
    memset(ended, 0, sizeof *ended);
    ended->ids_max = ids_max;
    ended->result_ttl_ms = result_ttl_ms;
    ended->dedupe_ttl_ms = dedupe_ttl_ms > result_ttl_ms ? dedupe_ttl_ms : result_ttl_ms;
    ended->next_number = 1;
}

void ended_release(struct ended *ended)
{
    for (uint32_t i = 0; i < ended->chunk_count; i++)
        free(ended->chunks[i]);
    free(ended->chunks);
    free(ended->records);
}

static struct ended_entry *entry_at(const struct ended *ended, uint64_t number)
{
    ASSERT(number >= ended->first && number < ended->next);
    return &ended->chunks[number / ENDED_CHUNK - ended->first_chunk][number % ENDED_CHUNK];
}

/* The number of the entry of which the id map has `value`. */
static uint64_t entry_number(const struct ended *ended, uint32_t value)
{
    ASSERT(value & ENDED_BIT);
    uint64_t number = ended->next - ended->next % ENDED_VALUES + (value & ~ENDED_BIT);
    return number < ended->next ? number : number - ENDED_VALUES; /* they began anew since */
}

struct ended_entry *ended_at(const struct ended *ended, uint32_t value)
{
    return entry_at(ended, entry_number(ended, value));
}

static void add_chunk(struct ended *ended)
{
    if (ended->chunk_count == ended->chunk_capacity) {
        ended->chunk_capacity = ended->chunk_capacity == 0 ? 16 : 2 * ended->chunk_capacity;
        ended->chunks = realloc(ended->chunks, ended->chunk_capacity * sizeof *ended->chunks);
        ASSERT(ended->chunks != NULL);
    }
    struct ended_entry *chunk = malloc(ENDED_CHUNK * sizeof *chunk);
    ASSERT(chunk != NULL);
    ended->chunks[ended->chunk_count++] = chunk;
}

uint32_t ended_add(struct ended *ended, const struct ended_entry *entry)
{
    if (ended->next / ENDED_CHUNK - ended->first_chunk == ended->chunk_count)
        add_chunk(ended);
    uint64_t number = ended->next++;
    *entry_at(ended, number) = *entry;
    ended->open++;
    return ended_value(number);
}

static struct ended_record *record_at(const struct ended *ended, uint32_t offset)
{
    return &ended->records[(ended->record_first + offset) % ended->record_capacity];
}

static void add_record(struct ended *ended, const struct ended_record *record)
{
    if (ended->record_count == ended->record_capacity) {
        uint32_t capacity = ended->record_capacity == 0 ? 1024 : 2 * ended->record_capacity;
        struct ended_record *records = malloc(capacity * sizeof *records);
        ASSERT(records != NULL);
        for (uint32_t i = 0; i < ended->record_count; i++)
            records[i] = *record_at(ended, i);
        free(ended->records);
        ended->records = records;
        ended->record_capacity = capacity;
        ended->record_first = 0;
    }
    ended->record_count++;
    *record_at(ended, ended->record_count - 1) = *record;
}

/* What an entry has behind its four fields is written up to the last that is not its default. */
static uint32_t field_count(const struct ended_entry *entry)
{
    return entry->custody_high != 0 ? 6 : entry->late ? 5 : 4;
}

/* [wall_ms, [id, hash, outcome size, arrival and bits, late, custody's high bits], ...] */
static void put_record(const struct ended *ended, struct ended_record *record, struct outputs *outputs)
{
    record->receipts = false;
    struct writer *writer = outputs_put(outputs, TABLE_ENDED, record->number, 0);
    write_array(writer, record->count + 1);
    write_uint(writer, record->wall_ms);
    for (uint64_t number = record->first; number < record->first + record->count; number++) {
        const struct ended_entry *entry = entry_at(ended, number);
        uint32_t fields = field_count(entry);
        write_array(writer, fields);
        write_bin(writer, (struct bytes){entry->id.bytes, TASK_ID_BYTES});
        write_uint(writer, entry->body_hash);
        write_uint(writer, entry->outcome_size);
        write_uint(writer, entry->arrival_and_bits);
        if (fields > 4)
            write_bool(writer, entry->late);
        if (fields > 5)
            write_uint(writer, entry->custody_high);
    }
    outputs_put_end(outputs);
}

void ended_flush(struct ended *ended, uint64_t wall_ms, struct outputs *outputs)
{
    while (ended->open > 0) {
        uint32_t count = ended->open < ENDED_RECORD_MAX ? ended->open : ENDED_RECORD_MAX;
        struct ended_record record = {.number = ended->next_number++,
                                      .wall_ms = wall_ms,
                                      .first = ended->next - ended->open,
                                      .count = count};
        put_record(ended, &record, outputs);
        ended->open -= count;
        add_record(ended, &record);
    }
}

static bool is_evictable(const struct ended_entry *entry)
{
    return entry->arrival_and_bits & ENDED_RECEIVED && entry->outcome_size > 0;
}

bool ended_restore(struct ended *ended, uint64_t number, struct bytes bytes, struct map *map)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint32_t fields = read_array(&reader, ENDED_RECORD_MAX + 1);
    struct ended_record record = {
        .number = number, .wall_ms = read_uint(&reader, UINT64_MAX), .first = ended->next};
    for (uint32_t i = 1; i < fields; i++) {
        struct ended_entry entry;
        uint32_t parts = read_array(&reader, 16);
        struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
        entry.body_hash = (uint32_t)read_uint(&reader, UINT32_MAX);
        entry.outcome_size = ENDED_OUTCOME_BYTES_MAX & read_uint(&reader, ENDED_OUTCOME_BYTES_MAX);
        entry.arrival_and_bits = read_uint(&reader, UINT64_MAX);
        entry.late = parts > 4 && read_bool(&reader);
        entry.custody_high = parts > 5 ? 255 & read_uint(&reader, 255) : 0;
        read_skip(&reader, parts, 6);
        if (reader_failed(&reader))
            return false;
        memcpy(entry.id.bytes, id.data, TASK_ID_BYTES);
        uint32_t known = map_find(map, &entry.id);
        if (known != 0 && !(known & ENDED_BIT))
            return false; /* it lives: of two, one would never be found again */
        uint32_t value = ended_add(ended, &entry);
        ended->evictable += is_evictable(&entry);
        if (known == 0)
            map_put(map, &entry.id, value);
        else
            map_replace(map, &entry.id, value);
        record.count++;
    }
    ended->open = 0;
    ended->next_number = number + 1;
    add_record(ended, &record);
    /* The ring is full and begins late: ids went by number, not by age. None older than it is known. */
    const struct ended_record *oldest = record_at(ended, 0);
    if (oldest->number > 1 && ended->next - ended->first + ENDED_RECORD_MAX > ended->ids_max)
        ended->horizon_ms = oldest->wall_ms;
    return !reader_failed(&reader);
}

static void erase_outcome(struct ended *ended, struct ended_entry *entry, struct outputs *outputs)
{
    if (entry->outcome_size == 0)
        return;
    ended->evictable -= is_evictable(entry);
    outputs_erase(outputs, TABLE_OUTCOMES, ended_arrival(entry));
    entry->outcome_size = 0;
}

/* Erase the outcomes of the oldest record that still has them. */
static void erase_results(struct ended *ended, struct outputs *outputs)
{
    struct ended_record *record = record_at(ended, ended->erase_record++);
    for (uint32_t i = 0; i < record->count; i++)
        erase_outcome(ended, entry_at(ended, record->first + i), outputs);
    put_record(ended, record, outputs); /* a restart must not believe in erased outcomes */
}

/* Forget the ids of the oldest record. */
static void forget_ids(struct ended *ended, struct map *map, struct outputs *outputs)
{
    const struct ended_record *record = record_at(ended, 0);
    for (uint32_t i = 0; i < record->count; i++) {
        struct ended_entry *entry = entry_at(ended, ended->first);
        erase_outcome(ended, entry, outputs);
        uint32_t value = ended_value(ended->first);
        if (map_find(map, &entry->id) == value)
            map_remove(map, &entry->id);
        ended->first++;
    }
    outputs_erase(outputs, TABLE_ENDED, record->number);
    ended->horizon_ms = record->wall_ms;
    ended->record_first = (ended->record_first + 1) % ended->record_capacity;
    ended->record_count--;
    if (ended->erase_record > 0)
        ended->erase_record--;
    if (ended->evict_record > 0)
        ended->evict_record--;
    while (ended->chunk_count > 0 && ended->first / ENDED_CHUNK > ended->first_chunk) {
        free(ended->chunks[0]);
        memmove(ended->chunks, ended->chunks + 1, (ended->chunk_count - 1) * sizeof *ended->chunks);
        ended->chunk_count--;
        ended->first_chunk++;
    }
}

bool ended_expire(struct ended *ended, uint64_t wall_ms, struct map *map, struct outputs *outputs)
{
    for (;;) {
        bool over = ended->next - ended->first > ended->ids_max;
        bool ids = ended->record_count > 0 &&
                   (over || wall_ms > record_at(ended, 0)->wall_ms + ended->dedupe_ttl_ms);
        bool results = ended->erase_record < ended->record_count &&
                       wall_ms > record_at(ended, ended->erase_record)->wall_ms + ended->result_ttl_ms;
        if (!ids && !results)
            return false;
        if (outputs_room(outputs) < ROOM_LEFT)
            return true;
        if (ids)
            forget_ids(ended, map, outputs);
        else
            erase_results(ended, outputs);
    }
}

/* ---- receipts ---- */

/* The offset of the record that entry `number` is in; there is one. */
static uint32_t record_of(const struct ended *ended, uint64_t number)
{
    uint32_t low = 0, high = ended->record_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (record_at(ended, middle)->first <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void ended_received(struct ended *ended, uint32_t value)
{
    uint64_t number = entry_number(ended, value);
    struct ended_entry *entry = entry_at(ended, number);
    if (entry->arrival_and_bits & ENDED_RECEIVED)
        return;
    entry->arrival_and_bits |= ENDED_RECEIVED;
    ended->evictable += entry->outcome_size > 0;
    if (number >= ended->next - ended->open)
        return; /* its record is still to be written */
    struct ended_record *record = record_at(ended, record_of(ended, number));
    record->receipts = true;
    if (!ended_has_receipts(ended) || record->number < ended->receipts_first)
        ended->receipts_first = record->number;
    if (record->number > ended->receipts_last)
        ended->receipts_last = record->number;
}

bool ended_put_receipts(struct ended *ended, struct outputs *outputs)
{
    uint64_t oldest = ended->record_count == 0 ? UINT64_MAX : record_at(ended, 0)->number;
    if (ended->receipts_first < oldest)
        ended->receipts_first = oldest; /* those before it were forgotten */
    for (uint32_t looked = 0; ended->receipts_first <= ended->receipts_last; looked++) {
        if (looked == RECEIPTS_LOOK_MAX || outputs_room(outputs) < ROOM_LEFT || outputs_full(outputs))
            return true;
        struct ended_record *record = record_at(ended, (uint32_t)(ended->receipts_first++ - oldest));
        if (record->receipts)
            put_record(ended, record, outputs);
    }
    ended->receipts_first = ended->receipts_last = 0;
    return false;
}

/* ---- eviction ---- */

/* Erase the received outcomes of the record at the cursor and move on; the cursor goes round. */
static uint32_t evict_record(struct ended *ended, struct outputs *outputs)
{
    if (ended->evict_record >= ended->record_count)
        ended->evict_record = 0;
    struct ended_record *record = record_at(ended, ended->evict_record++);
    uint32_t evicted = 0;
    for (uint32_t i = 0; i < record->count; i++) {
        struct ended_entry *entry = entry_at(ended, record->first + i);
        if (!is_evictable(entry))
            continue;
        erase_outcome(ended, entry, outputs);
        evicted++;
    }
    if (evicted > 0)
        put_record(ended, record, outputs);
    return evicted;
}

uint32_t ended_evict_received(struct ended *ended, uint32_t most, struct outputs *outputs)
{
    uint32_t evicted = 0;
    for (uint32_t looked = 0; looked < EVICT_LOOK_MAX && looked < ended->record_count; looked++) {
        if (evicted >= most || ended->evictable == 0 || outputs_room(outputs) < ROOM_LEFT)
            break;
        evicted += evict_record(ended, outputs);
    }
    return evicted;
}

void ended_mark_late(struct ended *ended, uint32_t value, struct outputs *outputs)
{
    uint64_t number = entry_number(ended, value);
    struct ended_entry *entry = entry_at(ended, number);
    if (entry->late)
        return;
    entry->late = 1;
    if (number >= ended->next - ended->open)
        return; /* its record is put at the end of this step */
    put_record(ended, record_at(ended, record_of(ended, number)), outputs);
}

uint64_t ended_due_wall_ms(const struct ended *ended)
{
    uint64_t due = UINT64_MAX;
    if (ended->record_count > 0)
        due = record_at(ended, 0)->wall_ms + ended->dedupe_ttl_ms;
    if (ended->erase_record < ended->record_count) {
        uint64_t results = record_at(ended, ended->erase_record)->wall_ms + ended->result_ttl_ms;
        due = results < due ? results : due;
    }
    return due;
}
