/* Allocation: every byte the library takes goes through here, so that a test can make the n-th
 * allocation fail and a firmware can supply its own allocator. Plus arenas and checked sizes. */
#ifndef OCT_BASE_MEM_H
#define OCT_BASE_MEM_H

#include "octet/status.h"

/* NULL on failure. Sizes of 0 give a pointer that can be freed. */
void *oct_alloc(size_t size);
void *oct_calloc(size_t count, size_t size); /* checked product, zeroed */
void *oct_realloc(void *pointer, size_t size);
void oct_free(void *pointer);
char *oct_strdup(const char *text);

/* Aligned to 64 bytes, with 64 readable bytes behind the end; free with oct_aligned_free. */
void *oct_aligned_alloc(size_t size);
void *oct_aligned_calloc(size_t size); /* zeroed, without touching pages that are zero anyway */
void oct_aligned_free(void *pointer);

/* Whole pages, zeroed, for large blocks that stay: where the system has huge ones, of those. The
 * custom allocator, if one is set, gives them instead. NULL on failure; free them with their size.
 */
void *oct_pages_alloc(size_t size);
/* The size to ask for where memory may be a little more: whole huge pages, where one of them costs
 * less than the small ones that it stands for. Up to a huge page more, or `size`. */
size_t oct_pages_round(size_t size);
void oct_pages_free(void *pages, size_t size);

/* a * b and a + b; false on overflow, the result then is untouched. */
bool oct_mul_size(size_t a, size_t b, size_t *product);
bool oct_add_size(size_t a, size_t b, size_t *sum);
bool oct_mul_i64(int64_t a, int64_t b, int64_t *product);

/* Grows *items so that it holds at least `needed` elements; doubles. False when out of memory,
 * *items then is as it was. */
bool oct_grow(void *items_pointer, int32_t *capacity, int32_t needed, size_t element_size);

/* An arena: many small allocations that are freed together. Zeroed memory. */
typedef struct OctArena OctArena;
OctArena *oct_arena_create(void);
void oct_arena_free(OctArena *arena);
void oct_arena_clear(OctArena *arena); /* frees all that is in it; keeps a block for what follows */
void *oct_arena_alloc(OctArena *arena, size_t size);
void *oct_arena_array(OctArena *arena, size_t count, size_t size); /* checked product */
char *oct_arena_strdup(OctArena *arena, const char *text);
char *oct_arena_strndup(OctArena *arena, const char *text, size_t length);
void *oct_arena_memdup(OctArena *arena, const void *data, size_t size);

#endif
