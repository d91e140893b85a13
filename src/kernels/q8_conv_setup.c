/* Binding an int8 convolution to a shape. */
#include "base/cpu.h"
#include "base/diag.h"
#include "base/mem.h"
#include "kernels/q8_conv_plan.h"
#include "kernels/q8_conv_windows.h"

/* Bounds of the pixels that a unit of work has: enough to use a panel of weights many times while
 * it is in the first-level cache; not so many that threads would wait for the last one. */
enum { FEWEST_PIXELS = 48, MOST_PIXELS = OCT_Q8_MOST_PIXELS };

/* Products of an output pixel and a tap from which on padding is left out. */
enum { FEWEST_PRODUCTS = 4096 };

static bool output_size(size_t input, size_t before, size_t after, size_t kernel, size_t stride,
                        size_t dilation, size_t *output) {
    size_t padded = input + before + after, span = (kernel - 1) * dilation + 1;
    if (padded < span) {
        return false;
    }
    *output = (padded - span) / stride + 1;
    return true;
}

/* Units whose inputs and outputs take a quarter of the second-level cache, since all panels of
 * weights go over them one after the other. */
static size_t most_pixels(const OctQ8ConvSetup *setup) {
    size_t bytes = setup->input_stride + setup->output_stride;
    size_t pixels = bytes > 0 ? oct_cpu_l2_bytes() / 4 / bytes : MOST_PIXELS;
    return pixels < FEWEST_PIXELS ? FEWEST_PIXELS : pixels < MOST_PIXELS ? pixels : MOST_PIXELS;
}

/* Units of whole blocks of pixels that differ by a block at most, so that threads get equal shares.
 */
static void cut_units(const OctQ8Conv *conv, size_t total, OctQ8ConvSetup *setup) {
    size_t limit = most_pixels(setup), window = (conv->k + 3) / 4 * 4;
    if (conv->path == OCT_Q8_PATH_WINDOWS && limit > OCT_Q8_WINDOW_BYTES / window) {
        limit = OCT_Q8_WINDOW_BYTES / window;
    } else if (conv->path != OCT_Q8_PATH_DIRECT && limit > OCT_Q8_MAX_POINTERS / conv->taps) {
        limit = OCT_Q8_MAX_POINTERS / conv->taps;
    }
    limit = limit > 0 ? limit : 1;
    size_t block = conv->bundle->pixel_block;
    setup->unit_block = block < limit ? block : limit;
    limit = limit / setup->unit_block * setup->unit_block;
    setup->units = (total + limit - 1) / limit;
}

/* How many of `count` outputs have a window that begins before the input, and behind them, how many
 * one that ends behind it. */
static void count_borders(size_t count, size_t input, size_t before, size_t span, size_t stride,
                          size_t *first, size_t *last) {
    size_t begin = (before + stride - 1) / stride;
    *first = begin < count ? begin : count;
    size_t inside = input + before < span ? 0 : (input + before - span) / stride + 1;
    size_t end = inside > *first ? inside : *first;
    *last = end < count ? count - end : 0;
}

/* Products with padding are 0 where its value, the zero point, is 0. Where they are few anyway,
 * finding them takes longer. */
static bool leaves_out_padding(const OctQ8Conv *conv) {
    return conv->path == OCT_Q8_PATH_POINTERS && conv->bundle->padding_tile != NULL &&
           conv->params.input_zero_point == 0 && conv->k * conv->group_out >= FEWEST_PRODUCTS;
}

static void choose_order(const OctQ8Conv *conv, OctQ8ConvSetup *setup) {
    const OctQ8ConvParams *params = &conv->params;
    oct_q8_order_rows(&setup->order, setup->out_h, setup->out_w);
    if (!leaves_out_padding(conv)) {
        return;
    }
    OctQ8Borders borders;
    count_borders(setup->out_h, setup->in_h, params->pad_top,
                  (params->kernel_h - 1) * params->dilation_h + 1, params->stride_h, &borders.top,
                  &borders.bottom);
    count_borders(setup->out_w, setup->in_w, params->pad_left,
                  (params->kernel_w - 1) * params->dilation_w + 1, params->stride_w, &borders.left,
                  &borders.right);
    oct_q8_order_borders(&setup->order, setup->batch, setup->out_h, setup->out_w, borders,
                         conv->bundle->padding_tile(conv->group_out));
}

static OctetStatus check_products(const OctQ8Conv *conv, OctQ8ConvSetup *setup,
                                  OctetDiagnostic *diagnostic) {
    size_t in_pixels = 0, out_pixels = 0, bytes = 0;
    bool fits = oct_mul_size(setup->in_h, setup->in_w, &in_pixels) &&
                oct_mul_size(in_pixels, setup->batch, &in_pixels) &&
                oct_mul_size(in_pixels, setup->input_stride, &bytes) &&
                oct_mul_size(setup->out_h, setup->out_w, &out_pixels) &&
                oct_mul_size(out_pixels, setup->batch, &out_pixels) &&
                oct_mul_size(out_pixels, setup->output_stride, &bytes) &&
                oct_mul_size(bytes, 4, &bytes) && bytes < (size_t)INT64_MAX &&
                oct_mul_size(out_pixels, setup->residual_stride, &bytes) &&
                bytes < (size_t)INT64_MAX;
    if (!fits || !oct_mul_size(out_pixels, conv->params.out_channels, &setup->macs) ||
        !oct_mul_size(setup->macs, conv->depth, &setup->macs)) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "a convolution over %zu images of %zu x %zu is too large", setup->batch,
                        setup->in_h, setup->in_w);
    }
    const OctQ8ConvParams *params = &conv->params;
    bool padded = params->pad_top || params->pad_left || params->pad_bottom || params->pad_right ||
                  setup->input_stride != params->in_channels;
    if (oct_q8_path_pads(conv->path) && padded) {
        size_t h = setup->in_h + conv->params.pad_top + conv->params.pad_bottom;
        size_t w = setup->in_w + conv->params.pad_left + conv->params.pad_right;
        if (!oct_mul_size(h, w, &bytes) || !oct_mul_size(bytes, setup->batch, &bytes) ||
            !oct_mul_size(bytes, conv->params.in_channels, &bytes) ||
            !oct_add_size(bytes, 64, &setup->workspace_bytes)) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a padded image is too large");
        }
    }
    return OCTET_OK;
}

OctetStatus oct_q8_conv_setup(const OctQ8Conv *conv, size_t batch, size_t in_h, size_t in_w,
                              size_t input_stride, size_t output_stride, size_t residual_stride,
                              OctQ8ConvSetup *setup, OctetDiagnostic *diagnostic) {
    const OctQ8ConvParams *params = &conv->params;
    *setup = (OctQ8ConvSetup){
        .batch = batch,
        .in_h = in_h,
        .in_w = in_w,
        .input_stride = input_stride ? input_stride : params->in_channels,
        .output_stride = output_stride ? output_stride : params->out_channels,
        .residual_stride = residual_stride ? residual_stride : params->out_channels,
        .epilogue = params->epilogue,
    };
    if (setup->input_stride < params->in_channels || setup->output_stride < params->out_channels ||
        setup->residual_stride < params->out_channels) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a convolution's stride between pixels is below its channels");
    }
    if (in_h > INT32_MAX || in_w > INT32_MAX ||
        !output_size(in_h, params->pad_top, params->pad_bottom, params->kernel_h, params->stride_h,
                     params->dilation_h, &setup->out_h) ||
        !output_size(in_w, params->pad_left, params->pad_right, params->kernel_w, params->stride_w,
                     params->dilation_w, &setup->out_w)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "an image of %zu x %zu with its padding does not fit a kernel of %zu x %zu",
                        in_h, in_w, params->kernel_h, params->kernel_w);
    }
    OCT_TRY(check_products(conv, setup, diagnostic));
    if (conv->path != OCT_Q8_PATH_DEPTHWISE) {
        cut_units(conv, setup->batch * setup->out_h * setup->out_w, setup);
        choose_order(conv, setup);
    }
    return OCTET_OK;
}

void oct_q8_conv_use_epilogue(const OctQ8Conv *conv, const OctQ8Epilogue *epilogue,
                              OctQ8OutputKind kind, OctQ8ConvSetup *setup) {
    setup->epilogue = *epilogue;
    setup->epilogue.kind = kind;
    setup->epilogue.bounded =
        conv->params.epilogue.bounded && oct_q8_epilogue_is_bounded(epilogue, NULL, 0);
}
