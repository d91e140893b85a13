#include "kernels/f32_isa.h"
#include "kernels/q8_unroll.h"

#include <arm_neon.h>
#include <string.h>

/* 8 rows x 8 columns: 16 sums, 8 registers of four k of A, 2 vectors of weights. */
enum { MR = 8, NR = 8 };

#define INLINE static inline __attribute__((always_inline))

INLINE float32x4_t clamp(float32x4_t value, float32x4_t minimum, float32x4_t maximum) {
    /* by comparison and not fmin/fmax, which order the zeros */
    value = vbslq_f32(vcgtq_f32(minimum, value), minimum, value);
    return vbslq_f32(vcltq_f32(maximum, value), maximum, value);
}

INLINE void store_row(const OctF32Tile *tile, size_t row, const float32x4_t *sum) {
    float *output = tile->output + tile->offsets[row];
    const float *residual = tile->residual ? tile->residual + tile->offsets[row] : NULL;
    float32x4_t minimum = vdupq_n_f32(tile->minimum);
    float32x4_t maximum = vdupq_n_f32(tile->maximum);
    if (tile->column_count == NR) {
        for (size_t v = 0; v < 2; v++) {
            float32x4_t value = sum[v];
            if (residual) {
                value = vaddq_f32(value, vld1q_f32(residual + 4 * v));
            }
            vst1q_f32(output + 4 * v, clamp(value, minimum, maximum));
        }
        return;
    }
    float values[NR];
    vst1q_f32(values, sum[0]);
    vst1q_f32(values + 4, sum[1]);
    for (size_t column = 0; column < tile->column_count; column++) {
        float value = residual ? values[column] + residual[column] : values[column];
        output[column] = oct_f32_clamp(value, tile->minimum, tile->maximum);
    }
}

INLINE void start_row(const OctF32Tile *tile, float32x4_t *sum) {
    sum[0] = tile->bias ? vld1q_f32(tile->bias) : vdupq_n_f32(0);
    sum[1] = tile->bias ? vld1q_f32(tile->bias + 4) : vdupq_n_f32(0);
}

INLINE void add_before(const OctF32Tile *tile, size_t row, float32x4_t *sum) {
    float values[NR] = {0};
    memcpy(values, tile->before + tile->before_offsets[row], tile->column_count * sizeof(float));
    sum[0] = vaddq_f32(vld1q_f32(values), sum[0]);
    sum[1] = vaddq_f32(vld1q_f32(values + 4), sum[1]);
}

/* One k: a vector of weights times lane `lane` of each row's four values. */
#define STEP(lane)                                                                                 \
    do {                                                                                           \
        float32x4_t w0 = vld1q_f32(weights + (lane)*NR);                                           \
        float32x4_t w1 = vld1q_f32(weights + (lane)*NR + 4);                                       \
        OCT_EACH_ROW(row, rows, {                                                                  \
            sum[row][0] = vfmaq_laneq_f32(sum[row][0], w0, a[row], lane);                          \
            sum[row][1] = vfmaq_laneq_f32(sum[row][1], w1, a[row], lane);                          \
        });                                                                                        \
    } while (0)

INLINE void run_rows(const OctF32Tile *tile, size_t rows) {
    float32x4_t sum[MR][2];
    OCT_EACH_ROW(row, rows, { start_row(tile, sum[row]); });
    const float *weights = tile->weights;
    const float *const *pointers = tile->rows;
    for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
        size_t i = 0;
        for (; i + 4 <= tile->depth; i += 4, weights += 4 * NR) {
            float32x4_t a[MR];
            OCT_EACH_ROW(row, rows, { a[row] = vld1q_f32(pointers[row] + tile->skip + i); });
            STEP(0);
            STEP(1);
            STEP(2);
            STEP(3);
        }
        for (; i < tile->depth; i++, weights += NR) {
            float32x4_t w0 = vld1q_f32(weights);
            float32x4_t w1 = vld1q_f32(weights + 4);
            OCT_EACH_ROW(row, rows, {
                sum[row][0] = vfmaq_n_f32(sum[row][0], w0, pointers[row][tile->skip + i]);
                sum[row][1] = vfmaq_n_f32(sum[row][1], w1, pointers[row][tile->skip + i]);
            });
        }
    }
    if (!tile->bias) {
        OCT_EACH_ROW(row, rows, { add_before(tile, row, sum[row]); });
    }
    OCT_EACH_ROW(row, rows, { store_row(tile, row, sum[row]); });
}

#define ROWS(n)                                                                                    \
    static void run_##n(const OctF32Tile *tile) {                                                  \
        run_rows(tile, n);                                                                         \
    }
ROWS(1)
ROWS(2)
ROWS(3)
ROWS(4)
ROWS(5)
ROWS(6)
ROWS(7)
ROWS(8)

static void run_tile(const OctF32Tile *tile) {
    static const OctF32TileKernel kernels[MR] = {run_1, run_2, run_3, run_4,
                                                 run_5, run_6, run_7, run_8};
    kernels[tile->row_count - 1](tile);
}

const OctF32GemmBundle oct_f32_gemm_neon = {
    .name = "f32 8x8 neon",
    .cpu = OCTET_CPU_NEON,
    .mr = MR,
    .nr = NR,
    .kernel = run_tile,
};
