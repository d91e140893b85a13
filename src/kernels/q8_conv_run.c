/* Running an int8 convolution: pads or points, cuts the output into units and calls the kernel. */
#include "kernels/q8_conv_run.h"
#include "base/patience.h"
#include "base/threads.h"
#include "kernels/q8_conv_plan.h"
#include "kernels/q8_conv_pointers.h"
#include "kernels/q8_conv_windows.h"

#include <string.h>

/* Below so many multiplications, waking threads costs more than it brings. Depthwise convolutions
 * take four times as long a multiplication, and an output as long as eight. */
enum { MACS_FOR_THREADS = 1 << 20, DEPTHWISE_MACS = 4, DEPTHWISE_OUTPUT = 8 };

typedef struct Run {
    const OctQ8Conv *conv;
    const OctQ8ConvSetup *setup;
    const uint8_t *input;
    const uint8_t *padded; /* the padded copy, or the input where there is no padding */
    uint8_t *output;
    size_t element; /* bytes of an output element */
    const uint8_t *residual;
    uint8_t *workspace;
    size_t pixels; /* of the whole output */
    const OctQ8Order *order;
    size_t splits, channels_per_split;
    bool split_by_split; /* neighbors are units of the same channels, not the other way round */
    size_t rows_per_unit, columns_per_unit, column_units, row_units; /* depthwise */
} Run;

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* ---- the padded path ---- */

static size_t padded_width(const Run *run) {
    return run->setup->in_w + run->conv->params.pad_left + run->conv->params.pad_right;
}

static size_t padded_height(const Run *run) {
    return run->setup->in_h + run->conv->params.pad_top + run->conv->params.pad_bottom;
}

/* Copies one row of the padded image; index counts rows of all images. */
static void pad_row(void *user, size_t index) {
    const Run *run = user;
    const OctQ8ConvParams *params = &run->conv->params;
    size_t channels = params->in_channels, width = padded_width(run), height = padded_height(run);
    size_t image = index / height, row = index % height, in_w = run->setup->in_w;
    uint8_t *to = run->workspace + index * width * channels;
    if (row < params->pad_top || row >= params->pad_top + run->setup->in_h) {
        memset(to, params->input_zero_point, width * channels);
        return;
    }
    size_t stride = run->setup->input_stride;
    const uint8_t *from =
        run->input + (image * run->setup->in_h + row - params->pad_top) * in_w * stride;
    memset(to, params->input_zero_point, params->pad_left * channels);
    to += params->pad_left * channels;
    if (stride == channels) {
        memcpy(to, from, in_w * channels);
    } else {
        for (size_t x = 0; x < in_w; x++) {
            memcpy(to + x * channels, from + x * stride, channels);
        }
    }
    memset(to + in_w * channels, params->input_zero_point, params->pad_right * channels);
}

/* Pointers of some outputs, to pointers[tap * stride]. */
static void point_padded(const Run *run, const OctQ8PixelRun *pixels, const uint8_t **pointers,
                         size_t stride) {
    const OctQ8ConvParams *params = &run->conv->params;
    size_t width = padded_width(run), channels = params->in_channels;
    size_t top = pixels->image * padded_height(run) + pixels->y * params->stride_h;
    for (size_t t = 0; t < params->kernel_h; t++) {
        const uint8_t *pixel =
            run->padded +
            ((top + t * params->dilation_h) * width + pixels->x * params->stride_w) * channels;
        for (size_t x = 0; x < pixels->count; x++) {
            pointers[t * stride + x] = pixel;
            pixel += params->stride_w * channels;
        }
    }
}

static void point_taps(const Run *run, const OctQ8PixelRun *pixels, const uint8_t **pointers,
                       size_t stride) {
    const OctQ8ConvParams *params = &run->conv->params;
    const OctQ8ConvSetup *setup = run->setup;
    for (size_t r = 0; r < params->kernel_h; r++) {
        size_t in_y = pixels->y * params->stride_h + r * params->dilation_h - params->pad_top;
        const uint8_t *in_row = NULL; /* in_y wraps where it would be negative */
        if (in_y < setup->in_h) {
            in_row = run->input +
                     (pixels->image * setup->in_h + in_y) * setup->in_w * setup->input_stride;
        }
        for (size_t t = 0; t < params->kernel_w; t++) {
            ptrdiff_t first = (ptrdiff_t)(pixels->x * params->stride_w + t * params->dilation_w) -
                              (ptrdiff_t)params->pad_left;
            oct_q8_fill_row(pointers + (r * params->kernel_w + t) * stride, pixels->count, in_row,
                            first, params->stride_w, setup->in_w, setup->input_stride,
                            run->conv->zero_row);
        }
    }
}

/* Pointers of output pixels [first, first + count) of the order. */
static void point(const Run *run, size_t first, size_t count, const uint8_t **pointers) {
    size_t taps = run->conv->taps / run->conv->copies;
    for (size_t done = 0; done < count;) {
        OctQ8PixelRun here = oct_q8_order_run(run->order, first + done, count - done);
        if (run->conv->path == OCT_Q8_PATH_PADDED) {
            point_padded(run, &here, pointers + done, count);
        } else {
            point_taps(run, &here, pointers + done, count);
        }
        done += here.count;
    }
    for (size_t copy = 1; copy < run->conv->copies; copy++) {
        memcpy(pointers + copy * taps * count, pointers, taps * count * sizeof *pointers);
    }
}

/* The windows of output pixels [first, first + count) of all images, `stride` bytes apart. */
static void gather(const Run *run, size_t first, size_t count, uint8_t *windows, size_t stride) {
    const OctQ8ConvParams *params = &run->conv->params;
    size_t width = run->setup->out_w, height = run->setup->out_h, channels = params->in_channels;
    size_t line = padded_width(run) * channels, step = params->stride_w * channels;
    for (size_t done = 0; done < count;) {
        size_t row = (first + done) / width, column = (first + done) % width;
        size_t here = width - column < count - done ? width - column : count - done;
        size_t top = row / height * padded_height(run) + row % height * params->stride_h;
        oct_q8_gather_windows(
            windows + done * stride, stride, run->padded + top * line + column * step, step,
            line * params->dilation_h, here, params->kernel_h, params->kernel_w * channels);
        done += here;
    }
}

/* Channels that are computed at a time where pixels have an order of their own: a multiple of every
 * bundle's panel. */
enum { STAGED_CHANNELS = 64 };

/* Between tensors, whose pixel p of the unit is at[p], and rows of `count` bytes that lie side by
 * side. */
static void scatter(uint8_t *tensor, size_t stride, const size_t *at, size_t pixels,
                    const uint8_t *rows, size_t count) {
    for (size_t p = 0; p < pixels; p++) {
        memcpy(tensor + at[p] * stride, rows + p * STAGED_CHANNELS, count);
    }
}

static void collect(const uint8_t *tensor, size_t stride, const size_t *at, size_t pixels,
                    uint8_t *rows, size_t count) {
    for (size_t p = 0; p < pixels; p++) {
        memcpy(rows + p * STAGED_CHANNELS, tensor + at[p] * stride, count);
    }
}

/* Kernels write pixels one behind the other. Those that are no neighbors are written to a buffer
 * and put to their places from there. args->output and residual are those of pixel 0 of the order
 * in this group. */
static void run_staged(const Run *run, const OctQ8ConvArgs *args, size_t first) {
    const OctQ8ConvSetup *setup = run->setup;
    size_t at[OCT_Q8_MOST_PIXELS];
    uint8_t rows[OCT_Q8_MOST_PIXELS * STAGED_CHANNELS];
    uint8_t residual[OCT_Q8_MOST_PIXELS * STAGED_CHANNELS];
    for (size_t done = 0; done < args->pixels;) {
        OctQ8PixelRun here = oct_q8_order_run(run->order, first + done, args->pixels - done);
        size_t pixel = (here.image * setup->out_h + here.y) * setup->out_w + here.x;
        for (size_t i = 0; i < here.count; i++) {
            at[done++] = pixel + i;
        }
    }
    OctQ8ConvArgs part = *args;
    part.output = rows;
    part.output_stride = part.residual_stride = STAGED_CHANNELS;
    part.residual = args->residual ? residual : NULL;
    for (size_t c = 0; c < args->channels; c += STAGED_CHANNELS) {
        size_t left = args->channels - c;
        part.first_channel = args->first_channel + c;
        part.channels = left < STAGED_CHANNELS ? left : STAGED_CHANNELS;
        if (args->residual) {
            collect(args->residual + c, setup->residual_stride, at, args->pixels, residual,
                    part.channels);
        }
        run->conv->bundle->kernel(&part);
        scatter((uint8_t *)args->output + c, setup->output_stride, at, args->pixels, rows,
                part.channels);
    }
}

static void run_unit(void *user, size_t index) {
    const Run *run = user;
    const OctQ8Conv *conv = run->conv;
    const OctQ8ConvSetup *setup = run->setup;
    size_t unit = run->split_by_split ? index % setup->units : index / run->splits;
    size_t split = run->split_by_split ? index / setup->units : index % run->splits;
    size_t blocks = divide_up(run->pixels, setup->unit_block);
    size_t first = blocks * unit / setup->units * setup->unit_block;
    size_t end = blocks * (unit + 1) / setup->units * setup->unit_block;
    size_t channel = split * run->channels_per_split;
    size_t count = (end < run->pixels ? end : run->pixels) - first;
    bool staged = run->order->count > 1;
    size_t start = staged ? 0 : first;
    const uint8_t *pointers[OCT_Q8_MAX_POINTERS];
    uint8_t windows[OCT_Q8_WINDOW_BYTES + OCT_Q8_WINDOW_CHUNK];
    OctQ8ConvArgs args = {
        .pixels = count,
        .taps = conv->taps,
        .k = conv->k,
        .pointer_stride = count,
        .input_stride = setup->input_stride,
        .first_channel = channel,
        .channels = conv->group_out - channel < run->channels_per_split ? conv->group_out - channel
                                                                        : run->channels_per_split,
        .output_stride = setup->output_stride,
        .residual_stride = setup->residual_stride,
        .epilogue = &setup->epilogue,
    };
    if (conv->path == OCT_Q8_PATH_WINDOWS) {
        args.input_stride = (conv->k + 3) / 4 * 4;
        gather(run, first, count, windows, args.input_stride);
    } else if (conv->path != OCT_Q8_PATH_DIRECT) {
        point(run, first, count, pointers);
        args.pointers = pointers;
        args.padding = conv->path == OCT_Q8_PATH_POINTERS && conv->params.input_zero_point == 0
                           ? conv->zero_row
                           : NULL;
    }
    for (size_t g = 0; g < conv->params.groups && !(g > 0 && oct_is_over()); g++) {
        size_t out_channel = g * conv->group_out + channel;
        args.input = conv->path == OCT_Q8_PATH_WINDOWS
                         ? windows
                         : run->input + first * setup->input_stride + g * conv->group_in;
        args.pointer_offset = conv->path == OCT_Q8_PATH_POINTERS ? g * conv->group_in : 0;
        args.packed = conv->packed.data + g * conv->group_bytes;
        args.output = run->output + (start * setup->output_stride + out_channel) * run->element;
        args.residual =
            run->residual ? run->residual + start * setup->residual_stride + out_channel : NULL;
        if (staged) {
            run_staged(run, &args, first);
        } else {
            conv->bundle->kernel(&args);
        }
    }
}

/* ---- depthwise ---- */

static void run_depthwise_unit(void *user, size_t index) {
    const Run *run = user;
    const OctQ8Conv *conv = run->conv;
    const OctQ8ConvParams *params = &conv->params;
    const OctQ8ConvSetup *setup = run->setup;
    size_t column = index % run->column_units * run->columns_per_unit;
    size_t unit = index / run->column_units, image = unit / run->row_units;
    size_t first = unit % run->row_units * run->rows_per_unit;
    size_t columns = setup->out_w - column < run->columns_per_unit ? setup->out_w - column
                                                                   : run->columns_per_unit;
    size_t rows =
        setup->out_h - first < run->rows_per_unit ? setup->out_h - first : run->rows_per_unit;
    size_t width =
        (columns - 1) * params->stride_w + (params->kernel_w - 1) * params->dilation_w + 1;
    size_t height = (rows - 1) * params->stride_h + (params->kernel_h - 1) * params->dilation_h + 1;
    const uint8_t *pointers[OCT_Q8_MAX_POINTERS];
    for (size_t r = 0; r < height; r++) {
        size_t in_y = first * params->stride_h + r - params->pad_top;
        const uint8_t *in_row = NULL;
        if (in_y < setup->in_h) {
            in_row = run->input + (image * setup->in_h + in_y) * setup->in_w * setup->input_stride;
        }
        oct_q8_fill_row(pointers + r * width, width, in_row,
                        (ptrdiff_t)(column * params->stride_w) - (ptrdiff_t)params->pad_left, 1,
                        setup->in_w, setup->input_stride, conv->zero_row);
    }
    for (size_t r = 0; r < rows; r++) {
        size_t pixel = (image * setup->out_h + first + r) * setup->out_w + column;
        OctQ8DepthwiseArgs args = {
            .pixels = columns,
            .kernel_h = params->kernel_h,
            .kernel_w = params->kernel_w,
            .channels = params->in_channels,
            .pointers = pointers + r * params->stride_h * width,
            .row_stride = width * params->dilation_h,
            .stride_w = params->stride_w,
            .dilation_w = params->dilation_w,
            .packed = conv->packed.data,
            .output = run->output + pixel * setup->output_stride * run->element,
            .output_stride = setup->output_stride,
            .residual = run->residual ? run->residual + pixel * setup->residual_stride : NULL,
            .residual_stride = setup->residual_stride,
            .epilogue = &setup->epilogue,
        };
        conv->depthwise->kernel(&args);
    }
}

/* As many whole rows a unit as the pointers of their inputs fit; if not even one fits, pieces of
 * rows. */
static void run_depthwise(Run *run, OctetThreadPool *pool) {
    const OctQ8ConvParams *params = &run->conv->params;
    const OctQ8ConvSetup *setup = run->setup;
    size_t span_h = (params->kernel_h - 1) * params->dilation_h + 1;
    size_t span_w = (params->kernel_w - 1) * params->dilation_w + 1;
    size_t width_limit = OCT_Q8_MAX_POINTERS / span_h;
    size_t columns = (width_limit - span_w) / params->stride_w + 1;
    run->columns_per_unit = columns < setup->out_w ? columns : setup->out_w;
    size_t width = (run->columns_per_unit - 1) * params->stride_w + span_w;
    size_t rows = (OCT_Q8_MAX_POINTERS / width - span_h) / params->stride_h + 1;
    size_t share = divide_up(setup->out_h * setup->batch, 4 * oct_pool_size(pool));
    rows = oct_pool_size(pool) > 1 && rows > share ? share : rows;
    run->rows_per_unit = rows < setup->out_h ? rows : setup->out_h;
    run->column_units = divide_up(setup->out_w, run->columns_per_unit);
    run->row_units = divide_up(setup->out_h, run->rows_per_unit);
    oct_parallel_for(pool, run_depthwise_unit, run,
                     setup->batch * run->row_units * run->column_units);
}

/* ---- both ---- */

void oct_q8_conv_run(const OctQ8Conv *conv, const OctQ8ConvSetup *setup, const uint8_t *input,
                     void *output, const uint8_t *residual, void *workspace,
                     OctetThreadPool *pool) {
    Run run = {
        .conv = conv,
        .setup = setup,
        .input = input,
        .output = output,
        .element = setup->epilogue.kind == OCT_Q8_OUT_U8 ? 1 : 4,
        .residual = setup->epilogue.has_add ? residual : NULL,
        .workspace = workspace,
        .pixels = setup->batch * setup->out_h * setup->out_w,
    };
    if (run.pixels == 0) {
        return;
    }
    size_t work = setup->macs;
    if (conv->path == OCT_Q8_PATH_DEPTHWISE) {
        work = DEPTHWISE_MACS * setup->macs +
               DEPTHWISE_OUTPUT * run.pixels * conv->params.out_channels;
    }
    pool = work < MACS_FOR_THREADS ? NULL : pool;
    if (conv->path == OCT_Q8_PATH_DEPTHWISE) {
        run_depthwise(&run, pool);
        return;
    }
    OctQ8Order rows;
    oct_q8_order_rows(&rows, setup->out_h, setup->out_w);
    run.order = setup->epilogue.kind == OCT_Q8_OUT_U8 ? &setup->order : &rows;
    run.padded = input;
    if (oct_q8_path_pads(conv->path) && setup->workspace_bytes > 0) {
        oct_parallel_for(pool, pad_row, &run, setup->batch * padded_height(&run));
        run.padded = workspace;
    }
    size_t threads = oct_pool_size(pool), panels = divide_up(conv->group_out, conv->bundle->nr);
    run.splits = threads > 1 ? divide_up(4 * threads, setup->units) : 1;
    run.splits = oct_q8_splits(run.splits, setup->macs / setup->units, panels);
    size_t panels_per_split = divide_up(panels, run.splits);
    run.splits = divide_up(panels, panels_per_split);
    run.channels_per_split = panels_per_split * conv->bundle->nr;
    /* A thread begins with neighbors. Those of one unit, layer after layer about the same part of
     * the image, are mostly in its own cache; but where there are few units, one of which has most
     * of the padding, one thread would be ready before the others. */
    run.split_by_split = run.order->count > 1 && setup->units < 2 * threads;
    oct_parallel_for(pool, run_unit, &run, setup->units * run.splits);
}
