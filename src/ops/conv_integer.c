/* Convolutions whose zero points (and scales) are operands: ConvInteger, whose sums are the result,
 * and QLinearConv where import could not make grids of its operands. Weights and zero points may
 * change with every run, so packing is a part of it. */
#include "ops/conv_integer.h"
#include "kernels/q8_conv_run.h"
#include "kernels/q8_vector.h"
#include "ops/quantized.h"

#include <math.h>

/* Which inputs hold what; -1 for none. */
typedef struct Places {
    int32_t w, x_zero, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
} Places;

static const Places integer_places = {1, 2, 3, -1, -1, -1, -1, -1};
static const Places linear_places = {3, 2, 5, 1, 4, 6, 7, 8};

typedef struct ConvInteger {
    Places places;
    OctConvGeometry geometry;
    const OctNode *node;
    OctetCpu cpu;
    OctLayout x, y;
    size_t flipped_offset; /* in the workspace: x as u8, if it is s8 */
    bool flips_x, flips_y;
    bool requantizes;
} ConvInteger;

static const OctView *operand(const OctRun *run, int32_t k) {
    return k >= 0 && k < run->input_count && run->inputs[k].data ? &run->inputs[k] : NULL;
}

/* A zero point with what makes u8 of s8 (or s8 of u8) added. */
static int32_t zero_at(const OctView *view, size_t index, int32_t u8_base, int32_t s8_base) {
    if (view->dtype == OCTET_U8) {
        return ((const uint8_t *)view->data)[index] + u8_base;
    }
    return ((const int8_t *)view->data)[index] + s8_base;
}

static void order_weights(const OctView *w, size_t outputs, size_t inputs, size_t taps,
                          int8_t *ordered) {
    const uint8_t *from = w->data;
    uint8_t flip = w->dtype == OCTET_U8 ? 0x80 : 0;
    for (size_t o = 0; o < outputs; o++) {
        for (size_t t = 0; t < taps; t++) {
            for (size_t i = 0; i < inputs; i++) {
                *ordered++ = (int8_t)(from[(o * inputs + i) * taps + t] ^ flip);
            }
        }
    }
}

/* What create copies. */
typedef struct Arrays {
    int8_t *weights;
    int32_t *zeros;
    float *multipliers;
} Arrays;

static OctetStatus set_multipliers(const ConvInteger *conv, const OctRun *run, size_t outputs,
                                   float *multipliers) {
    const OctView *scales = operand(run, conv->places.w_scale);
    float x_scale = *(const float *)run->inputs[conv->places.x_scale].data;
    float y_scale = *(const float *)run->inputs[conv->places.y_scale].data;
    bool per_channel = oct_view_count(scales) > 1;
    for (size_t o = 0; o < outputs; o++) {
        float w_scale = ((const float *)scales->data)[per_channel ? o : 0];
        multipliers[o] = x_scale * w_scale / y_scale;
        if (!(multipliers[o] > 0.0f) || !isfinite(multipliers[o])) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_NUMERIC, conv->node,
                               "its scales are not positive and finite");
        }
    }
    return OCTET_OK;
}

static OctetStatus set_scales(const ConvInteger *conv, const OctRun *run, size_t outputs,
                              const Arrays *arrays, OctQ8ConvParams *params) {
    const OctView *zero = operand(run, conv->places.y_zero);
    const OctView *bias = operand(run, conv->places.bias);
    OCT_TRY(set_multipliers(conv, run, outputs, arrays->multipliers));
    params->multipliers = arrays->multipliers;
    params->bias = bias ? bias->data : NULL;
    params->epilogue = oct_q8_epilogue_u8((uint8_t)zero_at(zero, 0, 0, 128));
    return OCTET_OK;
}

static OctetStatus create(const ConvInteger *conv, const OctRun *run, const Arrays *arrays,
                          OctQ8Conv **kernel) {
    const OctConvGeometry *geometry = &conv->geometry;
    const OctView *w = &run->inputs[conv->places.w];
    const OctView *x_zero = operand(run, conv->places.x_zero);
    const OctView *w_zero = operand(run, conv->places.w_zero);
    size_t outputs = (size_t)geometry->output.channels;
    size_t count = w_zero ? (size_t)oct_view_count(w_zero) : 0;
    OctQ8ConvParams params = oct_q8_conv_params((size_t)geometry->input.channels, outputs);
    oct_conv_q8_window(geometry, &params);
    params.input_zero_point = conv->flips_x ? 128 : 0;
    if (x_zero) {
        params.input_zero_point = (uint8_t)zero_at(x_zero, 0, 0, 128);
    }
    for (size_t o = 0; o < outputs; o++) {
        arrays->zeros[o] = count                  ? zero_at(w_zero, count == 1 ? 0 : o, -128, 0)
                           : w->dtype == OCTET_U8 ? -128
                                                  : 0;
    }
    order_weights(w, outputs, params.in_channels / params.groups, params.kernel_h * params.kernel_w,
                  arrays->weights);
    params.weights = arrays->weights;
    params.weight_zero_points = arrays->zeros;
    params.weight_zero_point_count = outputs;
    params.epilogue.kind = OCT_Q8_OUT_S32;
    if (conv->requantizes) {
        OCT_TRY(set_scales(conv, run, outputs, arrays, &params));
    }
    return oct_fail_in_node(run->diagnostic,
                            oct_q8_conv_create(&params, conv->cpu, kernel, run->diagnostic),
                            conv->node->name);
}

static OctetStatus run_kernel(const ConvInteger *conv, const OctQ8Conv *kernel, const OctRun *run) {
    const OctConvGeometry *geometry = &conv->geometry;
    const OctQ8VectorOps *vector = oct_q8_vector_ops(conv->cpu);
    bool two = geometry->window.rank == 2;
    OctQ8ConvSetup setup;
    OCT_TRY(oct_q8_conv_setup(
        kernel, (size_t)geometry->input.batch, two ? (size_t)geometry->input.spatial[0] : 1,
        (size_t)geometry->input.spatial[two ? 1 : 0], 0, 0, 0, &setup, run->diagnostic));
    void *workspace = oct_aligned_alloc(setup.workspace_bytes);
    if (!workspace) {
        return oct_fail_memory(run->diagnostic);
    }
    const uint8_t *x = oct_layout_read(&conv->x, run, run->inputs[0].data);
    if (conv->flips_x) {
        uint8_t *to = oct_workspace_at(run, conv->flipped_offset);
        vector->flip(x, to, conv->x.batch * conv->x.area * conv->x.channels);
        x = to;
    }
    void *y = oct_layout_target(&conv->y, run, run->outputs[0].data);
    oct_q8_conv_run(kernel, &setup, x, y, NULL, workspace, run->pool);
    if (conv->flips_y) {
        vector->flip(y, y, conv->y.batch * conv->y.area * conv->y.channels);
    }
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    oct_aligned_free(workspace);
    return OCTET_OK;
}

/* ---- three axes ---- */

/* Signed outputs are requantized as unsigned ones and flipped. */
static void requantize(const ConvInteger *conv, const OctRun *run, const float *multipliers,
                       const int32_t *sums) {
    const OctView *zero = operand(run, conv->places.y_zero);
    uint8_t y_zero = (uint8_t)zero_at(zero, 0, 0, 128);
    uint8_t flip = conv->flips_y ? 0x80 : 0;
    uint8_t *y = run->outputs[0].data;
    int64_t area = oct_image_shape_area(&conv->geometry.output);
    int64_t rows = conv->geometry.output.batch * conv->geometry.output.channels;
    for (int64_t r = 0; r < rows; r++) {
        float multiplier = multipliers[r % conv->geometry.output.channels];
        for (int64_t i = r * area; i < (r + 1) * area; i++) {
            y[i] = (uint8_t)(oct_q8_requantize(sums[i], multiplier, y_zero, 0, 255) ^ flip);
        }
    }
}

static OctetStatus run_direct(void *state, const OctRun *run) {
    const ConvInteger *conv = state;
    const OctView *w = &run->inputs[conv->places.w];
    const OctView *x_zero = operand(run, conv->places.x_zero);
    const OctView *w_zero = operand(run, conv->places.w_zero);
    const OctView *bias = operand(run, conv->places.bias);
    size_t outputs = (size_t)conv->geometry.output.channels;
    size_t count = (size_t)oct_view_count(&run->outputs[0]);
    Arrays arrays = {.zeros = oct_calloc(outputs, sizeof(int32_t)),
                     .multipliers = oct_calloc(outputs, sizeof(float))};
    int32_t *sums = conv->requantizes ? oct_calloc(count, sizeof *sums) : run->outputs[0].data;
    OctetStatus status =
        arrays.zeros && arrays.multipliers && sums ? OCTET_OK : oct_fail_memory(run->diagnostic);
    if (status == OCTET_OK && conv->requantizes) {
        status = set_multipliers(conv, run, outputs, arrays.multipliers);
    }
    for (size_t o = 0; status == OCTET_OK && w_zero && o < outputs; o++) {
        arrays.zeros[o] = zero_at(w_zero, oct_view_count(w_zero) == 1 ? 0 : o, 0, 0);
    }
    if (status == OCTET_OK) {
        const OctDirectConv direct = {.geometry = &conv->geometry,
                                      .x = run->inputs[0].data,
                                      .w = w->data,
                                      .x_signed = conv->flips_x,
                                      .w_signed = w->dtype == OCTET_S8,
                                      .x_zero = x_zero ? zero_at(x_zero, 0, 0, 0) : 0,
                                      .w_zeros = arrays.zeros,
                                      .bias = bias ? bias->data : NULL,
                                      .sums = sums};
        oct_conv_integer_direct(&direct, run->pool);
    }
    if (status == OCTET_OK && conv->requantizes) {
        requantize(conv, run, arrays.multipliers, sums);
    }
    oct_free(conv->requantizes ? sums : NULL);
    oct_free(arrays.zeros);
    oct_free(arrays.multipliers);
    return status;
}

static OctetStatus run_conv(void *state, const OctRun *run) {
    const ConvInteger *conv = state;
    OctQ8Conv *kernel = NULL;
    if (conv->y.batch * conv->y.area == 0) {
        return OCTET_OK;
    }
    Arrays arrays = {.weights = oct_alloc((size_t)oct_view_count(&run->inputs[conv->places.w])),
                     .zeros = oct_calloc(conv->y.channels, sizeof(int32_t)),
                     .multipliers = oct_calloc(conv->y.channels, sizeof(float))};
    bool made = arrays.weights && arrays.zeros && arrays.multipliers;
    OctetStatus status =
        made ? create(conv, run, &arrays, &kernel) : oct_fail_memory(run->diagnostic);
    oct_free(arrays.weights);
    oct_free(arrays.zeros);
    oct_free(arrays.multipliers);
    if (status == OCTET_OK) {
        status = run_kernel(conv, kernel, run);
    }
    oct_q8_conv_free(kernel);
    return status;
}

/* ---- preparation ---- */

static bool is_byte(const OctValue *value) {
    return !oct_value_quantized(value) && (value->dtype == OCTET_U8 || value->dtype == OCTET_S8);
}

/* An operand of one number or of `most`, of bytes or of another type. */
static OctetStatus check_operand(const OctPrepare *prepare, int32_t k, int64_t most,
                                 OctetDType dtype) {
    const OctValue *value = k >= 0 ? oct_node_input(prepare->node, k) : NULL;
    int64_t count;
    if (!value) {
        return OCTET_OK;
    }
    bool typed = dtype == OCTET_U8 ? is_byte(value) : oct_value_storage(value) == dtype;
    if (!typed || !octet_shape_count(&value->shape, &count) || (count != 1 && count != most)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "input %d has a type or a shape that is not supported", (int)k);
    }
    return OCTET_OK;
}

static OctetStatus check_operands(const OctPrepare *prepare, const ConvInteger *conv) {
    const OctNode *node = prepare->node;
    const Places *places = &conv->places;
    int64_t outputs = conv->geometry.output.channels;
    if (!is_byte(node->inputs[0]) || !is_byte(node->inputs[places->w])) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is supported on u8 and s8");
    }
    OCT_TRY(check_operand(prepare, places->x_zero, 1, OCTET_U8));
    OCT_TRY(check_operand(prepare, places->w_zero, outputs, OCTET_U8));
    OCT_TRY(check_operand(prepare, places->y_zero, 1, OCTET_U8));
    OCT_TRY(check_operand(prepare, places->x_scale, 1, OCTET_F32));
    OCT_TRY(check_operand(prepare, places->w_scale, outputs, OCTET_F32));
    OCT_TRY(check_operand(prepare, places->y_scale, 1, OCTET_F32));
    const OctValue *bias = places->bias >= 0 ? oct_node_input(node, places->bias) : NULL;
    if (bias && (bias->dtype != OCTET_S32 || oct_value_quantized(bias) || bias->shape.rank != 1 ||
                 bias->shape.dims[0] != outputs)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "its bias is not one s32 an output channel");
    }
    return OCTET_OK;
}

static OctetStatus prepare_places(const OctPrepare *prepare, OctPreparedOp *prepared,
                                  const Places *places) {
    const OctNode *node = prepare->node;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    OctetShape y;
    bool complete;
    ConvInteger *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->kernel = "q8_conv";
    prepared->cpu = conv->cpu = prepare->cpu;
    conv->node = node;
    conv->places = *places;
    conv->requantizes = places->y_scale >= 0;
    OCT_TRY(oct_conv_shape(node, false, &node->inputs[0]->shape, &node->inputs[places->w]->shape,
                           &y, &conv->geometry, &complete, diagnostic));
    if (!complete) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its shapes are not known");
    }
    OCT_TRY(check_operands(prepare, conv));
    prepared->macs = oct_conv_macs(&conv->geometry);
    conv->flips_x = node->inputs[0]->dtype == OCTET_S8;
    conv->flips_y = conv->requantizes && node->outputs[0]->dtype == OCTET_S8;
    if (conv->geometry.window.rank > 2) {
        prepared->run = run_direct;
        prepared->kernel = "direct integer convolution";
        prepared->cpu = OCTET_CPU_PORTABLE;
        return OCTET_OK;
    }
    size_t *workspace = &prepared->workspace_bytes;
    OCT_TRY(oct_layout_prepare(&conv->x, &conv->geometry.input, false, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &conv->geometry.output, false,
                               conv->requantizes ? 1 : sizeof(int32_t), workspace, diagnostic));
    size_t flipped = conv->flips_x ? conv->x.batch * conv->x.area * conv->x.channels : 0;
    return oct_workspace_add(workspace, flipped, &conv->flipped_offset, diagnostic);
}

static OctetStatus prepare_integer(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_places(prepare, prepared, &integer_places);
}

static OctetStatus prepare_linear(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_places(prepare, prepared, &linear_places);
}

static OctetStatus check(const OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_INTEGER, diagnostic));
    return oct_window_check(node, diagnostic);
}

static OctetStatus infer(OctNode *node, int32_t w, OctetDType dtype, OctetDiagnostic *diagnostic) {
    OctetShape y;
    bool complete;
    OCT_TRY(oct_conv_shape(node, false, oct_input_shape(node, 0), oct_input_shape(node, w), &y,
                           NULL, &complete, diagnostic));
    oct_set_output(node, 0, dtype, &y);
    return OCTET_OK;
}

static OctetStatus infer_integer(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    return infer(node, integer_places.w, OCTET_S32, diagnostic);
}

static OctetStatus infer_linear(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    return infer(node, linear_places.w, oct_input_dtype(node, linear_places.y_zero), diagnostic);
}

const OctOp oct_ops_conv_integer[] = {
    {"", "ConvInteger", 10, 0, 0, 2, 4, 1, 1, check, infer_integer, prepare_integer},
    {"", "QLinearConv", 10, 0, 0, 8, 9, 1, 1, check, infer_linear, prepare_linear},
};
OCT_OPS_COUNT(conv_integer);
