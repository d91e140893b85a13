/* Float pools: binds a node to the kernels of kernels/f32_pool.h. */
#include "kernels/f32_pool.h"
#include "kernels/f32_vector.h"
#include "ops/fused_activation.h"
#include "ops/pool.h"

#include <math.h>

typedef struct PoolF32 {
    OctF32Pool pool;
    OctetCpu cpu;
    bool global_average;
    OctLayout x, y;
    bool clamps;
    float minimum, maximum;
} PoolF32;

static OctetStatus run_pool(void *state, const OctRun *run) {
    const PoolF32 *pool = state;
    size_t count = pool->y.batch * pool->y.channels * pool->y.area;
    if (count == 0) {
        return OCTET_OK;
    }
    const float *x = oct_layout_read(&pool->x, run, run->inputs[0].data);
    float *y = oct_layout_target(&pool->y, run, run->outputs[0].data);
    if (pool->global_average) {
        oct_f32_global_average(pool->x.batch, pool->x.area, pool->x.channels, pool->cpu, x, y,
                               run->pool);
    } else {
        oct_f32_pool_run(&pool->pool, pool->cpu, x, y, run->pool);
    }
    if (pool->clamps) {
        oct_f32_vector_select(pool->cpu)->clamp(y, y, count, pool->minimum, pool->maximum);
    }
    oct_layout_finish(&pool->y, run, run->outputs[0].data);
    return OCTET_OK;
}

static OctF32Pool kernel_pool(const OctPool *pool) {
    OctF32Pool kernel = {.kind = pool->kind == OCT_POOL_MAX ? OCT_F32_POOL_MAX
                                 : pool->count_include_pad  ? OCT_F32_POOL_AVERAGE_WITH_PADS
                                                            : OCT_F32_POOL_AVERAGE,
                         .batch = (size_t)pool->input.batch,
                         .channels = (size_t)pool->input.channels,
                         .input = {1, 1, 1},
                         .output = {1, 1, 1},
                         .kernel = {1, 1, 1},
                         .stride = {1, 1, 1},
                         .dilation = {1, 1, 1}};
    if (pool->global) { /* the axes as one */
        kernel.input[2] = kernel.kernel[2] = (size_t)oct_image_shape_area(&pool->input);
        return kernel;
    }
    for (int32_t i = 0, axis = 3 - pool->window.rank; axis < 3; i++, axis++) {
        kernel.input[axis] = (size_t)pool->input.spatial[i];
        kernel.output[axis] = (size_t)pool->output.spatial[i];
        kernel.kernel[axis] = (size_t)pool->window.kernel[i];
        kernel.stride[axis] = (size_t)pool->window.stride[i];
        kernel.dilation[axis] = (size_t)pool->window.dilation[i];
        kernel.pad_begin[axis] = pool->window.pad_begin[i];
        kernel.pad_end[axis] = pool->window.pad_end[i];
    }
    return kernel;
}

OctetStatus oct_pool_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctPool pool;
    OCT_TRY(oct_pool_of(prepare->node, &pool, prepare->diagnostic));
    PoolF32 *state = oct_prepare_state(prepare, prepared, sizeof *state);
    if (!state) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_pool;
    prepared->kernel = "f32_pool";
    prepared->cpu = prepare->cpu;
    state->cpu = prepare->cpu;
    state->pool = kernel_pool(&pool);
    state->global_average = pool.global && pool.kind == OCT_POOL_AVERAGE;
    oct_activation_bounds(&prepare->node->activation, &state->minimum, &state->maximum);
    state->clamps = prepare->node->activation.kind != OCT_ACTIVATION_NONE;
    OCT_TRY(oct_layout_prepare(&state->x, &pool.input, pool.channels_last, sizeof(float),
                               &prepared->workspace_bytes, prepare->diagnostic));
    return oct_layout_prepare(&state->y, &pool.output, pool.channels_last, sizeof(float),
                              &prepared->workspace_bytes, prepare->diagnostic);
}
