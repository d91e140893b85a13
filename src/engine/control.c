/* If, Loop, Scan: run their child graphs as scopes. Source of the rules: ONNX Operators.md. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/dynamic.h"
#include "engine/rewrite.h"

#include <inttypes.h>
#include <string.h>

bool oct_is_control(const OctNode *node) {
    return oct_node_is(node, "If") || oct_node_is(node, "Loop") || oct_node_is(node, "Scan");
}

static OctScope *child_scope(const OctCell *cell, const char *attribute) {
    int32_t number = 0;
    for (int32_t i = 0; i < cell->node->attribute_count; i++) {
        const OctAttribute *a = &cell->node->attributes[i];
        if (a->type != OCT_ATTRIBUTE_GRAPH) {
            continue;
        }
        if (strcmp(a->name, attribute) == 0) {
            return cell->children[number];
        }
        number++;
    }
    return NULL;
}

static OctDynamicValue *input_state(OctScope *scope, const OctNode *node, int32_t k) {
    const OctValue *input = oct_node_input(node, k);
    return input ? oct_scope_value(scope, input) : NULL;
}

static OctDynamicValue *child_input(OctScope *child, int32_t k) {
    return &child->values[child->graph->inputs[k]->id];
}

static OctDynamicValue *child_output(OctScope *child, int32_t k) {
    return oct_scope_value(child, child->graph->outputs[k]);
}

static OctetStatus malformed(const OctNode *node, OctetDiagnostic *diagnostic) {
    return oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, node->name,
                         "its child graph does not have the inputs and outputs that %s needs",
                         node->op_type);
}

/* A boolean scalar; true if it is left out. */
static OctetStatus read_condition(const OctDynamicValue *state, bool *condition,
                                  OctetDiagnostic *diagnostic) {
    int64_t count;
    *condition = true;
    if (!state) {
        return OCTET_OK;
    }
    if (state->view.dtype != OCTET_BOOL || !octet_shape_count(&state->view.shape, &count) ||
        count != 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a condition is one bool");
    }
    *condition = *(const uint8_t *)state->view.data != 0;
    return OCTET_OK;
}

/* ---- If ---- */

static OctetStatus run_if(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    bool condition;
    OctDynamicValue *state = input_state(scope, node, 0);
    if (!state) {
        return malformed(node, diagnostic);
    }
    OCT_TRY(read_condition(state, &condition, diagnostic));
    OctScope *child = child_scope(cell, condition ? "then_branch" : "else_branch");
    if (!child || child->graph->output_count < node->output_count) {
        return malformed(node, diagnostic);
    }
    OCT_TRY(oct_scope_run(child, diagnostic));
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctDynamicValue *made = child_output(child, k);
        if (node->outputs[k] && made) {
            oct_dynamic_share(oct_scope_value(scope, node->outputs[k]), made);
        }
    }
    return OCTET_OK;
}

/* ---- lists of results, joined along an axis at the end ---- */

typedef struct Stack {
    OctDynamicValue *items;
    int32_t count, capacity;
    size_t bytes; /* of the list, counted against the limit */
} Stack;

static OctetStatus push(OctScope *scope, Stack *stack, const OctDynamicValue *value,
                        OctetDiagnostic *diagnostic) {
    if (!value || !value->view.data) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "only tensors can be collected");
    }
    if (stack->count == stack->capacity) {
        size_t more = ((size_t)stack->capacity + 8) * sizeof *stack->items;
        OCT_TRY(oct_dynamic_spend(scope, more, "the list of what it collects", diagnostic));
        stack->bytes += more;
    }
    if (!oct_grow(&stack->items, &stack->capacity, stack->count + 1, sizeof *stack->items)) {
        return oct_fail_memory(diagnostic);
    }
    OctDynamicValue *item = &stack->items[stack->count++];
    *item = (OctDynamicValue){.view = {.shape = {.rank = -1}}};
    oct_dynamic_share(item, value);
    return OCTET_OK;
}

static void clear_stacks(OctScope *scope, Stack *stacks, int32_t count) {
    for (int32_t s = 0; s < count && stacks; s++) {
        for (int32_t i = 0; i < stacks[s].count; i++) {
            oct_dynamic_drop(&stacks[s].items[i]);
        }
        oct_dynamic_release(scope->dynamic, stacks[s].bytes);
        oct_free(stacks[s].items);
    }
    oct_free(stacks);
}

/* Items become slices of `value` along a new axis. `model` tells type and shape without items. */
static OctetStatus join(OctScope *scope, const Stack *stack, const OctValue *model, int64_t axis,
                        bool reversed, OctDynamicValue *value, OctetDiagnostic *diagnostic) {
    OctetShape item = stack->count ? stack->items[0].view.shape : model->shape;
    OctetDType dtype = stack->count ? stack->items[0].view.dtype : model->dtype;
    OctetShape shape = {.rank = (item.rank < 0 ? 0 : item.rank) + 1};
    axis += axis < 0 ? shape.rank : 0;
    if (axis < 0 || axis >= shape.rank || shape.rank > OCTET_MAX_RANK) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "can't join results along axis %" PRId64,
                        axis);
    }
    size_t outer = 1;
    size_t inner = octet_dtype_size(dtype);
    for (int32_t i = 0; i < shape.rank; i++) {
        int64_t dim = i < axis ? item.dims[i] : i > axis ? item.dims[i - 1] : stack->count;
        shape.dims[i] = dim < 0 ? 0 : dim;
        if (i < axis) {
            outer *= (size_t)shape.dims[i];
        } else if (i > axis) {
            inner *= (size_t)shape.dims[i];
        }
    }
    OCT_TRY(oct_dynamic_allocate(scope, value, dtype, &shape, diagnostic));
    size_t count = (size_t)stack->count;
    for (size_t i = 0; i < count; i++) {
        const OctView *view = &stack->items[reversed ? count - 1 - i : i].view;
        if (view->dtype != dtype || !octet_shape_equal(&view->shape, &item)) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                            "the results of different iterations have different shapes");
        }
        for (size_t o = 0; o < outer && inner; o++) {
            memcpy((char *)value->view.data + (o * count + i) * inner,
                   (const char *)view->data + o * inner, inner);
        }
    }
    return OCTET_OK;
}

/* ---- Loop ---- */

typedef struct Loop {
    OctScope *scope, *body;
    const OctNode *node;
    int32_t carried; /* values that go from one iteration to the next */
    int32_t stacked; /* values that are collected */
    Stack *stacks;
} Loop;

static OctetStatus scalar(OctScope *scope, OctDynamicValue *value, OctetDType dtype, int64_t number,
                          OctetDiagnostic *diagnostic) {
    OctetShape shape = {.rank = 0};
    OCT_TRY(oct_dynamic_allocate(scope, value, dtype, &shape, diagnostic));
    return oct_convert(dtype, value->view.data, OCTET_S64, &number, 1, diagnostic);
}

static OctetStatus read_limit(const Loop *loop, int64_t *limit, OctetDiagnostic *diagnostic) {
    const OctDynamicValue *state = input_state(loop->scope, loop->node, 0);
    int64_t count;
    *limit = INT64_MAX;
    if (!state) {
        return OCTET_OK;
    }
    if (!octet_shape_count(&state->view.shape, &count) || count != 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "the number of iterations is one integer");
    }
    return oct_convert(OCTET_S64, limit, state->view.dtype, state->view.data, 1, diagnostic);
}

static OctetStatus iterate(Loop *loop, int64_t limit, bool condition, OctetDiagnostic *diagnostic) {
    OctScope *body = loop->body;
    for (int64_t i = 0; i < limit && condition; i++) {
        OCT_TRY(oct_watch_iterate(&body->session->watch, diagnostic));
        OCT_TRY(scalar(body, child_input(body, 0), OCTET_S64, i, diagnostic));
        OCT_TRY(scalar(body, child_input(body, 1), OCTET_BOOL, 1, diagnostic));
        OCT_TRY(oct_scope_run(body, diagnostic));
        OCT_TRY(read_condition(child_output(body, 0), &condition, diagnostic));
        for (int32_t s = 0; s < loop->stacked; s++) {
            OCT_TRY(push(body, &loop->stacks[s], child_output(body, 1 + loop->carried + s),
                         diagnostic));
        }
        for (int32_t k = 0; k < loop->carried; k++) {
            oct_dynamic_share(child_input(body, 2 + k), child_output(body, 1 + k));
        }
    }
    return OCTET_OK;
}

static OctetStatus finish_loop(Loop *loop, OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < loop->node->output_count; k++) {
        const OctValue *output = loop->node->outputs[k];
        OctDynamicValue *state = output ? oct_scope_value(loop->scope, output) : NULL;
        if (!state) {
            continue;
        }
        if (k < loop->carried) {
            oct_dynamic_share(state, child_input(loop->body, 2 + k));
        } else {
            int32_t s = k - loop->carried;
            OCT_TRY(join(loop->scope, &loop->stacks[s],
                         loop->body->graph->outputs[1 + loop->carried + s], 0, false, state,
                         diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus run_loop(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    Loop loop = {.scope = scope, .body = child_scope(cell, "body"), .node = node};
    loop.carried = node->input_count > 2 ? node->input_count - 2 : 0;
    loop.stacked = node->output_count - loop.carried;
    if (!loop.body || loop.stacked < 0 || loop.body->graph->input_count != 2 + loop.carried ||
        loop.body->graph->output_count != 1 + loop.carried + loop.stacked) {
        return malformed(node, diagnostic);
    }
    int64_t limit;
    bool condition;
    OCT_TRY(read_limit(&loop, &limit, diagnostic));
    OCT_TRY(read_condition(input_state(scope, node, 1), &condition, diagnostic));
    for (int32_t k = 0; k < loop.carried; k++) {
        const OctDynamicValue *initial = input_state(scope, node, 2 + k);
        if (!initial) {
            return malformed(node, diagnostic);
        }
        oct_dynamic_share(child_input(loop.body, 2 + k), initial);
    }
    loop.stacks = oct_calloc((size_t)loop.stacked + 1, sizeof *loop.stacks);
    OctetStatus status =
        loop.stacks ? iterate(&loop, limit, condition, diagnostic) : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = finish_loop(&loop, diagnostic);
    }
    clear_stacks(scope, loop.stacks, loop.stacked);
    return status;
}

/* ---- Scan ---- */

typedef struct Scan {
    OctScope *scope, *body;
    const OctNode *node;
    int32_t states, scanned, stacked;
    int64_t length;
    Stack *stacks;
} Scan;

static int64_t listed(const OctNode *node, const char *name, int32_t index, int64_t fallback) {
    const int64_t *ints;
    int32_t count = oct_node_ints(node, name, &ints);
    return index < count ? ints[index] : fallback;
}

/* The axis of a scanned input, normalized; -1 if there is none such. */
static int64_t scan_axis(const Scan *scan, int32_t k, const OctetShape *shape) {
    int64_t axis = listed(scan->node, "scan_input_axes", k, 0);
    axis += axis < 0 ? shape->rank : 0;
    return axis >= 0 && axis < shape->rank ? axis : -1;
}

static OctetStatus measure(Scan *scan, OctetDiagnostic *diagnostic) {
    scan->length = -1;
    for (int32_t k = 0; k < scan->scanned; k++) {
        const OctDynamicValue *state = input_state(scan->scope, scan->node, scan->states + k);
        if (!state) {
            return malformed(scan->node, diagnostic);
        }
        int64_t axis = scan_axis(scan, k, &state->view.shape);
        int64_t length = axis < 0 ? -1 : state->view.shape.dims[axis];
        if (length < 0 || (scan->length >= 0 && scan->length != length)) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                            "the scanned inputs have no common length");
        }
        scan->length = length;
    }
    return OCTET_OK;
}

/* Slice i of scanned input k, along its axis. */
static OctetStatus slice(Scan *scan, int32_t k, int64_t i, OctetDiagnostic *diagnostic) {
    const OctView *view = &input_state(scan->scope, scan->node, scan->states + k)->view;
    int64_t axis = scan_axis(scan, k, &view->shape);
    OctetShape shape = {.rank = view->shape.rank - 1};
    size_t outer = 1;
    size_t inner = octet_dtype_size(view->dtype);
    for (int32_t d = 0; d < view->shape.rank; d++) {
        if (d < axis) {
            shape.dims[d] = view->shape.dims[d];
            outer *= (size_t)shape.dims[d];
        } else if (d > axis) {
            shape.dims[d - 1] = view->shape.dims[d];
            inner *= (size_t)view->shape.dims[d];
        }
    }
    if (listed(scan->node, "scan_input_directions", k, 0)) {
        i = scan->length - 1 - i;
    }
    OctDynamicValue *to = child_input(scan->body, scan->states + k);
    OCT_TRY(oct_dynamic_allocate(scan->body, to, view->dtype, &shape, diagnostic));
    for (size_t o = 0; o < outer && inner; o++) {
        memcpy((char *)to->view.data + o * inner,
               (const char *)view->data + (o * (size_t)scan->length + (size_t)i) * inner, inner);
    }
    return OCTET_OK;
}

static OctetStatus scan_all(Scan *scan, OctetDiagnostic *diagnostic) {
    for (int64_t i = 0; i < scan->length; i++) {
        OCT_TRY(oct_watch_iterate(&scan->scope->session->watch, diagnostic));
        for (int32_t k = 0; k < scan->scanned; k++) {
            OCT_TRY(slice(scan, k, i, diagnostic));
        }
        OCT_TRY(oct_scope_run(scan->body, diagnostic));
        for (int32_t s = 0; s < scan->stacked; s++) {
            OCT_TRY(push(scan->body, &scan->stacks[s], child_output(scan->body, scan->states + s),
                         diagnostic));
        }
        for (int32_t k = 0; k < scan->states; k++) {
            oct_dynamic_share(child_input(scan->body, k), child_output(scan->body, k));
        }
    }
    return OCTET_OK;
}

static OctetStatus finish_scan(Scan *scan, OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < scan->node->output_count; k++) {
        const OctValue *output = scan->node->outputs[k];
        OctDynamicValue *state = output ? oct_scope_value(scan->scope, output) : NULL;
        int32_t s = k - scan->states;
        if (!state) {
            continue;
        }
        if (s < 0) {
            oct_dynamic_share(state, child_input(scan->body, k));
        } else {
            OCT_TRY(join(scan->scope, &scan->stacks[s], scan->body->graph->outputs[k],
                         listed(scan->node, "scan_output_axes", s, 0),
                         listed(scan->node, "scan_output_directions", s, 0) != 0, state,
                         diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus run_scan(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    Scan scan = {.scope = scope, .body = child_scope(cell, "body"), .node = node};
    scan.scanned = (int32_t)oct_node_int(node, "num_scan_inputs", 0);
    scan.states = node->input_count - scan.scanned;
    scan.stacked = node->output_count - scan.states;
    if (!scan.body || scan.scanned < 1 || scan.states < 0 || scan.stacked < 0 ||
        scan.body->graph->input_count != node->input_count ||
        scan.body->graph->output_count != node->output_count) {
        return malformed(node, diagnostic);
    }
    OCT_TRY(measure(&scan, diagnostic));
    for (int32_t k = 0; k < scan.states; k++) {
        const OctDynamicValue *initial = input_state(scope, node, k);
        if (!initial) {
            return malformed(node, diagnostic);
        }
        oct_dynamic_share(child_input(scan.body, k), initial);
    }
    scan.stacks = oct_calloc((size_t)scan.stacked + 1, sizeof *scan.stacks);
    OctetStatus status = scan.stacks ? scan_all(&scan, diagnostic) : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = finish_scan(&scan, diagnostic);
    }
    clear_stacks(scope, scan.stacks, scan.stacked);
    return status;
}

OctetStatus oct_control_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    if (oct_node_is(cell->node, "If")) {
        return run_if(scope, cell, diagnostic);
    }
    return oct_node_is(cell->node, "Loop") ? run_loop(scope, cell, diagnostic)
                                           : run_scan(scope, cell, diagnostic);
}
