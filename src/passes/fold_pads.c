#include "base/diag.h"
#include "ir/op.h"
#include "passes/constants.h"
#include "passes/passes.h"

#include <string.h>

static bool is(const OctNode *node, const char *op_type) {
    return node && !node->dead && node->op && strcmp(node->op_type, op_type) == 0 &&
           node->domain[0] == '\0';
}

/* The pads of a Pad that adds zeros only: begins, then ends, of all axes. False otherwise. */
static bool read_zero_pads(const OctNode *node, int32_t rank, int64_t *pads) {
    const int64_t *listed;
    const char *mode = oct_node_string(node, "mode", "constant");
    if (strcmp(mode, "constant") != 0 || oct_node_input(node, 3)) {
        return false;
    }
    if (node->opset < 11) {
        if (oct_node_ints(node, "pads", &listed) != 2 * rank ||
            oct_node_float(node, "value", 0) != 0) {
            return false;
        }
        memcpy(pads, listed, (size_t)rank * 2 * sizeof *pads);
    } else {
        int64_t count;
        const OctValue *fill = oct_node_input(node, 2);
        const float *value = fill ? oct_constant_floats(fill, &count) : NULL;
        const OctValue *input = oct_node_input(node, 1);
        if ((fill && (!value || count != 1 || value[0] != 0)) || !input || !input->constant ||
            oct_value_known_ints(input, pads, 2 * rank) != 2 * rank) {
            return false;
        }
    }
    for (int32_t i = 0; i < 2 * rank; i++) {
        if (pads[i] < 0 || pads[i] > INT32_MAX) {
            return false;
        }
    }
    return true;
}

static OctetStatus fold(OctGraph *graph, OctNode *conv, OctNode *pad, OctetDiagnostic *diagnostic) {
    int64_t pads[2 * OCTET_MAX_RANK];
    int64_t sum[2 * OCTET_MAX_RANK] = {0};
    const int64_t *own;
    const OctValue *source = oct_node_input(pad, 0);
    int32_t rank = source ? source->shape.rank : -1;
    if (rank < 3 || !read_zero_pads(pad, rank, pads) || pads[0] || pads[1] || pads[rank] ||
        pads[rank + 1]) {
        return OCTET_OK;
    }
    int32_t spatial = rank - 2;
    int32_t count = oct_node_ints(conv, "pads", &own);
    if (count != 0 && count != 2 * spatial) {
        return OCTET_OK;
    }
    for (int32_t i = 0; i < spatial; i++) {
        sum[i] = (count ? own[i] : 0) + pads[2 + i];
        sum[spatial + i] = (count ? own[spatial + i] : 0) + pads[rank + 2 + i];
    }
    if (!oct_node_set_ints(graph, conv, "pads", sum, 2 * spatial) ||
        !oct_node_include(graph, conv, pad->op_type, pad->name, &pad->notes)) {
        return oct_fail_memory(diagnostic);
    }
    conv->inputs[0] = pad->inputs[0];
    oct_node_remove_attribute(conv, "auto_pad"); /* VALID or NOTSET, as checked before */
    return OCTET_OK;
}

OctetStatus oct_pass_fold_pads(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *conv = graph->nodes[i];
        const OctValue *input = oct_node_input(conv, 0);
        const char *auto_pad = oct_node_string(conv, "auto_pad", "NOTSET");
        bool plain = strcmp(auto_pad, "NOTSET") == 0 || strcmp(auto_pad, "VALID") == 0;
        if (is(conv, "Conv") && input && is(input->producer, "Pad") && plain &&
            !oct_value_quantized(input) && !input->is_output) {
            OCT_TRY(fold(graph, conv, input->producer, diagnostic));
        }
    }
    return OCTET_OK;
}
