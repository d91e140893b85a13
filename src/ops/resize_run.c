/* The passes of Resize over a tensor. */
#include "base/patience.h"
#include "kernels/q8_vector.h"
#include "ops/resize.h"

#include <math.h>
#include <string.h>

/* Elements between the dimensions `from` and `to`. */
static size_t span(const OctetShape *shape, int32_t from, int32_t to) {
    size_t count = 1;
    for (int32_t i = from; i < to; i++) {
        count *= (size_t)shape->dims[i];
    }
    return count;
}

/* ---- linear and cubic ---- */

typedef struct Pass {
    const OctResizeAxis *axis;
    size_t inner;
    const float *x;
    float *y;
} Pass;

static void interpolate_row(void *user, size_t row) {
    const Pass *pass = user;
    const OctResizeAxis *axis = pass->axis;
    size_t out = (size_t)axis->out, inner = pass->inner, taps = (size_t)axis->taps;
    size_t outer = row / out, at = row % out;
    const float *x = pass->x + outer * (size_t)axis->in * inner;
    float *y = pass->y + row * inner;
    const int64_t *index = axis->index + at * taps;
    const float *weights = axis->weights + at * taps;
    for (size_t t = 0; t < taps; t++) {
        const float *from = x + (size_t)index[t] * inner;
        float weight = weights[t];
        if (t == 0) {
            for (size_t i = 0; i < inner; i++) {
                y[i] = weight * from[i];
            }
        } else if (weight != 0.0f) {
            for (size_t i = 0; i < inner; i++) {
                y[i] += weight * from[i];
            }
        }
    }
}

/* The same where rows are single elements: all outputs of one line. */
static void interpolate_line(void *user, size_t outer) {
    const Pass *pass = user;
    const OctResizeAxis *axis = pass->axis;
    size_t taps = (size_t)axis->taps;
    const float *x = pass->x + outer * (size_t)axis->in;
    float *y = pass->y + outer * (size_t)axis->out;
    size_t stint = 0;
    for (size_t i = 0; i < (size_t)axis->out && !oct_is_over_after(&stint, taps); i++) {
        const int64_t *index = axis->index + i * taps;
        const float *weights = axis->weights + i * taps;
        float sum = weights[0] * x[index[0]];
        for (size_t t = 1; t < taps; t++) {
            if (weights[t] != 0.0f) {
                sum += weights[t] * x[index[t]];
            }
        }
        y[i] = sum;
    }
}

/* The largest tensor that lies between two passes, and the steps' own input and output copies. */
static bool largest(const OctResizePlan *plan, size_t *floats) {
    OctetShape shape = plan->input;
    int64_t count, most = 0;
    for (int32_t i = 0; i <= shape.rank; i++) {
        if (!octet_shape_count(&shape, &count)) {
            return false;
        }
        most = count > most ? count : most;
        if (i < shape.rank) {
            shape.dims[i] = plan->output.dims[i];
        }
    }
    *floats = (size_t)most;
    return true;
}

bool oct_resize_workspace(const OctResizePlan *plan, size_t *bytes) {
    size_t floats;
    *bytes = 0;
    if (plan->rules.mode == OCT_RESIZE_NEAREST || oct_resize_is_empty(&plan->output)) {
        return true;
    }
    return largest(plan, &floats) && oct_mul_size(floats + 16, 2 * sizeof(float), bytes);
}

/* Calls fill for every element that lies outside along some axis. */
static void extrapolate(const OctResizePlan *plan, size_t size, const void *fill, void *output) {
    int32_t rank = plan->output.rank;
    int64_t position[OCTET_MAX_RANK] = {0};
    size_t count = span(&plan->output, 0, rank);
    for (size_t at = 0; at < count; at++) {
        bool outside = false;
        for (int32_t i = 0; i < rank; i++) {
            outside = outside || (plan->axes[i].outside && plan->axes[i].outside[position[i]]);
        }
        if (outside) {
            memcpy((char *)output + at * size, fill, size);
        }
        for (int32_t i = rank - 1; i >= 0 && ++position[i] == plan->output.dims[i]; i--) {
            position[i] = 0;
        }
    }
}

void oct_resize_interpolate(const OctResizePlan *plan, const OctElement *x, const OctElement *y,
                            OctetCpu cpu, const void *input, void *output, void *workspace,
                            OctetThreadPool *pool) {
    const OctQ8VectorOps *vector = oct_q8_vector_ops(cpu);
    /* On one grid the integers themselves are mixed, which is exact where weights are. */
    bool same =
        x->quantized && y->quantized && x->scale == y->scale && x->zero_point == y->zero_point;
    float x_scale = same ? 1.0f : x->scale, y_scale = same ? 1.0f : y->scale;
    uint8_t x_zero = same ? 0 : x->zero_point, y_zero = same ? 0 : y->zero_point;
    size_t floats = 0, count = span(&plan->output, 0, plan->output.rank);
    largest(plan, &floats);
    float *spare[2] = {workspace, (float *)workspace + (floats + 15) / 16 * 16};
    const float *current = input;
    int next = 0;
    if (x->quantized) {
        vector->dequantize(input, x_scale, x_zero, spare[0],
                           span(&plan->input, 0, plan->input.rank));
        current = spare[0];
        next = 1;
    }
    OctetShape shape = plan->input;
    int32_t last = shape.rank - 1;
    while (last >= 0 && plan->axes[last].identity) {
        last--;
    }
    for (int32_t i = 0; i <= last; i++) {
        const OctResizeAxis *axis = &plan->axes[i];
        if (axis->identity) {
            continue;
        }
        shape.dims[i] = axis->out;
        float *to = i == last && !y->quantized ? output : spare[next];
        Pass pass = {axis, span(&shape, i + 1, shape.rank), current, to};
        size_t outer = span(&shape, 0, i);
        if (pass.inner == 1) {
            oct_parallel_for(pool, interpolate_line, &pass, outer);
        } else {
            oct_parallel_for(pool, interpolate_row, &pass, outer * (size_t)axis->out);
        }
        current = pass.y;
        next = 1 - next;
    }
    bool crops = plan->rules.coordinates == OCT_RESIZE_TF_CROP_AND_RESIZE;
    if (y->quantized) {
        vector->quantize(current, y_scale, y_zero, output, count);
        if (crops) {
            uint8_t fill;
            vector->quantize(&plan->rules.extrapolation, y->scale, y->zero_point, &fill, 1);
            extrapolate(plan, 1, &fill, output);
        }
        return;
    }
    if (current != output) {
        memcpy(output, current, count * sizeof(float));
    }
    if (crops) {
        extrapolate(plan, sizeof(float), &plan->rules.extrapolation, output);
    }
}

/* ---- nearest ---- */

typedef struct Nearest {
    const OctResizePlan *plan;
    size_t size, inner; /* bytes an element; elements behind the last axis that changes */
    int32_t last;       /* that axis */
    const char *x;
    char *y;
} Nearest;

static void gather(size_t size, size_t count, const int64_t *index, const char *x, char *y) {
    switch (size) {
    case 1:
        for (size_t i = 0; i < count; i++) {
            y[i] = x[index[i]];
        }
        break;
    case 4:
        for (size_t i = 0; i < count; i++) {
            ((uint32_t *)(void *)y)[i] = ((const uint32_t *)(const void *)x)[index[i]];
        }
        break;
    default:
        for (size_t i = 0; i < count; i++) {
            memcpy(y + i * size, x + (size_t)index[i] * size, size);
        }
    }
}

/* One line along the last axis that changes. */
static void nearest_line(void *user, size_t line) {
    const Nearest *work = user;
    const OctResizePlan *plan = work->plan;
    const OctResizeAxis *axis = &plan->axes[work->last];
    size_t from = 0, stride = 1, rest = line, out = (size_t)axis->out;
    for (int32_t i = work->last - 1; i >= 0; i--) {
        size_t at = rest % (size_t)plan->output.dims[i];
        rest /= (size_t)plan->output.dims[i];
        at = plan->axes[i].identity ? at : (size_t)plan->axes[i].index[at];
        from += at * stride;
        stride *= (size_t)plan->input.dims[i];
    }
    size_t bytes = work->inner * work->size;
    const char *x = work->x + from * (size_t)axis->in * bytes;
    char *y = work->y + line * out * bytes;
    if (axis->identity) {
        memcpy(y, x, out * bytes);
    } else if (work->inner == 1) {
        gather(work->size, out, axis->index, x, y);
    } else {
        for (size_t i = 0; i < out; i++) {
            memcpy(y + i * bytes, x + (size_t)axis->index[i] * bytes, bytes);
        }
    }
}

void oct_resize_nearest(const OctResizePlan *plan, size_t element_size, const void *fill,
                        const void *input, void *output, OctetThreadPool *pool) {
    int32_t rank = plan->output.rank, last = rank - 1;
    while (last > 0 && plan->axes[last].identity) {
        last--;
    }
    Nearest work = {plan, element_size, span(&plan->output, last + 1, rank), last, input, output};
    oct_parallel_for(pool, nearest_line, &work, span(&plan->output, 0, last));
    if (plan->rules.coordinates == OCT_RESIZE_TF_CROP_AND_RESIZE) {
        extrapolate(plan, element_size, fill, output);
    }
}
