/* The portable bundles: the oracle of all others. */
#include "kernels/q8_conv_c.h"
#include "kernels/q8_pack.h"

#include <string.h>

static const OctQ8Layout layout = {.nr = 16, .lanes = 4};

static size_t conv_packed_bytes(size_t channels, size_t taps, size_t k) {
    return oct_q8_packed_bytes(&layout, channels, taps, k);
}

static void conv_pack(const OctQ8PackSource *source, void *packed) {
    oct_q8_pack(&layout, source, packed);
}

void oct_q8_store_c(const OctQ8Epilogue *epilogue, const int32_t *acc, const float *multiplier,
                    size_t count, void *output, size_t offset, const uint8_t *residual) {
    if (epilogue->kind == OCT_Q8_OUT_S32) {
        memcpy((int32_t *)output + offset, acc, count * sizeof *acc);
    } else if (epilogue->kind == OCT_Q8_OUT_F32) {
        float *y = (float *)output + offset;
        for (size_t n = 0; n < count; n++) {
            y[n] = (float)acc[n] * multiplier[n];
        }
    } else {
        uint8_t *y = (uint8_t *)output + offset;
        for (size_t n = 0; n < count; n++) {
            const uint8_t *other = epilogue->has_add ? residual + n : NULL;
            y[n] = oct_q8_finish_u8(epilogue, acc[n], multiplier[n], other);
        }
    }
}

static void accumulate_row(const uint8_t *row, const int8_t *weights, size_t k, uint32_t *acc) {
    for (size_t i = 0; i < k; i += 4) {
        int32_t x[4] = {0, 0, 0, 0};
        for (size_t b = 0; b < 4 && i + b < k; b++) {
            x[b] = row[i + b];
        }
        for (size_t n = 0; n < 16; n++) {
            const int8_t *w = weights + 4 * n;
            acc[n] += (uint32_t)(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]);
        }
        weights += 64;
    }
}

static void conv_panel(const OctQ8ConvArgs *args, const uint8_t *panel, size_t channel,
                       size_t count) {
    const int32_t *bias = (const int32_t *)(const void *)panel;
    const float *multiplier = (const float *)(const void *)(panel + 64);
    size_t tap_bytes = (args->k + 3) / 4 * 64, offset = channel - args->first_channel;
    for (size_t p = 0; p < args->pixels; p++) {
        uint32_t acc[16];
        uint32_t row_bias = args->row_bias ? (uint32_t)args->row_bias[p] : 0;
        for (size_t n = 0; n < 16; n++) {
            acc[n] = (uint32_t)bias[n] + row_bias;
        }
        for (size_t t = 0; t < args->taps; t++) {
            const uint8_t *row =
                args->pointers ? args->pointers[t * args->pointer_stride + p] + args->pointer_offset
                               : args->input + p * args->input_stride;
            accumulate_row(row, (const int8_t *)panel + 128 + t * tap_bytes, args->k, acc);
        }
        int32_t signed_acc[16];
        memcpy(signed_acc, acc, sizeof acc);
        const uint8_t *residual =
            args->residual ? args->residual + p * args->residual_stride + offset : NULL;
        oct_q8_store_c(args->epilogue, signed_acc, multiplier, count, args->output,
                       p * args->output_stride + offset, residual);
    }
}

static void conv_kernel(const OctQ8ConvArgs *args) {
    size_t panel_bytes = oct_q8_panel_bytes(16, args->taps, args->k);
    const uint8_t *packed = args->packed;
    size_t end = args->first_channel + args->channels;
    for (size_t channel = args->first_channel; channel < end; channel += 16) {
        size_t count = end - channel < 16 ? end - channel : 16;
        conv_panel(args, packed + channel / 16 * panel_bytes, channel, count);
    }
}

const OctQ8ConvBundle oct_q8_conv_c = {
    .name = "q8_conv portable",
    .cpu = OCTET_CPU_PORTABLE,
    .nr = 16,
    .pixel_block = 1,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_kernel,
};
