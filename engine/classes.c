/* classes.c - see classes.h. */
#include "engine/classes.h"

#include <stdlib.h>

#include "proto/assert.h"

enum { ENCODED_MAX = (CAPABILITIES_MAX + 2) * (NAME_BYTES_MAX + 2) + 8 };

static void encode(struct writer *writer, const struct task_fields *fields)
{
    struct bytes sorted[CAPABILITIES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < fields->capability_count; i++) {
        uint32_t at = count++;
        for (; at > 0 && bytes_compare(sorted[at - 1], fields->capabilities[i]) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = fields->capabilities[i];
    }
    write_array(writer, 3);
    write_str_bytes(writer, fields->type);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_str_bytes(writer, sorted[i]);
    write_str_bytes(writer, fields->region);
}

static uint32_t hash_of(struct bytes encoded)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < encoded.size; i++)
        hash = (hash ^ encoded.data[i]) * 16777619u;
    return hash;
}

/* The slot of `encoded`, or the empty one where it belongs: the table is at most a quarter full. */
static uint32_t slot_of(const struct classes *classes, struct bytes encoded)
{
    uint32_t slot = hash_of(encoded) % CLASS_HASH_SLOTS;
    while (classes->slots[slot] != 0 && !bytes_equal(classes->encoded[classes->slots[slot]], encoded))
        slot = (slot + 1) % CLASS_HASH_SLOTS;
    return slot;
}

static uint16_t append(struct classes *classes, struct bytes encoded, uint32_t slot)
{
    uint8_t *copy = malloc(encoded.size);
    if (copy == NULL)
        return 0;
    memcpy(copy, encoded.data, encoded.size);
    uint16_t class = (uint16_t)++classes->count;
    classes->encoded[class] = (struct bytes){copy, encoded.size};
    classes->slots[slot] = class;
    return class;
}

void classes_release(struct classes *classes)
{
    for (uint32_t class = 1; class <= classes->count; class ++)
        free((void *)(uintptr_t)classes->encoded[class].data);
    classes->count = 0;
}

uint16_t classes_of(struct classes *classes, const struct task_fields *fields, struct outputs *outputs)
{
    uint8_t buffer[ENCODED_MAX];
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    encode(&writer, fields);
    struct bytes encoded = writer_bytes(&writer);
    uint32_t slot = slot_of(classes, encoded);
    if (classes->slots[slot] != 0)
        return classes->slots[slot];
    if (classes->count == CLASSES_MAX)
        return 0;
    uint16_t class = append(classes, encoded, slot);
    if (class != 0) {
        write_raw(outputs_put(outputs, TABLE_CLASSES, class, 0), encoded);
        outputs_put_end(outputs);
    }
    return class;
}

static bool requirement_read(struct bytes encoded, struct requirement *ret_requirement)
{
    struct reader reader;
    reader_init(&reader, encoded);
    bool three = read_array(&reader, 3) == 3;
    ret_requirement->type = read_str(&reader, 1, NAME_BYTES_MAX);
    ret_requirement->capability_count = read_array(&reader, CAPABILITIES_MAX);
    for (uint32_t i = 0; i < ret_requirement->capability_count; i++)
        ret_requirement->capabilities[i] = read_str(&reader, 1, NAME_BYTES_MAX);
    ret_requirement->region = read_str(&reader, 0, NAME_BYTES_MAX);
    reader_finish(&reader);
    return three && !reader_failed(&reader);
}

bool classes_restore(struct classes *classes, uint64_t number, struct bytes encoded)
{
    struct requirement requirement;
    if (number != classes->count + 1 || number > CLASSES_MAX || !requirement_read(encoded, &requirement))
        return false;
    return append(classes, encoded, slot_of(classes, encoded)) != 0;
}

void classes_requirement(const struct classes *classes, uint16_t class, struct requirement *ret_requirement)
{
    ASSERT(class > 0 && class <= classes->count);
    bool good = requirement_read(classes->encoded[class], ret_requirement);
    ASSERT(good);
}

static bool contains(const struct bytes *names, uint32_t count, struct bytes name)
{
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(names[i], name))
            return true;
    return false;
}

bool profile_meets(const struct profile *profile, const struct requirement *requirement)
{
    if (!contains(profile->types, profile->type_count, requirement->type))
        return false;
    for (uint32_t i = 0; i < requirement->capability_count; i++)
        if (!contains(profile->capabilities, profile->capability_count, requirement->capabilities[i]))
            return false;
    return true;
}
