/* children_table.c - the children themselves: found by peer, name and number; their records and profiles. */
#include "engine/children_table.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/bug.h"

#define uthash_fatal(message) ASSERT(!message)
#include <uthash.h>

struct child_by_peer {
    uint64_t peer;
    struct child *child;
    UT_hash_handle hh;
};

enum { FORGET_AFTER_MS = 10 * 60 * 1000, FORGET_ROOM_LEFT = STEP_OPERATIONS_MAX / 2 };

struct child *children_by_peer(const struct children *children, uint64_t peer)
{
    struct child_by_peer *entry;
    HASH_FIND(hh, children->by_peer, &peer, sizeof peer, entry);
    return entry == NULL ? NULL : entry->child;
}

void children_bind(struct children *children, struct child *child, uint64_t peer)
{
    struct child_by_peer *entry = malloc(sizeof *entry);
    ASSERT(entry != NULL);
    *entry = (struct child_by_peer){.peer = peer, .child = child};
    HASH_ADD(hh, children->by_peer, peer, sizeof entry->peer, entry);
    child->peer = peer;
}

void children_unbind(struct children *children, struct child *child)
{
    struct child_by_peer *entry;
    HASH_FIND(hh, children->by_peer, &child->peer, sizeof child->peer, entry);
    ASSERT(entry != NULL);
    child->peer = 0;
    if (BUG(LEFTOVERS_BELIEVED))
        return;
    HASH_DEL(children->by_peer, entry);
    free(entry);
}

struct child *children_by_number(const struct children *children, uint32_t number)
{
    uint32_t low = 0, high = children->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (children->all[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < children->count && children->all[low]->number == number ? children->all[low] : NULL;
}

struct child *children_by_name(const struct children *children, struct bytes name)
{
    for (uint32_t i = 0; i < children->count; i++)
        if (bytes_are(name, children->all[i]->name))
            return children->all[i];
    return NULL;
}

uint32_t children_by_names(const struct children *children, struct child **ret_order)
{
    for (uint32_t i = 0; i < children->count; i++) {
        struct child *child = children->all[i];
        uint32_t at = i;
        for (; at > 0 && memcmp(ret_order[at - 1]->name, child->name, sizeof child->name) > 0; at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = child;
    }
    return children->count;
}

struct child *children_add(struct children *children, uint32_t number, struct bytes name)
{
    if (children->count == CHILDREN_MAX)
        return NULL;
    struct child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return NULL;
    ASSERT(name.size <= NAME_BYTES_MAX);
    ASSERT(children->count == 0 || children->all[children->count - 1]->number < number);
    memcpy(child->name, name.data, name.size);
    child->number = number;
    child->heard_ns = children->awake_ns;
    children->all[children->count++] = child;
    return child;
}

static void child_free(struct child *child)
{
    if (BUG(LEFTOVERS_BELIEVED))
        return; /* its former peers still lead to it */
    for (size_t block = 0; block < sizeof child->classes / sizeof child->classes[0]; block++)
        free(child->classes[block]);
    free(child->profiles);
    strays_release(&child->strays);
    free(child);
}

void children_remove(struct children *children, struct child *child, struct outputs *outputs)
{
    ASSERT(child->first_grant == 0);
    child_end_session(children, child, outputs);
    outputs_forget_link(outputs, &child->link);
    outputs_erase(outputs, TABLE_CHILDREN, child->number);
    uint32_t at = 0;
    while (children->all[at] != child)
        at++;
    memmove(&children->all[at], &children->all[at + 1], (children->count - at - 1) * sizeof children->all[0]);
    children->count--;
    child_free(child);
}

void children_release(struct children *children)
{
    for (uint32_t i = 0; i < children->count; i++) {
        if (children->all[i]->peer != 0)
            children_unbind(children, children->all[i]);
        child_free(children->all[i]);
    }
    children->count = 0;
}

void children_forget_old(struct children *children, struct outputs *outputs)
{
    for (uint32_t i = children->count; i > 0; i--) {
        struct child *child = children->all[i - 1];
        uint64_t silent_ms = (children->awake_ns - child->heard_ns) / NANOSECONDS_PER_MS;
        bool gone = (child->lost || child->left) && child->first_grant == 0 && child->peer == 0;
        bool crowded = children->count > CHILDREN_MAX / 2;
        if (outputs_room(outputs) < FORGET_ROOM_LEFT)
            return; /* the next beat goes on */
        if (gone && (child->forgotten || crowded || silent_ms > FORGET_AFTER_MS))
            children_remove(children, child, outputs);
    }
}

/* CHILDREN n: [name, instance, boot, forgotten] */
enum { CHILD_FIELDS = 4, CHILD_FIELDS_MIN = 3 };

void child_put_record(const struct child *child, struct outputs *outputs)
{
    struct writer *writer = outputs_put(outputs, TABLE_CHILDREN, child->number, 0);
    write_array(writer, CHILD_FIELDS);
    write_str(writer, child->name);
    write_bin(writer, (struct bytes){child->instance, INSTANCE_BYTES});
    write_uint(writer, child->boot);
    write_bool(writer, child->forgotten);
    outputs_put_end(outputs);
}

bool children_restore(struct children *children, uint64_t number, struct bytes record)
{
    struct reader reader;
    reader_init(&reader, record);
    uint32_t fields = read_array(&reader, 64);
    struct bytes name = read_str(&reader, 1, NAME_BYTES_MAX);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    uint64_t boot = read_uint(&reader, UINT64_MAX);
    bool forgotten = fields > CHILD_FIELDS_MIN && read_bool(&reader);
    read_skip(&reader, fields, CHILD_FIELDS);
    if (reader_failed(&reader) || number > UINT32_MAX)
        return false;
    struct child *child = children_add(children, (uint32_t)number, name);
    if (child == NULL)
        return false;
    memcpy(child->instance, instance.data, INSTANCE_BYTES);
    child->boot = boot;
    child->lost = child->forgotten = forgotten;
    children->next_number = (uint32_t)number + 1;
    return true;
}

bool profiles_are_good(struct bytes profiles, uint32_t *ret_slots)
{
    struct reader reader;
    struct profile profile;
    uint64_t slots = 0;
    reader_init(&reader, profiles);
    uint32_t count = read_array(&reader, PROFILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!profile_read(&reader, &profile))
            return false;
        slots += profile.slots;
    }
    if (reader_failed(&reader) || profiles.size > PROFILES_BYTES_MAX || slots > UINT32_MAX)
        return false;
    *ret_slots = (uint32_t)slots;
    return true;
}

bool child_take_profiles(struct children *children, struct child *child, struct bytes profiles)
{
    uint32_t slots;
    if (!profiles_are_good(profiles, &slots))
        return false;
    if (bytes_equal((struct bytes){child->profiles, child->profiles_size}, profiles))
        return true;
    uint8_t *copy = realloc(child->profiles, profiles.size);
    if (copy == NULL)
        return false;
    memcpy(copy, profiles.data, profiles.size);
    child->profiles = copy;
    child->profiles_size = (uint32_t)profiles.size;
    child->slots = slots;
    child->classes_known = 0;
    children->profiles_changed = true;
    return true;
}

enum { SLOTS_UNKNOWN = UINT32_MAX };

static uint32_t slots_for(const struct children *children, const struct child *child, uint16_t class)
{
    struct requirement requirement;
    struct profile profile;
    struct reader reader;
    uint32_t slots = 0;
    classes_requirement(children->known, class, &requirement);
    reader_init(&reader, (struct bytes){child->profiles, child->profiles_size});
    uint32_t count = child->profiles_size == 0 ? 0 : read_array(&reader, PROFILES_MAX);
    for (uint32_t i = 0; i < count && profile_read(&reader, &profile); i++)
        slots += profile_meets(&profile, &requirement) ? profile.slots : 0;
    return slots;
}

/* Of every class that came since, or of all after the profiles changed. */
static void learn_classes(const struct children *children, struct child *child)
{
    for (uint32_t class = child->classes_known + 1; class <= children->known->count; class ++) {
        struct child_class **block = &child->classes[class / CLASS_BLOCK];
        if (*block == NULL)
            *block = calloc(CLASS_BLOCK, sizeof **block);
        ASSERT(*block != NULL);
        (*block)[class % CLASS_BLOCK].slots = slots_for(children, child, (uint16_t) class);
    }
    child->classes_known = children->known->count;
}

struct child_class *child_class(const struct children *children, struct child *child, uint16_t class)
{
    if (child->classes_known < children->known->count)
        learn_classes(children, child);
    ASSERT(class > 0 && class <= child->classes_known);
    struct child_class *of = &child->classes[class / CLASS_BLOCK][class % CLASS_BLOCK];
    if (of->slots == SLOTS_UNKNOWN)
        of->slots = slots_for(children, child, class);
    return of;
}

void children_forget_class(struct children *children, uint16_t class)
{
    for (uint32_t i = 0; i < children->count; i++) {
        struct child *child = children->all[i];
        if (class > child->classes_known)
            continue;
        struct child_class *of = &child->classes[class / CLASS_BLOCK][class % CLASS_BLOCK];
        ASSERT(of->granted == 0);
        of->slots = SLOTS_UNKNOWN;
    }
}

/* Two encoded profiles are the same offer if all but the slots is: the slots are their last field. */
struct offer {
    struct bytes head; /* types and capabilities, as encoded */
    uint64_t slots;
};

static uint32_t merge(struct offer *offers, uint32_t offer_count, const struct child *child)
{
    struct reader reader;
    reader_init(&reader, (struct bytes){child->profiles, child->profiles_size});
    uint32_t count = child->profiles_size == 0 ? 0 : read_array(&reader, PROFILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t fields = read_array(&reader, 64);
        const uint8_t *from = reader.at;
        (void)read_raw(&reader);
        (void)read_raw(&reader);
        struct bytes head = {from, (size_t)(reader.at - from)};
        uint64_t slots = read_uint(&reader, SLOTS_MAX);
        read_skip(&reader, fields, 3);
        uint32_t at = 0;
        while (at < offer_count && !bytes_equal(offers[at].head, head))
            at++;
        if (at == PROFILES_MAX)
            continue; /* more kinds of workers than a HELLO may name: this one is not offered above */
        if (at == offer_count)
            offers[offer_count++] = (struct offer){head, 0};
        offers[at].slots += slots;
    }
    return offer_count;
}

uint32_t children_profiles(const struct children *children, struct writer *writer)
{
    struct offer offers[PROFILES_MAX];
    uint32_t count = 0, kept = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < children->count; i++)
        if (child_may_work(children->all[i]))
            count = merge(offers, count, children->all[i]);
    size_t at = write_array_open(writer);
    for (uint32_t i = 0; i < count; i++) {
        if (writer->size + offers[i].head.size + 16 > writer->capacity)
            break;
        uint64_t slots = offers[i].slots < SLOTS_MAX ? offers[i].slots : SLOTS_MAX;
        write_array(writer, 3);
        write_raw(writer, offers[i].head);
        write_uint(writer, slots);
        total += slots;
        kept++;
    }
    patch_count(writer->data, at, kept);
    return (uint32_t)total;
}
