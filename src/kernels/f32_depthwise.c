#include "kernels/f32_depthwise.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/f32_fma.h"
#include "kernels/f32_isa.h"

#include <string.h>

enum { MR = 4, CR = OCT_FMA_LANES };

/* Up to CR channels of one pixel. */
static void run_block(const OctF32DepthwiseTile *tile, size_t row, size_t channel) {
    size_t count = tile->channels - channel < CR ? tile->channels - channel : CR;
    const float *packed = tile->weights + channel / CR * tile->block_floats;
    const float *input = tile->input + row * tile->input_step + channel;
    float sum[CR];
    float padded[CR] = {0};
    memcpy(sum, packed, sizeof sum);
    for (size_t tap = 0; tap < tile->taps; tap++) {
        const float *x = input + tile->tap_offsets[tap];
        if (count < CR) {
            memcpy(padded, x, count * sizeof(float));
            x = padded;
        }
        oct_f32_fma_vector(x, packed + (tile->tap_indices[tap] + 1) * CR, sum);
    }
    size_t at = row * tile->output_step + channel;
    for (size_t i = 0; i < count; i++) {
        float value = tile->residual ? sum[i] + tile->residual[at + i] : sum[i];
        tile->output[at + i] = oct_f32_clamp(value, tile->minimum, tile->maximum);
    }
}

/* The oracle. */
static void depthwise_portable(const OctF32DepthwiseTile *tile) {
    for (size_t row = 0; row < tile->row_count; row++) {
        for (size_t channel = 0; channel < tile->channels; channel += CR) {
            run_block(tile, row, channel);
        }
    }
}

const OctF32DepthwiseBundle oct_f32_depthwise_portable = {
    .name = "f32 depthwise 4x8 portable",
    .cpu = OCTET_CPU_PORTABLE,
    .mr = MR,
    .cr = CR,
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
