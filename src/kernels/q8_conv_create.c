/* Creating an int8 convolution: validation, choice of the path, zero points, packing. */
#include "base/diag.h"
#include "base/mem.h"
#include "kernels/q8_conv_plan.h"
#include "kernels/q8_conv_windows.h"

#include <math.h>
#include <string.h>

OctQ8ConvParams oct_q8_conv_params(size_t in_channels, size_t out_channels) {
    return (OctQ8ConvParams){.in_channels = in_channels,
                             .out_channels = out_channels,
                             .groups = 1,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride_h = 1,
                             .stride_w = 1,
                             .dilation_h = 1,
                             .dilation_w = 1,
                             .epilogue = {.maximum = 255}};
}

static size_t window(size_t kernel, size_t dilation) {
    return (kernel - 1) * dilation + 1;
}

static OctetStatus check_sizes(const OctQ8ConvParams *params, OctetDiagnostic *diagnostic) {
    const size_t limit = (size_t)1 << 30;
    const size_t sizes[] = {params->in_channels, params->out_channels, params->groups,
                            params->kernel_h,    params->kernel_w,     params->stride_h,
                            params->stride_w,    params->dilation_h,   params->dilation_w};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] == 0 || sizes[i] > limit) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "a convolution's channels, groups, kernel, strides and dilations must "
                            "be from 1 to 2^30");
        }
    }
    if (params->in_channels % params->groups || params->out_channels % params->groups) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "%zu groups do not divide %zu input and %zu output channels",
                        params->groups, params->in_channels, params->out_channels);
    }
    if (params->pad_top > limit || params->pad_left > limit || params->pad_bottom > limit ||
        params->pad_right > limit) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "padding beyond 2^30");
    }
    size_t area;
    if (!oct_mul_size(window(params->kernel_h, params->dilation_h),
                      window(params->kernel_w, params->dilation_w), &area) ||
        area > OCT_Q8_MAX_POINTERS / 2) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "a convolution window of %zu x %zu pixels is larger than %d",
                        window(params->kernel_h, params->dilation_h),
                        window(params->kernel_w, params->dilation_w), OCT_Q8_MAX_POINTERS / 2);
    }
    return OCTET_OK;
}

static bool is_strided(const OctQ8ConvParams *params) {
    return params->weight_strides[0] != 0 || params->weight_flip != 0;
}

static OctetStatus check_data(const OctQ8ConvParams *params, OctetDiagnostic *diagnostic) {
    if (!params->weights || (!params->multipliers && params->epilogue.kind != OCT_Q8_OUT_S32) ||
        params->epilogue.minimum > params->epilogue.maximum) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a convolution needs weights, multipliers and a range");
    }
    for (size_t c = 0; params->multipliers && c < params->out_channels; c++) {
        if (!isfinite(params->multipliers[c])) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                            "the requantization multiplier of channel %zu is not finite", c);
        }
    }
    size_t count = params->weight_zero_points ? params->weight_zero_point_count : 0;
    if (count > 1 && count != params->out_channels) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "%zu weight zero points for %zu channels", count, params->out_channels);
    }
    if (is_strided(params) && (count > 0 || params->groups > 1 || params->kernel_h > 1 ||
                               params->kernel_w > 1 || params->in_channels == 1)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "only plain 1x1 convolutions take weights with strides");
    }
    for (size_t c = 0; c < count; c++) {
        if (params->weight_zero_points[c] < -128 || params->weight_zero_points[c] > 127) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "weight zero point %d is outside [-128, 127]",
                            params->weight_zero_points[c]);
        }
    }
    return OCTET_OK;
}

static int32_t weight_zero_point(const OctQ8ConvParams *params, size_t channel) {
    if (!params->weight_zero_points || params->weight_zero_point_count == 0) {
        return 0;
    }
    return params->weight_zero_points[params->weight_zero_point_count == 1 ? 0 : channel];
}

/* Weight i of a channel, in the order of memory. */
static int8_t weight_at(const OctQ8ConvParams *params, size_t depth, size_t channel, size_t i) {
    size_t at = params->weight_strides[0]
                    ? channel * params->weight_strides[0] + i * params->weight_strides[1]
                    : channel * depth + i;
    return (int8_t)((uint8_t)params->weights[at] ^ params->weight_flip);
}

/* No accumulator can leave int32. The bound |x - zx| * |w - zw| <= 255 * 255 settles all but
 * very deep sums; for those the weights themselves are added up. */
static OctetStatus check_range(const OctQ8ConvParams *params, size_t depth,
                               OctetDiagnostic *diagnostic) {
    int64_t zx = params->input_zero_point;
    bool deep = depth > ((size_t)1 << 31) / (255 * 255);
    for (size_t c = 0; c < params->out_channels; c++) {
        int64_t bias = params->bias ? params->bias[c] : 0;
        int64_t high = (int64_t)(deep ? 0 : depth) * 255 * 255, low = -high;
        int64_t zero = weight_zero_point(params, c);
        if (bias + high > INT32_MAX || bias + low < INT32_MIN || deep) {
            high = low = 0;
            for (size_t i = 0; i < depth; i++) {
                int64_t w = weight_at(params, depth, c, i) - zero;
                int64_t at_255 = w * (255 - zx), at_0 = w * -zx;
                high += at_255 > at_0 ? at_255 : at_0;
                low += at_255 > at_0 ? at_0 : at_255;
            }
        }
        if (bias + high > INT32_MAX || bias + low < INT32_MIN) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                            "the sum of output channel %zu (%zu products, bias %lld) can leave "
                            "int32; raise that channel's weight scale",
                            c, depth, (long long)bias);
        }
    }
    return OCTET_OK;
}

/* How many s8 numbers w - zero_point needs as a sum: 1, 2, or 3 for the one value 255. */
static size_t count_copies(const OctQ8ConvParams *params, size_t depth, bool *any) {
    size_t copies = 1;
    for (size_t c = 0; c < params->out_channels; c++) {
        int32_t zero = weight_zero_point(params, c);
        *any = *any || zero != 0;
        for (size_t i = 0; zero != 0 && i < depth; i++) {
            int32_t w = params->weights[c * depth + i] - zero;
            size_t needed = w > 254 ? 3 : w < -128 || w > 127 ? 2 : 1;
            copies = needed > copies ? needed : copies;
        }
    }
    return copies;
}

/* Makes *adjusted[channel][copy][depth], the sum of whose copies is w - zero_point. It stays NULL
 * if the weights can be used as they are. */
static OctetStatus apply_zero_points(const OctQ8ConvParams *params, size_t depth, int8_t **adjusted,
                                     size_t *copies, OctetDiagnostic *diagnostic) {
    bool any = false;
    *copies = count_copies(params, depth, &any);
    if (!any) {
        return OCTET_OK;
    }
    int8_t *made = oct_calloc(*copies, params->out_channels * depth);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    for (size_t i = 0; i < params->out_channels * depth; i++) {
        size_t channel = i / depth;
        int32_t rest = params->weights[i] - weight_zero_point(params, channel);
        for (size_t copy = 0; copy < *copies; copy++) {
            int32_t part = rest < -128 ? -128 : rest > 127 ? 127 : rest;
            made[(channel * *copies + copy) * depth + i % depth] = (int8_t)part;
            rest -= part;
        }
    }
    *adjusted = made;
    return OCTET_OK;
}

static OctQ8ConvPath choose_path(const OctQ8ConvParams *params, size_t copies) {
    bool one = params->kernel_h == 1 && params->kernel_w == 1;
    bool padded = params->pad_top || params->pad_left || params->pad_bottom || params->pad_right;
    size_t channels = params->in_channels;
    if (params->groups == channels && params->out_channels == channels && channels > 1 &&
        copies == 1) {
        return OCT_Q8_PATH_DEPTHWISE;
    }
    if (one && !padded && params->stride_h == 1 && params->stride_w == 1 && copies == 1) {
        return OCT_Q8_PATH_DIRECT;
    }
    if (params->groups == 1 && params->kernel_w > 1 && params->dilation_w == 1 &&
        (channels <= 16 || channels % 4 != 0)) {
        bool windows =
            copies == 1 && oct_q8_copies_windows(params->kernel_h, params->kernel_w * channels);
        return windows ? OCT_Q8_PATH_WINDOWS : OCT_Q8_PATH_PADDED;
    }
    return OCT_Q8_PATH_POINTERS;
}

/* Memory for the packed weights, and what they are a function of. params->weights are those that
 * create was given, though the packing may start from others made of them. */
static OctetStatus get_block(OctQ8Conv *conv, const OctQ8ConvParams *params, const char *kernel,
                             OctetDiagnostic *diagnostic) {
    size_t channels = params->out_channels;
    const uint64_t sizes[] = {params->in_channels,
                              channels,
                              params->groups,
                              params->kernel_h,
                              params->kernel_w,
                              (uint64_t)conv->path,
                              conv->copies,
                              params->weights_oihw,
                              params->weight_strides[0],
                              params->weight_strides[1],
                              params->weight_flip,
                              params->input_zero_point};
    OctBlockRequest request = {
        .kernel = kernel,
        .bytes = conv->packed_bytes,
        .parts = {{sizes, sizeof sizes},
                  {params->weights, channels * conv->depth},
                  {params->bias, channels * sizeof *params->bias},
                  {params->multipliers, channels * sizeof *params->multipliers},
                  {params->weight_zero_points, params->weight_zero_point_count * sizeof(int32_t)}}};
    return oct_block_get(params->blocks, &request, &conv->packed, diagnostic);
}

static OctQ8PackSource source_of_group(const OctQ8Conv *conv, const OctQ8ConvParams *params,
                                       const int8_t *weights, size_t group) {
    size_t channel_stride = conv->taps * conv->k, first = group * conv->group_out;
    bool oihw = params->weights_oihw, strided = params->weight_strides[0] != 0;
    return (OctQ8PackSource){
        .weights = weights + first * channel_stride,
        .channel_stride = strided ? params->weight_strides[0] : channel_stride,
        .tap_stride = oihw ? 1 : conv->k,
        .k_stride = strided ? params->weight_strides[1]
                    : oihw  ? conv->taps
                            : 1,
        .flip = params->weight_flip,
        .channels = conv->group_out,
        .taps = conv->taps,
        .k = conv->k,
        .bias = params->bias ? params->bias + first : NULL,
        .multipliers = params->multipliers ? params->multipliers + first : NULL,
        .input_zero_point = params->input_zero_point,
    };
}

static OctetStatus pack_dense(OctQ8Conv *conv, const OctQ8ConvParams *params, const int8_t *weights,
                              OctetDiagnostic *diagnostic) {
    bool fits = conv->bundle->for_small_pairs != NULL;
    for (size_t g = 0; g < params->groups && fits; g++) {
        OctQ8PackSource source = source_of_group(conv, params, weights, g);
        fits = oct_q8_pairs_fit(&source);
    }
    conv->bundle = fits ? conv->bundle->for_small_pairs : conv->bundle;
    conv->group_bytes = conv->bundle->packed_bytes(conv->group_out, conv->taps, conv->k);
    /* panels read 64-byte vectors */
    conv->group_bytes = (conv->group_bytes + 63) / 64 * 64;
    if (conv->group_bytes == 0 ||
        !oct_mul_size(conv->group_bytes, params->groups, &conv->packed_bytes)) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a convolution's weights are too large");
    }
    OCT_TRY(get_block(conv, params, conv->bundle->name, diagnostic));
    for (size_t g = 0; !conv->packed.filled && g < params->groups; g++) {
        OctQ8PackSource source = source_of_group(conv, params, weights, g);
        conv->bundle->pack(&source, conv->packed.data + g * conv->group_bytes);
    }
    return OCTET_OK;
}

static OctetStatus pack_depthwise(OctQ8Conv *conv, const OctQ8ConvParams *params,
                                  const int8_t *weights, OctetDiagnostic *diagnostic) {
    conv->packed_bytes =
        conv->depthwise->packed_bytes(params->in_channels, params->kernel_h, params->kernel_w);
    if (conv->packed_bytes == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a convolution's weights are too large");
    }
    OCT_TRY(get_block(conv, params, conv->depthwise->name, diagnostic));
    OctQ8DepthwiseSource source = {
        .weights = weights,
        .channel_stride = params->kernel_h * params->kernel_w,
        .tap_stride = 1,
        .channels = params->in_channels,
        .kernel_h = params->kernel_h,
        .kernel_w = params->kernel_w,
        .bias = params->bias,
        .multipliers = params->multipliers,
        .input_zero_point = params->input_zero_point,
    };
    if (!conv->packed.filled) {
        conv->depthwise->pack(&source, conv->packed.data);
    }
    return OCTET_OK;
}

/* [channels][inputs][taps] to [channels][taps][inputs]; NULL when out of memory. */
static int8_t *reorder(const int8_t *weights, size_t channels, size_t inputs, size_t taps) {
    int8_t *made = oct_calloc(channels * inputs, taps);
    for (size_t c = 0; made && c < channels; c++) {
        const int8_t *from = weights + c * inputs * taps;
        int8_t *to = made + c * inputs * taps;
        for (size_t i = 0; i < inputs; i++) {
            for (size_t t = 0; t < taps; t++) {
                to[t * inputs + i] = from[i * taps + t];
            }
        }
    }
    return made;
}

static OctetStatus pack_joined(OctQ8Conv *conv, const OctQ8ConvParams *params,
                               const int8_t *weights, size_t joined, OctetDiagnostic *diagnostic) {
    OctQ8ConvParams wide = *params;
    int8_t *made = oct_q8_join_groups(params, weights, joined);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    wide.weights_oihw = false;
    wide.groups = conv->params.groups = params->groups / joined;
    conv->group_in *= joined;
    conv->group_out *= joined;
    conv->k *= joined;
    OctetStatus status = pack_dense(conv, &wide, made, diagnostic);
    oct_free(made);
    return status;
}

/* Picks the kernel and packs. Reading OIHW in place is possible where a position of the kernel's
 * k is a single input channel and there is one copy of the taps. */
static OctetStatus pack(OctQ8Conv *conv, const OctQ8ConvParams *params, const int8_t *weights,
                        OctetCpu cpu, OctetDiagnostic *diagnostic) {
    if (conv->path == OCT_Q8_PATH_DEPTHWISE) {
        conv->depthwise = oct_q8_depthwise_select(cpu);
        return pack_depthwise(conv, params, weights, diagnostic);
    }
    conv->bundle = oct_q8_conv_select(cpu);
    size_t taps = params->kernel_h * params->kernel_w;
    size_t joined = oct_q8_groups_to_join(conv, params, conv->bundle->narrowest);
    if (joined > 1) {
        return pack_joined(conv, params, weights, joined, diagnostic);
    }
    OctQ8ConvParams ordered = *params;
    ordered.weights_oihw = params->weights_oihw && taps > 1;
    if (!ordered.weights_oihw || (conv->path == OCT_Q8_PATH_POINTERS && conv->copies == 1)) {
        return pack_dense(conv, &ordered, weights, diagnostic);
    }
    ordered.weights_oihw = false;
    int8_t *made = reorder(weights, params->out_channels * conv->copies, conv->group_in, taps);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = pack_dense(conv, &ordered, made, diagnostic);
    oct_free(made);
    return status;
}

static OctetStatus build(OctQ8Conv *conv, const OctQ8ConvParams *params, OctetCpu cpu, size_t depth,
                         OctetDiagnostic *diagnostic) {
    int8_t *adjusted = NULL;
    OCT_TRY(apply_zero_points(params, depth, &adjusted, &conv->copies, diagnostic));
    const int8_t *weights = adjusted ? adjusted : params->weights;
    conv->path = choose_path(params, conv->copies);
    conv->group_in = params->in_channels / params->groups;
    conv->group_out = params->out_channels / params->groups;
    bool rows = oct_q8_path_pads(conv->path), windows = conv->path == OCT_Q8_PATH_WINDOWS;
    conv->taps = (windows ? 1 : params->kernel_h) * (rows ? 1 : params->kernel_w) * conv->copies;
    conv->k = conv->group_in * (rows ? params->kernel_w : 1) * (windows ? params->kernel_h : 1);
    OctetStatus status = OCTET_OK;
    size_t zeros = params->in_channels + 64;
    conv->zero_row = oct_aligned_alloc(zeros);
    if (!conv->zero_row) {
        status = oct_fail_memory(diagnostic);
    } else {
        memset(conv->zero_row, params->input_zero_point, zeros);
        status = pack(conv, params, weights, cpu, diagnostic);
    }
    oct_free(adjusted);
    return status;
}

OctetStatus oct_q8_conv_create(const OctQ8ConvParams *params, OctetCpu cpu, OctQ8Conv **conv,
                               OctetDiagnostic *diagnostic) {
    *conv = NULL;
    OCT_TRY(check_sizes(params, diagnostic));
    OCT_TRY(check_data(params, diagnostic));
    size_t depth = params->kernel_h * params->kernel_w, count = 0;
    if (!oct_mul_size(depth, params->in_channels / params->groups, &depth) ||
        !oct_mul_size(depth, params->out_channels, &count) || count > (size_t)INT64_MAX / 4) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a convolution's weights are too large");
    }
    OCT_TRY(check_range(params, depth, diagnostic));
    OctQ8Conv *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->params = *params;
    made->params.weights = NULL;
    made->params.bias = NULL;
    made->params.weight_zero_points = NULL;
    made->params.multipliers = NULL;
    made->params.blocks = NULL;
    made->depth = depth;
    made->params.epilogue.bounded =
        params->multipliers &&
        oct_q8_epilogue_is_bounded(&params->epilogue, params->multipliers, params->out_channels);
    OctetStatus status = build(made, params, cpu, depth, diagnostic);
    if (status != OCTET_OK) {
        oct_q8_conv_free(made);
        return status;
    }
    *conv = made;
    return OCTET_OK;
}

void oct_q8_conv_free(OctQ8Conv *conv) {
    if (conv) {
        oct_block_free(&conv->packed);
        oct_aligned_free(conv->zero_row);
        oct_free(conv);
    }
}

const char *oct_q8_conv_kernel_name(const OctQ8Conv *conv) {
    return conv->depthwise ? conv->depthwise->name : conv->bundle->name;
}

size_t oct_q8_conv_packed_bytes(const OctQ8Conv *conv) {
    return conv->packed_bytes;
}
