/* Data movers behind a quantized value: their output lies on the same grid already, so it can carry
 * the same parameters, and what follows can stay in integers. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/fold.h"

#include <string.h>

static bool pads_with_zero(const OctNode *node) {
    const OctValue *value = oct_node_input(node, 2);
    const OctetTensor *tensor = oct_constant_behind(value);
    bool zero = !value || (tensor && tensor->dtype == OCTET_F32 && tensor->bytes == sizeof(float) &&
                           *(const float *)tensor->data == 0);
    return zero && oct_node_float(node, "value", 0) == 0;
}

/* The grid that all moved inputs lie on; NULL if there is none. */
static const OctetQParams *common_grid(const OctNode *node) {
    bool relu = strcmp(node->op_type, "Relu") == 0 && !*node->domain;
    int32_t moved = relu ? 1 : oct_moved_inputs(node);
    if (moved == 0 || (strcmp(node->op_type, "Pad") == 0 && !pads_with_zero(node))) {
        return NULL;
    }
    const OctetQParams *grid = NULL;
    for (int32_t k = 0; k < moved && k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (!input || !oct_value_quantized(input) || input->qparams.axis >= 0 || input->constant) {
            return NULL;
        }
        if (grid && !octet_qparams_equal(grid, &input->qparams)) {
            return NULL;
        }
        grid = &input->qparams;
    }
    return grid;
}

OctetStatus oct_fold_spread(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        const OctetQParams *grid = common_grid(node);
        for (int32_t k = 0; grid && k < node->output_count; k++) {
            OctValue *output = node->outputs[k];
            if (!output || output->is_output || oct_value_quantized(output)) {
                continue;
            }
            if (!oct_graph_set_qparams(graph, output, grid)) {
                return oct_fail_memory(diagnostic);
            }
            output->dtype = OCTET_F32;
        }
    }
    return OCTET_OK;
}
