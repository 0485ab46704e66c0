/* link.c - see link.h. Readers come in the same order of fields as writers. */
#include "proto/link.h"

#include "proto/assert.h"

/* Ages are turned into signed nanoseconds. */
#define AGE_MS_MAX (UINT64_MAX / 2000000)

static void write_id(struct writer *writer, const struct task_id *id)
{
    write_bin(writer, (struct bytes){id->bytes, TASK_ID_BYTES});
}

static void write_fence(struct writer *writer, struct fence fence)
{
    uint8_t encoded[FENCE_BYTES];
    fence_encode(fence, encoded);
    write_bin(writer, (struct bytes){encoded, FENCE_BYTES});
}

static void read_id(struct reader *reader, struct task_id *ret_id)
{
    struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(ret_id->bytes, id.data, TASK_ID_BYTES);
}

static struct fence read_fence(struct reader *reader)
{
    struct bytes fence = read_bin(reader, FENCE_BYTES, FENCE_BYTES);
    return fence.size == FENCE_BYTES ? fence_decode(fence.data) : (struct fence){0, 0, 0};
}

/* An array of at least `fields` elements; the rest is for read_end. */
static uint32_t read_begin(struct reader *reader, uint32_t fields)
{
    uint32_t count = read_array(reader, 64);
    if (!reader_failed(reader) && count < fields)
        reader_fail(reader, READER_RANGE);
    return count;
}

static bool read_end(struct reader *reader, uint32_t count, uint32_t fields)
{
    read_skip(reader, count, fields);
    return !reader_failed(reader);
}

void hello_write(struct writer *writer, const struct hello *hello)
{
    write_array(writer, 8);
    write_str_bytes(writer, hello->name);
    write_bin(writer, (struct bytes){hello->instance, INSTANCE_BYTES});
    write_uint(writer, hello->boot);
    write_uint(writer, hello->version_min);
    write_uint(writer, hello->version_max);
    write_str_bytes(writer, hello->role);
    write_raw(writer, hello->profiles);
    write_uint(writer, hello->epoch_seen);
}

bool hello_read(struct bytes body, struct hello *ret_hello)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t count = read_begin(&reader, 8);
    ret_hello->name = read_str(&reader, 1, NAME_BYTES_MAX);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    if (instance.size == INSTANCE_BYTES)
        memcpy(ret_hello->instance, instance.data, INSTANCE_BYTES);
    ret_hello->boot = read_uint(&reader, UINT64_MAX);
    ret_hello->version_min = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_hello->version_max = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_hello->role = read_str(&reader, 1, NAME_BYTES_MAX);
    ret_hello->profiles = read_raw(&reader);
    ret_hello->epoch_seen = (uint32_t)read_uint(&reader, UINT32_MAX);
    return read_end(&reader, count, 8);
}

void profile_write(struct writer *writer, const struct profile *profile)
{
    write_array(writer, 3);
    write_array(writer, profile->type_count);
    for (uint32_t i = 0; i < profile->type_count; i++)
        write_str_bytes(writer, profile->types[i]);
    write_array(writer, profile->capability_count);
    for (uint32_t i = 0; i < profile->capability_count; i++)
        write_str_bytes(writer, profile->capabilities[i]);
    write_uint(writer, profile->slots);
}

bool profile_read(struct reader *reader, struct profile *ret_profile)
{
    uint32_t count = read_begin(reader, 3);
    ret_profile->type_count = read_array(reader, PROFILE_TYPES_MAX);
    for (uint32_t i = 0; i < ret_profile->type_count; i++)
        ret_profile->types[i] = read_name(reader);
    ret_profile->capability_count = read_array(reader, CAPABILITIES_MAX);
    for (uint32_t i = 0; i < ret_profile->capability_count; i++)
        ret_profile->capabilities[i] = read_name(reader);
    ret_profile->slots = (uint32_t)read_uint(reader, SLOTS_MAX);
    return read_end(reader, count, 3);
}

void welcome_write(struct writer *writer, const struct welcome *welcome)
{
    write_array(writer, 5);
    write_uint(writer, welcome->version);
    write_uint(writer, welcome->epoch);
    write_uint(writer, welcome->beat_ms);
    write_uint(writer, welcome->grace_ms);
    write_uint(writer, welcome->wall_ms);
}

bool welcome_read(struct bytes body, struct welcome *ret_welcome)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t count = read_begin(&reader, 5);
    ret_welcome->version = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_welcome->epoch = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_welcome->beat_ms = (uint32_t)read_uint(&reader, 3600 * 1000);
    ret_welcome->grace_ms = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_welcome->wall_ms = read_uint(&reader, UINT64_MAX);
    if (!reader_failed(&reader) && ret_welcome->beat_ms == 0)
        reader_fail(&reader, READER_RANGE);
    return read_end(&reader, count, 5);
}

void heartbeat_write(struct writer *writer, const struct heartbeat *heartbeat)
{
    write_array(writer, heartbeat->late.size == 0 ? 7 : 8);
    write_uint(writer, heartbeat->clock_us);
    write_uint(writer, heartbeat->echo_us);
    write_uint(writer, heartbeat->echo_held_us);
    write_uint(writer, heartbeat->commit_age_ms);
    if (heartbeat->profiles.size == 0)
        write_nil(writer);
    else
        write_raw(writer, heartbeat->profiles);
    write_uint(writer, heartbeat->flags);
    write_uint(writer, heartbeat->children);
    if (heartbeat->late.size > 0)
        write_raw(writer, heartbeat->late);
}

bool heartbeat_read(struct bytes body, struct heartbeat *ret_heartbeat)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t count = read_begin(&reader, 7);
    ret_heartbeat->clock_us = read_uint(&reader, UINT64_MAX);
    ret_heartbeat->echo_us = read_uint(&reader, UINT64_MAX);
    ret_heartbeat->echo_held_us = read_uint(&reader, UINT64_MAX);
    ret_heartbeat->commit_age_ms = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_heartbeat->profiles = (struct bytes){reader.at, 0};
    if (!read_nil(&reader))
        ret_heartbeat->profiles = read_raw(&reader);
    ret_heartbeat->flags = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_heartbeat->children = (uint32_t)read_uint(&reader, UINT32_MAX);
    ret_heartbeat->late = (struct bytes){reader.at, 0};
    if (count > 7 && !read_nil(&reader))
        ret_heartbeat->late = read_raw(&reader);
    return read_end(&reader, count, count > 7 ? 8 : 7);
}

void late_entry_write(struct writer *writer, const struct late_entry *entry)
{
    write_array(writer, 4);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_uint(writer, entry->end);
    write_str_bytes(writer, entry->worker);
}

bool late_entry_read(struct reader *reader, struct late_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 4);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->end = (enum task_end)read_uint(reader, TASK_END_COUNT - 1);
    ret_entry->worker = read_str(reader, 0, NAME_BYTES_MAX);
    return read_end(reader, count, 4);
}

void inventory_row_write(struct writer *writer, const struct inventory_row *row)
{
    write_array(writer, 4);
    write_id(writer, &row->id);
    write_fence(writer, row->fence);
    write_uint(writer, row->status);
    write_uint(writer, row->running_ms);
}

bool inventory_row_read(struct reader *reader, struct inventory_row *ret_row)
{
    uint32_t count = read_begin(reader, 4);
    read_id(reader, &ret_row->id);
    ret_row->fence = read_fence(reader);
    ret_row->status = (enum held_status)read_uint(reader, HELD_STATUS_COUNT - 1);
    ret_row->running_ms = read_uint(reader, UINT64_MAX);
    return read_end(reader, count, 4);
}

void assign_entry_write_head(struct writer *writer, const struct assign_entry *entry)
{
    write_array(writer, 7);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_uint(writer, entry->age_ms);
    write_uint(writer, entry->flags);
    write_uint(writer, entry->attempt);
    write_uint(writer, entry->attempts_max);
}

bool assign_entry_read(struct reader *reader, struct assign_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 7);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->age_ms = read_uint(reader, AGE_MS_MAX);
    ret_entry->flags = (uint32_t)read_uint(reader, UINT32_MAX);
    ret_entry->attempt = (uint32_t)read_uint(reader, UINT32_MAX);
    ret_entry->attempts_max = (uint32_t)read_uint(reader, UINT32_MAX);
    ret_entry->envelope = read_raw(reader);
    return read_end(reader, count, 7);
}

void taken_entry_write(struct writer *writer, const struct taken_entry *entry)
{
    write_array(writer, 4);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_bool(writer, entry->started);
    write_uint(writer, entry->running_ms);
}

bool taken_entry_read(struct reader *reader, struct taken_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 4);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->started = read_bool(reader);
    ret_entry->running_ms = read_uint(reader, UINT64_MAX);
    return read_end(reader, count, 4);
}

void refused_entry_write(struct writer *writer, const struct refused_entry *entry)
{
    write_array(writer, 3);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_str_bytes(writer, entry->code);
}

bool refused_entry_read(struct reader *reader, struct refused_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 3);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->code = read_str(reader, 0, NAME_BYTES_MAX);
    return read_end(reader, count, 3);
}

void stop_entry_write(struct writer *writer, const struct stop_entry *entry)
{
    write_array(writer, 3);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_uint(writer, entry->mode);
}

bool stop_entry_read(struct reader *reader, struct stop_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 3);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->mode = (enum stop_mode)read_uint(reader, STOP_MODE_COUNT - 1);
    return read_end(reader, count, 3);
}

void outcome_entry_write_head(struct writer *writer, const struct outcome_entry *entry)
{
    write_array(writer, 5);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_uint(writer, entry->end);
    write_uint(writer, entry->flags);
}

bool outcome_entry_read(struct reader *reader, struct outcome_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 5);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->end = (enum task_end)read_uint(reader, TASK_END_COUNT - 1);
    ret_entry->flags = (uint32_t)read_uint(reader, UINT32_MAX);
    if (!reader_failed(reader) && reader_peek(reader) != TYPE_MAP)
        reader_fail(reader, READER_TYPE);
    ret_entry->outcome = read_raw(reader);
    return read_end(reader, count, 5);
}

void settled_entry_write(struct writer *writer, const struct settled_entry *entry)
{
    write_array(writer, 3);
    write_id(writer, &entry->id);
    write_fence(writer, entry->fence);
    write_uint(writer, entry->status);
}

bool settled_entry_read(struct reader *reader, struct settled_entry *ret_entry)
{
    uint32_t count = read_begin(reader, 3);
    read_id(reader, &ret_entry->id);
    ret_entry->fence = read_fence(reader);
    ret_entry->status = (enum settled_status)read_uint(reader, SETTLED_STATUS_COUNT - 1);
    return read_end(reader, count, 3);
}

void ask_write_head(struct writer *writer, uint64_t request, const char *question)
{
    write_array(writer, 3);
    write_uint(writer, request);
    write_str(writer, question);
}

bool ask_read(struct bytes body, struct ask *ret_ask)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t count = read_begin(&reader, 3);
    ret_ask->request = read_uint(&reader, UINT64_MAX);
    ret_ask->question = read_str(&reader, 1, NAME_BYTES_MAX);
    ret_ask->body = read_raw(&reader);
    return read_end(&reader, count, 3);
}

void answer_write_head(struct writer *writer, uint64_t request)
{
    write_array(writer, 2);
    write_uint(writer, request);
}

bool answer_read(struct bytes body, uint64_t *ret_request, struct bytes *ret_body)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t count = read_begin(&reader, 2);
    *ret_request = read_uint(&reader, UINT64_MAX);
    *ret_body = read_raw(&reader);
    return read_end(&reader, count, 2);
}

const char *task_end_text(enum task_end end)
{
    static const char *const text[TASK_END_COUNT] = {"completed", "failed",   "cancelled",
                                                     "expired",   "returned", "not_held"};
    ASSERT(end < TASK_END_COUNT);
    return text[end];
}
