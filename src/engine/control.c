/* If and Loop: run their child graphs as scopes. Source of the rules: ONNX Operators.md. */
#include "engine/control.h"
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/rewrite.h"

#include <inttypes.h>
#include <string.h>

bool oct_is_control(const OctNode *node) {
    return oct_node_is(node, "If") || oct_node_is(node, "Loop") || oct_node_is(node, "Scan");
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
    OctDynamicValue *state = oct_control_input(scope, node, 0);
    if (!state) {
        return oct_control_malformed(node, diagnostic);
    }
    OCT_TRY(read_condition(state, &condition, diagnostic));
    OctScope *child = oct_control_child(cell, condition ? "then_branch" : "else_branch");
    if (!child || child->graph->output_count < node->output_count) {
        return oct_control_malformed(node, diagnostic);
    }
    OCT_TRY(oct_scope_run(child, diagnostic));
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctDynamicValue *made = oct_control_child_output(child, k);
        if (node->outputs[k] && made) {
            oct_dynamic_share(oct_scope_value(scope, node->outputs[k]), made);
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
    OctStack *stacks;
} Loop;

static OctetStatus scalar(OctScope *scope, OctDynamicValue *value, OctetDType dtype, int64_t number,
                          OctetDiagnostic *diagnostic) {
    OctetShape shape = {.rank = 0};
    OCT_TRY(oct_dynamic_allocate(scope, value, dtype, &shape, diagnostic));
    return oct_convert(dtype, value->view.data, OCTET_S64, &number, 1, diagnostic);
}

static OctetStatus read_limit(const Loop *loop, int64_t *limit, OctetDiagnostic *diagnostic) {
    const OctDynamicValue *state = oct_control_input(loop->scope, loop->node, 0);
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
        OCT_TRY(scalar(body, oct_control_child_input(body, 0), OCTET_S64, i, diagnostic));
        OCT_TRY(scalar(body, oct_control_child_input(body, 1), OCTET_BOOL, 1, diagnostic));
        OCT_TRY(oct_scope_run(body, diagnostic));
        OCT_TRY(read_condition(oct_control_child_output(body, 0), &condition, diagnostic));
        for (int32_t s = 0; s < loop->stacked; s++) {
            OCT_TRY(oct_stack_push(body, &loop->stacks[s],
                                   oct_control_child_output(body, 1 + loop->carried + s),
                                   diagnostic));
        }
        for (int32_t k = 0; k < loop->carried; k++) {
            oct_dynamic_share(oct_control_child_input(body, 2 + k),
                              oct_control_child_output(body, 1 + k));
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
            oct_dynamic_share(state, oct_control_child_input(loop->body, 2 + k));
        } else {
            int32_t s = k - loop->carried;
            OCT_TRY(oct_stack_join(loop->scope, &loop->stacks[s],
                                   loop->body->graph->outputs[1 + loop->carried + s], 0, false,
                                   state, diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus run_loop(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    Loop loop = {.scope = scope, .body = oct_control_child(cell, "body"), .node = node};
    loop.carried = node->input_count > 2 ? node->input_count - 2 : 0;
    loop.stacked = node->output_count - loop.carried;
    if (!loop.body || loop.stacked < 0 || loop.body->graph->input_count != 2 + loop.carried ||
        loop.body->graph->output_count != 1 + loop.carried + loop.stacked) {
        return oct_control_malformed(node, diagnostic);
    }
    int64_t limit;
    bool condition;
    OCT_TRY(read_limit(&loop, &limit, diagnostic));
    OCT_TRY(read_condition(oct_control_input(scope, node, 1), &condition, diagnostic));
    for (int32_t k = 0; k < loop.carried; k++) {
        const OctDynamicValue *initial = oct_control_input(scope, node, 2 + k);
        if (!initial) {
            return oct_control_malformed(node, diagnostic);
        }
        oct_dynamic_share(oct_control_child_input(loop.body, 2 + k), initial);
    }
    loop.stacks = oct_calloc((size_t)loop.stacked + 1, sizeof *loop.stacks);
    OctetStatus status =
        loop.stacks ? iterate(&loop, limit, condition, diagnostic) : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = finish_loop(&loop, diagnostic);
    }
    oct_stacks_clear(scope, loop.stacks, loop.stacked);
    return status;
}

OctetStatus oct_control_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    if (oct_node_is(cell->node, "If")) {
        return run_if(scope, cell, diagnostic);
    }
    return oct_node_is(cell->node, "Loop") ? run_loop(scope, cell, diagnostic)
                                           : oct_scan_run(scope, cell, diagnostic);
}
