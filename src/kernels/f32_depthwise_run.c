#include "base/threads.h"
#include "kernels/f32_depthwise.h"
#include "kernels/f32_driver.h"

enum { TASKS_PER_THREAD = 4 };

typedef struct Split {
    const OctF32Job *job;
    size_t taps;
    size_t lines, lines_per_task, line_tasks;
    size_t first_inner, end_inner; /* pixels of a line whose taps are all inside along the width */
    size_t tile_size;
} Split;

/* One line of the output, and where its taps begin in the input. */
typedef struct Line {
    int64_t z, y;
    const float *input; /* the image, at its first channel */
    float *output;      /* the line's first pixel */
    const float *residual;
} Line;

/* The taps of a tile that are inside. */
typedef struct Taps {
    size_t count;
    int64_t offsets[OCT_F32_DEPTHWISE_MAX_TAPS];
    size_t indices[OCT_F32_DEPTHWISE_MAX_TAPS];
} Taps;

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool is_inside(int64_t index, const OctF32WindowAxis *axis) {
    return (uint64_t)index < (uint64_t)axis->input;
}

static void find_inner(Split *split) {
    const OctF32WindowAxis *width = &split->job->window.axis[2];
    int64_t reach = width->taps ? (width->taps - 1) * width->step : 0;
    int64_t low = width->origin + (reach < 0 ? reach : 0);
    int64_t high = width->origin + (reach > 0 ? reach : 0);
    int64_t first = low < 0 ? (width->stride - 1 - low) / width->stride : 0;
    int64_t end = high < width->input ? (width->input - 1 - high) / width->stride + 1 : 0;
    end = end < width->count ? end : width->count;
    split->first_inner = (size_t)(first < width->count ? first : width->count);
    split->end_inner = end > first ? (size_t)end : split->first_inner;
    size_t inner = split->end_inner - split->first_inner;
    size_t tiles = divide_up(inner, split->job->depthwise->mr);
    split->tile_size = tiles ? divide_up(inner, tiles) : 1;
}

static void plan_split(Split *split, size_t threads) {
    const OctF32Job *job = split->job;
    const OctF32WindowAxis *axis = job->window.axis;
    split->taps = oct_f32_window_taps(&job->window);
    split->lines = (size_t)(axis[0].count * axis[1].count);
    split->lines_per_task = split->lines;
    if (threads > 1) {
        size_t cuts = divide_up(threads * TASKS_PER_THREAD, job->batch);
        split->lines_per_task = divide_up(split->lines, smaller(cuts, split->lines));
    }
    split->line_tasks = divide_up(split->lines, split->lines_per_task);
    find_inner(split);
}

/* The taps that a pixel whose tap 0 is at (line, x) reads, relative to that. */
static void find_taps(const Split *split, const Line *line, int64_t x, Taps *taps) {
    const OctF32WindowAxis *axis = split->job->window.axis;
    size_t index = 0;
    taps->count = 0;
    for (int64_t tap_z = 0; tap_z < axis[0].taps; tap_z++) {
        for (int64_t tap_y = 0; tap_y < axis[1].taps; tap_y++) {
            bool inside = is_inside(line->z + tap_z * axis[0].step, &axis[0]) &&
                          is_inside(line->y + tap_y * axis[1].step, &axis[1]);
            int64_t lines = tap_z * axis[0].step * axis[1].input + tap_y * axis[1].step;
            for (int64_t tap_x = 0; tap_x < axis[2].taps; tap_x++, index++) {
                int64_t shift = tap_x * axis[2].step;
                if (inside && is_inside(x + shift, &axis[2])) {
                    taps->offsets[taps->count] =
                        (lines * axis[2].input + shift) * (int64_t)split->job->window.input_pixel;
                    taps->indices[taps->count++] = index;
                }
            }
        }
    }
}

/* Pixels [first, end) of a line, which share the taps that are inside. */
static void run_tile(const Split *split, const Line *line, const Taps *taps, size_t first,
                     size_t end, OctF32DepthwiseTile *tile) {
    const OctF32Window *window = &split->job->window;
    const OctF32WindowAxis *axis = window->axis;
    int64_t x = (int64_t)first * axis[2].stride + axis[2].origin;
    int64_t pixel = (line->z * axis[1].input + line->y) * axis[2].input + x;
    int64_t start = pixel * (int64_t)window->input_pixel;
    size_t at = first * tile->output_step;
    /* tap 0 may lie outside of the image, so the way to the first tap inside is gone at once */
    int64_t offsets[OCT_F32_DEPTHWISE_MAX_TAPS];
    int64_t nearest = taps->count ? taps->offsets[0] : 0;
    for (size_t tap = 0; tap < taps->count; tap++) {
        offsets[tap] = taps->offsets[tap] - nearest;
    }
    tile->input = taps->count ? line->input + (start + nearest) : line->input;
    tile->input_step = (size_t)axis[2].stride * window->input_pixel;
    tile->taps = taps->count;
    tile->tap_offsets = offsets;
    tile->tap_indices = taps->indices;
    tile->row_count = end - first;
    tile->output = line->output + at;
    tile->residual = line->residual ? line->residual + at : NULL;
    split->job->depthwise->kernel(tile);
}

static void run_edge(const Split *split, const Line *line, size_t first, size_t end,
                     OctF32DepthwiseTile *tile) {
    const OctF32WindowAxis *width = &split->job->window.axis[2];
    Taps taps;
    for (size_t pixel = first; pixel < end; pixel++) {
        find_taps(split, line, (int64_t)pixel * width->stride + width->origin, &taps);
        run_tile(split, line, &taps, pixel, pixel + 1, tile);
    }
}

static void run_line(const Split *split, const Line *line, OctF32DepthwiseTile *tile) {
    const OctF32WindowAxis *width = &split->job->window.axis[2];
    run_edge(split, line, 0, split->first_inner, tile);
    if (split->first_inner < split->end_inner) {
        Taps taps;
        int64_t x = (int64_t)split->first_inner * width->stride + width->origin;
        find_taps(split, line, x, &taps);
        for (size_t pixel = split->first_inner; pixel < split->end_inner;
             pixel += split->tile_size) {
            size_t end = smaller(pixel + split->tile_size, split->end_inner);
            run_tile(split, line, &taps, pixel, end, tile);
        }
    }
    run_edge(split, line, split->end_inner, (size_t)width->count, tile);
}

/* Some lines of an image. */
static void run_task(void *user, size_t index) {
    const Split *split = user;
    const OctF32Job *job = split->job;
    const OctF32WindowAxis *axis = job->window.axis;
    size_t first = index % split->line_tasks * split->lines_per_task;
    size_t end = smaller(first + split->lines_per_task, split->lines);
    size_t image = index / split->line_tasks;
    OctF32DepthwiseTile tile = {.weights = job->packed,
                                .block_floats = job->depthwise->cr * (split->taps + 1),
                                .output_step =
                                    (size_t)axis[2].output_step * job->window.output_pixel,
                                .channels = job->columns,
                                .minimum = job->minimum,
                                .maximum = job->maximum};
    for (size_t i = first; i < end; i++) {
        int64_t z = (int64_t)i / axis[1].count;
        int64_t y = (int64_t)i % axis[1].count;
        int64_t output_line = (z * axis[0].output_step + axis[0].output_origin) * axis[1].output +
                              y * axis[1].output_step + axis[1].output_origin;
        size_t at = image * job->output_image +
                    (size_t)(output_line * axis[2].output + axis[2].output_origin) *
                        job->window.output_pixel;
        Line line = {.z = z * axis[0].stride + axis[0].origin,
                     .y = y * axis[1].stride + axis[1].origin,
                     .input = job->input + image * job->input_image,
                     .output = job->output + at,
                     .residual = job->residual ? job->residual + at : NULL};
        run_line(split, &line, &tile);
    }
}

void oct_f32_depthwise_run(const OctF32Job *job, OctetThreadPool *pool) {
    if (oct_f32_window_pixels(&job->window) == 0 || job->columns == 0 || job->batch == 0) {
        return;
    }
    Split split = {.job = job};
    plan_split(&split, oct_pool_size(pool));
    oct_parallel_for(pool, run_task, &split, split.line_tasks * job->batch);
}
