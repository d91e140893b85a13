/* The f32 matrix-product family: one bundle of kernel and tile sizes an ISA level.
 *
 * Numerics, the same bits at every level (NaN payloads excepted): the k of an output are cut into
 * blocks (kernels/f32_blocks.h). A block is one chain of fused multiply-adds in ascending order of
 * k; the first starts from the bias, the others from 0 and are added to what came before them (one
 * rounding each). Then the residual is added (one rounding), then the value is clamped. */
#ifndef OCT_KERNELS_F32_GEMM_H
#define OCT_KERNELS_F32_GEMM_H

#include "octet/status.h"

enum { OCT_F32_MAX_ROWS = 16, OCT_F32_MAX_COLUMNS = 64 };

/* The arguments of a kernel: one block of at most mr x nr outputs. */
typedef struct OctF32Tile {
    const float *const *rows; /* [taps][mr] pointers, of which row_count are read a tap */
    size_t taps;              /* may be 0 */
    size_t skip;              /* floats left out at each pointer */
    size_t depth;             /* floats read behind them; k = tap * depth + i */
    const float *weights;     /* [taps * depth][nr], zero-filled columns behind column_count */
    const float *bias;        /* nr starting values; NULL: 0, and `before` is added at the end */
    const float *before;      /* what the blocks before this one came to */
    float *output;
    const float *residual;        /* same geometry as output, or NULL */
    const size_t *offsets;        /* element offset of each row in output and residual */
    const size_t *before_offsets; /* likewise in `before`, which may be output itself */
    size_t row_count;             /* 1..mr */
    size_t column_count;          /* 1..nr */
    float minimum, maximum;       /* -INFINITY, INFINITY: no clamp */
} OctF32Tile;

typedef void (*OctF32TileKernel)(const OctF32Tile *tile);

typedef struct OctF32GemmBundle {
    const char *name;
    OctetCpu cpu;
    size_t mr, nr;
    OctF32TileKernel kernel;
} OctF32GemmBundle;

/* The best bundle at a level; never NULL. */
const OctF32GemmBundle *oct_f32_gemm_select(OctetCpu cpu);

/* A logical matrix B[taps * depth][columns] in memory: element (tap, i, column) is at
 * data[tap * tap_stride + i * depth_stride + column * column_stride]. */
typedef struct OctF32MatrixView {
    const float *data;
    size_t tap_stride, depth_stride, column_stride;
    size_t taps, depth, columns;
} OctF32MatrixView;

/* Packed B: panels of nr columns, each nr biases followed by [taps * depth][nr] weights. */
size_t oct_f32_gemm_panel_floats(const OctF32GemmBundle *bundle, size_t k);
/* Floats that the whole of a packed B takes; false on overflow. */
bool oct_f32_gemm_packed_floats(const OctF32GemmBundle *bundle, size_t k, size_t columns,
                                size_t *floats);
/* Packs one panel; bias is NULL (zeros) or has `columns` entries. */
void oct_f32_gemm_pack_panel(const OctF32GemmBundle *bundle, const OctF32MatrixView *b,
                             const float *bias, size_t panel, float *packed);
/* Packs all panels. */
void oct_f32_gemm_pack(const OctF32GemmBundle *bundle, const OctF32MatrixView *b, const float *bias,
                       float *packed);

/* clamp as every kernel does it: NaN stays NaN, -0 stays -0 against a bound of +0. */
static inline float oct_f32_clamp(float value, float minimum, float maximum) {
    float low = minimum > value ? minimum : value;
    return maximum < low ? maximum : low;
}

#endif
