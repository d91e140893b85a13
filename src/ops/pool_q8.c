/* Int8 pools. Max keeps integers and takes them to the output's grid by a table if that differs;
 * average rounds once, from the exact sum. */
#include "base/patience.h"
#include "kernels/q8_max_pool.h"
#include "kernels/q8_vector.h"
#include "ops/pool.h"
#include "ops/quantized.h"
#include "ops/rows.h"
#include "ops/table_u8.h"
#include "quant/requantize_pairs.h"

typedef struct PoolQ8 {
    OctPool pool;
    const OctQ8VectorOps *vector;
    OctLayout x, y;
    float x_scale, y_scale;
    int32_t x_zero_point, y_zero_point;
    uint8_t minimum, maximum;
    OctetRequantize mode;
    bool requantizes;
    uint8_t table[256];
    size_t slots, sums_offset, sums_bytes;
    OctQ8Average full; /* for windows that lie inside */
    int64_t full_count;
    bool by_rows; /* a plain maximum over images */
    OctQ8MaxPool max;
} PoolQ8;

typedef struct Work {
    const PoolQ8 *state;
    const OctRun *run;
    const uint8_t *x;
    uint8_t *y;
} Work;

/* The taps of one output pixel. The last axis is the inner one. */
typedef struct Window {
    OctTaps taps[OCT_IMAGE_MAX];
    int64_t count, padded; /* taps inside the input, and inside input plus padding */
    size_t image;
} Window;

static void find_window(const PoolQ8 *state, size_t pixel, Window *window) {
    const OctPool *pool = &state->pool;
    window->count = window->padded = 1;
    for (int32_t i = pool->input.rank - 1; i >= 0; i--) {
        size_t out = (size_t)pool->output.spatial[i];
        window->taps[i] = oct_pool_taps(pool, i, (int64_t)(pixel % out));
        window->count *= window->taps[i].count;
        window->padded *= window->taps[i].padded;
        pixel /= out;
    }
    window->image = pixel;
}

/* The pixel index of line `line` of the window: all axes but the last, and the last's first tap. */
static size_t line_start(const PoolQ8 *state, const Window *window, size_t line) {
    const OctPool *pool = &state->pool;
    int32_t last = pool->input.rank - 1;
    size_t start = (size_t)window->taps[last].first, stride = 1;
    for (int32_t i = last - 1; i >= 0; i--) {
        size_t count = (size_t)window->taps[i].count;
        int64_t step = pool->global ? 1 : pool->window.dilation[i];
        stride *= (size_t)pool->input.spatial[i + 1];
        start += (size_t)(window->taps[i].first + (int64_t)(line % count) * step) * stride;
        line /= count;
    }
    return window->image * (size_t)oct_image_shape_area(&pool->input) + start;
}

static size_t inner_step(const OctPool *pool) {
    return pool->global ? 1 : (size_t)pool->window.dilation[pool->input.rank - 1];
}

enum { POINTERS = 64 };

static void max_pixel(const Work *work, const Window *window, uint8_t *y) {
    const PoolQ8 *state = work->state;
    size_t channels = state->x.channels, used = 0;
    const OctTaps *inner = &window->taps[state->pool.input.rank - 1];
    size_t step = inner_step(&state->pool);
    size_t lines = (size_t)(window->count / inner->count);
    const uint8_t *rows[POINTERS];
    for (size_t line = 0; line < lines; line++) {
        const uint8_t *x = work->x + line_start(state, window, line) * channels;
        for (size_t t = 0; t < (size_t)inner->count; t++) {
            rows[used++] = x + t * step * channels;
            if (used == POINTERS) { /* the maximum so far is a row of the next group */
                state->vector->max_rows(rows, used, y, channels);
                rows[0] = y;
                used = 1;
            }
        }
    }
    if (used > 1 || rows[0] != y) {
        state->vector->max_rows(rows, used, y, channels);
    }
}

static void average_pixel(const Work *work, const Window *window, int32_t *sums, uint8_t *y) {
    const PoolQ8 *state = work->state;
    size_t channels = state->x.channels;
    const OctTaps *inner = &window->taps[state->pool.input.rank - 1];
    size_t step = inner_step(&state->pool);
    size_t lines = (size_t)(window->count / inner->count);
    for (size_t c = 0; c < channels; c++) {
        sums[c] = 0;
    }
    for (size_t line = 0; line < lines; line++) {
        state->vector->sum_rows(work->x + line_start(state, window, line) * channels,
                                step * channels, (size_t)inner->count, sums, channels);
    }
    OctQ8Average average = state->full;
    int64_t divisor = state->pool.count_include_pad ? window->padded : window->count;
    if (divisor != state->full_count || window->count != state->full_count) {
        average = oct_q8_average_params(state->x_scale, state->x_zero_point, (size_t)divisor,
                                        state->y_scale, state->y_zero_point);
        average.multiplier =
            oct_requantize_average(state->mode, state->x_scale, state->y_scale, divisor);
        average.minimum = state->minimum;
        average.maximum = state->maximum;
        /* Padding is 0, so it adds nothing to the sum of x - zero_point. */
        average.bias = (int32_t)(-window->count * state->x_zero_point);
    }
    state->vector->average(&average, sums, y, channels);
}

static void run_range(void *user, size_t index) {
    const Work *work = user;
    const PoolQ8 *state = work->state;
    int32_t *sums = oct_workspace_at(work->run, state->sums_offset + index * state->sums_bytes);
    size_t channels = state->y.channels, begin, end;
    bool max = state->pool.kind == OCT_POOL_MAX;
    oct_split_range(state->y.batch * state->y.area, state->slots, index, &begin, &end);
    size_t stint = 0;
    for (size_t pixel = begin; pixel < end; pixel++) {
        Window window;
        uint8_t *y = work->y + pixel * channels;
        find_window(state, pixel, &window);
        if (oct_is_over_after(&stint, (size_t)window.count * channels / 8 + 8)) {
            return;
        }
        if (window.count ==
            0) { /* only padding: the average is 0, the maximum the least there is */
            for (size_t c = 0; c < channels; c++) {
                y[c] = max ? 0 : (uint8_t)state->y_zero_point;
            }
        } else if (max) {
            max_pixel(work, &window, y);
        } else {
            average_pixel(work, &window, sums, y);
        }
        if (state->requantizes) {
            state->vector->lookup(state->table, y, y, channels);
        }
    }
}

/* Rows of outputs of images. */
static void run_max_rows(void *user, size_t index) {
    const Work *work = user;
    const PoolQ8 *state = work->state;
    const OctQ8MaxPool *max = &state->max;
    size_t begin, end, row_bytes = max->out_w * max->channels;
    oct_split_range(state->y.batch * max->out_h, state->slots, index, &begin, &end);
    size_t stint = 0;
    for (size_t row = begin; row < end && !oct_is_over_after(&stint, row_bytes); row++) {
        uint8_t *y = work->y + row * row_bytes;
        const uint8_t *x = work->x + row / max->out_h * (max->in_h * max->in_w * max->channels);
        oct_q8_max_pool_row(state->vector, max, x, row % max->out_h, y);
        if (state->requantizes) {
            state->vector->lookup(state->table, y, y, row_bytes);
        }
    }
}

static OctetStatus run_pool(void *user, const OctRun *run) {
    const PoolQ8 *state = user;
    if (state->y.batch * state->y.area * state->y.channels == 0) {
        return OCTET_OK;
    }
    Work work = {state, run, oct_layout_read(&state->x, run, run->inputs[0].data),
                 oct_layout_target(&state->y, run, run->outputs[0].data)};
    oct_parallel_for(run->pool, state->by_rows ? run_max_rows : run_range, &work, state->slots);
    oct_layout_finish(&state->y, run, run->outputs[0].data);
    return OCTET_OK;
}

/* Taps of a whole window; false if the sum of so many could leave int32. */
static bool count_taps(const OctPool *pool, int64_t *count) {
    *count = pool->global ? oct_image_shape_area(&pool->input) : 1;
    for (int32_t i = 0; i < pool->input.rank && !pool->global; i++) {
        if (!oct_mul_i64(*count, pool->window.kernel[i], count)) {
            return false;
        }
    }
    return *count <= 1 << 23;
}

static OctetStatus bind_grids(const OctPrepare *prepare, PoolQ8 *state) {
    const OctNode *node = prepare->node;
    const OctValue *x = node->inputs[0], *y = node->outputs[0];
    state->mode = prepare->requantize;
    state->x_scale = oct_value_scale(x);
    state->y_scale = oct_value_scale(y);
    state->x_zero_point = oct_value_zero_point(x);
    state->y_zero_point = oct_value_zero_point(y);
    oct_activation_u8(&node->activation, &y->qparams, &state->minimum, &state->maximum);
    if (state->pool.kind == OCT_POOL_MAX) {
        state->requantizes =
            !oct_table_same_grid(x, y) || node->activation.kind != OCT_ACTIVATION_NONE;
        return oct_table_build(prepare, x, y, NULL, NULL, &node->activation, state->table);
    }
    if (!count_taps(&state->pool, &state->full_count)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_NUMERIC, node,
                           "the sum over its window can leave int32");
    }
    state->full =
        oct_q8_average_params(state->x_scale, state->x_zero_point, (size_t)state->full_count,
                              state->y_scale, state->y_zero_point);
    state->full.multiplier =
        oct_requantize_average(state->mode, state->x_scale, state->y_scale, state->full_count);
    state->full.minimum = state->minimum;
    state->full.maximum = state->maximum;
    return OCTET_OK;
}

/* Whether whole rows can be done at once; fills in state->max. */
static bool bind_rows(PoolQ8 *state) {
    const OctPool *pool = &state->pool;
    if (pool->kind != OCT_POOL_MAX || pool->global || pool->input.rank < 1 ||
        pool->input.rank > 2) {
        return false;
    }
    int32_t w = pool->input.rank - 1;
    bool image = w == 1;
    state->max = (OctQ8MaxPool){
        .channels = state->x.channels,
        .in_h = image ? (size_t)pool->input.spatial[0] : 1,
        .in_w = (size_t)pool->input.spatial[w],
        .out_h = image ? (size_t)pool->output.spatial[0] : 1,
        .out_w = (size_t)pool->output.spatial[w],
        .kernel_h = image ? (size_t)pool->window.kernel[0] : 1,
        .kernel_w = (size_t)pool->window.kernel[w],
        .stride_h = image ? (size_t)pool->window.stride[0] : 1,
        .stride_w = (size_t)pool->window.stride[w],
        .pad_top = image ? (size_t)pool->window.pad_begin[0] : 0,
        .pad_left = (size_t)pool->window.pad_begin[w],
    };
    return pool->window.dilation[w] == 1 && (!image || pool->window.dilation[0] == 1) &&
           oct_q8_max_pool_fits(&state->max);
}

OctetStatus oct_pool_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    PoolQ8 *state = oct_prepare_state(prepare, prepared, sizeof *state);
    if (!state) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_pool;
    prepared->kernel = "q8_pool";
    prepared->cpu = prepare->cpu;
    state->vector = oct_q8_vector_ops(prepare->cpu);
    OCT_TRY(oct_pool_of(prepare->node, &state->pool, diagnostic));
    OCT_TRY(bind_grids(prepare, state));
    size_t *workspace = &prepared->workspace_bytes, bytes;
    bool last = state->pool.channels_last;
    OCT_TRY(oct_layout_prepare(&state->x, &state->pool.input, last, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&state->y, &state->pool.output, last, 1, workspace, diagnostic));
    state->by_rows = bind_rows(state);
    state->slots = prepare->threads > 0 ? prepare->threads : 1;
    state->sums_bytes = (state->x.channels * sizeof(int32_t) + 63) / 64 * 64;
    if (!oct_mul_size(state->sums_bytes, state->slots, &bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    return oct_workspace_add(workspace, bytes, &state->sums_offset, diagnostic);
}
