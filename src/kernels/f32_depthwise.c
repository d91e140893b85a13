#include "kernels/f32_depthwise.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/f32_isa.h"

#include <math.h>
#include <string.h>

/* The oracle: one channel after the other. */
static void depthwise_portable(const OctF32DepthwiseTile *tile) {
    enum { CR = 4 };
    for (size_t row = 0; row < tile->row_count; row++) {
        for (size_t channel = 0; channel < tile->channels; channel++) {
            const float *packed = tile->weights + channel / CR * tile->block_floats + channel % CR;
            const float *input = tile->input + row * tile->input_step + channel;
            float sum = *packed;
            for (size_t tap = 0; tap < tile->taps; tap++) {
                sum = fmaf(input[tile->tap_offsets[tap]], packed[(tile->tap_indices[tap] + 1) * CR],
                           sum);
            }
            size_t at = row * tile->output_step + channel;
            if (tile->residual) {
                sum += tile->residual[at];
            }
            tile->output[at] = oct_f32_clamp(sum, tile->minimum, tile->maximum);
        }
    }
}

const OctF32DepthwiseBundle oct_f32_depthwise_portable = {
    .name = "f32 depthwise 4x4 portable",
    .cpu = OCTET_CPU_PORTABLE,
    .mr = 4,
    .cr = 4,
    .kernel = depthwise_portable,
};

const OctF32DepthwiseBundle *oct_f32_depthwise_select(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_f32_depthwise_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_f32_depthwise_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_f32_depthwise_neon;
    }
#endif
    (void)cpu;
    return &oct_f32_depthwise_portable;
}

bool oct_f32_depthwise_packed_floats(const OctF32DepthwiseBundle *bundle, size_t taps,
                                     size_t channels, size_t *floats) {
    size_t rows;
    size_t padded;
    return oct_add_size(taps, 1, &rows) && oct_add_size(channels, bundle->cr - 1, &padded) &&
           oct_mul_size(rows, padded / bundle->cr * bundle->cr, floats);
}

void oct_f32_depthwise_pack(const OctF32DepthwiseBundle *bundle, const OctF32MatrixView *filters,
                            const float *bias, float *packed) {
    size_t cr = bundle->cr;
    for (size_t first = 0; first < filters->columns; first += cr) {
        size_t width = filters->columns - first < cr ? filters->columns - first : cr;
        memset(packed, 0, (filters->taps + 1) * cr * sizeof(float));
        if (bias) {
            memcpy(packed, bias + first, width * sizeof(float));
        }
        packed += cr;
        for (size_t tap = 0; tap < filters->taps; tap++, packed += cr) {
            const float *source =
                filters->data + tap * filters->tap_stride + first * filters->column_stride;
            for (size_t channel = 0; channel < width; channel++) {
                packed[channel] = source[channel * filters->column_stride];
            }
        }
    }
}
