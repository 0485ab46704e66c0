/* fields.h - single fields out of msgpack maps, by name: what clients and checks need of replies and
 * outcomes. All return a zero value if the field is not there or of another type; the map itself must be
 * sound. */
#ifndef MERIDIAN_SIM_FIELDS_H
#define MERIDIAN_SIM_FIELDS_H

#include "proto/bytes.h"
#include "proto/id.h"
#include "proto/reader.h"

/* The value's exact bytes; size 0 if there is none. */
struct bytes field(struct bytes map, const char *name);
struct bytes field_text(struct bytes map, const char *name);
uint64_t field_uint(struct bytes map, const char *name);
bool field_bool(struct bytes map, const char *name);
/* A reader at the first element of an array field, and how many there are. */
uint32_t field_array(struct bytes map, const char *name, struct reader *ret_reader);
/* The bin field `name` into `to` if it has that size. */
bool field_bin(struct bytes map, const char *name, void *to, size_t size);

#endif
