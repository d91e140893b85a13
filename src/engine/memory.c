/* Greedy placement: the blocks are taken in some order, and each goes into the smallest gap between
 * the blocks placed before that are in use at the same time. Several orders are tried and the best
 * is kept. The method is that of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
 * Net Inference" (2020), greedy by size; XNNPACK and TensorFlow Lite use it too. */
#include "engine/memory.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/patience.h"

#include <stdlib.h>
#include <string.h>

static size_t rounded(size_t bytes) {
    return (bytes + OCT_MEMORY_ALIGNMENT - 1) & ~(size_t)(OCT_MEMORY_ALIGNMENT - 1);
}

/* What a block is placed by: higher keys first, then the earlier and the lower-numbered. */
typedef struct Item {
    uint64_t key;
    int32_t first;
    int32_t index;
} Item;

static int compare_items(const void *left, const void *right) {
    const Item *a = left;
    const Item *b = right;
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    if (a->first != b->first) {
        return a->first < b->first ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

typedef struct Placed {
    size_t begin, end;
    int32_t first, last;
} Placed;

/* Index of the first placed block that begins at or after `begin`: `placed` is kept sorted. */
static int32_t insertion_point(const Placed *placed, int32_t count, size_t begin) {
    int32_t low = 0;
    int32_t high = count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (placed[middle].begin < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t best_gap(const Placed *placed, int32_t count, const OctMemoryBlock *block,
                       size_t bytes) {
    size_t best = SIZE_MAX;
    size_t best_size = SIZE_MAX;
    size_t end = 0; /* of what lies before the gap */
    for (int32_t i = 0; i < count; i++) {
        if (placed[i].last < block->first || placed[i].first > block->last) {
            continue;
        }
        if (placed[i].begin > end && placed[i].begin - end >= bytes &&
            placed[i].begin - end < best_size) {
            best = end;
            best_size = placed[i].begin - end;
        }
        if (placed[i].end > end) {
            end = placed[i].end;
        }
    }
    return best != SIZE_MAX ? best : end;
}

/* Places all in the order of `items`; the offsets go to `offsets`. */
static size_t place(const OctMemoryBlock *blocks, const Item *items, int32_t count, Placed *placed,
                    size_t *offsets) {
    size_t total = 0;
    for (int32_t i = 0; i < count && !oct_is_over(); i++) {
        const OctMemoryBlock *block = &blocks[items[i].index];
        size_t bytes = rounded(block->bytes);
        size_t offset = best_gap(placed, i, block, bytes);
        int32_t at = insertion_point(placed, i, offset);
        memmove(placed + at + 1, placed + at, (size_t)(i - at) * sizeof *placed);
        placed[at] = (Placed){offset, offset + bytes, block->first, block->last};
        offsets[items[i].index] = offset;
        if (offset + bytes > total) {
            total = offset + bytes;
        }
    }
    return total;
}

/* With more blocks in use at the same time than this, they are placed many at a time. */
enum { MANY_ACTIVE = 4096 };

static int32_t drop_ended(Placed *placed, int32_t count, int32_t now) {
    int32_t kept = 0;
    for (int32_t k = 0; k < count; k++) {
        if (placed[k].last >= now) {
            placed[kept++] = placed[k];
        }
    }
    return kept;
}

static int compare_places(const void *left, const void *right) {
    const Placed *a = left;
    const Placed *b = right;
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

/* Places items [first, end) one above the other, in the gaps between `active` blocks that they are
 * large enough for and then behind them. */
static int32_t place_upwards(const OctMemoryBlock *blocks, const Item *items, int32_t first,
                             int32_t end, Placed *placed, int32_t active, size_t *offsets) {
    int32_t count = active;
    int32_t next = 0; /* the block above `offset` */
    size_t offset = 0;
    for (int32_t i = first; i < end; i++) {
        const OctMemoryBlock *block = &blocks[items[i].index];
        size_t bytes = rounded(block->bytes);
        for (; next < active && placed[next].begin < offset + bytes; next++) {
            offset = placed[next].end > offset ? placed[next].end : offset;
        }
        offsets[items[i].index] = offset;
        placed[count++] = (Placed){offset, offset + bytes, block->first, block->last};
        offset += bytes;
    }
    qsort(placed, (size_t)count, sizeof *placed, compare_places);
    return count;
}

/* Places all in order of time, keeping only those that are in use: for very long graphs, where the
 * time of the other orders, the square of the number of blocks, would be felt. */
static size_t place_by_time(const OctMemoryBlock *blocks, const Item *items, int32_t count,
                            Placed *placed, size_t *offsets) {
    size_t total = 0;
    int32_t active = 0;
    for (int32_t i = 0; i < count && !oct_is_over();) {
        const OctMemoryBlock *block = &blocks[items[i].index];
        active = drop_ended(placed, active, block->first);
        if (active >= MANY_ACTIVE) {
            int32_t end = count - i > active / 2 ? i + active / 2 : count;
            active = place_upwards(blocks, items, i, end, placed, active, offsets);
            i = end;
            continue;
        }
        size_t bytes = rounded(block->bytes);
        size_t offset = best_gap(placed, active, block, bytes);
        int32_t at = insertion_point(placed, active, offset);
        memmove(placed + at + 1, placed + at, (size_t)(active - at) * sizeof *placed);
        placed[at] = (Placed){offset, offset + bytes, block->first, block->last};
        active++;
        offsets[items[i++].index] = offset;
    }
    for (int32_t i = 0; i < count; i++) {
        size_t end = offsets[i] + rounded(blocks[i].bytes);
        total = end > total ? end : total;
    }
    return total;
}

/* The most bytes alive at the start of any block: usage can only rise where a block begins. */
static size_t most_alive(const OctMemoryBlock *blocks, const int64_t *alive, int32_t count) {
    size_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        size_t bytes = (size_t)alive[blocks[i].first];
        most = bytes > most ? bytes : most;
    }
    return most;
}

enum { ORDERS = 3, MANY_BLOCKS = 8192 };

static uint64_t key_of(int order, const OctMemoryBlock *block, const int64_t *alive) {
    uint64_t bytes = rounded(block->bytes);
    switch (order) {
    case 0:
        return bytes;
    case 1: /* the busiest moment that the block is part of; within it by size */
    {
        int64_t most = 0;
        for (int32_t step = block->first; step <= block->last; step++) {
            most = alive[step] > most ? alive[step] : most;
        }
        return (uint64_t)most;
    }
    default:
        return bytes * (uint64_t)(block->last - block->first + 1);
    }
}

/* Bytes alive at each step, from a difference array. `steps` is one more than the last step. */
static int64_t *alive_bytes(const OctMemoryBlock *blocks, int32_t count, int32_t steps) {
    int64_t *alive = oct_calloc((size_t)steps + 1, sizeof *alive);
    for (int32_t i = 0; alive && i < count; i++) {
        alive[blocks[i].first] += (int64_t)rounded(blocks[i].bytes);
        alive[blocks[i].last + 1] -= (int64_t)rounded(blocks[i].bytes);
    }
    for (int32_t i = 1; alive && i < steps; i++) {
        alive[i] += alive[i - 1];
    }
    return alive;
}

OctetStatus oct_memory_plan(OctMemoryBlock *blocks, int32_t count, size_t *arena_bytes,
                            size_t *lower_bound, OctetDiagnostic *diagnostic) {
    size_t sum = 0;
    int32_t steps = 1;
    *arena_bytes = *lower_bound = 0;
    for (int32_t i = 0; i < count; i++) {
        if (blocks[i].bytes > PTRDIFF_MAX / 2 ||
            !oct_add_size(sum, rounded(blocks[i].bytes), &sum) || sum > PTRDIFF_MAX / 2) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the tensors exceed the address space");
        }
        steps = blocks[i].last + 1 > steps ? blocks[i].last + 1 : steps;
    }
    size_t n = (size_t)count + 1;
    Item *items = oct_calloc(n, sizeof *items);
    Placed *placed = oct_calloc(n, sizeof *placed);
    size_t *offsets = oct_calloc(n, sizeof *offsets);
    int64_t *alive = alive_bytes(blocks, count, steps);
    OctetStatus status = OCTET_OK;
    if (!items || !placed || !offsets || !alive) {
        status = oct_fail_memory(diagnostic);
        goto cleanup;
    }
    *lower_bound = most_alive(blocks, alive, count);
    *arena_bytes = SIZE_MAX;
    const bool many = count > MANY_BLOCKS;
    const int orders = many ? 1 : ORDERS;
    for (int order = 0; order < orders; order++) {
        if (*arena_bytes == *lower_bound) {
            break;
        }
        for (int32_t i = 0; i < count && !oct_is_over(); i++) {
            uint64_t key = many ? 0 : key_of(order, &blocks[i], alive);
            items[i] = (Item){key, blocks[i].first, i};
        }
        qsort(items, (size_t)count, sizeof *items, compare_items);
        size_t total = many ? place_by_time(blocks, items, count, placed, offsets)
                            : place(blocks, items, count, placed, offsets);
        if (total < *arena_bytes) {
            *arena_bytes = total;
            for (int32_t i = 0; i < count; i++) {
                blocks[i].offset = offsets[i];
            }
        }
    }
    status = oct_noted_go_on(diagnostic);
cleanup:
    oct_free(items);
    oct_free(placed);
    oct_free(offsets);
    oct_free(alive);
    return status;
}
