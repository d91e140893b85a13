#include "kernels/f32_gemm.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/f32_fma.h"
#include "kernels/f32_isa.h"

#include <string.h>

/* The oracle: an output after the other, in order of k. */
static void tile_portable(const OctF32Tile *tile) {
    enum { MR = 4, NR = OCT_FMA_LANES };
    for (size_t row = 0; row < tile->row_count; row++) {
        float *output = tile->output + tile->offsets[row];
        float sum[NR] = {0};
        for (size_t column = 0; column < tile->column_count; column++) {
            sum[column] = tile->bias ? tile->bias[column] : 0;
        }
        const float *weights = tile->weights;
        for (size_t tap = 0; tap < tile->taps; tap++) {
            const float *a = tile->rows[tap * MR + row] + tile->skip;
            for (size_t i = 0; i < tile->depth; i++, weights += NR) {
                oct_f32_fma_scalar(a[i], weights, sum);
            }
        }
        const float *before = tile->bias ? NULL : tile->before + tile->before_offsets[row];
        for (size_t column = 0; before && column < tile->column_count; column++) {
            sum[column] = before[column] + sum[column];
        }
        const float *residual = tile->residual ? tile->residual + tile->offsets[row] : NULL;
        for (size_t column = 0; column < tile->column_count; column++) {
            float value = residual ? sum[column] + residual[column] : sum[column];
            output[column] = oct_f32_clamp(value, tile->minimum, tile->maximum);
        }
    }
}

const OctF32GemmBundle oct_f32_gemm_portable = {
    .name = "f32 4x8 portable",
    .cpu = OCTET_CPU_PORTABLE,
    .mr = 4,
    .nr = 8,
    .kernel = tile_portable,
};

const OctF32GemmBundle *oct_f32_gemm_select(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_f32_gemm_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_f32_gemm_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_f32_gemm_neon;
    }
#endif
    (void)cpu;
    return &oct_f32_gemm_portable;
}

size_t oct_f32_gemm_panel_floats(const OctF32GemmBundle *bundle, size_t k) {
    return (k + 1) * bundle->nr;
}

bool oct_f32_gemm_packed_floats(const OctF32GemmBundle *bundle, size_t k, size_t columns,
                                size_t *floats) {
    size_t rows;
    size_t padded;
    return oct_add_size(k, 1, &rows) && oct_add_size(columns, bundle->nr - 1, &padded) &&
           oct_mul_size(rows, padded / bundle->nr * bundle->nr, floats);
}

void oct_f32_gemm_pack_panel(const OctF32GemmBundle *bundle, const OctF32MatrixView *b,
                             const float *bias, size_t panel, float *packed) {
    size_t nr = bundle->nr;
    size_t first = panel * nr;
    size_t width = b->columns - first < nr ? b->columns - first : nr;
    memset(packed, 0, nr * sizeof(float));
    if (bias) {
        memcpy(packed, bias + first, width * sizeof(float));
    }
    packed += nr;
    for (size_t tap = 0; tap < b->taps; tap++) {
        const float *source = b->data + tap * b->tap_stride + first * b->column_stride;
        for (size_t i = 0; i < b->depth; i++, packed += nr, source += b->depth_stride) {
            if (b->column_stride == 1) {
                memcpy(packed, source, width * sizeof(float));
            } else {
                for (size_t column = 0; column < width; column++) {
                    packed[column] = source[column * b->column_stride];
                }
            }
            if (width < nr) {
                memset(packed + width, 0, (nr - width) * sizeof(float));
            }
        }
    }
}

void oct_f32_gemm_pack(const OctF32GemmBundle *bundle, const OctF32MatrixView *b, const float *bias,
                       float *packed) {
    size_t panel_floats = oct_f32_gemm_panel_floats(bundle, b->taps * b->depth);
    size_t panels = (b->columns + bundle->nr - 1) / bundle->nr;
    for (size_t panel = 0; panel < panels; panel++) {
        oct_f32_gemm_pack_panel(bundle, b, bias, panel, packed + panel * panel_floats);
    }
}
