/* query_workers.c - QUERY workers: rows of all regions in the order of names, a page at a time; and what is
 * remembered of the workers of a region for when it cannot be asked.
 *
 * Each ANSWER that begins with a region's first worker is remembered, marked stale. So that there is
 * something to remember, a region whose heartbeat tells of another number of workers is asked without a
 * client. */
#include <stdlib.h>

#include "broker/broker_state.h"
#include "broker/query_rows.h"
#include "proto/assert.h"

enum {
    FALSE_BYTE = 0xc2,
    TRUE_BYTE = 0xc3,
    WORKER_ROW_BYTES_MAX = 16 * 1024, /* a page has room for some whatever a region sends */
    ASK_ROOM_LEFT = 512,
};

/* ---- asking ---- */

static struct bytes region_of(const char *after)
{
    const char *slash = memchr(after, '/', strlen(after));
    return (struct bytes){(const uint8_t *)after, slash == NULL ? strlen(after) : (size_t)(slash - after)};
}

static struct bytes worker_of(const char *after)
{
    const char *slash = memchr(after, '/', strlen(after));
    return bytes_of(slash == NULL ? "" : slash + 1);
}

static void ask_region(struct broker *broker, struct query *query, struct child *region,
                       struct outputs *outputs)
{
    struct writer *writer = query_ask(broker, query, region, "workers", outputs);
    bool within = bytes_are(region_of(query->after), region->name);
    write_map(writer, within);
    if (within) {
        write_str(writer, "after");
        write_str_bytes(writer, worker_of(query->after));
    }
    outputs_message_end(outputs);
}

static bool is_before(const struct child *region, const char *after)
{
    return bytes_compare(bytes_of(region->name), region_of(after)) < 0;
}

void query_ask_workers(struct broker *broker, struct query *query, struct bytes after,
                       struct outputs *outputs)
{
    struct children *regions = &broker->tasks.children;
    if (after.size != 0)
        memcpy(query->after, after.data, after.size);
    for (uint32_t i = 0; i < regions->count && outputs_room(outputs) >= ASK_ROOM_LEFT; i++)
        if (query_can_answer(regions->all[i]) && !is_before(regions->all[i], query->after))
            ask_region(broker, query, regions->all[i], outputs);
    query_reply_when_ready(broker, query, outputs);
}

void query_take_workers(struct query_asked *asked, struct reader *reader)
{
    uint32_t count = read_array(reader, CHILDREN_MAX);
    const uint8_t *from = reader->at;
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes row = read_raw(reader);
        if (row.size > WORKER_ROW_BYTES_MAX || !row_is_good(row))
            reader_fail(reader, READER_RANGE);
    }
    if (reader_failed(reader))
        return;
    query_free_bytes(&asked->rows);
    asked->rows = query_copy_bytes((struct bytes){from, (size_t)(reader->at - from)});
    asked->count = asked->rows.size == 0 ? 0 : count;
}

/* ---- remembering ---- */

static struct known_workers *known_of(struct queries *queries, uint32_t region)
{
    for (uint32_t i = 0; i < queries->known_count; i++)
        if (queries->known[i].region == region)
            return &queries->known[i];
    return NULL;
}

static struct known_workers *know(struct queries *queries, uint32_t region)
{
    struct known_workers *known = known_of(queries, region);
    if (known != NULL)
        return known;
    queries->known = realloc(queries->known, (queries->known_count + 1) * sizeof *queries->known);
    ASSERT(queries->known != NULL);
    known = &queries->known[queries->known_count++];
    *known = (struct known_workers){.region = region};
    return known;
}

/* Regions that the broker has forgotten leave nothing behind. */
static void forget_unknown(struct broker *broker)
{
    struct queries *queries = &broker->queries;
    for (uint32_t i = queries->known_count; i-- > 0;) {
        struct known_workers *known = &queries->known[i];
        if (children_by_number(&broker->tasks.children, known->region) != NULL)
            continue;
        query_free_bytes(&known->rows);
        *known = queries->known[--queries->known_count];
    }
}

static void mark_stale(struct bytes rows, uint32_t count)
{
    struct reader reader;
    reader_init(&reader, rows);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes stale = read_map_value(read_raw(&reader), "stale");
        if (stale.size == 1 && stale.data[0] == FALSE_BYTE)
            *(uint8_t *)(uintptr_t)stale.data = TRUE_BYTE; /* in our own copy */
    }
}

static void remember(struct broker *broker, const struct query_asked *asked)
{
    struct known_workers *known = know(&broker->queries, asked->region);
    query_free_bytes(&known->rows);
    known->rows = query_copy_bytes(asked->rows);
    known->count = known->rows.size == 0 ? 0 : asked->count;
    mark_stale(known->rows, known->count);
}

void query_watch_workers(struct broker *broker, struct outputs *outputs)
{
    struct children *regions = &broker->tasks.children;
    if (broker->tasks.now_ns < broker->queries.known_check_ns)
        return;
    broker->queries.known_check_ns = broker->tasks.now_ns + broker->options.beat_ms * NANOSECONDS_PER_MS;
    forget_unknown(broker);
    struct query *query = NULL;
    for (uint32_t i = 0; i < regions->count && outputs_room(outputs) >= ASK_ROOM_LEFT; i++) {
        struct child *region = regions->all[i];
        struct known_workers *known = known_of(&broker->queries, region->number);
        if (!query_can_answer(region) || region->workers == (known == NULL ? 0 : known->workers))
            continue;
        if (query == NULL)
            query = query_open(broker, QUERY_NO_CLIENT, 0, QUERY_WORKERS);
        if (query == NULL)
            return; /* the next beat */
        know(&broker->queries, region->number)->workers = region->workers;
        ask_region(broker, query, region, outputs);
    }
}

/* ---- replying ---- */

/* Rows of one region that are behind the query's `after`. */
struct page {
    struct bytes rows;
    uint32_t count;
    bool more; /* the region has further ones */
};

static void skip_known(struct page *page, struct bytes after)
{
    struct reader reader;
    reader_init(&reader, page->rows);
    for (; page->count > 0; page->count--) {
        const uint8_t *from = reader.at;
        struct reader name;
        reader_init(&name, read_map_value(read_raw(&reader), "name"));
        if (bytes_compare(read_str(&name, 0, NAME_BYTES_MAX), after) > 0) {
            page->rows = (struct bytes){from, (size_t)(page->rows.data + page->rows.size - from)};
            return;
        }
    }
}

static struct page page_of(struct broker *broker, struct query *query, const struct child *region)
{
    const struct query_asked *asked = query_asked_of(query, region->number);
    const struct known_workers *known = known_of(&broker->queries, region->number);
    if (is_before(region, query->after))
        return (struct page){.count = 0};
    if (asked != NULL && asked->answered)
        return (struct page){asked->rows, asked->count, asked->more};
    if (known == NULL)
        return (struct page){.count = 0};
    struct page page = {.rows = known->rows, .count = known->count};
    if (bytes_are(region_of(query->after), region->name))
        skip_known(&page, worker_of(query->after));
    return page;
}

/* As many of its rows as fit, given what is in the reply already. False if that was not all. */
static bool cut(struct page *page, size_t bytes)
{
    struct reader reader;
    reader_init(&reader, page->rows);
    for (uint32_t i = 0; i < page->count; i++) {
        const uint8_t *from = reader.at;
        size_t size = read_raw(&reader).size;
        if (bytes + (size_t)(from - page->rows.data) + size > QUERY_BYTES_MAX) {
            *page = (struct page){{page->rows.data, (size_t)(from - page->rows.data)}, i, true};
            return false;
        }
    }
    return !page->more;
}

void query_reply_workers(struct broker *broker, struct query *query, struct outputs *outputs)
{
    struct child *regions[CHILDREN_MAX];
    struct page pages[CHILDREN_MAX];
    uint32_t region_count = children_by_names(&broker->tasks.children, regions), used = 0, rows = 0;
    size_t bytes = 0;
    bool all = true;
    for (uint32_t i = 0; i < query->asked_count; i++)
        if (query->asked[i].answered && query->after[0] == '\0')
            remember(broker, &query->asked[i]);
    if (query->peer == QUERY_NO_CLIENT)
        return;
    for (; used < region_count && all; used++) {
        pages[used] = page_of(broker, query, regions[used]);
        all = cut(&pages[used], bytes);
        bytes += pages[used].rows.size;
        rows += pages[used].count;
    }
    struct writer *writer = query_rows_begin(broker, query->peer, query->sequence, !all, rows, outputs);
    for (uint32_t i = 0; i < used; i++)
        write_raw(writer, pages[i].rows);
    outputs_message_end(outputs);
}
