/* Scan: runs its body for each slice of its inputs. Source of the rules: ONNX Operators.md. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/control.h"
#include "engine/rewrite.h"

#include <string.h>

typedef struct Scan {
    OctScope *scope, *body;
    const OctNode *node;
    int32_t states, scanned, stacked;
    int64_t length;
    const OctDynamicValue *given; /* states, then what is scanned */
    OctDynamicValue *made;        /* final states, then what is collected */
    OctStack *stacks;
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
        const OctDynamicValue *state = &scan->given[scan->states + k];
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
    const OctView *view = &scan->given[scan->states + k].view;
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
    if (listed(scan->node, scan->node->opset < 9 ? "directions" : "scan_input_directions", k, 0)) {
        i = scan->length - 1 - i;
    }
    OctDynamicValue *to = oct_control_child_input(scan->body, scan->states + k);
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
            OCT_TRY(oct_stack_push(scan->body, &scan->stacks[s],
                                   oct_control_child_output(scan->body, scan->states + s),
                                   diagnostic));
        }
        for (int32_t k = 0; k < scan->states; k++) {
            oct_dynamic_share(oct_control_child_input(scan->body, k),
                              oct_control_child_output(scan->body, k));
        }
    }
    return OCTET_OK;
}

static OctetStatus finish_scan(Scan *scan, OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < scan->states; k++) {
        oct_dynamic_share(&scan->made[k], oct_control_child_input(scan->body, k));
    }
    for (int32_t s = 0; s < scan->stacked; s++) {
        int32_t k = scan->states + s;
        OCT_TRY(oct_stack_join(scan->scope, &scan->stacks[s], scan->body->graph->outputs[k],
                               listed(scan->node, "scan_output_axes", s, 0),
                               listed(scan->node, "scan_output_directions", s, 0) != 0,
                               &scan->made[k], diagnostic));
    }
    return OCTET_OK;
}

/* From `given` to `made`. */
static OctetStatus scan_once(Scan *scan, OctetDiagnostic *diagnostic) {
    OCT_TRY(measure(scan, diagnostic));
    for (int32_t k = 0; k < scan->states; k++) {
        oct_dynamic_share(oct_control_child_input(scan->body, k), &scan->given[k]);
    }
    scan->stacks = oct_calloc((size_t)scan->stacked + 1, sizeof *scan->stacks);
    OctetStatus status = scan->stacks ? scan_all(scan, diagnostic) : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = finish_scan(scan, diagnostic);
    }
    oct_stacks_clear(scan->scope, scan->stacks, scan->stacked);
    return status;
}

/* ---- opset 8: everything has a batch in front, and a node's input 0 may tell lengths ---- */

/* Row b of what the node is given; the bytes stay the node's input's. */
static OctetStatus take_row(const OctDynamicValue *from, int64_t b, OctDynamicValue *row,
                            OctetDiagnostic *diagnostic) {
    OctView view = from->view;
    size_t bytes;
    view.shape.rank--;
    for (int32_t d = 0; d < view.shape.rank; d++) {
        view.shape.dims[d] = from->view.shape.dims[d + 1];
    }
    OCT_TRY(oct_tensor_bytes(view.dtype, &view.shape, &bytes, diagnostic));
    view.data = (char *)view.data + (size_t)b * bytes;
    row->view = view;
    return OCTET_OK;
}

static OctetStatus scan_batch(Scan *scan, OctDynamicValue *rows, OctDynamicValue *made,
                              OctStack *results, OctetDiagnostic *diagnostic) {
    const OctDynamicValue *whole = scan->given;
    int32_t inputs = scan->states + scan->scanned, outputs = scan->states + scan->stacked;
    int64_t batch = whole[0].view.shape.rank > 0 ? whole[0].view.shape.dims[0] : -1;
    for (int32_t k = 0; k < inputs; k++) {
        if (whole[k].view.shape.rank < 1 || whole[k].view.shape.dims[0] != batch) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "the inputs have no common batch");
        }
    }
    for (int64_t b = 0; b < batch; b++) {
        for (int32_t k = 0; k < inputs; k++) {
            OCT_TRY(take_row(&whole[k], b, &rows[k], diagnostic));
        }
        scan->given = rows;
        scan->made = made;
        OCT_TRY(scan_once(scan, diagnostic));
        for (int32_t k = 0; k < outputs; k++) {
            OCT_TRY(oct_stack_push(scan->scope, &results[k], &made[k], diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus scan_batches(Scan *scan, OctDynamicValue *final, OctetDiagnostic *diagnostic) {
    int32_t inputs = scan->states + scan->scanned, outputs = scan->states + scan->stacked;
    OctDynamicValue *rows = oct_calloc((size_t)inputs + 1, sizeof *rows);
    OctDynamicValue *made = oct_calloc((size_t)outputs + 1, sizeof *made);
    OctStack *results = oct_calloc((size_t)outputs + 1, sizeof *results);
    OctetStatus status = rows && made && results ? scan_batch(scan, rows, made, results, diagnostic)
                                                 : oct_fail_memory(diagnostic);
    for (int32_t k = 0; k < outputs && status == OCTET_OK; k++) {
        status = oct_stack_join(scan->scope, &results[k], scan->body->graph->outputs[k], 0, false,
                                &final[k], diagnostic);
    }
    for (int32_t k = 0; made && k < outputs; k++) {
        oct_dynamic_drop(&made[k]);
    }
    oct_stacks_clear(scan->scope, results, outputs);
    oct_free(rows);
    oct_free(made);
    return status;
}

/* ---- running ---- */

static OctetStatus run_prepared(Scan *scan, int32_t first, OctDynamicValue *given,
                                OctDynamicValue *made, OctetDiagnostic *diagnostic) {
    const OctNode *node = scan->node;
    for (int32_t k = 0; k < scan->states + scan->scanned; k++) {
        const OctDynamicValue *input = oct_control_input(scan->scope, node, first + k);
        if (!input || !input->view.data) {
            return oct_control_malformed(node, diagnostic);
        }
        given[k].view = input->view; /* what the node's inputs hold stays while it runs */
        given[k].buffer = input->buffer;
    }
    scan->given = given;
    scan->made = made;
    OCT_TRY(first ? scan_batches(scan, made, diagnostic) : scan_once(scan, diagnostic));
    for (int32_t k = 0; k < node->output_count; k++) {
        OctDynamicValue *output =
            node->outputs[k] ? oct_scope_value(scan->scope, node->outputs[k]) : NULL;
        if (output) {
            oct_dynamic_share(output, &made[k]);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_scan_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const OctNode *node = cell->node;
    const int32_t first = node->opset < 9 ? 1 : 0;
    Scan scan = {.scope = scope, .body = oct_control_child(cell, "body"), .node = node};
    scan.scanned = (int32_t)oct_node_int(node, "num_scan_inputs", 0);
    scan.states = node->input_count - first - scan.scanned;
    scan.stacked = node->output_count - scan.states;
    if (!scan.body || scan.scanned < 1 || scan.states < 0 || scan.stacked < 0 ||
        scan.body->graph->input_count != node->input_count - first ||
        scan.body->graph->output_count != node->output_count) {
        return oct_control_malformed(node, diagnostic);
    }
    if (first && oct_node_input(node, 0)) {
        return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                             "lengths of sequences are not supported");
    }
    size_t inputs = (size_t)(node->input_count - first), outputs = (size_t)node->output_count;
    OctDynamicValue *given = oct_calloc(inputs + 1, sizeof *given);
    OctDynamicValue *made = oct_calloc(outputs + 1, sizeof *made);
    OctetStatus status = given && made ? run_prepared(&scan, first, given, made, diagnostic)
                                       : oct_fail_memory(diagnostic);
    for (size_t k = 0; made && k < outputs; k++) {
        oct_dynamic_drop(&made[k]);
    }
    oct_free(given);
    oct_free(made);
    return status;
}
