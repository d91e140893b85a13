#include "kernels/f32_window.h"

size_t oct_f32_window_pixels(const OctF32Window *window) {
    return (size_t)(window->axis[0].count * window->axis[1].count * window->axis[2].count);
}

void oct_f32_window_finish(OctF32Window *window) {
    window->linear = true;
    for (int i = 0; i < 3; i++) {
        const OctF32WindowAxis *axis = &window->axis[i];
        window->linear &= axis->taps == 1 && axis->stride == 1 && axis->origin == 0 &&
                          axis->output_origin == 0 && axis->output_step == 1 &&
                          axis->count == axis->output && axis->count == axis->input;
    }
}

size_t oct_f32_window_taps(const OctF32Window *window) {
    return (size_t)(window->axis[0].taps * window->axis[1].taps * window->axis[2].taps);
}

static bool taps_inside(const OctF32WindowAxis *axis, int64_t start) {
    int64_t last = start + (axis->taps - 1) * axis->step;
    return start >= 0 && start < axis->input && last >= 0 && last < axis->input;
}

/* Pixels of one line of the output, from the one at x on. */
typedef struct Run {
    int64_t z, y, x;
    size_t first, count;
} Run;

static void fill_run(const OctF32Window *window, const Run *run, OctF32WindowTile *tile,
                     bool *width_inside, size_t *offsets) {
    const OctF32WindowAxis *depth = &window->axis[0];
    const OctF32WindowAxis *height = &window->axis[1];
    const OctF32WindowAxis *width = &window->axis[2];
    int64_t z = run->z * depth->stride + depth->origin;
    int64_t y = run->y * height->stride + height->origin;
    int64_t x = run->x * width->stride + width->origin;
    int64_t pixel = (int64_t)window->input_pixel;
    int64_t base = ((z * height->input + y) * width->input + x) * pixel;
    int64_t line = (run->z * depth->output_step + depth->output_origin) * height->output +
                   run->y * height->output_step + height->output_origin;
    int64_t at = line * width->output + run->x * width->output_step + width->output_origin;
    size_t offset = (size_t)at * window->output_pixel;
    size_t offset_step = (size_t)width->output_step * window->output_pixel;
    int64_t last = x + (int64_t)(run->count - 1) * width->stride;
    bool across = taps_inside(width, x) && taps_inside(width, last);
    *width_inside &= across;
    tile->inside &= across && taps_inside(depth, z) && taps_inside(height, y);
    for (size_t i = run->first; i < run->first + run->count; i++) {
        tile->start[0][i] = z;
        tile->start[1][i] = y;
        tile->start[2][i] = x;
        tile->base[i] = base;
        offsets[i] = offset;
        x += width->stride;
        base += width->stride * pixel;
        offset += offset_step;
    }
}

void oct_f32_window_tile(const OctF32Window *window, size_t first, size_t count, bool may_join,
                         OctF32WindowTile *tile, size_t *offsets) {
    tile->count = count;
    if (window->linear) {
        tile->joined = false;
        tile->inside = true;
        tile->taps = 1;
        for (size_t pixel = 0; pixel < count; pixel++) {
            tile->base[pixel] = (int64_t)((first + pixel) * window->input_pixel);
            offsets[pixel] = (first + pixel) * window->output_pixel;
        }
        return;
    }
    const OctF32WindowAxis *height = &window->axis[1];
    const OctF32WindowAxis *width = &window->axis[2];
    int64_t lines = (int64_t)first / width->count;
    Run run = {lines / height->count, lines % height->count, (int64_t)first % width->count, 0, 0};
    bool width_inside = true;
    tile->inside = true;
    while (run.first < count) {
        size_t left = (size_t)(width->count - run.x);
        run.count = count - run.first < left ? count - run.first : left;
        fill_run(window, &run, tile, &width_inside, offsets);
        run.first += run.count;
        run.x = 0;
        if (++run.y == height->count) {
            run.y = 0;
            run.z++;
        }
    }
    tile->joined =
        may_join && width_inside && width->step == 1 && window->input_pixel == window->channels;
    tile->taps = (size_t)(window->axis[0].taps * height->taps * (tile->joined ? 1 : width->taps));
}

/* Where a tap lies relative to tap 0, in elements. */
static int64_t tap_offset(const OctF32Window *window, int64_t z, int64_t y, int64_t x) {
    const OctF32WindowAxis *axis = window->axis;
    int64_t line = z * axis[0].step * axis[1].input + y * axis[1].step;
    return (line * axis[2].input + x * axis[2].step) * (int64_t)window->input_pixel;
}

/* The taps (z, y) of each pixel: inside the input along depth and height? */
static void find_lines(const OctF32Window *window, const OctF32WindowTile *tile, int64_t z,
                       int64_t y, bool *inside) {
    const OctF32WindowAxis *depth = &window->axis[0];
    const OctF32WindowAxis *height = &window->axis[1];
    for (size_t pixel = 0; pixel < tile->count; pixel++) {
        int64_t input_z = tile->start[0][pixel] + z * depth->step;
        int64_t input_y = tile->start[1][pixel] + y * height->step;
        inside[pixel] = (uint64_t)input_z < (uint64_t)depth->input &&
                        (uint64_t)input_y < (uint64_t)height->input;
    }
}

/* The pointers of one tap. `inside` tells which pixels' lines are. */
static void fill_tap(const OctF32Window *window, const OctF32WindowTile *tile, const float *input,
                     const float *zero, int64_t offset, int64_t shift, const bool *inside,
                     const float **rows) {
    uint64_t size = (uint64_t)window->axis[2].input;
    if (tile->inside) {
        for (size_t pixel = 0; pixel < tile->count; pixel++) {
            rows[pixel] = input + (tile->base[pixel] + offset);
        }
        return;
    }
    for (size_t pixel = 0; pixel < tile->count; pixel++) {
        bool read = inside[pixel] && (uint64_t)(tile->start[2][pixel] + shift) < size;
        rows[pixel] = read ? input + (tile->base[pixel] + offset) : zero;
    }
}

void oct_f32_window_rows(const OctF32Window *window, const OctF32WindowTile *tile,
                         const float *input, const float *zero, size_t mr, size_t first_tap,
                         size_t tap_count, const float **rows) {
    if (tap_count == 0) {
        return;
    }
    if (window->linear) {
        fill_tap(window, tile, input, zero, 0, 0, NULL, rows);
        return;
    }
    int64_t width_taps = tile->joined ? 1 : window->axis[2].taps;
    int64_t x = (int64_t)first_tap % width_taps;
    int64_t lines = (int64_t)first_tap / width_taps;
    int64_t y = lines % window->axis[1].taps;
    int64_t z = lines / window->axis[1].taps;
    bool inside[16];
    bool fresh = !tile->inside;
    for (size_t tap = 0; tap < tap_count; tap++, rows += mr) {
        if (fresh) {
            find_lines(window, tile, z, y, inside);
            fresh = false;
        }
        fill_tap(window, tile, input, zero, tap_offset(window, z, y, x), x * window->axis[2].step,
                 inside, rows);
        if (++x == width_taps) {
            x = 0;
            fresh = !tile->inside;
            if (++y == window->axis[1].taps) {
                y = 0;
                z++;
            }
        }
    }
}
