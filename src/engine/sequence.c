/* Sequences of tensors and optional values, while running. A sequence is a list of shared tensors
 * that never changes: inserting makes a new list over the same tensors. Source of the rules: ONNX
 * Operators.md. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/dynamic.h"
#include "engine/rewrite.h"

#include <inttypes.h>
#include <string.h>

/* What one node is run with. */
typedef struct Call {
    OctScope *scope;
    OctCell *cell;
    const OctNode *node;
    OctetDiagnostic *diagnostic;
} Call;

static OctDynamicValue *input_of(const Call *call, int32_t k) {
    const OctValue *input = oct_node_input(call->node, k);
    return input ? oct_scope_value(call->scope, input) : NULL;
}

static OctDynamicValue *output_of(const Call *call) {
    return oct_scope_value(call->scope, call->node->outputs[0]);
}

static OctetStatus fail(const Call *call, const char *reason) {
    return oct_fail_node(call->diagnostic, OCTET_ERROR_SHAPE, call->node->name, "%s %s",
                         call->node->op_type, reason);
}

static OctetStatus list_of(const Call *call, int32_t k, const OctList **list) {
    const OctDynamicValue *state = input_of(call, k);
    *list = state ? state->list : NULL;
    return *list ? OCTET_OK : fail(call, "needs a sequence as its input");
}

static OctetStatus tensor_of(const Call *call, int32_t k, const OctDynamicValue **tensor) {
    *tensor = input_of(call, k);
    return *tensor && (*tensor)->view.data ? OCTET_OK : fail(call, "needs a tensor as its input");
}

/* All tensors of a sequence have the type that the value is declared with: what reads them later
 * counts on it. */
static OctetStatus check_item(const Call *call, const OctValue *sequence,
                              const OctDynamicValue *item) {
    bool fits = item->view.data &&
                (sequence->dtype == OCTET_DTYPE_NONE || sequence->dtype == item->view.dtype);
    return fits ? OCTET_OK : fail(call, "joins tensors of different types");
}

/* A position in a list of `count` items, negative ones counted from the end. `last`: the highest
 * that is legal. */
static OctetStatus position_of(const Call *call, int32_t k, int32_t count, int32_t last,
                               int32_t *position) {
    const OctDynamicValue *state;
    int64_t elements;
    int64_t at;
    OCT_TRY(tensor_of(call, k, &state));
    if (!octet_shape_count(&state->view.shape, &elements) || elements != 1) {
        return fail(call, "needs one integer as its position");
    }
    OCT_TRY(oct_convert(OCTET_S64, &at, state->view.dtype, state->view.data, 1, call->diagnostic));
    if (at < -(int64_t)count || at > last) {
        return oct_fail_node(call->diagnostic, OCTET_ERROR_SHAPE, call->node->name,
                             "position %" PRId64 " lies outside a sequence of %d tensors", at,
                             (int)count);
    }
    *position = (int32_t)(at < 0 ? at + count : at);
    return OCTET_OK;
}

/* ---- making and changing ---- */

static OctetStatus run_construct(const Call *call) {
    OctDynamicValue *output = output_of(call);
    int32_t count = call->node->input_count;
    OCT_TRY(oct_dynamic_new_list(call->scope, output, count, call->diagnostic));
    for (int32_t k = 0; k < count; k++) {
        const OctDynamicValue *item;
        OCT_TRY(tensor_of(call, k, &item));
        OCT_TRY(check_item(call, call->node->outputs[0], item));
        oct_dynamic_share(&output->list->items[k], item);
    }
    return OCTET_OK;
}

static OctetStatus run_empty(const Call *call) {
    return oct_dynamic_new_list(call->scope, output_of(call), 0, call->diagnostic);
}

static OctetStatus run_insert(const Call *call) {
    const OctList *list;
    const OctDynamicValue *item;
    OctDynamicValue *output = output_of(call);
    OCT_TRY(list_of(call, 0, &list));
    OCT_TRY(tensor_of(call, 1, &item));
    OCT_TRY(check_item(call, call->node->outputs[0], item));
    int32_t position = list->count;
    if (oct_node_input(call->node, 2)) {
        OCT_TRY(position_of(call, 2, list->count, list->count, &position));
    }
    OCT_TRY(oct_dynamic_new_list(call->scope, output, list->count + 1, call->diagnostic));
    for (int32_t i = 0; i <= list->count; i++) {
        oct_dynamic_share(&output->list->items[i], i == position  ? item
                                                   : i < position ? &list->items[i]
                                                                  : &list->items[i - 1]);
    }
    return OCTET_OK;
}

static OctetStatus run_erase(const Call *call) {
    const OctList *list;
    int32_t position;
    OctDynamicValue *output = output_of(call);
    OCT_TRY(list_of(call, 0, &list));
    if (list->count == 0) {
        return fail(call, "can't take a tensor from an empty sequence");
    }
    position = list->count - 1;
    if (oct_node_input(call->node, 1)) {
        OCT_TRY(position_of(call, 1, list->count, list->count - 1, &position));
    }
    OCT_TRY(oct_dynamic_new_list(call->scope, output, list->count - 1, call->diagnostic));
    for (int32_t i = 0; i < output->list->count; i++) {
        oct_dynamic_share(&output->list->items[i], &list->items[i < position ? i : i + 1]);
    }
    return OCTET_OK;
}

/* ---- reading ---- */

static OctetStatus run_at(const Call *call) {
    const OctList *list;
    int32_t position;
    OCT_TRY(list_of(call, 0, &list));
    OCT_TRY(position_of(call, 1, list->count, list->count - 1, &position));
    oct_dynamic_share(output_of(call), &list->items[position]);
    return OCTET_OK;
}

static OctetStatus give_number(const Call *call, OctetDType dtype, int64_t number) {
    OctetShape scalar = {.rank = 0};
    OctDynamicValue *output = output_of(call);
    OCT_TRY(oct_dynamic_allocate(call->scope, output, dtype, &scalar, call->diagnostic));
    return oct_convert(dtype, output->view.data, OCTET_S64, &number, 1, call->diagnostic);
}

static OctetStatus run_length(const Call *call) {
    const OctList *list;
    OCT_TRY(list_of(call, 0, &list));
    return give_number(call, OCTET_S64, list->count);
}

/* ---- splitting a tensor ---- */

enum { MOST_PARTS = 1 << 20 };

/* How many rows each part takes along the axis: part_rows repeated, or the list `rows`. */
typedef struct Parts {
    int32_t count;
    int64_t each;        /* the last part takes what remains */
    const OctView *rows; /* NULL: `each` */
} Parts;

static OctetStatus rows_of(const Call *call, const Parts *parts, int32_t i, int64_t *rows) {
    if (!parts->rows) {
        *rows = parts->each;
        return OCTET_OK;
    }
    const char *at =
        (const char *)parts->rows->data + (size_t)i * octet_dtype_size(parts->rows->dtype);
    return oct_convert(OCTET_S64, rows, parts->rows->dtype, at, 1, call->diagnostic);
}

static OctetStatus measure_parts(const Call *call, int64_t length, Parts *parts) {
    const OctDynamicValue *split = input_of(call, 1);
    int64_t count;
    *parts = (Parts){.each = 1};
    if (split) {
        const OctView *view = &split->view;
        if (!view->data || view->shape.rank > 1 || !octet_shape_count(&view->shape, &count)) {
            return fail(call, "needs one or several integers as its split");
        }
        if (view->shape.rank == 1) {
            parts->rows = view;
            parts->count = (int32_t)(count < MOST_PARTS ? count : MOST_PARTS);
            return count <= MOST_PARTS ? OCTET_OK : fail(call, "makes too many tensors");
        }
        OCT_TRY(oct_convert(OCTET_S64, &parts->each, view->dtype, view->data, 1, call->diagnostic));
    }
    if (parts->each < 1) {
        return fail(call, "needs parts of at least one row");
    }
    count = length / parts->each + (length % parts->each != 0);
    parts->count = (int32_t)(count < MOST_PARTS ? count : MOST_PARTS);
    return count <= MOST_PARTS ? OCTET_OK : fail(call, "makes too many tensors");
}

/* Rows [first, first + rows) along the axis as a tensor of their own. */
static OctetStatus cut(const Call *call, const OctView *view, int32_t axis, int64_t first,
                       int64_t rows, bool keep, OctDynamicValue *item) {
    OctetShape shape = {.rank = keep ? view->shape.rank : view->shape.rank - 1};
    size_t outer = 1;
    size_t inner = octet_dtype_size(view->dtype);
    int32_t at = 0;
    for (int32_t d = 0; d < view->shape.rank; d++) {
        int64_t dim = view->shape.dims[d];
        outer *= d < axis ? (size_t)dim : 1;
        inner *= d > axis ? (size_t)dim : 1;
        if (d != axis || keep) {
            shape.dims[at++] = d == axis ? rows : dim;
        }
    }
    OCT_TRY(oct_dynamic_allocate(call->scope, item, view->dtype, &shape, call->diagnostic));
    size_t length = (size_t)view->shape.dims[axis];
    size_t bytes = (size_t)rows * inner;
    for (size_t o = 0; o < outer && bytes; o++) {
        memcpy((char *)item->view.data + o * bytes,
               (const char *)view->data + (o * length + (size_t)first) * inner, bytes);
    }
    return OCTET_OK;
}

static OctetStatus run_split(const Call *call) {
    const OctDynamicValue *whole;
    Parts parts;
    OctDynamicValue *output = output_of(call);
    OCT_TRY(tensor_of(call, 0, &whole));
    int64_t axis = oct_node_int(call->node, "axis", 0);
    int32_t rank = whole->view.shape.rank;
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank) {
        return fail(call, "has an axis that its input lacks");
    }
    int64_t length = whole->view.shape.dims[axis];
    bool keep = oct_node_input(call->node, 1) || oct_node_int(call->node, "keepdims", 1) != 0;
    OCT_TRY(measure_parts(call, length, &parts));
    OCT_TRY(oct_dynamic_new_list(call->scope, output, parts.count, call->diagnostic));
    int64_t first = 0;
    for (int32_t i = 0; i < parts.count; i++) {
        int64_t rows;
        OCT_TRY(rows_of(call, &parts, i, &rows));
        bool last = !parts.rows && i + 1 == parts.count;
        rows = last ? length - first : rows;
        if (rows < 0 || rows > length - first) {
            return fail(call, "has parts that are longer than its input");
        }
        OCT_TRY(cut(call, &whole->view, (int32_t)axis, first, rows, keep, &output->list->items[i]));
        first += rows;
    }
    return first == length ? OCTET_OK : fail(call, "has parts that are shorter than its input");
}

/* ---- joining tensors ---- */

/* The result's shape: items side by side along `axis`, which is a new one or one they have. */
static OctetStatus joined_shape(const Call *call, const OctList *list, int64_t axis, bool fresh,
                                OctetShape *shape) {
    const OctetShape *first = &list->items[0].view.shape;
    *shape = *first;
    if (fresh) {
        for (int32_t d = first->rank; d > axis; d--) {
            shape->dims[d] = first->dims[d - 1];
        }
        shape->rank++;
        shape->dims[axis] = list->count;
    }
    for (int32_t i = 1; i < list->count; i++) {
        const OctView *item = &list->items[i].view;
        bool fits = item->shape.rank == first->rank && item->dtype == list->items[0].view.dtype;
        for (int32_t d = 0; fits && d < first->rank; d++) {
            fits = item->shape.dims[d] == first->dims[d] || (!fresh && d == axis);
        }
        if (!fits || (!fresh && shape->dims[axis] > INT64_MAX - item->shape.dims[axis])) {
            return fail(call, "joins tensors whose shapes do not fit");
        }
        shape->dims[axis] += fresh ? 0 : item->shape.dims[axis];
    }
    return OCTET_OK;
}

static OctetStatus run_concat(const Call *call) {
    const OctList *list;
    OctetShape shape;
    OctDynamicValue *output = output_of(call);
    OCT_TRY(list_of(call, 0, &list));
    if (list->count == 0) {
        return fail(call, "can't join the tensors of an empty sequence");
    }
    bool fresh = oct_node_int(call->node, "new_axis", 0) != 0;
    int64_t axis = oct_node_int(call->node, "axis", 0);
    int32_t rank = list->items[0].view.shape.rank + (fresh ? 1 : 0);
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank || rank > OCTET_MAX_RANK) {
        return fail(call, "has an axis that its tensors lack");
    }
    OCT_TRY(joined_shape(call, list, axis, fresh, &shape));
    OctetDType dtype = list->items[0].view.dtype;
    OCT_TRY(oct_dynamic_allocate(call->scope, output, dtype, &shape, call->diagnostic));
    size_t outer = 1;
    size_t inner = octet_dtype_size(dtype);
    for (int32_t d = 0; d < shape.rank; d++) {
        outer *= d < axis ? (size_t)shape.dims[d] : 1;
        inner *= d > axis ? (size_t)shape.dims[d] : 1;
    }
    size_t row = (size_t)shape.dims[axis] * inner;
    size_t column = 0;
    for (int32_t i = 0; i < list->count; i++) {
        const OctView *item = &list->items[i].view;
        size_t bytes = (fresh ? 1 : (size_t)item->shape.dims[axis]) * inner;
        for (size_t o = 0; o < outer && bytes; o++) {
            memcpy((char *)output->view.data + o * row + column,
                   (const char *)item->data + o * bytes, bytes);
        }
        column += bytes;
    }
    return OCTET_OK;
}

/* ---- optional values ---- */

static OctetStatus run_optional(const Call *call) {
    const OctDynamicValue *input = input_of(call, 0);
    OctDynamicValue *output = output_of(call);
    if (input) {
        oct_dynamic_share(output, input);
    } else {
        oct_dynamic_drop(output);
        output->absent = true;
    }
    return OCTET_OK;
}

static OctetStatus run_has(const Call *call) {
    const OctDynamicValue *input = input_of(call, 0);
    return give_number(call, OCTET_BOOL, input && !input->absent);
}

static OctetStatus run_get(const Call *call) {
    const OctDynamicValue *input = input_of(call, 0);
    if (!input || input->absent) {
        return fail(call, "asks for an optional value that is absent");
    }
    oct_dynamic_share(output_of(call), input);
    return OCTET_OK;
}

/* ---- SequenceMap ---- */

static OctetStatus map_item(const Call *call, OctScope *body, int32_t i) {
    const OctNode *node = call->node;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctDynamicValue *input = input_of(call, k);
        const OctDynamicValue *given = input && input->list ? &input->list->items[i] : input;
        if (!given) {
            return fail(call, "lacks an input");
        }
        oct_dynamic_share(&body->values[body->graph->inputs[k]->id], given);
    }
    OCT_TRY(oct_scope_run(body, call->diagnostic));
    for (int32_t k = 0; k < node->output_count; k++) {
        if (!node->outputs[k]) {
            continue;
        }
        const OctDynamicValue *made = oct_scope_value(body, body->graph->outputs[k]);
        OCT_TRY(check_item(call, node->outputs[k], made));
        oct_dynamic_share(&oct_scope_value(call->scope, node->outputs[k])->list->items[i], made);
    }
    return OCTET_OK;
}

static OctetStatus run_map(const Call *call) {
    const OctNode *node = call->node;
    OctScope *body = call->cell->child_count > 0 ? call->cell->children[0] : NULL;
    const OctList *list;
    OCT_TRY(list_of(call, 0, &list));
    if (!body || body->graph->input_count != node->input_count ||
        body->graph->output_count < node->output_count) {
        return fail(call, "has a body with other inputs and outputs than it needs");
    }
    for (int32_t k = 1; k < node->input_count; k++) {
        const OctDynamicValue *input = input_of(call, k);
        if (input && input->list && input->list->count < list->count) {
            return fail(call, "has sequences of different lengths");
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k]) {
            OCT_TRY(oct_dynamic_new_list(call->scope,
                                         oct_scope_value(call->scope, node->outputs[k]),
                                         list->count, call->diagnostic));
        }
    }
    for (int32_t i = 0; i < list->count; i++) {
        OCT_TRY(oct_watch_iterate(&call->scope->session->watch, call->diagnostic));
        OCT_TRY(map_item(call, body, i));
    }
    return OCTET_OK;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    OctetStatus (*run)(const Call *call);
} operators[] = {
    {"SequenceConstruct", run_construct},
    {"SequenceEmpty", run_empty},
    {"SequenceInsert", run_insert},
    {"SequenceErase", run_erase},
    {"SequenceAt", run_at},
    {"SequenceLength", run_length},
    {"SplitToSequence", run_split},
    {"ConcatFromSequence", run_concat},
    {"SequenceMap", run_map},
    {"Optional", run_optional},
    {"OptionalHasElement", run_has},
    {"OptionalGetElement", run_get},
};

OctetStatus oct_sequence_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic) {
    const Call call = {scope, cell, cell->node, diagnostic};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (oct_node_is(cell->node, operators[i].name)) {
            return operators[i].run(&call);
        }
    }
    return oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "the engine can't run %s",
                    cell->node->op_type);
}
