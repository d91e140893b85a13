#include "base/diag.h"
#include "ir/op.h"
#include "ops/dropout.h"
#include "passes/passes.h"
#include "passes/replace.h"

#include <string.h>

static bool is(const OctNode *node, const char *op_type) {
    return strcmp(node->op_type, op_type) == 0 && node->domain[0] == '\0';
}

/* An operator whose output has the same shape, type and order of elements as its input does
 * nothing if it only moves data. */
static bool keeps_everything(const OctNode *node, const OctValue *input, const OctValue *output) {
    static const char *const movers[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze",
                                         "Expand",  "Slice",   "Pad",     "Tile"};
    if (!oct_value_has_static_shape(input) || !octet_shape_equal(&input->shape, &output->shape)) {
        return false;
    }
    for (size_t i = 0; i < sizeof movers / sizeof movers[0]; i++) {
        if (!is(node, movers[i])) {
            continue;
        }
        const int64_t *pads;
        int32_t count = oct_node_ints(node, "pads", &pads);
        for (int32_t k = 0; k < count; k++) {
            if (pads[k] != 0) {
                return false; /* cropped here, padded there */
            }
        }
        /* a Slice with a negative step reverses, a Pad may crop and pad: both read their numbers
         * from inputs that are not worth following here */
        bool safe = !is(node, "Slice") && !(is(node, "Pad") && node->input_count > 1);
        return safe;
    }
    return false;
}

static bool is_identity_permutation(const OctNode *node, const OctValue *input) {
    const int64_t *perm;
    int32_t count = oct_node_ints(node, "perm", &perm);
    if (count == 0) {
        return input->shape.rank == 0 || input->shape.rank == 1;
    }
    for (int32_t i = 0; i < count; i++) {
        if (perm[i] != i) {
            return false;
        }
    }
    return true;
}

static bool mask_is_used(const OctUses *uses, const OctNode *node) {
    const OctValue *mask = oct_node_output(node, 1);
    return mask && (mask->is_output || oct_uses_count(uses, mask) > 0);
}

static bool does_nothing(const OctNode *node, const OctUses *uses) {
    const OctValue *input = oct_node_input(node, 0);
    const OctValue *output = oct_node_output(node, 0);
    if (node->dead || node->hold || !input || !output ||
        node->activation.kind != OCT_ACTIVATION_NONE) {
        return false;
    }
    /* on another grid than its input's, even Identity rounds */
    if (oct_value_quantized(output)) {
        return false;
    }
    if (is(node, "Identity")) {
        return !oct_node_attribute(node, OCT_STUB);
    }
    if (is(node, "Dropout")) {
        return oct_dropout_passes(node) && !mask_is_used(uses, node);
    }
    if (is(node, "Cast")) {
        return input->dtype != OCTET_DTYPE_NONE && input->dtype == output->dtype;
    }
    if (is(node, "Transpose")) {
        return is_identity_permutation(node, input);
    }
    if ((is(node, "Concat") || is(node, "Sum") || is(node, "Max") || is(node, "Min") ||
         is(node, "Mean")) &&
        node->input_count == 1) {
        return true;
    }
    return keeps_everything(node, input, output);
}

/* The node's output can give way to its input unless both are seen from outside. An output of the
 * network then lends its name to the input, which works if a node of this graph makes that. */
static bool can_bypass(const OctGraph *graph, const OctNode *node) {
    const OctValue *input = node->inputs[0];
    const OctValue *output = node->outputs[0];
    bool own =
        input->id >= 0 && input->id < graph->value_count && graph->values[input->id] == input;
    if (!output->is_output) {
        return true;
    }
    return own && input->producer && !input->is_output && !oct_value_quantized(input);
}

static void bypass_all(OctReplace *replace, const OctUses *uses) {
    OctGraph *graph = replace->graph;
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        oct_replace_follow(replace, node);
        if (does_nothing(node, uses) && can_bypass(graph, node) &&
            !oct_replace_is_pinned(replace, node)) {
            OctValue *input = node->inputs[0];
            OctValue *output = node->outputs[0];
            oct_graph_remove_node(graph, node);
            oct_replace_add(replace, output, input);
        }
    }
}

OctetStatus oct_pass_remove_identities(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OctReplace replace;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctetStatus status = oct_replace_open(&replace, graph, diagnostic);
    if (status == OCTET_OK) {
        bypass_all(&replace, &uses);
        oct_replace_finish(&replace);
    }
    oct_replace_free(&replace);
    oct_uses_free(&uses);
    return status;
}
