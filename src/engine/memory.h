/* Where tensors lie in the arena. */
#ifndef OCT_ENGINE_MEMORY_H
#define OCT_ENGINE_MEMORY_H

#include "octet/status.h"

/* Offsets and sizes are multiples of this. */
#define OCT_MEMORY_ALIGNMENT 64

/* A block that is in use during the steps [first, last]. */
typedef struct OctMemoryBlock {
    size_t bytes;
    int32_t first, last;
    size_t offset; /* the answer */
} OctMemoryBlock;

/* Gives every block an offset such that no two blocks overlap in time and in memory. *arena_bytes:
 * how much memory that takes; *lower_bound: the most bytes in use during one step, below which no
 * plan can go (sizes rounded up to the alignment in both). */
OctetStatus oct_memory_plan(OctMemoryBlock *blocks, int32_t count, size_t *arena_bytes,
                            size_t *lower_bound, OctetDiagnostic *diagnostic);

#endif
