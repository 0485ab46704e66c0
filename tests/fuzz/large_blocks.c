/* large_blocks.c - malloc and free of large blocks for the fuzz targets: a few are kept and given out again.
 *
 * AddressSanitizer maps and unmaps every block above 256 KiB, with its shadow. A node has several, and each
 * run makes a new node: page faults were nine tenths of a run. A kept block is poisoned while nobody has it,
 * so what touches it then is found as before; its ends are still guarded. The linker puts these in the place
 * of the C library's (--wrap). */
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 16, LARGE_BYTES_MIN = 128 * 1024, LARGE_BYTES_MAX = 4 * 1024 * 1024 };

static struct block {
    void *at;
    size_t size;
    bool used;
} blocks[BLOCKS];

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static struct block *find(const void *at)
{
    for (int i = 0; at != NULL && i < BLOCKS; i++)
        if (blocks[i].at == at)
            return &blocks[i];
    return NULL;
}

/* One of that size that nobody has, or one more; NULL if it is not large, or there are enough. */
static void *take(size_t size)
{
    if (size < LARGE_BYTES_MIN || size > LARGE_BYTES_MAX)
        return NULL;
    for (int i = 0; i < BLOCKS; i++) {
        struct block *block = &blocks[i];
        bool new = block->at == NULL;
        if (new)
            *block = (struct block){.at = __real_malloc(size), .size = size};
        if (block->at == NULL || block->used || block->size != size)
            continue;
        block->used = true;
        __asan_unpoison_memory_region(block->at, size);
        return block->at;
    }
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    void *block = take(size);
    return block != NULL ? block : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    bool overflows = size != 0 && count > SIZE_MAX / size;
    void *block = overflows ? NULL : take(count * size);
    return block != NULL ? memset(block, 0, count * size) : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    const struct block *kept = find(block);
    if (kept == NULL)
        return __real_realloc(block, size);
    void *moved = __wrap_malloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, block, size < kept->size ? size : kept->size);
    __wrap_free(block);
    return moved;
}

void __wrap_free(void *block)
{
    struct block *kept = find(block);
    if (kept == NULL) {
        __real_free(block);
        return;
    }
    if (!kept->used)
        abort(); /* given back twice */
    kept->used = false;
    __asan_poison_memory_region(kept->at, kept->size);
}
