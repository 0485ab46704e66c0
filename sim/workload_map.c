/* workload_map.c - a task of the workload as clients send it. */
#include <stdlib.h>

#include "proto/assert.h"
#include "proto/writer.h"
#include "sim/workload.h"

enum { MAP_HEAD_ROOM = 512 };

static void field_head(struct writer *writer, uint32_t *pairs, const char *name)
{
    (*pairs)++;
    write_str(writer, name);
}

static void field_number(struct writer *writer, uint32_t *pairs, const char *name, uint64_t number)
{
    field_head(writer, pairs, name);
    write_uint(writer, number);
}

const char *workload_type_text(enum task_type type)
{
    static const char *const text[TASK_TYPE_COUNT] = {COMMAND_TYPE, "job", "noop"};
    return text[type];
}

static void write_type(struct writer *writer, uint32_t *pairs, enum task_type type)
{
    if (type != TYPE_COMMAND) {
        field_head(writer, pairs, "type");
        write_str(writer, workload_type_text(type));
        return;
    }
    field_head(writer, pairs, "argv");
    write_array(writer, 1);
    write_str(writer, "simulated");
}

static void write_payload(struct writer *writer, uint32_t *pairs, size_t size)
{
    if (size == 0)
        return;
    field_head(writer, pairs, "payload");
    write_bin_head(writer, (uint32_t)size);
    ASSERT(writer->capacity - writer->size >= size);
    memset(writer->data + writer->size, 'p', size);
    writer->size += size;
}

/* A map of `pairs` pairs around the content that was written behind its head. */
static struct bytes close_map(struct writer *content, uint32_t pairs)
{
    uint8_t *map = take_memory(content->size + 8, 1);
    struct writer writer;
    writer_init(&writer, map, content->size + 8);
    write_map(&writer, pairs);
    write_raw(&writer, writer_bytes(content));
    free(content->data);
    return writer_bytes(&writer);
}

struct bytes workload_map(const struct sim *sim, const struct work *work)
{
    size_t payload = work->payload_bytes;
    struct writer writer;
    uint32_t pairs = 0;
    writer_init(&writer, take_memory(payload + MAP_HEAD_ROOM, 1), payload + MAP_HEAD_ROOM);
    field_head(&writer, &pairs, "id");
    write_bin(&writer, (struct bytes){work->id.bytes, TASK_ID_BYTES});
    write_type(&writer, &pairs, work->type);
    if (work->retries != RETRIES_UNSAID)
        field_number(&writer, &pairs, "retries", work->retries);
    if (work->delay_ms != 0)
        field_number(&writer, &pairs, "delay_ms", work->delay_ms);
    if (work->timeout_ms != 0)
        field_number(&writer, &pairs, "timeout_ms", work->timeout_ms);
    if (work->deadline_ms != 0)
        field_number(&writer, &pairs, "deadline_ms", work->deadline_ms);
    if (work->priority != PRIORITY_NORMAL || work->says_normal) {
        field_head(&writer, &pairs, "priority");
        write_str(&writer, priority_text(work->priority));
    }
    if (work->region != 0) {
        field_head(&writer, &pairs, "region");
        write_str(&writer, sim->nodes[work->region].name);
    }
    if (work->needs_disk) {
        field_head(&writer, &pairs, "capabilities");
        write_array(&writer, 1);
        write_str(&writer, "disk");
    }
    write_payload(&writer, &pairs, payload);
    return close_map(&writer, pairs);
}

struct bytes workload_other_body(const struct work *work)
{
    struct writer writer;
    uint32_t pairs = 0;
    writer_init(&writer, take_memory(MAP_HEAD_ROOM, 1), MAP_HEAD_ROOM);
    field_head(&writer, &pairs, "id");
    write_bin(&writer, (struct bytes){work->id.bytes, TASK_ID_BYTES});
    field_head(&writer, &pairs, "argv");
    write_array(&writer, 2);
    write_str(&writer, "simulated");
    write_str(&writer, "otherwise");
    return close_map(&writer, pairs);
}
