/* Integers that pass through operators which only move or compare elements before they are
 * dequantized. Such an operator commutes with dequantization, so it can work on the quantized
 * value itself: the DequantizeLinear nodes behind it move in front of it. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/fold.h"

#include <string.h>

typedef struct Movers {
    OctGraph *graph;
    OctUses uses;
    /* By the number of a mover's first output: the DequantizeLinear whose parameters all uses of
     * its outputs share, NULL where they don't. */
    OctNode **demand;
    OctValue **replaced;
    int32_t value_count; /* values that were there at the start */
    OctetDiagnostic *diagnostic;
} Movers;

enum { PAD_VALUE = 2 };

int32_t oct_moved_inputs(const OctNode *node) {
    static const char *const first[] = {
        "Reshape", "Transpose", "Flatten", "Squeeze",      "Unsqueeze",    "MaxPool", "Slice",
        "Gather",  "Expand",    "Tile",    "DepthToSpace", "SpaceToDepth", "Split",   "Identity",
    };
    if (*node->domain) {
        return 0;
    }
    if (oct_same_name(node->op_type, "Concat")) {
        return node->input_count;
    }
    if (oct_same_name(node->op_type, "MaxPool") && node->output_count != 1) {
        return 0; /* with the places of the maxima */
    }
    if (oct_same_name(node->op_type, "Resize")) {
        const char *place = oct_node_string(node, "coordinate_transformation_mode", "");
        return strcmp(oct_node_string(node, "mode", "nearest"), "nearest") == 0 &&
                       strcmp(place, "tf_crop_and_resize") != 0
                   ? 1
                   : 0;
    }
    if (oct_same_name(node->op_type, "Pad")) {
        /* the value that is padded with is quantized too, where it is written down */
        bool constant = strcmp(oct_node_string(node, "mode", "constant"), "constant") == 0;
        bool stated = oct_constant_behind(oct_node_input(node, PAD_VALUE)) != NULL;
        return !constant || stated ? 1 : 0;
    }
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (oct_same_name(node->op_type, first[i])) {
            return 1;
        }
    }
    return 0;
}

static bool is_moved(const OctNode *node, int32_t k) {
    return k < oct_moved_inputs(node) || (k == PAD_VALUE && strcmp(node->op_type, "Pad") == 0);
}

static const OctNode *demand_of(const Movers *movers, const OctNode *user, const OctValue *value) {
    if (oct_is_dequantize(user) && user->inputs[0] == value) {
        return user;
    }
    if (user->output_count == 0 || !user->outputs[0]) {
        return NULL;
    }
    const OctNode *demand = movers->demand[user->outputs[0]->id];
    for (int32_t k = 0; demand && k < user->input_count; k++) {
        if (user->inputs[k] == value && !is_moved(user, k)) {
            return NULL; /* the shape of a Reshape, say */
        }
    }
    return demand;
}

static OctetStatus same_demand(const OctNode *a, const OctNode *b, bool *same,
                               OctetDiagnostic *diagnostic) {
    OctetQParams first;
    OctetQParams second = {0};
    bool found;
    OCT_TRY(oct_read_activation_qparams(a, &first, same, diagnostic));
    if (!*same) {
        return OCTET_OK;
    }
    OctetStatus status = oct_read_activation_qparams(b, &second, &found, diagnostic);
    *same = status == OCTET_OK && found && octet_qparams_equal(&first, &second);
    octet_qparams_clear(&first);
    octet_qparams_clear(&second);
    return status;
}

/* Finds the one demand that all uses of the mover's outputs share. */
static OctetStatus find_demand(const Movers *movers, const OctNode *mover, OctNode **demand) {
    const OctNode *found = NULL;
    *demand = NULL;
    for (int32_t k = 0; k < mover->output_count; k++) {
        const OctValue *output = mover->outputs[k];
        if (!output) {
            continue;
        }
        if (output->is_output) {
            return OCTET_OK;
        }
        for (int32_t i = 0; i < oct_uses_count(&movers->uses, output); i++) {
            const OctNode *user = movers->uses.nodes[movers->uses.first[output->id] + i];
            const OctNode *wanted = demand_of(movers, user, output);
            bool same = wanted != NULL;
            if (wanted && wanted != found) {
                OCT_TRY(same_demand(wanted, found ? found : wanted, &same, movers->diagnostic));
            }
            if (!same) {
                return OCTET_OK;
            }
            found = found ? found : wanted;
        }
    }
    *demand = (OctNode *)found;
    return OCTET_OK;
}

static bool owned_by(const OctGraph *graph, const OctValue *value) {
    return value->id >= 0 && value->id < graph->value_count && graph->values[value->id] == value;
}

/* True if the value comes out of a mover that is rewritten too, and so is quantized itself. */
static bool is_rewritten(const Movers *movers, const OctValue *value) {
    const OctNode *producer = value->producer;
    return owned_by(movers->graph, value) && value->id < movers->value_count && producer &&
           producer->outputs[0] && oct_moved_inputs(producer) != 0 &&
           movers->demand[producer->outputs[0]->id];
}

/* A DequantizeLinear like `like`, in front of one input. */
static OctetStatus dequantize_input(const Movers *movers, OctNode *mover, int32_t k,
                                    const OctNode *like) {
    OctGraph *graph = movers->graph;
    OctValue *real = oct_graph_add_value(graph, mover->inputs[k]->name);
    OctValue *inputs[3] = {mover->inputs[k], oct_node_input(like, 1), oct_node_input(like, 2)};
    OctNode *node =
        real ? oct_graph_add_node(graph, "DequantizeLinear", like->domain, NULL, inputs,
                                  like->input_count < 3 ? like->input_count : 3, &real, 1)
             : NULL;
    if (!node) {
        return oct_fail_memory(movers->diagnostic);
    }
    node->opset = like->opset;
    mover->inputs[k] = real;
    return OCTET_OK;
}

/* The value that is padded with, as a real number. */
static OctetStatus dequantize_pad_value(const Movers *movers, OctNode *pad,
                                        const OctetQParams *qparams) {
    const OctetTensor *stored = oct_constant_behind(pad->inputs[PAD_VALUE]);
    OctetTensor *integers = NULL;
    OctetTensor *real = NULL;
    if (stored->dtype != qparams->dtype) {
        return oct_fail_node(movers->diagnostic, OCTET_ERROR_FORMAT, pad->name,
                             "the value to pad with has another type than the data");
    }
    OctetStatus status = octet_tensor_copy(stored, &integers, movers->diagnostic);
    if (status == OCTET_OK) {
        status = octet_tensor_set_qparams(integers, qparams, movers->diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_dequantize(integers, &real, movers->diagnostic);
    }
    octet_tensor_free(integers);
    if (status != OCTET_OK) {
        return status;
    }
    pad->inputs[PAD_VALUE] = oct_graph_add_constant(movers->graph, NULL, real);
    return pad->inputs[PAD_VALUE] ? OCTET_OK : oct_fail_memory(movers->diagnostic);
}

static OctetStatus rewrite(const Movers *movers, OctNode *mover, const OctNode *like,
                           const OctetQParams *qparams) {
    bool pads = strcmp(mover->op_type, "Pad") == 0 && oct_node_input(mover, PAD_VALUE);
    if (pads) {
        OCT_TRY(dequantize_pad_value(movers, mover, qparams));
    }
    for (int32_t k = 0; k < oct_moved_inputs(mover) && k < mover->input_count; k++) {
        if (mover->inputs[k] && !is_rewritten(movers, mover->inputs[k])) {
            OCT_TRY(dequantize_input(movers, mover, k, like));
        }
    }
    for (int32_t k = 0; k < mover->output_count; k++) {
        OctValue *output = mover->outputs[k];
        if (!output) {
            continue;
        }
        output->dtype = OCTET_F32;
        if (!oct_graph_set_qparams(movers->graph, output, qparams)) {
            return oct_fail_memory(movers->diagnostic);
        }
        for (int32_t i = 0; i < oct_uses_count(&movers->uses, output); i++) {
            OctNode *user = movers->uses.nodes[movers->uses.first[output->id] + i];
            if (!oct_is_dequantize(user) || user->inputs[0] != output) {
                continue;
            }
            if (user->outputs[0]->is_output) {
                if (!oct_turn_into_identity(movers->graph, user, output, qparams)) {
                    return oct_fail_memory(movers->diagnostic);
                }
                continue;
            }
            movers->replaced[user->outputs[0]->id] = output;
            oct_graph_remove_node(movers->graph, user);
        }
    }
    return OCTET_OK;
}

static OctetStatus rewrite_all(const Movers *movers, int32_t node_count) {
    for (int32_t i = 0; i < node_count; i++) {
        OctNode *node = movers->graph->nodes[i];
        if (node->dead || oct_moved_inputs(node) == 0 || !node->outputs[0]) {
            continue;
        }
        const OctNode *demand = movers->demand[node->outputs[0]->id];
        OctetQParams qparams;
        bool found;
        if (!demand) {
            continue;
        }
        OCT_TRY(oct_read_activation_qparams(demand, &qparams, &found, movers->diagnostic));
        OctetStatus status = rewrite(movers, node, demand, &qparams);
        octet_qparams_clear(&qparams);
        if (status != OCTET_OK) {
            return status;
        }
    }
    oct_graph_replace_all(movers->graph, movers->replaced, movers->value_count);
    return OCTET_OK;
}

static OctetStatus find_all(const Movers *movers) {
    for (int32_t i = movers->graph->node_count - 1; i >= 0; i--) {
        const OctNode *node = movers->graph->nodes[i];
        if (node->dead || oct_moved_inputs(node) == 0 || node->output_count == 0 ||
            !node->outputs[0]) {
            continue;
        }
        OCT_TRY(find_demand(movers, node, &movers->demand[node->outputs[0]->id]));
    }
    return OCTET_OK;
}

OctetStatus oct_fold_movers(OctGraph *graph, OctetDiagnostic *diagnostic) {
    Movers movers = {.graph = graph, .value_count = graph->value_count, .diagnostic = diagnostic};
    size_t count = (size_t)graph->value_count + 1;
    movers.demand = oct_calloc(count, sizeof *movers.demand);
    movers.replaced = oct_calloc(count, sizeof *movers.replaced);
    OctetStatus status = movers.demand && movers.replaced
                             ? oct_graph_uses(graph, &movers.uses, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = find_all(&movers);
        if (status == OCTET_OK) {
            status = rewrite_all(&movers, graph->node_count);
        }
        oct_uses_free(&movers.uses);
    }
    oct_free(movers.demand);
    oct_free(movers.replaced);
    return status == OCTET_OK ? oct_graph_compact(graph, diagnostic) : status;
}
