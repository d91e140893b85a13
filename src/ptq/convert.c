#include "base/diag.h"
#include "base/patience.h"
#include "ptq/layer.h"
#include "ptq/prepared.h"

#include <string.h>

/* A constant operand of Add, Mul, Concat or MatMul goes on a grid of its own, of the activations'
 * kind. */
static OctetStatus quantize_operand(OctGraph *graph, OctNode *node, int32_t k,
                                    const OctetQConfig *qconfig, OctetDiagnostic *diagnostic) {
    const OctetTensor *tensor = oct_value_tensor(node->inputs[k]);
    OctetQParams qparams = {0};
    OctetTensor *integers = NULL;
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_MINMAX);
    options.spec = qconfig->activation.spec;
    if (oct_value_quantized(node->inputs[k])) {
        return OCTET_OK;
    }
    OctetStatus status =
        octet_observe_tensor(&options, tensor->data, &tensor->shape, &qparams, diagnostic);
    if (status == OCTET_OK) {
        status =
            octet_quantize(tensor, &qparams, OCTET_QUANTIZE_DIVIDE, &integers, NULL, diagnostic);
    }
    if (status == OCTET_OK) {
        OctValue *value = oct_graph_add_constant(graph, node->inputs[k]->name, integers);
        status = value ? OCTET_OK : oct_fail_memory(diagnostic);
        node->inputs[k] = value;
    }
    octet_qparams_clear(&qparams);
    return oct_fail_in_node(diagnostic, status, node->name);
}

static OctetStatus calculate_grid(const OctGroup *group, OctetQParams *qparams,
                                  OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_go_on(diagnostic));
    OCT_TRY(octet_observer_calculate_qparams(group->observer, qparams, diagnostic));
    return qparams->count == 1
               ? OCTET_OK
               : oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                          "activations are quantized per tensor; a per-channel observer is for "
                          "weights");
}

/* Gives every grouped value its group's grid. */
static OctetStatus set_grids(OctetPrepared *prepared, OctGraph *graph,
                             OctetDiagnostic *diagnostic) {
    size_t groups = (size_t)prepared->group_count;
    OctetQParams *grids = oct_calloc(groups + 1, sizeof *grids);
    OctetStatus status = grids ? OCTET_OK : oct_fail_memory(diagnostic);
    for (size_t i = 0; i < groups && status == OCTET_OK; i++) {
        const OctGroup *group = &prepared->groups[i];
        status = calculate_grid(group, &grids[i], diagnostic);
        status = oct_fail_in_node(diagnostic, status, graph->values[group->root]->name);
    }
    if (status == OCTET_OK) {
        status = oct_narrow_to_flat(prepared, grids, diagnostic);
    }
    for (int32_t v = 0; v < prepared->graph->value_count && status == OCTET_OK; v++) {
        int32_t group = prepared->group_of[v];
        if (group >= 0 && !oct_graph_set_qparams(graph, graph->values[v], &grids[group])) {
            status = oct_fail_memory(diagnostic);
        }
    }
    for (size_t i = 0; grids && i < groups; i++) {
        octet_qparams_clear(&grids[i]);
    }
    oct_free(grids);
    return status;
}

static OctetStatus convert_node(OctetPrepared *prepared, OctGraph *graph, int32_t index,
                                const OctetConvertOptions *options, OctetDiagnostic *diagnostic) {
    OctNode *node = graph->nodes[index];
    const OctNodePlan *plan = &prepared->nodes[index];
    oct_node_remove_attribute(node, OCT_STUB); /* has done its work, and is no part of ONNX */
    if (!plan->int8) {
        if (plan->reason) {
            node->float_reason = oct_arena_strdup(graph->arena, plan->reason);
        }
        return OCTET_OK;
    }
    if (oct_weight_axis(node) >= 0) {
        return oct_convert_layer(prepared, graph, node, &plan->qconfig, options, diagnostic);
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (oct_role_is_data_input(node, k) && node->inputs[k]->constant) {
            OCT_TRY(quantize_operand(graph, node, k, &plan->qconfig, diagnostic));
        }
    }
    return OCTET_OK;
}

/* Before compacting, while nodes stand in the plan's order. */
static void count_nodes(const OctetPrepared *prepared, const OctGraph *graph,
                        OctetConvertReport *report) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        bool in_float = graph->nodes[i]->float_reason != NULL;
        report->quantized_nodes += prepared->nodes[i].int8 && !in_float ? 1 : 0;
        report->float_nodes += in_float ? 1 : 0;
    }
}

static OctetStatus check_calibrated(const OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    if (prepared->converted) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "converted already; prepare the float model again to convert it again");
    }
    for (int32_t i = 0; i < prepared->group_count; i++) {
        const OctGroup *group = &prepared->groups[i];
        if (!group->observed && octet_observer_passes(group->observer) > 0) {
            return oct_fail(diagnostic, OCTET_ERROR_STATE,
                            "nothing was calibrated: %s has seen no data",
                            prepared->graph->values[group->root]->name);
        }
    }
    return OCTET_OK;
}

static OctetStatus convert(OctetPrepared *prepared, const OctetConvertOptions *options,
                           OctetGraph **quantized, OctetConvertReport *report,
                           OctetDiagnostic *diagnostic) {
    OctetConvertOptions chosen = options ? *options : (OctetConvertOptions){0};
    OctGraph *graph = NULL;
    OctetConvertReport counts = {0};
    *quantized = NULL;
    OCT_TRY(check_calibrated(prepared, diagnostic));
    OCT_TRY(oct_graph_clone(prepared->graph, &graph, diagnostic));
    OctetStatus status = set_grids(prepared, graph, diagnostic);
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        status = oct_go_on(diagnostic);
        if (status == OCTET_OK) {
            status = convert_node(prepared, graph, i, &chosen, diagnostic);
        }
    }
    if (status == OCTET_OK) {
        graph->quantized = true;
        count_nodes(prepared, graph, &counts);
        status = oct_repairs_note(prepared, graph, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_graph_compact(graph, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_graph_verify(graph, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_go_on(diagnostic);
    }
    if (status != OCTET_OK) {
        oct_graph_free(graph);
        return status;
    }
    prepared->converted = true;
    if (report) {
        *report = counts;
        report->repair_count = (size_t)prepared->repair_count;
        report->repairs = prepared->repairs;
    }
    *quantized = graph;
    return OCTET_OK;
}

OctetStatus octet_convert(OctetPrepared *prepared, const OctetConvertOptions *options,
                          OctetGraph **quantized, OctetConvertReport *report,
                          OctetDiagnostic *diagnostic) {
    OctPatience patience;
    oct_graph_begin(prepared->graph, &patience);
    OctetStatus status = convert(prepared, options, quantized, report, diagnostic);
    oct_patience_end(&patience);
    return status;
}
