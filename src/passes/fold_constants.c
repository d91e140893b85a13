#include "base/diag.h"
#include "base/float8.h"
#include "base/patience.h"
#include "ops/evaluate.h"
#include "passes/passes.h"

#include <string.h>

/* A constant larger than this is left to be computed at run time: ConstantOfShape of a hostile
 * shape must not fill the memory, and a large Expand only makes the file larger. */
enum { MAX_FOLDED_BYTES = 64 * 1024 * 1024 };

/* What all folded results of a graph and its children may take together: a multiple of the
 * constants that came with it, or this, which many small hostile nodes must not exceed either. */
static const size_t least_budget = (size_t)256 << 20;

static size_t *budget_of(OctGraph *graph) {
    while (graph->parent) {
        graph = graph->parent;
    }
    if (graph->fold_budget > 0) {
        return &graph->fold_budget;
    }
    size_t bytes = 0;
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctetTensor *tensor = oct_value_tensor(graph->values[i]);
        if (tensor && !oct_add_size(bytes, tensor->bytes, &bytes)) {
            bytes = SIZE_MAX;
            break;
        }
    }
    graph->fold_budget = bytes < SIZE_MAX / 4 ? 2 * bytes + least_budget : SIZE_MAX / 2;
    return &graph->fold_budget;
}

/* At least one byte stays, since none means that it was not counted. */
static void spend(size_t *budget, size_t bytes) {
    *budget = bytes < *budget ? *budget - bytes : 1;
}

/* Shape results and the like, whose value inference knows without computing. */
static bool fold_known(OctGraph *graph, OctValue *value) {
    OctetTensor *tensor;
    bool numbers = value->known && (value->dtype == OCTET_S64 || value->dtype == OCTET_S32) &&
                   oct_value_has_static_shape(value) && !oct_value_quantized(value);
    for (int32_t i = 0; numbers && i < value->known_count; i++) {
        numbers = value->known[i] >= 0;
    }
    if (!numbers || octet_tensor_create(value->dtype, &value->shape, &tensor, NULL) != OCTET_OK) {
        return false;
    }
    for (int32_t i = 0; i < value->known_count; i++) {
        if (value->dtype == OCTET_S64) {
            ((int64_t *)tensor->data)[i] = value->known[i];
        } else {
            ((int32_t *)tensor->data)[i] = (int32_t)value->known[i];
        }
    }
    OctNode *producer = value->producer;
    if (!oct_value_set_constant(value, tensor)) {
        return false;
    }
    oct_graph_remove_node(graph, producer);
    return true;
}

static bool worth_folding(const OctNode *node, bool to_run) {
    /* a quantized constant is meant to stay small, and its dequantization to stay visible; but what
     * computes with 8-bit floats needs them as f32 */
    bool dequantizes = strcmp(node->op_type, "DequantizeLinear") == 0;
    if (dequantizes && !(to_run && oct_dtype_is_float8(node->inputs[0]->dtype))) {
        return false;
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && node->outputs[k]->is_output) {
            return false;
        }
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] && oct_value_quantized(node->inputs[k])) {
            return false;
        }
    }
    return oct_node_is_evaluable(node);
}

static OctetStatus fold_node(OctGraph *graph, OctNode *node, size_t *budget,
                             OctetDiagnostic *diagnostic) {
    enum { MOST_OUTPUTS = 64 };
    OctetTensor *outputs[MOST_OUTPUTS];
    OctetDiagnostic ignored = {0};
    if (node->output_count > MOST_OUTPUTS) {
        return OCTET_OK;
    }
    size_t most = *budget < MAX_FOLDED_BYTES ? *budget : MAX_FOLDED_BYTES;
    OctetStatus status = oct_node_evaluate(graph, node, most, outputs, &ignored);
    if (status == OCTET_ERROR_OUT_OF_MEMORY) {
        return oct_fail_memory(diagnostic);
    }
    if (status != OCTET_OK) {
        /* what can't be folded is left for the run, which tells why */
        return oct_noted_go_on(diagnostic);
    }
    int32_t count = node->output_count;
    OctValue *values[MOST_OUTPUTS];
    memcpy(values, node->outputs, (size_t)count * sizeof *values);
    oct_graph_remove_node(graph, node);
    for (int32_t k = 0; k < count; k++) {
        spend(budget, outputs[k] ? outputs[k]->bytes : 0);
        if (values[k] && !oct_value_set_constant(values[k], outputs[k])) {
            status = oct_fail_memory(diagnostic);
        }
    }
    return status;
}

static OctetStatus fold(OctGraph *graph, bool to_run, OctetDiagnostic *diagnostic) {
    size_t *budget = budget_of(graph);
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (node->dead) {
            continue;
        }
        OCT_TRY(oct_go_on(diagnostic));
        if (node->op && node->op->infer) {
            /* inputs that were folded a moment ago tell more than before */
            OctetStatus status = node->op->infer(graph, node, diagnostic);
            if (status != OCTET_OK) {
                return oct_fail_in_node(diagnostic, status, node->name);
            }
        }
        OctValue *output = oct_node_output(node, 0);
        bool alone = node->output_count == 1 && output && !output->is_output;
        if (alone && !output->constant && fold_known(graph, output)) {
            continue;
        }
        if (worth_folding(node, to_run)) {
            OCT_TRY(fold_node(graph, node, budget, diagnostic));
        }
    }
    return OCTET_OK;
}

OctetStatus oct_pass_fold_constants(OctGraph *graph, OctetDiagnostic *diagnostic) {
    return fold(graph, false, diagnostic);
}

OctetStatus oct_pass_fold_constants_to_run(OctGraph *graph, OctetDiagnostic *diagnostic) {
    return fold(graph, true, diagnostic);
}
