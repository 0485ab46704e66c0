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

/* Take the class out of its slot; those behind it move up (Knuth 6.4, algorithm R). */
static void vacate(struct classes *classes, uint16_t class)
{
    uint32_t empty = slot_of(classes, classes->encoded[class]), at = empty;
    for (;;) {
        at = (at + 1) % CLASS_HASH_SLOTS;
        uint16_t other = classes->slots[at];
        if (other == 0)
            break;
        uint32_t home = hash_of(classes->encoded[other]) % CLASS_HASH_SLOTS;
        bool stays = empty < at ? empty < home && home <= at : empty < home || home <= at;
        if (stays)
            continue;
        classes->slots[empty] = other;
        empty = at;
    }
    classes->slots[empty] = 0;
    free((void *)(uintptr_t)classes->encoded[class].data);
    classes->encoded[class] = (struct bytes){NULL, 0};
}

/* A number for a new class: a fresh one, or that of a class without tasks; 0 if there is none. */
static uint16_t free_class(struct classes *classes, bool *ret_reused)
{
    *ret_reused = false;
    if (classes->count < CLASSES_MAX)
        return (uint16_t)(classes->count + 1);
    for (uint32_t looked = 0; looked < CLASSES_MAX; looked++) {
        classes->reuse_next = classes->reuse_next % CLASSES_MAX + 1;
        if (classes->tasks[classes->reuse_next] > 0)
            continue;
        *ret_reused = true;
        return classes->reuse_next;
    }
    return 0;
}

/* Nothing changes if there is no memory. */
static bool enter(struct classes *classes, uint16_t class, struct bytes encoded)
{
    uint8_t *copy = malloc(encoded.size);
    if (copy == NULL)
        return false;
    memcpy(copy, encoded.data, encoded.size);
    if (class <= classes->count)
        vacate(classes, class);
    else
        classes->count = class;
    classes->encoded[class] = (struct bytes){copy, encoded.size};
    classes->slots[slot_of(classes, encoded)] = class;
    return true;
}

void classes_release(struct classes *classes)
{
    for (uint32_t class = 1; class <= classes->count; class ++)
        free((void *)(uintptr_t)classes->encoded[class].data);
    classes->count = 0;
}

uint16_t classes_of(struct classes *classes, const struct task_fields *fields, struct outputs *outputs,
                    bool *ret_reused)
{
    uint8_t buffer[ENCODED_MAX];
    struct writer writer;
    *ret_reused = false;
    writer_init(&writer, buffer, sizeof buffer);
    encode(&writer, fields);
    struct bytes encoded = writer_bytes(&writer);
    uint32_t slot = slot_of(classes, encoded);
    if (classes->slots[slot] != 0)
        return classes->slots[slot];
    uint16_t class = free_class(classes, ret_reused);
    if (class == 0 || !enter(classes, class, encoded)) {
        *ret_reused = false;
        return 0;
    }
    write_raw(outputs_put(outputs, TABLE_CLASSES, class, 0), encoded);
    outputs_put_end(outputs);
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
    return enter(classes, (uint16_t)number, encoded);
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
