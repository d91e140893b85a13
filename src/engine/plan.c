/* From the source graph to a plan: the order of the passes. */
#include "base/diag.h"
#include "engine/compile.h"
#include "engine/dynamic.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "passes/passes.h"

#include <string.h>

bool oct_session_observes(const OctetSession *session, const OctValue *value) {
    const OctetSessionOptions *options = &session->options;
    return options->observe && value->origin && !value->origin->is_input &&
           value->kind == OCTET_KIND_TENSOR &&
           (!options->observe_filter ||
            options->observe_filter(options->observe_user, value->origin));
}

static OctetStatus run_passes(const OctPass *passes, size_t count, OctGraph *graph,
                              OctetDiagnostic *diagnostic) {
    for (size_t i = 0; i < count; i++) {
        OCT_TRY(oct_pass_run(passes[i], graph, diagnostic));
    }
    return OCTET_OK;
}

/* In a quantized graph a value without a grid between a layer and its activation does not exist,
 * so that hiding it is no loss even to an observer. */
static OctetStatus simplify(OctGraph *graph, bool keep_values, OctetDiagnostic *diagnostic) {
    static const OctPass for_float[] = {oct_pass_matmul_to_gemm, oct_pass_fold_pads,
                                        oct_pass_fold_batch_norm};
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    OCT_TRY(oct_pass_run(keep_values ? oct_pass_fold_constants : oct_pass_fold_constants_to_run,
                         graph, diagnostic));
    if (!keep_values) {
        OCT_TRY(oct_passes_simplify(graph, diagnostic));
    }
    if (!keep_values && !graph->quantized) {
        OCT_TRY(run_passes(for_float, sizeof for_float / sizeof *for_float, graph, diagnostic));
    }
    if (!keep_values || graph->quantized) {
        OCT_TRY(oct_pass_run(oct_pass_fuse_activations, graph, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus make_base(const OctGraph *source, bool keep_values, OctGraph **base,
                             OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_graph_clone_borrowing(source, base, diagnostic));
    for (int32_t i = 0; i < source->value_count; i++) {
        (*base)->values[i]->origin = source->values[i];
    }
    OctetStatus status = simplify(*base, keep_values, diagnostic);
    for (int32_t i = 0; i < (*base)->node_count && status == OCTET_OK; i++) {
        const OctNode *node = (*base)->nodes[i];
        if (!node->op || !node->op->prepare) {
            status = oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                                   "Octet lacks the operator %s%s%s of opset %d", node->domain,
                                   *node->domain ? "." : "", node->op_type, (int)node->opset);
        }
    }
    if (status != OCTET_OK) {
        oct_graph_free(*base);
        *base = NULL;
    }
    return status;
}

static OctetStatus make_shared_base(const OctGraph *source, OctGraph **base,
                                    OctetDiagnostic *diagnostic) {
    return make_base(source, false, base, diagnostic);
}

OctetStatus oct_plan_base(OctetSession *session, OctetDiagnostic *diagnostic) {
    if (!session->options.observe) {
        return oct_pack_base(session->packs, make_shared_base, &session->base, diagnostic);
    }
    OCT_TRY(make_base(session->graph, true, &session->own_base, diagnostic));
    session->base = session->own_base;
    return OCTET_OK;
}

/* ---- shapes ---- */

static OctetStatus shapes_disagree(const OctValue *input, const OctetShape *given,
                                   const OctetSession *session, OctetDiagnostic *diagnostic) {
    char wanted[128];
    char got[128];
    octet_graph_shape_format(session->graph, &input->shape, wanted, sizeof wanted);
    octet_shape_format(given, got, sizeof got);
    return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "input %s has shape %s, but %s was given",
                    input->name, wanted, got);
}

/* Symbols take the given numbers, one symbol the same everywhere. */
static OctetStatus bind_input(const OctetSession *session, const OctValue *input,
                              const OctetShape *given, int64_t *symbols,
                              OctetDiagnostic *diagnostic) {
    if (input->kind != OCTET_KIND_TENSOR) {
        return OCTET_OK; /* its items tell their shapes when they are taken out */
    }
    if (given->rank < 0 || given->rank > OCTET_MAX_RANK) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the tensor for input %s has no valid rank", input->name);
    }
    for (int32_t d = 0; d < given->rank; d++) {
        if (given->dims[d] < 0) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "the shape for input %s has a negative dimension", input->name);
        }
    }
    if (input->shape.rank < 0) {
        return OCTET_OK;
    }
    if (input->shape.rank != given->rank) {
        return shapes_disagree(input, given, session, diagnostic);
    }
    for (int32_t d = 0; d < given->rank; d++) {
        int64_t dim = input->shape.dims[d];
        if (dim >= 0 && dim != given->dims[d]) {
            return shapes_disagree(input, given, session, diagnostic);
        }
        if (dim < 0 && dim != OCT_DIM_UNKNOWN && -dim <= session->base->symbol_count) {
            int64_t *bound = &symbols[-dim - 1];
            if (*bound >= 0 && *bound != given->dims[d]) {
                return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                                "dimension %s is %lld in input %s, but %lld in another",
                                oct_graph_symbol_name(session->base, dim),
                                (long long)given->dims[d], input->name, (long long)*bound);
            }
            *bound = given->dims[d];
        }
    }
    return OCTET_OK;
}

static OctetStatus bind_inputs(const OctetSession *session, OctPlan *plan,
                               OctetDiagnostic *diagnostic) {
    OctGraph *graph = plan->graph;
    size_t count = (size_t)session->base->symbol_count;
    int64_t *symbols = oct_calloc(count + 1, sizeof *symbols);
    OctetStatus status = symbols ? OCTET_OK : oct_fail_memory(diagnostic);
    for (size_t i = 0; symbols && i < count; i++) {
        symbols[i] = -1;
    }
    for (int32_t i = 0; i < plan->input_count && status == OCTET_OK; i++) {
        status = bind_input(session, graph->inputs[i], &plan->input_shapes[i], symbols, diagnostic);
        graph->inputs[i]->shape = plan->input_shapes[i];
    }
    oct_free(symbols);
    return status;
}

/* What the file says of inner shapes is in terms of symbols: inference finds the numbers anew. */
static void forget_shapes(OctGraph *graph) {
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        if (value->producer) {
            value->shape = (OctetShape){.rank = -1};
            value->known = NULL;
        }
    }
}

static OctetStatus settle_shapes(OctetSession *session, OctPlan *plan,
                                 OctetDiagnostic *diagnostic) {
    OctGraph *graph = plan->graph;
    OCT_TRY(bind_inputs(session, plan, diagnostic));
    forget_shapes(graph);
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    return oct_pass_run(oct_pass_fold_constants, graph, diagnostic);
}

/* ---- the passes ---- */

static OctetStatus optimize(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic) {
    OctGraph *graph = plan->graph;
    OCT_TRY(oct_plan_borders(session, plan, diagnostic));
    OCT_TRY(oct_plan_regions(session, graph, diagnostic));
    OCT_TRY(oct_pass_run(oct_pass_remove_dead, graph, diagnostic));
    OCT_TRY(oct_plan_normalize(session, graph, diagnostic));
    OCT_TRY(oct_plan_row_norms(session, graph, diagnostic));
    OCT_TRY(oct_plan_tables(session, graph, diagnostic));
    OCT_TRY(oct_pass_run(oct_pass_remove_dead, graph, diagnostic));
    OCT_TRY(oct_plan_layout(session, graph, diagnostic));
    OCT_TRY(oct_plan_fold(session, graph, diagnostic));
    OCT_TRY(oct_pass_run(oct_pass_remove_dead, graph, diagnostic));
    OCT_TRY(oct_plan_fuse(session, graph, diagnostic));
    return oct_plan_join(session, graph, diagnostic);
}

static OctetStatus copy_inputs(OctPlan *plan, const OctetShape *shapes, const bool *integers,
                               int32_t count, OctetDiagnostic *diagnostic) {
    plan->input_count = count;
    plan->input_shapes = oct_calloc((size_t)count + 1, sizeof *plan->input_shapes);
    plan->input_integers = oct_calloc((size_t)count + 1, sizeof *plan->input_integers);
    if (!plan->input_shapes || !plan->input_integers) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < count; i++) {
        plan->input_shapes[i] = shapes[i];
        plan->input_integers[i] = integers[i];
    }
    return OCTET_OK;
}

static OctetStatus leave_in_float(const OctetSession *session, OctGraph *graph,
                                  OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < session->float_node_count; i++) {
        OctNode *node = oct_graph_find_node(graph, session->float_nodes[i].name);
        if (!node) {
            continue;
        }
        node->keep_float = true;
        node->float_reason = oct_arena_strdup(graph->arena, session->float_nodes[i].reason);
        if (!node->float_reason) {
            return oct_fail_memory(diagnostic);
        }
    }
    return OCTET_OK;
}

static OctetStatus attempt(OctetSession *session, const OctetShape *input_shapes,
                           const bool *input_integers, OctPlan *plan, OctetDiagnostic *diagnostic) {
    OCT_TRY(
        copy_inputs(plan, input_shapes, input_integers, session->base->input_count, diagnostic));
    OCT_TRY(oct_graph_clone_borrowing(session->base, &plan->graph, diagnostic));
    OCT_TRY(leave_in_float(session, plan->graph, diagnostic));
    OCT_TRY(settle_shapes(session, plan, diagnostic));
    OCT_TRY(optimize(session, plan, diagnostic));
    OCT_TRY(oct_plan_compile(session, plan, diagnostic));
    return oct_go_on(diagnostic);
}

OctetStatus oct_plan_create(OctetSession *session, const OctetShape *input_shapes,
                            const bool *input_integers, OctPlan **plan,
                            OctetDiagnostic *diagnostic) {
    *plan = NULL;
    do {
        session->replan = false;
        OctPlan *made = oct_calloc(1, sizeof *made);
        if (!made) {
            return oct_fail_memory(diagnostic);
        }
        OctetStatus status = attempt(session, input_shapes, input_integers, made, diagnostic);
        if (status == OCTET_OK) {
            *plan = made;
            return OCTET_OK;
        }
        oct_plan_free(made);
        if (!session->replan) {
            return status;
        }
        /* every round leaves at least one node more in float, so that this ends */
    } while (session->float_node_count <= session->base->node_count);
    return oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "planning does not come to an end");
}

void oct_plan_free(OctPlan *plan) {
    if (!plan) {
        return;
    }
    for (int32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].op.destroy) {
            plan->steps[i].op.destroy(plan->steps[i].op.state);
        }
    }
    oct_dynamic_free(plan->dynamic);
    oct_free(plan->steps);
    oct_free(plan->views);
    oct_free(plan->view_places);
    oct_free(plan->input_views);
    oct_free(plan->places);
    oct_free(plan->copies);
    for (int32_t i = 0; plan->outputs && i < plan->output_count; i++) {
        oct_free(plan->outputs[i].items);
    }
    oct_free(plan->outputs);
    oct_free(plan->output_places);
    oct_free(plan->input_shapes);
    oct_free(plan->input_integers);
    oct_graph_free(plan->graph);
    oct_free(plan);
}
