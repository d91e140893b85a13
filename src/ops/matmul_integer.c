/* Products of integers whose zero points are operands: MatMulInteger, QLinearMatMul where import
 * could not make grids of its operands, and com.microsoft's MatMulIntegerToFloat and
 * DynamicQuantizeMatMul.
 *
 * A becomes u8 and B s8 (128 off integers and zero points), then
 * sum((a - za)(b - zb)) = sum(a (b - zb)) - za sum(b - zb): the first sum is the kernel's, with B's
 * zero points packed; the second is one number a column. */
#include "ops/matmul_integer.h"
#include "base/patience.h"
#include "kernels/f32_rows.h"
#include "kernels/q8_conv_run.h"
#include "kernels/q8_vector.h"
#include "ops/quantized.h"

#include <math.h>
#include <string.h>

typedef struct Integer {
    OctProduct product;
    OctetCpu cpu;
    const OctNode *node;
    int32_t b;
    int32_t a_scale, b_scale, a_zero, b_zero, bias, y_scale, y_zero; /* inputs, -1 for none */
    bool quantizes;     /* A is f32 and is quantized first */
    OctPackedB *packed; /* one a matrix of B; NULL: packed on every run */
    size_t a_offset, sums_offset, kernel_offset, kernel_bytes; /* in the workspace */
} Integer;

static void destroy(void *state) {
    Integer *integer = state;
    oct_packed_b_free(integer->packed, integer->product.b_count);
    oct_free(integer);
}

/* An integer of a u8 or s8 array as u8. */
static int32_t as_u8(OctetDType dtype, const void *data, size_t i) {
    return dtype == OCTET_U8 ? ((const uint8_t *)data)[i] : ((const int8_t *)data)[i] + 128;
}

/* ---- running ---- */

/* A as u8 with zero points: one, or one a row. */
typedef struct LeftSide {
    const uint8_t *data;
    const void *zeros;
    OctetDType zeros_dtype;
    size_t zero_count; /* 0: zero_point */
    int32_t zero_point;
    float scale;
} LeftSide;

static const OctView *view_or_null(const OctRun *run, int32_t k) {
    return k >= 0 && k < run->input_count && run->inputs[k].data ? &run->inputs[k] : NULL;
}

/* As DynamicQuantizeLinear does it. */
static OctetStatus quantize_left(const Integer *integer, const OctRun *run, LeftSide *left) {
    const OctF32RowsBundle *rows = oct_f32_rows_select(integer->cpu);
    size_t count = (size_t)oct_view_count(&run->inputs[0]);
    const float *a = run->inputs[0].data;
    uint8_t *to = oct_workspace_at(run, integer->a_offset);
    float minimum = fminf(rows->minimum(a, count), 0.0f);
    float maximum = fmaxf(rows->maximum(a, count), 0.0f);
    if (!isfinite(minimum) || !isfinite(maximum)) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_NUMERIC, integer->node,
                           "its input holds infinities");
    }
    left->scale = maximum > minimum ? (maximum - minimum) / 255.0f : 1.0f;
    left->zero_point = (int32_t)rintf(fminf(fmaxf(0.0f - minimum / left->scale, 0.0f), 255.0f));
    oct_q8_vector_ops(integer->cpu)->quantize(a, left->scale, (uint8_t)left->zero_point, to, count);
    left->data = to;
    return OCTET_OK;
}

static OctetStatus bind_left(const Integer *integer, const OctRun *run, LeftSide *left) {
    const OctView *a = &run->inputs[0], *zeros = view_or_null(run, integer->a_zero);
    *left = (LeftSide){.scale = 1.0f};
    if (integer->quantizes) {
        return quantize_left(integer, run, left);
    }
    const OctView *scale = view_or_null(run, integer->a_scale);
    left->scale = scale ? *(const float *)scale->data : 1.0f;
    left->data = a->data;
    left->zero_point = a->dtype == OCTET_S8 ? 128 : 0;
    if (a->dtype == OCTET_S8) {
        uint8_t *to = oct_workspace_at(run, integer->a_offset);
        oct_q8_vector_ops(integer->cpu)->flip(a->data, to, (size_t)oct_view_count(a));
        left->data = to;
    }
    if (zeros) {
        left->zeros = zeros->data;
        left->zeros_dtype = zeros->dtype;
        left->zero_count = (size_t)oct_view_count(zeros);
    }
    return OCTET_OK;
}

/* clamp(RNE(sum * factor) + zero point) as a byte. */
static void store_byte(const Integer *integer, const OctRun *run, int32_t sum, float factor,
                       void *output, size_t at) {
    const OctView *zero = &run->inputs[integer->y_zero];
    bool is_signed = zero->dtype == OCTET_S8;
    int32_t zero_point = as_u8(zero->dtype, zero->data, 0);
    uint8_t level = oct_q8_requantize(sum, factor, (uint8_t)zero_point, 0, 255);
    ((uint8_t *)output)[at] = is_signed ? level ^ 0x80 : level;
}

/* sums -= za * column sums; to float or to bytes if the operator gives that. */
static void finish(const Integer *integer, const OctRun *run, const LeftSide *left,
                   const OctPackedB *packed, size_t first_row, const int32_t *sums, void *output) {
    size_t m = (size_t)integer->product.m, n = (size_t)integer->product.n;
    const OctView *scale = view_or_null(run, integer->b_scale);
    const OctView *bias = view_or_null(run, integer->bias);
    bool to_float = integer->b_scale >= 0;
    bool per_column = scale && oct_view_count(scale) > 1;
    const OctView *result_scale = view_or_null(run, integer->y_scale);
    float y_scale = result_scale ? *(const float *)result_scale->data : 0.0f;
    for (size_t r = 0; r < m; r++) {
        int32_t zero = left->zero_point;
        if (left->zero_count) {
            size_t at = left->zero_count == 1 ? 0 : (first_row + r) % left->zero_count;
            zero = as_u8(left->zeros_dtype, left->zeros, at);
        }
        for (size_t c = 0; c < n; c++) {
            int32_t sum = sums[r * n + c] - zero * packed->column_sums[c];
            if (!to_float) {
                ((int32_t *)output)[r * n + c] = sum;
                continue;
            }
            float factor = left->scale * ((const float *)scale->data)[per_column ? c : 0];
            if (result_scale) {
                store_byte(integer, run, sum, factor / y_scale, output, r * n + c);
                continue;
            }
            float value = (float)sum * factor;
            ((float *)output)[r * n + c] = bias ? value + ((const float *)bias->data)[c] : value;
        }
    }
}

static OctetStatus multiply(const Integer *integer, const OctRun *run, const LeftSide *left,
                            const OctPackedB *packed) {
    const OctProduct *product = &integer->product;
    size_t m = (size_t)product->m, k = (size_t)product->k, n = (size_t)product->n;
    int32_t *sums = oct_workspace_at(run, integer->sums_offset);
    for (size_t index = 0; index < (size_t)product->batch && !oct_is_over(); index++) {
        int64_t a_matrix, b_matrix;
        OctQ8ConvSetup setup;
        oct_product_matrices(product, (int64_t)index, &a_matrix, &b_matrix);
        OCT_TRY(
            oct_q8_conv_setup(packed[b_matrix].conv, 1, 1, m, 0, 0, 0, &setup, run->diagnostic));
        void *workspace = NULL;
        if (setup.workspace_bytes > integer->kernel_bytes) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_INTERNAL, integer->node,
                               "needs a workspace");
        }
        workspace = oct_workspace_at(run, integer->kernel_offset);
        oct_q8_conv_run(packed[b_matrix].conv, &setup, left->data + (size_t)a_matrix * m * k, sums,
                        NULL, workspace, run->pool);
        finish(integer, run, left, &packed[b_matrix], (size_t)a_matrix * m, sums,
               (char *)run->outputs[0].data +
                   index * m * n * octet_dtype_size(run->outputs[0].dtype));
    }
    return OCTET_OK;
}

static OctetStatus run_integer(void *state, const OctRun *run) {
    const Integer *integer = state;
    const OctProduct *product = &integer->product;
    LeftSide left;
    OctPackedB *own = NULL;
    if (product->m * product->n * product->batch == 0) {
        return OCTET_OK;
    }
    OCT_TRY(bind_left(integer, run, &left));
    if (!integer->packed) {
        OCT_TRY(oct_packed_b_make(integer->node, &integer->product, integer->cpu,
                                  &run->inputs[integer->b], view_or_null(run, integer->b_zero),
                                  &own, run->diagnostic));
    }
    OctetStatus status = multiply(integer, run, &left, own ? own : integer->packed);
    oct_packed_b_free(own, product->b_count);
    return status;
}

/* ---- preparation ---- */

static bool is_byte(OctetDType dtype) {
    return dtype == OCTET_U8 || dtype == OCTET_S8;
}

/* A vector of one number or of as many as there are rows or columns. */
static OctetStatus check_vector(const Integer *integer, int32_t k, int64_t length, bool bytes,
                                OctetDiagnostic *diagnostic) {
    const OctValue *value = k >= 0 ? oct_node_input(integer->node, k) : NULL;
    int64_t count;
    if (!value) {
        return OCTET_OK;
    }
    bool typed = bytes ? is_byte(value->dtype) : oct_value_storage(value) == OCTET_F32;
    if (!octet_shape_count(&value->shape, &count) || (count != 1 && count != length) || !typed) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, integer->node,
                           "input %d does not have one number or one for each row or column",
                           (int)k);
    }
    return OCTET_OK;
}

static OctetStatus check_operands(const Integer *integer, OctetDiagnostic *diagnostic) {
    const OctNode *node = integer->node;
    const OctProduct *product = &integer->product;
    OctetDType a = oct_value_storage(node->inputs[0]), b = node->inputs[integer->b]->dtype;
    if (oct_value_quantized(node->inputs[0]) || !is_byte(b) ||
        (integer->quantizes ? a != OCTET_F32 : !is_byte(a))) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "is not supported on %s, %s",
                           octet_dtype_name(a), octet_dtype_name(b));
    }
    if (product->k == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "multiplies nothing");
    }
    OCT_TRY(check_vector(integer, integer->a_zero, product->m, true, diagnostic));
    OCT_TRY(check_vector(integer, integer->b_zero, product->n, true, diagnostic));
    OCT_TRY(check_vector(integer, integer->a_scale, 1, false, diagnostic));
    OCT_TRY(check_vector(integer, integer->b_scale, product->n, false, diagnostic));
    OCT_TRY(check_vector(integer, integer->y_scale, 1, false, diagnostic));
    OCT_TRY(check_vector(integer, integer->y_zero, 1, true, diagnostic));
    return check_vector(integer, integer->bias, product->n, false, diagnostic);
}

static OctetStatus reserve(const OctPrepare *prepare, Integer *integer, OctPreparedOp *prepared) {
    size_t *workspace = &prepared->workspace_bytes, bytes;
    const OctProduct *product = &integer->product;
    OctetShape sums = {.rank = 2, .dims = {product->m, product->n}};
    OCT_TRY(
        oct_tensor_bytes(OCTET_U8, &prepare->node->inputs[0]->shape, &bytes, prepare->diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &integer->a_offset, prepare->diagnostic));
    OCT_TRY(oct_tensor_bytes(OCTET_S32, &sums, &bytes, prepare->diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &integer->sums_offset, prepare->diagnostic));
    /* A matrix product needs no padded copy of its input beyond the input's own size. */
    integer->kernel_bytes = (size_t)(product->m * product->k) + 4096;
    return oct_workspace_add(workspace, integer->kernel_bytes, &integer->kernel_offset,
                             prepare->diagnostic);
}

static OctetStatus prepare_integer(const OctPrepare *prepare, OctPreparedOp *prepared,
                                   const Integer *places) {
    const OctNode *node = prepare->node;
    Integer *integer = oct_prepare_state(prepare, prepared, sizeof *integer);
    if (!integer) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    *integer = *places;
    integer->node = node;
    integer->cpu = prepare->cpu;
    prepared->run = run_integer;
    prepared->destroy = destroy;
    prepared->kernel = "q8_matmul";
    prepared->cpu = prepare->cpu;
    OctetShape y;
    bool complete;
    OCT_TRY(oct_product_shape(node, &node->inputs[0]->shape, &node->inputs[places->b]->shape, &y,
                              &integer->product, &complete, prepare->diagnostic));
    if (!complete) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "its shapes are not known");
    }
    prepared->macs = oct_product_macs(&integer->product);
    OCT_TRY(check_operands(integer, prepare->diagnostic));
    OCT_TRY(reserve(prepare, integer, prepared));
    const OctetTensor *b = oct_value_tensor(node->inputs[integer->b]);
    const OctValue *zeros = integer->b_zero >= 0 ? oct_node_input(node, integer->b_zero) : NULL;
    const OctetTensor *zero = oct_value_tensor(zeros);
    if (!b || (zeros && !zero) || integer->product.n == 0) {
        return OCTET_OK;
    }
    OctView b_view = {b->data, b->dtype, b->shape};
    OctView zero_view = {zero ? zero->data : NULL, zero ? zero->dtype : OCTET_DTYPE_NONE,
                         zero ? zero->shape : (OctetShape){0}};
    return oct_packed_b_make(integer->node, &integer->product, integer->cpu, &b_view, &zero_view,
                             &integer->packed, prepare->diagnostic);
}

static OctetStatus prepare_matmul_integer(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Integer places = {.b = 1,
                      .a_scale = -1,
                      .b_scale = -1,
                      .a_zero = 2,
                      .b_zero = 3,
                      .bias = -1,
                      .y_scale = -1,
                      .y_zero = -1};
    return prepare_integer(prepare, prepared, &places);
}

/* A, a_scale, a_zero_point, B, b_scale, b_zero_point, y_scale, y_zero_point */
static OctetStatus prepare_linear(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Integer places = {.b = 3,
                      .a_scale = 1,
                      .b_scale = 4,
                      .a_zero = 2,
                      .b_zero = 5,
                      .bias = -1,
                      .y_scale = 6,
                      .y_zero = 7};
    return prepare_integer(prepare, prepared, &places);
}

/* A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias */
static OctetStatus prepare_to_float(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Integer places = {.b = 1,
                      .a_scale = 2,
                      .b_scale = 3,
                      .a_zero = 4,
                      .b_zero = 5,
                      .bias = 6,
                      .y_scale = -1,
                      .y_zero = -1};
    return prepare_integer(prepare, prepared, &places);
}

/* A (f32), B, b_scale, b_zero_point, bias */
static OctetStatus prepare_dynamic(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Integer places = {.b = 1,
                      .a_scale = -1,
                      .b_scale = 2,
                      .a_zero = -1,
                      .b_zero = 3,
                      .bias = 4,
                      .y_scale = -1,
                      .y_zero = -1,
                      .quantizes = true};
    return prepare_integer(prepare, prepared, &places);
}

static OctetStatus infer(OctNode *node, int32_t b, OctetDType dtype, OctetDiagnostic *diagnostic) {
    OctetShape y;
    bool complete;
    OCT_TRY(oct_product_shape(node, oct_input_shape(node, 0), oct_input_shape(node, b), &y, NULL,
                              &complete, diagnostic));
    oct_set_output(node, 0, dtype, &y);
    return OCTET_OK;
}

static OctetStatus infer_integer(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    return infer(node, 1, OCTET_S32, diagnostic);
}

static OctetStatus infer_linear(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    return infer(node, 3, oct_input_dtype(node, 7), diagnostic);
}

static OctetStatus infer_float(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    return infer(node, 1, OCTET_F32, diagnostic);
}

const OctOp oct_ops_matmul_integer[] = {
    {"", "MatMulInteger", 10, 0, 0, 2, 4, 1, 1, NULL, infer_integer, prepare_matmul_integer},
    {"", "QLinearMatMul", 10, 0, 0, 8, 8, 1, 1, NULL, infer_linear, prepare_linear},
    {"com.microsoft", "MatMulIntegerToFloat", 1, 0, 0, 4, 7, 1, 1, NULL, infer_float,
     prepare_to_float},
    {"com.microsoft", "DynamicQuantizeMatMul", 1, 0, 0, 3, 5, 1, 1, NULL, infer_float,
     prepare_dynamic},
};
OCT_OPS_COUNT(matmul_integer);
