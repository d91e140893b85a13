#include "base/diag.h"
#include "base/patience.h"
#include "engine/observe.h"
#include "ptq/prepared.h"

static bool wants_observing(void *user, const OctetValue *value) {
    const OctetPrepared *prepared = user;
    const OctValue *own = oct_graph_find_value(prepared->graph, value->name);
    return own && prepared->observe[own->id];
}

static OctetStatus observe_value(OctetPrepared *prepared, const OctValue *own,
                                 const OctetTensor *tensor) {
    OctGroup *group = &prepared->groups[prepared->group_of[own->id]];
    group->observed = true;
    OctetStatus status = octet_observer_observe(group->observer, tensor->data, &tensor->shape,
                                                prepared->run_diagnostic);
    return oct_fail_in_node(prepared->run_diagnostic, status, own->name);
}

static OctetStatus on_value(void *user, const OctetValue *value, const OctetTensor *tensor) {
    OctetPrepared *prepared = user;
    const OctValue *own = oct_graph_find_value(prepared->graph, value->name);
    return own && prepared->observe[own->id] ? observe_value(prepared, own, tensor) : OCTET_OK;
}

static OctetStatus allocate(OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    const OctGraph *graph = prepared->graph;
    size_t values = (size_t)graph->value_count + 1;
    prepared->arena = oct_arena_create();
    prepared->nodes = oct_calloc((size_t)graph->node_count + 1, sizeof *prepared->nodes);
    prepared->group_of = oct_calloc(values, sizeof *prepared->group_of);
    prepared->observe = oct_calloc(values, sizeof *prepared->observe);
    bool done = prepared->arena && prepared->nodes && prepared->group_of && prepared->observe;
    return done ? OCTET_OK : oct_fail_memory(diagnostic);
}

static OctetStatus check_graph(const OctGraph *graph, OctetDiagnostic *diagnostic) {
    if (graph->quantized) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "the model is quantized already; give the float model");
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i]->dead) {
            return oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "the graph has removed nodes");
        }
    }
    return OCTET_OK;
}

static OctetStatus start_session(OctetPrepared *prepared, const OctetPrepareOptions *chosen,
                                 OctetDiagnostic *diagnostic) {
    OctetSessionOptions options = {.pool = chosen->pool,
                                   .limits = chosen->limits,
                                   .observe = on_value,
                                   .observe_filter = wants_observing,
                                   .observe_user = prepared};
    OCT_TRY(octet_session_create(prepared->graph, &options, &prepared->session, diagnostic));
    /* activations are observed per tensor: any order of their elements will do */
    oct_session_observe_any_layout(prepared->session);
    return OCTET_OK;
}

static OctetStatus prepare(const OctetGraph *graph, const OctetQConfigMapping *mapping,
                           const OctetPrepareOptions *options, OctetPrepared **prepared,
                           OctetDiagnostic *diagnostic) {
    OctetPrepareOptions defaults = {0};
    options = options ? options : &defaults;
    *prepared = NULL;
    OCT_TRY(check_graph(graph, diagnostic));
    OctetPrepared *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->graph = graph;
    made->quantize_outputs = options->quantize_outputs || options->quantize_borders;
    made->quantize_borders = options->quantize_borders;
    OctetStatus status = allocate(made, diagnostic);
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        const OctNode *node = graph->nodes[i];
        made->nodes[i].qconfig =
            mapping ? *octet_qconfig_mapping_find(mapping, node->name, node->op_type)
                    : octet_qconfig_default();
        status = octet_qconfig_check(&made->nodes[i].qconfig, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_place(made, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_group_values(made, diagnostic);
    }
    if (status == OCTET_OK) {
        status = start_session(made, options, diagnostic);
    }
    if (status != OCTET_OK) {
        octet_prepared_free(made);
        return status;
    }
    for (int32_t i = 0; i < made->group_count; i++) {
        int32_t passes = octet_observer_passes(made->groups[i].observer);
        made->passes = passes > made->passes ? passes : made->passes;
    }
    *prepared = made;
    return OCTET_OK;
}

OctetStatus octet_prepare(const OctetGraph *graph, const OctetQConfigMapping *mapping,
                          const OctetPrepareOptions *options, OctetPrepared **prepared,
                          OctetDiagnostic *diagnostic) {
    OctPatience patience;
    oct_graph_begin(graph, &patience);
    OctetStatus status = prepare(graph, mapping, options, prepared, diagnostic);
    oct_patience_end(&patience);
    return status;
}

void octet_prepared_free(OctetPrepared *prepared) {
    if (!prepared) {
        return;
    }
    octet_session_free(prepared->session);
    for (int32_t i = 0; i < prepared->group_count; i++) {
        octet_observer_free(prepared->groups[i].observer);
    }
    oct_free(prepared->groups);
    oct_free(prepared->nodes);
    oct_free(prepared->group_of);
    oct_free(prepared->observe);
    oct_free(prepared->repairs);
    oct_arena_free(prepared->arena);
    oct_free(prepared);
}

OctetNodePlan octet_prepared_node(const OctetPrepared *prepared, size_t index) {
    if (index >= (size_t)prepared->graph->node_count) {
        return (OctetNodePlan){0};
    }
    const OctNodePlan *plan = &prepared->nodes[index];
    return (OctetNodePlan){plan->int8, plan->computes || plan->int8,
                           plan->int8 ? NULL : plan->reason};
}

int octet_calibrate_passes(const OctetPrepared *prepared) {
    return prepared->loaded ? 0 : prepared->passes;
}

static OctetStatus check_open(const OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    if (prepared->converted) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "calibrating after converting changes nothing; prepare again");
    }
    return OCTET_OK;
}

/* The network's inputs are made by no node, so the session does not hand them out. */
static OctetStatus observe_inputs(OctetPrepared *prepared, const OctetTensor *const *inputs,
                                  size_t input_count) {
    for (int32_t i = 0; i < prepared->graph->input_count && (size_t)i < input_count; i++) {
        const OctValue *value = prepared->graph->inputs[i];
        if (prepared->observe[value->id] && inputs[i]->dtype == OCTET_F32) {
            OCT_TRY(observe_value(prepared, value, inputs[i]));
        }
    }
    return OCTET_OK;
}

OctetStatus octet_calibrate(OctetPrepared *prepared, const OctetTensor *const *inputs,
                            size_t input_count, OctetDiagnostic *diagnostic) {
    OCT_TRY(check_open(prepared, diagnostic));
    prepared->run_diagnostic = diagnostic;
    size_t output_count = (size_t)prepared->graph->output_count;
    const OctetTensor **outputs = oct_calloc(output_count + 1, sizeof *outputs);
    if (!outputs) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = octet_session_run(prepared->session, inputs, input_count, outputs,
                                           output_count, diagnostic);
    if (status == OCTET_OK) {
        status = observe_inputs(prepared, inputs, input_count);
    }
    oct_free(outputs);
    prepared->run_diagnostic = NULL;
    return status;
}

OctetStatus octet_calibrate_next_pass(OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    OCT_TRY(check_open(prepared, diagnostic));
    prepared->pass++;
    for (int32_t i = 0; i < prepared->group_count; i++) {
        OctetObserver *observer = prepared->groups[i].observer;
        if (octet_observer_passes(observer) > prepared->pass) {
            OCT_TRY(octet_observer_next_pass(observer, diagnostic));
        }
    }
    /* what one-pass observers have seen stays as it is; they need no second look */
    for (int32_t v = 0; v < prepared->graph->value_count; v++) {
        int32_t group = prepared->group_of[v];
        prepared->observe[v] =
            prepared->observe[v] && group >= 0 &&
            octet_observer_passes(prepared->groups[group].observer) > prepared->pass;
    }
    return OCTET_OK;
}
