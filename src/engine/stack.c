/* What the operators with child graphs share: their inputs and outputs, and results of iterations.
 */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/control.h"

#include <inttypes.h>
#include <string.h>

OctScope *oct_control_child(const OctCell *cell, const char *attribute) {
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

OctDynamicValue *oct_control_input(OctScope *scope, const OctNode *node, int32_t k) {
    const OctValue *input = oct_node_input(node, k);
    return input ? oct_scope_value(scope, input) : NULL;
}

OctDynamicValue *oct_control_child_input(OctScope *child, int32_t k) {
    return &child->values[child->graph->inputs[k]->id];
}

OctDynamicValue *oct_control_child_output(OctScope *child, int32_t k) {
    return oct_scope_value(child, child->graph->outputs[k]);
}

OctetStatus oct_control_malformed(const OctNode *node, OctetDiagnostic *diagnostic) {
    return oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, node->name,
                         "its child graph does not have the inputs and outputs that %s needs",
                         node->op_type);
}

OctetStatus oct_stack_push(OctScope *scope, OctStack *stack, const OctDynamicValue *value,
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

void oct_stacks_clear(OctScope *scope, OctStack *stacks, int32_t count) {
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
OctetStatus oct_stack_join(OctScope *scope, const OctStack *stack, const OctValue *model,
                           int64_t axis, bool reversed, OctDynamicValue *value,
                           OctetDiagnostic *diagnostic) {
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
