/* Which nodes become int8. Layers do if their weights allow; the operators between them follow
 * where data that is int8 comes in and is wanted further on; what only leads to float results stays
 * in float, since nothing would be gained by rounding it. */
#include "base/diag.h"
#include "ir/op.h"
#include "ptq/prepared.h"

#include <stdio.h>
#include <string.h>

typedef struct Placement {
    OctetPrepared *prepared;
    bool *inside; /* per value: between stubs; NULL if the network has none */
    bool *live;   /* per value: int8 data can come in here */
    bool *wanted; /* per value: an int8 node further on takes it */
} Placement;

static const char *reason_text(OctetPrepared *prepared, const char *format, const char *argument) {
    char text[256];
    snprintf(text, sizeof text, format, argument);
    const char *copy = oct_arena_strdup(prepared->arena, text);
    return copy ? copy : "out of memory";
}

static bool is_float(const OctValue *value) {
    return value && value->dtype == OCTET_F32;
}

/* Why a layer can't be int8 by itself; NULL if it can. */
static const char *layer_obstacle(OctetPrepared *prepared, const OctNode *node) {
    const OctValue *weight = oct_node_input(node, 1);
    const OctValue *bias = oct_node_input(node, 2);
    bool matmul = strcmp(node->op_type, "MatMul") == 0;
    if (!weight || (!weight->constant && !matmul)) {
        return "its weights are not constant";
    }
    if (weight->constant && weight->dtype != OCTET_F32) {
        return reason_text(prepared, "its weights are %s", octet_dtype_name(weight->dtype));
    }
    if (weight->constant && weight->shape.rank < 2) {
        return "its weights are a vector, which is too small to gain from int8";
    }
    if (matmul && weight->constant && weight->shape.rank > 2) {
        return "its weights are a stack of matrices";
    }
    if (strcmp(node->op_type, "Gemm") == 0 &&
        (oct_node_int(node, "transA", 0) || oct_node_float(node, "alpha", 1) != 1 ||
         oct_node_float(node, "beta", 1) != 1)) {
        return "Gemm with transA, alpha or beta has no int8 kernel";
    }
    if (bias) {
        int64_t count;
        const OctetTensor *tensor = oct_value_tensor(bias);
        int64_t channels = weight->shape.dims[oct_weight_axis(node)];
        if (strcmp(node->op_type, "ConvTranspose") == 0) {
            channels *= oct_node_int(node, "group", 1);
        }
        if (!tensor || tensor->dtype != OCTET_F32) {
            return "its bias is not constant";
        }
        if (!octet_shape_count(&tensor->shape, &count) || count != channels ||
            (tensor->shape.rank > 1 && tensor->shape.dims[tensor->shape.rank - 1] != count)) {
            return "its bias is not one number per output channel";
        }
    }
    return NULL;
}

static bool any_data_input(const OctNode *node, const bool *marks) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (oct_role_is_data_input(node, k) && input->id >= 0 && marks[input->id]) {
            return true;
        }
    }
    return false;
}

static bool any_output(const OctNode *node, const bool *marks) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && marks[node->outputs[k]->id]) {
            return true;
        }
    }
    return false;
}

/* All data that an int8 kernel would take and make must be float tensors of this graph. */
static bool has_float_data(const OctGraph *graph, const OctNode *node) {
    if (!is_float(oct_node_output(node, 0))) {
        return false;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (oct_role_is_data_input(node, k) &&
            (!is_float(input) || input->id < 0 || input->id >= graph->value_count ||
             graph->values[input->id] != input)) {
            return false;
        }
    }
    return true;
}

static int64_t stub_of(const OctNode *node) {
    return strcmp(node->op_type, "Identity") == 0 ? oct_node_int(node, OCT_STUB, 0) : 0;
}

/* Follows the data from quant stubs to dequant stubs; constants are inside wherever they are. */
static bool mark_inside(Placement *placement) {
    const OctGraph *graph = placement->prepared->graph;
    bool any = false;
    for (int32_t i = 0; i < graph->node_count; i++) {
        any = any || stub_of(graph->nodes[i]) != 0;
    }
    if (!any) {
        return true;
    }
    placement->inside = oct_calloc((size_t)graph->value_count + 1, sizeof(bool));
    for (int32_t i = 0; placement->inside && i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        bool inside = stub_of(node) == OCT_STUB_QUANT;
        for (int32_t k = 0; k < node->input_count && stub_of(node) == 0; k++) {
            const OctValue *input = node->inputs[k];
            inside = inside || (input && input->id >= 0 && placement->inside[input->id]);
        }
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k]) {
                placement->inside[node->outputs[k]->id] = inside;
            }
        }
    }
    return placement->inside != NULL;
}

static bool is_outside(const Placement *placement, const OctNode *node) {
    for (int32_t k = 0; placement->inside && k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (oct_role_is_data_input(node, k) && !input->constant && !placement->inside[input->id]) {
            return stub_of(node) != OCT_STUB_QUANT;
        }
    }
    return stub_of(node) == OCT_STUB_DEQUANT;
}

static void place_layers(Placement *placement) {
    OctetPrepared *prepared = placement->prepared;
    const OctGraph *graph = prepared->graph;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        OctNodePlan *plan = &prepared->nodes[i];
        plan->computes = is_float(oct_node_output(node, 0));
        if (!plan->computes) {
            continue; /* shapes, indices, masks: nothing that a grid could hold */
        }
        if (!plan->qconfig.quantize) {
            plan->reason = "left in float by the configuration";
        } else if (plan->qconfig.activation.type == OCTET_OBSERVER_NOOP ||
                   plan->qconfig.weight.type == OCTET_OBSERVER_NOOP) {
            plan->reason = "left in float by the noop observer";
        } else if (is_outside(placement, node)) {
            plan->reason = "outside the quant and dequant stubs";
        } else if (oct_role_of(node) == OCT_ROLE_NONE) {
            plan->reason = reason_text(prepared, "%s has no int8 form that is worth its rounding",
                                       node->op_type);
        } else if (!has_float_data(graph, node)) {
            plan->reason = "its data is not float";
        } else if (oct_role_of(node) == OCT_ROLE_LAYER) {
            plan->reason = layer_obstacle(prepared, node);
            plan->int8 = !plan->reason;
        }
    }
}

static void mark_live(Placement *placement) {
    const OctGraph *graph = placement->prepared->graph;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        const OctNodePlan *plan = &placement->prepared->nodes[i];
        bool follows = plan->computes && !plan->reason && any_data_input(node, placement->live);
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] && (plan->int8 || follows)) {
                placement->live[node->outputs[k]->id] = true;
            }
        }
    }
}

static void mark_wanted(Placement *placement) {
    const OctGraph *graph = placement->prepared->graph;
    for (int32_t i = graph->node_count - 1; i >= 0; i--) {
        const OctNode *node = graph->nodes[i];
        const OctNodePlan *plan = &placement->prepared->nodes[i];
        bool takes =
            plan->int8 || (plan->computes && !plan->reason && any_output(node, placement->wanted));
        for (int32_t k = 0; takes && k < node->input_count; k++) {
            if (oct_role_is_data_input(node, k)) {
                placement->wanted[node->inputs[k]->id] = true;
            }
        }
    }
}

static void place_followers(Placement *placement) {
    OctetPrepared *prepared = placement->prepared;
    const OctGraph *graph = prepared->graph;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        OctNodePlan *plan = &prepared->nodes[i];
        if (plan->int8 || plan->reason || !plan->computes) {
            continue;
        }
        bool output = prepared->quantize_outputs && node->outputs[0]->is_output;
        bool wanted = output || any_output(node, placement->wanted);
        bool live =
            any_data_input(node, placement->live) || (oct_role_of(node) == OCT_ROLE_MOVE && wanted);
        plan->int8 = live && wanted;
        if (!live) {
            plan->reason = "no int8 layer comes before it";
        } else if (!wanted) {
            plan->reason = "no int8 layer comes after it";
        }
    }
}

OctetStatus oct_place(OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    size_t count = (size_t)prepared->graph->value_count + 1;
    Placement placement = {.prepared = prepared,
                           .live = oct_calloc(count, sizeof(bool)),
                           .wanted = oct_calloc(count, sizeof(bool))};
    OctetStatus status = OCTET_OK;
    if (placement.live && placement.wanted && mark_inside(&placement)) {
        place_layers(&placement);
        mark_live(&placement);
        mark_wanted(&placement);
        place_followers(&placement);
        if (!placement.inside) { /* stubs say exactly what is wanted */
            status = oct_leave_islands(prepared, diagnostic);
        }
    } else {
        status = oct_fail_memory(diagnostic);
    }
    oct_free(placement.inside);
    oct_free(placement.live);
    oct_free(placement.wanted);
    return status;
}
