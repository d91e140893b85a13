/* The order in which the products of an output are summed: blocks of at most OCT_F32_BLOCK of them,
 * or the errors of long sums would grow. The blocks follow from the window alone, not from a tile
 * or an instruction set. */
#ifndef OCT_KERNELS_F32_BLOCKS_H
#define OCT_KERNELS_F32_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

/* Nine taps of 64 channels, which many networks have, are one block. */
enum { OCT_F32_BLOCK = 576, OCT_F32_BLOCK_TAPS = 96 };

/* How a window is cut: into lines of taps if some fit into a block, else each line into taps if
 * some fit, else each tap into equal parts. */
typedef struct OctF32Cut {
    size_t lines, width, channels; /* of the window; width: taps of a line */
    size_t block_lines;            /* 0 where a line takes more than a block */
    size_t block_taps;             /* of a line that is cut */
    size_t block_channels;         /* of a tap that is cut; else all */
    bool whole;                    /* one block is all */
} OctF32Cut;

/* `taps`: of the whole window, a multiple of width. */
OctF32Cut oct_f32_cut(size_t taps, size_t width, size_t channels);

/* A block as a kernel takes it. */
typedef struct OctF32Block {
    size_t first_tap, taps; /* of a tile, for which a line is one tap if it is joined */
    size_t skip, depth;     /* floats of each tap */
    size_t k;               /* where its weights begin */
    bool last;
    size_t line, tap, channel; /* where the next one begins */
} OctF32Block;

OctF32Block oct_f32_first_block(const OctF32Cut *cut, bool joined);
/* Moves on to the block after one that is not the last. */
void oct_f32_next_block(const OctF32Cut *cut, bool joined, OctF32Block *block);

#endif
