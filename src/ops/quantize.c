/* QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear as operators of their own, where
 * import could not make them a property of a tensor. */
#include "ops/quantize.h"
#include "base/float8.h"
#include "kernels/f32_rows.h"
#include "ops/layout.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- the ONNX operators ---- */

typedef struct Linear {
    OctGrid grid;
    OctetCpu cpu;
    bool quantizes;
    size_t zero_offset, real_offset; /* in the workspace: zero points as s32, x as f32 */
} Linear;

/* ONNX defines 8-bit floats with zero points of 0 only. Others pass. */
static bool zero_points_fit(OctetDType dtype, const void *data, int64_t count) {
    bool fit = true;
    for (int64_t i = 0; fit && oct_dtype_is_float8(dtype) && i < count; i++) {
        fit = oct_float8_decode(dtype, ((const uint8_t *)data)[i]) == 0;
    }
    return fit;
}

static const char no_zero[] = "has a zero point that is not 0, which 8-bit floats can't have";

static OctetStatus run_linear(void *state, const OctRun *run) {
    const Linear *linear = state;
    const float *scale = run->inputs[1].data;
    int32_t *zero_point = NULL;
    int64_t parameters = (int64_t)linear->grid.parameter_count;
    if (run->input_count > 2 && run->inputs[2].data) {
        zero_point = oct_workspace_at(run, linear->zero_offset);
        if (!zero_points_fit(run->inputs[2].dtype, run->inputs[2].data, parameters)) {
            return oct_fail(run->diagnostic, OCTET_ERROR_UNSUPPORTED, no_zero);
        }
        OCT_TRY(oct_convert(OCTET_S32, zero_point, run->inputs[2].dtype, run->inputs[2].data,
                            parameters, run->diagnostic));
    }
    for (int64_t i = 0; i < parameters; i++) {
        if (!isfinite(scale[i]) || scale[i] == 0.0f) {
            return oct_fail(run->diagnostic, OCTET_ERROR_NUMERIC, "a scale of %g",
                            (double)scale[i]);
        }
    }
    if (!linear->quantizes) {
        oct_grid_dequantize(&linear->grid, linear->cpu, scale, zero_point, run->inputs[0].data,
                            run->outputs[0].data, run->pool);
        return OCTET_OK;
    }
    const float *x = run->inputs[0].data;
    if (run->inputs[0].dtype != OCTET_F32) {
        float *copy = oct_workspace_at(run, linear->real_offset);
        OCT_TRY(oct_convert(OCTET_F32, copy, run->inputs[0].dtype, run->inputs[0].data,
                            oct_view_count(&run->inputs[0]), run->diagnostic));
        x = copy;
    }
    oct_grid_quantize(&linear->grid, linear->cpu, scale, zero_point, x, run->outputs[0].data,
                      run->pool);
    return OCTET_OK;
}

static OctetStatus prepare_linear(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    const OctValue *x = node->inputs[0], *scale = node->inputs[1];
    const OctValue *zero = oct_node_input(node, 2);
    Linear *linear = oct_prepare_state(prepare, prepared, sizeof *linear);
    if (!linear) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_linear;
    prepared->cpu = linear->cpu = prepare->cpu;
    linear->quantizes = strcmp(node->op_type, "QuantizeLinear") == 0;
    prepared->kernel = linear->quantizes ? "quantize" : "dequantize";
    OctetDType dtype = linear->quantizes ? node->outputs[0]->dtype : x->dtype;
    if (!oct_grid_dtype(dtype) || oct_value_storage(scale) != OCTET_F32 || oct_value_quantized(x) ||
        (linear->quantizes && oct_value_quantized(node->outputs[0]))) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is not supported on %s with scales of %s", octet_dtype_name(dtype),
                           octet_dtype_name(oct_value_storage(scale)));
    }
    OCT_TRY(oct_grid_make(node, dtype, &x->shape, oct_node_int(node, "axis", 1),
                          oct_node_int(node, "block_size", 0), &scale->shape, &linear->grid,
                          diagnostic));
    linear->grid.overflows = oct_node_int(node, "saturate", 1) == 0;
    if (zero) {
        int64_t count;
        OctetDType own = oct_value_storage(zero);
        if (own != dtype && (oct_dtype_is_float8(own) || oct_dtype_is_float8(dtype))) {
            return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                               "has zero points of %s for %s", octet_dtype_name(own),
                               octet_dtype_name(dtype));
        }
        if (!octet_shape_count(&zero->shape, &count) ||
            (size_t)count != linear->grid.parameter_count) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "scales and zero points differ in number");
        }
        OCT_TRY(oct_workspace_add(&prepared->workspace_bytes, (size_t)count * sizeof(int32_t),
                                  &linear->zero_offset, diagnostic));
    }
    if (linear->quantizes && x->dtype != OCTET_F32) {
        size_t bytes;
        OCT_TRY(oct_tensor_bytes(OCTET_F32, &x->shape, &bytes, diagnostic));
        OCT_TRY(
            oct_workspace_add(&prepared->workspace_bytes, bytes, &linear->real_offset, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus check_linear(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t block = oct_node_int(node, "block_size", 0);
    if (block < 0 || block > INT32_MAX) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "a block size of %" PRId64, block);
    }
    int64_t dtype = oct_node_int(node, "output_dtype", 0);
    if (dtype != 0 && strcmp(node->op_type, "QuantizeLinear") == 0 &&
        !oct_grid_dtype((OctetDType)dtype)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "an output type of number %" PRId64 " is not supported", dtype);
    }
    const OctetTensor *zero = oct_value_tensor(oct_node_input(node, 2));
    if (zero && !zero_points_fit(zero->dtype, zero->data, (int64_t)zero->bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, no_zero);
    }
    return OCTET_OK;
}

static OctetStatus infer_quantize_linear(OctGraph *graph, OctNode *node,
                                         OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetDType dtype = (OctetDType)oct_node_int(node, "output_dtype", 0);
    dtype = dtype == OCTET_DTYPE_NONE ? OCTET_U8 : dtype;
    if (oct_node_input(node, 2)) {
        dtype = oct_input_dtype(node, 2);
    }
    oct_set_output(node, 0, dtype, oct_input_shape(node, 0));
    return OCTET_OK;
}

static OctetStatus infer_real(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    oct_set_output(node, 0, OCTET_F32, oct_input_shape(node, 0));
    return OCTET_OK;
}

/* ---- DynamicQuantizeLinear ---- */

typedef struct Dynamic {
    OctetCpu cpu;
} Dynamic;

static OctetStatus run_dynamic(void *state, const OctRun *run) {
    OctetCpu cpu = ((const Dynamic *)state)->cpu;
    const OctF32RowsBundle *rows = oct_f32_rows_select(cpu);
    size_t count = (size_t)oct_view_count(&run->inputs[0]);
    const float *x = run->inputs[0].data;
    float minimum = fminf(rows->minimum(x, count), 0.0f);
    float maximum = fmaxf(rows->maximum(x, count), 0.0f);
    if (isinf(minimum) || isinf(maximum)) {
        return oct_fail(run->diagnostic, OCTET_ERROR_NUMERIC, "its input holds infinities");
    }
    float scale = (maximum - minimum) / 255.0f;
    scale = scale == 0.0f ? 1.0f : scale;
    uint8_t zero_point = (uint8_t)rintf(fminf(fmaxf(0.0f - minimum / scale, 0.0f), 255.0f));
    OctGrid grid = {.dtype = OCTET_U8, .outer = 1, .axis = 1, .inner = count, .block = 1};
    int32_t zero = zero_point;
    oct_grid_quantize(&grid, cpu, &scale, &zero, x, run->outputs[0].data, run->pool);
    memcpy(run->outputs[1].data, &scale, sizeof scale);
    memcpy(run->outputs[2].data, &zero_point, sizeof zero_point);
    return OCTET_OK;
}

static OctetStatus prepare_dynamic(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctElement element;
    OCT_TRY(oct_element_of(prepare, prepare->node->inputs[0], &element));
    for (int32_t k = 0; k < 3; k++) {
        if (element.quantized || !prepare->node->outputs[k]) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                               "needs a float input and three outputs");
        }
    }
    Dynamic *dynamic = oct_prepare_state(prepare, prepared, sizeof *dynamic);
    if (!dynamic) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    dynamic->cpu = prepare->cpu;
    prepared->run = run_dynamic;
    prepared->kernel = "quantize";
    prepared->cpu = prepare->cpu;
    return OCTET_OK;
}

static OctetStatus infer_dynamic(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape scalar = {.rank = 0};
    oct_set_output(node, 0, OCTET_U8, oct_input_shape(node, 0));
    oct_set_output(node, 1, OCTET_F32, &scalar);
    oct_set_output(node, 2, OCTET_U8, &scalar);
    return OCTET_OK;
}

const OctOp oct_ops_quantize[] = {
    {"", "QuantizeLinear", 10, 0, OCT_OP_FLOAT8, 2, 3, 1, 1, check_linear, infer_quantize_linear,
     prepare_linear},
    {"", "DequantizeLinear", 10, 0, OCT_OP_FLOAT8, 2, 3, 1, 1, check_linear, infer_real,
     prepare_linear},
    {"com.microsoft", "QuantizeLinear", 1, 0, OCT_OP_FLOAT8, 2, 3, 1, 1, check_linear,
     infer_quantize_linear, prepare_linear},
    {"com.microsoft", "DequantizeLinear", 1, 0, OCT_OP_FLOAT8, 2, 3, 1, 1, check_linear, infer_real,
     prepare_linear},
    {"", "DynamicQuantizeLinear", 11, 0, 0, 1, 1, 3, 3, NULL, infer_dynamic, prepare_dynamic},
};
OCT_OPS_COUNT(quantize);
