/* classes.h - classes: what a task requires of the one who runs it, interned to a small number.
 *
 * Is:      requirement = [type, [capabilities, sorted], region]; tasks of equal requirement share a class and
 * thus a ready queue, so that a task that cannot run never blocks one that can. Invariants: a class is
 * durable (CLASSES) before a task of it is; numbers are 1 .. CLASSES_MAX. When all are taken, one without
 * tasks becomes the new class; its record is put again in the step of the first task. Cost:    find: one hash
 * over the encoded requirement; a new one in a full table looks for one without tasks. Bound: CLASSES_MAX
 * with tasks; above it tasks are refused `too_many`. */
#ifndef MERIDIAN_ENGINE_CLASSES_H
#define MERIDIAN_ENGINE_CLASSES_H

#include "engine/outputs.h"
#include "proto/link.h"
#include "proto/task.h"

enum { CLASSES_MAX = 4096, CLASS_HASH_SLOTS = 16384 };

/* A parsed requirement; views into the class's own bytes. */
struct requirement {
    struct bytes type, region;
    struct bytes capabilities[CAPABILITIES_MAX];
    uint32_t capability_count;
};

struct classes {
    struct bytes encoded[CLASSES_MAX + 1]; /* malloc'ed, live as long as the class */
    uint32_t tasks[CLASSES_MAX + 1];       /* living tasks of it */
    uint32_t count;
    uint16_t reuse_next;              /* where to look for one without tasks */
    uint16_t slots[CLASS_HASH_SLOTS]; /* hash of the encoding -> class */
};

void classes_release(struct classes *classes);
/* The class of `fields`; a new one is put into `outputs`. 0 when the table is full of classes with tasks.
 * `ret_reused`: it had another requirement before, and whoever keeps facts about it forgets them. */
uint16_t classes_of(struct classes *classes, const struct task_fields *fields, struct outputs *outputs,
                    bool *ret_reused);
/* A record of CLASSES, in ascending order. False if it is not one. */
bool classes_restore(struct classes *classes, uint64_t number, struct bytes encoded);
void classes_requirement(const struct classes *classes, uint16_t class, struct requirement *ret_requirement);
/* May a child with this profile run tasks that require this? (The region is not looked at.) */
bool profile_meets(const struct profile *profile, const struct requirement *requirement);

#endif
