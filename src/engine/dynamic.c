#include "engine/dynamic.h"
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/observe.h"
#include "engine/rewrite.h"

#include <string.h>

/* Integers that inference may look at: lists of sizes, axes, indices. */
enum { MOST_KNOWN = 64 };

/* ---- running a node ---- */

static uint64_t mix(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ p[i]) * 1099511628211ULL;
    }
    return hash;
}

/* Tells inference what is known of a value now: its shape and, for short lists, its integers. */
static OctetStatus reveal(OctValue *value, OctDynamicValue *state, uint64_t *key,
                          OctetDiagnostic *diagnostic) {
    const OctView *view = &state->view;
    *key = mix(*key, &view->dtype, sizeof view->dtype);
    *key = mix(*key, &view->shape.rank, sizeof view->shape.rank);
    for (int32_t i = 0; i < view->shape.rank; i++) {
        *key = mix(*key, &view->shape.dims[i], sizeof(int64_t));
    }
    if (value->constant) {
        return OCTET_OK;
    }
    value->shape = view->shape;
    value->known = NULL;
    int64_t count;
    bool integers =
        view->dtype == OCTET_S64 || view->dtype == OCTET_S32 || view->dtype == OCTET_BOOL;
    if (!integers || view->shape.rank > 1 || !octet_shape_count(&view->shape, &count) ||
        count > MOST_KNOWN) {
        return OCTET_OK;
    }
    if (!state->known) {
        state->known = oct_calloc(MOST_KNOWN, sizeof *state->known);
        if (!state->known) {
            return oct_fail_memory(diagnostic);
        }
    }
    OCT_TRY(oct_convert(OCTET_S64, state->known, view->dtype, view->data, count, diagnostic));
    value->known = state->known;
    value->known_count = (int32_t)count;
    *key = mix(*key, state->known, (size_t)count * sizeof(int64_t));
    return OCTET_OK;
}

/* Inference allocates in the graph's arena, which would grow with every run: each cell lends its
 * own for the time. */
static OctetStatus infer_cell(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    OctNode *node = cell->node;
    OctArena *own = scope->graph->arena;
    oct_arena_free(cell->arena);
    cell->arena = oct_arena_create();
    if (!cell->arena) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k]) {
            node->outputs[k]->shape = (OctetShape){.rank = -1};
            node->outputs[k]->known = NULL;
        }
    }
    scope->graph->arena = cell->arena;
    OctetStatus status =
        node->op->infer ? node->op->infer(scope->graph, node, diagnostic) : OCTET_OK;
    scope->graph->arena = own;
    return status;
}

/* Operators whose output shapes do not depend on data count on shapes that are known by now; a
 * shape of numbers alone whose product overflows is no shape that anyone can have. */
static OctetStatus check_outputs(const OctNode *node, OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        if (!output || oct_value_has_static_shape(output)) {
            continue;
        }
        bool numbers = output->shape.rank >= 0;
        for (int32_t i = 0; i < output->shape.rank; i++) {
            numbers = numbers && output->shape.dims[i] >= 0;
        }
        if (numbers) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the shape of %s is too large",
                            output->name);
        }
        if (!(node->op->flags & OCT_OP_DYNAMIC)) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "the shape of %s can't be known",
                            output->name);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_cell(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    if (cell->op.destroy) {
        cell->op.destroy(cell->op.state);
    }
    scope->dynamic->table_bytes -= cell->op.table_bytes;
    cell->op = (OctPreparedOp){0};
    cell->prepared = false;
    OCT_TRY(infer_cell(scope, cell, diagnostic));
    OCT_TRY(check_outputs(cell->node, diagnostic));
    OctetStatus status = oct_prepare_node(scope->session, scope->graph, cell->node,
                                          oct_dynamic_left(scope), &cell->op, diagnostic);
    scope->dynamic->table_bytes += cell->op.table_bytes;
    OCT_TRY(status);
    cell->prepared = true;
    size_t bytes = cell->op.workspace_bytes;
    if (bytes > scope->dynamic->workspace_bytes) {
        oct_aligned_free(scope->dynamic->workspace);
        scope->dynamic->workspace_bytes = 0;
        scope->dynamic->workspace = NULL;
        OCT_TRY(oct_dynamic_check(scope, bytes, "its work space", diagnostic));
        scope->dynamic->workspace = oct_aligned_alloc(bytes);
        if (!scope->dynamic->workspace) {
            return oct_fail_memory(diagnostic);
        }
        scope->dynamic->workspace_bytes = bytes;
    }
    return OCTET_OK;
}

typedef struct Running {
    OctScope *scope;
    OctCell *cell;
} Running;

static OctetStatus resize_output(const OctRun *run, int32_t k, const OctetShape *shape) {
    Running *running = run->engine;
    const OctValue *output = running->cell->node->outputs[k];
    OctDynamicValue *state = oct_scope_value(running->scope, output);
    OCT_TRY(oct_dynamic_allocate(running->scope, state, oct_value_storage(output), shape,
                                 run->diagnostic));
    run->outputs[k] = state->view;
    return OCTET_OK;
}

/* An operator that is prepared for a type reads the bytes of that type; the branches of an If and
 * the iterations of a Loop may have given another. */
static OctetStatus check_input(const OctValue *input, const OctDynamicValue *state,
                               OctetDiagnostic *diagnostic) {
    if (state && (state->list || state->absent)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "its input %s is %s, not a tensor",
                        input->name, state->list ? "a sequence" : "absent");
    }
    if (!state || !state->view.data) {
        return oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "input %s is not there", input->name);
    }
    if (state->view.dtype != oct_value_storage(input)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "its input %s is of type %s, not %s",
                        input->name, octet_dtype_name(state->view.dtype),
                        octet_dtype_name(oct_value_storage(input)));
    }
    return OCTET_OK;
}

static OctetStatus run_operator(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    OctNode *node = cell->node;
    uint64_t key = 14695981039346656037ULL;
    for (int32_t k = 0; k < node->input_count; k++) {
        cell->inputs[k] = (OctView){.shape = {.rank = -1}};
        if (node->inputs[k]) {
            OctDynamicValue *state = oct_scope_value(scope, node->inputs[k]);
            OCT_TRY(check_input(node->inputs[k], state, diagnostic));
            cell->inputs[k] = state->view;
            OCT_TRY(reveal(node->inputs[k], state, &key, diagnostic));
        }
    }
    if (!cell->prepared || cell->key != key) {
        OCT_TRY(prepare_cell(scope, cell, diagnostic));
        cell->key = key;
    }
    Running running = {scope, cell};
    OctRun run = {.inputs = cell->inputs,
                  .outputs = cell->outputs,
                  .input_count = node->input_count,
                  .output_count = node->output_count,
                  .workspace = scope->dynamic->workspace,
                  .pool = scope->session->options.pool,
                  .diagnostic = diagnostic,
                  .resize_output = resize_output,
                  .table_limit = oct_dynamic_left(scope),
                  .engine = &running};
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        cell->outputs[k] = (OctView){.shape = {.rank = -1}};
        if (!output) {
            continue;
        }
        cell->outputs[k].dtype = oct_value_storage(output);
        if (oct_value_has_static_shape(output)) {
            OCT_TRY(resize_output(&run, k, &output->shape));
        }
    }
    OCT_TRY(cell->op.run(cell->op.state, &run));
    return oct_noted_go_on(diagnostic);
}

/* Lets go of what no later node of the scope needs. What child graphs take from outside stays until
 * the next run. */
static void consume_inputs(OctScope *scope, const OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        OctDynamicValue *state = input ? oct_scope_value(scope, input) : NULL;
        bool own = state >= scope->values && state < scope->values + scope->value_count;
        if (state && own && !input->constant && --state->uses_left == 0) {
            oct_dynamic_drop(state);
        }
    }
}

static OctetStatus run_node(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    OCT_TRY(oct_go_on(diagnostic));
    if (node->op->flags & OCT_OP_ENGINE) {
        return oct_is_control(node) ? oct_control_run(scope, cell, diagnostic)
                                    : oct_sequence_run(scope, cell, diagnostic);
    }
    const OctValue *input = oct_node_input(node, 0);
    const OctDynamicValue *state = input ? oct_scope_value(scope, input) : NULL;
    if (oct_node_is(node, "Identity") && state && (state->list || state->absent)) {
        oct_dynamic_share(oct_scope_value(scope, node->outputs[0]), state);
        return OCTET_OK;
    }
    return run_operator(scope, cell, diagnostic);
}

static double bytes_of(const OctView *views, int32_t count) {
    double bytes = 0;
    for (int32_t k = 0; k < count; k++) {
        int64_t elements;
        if (views[k].data && octet_shape_count(&views[k].shape, &elements)) {
            bytes += (double)elements * (double)octet_dtype_size(views[k].dtype);
        }
    }
    return bytes;
}

static OctetStatus run_timed(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    double start = oct_clock();
    OctetStatus status = run_node(scope, cell, diagnostic);
    cell->seconds += oct_clock() - start;
    cell->executions++;
    if (!(cell->node->op->flags & OCT_OP_ENGINE)) {
        cell->bytes += bytes_of(cell->inputs, cell->node->input_count) +
                       bytes_of(cell->outputs, cell->node->output_count);
    }
    return status;
}

static OctetStatus run_cell(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    OctNode *node = cell->node;
    OctetStatus status = scope->session->options.per_node_times ? run_timed(scope, cell, diagnostic)
                                                                : run_node(scope, cell, diagnostic);
    for (int32_t k = 0; k < node->output_count && status == OCTET_OK; k++) {
        OctDynamicValue *state = node->outputs[k] ? oct_scope_value(scope, node->outputs[k]) : NULL;
        if (state && !oct_dynamic_is_there(state)) {
            status = oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "output %d was not made", (int)k);
        }
        cell->outputs[k] = state ? state->view : (OctView){.shape = {.rank = -1}};
    }
    if (status == OCTET_OK) {
        status = oct_observe(scope->session, node, cell->outputs, diagnostic);
    }
    if (status != OCTET_OK) {
        return scope->session->replan ? status : oct_fail_in_node(diagnostic, status, node->name);
    }
    consume_inputs(scope, node);
    return OCTET_OK;
}

/* ---- running a scope ---- */

static void start_scope(OctScope *scope) {
    for (int32_t i = 0; i < scope->value_count; i++) {
        const OctValue *value = scope->graph->values[i];
        scope->values[i].uses_left = scope->values[i].uses;
        if (value->producer) {
            oct_dynamic_drop(&scope->values[i]);
        }
    }
}

OctetStatus oct_scope_run(OctScope *scope, OctetDiagnostic *diagnostic) {
    start_scope(scope);
    for (int32_t i = 0; i < scope->cell_count; i++) {
        OCT_TRY(run_cell(scope, &scope->cells[i], diagnostic));
    }
    return OCTET_OK;
}

/* What the static steps have made, where the dynamic part can see it. */
static OctetStatus show_static(const OctPlan *plan, OctScope *root,
                               const OctetTensor *const *inputs, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < root->value_count; i++) {
        const OctValue *value = root->graph->values[i];
        const OctPlace *place = &plan->places[i];
        OctView view = {.dtype = oct_value_storage(value), .shape = value->shape};
        if (place->kind == OCT_PLACE_ARENA) {
            view.data = plan->bound_arena + place->offset;
        } else if (place->kind == OCT_PLACE_INPUT) {
            view.data = inputs[place->index]->data;
        } else {
            continue;
        }
        root->values[i].view = view;
    }
    for (int32_t i = 0; i < root->graph->input_count; i++) {
        const OctValue *input = root->graph->inputs[i];
        if (input->kind != OCTET_KIND_TENSOR) {
            OCT_TRY(oct_dynamic_take(root, &root->values[input->id], inputs[i], diagnostic));
        }
    }
    return OCTET_OK;
}

OctetStatus oct_dynamic_run(OctPlan *plan, const OctetTensor *const *inputs,
                            OctetDiagnostic *diagnostic) {
    OctScope *root = plan->dynamic->root;
    plan->dynamic->runs++;
    start_scope(root);
    OCT_TRY(show_static(plan, root, inputs, diagnostic));
    for (int32_t i = 0; i < root->cell_count; i++) {
        OCT_TRY(run_cell(root, &root->cells[i], diagnostic));
    }
    for (int32_t i = 0; i < plan->output_count; i++) {
        if (plan->output_places[i].kind == OCT_PLACE_HEAP) {
            OCT_TRY(oct_dynamic_show(&root->values[plan->graph->outputs[i]->id], &plan->outputs[i],
                                     diagnostic));
        }
    }
    return OCTET_OK;
}
