#include "ops/gemm.h"
#include "ops/fused_activation.h"

#include <inttypes.h>
#include <string.h>

static bool is_gemm(const OctNode *node) {
    return strcmp(node->op_type, "Gemm") == 0 || strcmp(node->op_type, "FusedGemm") == 0;
}

static OctetStatus mismatch(const OctNode *node, const OctetShape *a, const OctetShape *b,
                            OctetDiagnostic *diagnostic) {
    char left[96], right[96];
    octet_shape_format(a, left, sizeof left);
    octet_shape_format(b, right, sizeof right);
    return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "can't multiply %s by %s", left, right);
}

/* Batch dimension i of the result, and the strides that reach it. */
static bool merge_batch(const OctetShape *a, const OctetShape *b, OctProduct *product,
                        int64_t *dims) {
    int32_t rank = product->batch_rank;
    int64_t a_stride = 1, b_stride = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        int32_t ia = i - (rank - (a->rank - 2)), ib = i - (rank - (b->rank - 2));
        int64_t da = ia >= 0 ? a->dims[ia] : 1, db = ib >= 0 ? b->dims[ib] : 1;
        if (da != 1 && db != 1 && !oct_dims_agree(da, db)) {
            return false;
        }
        dims[i] = da == 1 ? db : db == 1 ? da : oct_dim_merge(da, db);
        if (da != 1 && db != 1 && (da < 0 || db < 0) && !oct_dims_equal(da, db) && dims[i] < 0) {
            dims[i] = OCT_DIM_UNKNOWN;
        }
        product->batch_dims[i] = dims[i];
        product->a_strides[i] = da == 1 ? 0 : a_stride;
        product->b_strides[i] = db == 1 ? 0 : b_stride;
        a_stride *= da > 0 ? da : 1;
        b_stride *= db > 0 ? db : 1;
    }
    product->a_count = a_stride;
    product->b_count = b_stride;
    return true;
}

OctetStatus oct_product_shape(const OctNode *node, const OctetShape *a, const OctetShape *b,
                              OctetShape *y, OctProduct *product, bool *complete,
                              OctetDiagnostic *diagnostic) {
    OctProduct own = {.a_transposed = oct_node_int(node, "transA", 0) != 0,
                      .b_transposed = oct_node_int(node, "transB", 0) != 0};
    OctetShape left = *a, right = *b;
    *complete = false;
    *y = oct_shape_unknown();
    if (a->rank < 0 || b->rank < 0) {
        if (is_gemm(node)) {
            *y = oct_shape_of_rank(2);
        }
        return OCTET_OK;
    }
    if (a->rank == 0 || b->rank == 0 || (is_gemm(node) && (a->rank != 2 || b->rank != 2))) {
        return mismatch(node, a, b, diagnostic);
    }
    if (a->rank == 1) { /* a row */
        left = (OctetShape){.rank = 2, .dims = {1, a->dims[0]}};
        own.a_transposed = false;
    }
    if (b->rank == 1) { /* a column */
        right = (OctetShape){.rank = 2, .dims = {b->dims[0], 1}};
        own.b_transposed = false;
    }
    int32_t la = left.rank - 2, rb = right.rank - 2;
    int64_t ka = left.dims[la + (own.a_transposed ? 0 : 1)];
    int64_t kb = right.dims[rb + (own.b_transposed ? 1 : 0)];
    own.m = left.dims[la + (own.a_transposed ? 1 : 0)];
    own.n = right.dims[rb + (own.b_transposed ? 0 : 1)];
    own.k = oct_dim_merge(ka, kb);
    own.batch_rank = la > rb ? la : rb;
    OctetShape shape = oct_shape_of_rank(own.batch_rank);
    if (!oct_dims_agree(ka, kb) || !merge_batch(&left, &right, &own, shape.dims)) {
        return mismatch(node, a, b, diagnostic);
    }
    bool known = oct_shape_is_static(&left) && oct_shape_is_static(&right);
    if (known && !octet_shape_count(&shape, &own.batch)) {
        return mismatch(node, a, b, diagnostic);
    }
    if (a->rank > 1) {
        shape.dims[shape.rank++] = own.m;
    }
    if (b->rank > 1) {
        shape.dims[shape.rank++] = own.n;
    }
    int64_t counts[3];
    if (known && (!octet_shape_count(a, &counts[0]) || !octet_shape_count(b, &counts[1]) ||
                  !octet_shape_count(&shape, &counts[2]))) {
        return mismatch(node, a, b, diagnostic);
    }
    *y = shape;
    *complete = known;
    if (product) {
        *product = own;
    }
    return OCTET_OK;
}

OctetStatus oct_product_of(const OctNode *node, OctProduct *product, OctetDiagnostic *diagnostic) {
    OctetShape y;
    bool complete;
    OCT_TRY(oct_product_shape(node, &node->inputs[0]->shape, &node->inputs[1]->shape, &y, product,
                              &complete, diagnostic));
    if (!complete) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its shapes are not known");
    }
    return OCTET_OK;
}

void oct_product_matrices(const OctProduct *product, int64_t index, int64_t *a, int64_t *b) {
    *a = 0;
    *b = 0;
    for (int32_t i = product->batch_rank - 1; i >= 0; i--) {
        int64_t at = index % product->batch_dims[i];
        index /= product->batch_dims[i];
        *a += at * product->a_strides[i];
        *b += at * product->b_strides[i];
    }
}

void oct_product_collapse(OctProduct *product) {
    /* With one B, the broadcast batch is A's own, in its order. */
    if (product->b_count == 1 && !product->a_transposed) {
        product->m *= product->batch;
        product->batch = 1;
        product->batch_rank = 0;
        product->a_count = 1;
    }
}

double oct_product_macs(const OctProduct *product) {
    return (double)product->batch * (double)product->m * (double)product->k * (double)product->n;
}

static OctetStatus check_product(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    if (oct_node_int(node, "transBatchA", 0) != 0 || oct_node_int(node, "transBatchB", 0) != 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "transBatchA and transBatchB are not supported");
    }
    OctFusedActivation activation;
    return oct_fused_activation_read(node, &activation, diagnostic);
}

static OctetStatus infer_product(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape y;
    bool complete;
    OCT_TRY(oct_product_shape(node, oct_input_shape(node, 0), oct_input_shape(node, 1), &y, NULL,
                              &complete, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &y);
    return OCTET_OK;
}

/* ONNX has one type for all inputs; the kernels read them as the first one's. The bias of a
 * quantized layer may be s32. */
static OctetStatus check_types(const OctPrepare *prepare, bool quantized) {
    const OctNode *node = prepare->node;
    OctetDType dtype = node->inputs[0]->dtype;
    for (int32_t k = 1; k < node->input_count; k++) {
        bool bias = quantized && k == 2 && node->inputs[k] && node->inputs[k]->dtype == OCTET_S32;
        if (node->inputs[k] && node->inputs[k]->dtype != dtype && !bias) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                               "has inputs of %s and of %s", octet_dtype_name(dtype),
                               octet_dtype_name(node->inputs[k]->dtype));
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_fused(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OCT_TRY(check_types(prepare, false));
    return oct_gemm_prepare_f32(prepare, prepared);
}

static OctetStatus prepare_product(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctValue *b = node->inputs[1];
    bool packs = b->constant && b->shape.rank == 2; /* then packing dequantizes it once */
    bool quantized = oct_value_quantized(node->inputs[0]) ||
                     oct_value_quantized(node->outputs[0]) || (oct_value_quantized(b) && !packs);
    OCT_TRY(check_types(prepare, quantized));
    if (node->inputs[0]->dtype != OCTET_F32) {
        return oct_gemm_prepare_integer(prepare, prepared);
    }
    return quantized ? oct_gemm_prepare_q8(prepare, prepared)
                     : oct_gemm_prepare_f32(prepare, prepared);
}

const OctOp oct_ops_gemm[] = {
    {"", "Gemm", 7, 0, OCT_OP_INT8, 2, 3, 1, 1, check_product, infer_product, prepare_product},
    {"", "MatMul", 1, 0, OCT_OP_INT8, 2, 2, 1, 1, check_product, infer_product, prepare_product},
    {"com.microsoft", "FusedMatMul", 1, 0, 0, 2, 2, 1, 1, check_product, infer_product,
     prepare_fused},
    {"com.microsoft", "TransposeMatMul", 1, 0, 0, 2, 2, 1, 1, check_product, infer_product,
     prepare_fused},
    {"com.microsoft", "FusedGemm", 1, 0, 0, 2, 3, 1, 1, check_product, infer_product,
     prepare_fused},
};
OCT_OPS_COUNT(gemm);
