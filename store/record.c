/* record.c - see record.h. */
#include "store/record.h"

#include "proto/assert.h"

const char *table_text(enum table table)
{
    static const char *const text[TABLE_COUNT] = {
#define X(name, text) text,
        STORE_TABLES(X)
#undef X
    };
    ASSERT(table < TABLE_COUNT);
    return text[table];
}

bool table_is_restored(enum table table)
{
    static const bool restored[TABLE_COUNT] = {
        [TABLE_META] = true,   [TABLE_CLASSES] = true, [TABLE_CHILDREN] = true, [TABLE_STATES] = true,
        [TABLE_GRANTS] = true, [TABLE_ENDED] = true,   [TABLE_SPOOL] = true,
    };
    ASSERT(table < TABLE_COUNT);
    return restored[table];
}
