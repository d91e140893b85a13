/* QuantizeLinear and DequantizeLinear of constants. */
#include "base/diag.h"
#include "base/tensor.h"
#include "kernels/transpose.h"
#include "onnx/fold.h"
#include "quant/qparams.h"

#include <string.h>

static OctetStatus set_constant(OctGraph *graph, OctNode *node, OctetTensor *tensor,
                                OctetDiagnostic *diagnostic) {
    OctValue *output = node->outputs[0];
    if (!oct_value_set_constant(output, tensor)) {
        return oct_fail_memory(diagnostic);
    }
    oct_graph_remove_node(graph, node);
    return OCTET_OK;
}

/* A scale of 0 makes every element 0: another scale and integers at the zero point say the same.
 * Elements of channel c are those at (outer, c, inner). */
static void neutralize(OctetTensor *tensor, int64_t channel, int64_t outer, int64_t channels,
                       int64_t inner) {
    size_t size = octet_dtype_size(tensor->dtype);
    int32_t zero_point = tensor->qparams.zero_point[channel];
    for (int64_t o = 0; o < outer; o++) {
        char *at = (char *)tensor->data + (size_t)((o * channels + channel) * inner) * size;
        for (int64_t i = 0; i < inner; i++, at += size) {
            memcpy(at, &zero_point, size); /* little-endian: the low bytes */
        }
    }
    tensor->qparams.scale[channel] = 1;
}

static OctetStatus repair_zero_scales(const OctNode *node, OctetTensor *tensor,
                                      OctetDiagnostic *diagnostic) {
    OctetQParams *q = &tensor->qparams;
    int64_t outer = 1;
    int64_t inner = 1;
    for (int32_t i = 0; i < tensor->shape.rank; i++) {
        if (i < q->axis) {
            outer *= tensor->shape.dims[i];
        } else if (i > q->axis) {
            inner *= tensor->shape.dims[i];
        }
    }
    for (int64_t c = 0; c < q->count; c++) {
        if (q->scale[c] > 0) {
            continue;
        }
        if (q->block_size > 0) {
            return oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, node->name,
                                 "%s: the scale of a block is 0", node->op_type);
        }
        neutralize(tensor, c, outer, q->axis < 0 ? 1 : q->count, inner);
    }
    return OCTET_OK;
}

static OctetStatus dequantize_constant(OctGraph *graph, OctNode *node, const OctetTensor *tensor,
                                       OctetDiagnostic *diagnostic) {
    OctetQParams qparams;
    OctetTensor *copy = NULL;
    bool found;
    OCT_TRY(oct_read_qparams(node, &tensor->shape, &qparams, &found, diagnostic));
    if (!found || qparams.dtype != tensor->dtype) {
        octet_qparams_clear(&qparams);
        return OCTET_OK;
    }
    bool zero = oct_scales_have_zero(qparams.scale, qparams.count);
    OctetStatus status = zero ? octet_tensor_copy(tensor, &copy, diagnostic)
                              : oct_tensor_share(tensor, &copy, diagnostic);
    if (status != OCTET_OK) {
        octet_qparams_clear(&qparams);
        return status;
    }
    copy->qparams = qparams; /* which a shared or copied constant has none of */
    if (zero) {
        status = repair_zero_scales(node, copy, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_qparams_check(&copy->qparams, &copy->shape, diagnostic);
        status = oct_fail_in_node(diagnostic, status, node->name);
    }
    if (status != OCTET_OK) {
        octet_tensor_free(copy);
        return status;
    }
    return set_constant(graph, node, copy, diagnostic);
}

static OctetStatus quantize_constant(OctGraph *graph, OctNode *node, const OctetTensor *tensor,
                                     OctetDiagnostic *diagnostic) {
    OctetQParams qparams;
    OctetTensor *integers;
    bool found;
    OCT_TRY(oct_read_qparams(node, &tensor->shape, &qparams, &found, diagnostic));
    if (!found) {
        return OCTET_OK;
    }
    for (int64_t i = 0; i < qparams.count; i++) {
        if (qparams.scale[i] == 0) {
            qparams.scale[i] = 1; /* what dequantizes it makes 0 of it in any case */
        }
    }
    OctetStatus status =
        octet_quantize(tensor, &qparams, OCTET_QUANTIZE_DIVIDE, &integers, NULL, diagnostic);
    octet_qparams_clear(&qparams);
    if (status != OCTET_OK) {
        return oct_fail_in_node(diagnostic, status, node->name);
    }
    octet_qparams_clear(&integers->qparams); /* raw integers until they are dequantized */
    return set_constant(graph, node, integers, diagnostic);
}

/* Weights that are quantized and then transposed for MatMul or Gemm. */
static OctetStatus transpose_constant(OctGraph *graph, OctNode *node, const OctetTensor *tensor,
                                      OctetDiagnostic *diagnostic) {
    const int64_t *perm;
    int32_t rank = tensor->shape.rank;
    int32_t count = oct_node_ints(node, "perm", &perm);
    int32_t permutation[OCTET_MAX_RANK];
    bool seen[OCTET_MAX_RANK] = {false};
    OctetShape shape = {.rank = rank};
    OctetTensor *moved;
    bool legal = count == 0 || count == rank;
    for (int32_t i = 0; legal && i < rank; i++) {
        int64_t from = count ? perm[i] : rank - 1 - i;
        legal = from >= 0 && from < rank && !seen[from];
        if (legal) {
            permutation[i] = (int32_t)from;
            seen[from] = true;
            shape.dims[i] = tensor->shape.dims[from];
        }
    }
    if (!legal || tensor->qparams.block_size > 0) {
        return OCTET_OK;
    }
    OCT_TRY(octet_tensor_create(tensor->dtype, &shape, &moved, diagnostic));
    oct_transpose(octet_dtype_size(tensor->dtype), rank, tensor->shape.dims, permutation,
                  tensor->data, moved->data, NULL);
    OctetStatus status = octet_tensor_set_qparams(moved, &tensor->qparams, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(moved);
        return status;
    }
    for (int32_t i = 0; i < rank && tensor->qparams.axis >= 0; i++) {
        if (permutation[i] == tensor->qparams.axis) {
            moved->qparams.axis = i;
        }
    }
    return set_constant(graph, node, moved, diagnostic);
}

static OctetStatus fold_node(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctValue *data = oct_node_input(node, 0);
    if (!data || node->output_count != 1 || !node->outputs[0] || node->outputs[0]->is_output) {
        return OCTET_OK;
    }
    if (oct_value_quantized(data)) {
        const OctetTensor *tensor = oct_value_tensor(data);
        bool transpose = tensor && strcmp(node->op_type, "Transpose") == 0 && !*node->domain;
        return transpose ? transpose_constant(graph, node, tensor, diagnostic) : OCTET_OK;
    }
    const OctetTensor *tensor = oct_constant_behind(data);
    if (!tensor) {
        return OCTET_OK;
    }
    if (oct_is_dequantize(node) && tensor->dtype != OCTET_F32) {
        return dequantize_constant(graph, node, tensor, diagnostic);
    }
    if (oct_is_quantize(node) && tensor->dtype == OCTET_F32) {
        return quantize_constant(graph, node, tensor, diagnostic);
    }
    return OCTET_OK;
}

OctetStatus oct_fold_quantized_constants(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            OCT_TRY(fold_node(graph, graph->nodes[i], diagnostic));
        }
    }
    return oct_graph_compact(graph, diagnostic);
}
