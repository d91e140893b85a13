/* Pools element by element: max pools that give indices or run on plain integers, and Lp pools. */
#include "base/patience.h"
#include "kernels/f32_gemm.h"
#include "kernels/vmath.h"
#include "ops/fused_activation.h"
#include "ops/pool.h"

#include <math.h>

typedef struct GenericPool {
    OctPool pool;
    OctetCpu cpu;
    int64_t input_area, output_area;
    int64_t index_strides[OCT_IMAGE_MAX]; /* of the indices that a max pool gives */
    size_t pixel_stride;                  /* of both tensors, in elements */
    float minimum, maximum;               /* of the fused activation */
} GenericPool;

/* One (batch, channel) plane. */
typedef struct Plane {
    const GenericPool *pool;
    const OctRun *run;
    size_t input, output; /* of its first element */
    int64_t index_base;
} Plane;

static float read_f32(const Plane *plane, int64_t pixel) {
    size_t at = plane->input + (size_t)pixel * plane->pool->pixel_stride;
    const OctView *x = &plane->run->inputs[0];
    switch (x->dtype) {
    case OCTET_U8:
        return ((const uint8_t *)x->data)[at];
    case OCTET_S8:
        return ((const int8_t *)x->data)[at];
    default:
        return ((const float *)x->data)[at];
    }
}

static void write_f32(const Plane *plane, int64_t pixel, float value) {
    size_t at = plane->output + (size_t)pixel * plane->pool->pixel_stride;
    const OctView *y = &plane->run->outputs[0];
    switch (y->dtype) {
    case OCTET_U8:
        ((uint8_t *)y->data)[at] = (uint8_t)value;
        break;
    case OCTET_S8:
        ((int8_t *)y->data)[at] = (int8_t)value;
        break;
    default:
        ((float *)y->data)[at] = oct_f32_clamp(value, plane->pool->minimum, plane->pool->maximum);
    }
}

/* What the taps of a window, visited in row-major order, add up to. */
typedef struct Visit {
    float value; /* maximum so far, or the sum of powers */
    int64_t index;
    bool any;
} Visit;

static float power_of(const GenericPool *pool, float value) {
    float p = (float)pool->pool.p, result;
    value = fabsf(value);
    if (pool->pool.p == 1) {
        return value;
    }
    if (pool->pool.p == 2) {
        return value * value;
    }
    oct_vmath_select(pool->cpu)->pow(&value, &p, &result, 1);
    return result;
}

static float root_of(const GenericPool *pool, float value) {
    float inverse = 1.0f / (float)pool->pool.p, result;
    if (pool->pool.p == 1) {
        return value;
    }
    if (pool->pool.p == 2) {
        return sqrtf(value);
    }
    oct_vmath_select(pool->cpu)->pow(&value, &inverse, &result, 1);
    return result;
}

static void visit_tap(const Plane *plane, const int64_t *position, Visit *visit) {
    const GenericPool *pool = plane->pool;
    int64_t pixel = 0, index = 0;
    for (int32_t i = 0; i < pool->pool.input.rank; i++) {
        pixel = pixel * pool->pool.input.spatial[i] + position[i];
        index += position[i] * pool->index_strides[i];
    }
    float value = read_f32(plane, pixel);
    if (pool->pool.kind == OCT_POOL_LP) {
        visit->value += power_of(pool, value);
    } else if (!visit->any || value > visit->value || (isnan(value) && !isnan(visit->value))) {
        visit->value = value;
        visit->index = index;
    }
    visit->any = true;
}

static void pool_output(const Plane *plane, int64_t pixel, size_t *stint) {
    const GenericPool *pool = plane->pool;
    int32_t rank = pool->pool.input.rank;
    OctTaps taps[OCT_IMAGE_MAX];
    int64_t tap[OCT_IMAGE_MAX] = {0}, position[OCT_IMAGE_MAX];
    int64_t rest = pixel, total = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        taps[i] = oct_pool_taps(&pool->pool, i, rest % pool->pool.output.spatial[i]);
        rest /= pool->pool.output.spatial[i];
        total *= taps[i].count;
    }
    Visit visit = {.index = -1};
    for (int64_t t = 0; t < total && !oct_is_over_after(stint, 20); t++) {
        for (int32_t i = 0; i < rank; i++) {
            int64_t step = pool->pool.global ? 1 : pool->pool.window.dilation[i];
            position[i] = taps[i].first + tap[i] * step;
        }
        visit_tap(plane, position, &visit);
        for (int32_t i = rank - 1; i >= 0 && ++tap[i] == taps[i].count; i--) {
            tap[i] = 0;
        }
    }
    bool lp = pool->pool.kind == OCT_POOL_LP;
    if (!visit.any && !lp) {
        visit.value = plane->run->outputs[0].dtype == OCTET_F32 ? -INFINITY : 0.0f;
    }
    write_f32(plane, pixel, lp ? root_of(pool, visit.value) : visit.value);
    if (plane->run->output_count > 1 && plane->run->outputs[1].data) {
        size_t at = plane->output + (size_t)pixel * pool->pixel_stride;
        ((int64_t *)plane->run->outputs[1].data)[at] =
            visit.index < 0 ? -1 : plane->index_base + visit.index;
    }
}

typedef struct Work {
    const GenericPool *pool;
    const OctRun *run;
} Work;

static void pool_plane(void *user, size_t index) {
    const Work *work = user;
    const GenericPool *pool = work->pool;
    size_t channels = (size_t)pool->pool.input.channels;
    size_t batch = index / channels, channel = index % channels;
    Plane plane = {pool, work->run,
                   batch * channels * (size_t)pool->input_area +
                       channel * (pool->pool.channels_last ? 1 : (size_t)pool->input_area),
                   batch * channels * (size_t)pool->output_area +
                       channel * (pool->pool.channels_last ? 1 : (size_t)pool->output_area),
                   (int64_t)index * pool->input_area};
    size_t stint = 0;
    for (int64_t pixel = 0; pixel < pool->output_area && !oct_is_over_after(&stint, 20); pixel++) {
        pool_output(&plane, pixel, &stint);
    }
}

static OctetStatus run_pool(void *state, const OctRun *run) {
    Work work = {state, run};
    size_t planes = (size_t)(work.pool->pool.input.batch * work.pool->pool.input.channels);
    oct_parallel_for(run->pool, pool_plane, &work, planes);
    return OCTET_OK;
}

OctetStatus oct_pool_prepare_generic(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDType dtype = node->inputs[0]->dtype;
    if (dtype != OCTET_F32 && dtype != OCTET_U8 && dtype != OCTET_S8) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is not supported on %s", octet_dtype_name(dtype));
    }
    GenericPool *state = oct_prepare_state(prepare, prepared, sizeof *state);
    if (!state) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_pool;
    prepared->kernel = "pool";
    state->cpu = prepare->cpu;
    OCT_TRY(oct_pool_of(node, &state->pool, prepare->diagnostic));
    oct_activation_bounds(&node->activation, &state->minimum, &state->maximum);
    const OctPool *pool = &state->pool;
    state->input_area = oct_image_shape_area(&pool->input);
    state->output_area = oct_image_shape_area(&pool->output);
    state->pixel_stride = pool->channels_last ? (size_t)pool->input.channels : 1;
    int64_t stride = 1;
    for (int32_t i = 0; i < pool->input.rank; i++) {
        int32_t axis = pool->column_major ? i : pool->input.rank - 1 - i;
        state->index_strides[axis] = stride;
        stride *= pool->input.spatial[axis];
    }
    return OCTET_OK;
}
