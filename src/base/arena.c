#include "base/mem.h"

#include <string.h>

typedef struct Block {
    struct Block *next;
    size_t used;
    size_t size;
    max_align_t data[];
} Block;

struct OctArena {
    Block *blocks; /* the newest, partly filled one first */
};

enum { BLOCK_BYTES = 16 * 1024 };

OctArena *oct_arena_create(void) {
    return oct_calloc(1, sizeof(OctArena));
}

void oct_arena_free(OctArena *arena) {
    if (!arena) {
        return;
    }
    Block *block = arena->blocks;
    while (block) {
        Block *next = block->next;
        oct_free(block);
        block = next;
    }
    oct_free(arena);
}

void oct_arena_clear(OctArena *arena) {
    Block *kept = NULL;
    for (Block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        if (kept || block->size > BLOCK_BYTES) {
            oct_free(block);
        } else {
            kept = block;
        }
    }
    if (kept) {
        memset(kept->data, 0, kept->used);
        kept->used = 0;
        kept->next = NULL;
    }
    arena->blocks = kept;
}

void *oct_arena_alloc(OctArena *arena, size_t size) {
    size_t padded;
    if (!oct_add_size(size ? size : 1, sizeof(max_align_t) - 1, &padded)) {
        return NULL;
    }
    padded &= ~(sizeof(max_align_t) - 1);
    Block *block = arena->blocks;
    if (!block || block->size - block->used < padded) {
        size_t capacity = padded > BLOCK_BYTES ? padded : BLOCK_BYTES;
        size_t bytes;
        if (!oct_add_size(capacity, sizeof(Block), &bytes)) {
            return NULL;
        }
        Block *fresh = oct_calloc(1, bytes);
        if (!fresh) {
            return NULL;
        }
        fresh->size = capacity;
        if (block && padded > BLOCK_BYTES / 4) {
            /* a large one goes behind, so that the small ones keep filling the current block */
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        block = fresh;
    }
    char *pointer = (char *)block->data + block->used;
    block->used += padded;
    return pointer;
}

void *oct_arena_array(OctArena *arena, size_t count, size_t size) {
    size_t bytes;
    return oct_mul_size(count, size, &bytes) ? oct_arena_alloc(arena, bytes) : NULL;
}

void *oct_arena_memdup(OctArena *arena, const void *data, size_t size) {
    void *copy = oct_arena_alloc(arena, size);
    if (copy && size) {
        memcpy(copy, data, size);
    }
    return copy;
}

char *oct_arena_strndup(OctArena *arena, const char *text, size_t length) {
    char *copy = oct_arena_alloc(arena, length + 1);
    if (copy && length) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *oct_arena_strdup(OctArena *arena, const char *text) {
    return oct_arena_strndup(arena, text, strlen(text));
}
