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

static bool width_taps_inside(const OctF32WindowAxis *width, const int64_t *start, size_t count) {
    int64_t last = width->input - width->taps;
    for (size_t pixel = 0; pixel < count; pixel++) {
        if (start[pixel] < 0 || start[pixel] > last) {
            return false;
        }
    }
    return true;
}

void oct_f32_window_tile(const OctF32Window *window, size_t first, size_t count, bool may_join,
                         OctF32WindowTile *tile, size_t *offsets) {
    tile->count = count;
    if (window->linear) {
        tile->start[0][0] = (int64_t)first;
        tile->joined = false;
        tile->taps = 1;
        for (size_t pixel = 0; pixel < count; pixel++) {
            offsets[pixel] = (first + pixel) * window->output_pixel;
        }
        return;
    }
    const OctF32WindowAxis *depth = &window->axis[0];
    const OctF32WindowAxis *height = &window->axis[1];
    const OctF32WindowAxis *width = &window->axis[2];
    int64_t x = (int64_t)first % width->count;
    int64_t rest = (int64_t)first / width->count;
    int64_t y = rest % height->count;
    int64_t z = rest / height->count;
    for (size_t pixel = 0; pixel < count; pixel++) {
        tile->start[0][pixel] = z * depth->stride + depth->origin;
        tile->start[1][pixel] = y * height->stride + height->origin;
        tile->start[2][pixel] = x * width->stride + width->origin;
        int64_t row = (z * depth->output_step + depth->output_origin) * height->output +
                      y * height->output_step + height->output_origin;
        int64_t at = row * width->output + x * width->output_step + width->output_origin;
        offsets[pixel] = (size_t)at * window->output_pixel;
        if (++x == width->count) {
            x = 0;
            if (++y == height->count) {
                y = 0;
                z++;
            }
        }
    }
    tile->joined = may_join && width->step == 1 && window->input_pixel == window->channels &&
                   width_taps_inside(width, tile->start[2], count);
    tile->taps = (size_t)(depth->taps * height->taps * (tile->joined ? 1 : width->taps));
}

/* The input's row of pixels that each pixel's tap (z, y) lies in; NULL outside. */
static void find_lines(const OctF32Window *window, const OctF32WindowTile *tile, const float *input,
                       int64_t tap_z, int64_t tap_y, const float **lines) {
    const OctF32WindowAxis *depth = &window->axis[0];
    const OctF32WindowAxis *height = &window->axis[1];
    int64_t line_floats = window->axis[2].input * (int64_t)window->input_pixel;
    for (size_t pixel = 0; pixel < tile->count; pixel++) {
        int64_t z = tile->start[0][pixel] + tap_z * depth->step;
        int64_t y = tile->start[1][pixel] + tap_y * height->step;
        bool inside = (uint64_t)z < (uint64_t)depth->input && (uint64_t)y < (uint64_t)height->input;
        lines[pixel] = inside ? input + (z * height->input + y) * line_floats : NULL;
    }
}

void oct_f32_window_rows(const OctF32Window *window, const OctF32WindowTile *tile,
                         const float *input, const float *zero, size_t mr, size_t first_tap,
                         size_t tap_count, const float **rows) {
    if (window->linear) {
        const float *row = input + (size_t)tile->start[0][0] * window->input_pixel;
        for (size_t pixel = 0; pixel < tile->count; pixel++, row += window->input_pixel) {
            rows[pixel] = row;
        }
        return;
    }
    if (tap_count == 0) {
        return;
    }
    const OctF32WindowAxis *width = &window->axis[2];
    int64_t width_taps = tile->joined ? 1 : width->taps;
    int64_t pixel_floats = (int64_t)window->input_pixel;
    int64_t tap_x = (int64_t)first_tap % width_taps;
    int64_t rest = (int64_t)first_tap / width_taps;
    int64_t tap_y = rest % window->axis[1].taps;
    int64_t tap_z = rest / window->axis[1].taps;
    const float *lines[16];
    bool fresh = true;
    for (size_t tap = 0; tap < tap_count; tap++, rows += mr) {
        if (fresh) {
            find_lines(window, tile, input, tap_z, tap_y, lines);
            fresh = false;
        }
        int64_t shift = tap_x * width->step;
        for (size_t pixel = 0; pixel < tile->count; pixel++) {
            int64_t x = tile->start[2][pixel] + shift;
            bool inside = lines[pixel] && (uint64_t)x < (uint64_t)width->input;
            rows[pixel] = inside ? lines[pixel] + x * pixel_floats : zero;
        }
        if (++tap_x == width_taps) {
            tap_x = 0;
            fresh = true;
            if (++tap_y == window->axis[1].taps) {
                tap_y = 0;
                tap_z++;
            }
        }
    }
}
