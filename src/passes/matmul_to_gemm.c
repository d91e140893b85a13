#include "base/diag.h"
#include "ir/op.h"
#include "passes/constants.h"
#include "passes/passes.h"

#include <string.h>

static bool is(const OctNode *node, const char *op_type) {
    return node && !node->dead && node->op && strcmp(node->op_type, op_type) == 0 &&
           node->domain[0] == '\0';
}

/* A MatMul of a matrix with a constant matrix is a Gemm without a bias; the bias comes from the Add
 * that fold_batch_norm finds behind it. */
static OctetStatus convert(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    int64_t opset = oct_graph_opset(graph, "");
    const OctOp *gemm = oct_op_find("", "Gemm", opset);
    if (!gemm || node->opset < 11) {
        /* before opset 11 Gemm must have its third input */
        float *zeros;
        OctetShape shape = {1, {node->inputs[1]->shape.dims[1]}};
        OctValue *bias = oct_new_float_constant(graph, "bias", &shape, &zeros, diagnostic);
        if (!bias || !oct_node_set_input(graph, node, 2, bias)) {
            return oct_fail_memory(diagnostic);
        }
    }
    node->op_type = oct_arena_strdup(graph->arena, "Gemm");
    node->op = gemm;
    return node->op_type && gemm ? OCTET_OK : oct_fail_memory(diagnostic);
}

static OctetStatus scale_input(OctGraph *graph, OctNode *node, int32_t k, float factor,
                               OctetDiagnostic *diagnostic) {
    int64_t count;
    float *data;
    const OctValue *input = node->inputs[k];
    const float *old = oct_constant_floats(input, &count);
    OctValue *scaled = oct_new_float_constant(graph, input->name, &input->shape, &data, diagnostic);
    if (!scaled) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    for (int64_t i = 0; i < count; i++) {
        data[i] = old[i] * factor;
    }
    node->inputs[k] = scaled;
    return OCTET_OK;
}

/* alpha and beta go into the constants, so that later passes see plain layers only. */
static OctetStatus fold_factors(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    int64_t count;
    float alpha = oct_node_float(node, "alpha", 1);
    float beta = oct_node_float(node, "beta", 1);
    OctValue *bias = oct_node_input(node, 2);
    if (alpha != 1 && oct_node_input(node, 1) && oct_constant_floats(node->inputs[1], &count)) {
        OCT_TRY(scale_input(graph, node, 1, alpha, diagnostic));
        oct_node_remove_attribute(node, "alpha");
    }
    if (beta != 1 && bias && oct_constant_floats(bias, &count)) {
        OCT_TRY(scale_input(graph, node, 2, beta, diagnostic));
        oct_node_remove_attribute(node, "beta");
    }
    return OCTET_OK;
}

OctetStatus oct_pass_matmul_to_gemm(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        int64_t count;
        if (is(node, "MatMul") && node->inputs[0] && node->inputs[1] &&
            node->inputs[0]->shape.rank == 2 && node->inputs[1]->shape.rank == 2 &&
            oct_constant_floats(node->inputs[1], &count)) {
            OCT_TRY(convert(graph, node, diagnostic));
        }
        if (is(node, "Gemm")) {
            OCT_TRY(fold_factors(graph, node, diagnostic));
        }
    }
    return OCTET_OK;
}
