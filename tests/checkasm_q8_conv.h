/* Checks of one int8 convolution or depthwise bundle against plain loops, bit for bit. */
#ifndef OCT_TESTS_CHECKASM_Q8_CONV_H
#define OCT_TESTS_CHECKASM_Q8_CONV_H

#include "checkasm.h"
#include "kernels/q8_conv.h"

typedef struct Case {
    size_t pixels, taps, k, channels, first_channel, out_gap;
    bool direct, row_bias;
    bool small;     /* weights of 7 bits */
    bool neighbors; /* the weights of one position lie side by side, not those of one channel */
    int x_kind, w_kind;
    OctQ8Epilogue epilogue;
} Case;

static uint8_t tables[2][256];

/* Once, before everything else. */
static inline void check_make_tables(void) {
    CheckRandom random = check_random(0);
    check_bytes(&random, CHECK_BYTES_RANDOM, tables, sizeof tables);
}

static inline OctQ8Epilogue random_epilogue(CheckRandom *random) {
    OctQ8Epilogue epilogue = oct_q8_epilogue_u8((uint8_t)check_range(random, 0, 255));
    int64_t pick = check_range(random, 0, 9);
    epilogue.kind = pick == 0 ? OCT_Q8_OUT_S32 : pick == 1 ? OCT_Q8_OUT_F32 : OCT_Q8_OUT_U8;
    if (check_range(random, 0, 2) == 0) {
        epilogue.minimum = (uint8_t)check_range(random, 0, 128);
        epilogue.maximum = (uint8_t)check_range(random, 128, 255);
    }
    epilogue.table = check_range(random, 0, 2) == 0 ? tables[0] : NULL;
    if (epilogue.kind == OCT_Q8_OUT_U8 && check_range(random, 0, 2) == 0) {
        epilogue.has_add = true;
        epilogue.residual_is_a = check_range(random, 0, 1);
        epilogue.add =
            oct_q8_add_params(check_float(random, 0.01f, 0.1f), 3, check_float(random, 0.01f, 0.1f),
                              250, check_float(random, 0.02f, 0.1f), 100);
        epilogue.add.minimum = (uint8_t)check_range(random, 0, 100);
        epilogue.add.maximum = (uint8_t)check_range(random, 100, 255);
        epilogue.add_table = check_range(random, 0, 1) ? tables[1] : NULL;
    }
    return epilogue;
}

static inline void fill_multipliers(CheckRandom *random, float *multipliers, size_t count) {
    bool plain = check_range(random, 0, 1); /* all of them small */
    for (size_t c = 0; c < count; c++) {
        int64_t kind = plain ? 3 : check_range(random, 0, 15);
        float value = ldexpf(check_float(random, 0.5f, 1.0f), (int)check_range(random, -16, -5));
        multipliers[c] = kind == 0 ? -value : kind == 1 ? 1e6f * value : kind == 2 ? 0.5f : value;
    }
}

static inline void store_expected(const OctQ8Epilogue *epilogue, void *output, size_t offset,
                                  int32_t acc, float multiplier, const uint8_t *residual) {
    if (epilogue->kind == OCT_Q8_OUT_S32) {
        ((int32_t *)output)[offset] = acc;
    } else if (epilogue->kind == OCT_Q8_OUT_F32) {
        ((float *)output)[offset] = (float)acc * multiplier;
    } else {
        ((uint8_t *)output)[offset] = oct_q8_finish_u8(epilogue, acc, multiplier, residual);
    }
}

static inline void compare(const CheckBuffer *got, const uint8_t *expected, const char *name,
                           const Case *c) {
    char what[256];
    snprintf(what, sizeof what,
             "%s: %zu pixels, %zu taps of %zu, %zu channels from %zu, kind %d, direct %d, add %d "
             "(a: %d), tables %d %d",
             name, c->pixels, c->taps, c->k, c->channels, c->first_channel, (int)c->epilogue.kind,
             c->direct, c->epilogue.has_add, c->epilogue.residual_is_a, c->epilogue.table != NULL,
             c->epilogue.add_table != NULL);
    check_same_bytes(got->data, expected, got->size, what);
}

static inline void run_conv_case(const OctQ8ConvBundle *bundle, CheckRandom *random,
                                 const Case *c) {
    size_t all = c->channels, depth = c->taps * c->k, k4 = (c->k + 3) / 4 * 4;
    size_t stride = all + c->out_gap, in_rows = c->direct ? c->pixels : c->taps * c->pixels;
    size_t element = c->epilogue.kind == OCT_Q8_OUT_U8 ? 1 : 4;
    size_t out_count = (c->pixels - 1) * stride + all;
    int side = (int)check_range(random, 0, 1);
    CheckBuffer input = check_buffer((in_rows - 1) * c->k + k4, CHECK_GUARD_END);
    CheckBuffer weights = check_buffer(all * depth, CHECK_GUARD_END);
    CheckBuffer bias = check_buffer(4 * all, CHECK_GUARD_END);
    CheckBuffer multipliers = check_buffer(4 * all, CHECK_GUARD_END);
    size_t packed_bytes = (bundle->packed_bytes(all, c->taps, c->k) + 63) / 64 * 64;
    CheckBuffer packed = check_buffer(packed_bytes, CHECK_GUARD_END);
    CheckBuffer output = check_buffer(out_count * element, side);
    CheckBuffer residual = check_buffer(out_count, CHECK_GUARD_END);
    uint8_t *expected = malloc(out_count * element);
    const uint8_t **pointers = malloc(in_rows * sizeof *pointers);
    int32_t *row_bias = malloc(c->pixels * sizeof *row_bias);
    assert_true(expected && pointers && row_bias);
    memset(expected, CHECK_CANARY, out_count * element);
    check_bytes(random, c->x_kind, input.data, input.size);
    check_bytes(random, c->w_kind, weights.data, weights.size);
    for (size_t i = 0; i < weights.size && c->small; i++) {
        ((int8_t *)weights.data)[i] /= 2;
    }
    check_bytes(random, CHECK_BYTES_RANDOM, residual.data, residual.size);
    int32_t *b = (int32_t *)bias.data;
    float *m = (float *)multipliers.data;
    for (size_t n = 0; n < all; n++) {
        b[n] = (int32_t)check_range(random, -200000, 200000);
    }
    for (size_t p = 0; p < c->pixels; p++) {
        row_bias[p] = (int32_t)check_range(random, -100000, 100000);
    }
    fill_multipliers(random, m, all);
    OctQ8Epilogue epilogue = c->epilogue;
    epilogue.bounded = oct_q8_epilogue_is_bounded(&epilogue, m, all);
    int32_t zero = check_range(random, 0, 1) ? 0 : (int32_t)check_range(random, 0, 255);
    uint8_t *padding = calloc(k4, 1);
    assert_non_null(padding);
    for (size_t t = 0; t < c->taps; t++) {
        int64_t padded = zero == 0 ? check_range(random, 0, 2) : 0; /* no, some, all rows */
        for (size_t p = 0; p < c->pixels; p++) { /* in another order than memory's */
            size_t i = t * c->pixels + p;
            bool here = padded == 2 || (padded == 1 && check_range(random, 0, 3) > 0);
            pointers[i] = here ? padding : input.data + (in_rows - 1 - i) * c->k;
        }
    }
    OctQ8PackSource source = {.weights = (const int8_t *)weights.data,
                              .channel_stride = c->neighbors ? 1 : depth,
                              .tap_stride = c->neighbors ? c->k * all : c->k,
                              .k_stride = c->neighbors ? all : 1,
                              .channels = all,
                              .taps = c->taps,
                              .k = c->k,
                              .bias = b,
                              .multipliers = m,
                              .input_zero_point = zero};
    bundle->pack(&source, packed.data);
    OctQ8ConvArgs args = {.pixels = c->pixels,
                          .taps = c->taps,
                          .k = c->k,
                          .pointers = c->direct ? NULL : pointers,
                          .pointer_stride = c->pixels,
                          .padding = zero == 0 ? padding : NULL,
                          .input = input.data,
                          .input_stride = c->k,
                          .packed = packed.data,
                          .first_channel = c->first_channel,
                          .channels = all - c->first_channel,
                          .output = output.data + c->first_channel * element,
                          .output_stride = stride,
                          .residual = c->epilogue.has_add ? residual.data + c->first_channel : NULL,
                          .residual_stride = stride,
                          .row_bias = c->row_bias ? row_bias : NULL,
                          .epilogue = &epilogue};
    bundle->kernel(&args);
    for (size_t p = 0; p < c->pixels; p++) {
        for (size_t n = c->first_channel; n < all; n++) {
            int32_t acc = b[n] + (c->row_bias ? row_bias[p] : 0);
            for (size_t t = 0; t < c->taps; t++) {
                const uint8_t *x = c->direct ? input.data + p * c->k : pointers[t * c->pixels + p];
                const int8_t *w =
                    source.weights + n * source.channel_stride + t * source.tap_stride;
                for (size_t i = 0; i < c->k; i++) {
                    acc += (x[i] - zero) * w[i * source.k_stride];
                }
            }
            size_t offset = p * stride + n;
            store_expected(&c->epilogue, expected, offset, acc, m[n], residual.data + offset);
        }
    }
    compare(&output, expected, bundle->name, c);
    free(expected);
    free(padding);
    free(pointers);
    free(row_bias);
    check_buffer_free(&input);
    check_buffer_free(&weights);
    check_buffer_free(&bias);
    check_buffer_free(&multipliers);
    check_buffer_free(&packed);
    check_buffer_free(&output);
    check_buffer_free(&residual);
}

static inline void check_conv_bundle_with(const OctQ8ConvBundle *bundle, bool small) {
    CheckRandom random = check_random(1);
    Case deep = {.pixels = 3,
                 .taps = 2,
                 .k = 17001,
                 .channels = 21,
                 .small = small,
                 .epilogue = {.maximum = 255}};
    run_conv_case(bundle, &random, &deep); /* deeper than any kernel's buffers */
    for (int i = 0; i < 1200; i++) {
        Case c = {.pixels = (size_t)check_range(&random, 1, i % 4 ? 14 : 40),
                  .taps = (size_t)check_range(&random, 1, 4),
                  .k = (size_t)check_range(&random, 1, i % 16 ? 40 : 300),
                  .channels = (size_t)check_range(&random, 1, i % 4 ? 70 : 200),
                  .out_gap = (size_t)check_range(&random, 0, 3),
                  .direct = i % 3 == 0,
                  .small = small,
                  .neighbors = i % 7 < 3,
                  .row_bias = i % 5 == 0,
                  .x_kind = (int)check_range(&random, 0, CHECK_BYTES - 1),
                  .w_kind = (int)check_range(&random, 0, CHECK_BYTES - 1),
                  .epilogue = random_epilogue(&random)};
        if (c.direct) {
            c.taps = 1;
        }
        if (i % 3 == 1) { /* whole vectors are likely */
            c.channels = (c.channels + 15) / 16 * 16;
            c.k = (c.k + 15) / 16 * 16;
        }
        if (c.channels > bundle->nr && i % 2) {
            c.first_channel = bundle->nr;
        }
        run_conv_case(bundle, &random, &c);
    }
}

static inline void check_conv_bundle(const OctQ8ConvBundle *bundle) {
    check_conv_bundle_with(bundle, false);
    if (bundle->for_small_pairs) {
        check_conv_bundle_with(bundle->for_small_pairs, true);
    }
}

static inline void run_depthwise_case(const OctQ8DepthwiseBundle *bundle, CheckRandom *random,
                                      const Case *c, size_t kernel_h, size_t kernel_w,
                                      size_t stride, size_t dilation) {
    size_t taps = kernel_h * kernel_w, channels = c->channels;
    size_t width = (c->pixels - 1) * stride + (kernel_w - 1) * dilation + 1;
    size_t out_stride = channels + c->out_gap, out_count = (c->pixels - 1) * out_stride + channels;
    size_t element = c->epilogue.kind == OCT_Q8_OUT_U8 ? 1 : 4;
    CheckBuffer input = check_buffer(kernel_h * width * channels, (int)check_range(random, 0, 1));
    CheckBuffer weights = check_buffer(taps * channels, CHECK_GUARD_END);
    CheckBuffer bias = check_buffer(4 * channels, CHECK_GUARD_END);
    CheckBuffer multipliers = check_buffer(4 * channels, CHECK_GUARD_END);
    size_t packed_bytes = (bundle->packed_bytes(channels, kernel_h, kernel_w) + 63) / 64 * 64;
    CheckBuffer packed = check_buffer(packed_bytes, CHECK_GUARD_END);
    CheckBuffer output = check_buffer(out_count * element, (int)check_range(random, 0, 1));
    CheckBuffer residual = check_buffer(out_count, CHECK_GUARD_END);
    uint8_t *expected = malloc(out_count * element);
    const uint8_t **pointers = malloc(kernel_h * width * sizeof *pointers);
    assert_true(expected && pointers);
    memset(expected, CHECK_CANARY, out_count * element);
    check_bytes(random, c->x_kind, input.data, input.size);
    check_bytes(random, c->w_kind, weights.data, weights.size);
    check_bytes(random, CHECK_BYTES_RANDOM, residual.data, residual.size);
    int32_t *b = (int32_t *)bias.data;
    float *m = (float *)multipliers.data;
    for (size_t n = 0; n < channels; n++) {
        b[n] = (int32_t)check_range(random, -20000, 20000);
    }
    fill_multipliers(random, m, channels);
    OctQ8Epilogue epilogue = c->epilogue;
    epilogue.bounded = oct_q8_epilogue_is_bounded(&epilogue, m, channels);
    for (size_t i = 0; i < kernel_h * width; i++) {
        pointers[i] = input.data + i * channels;
    }
    int32_t zero = (int32_t)check_range(random, 0, 255);
    const int8_t *w = (const int8_t *)weights.data;
    OctQ8DepthwiseSource source = {.weights = w,
                                   .channel_stride = taps,
                                   .tap_stride = 1,
                                   .channels = channels,
                                   .kernel_h = kernel_h,
                                   .kernel_w = kernel_w,
                                   .bias = b,
                                   .multipliers = m,
                                   .input_zero_point = zero};
    bundle->pack(&source, packed.data);
    OctQ8DepthwiseArgs args = {.pixels = c->pixels,
                               .kernel_h = kernel_h,
                               .kernel_w = kernel_w,
                               .channels = channels,
                               .pointers = pointers,
                               .row_stride = width,
                               .stride_w = stride,
                               .dilation_w = dilation,
                               .packed = packed.data,
                               .output = output.data,
                               .output_stride = out_stride,
                               .residual = c->epilogue.has_add ? residual.data : NULL,
                               .residual_stride = out_stride,
                               .epilogue = &epilogue};
    bundle->kernel(&args);
    for (size_t p = 0; p < c->pixels; p++) {
        for (size_t n = 0; n < channels; n++) {
            int32_t acc = b[n];
            for (size_t t = 0; t < taps; t++) {
                size_t column = p * stride + t % kernel_w * dilation;
                acc += (pointers[t / kernel_w * width + column][n] - zero) * w[n * taps + t];
            }
            size_t offset = p * out_stride + n;
            store_expected(&c->epilogue, expected, offset, acc, m[n], residual.data + offset);
        }
    }
    compare(&output, expected, bundle->name, c);
    free(expected);
    free(pointers);
    check_buffer_free(&input);
    check_buffer_free(&weights);
    check_buffer_free(&bias);
    check_buffer_free(&multipliers);
    check_buffer_free(&packed);
    check_buffer_free(&output);
    check_buffer_free(&residual);
}

static inline void check_depthwise_bundle(const OctQ8DepthwiseBundle *bundle) {
    static const size_t kernels[][2] = {{3, 3}, {5, 5}, {7, 7}, {1, 1}, {1, 9}, {4, 2}, {2, 3}};
    CheckRandom random = check_random(3);
    for (int i = 0; i < 1000; i++) {
        size_t which = i % 3 < 2 ? (size_t)(i % 3) : (size_t)check_range(&random, 2, 6);
        Case c = {.pixels = (size_t)check_range(&random, 1, 15),
                  .taps = kernels[which][0] * kernels[which][1],
                  .k = 1,
                  .channels = (size_t)check_range(&random, 1, i % 4 ? 70 : 200),
                  .out_gap = (size_t)check_range(&random, 0, 3),
                  .x_kind = (int)check_range(&random, 0, CHECK_BYTES - 1),
                  .w_kind = (int)check_range(&random, 0, CHECK_BYTES - 1),
                  .epilogue = random_epilogue(&random)};
        if (i % 3 == 1) {
            c.channels = (c.channels + 15) / 16 * 16;
        }
        size_t stride = (size_t)check_range(&random, 1, i % 9 ? 2 : 3);
        size_t dilation = i % 7 ? 1 : 2;
        run_depthwise_case(bundle, &random, &c, kernels[which][0], kernels[which][1], stride,
                           dilation);
    }
}

#endif
