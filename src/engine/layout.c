#include "engine/layout.h"
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"

#include <string.h>

/* ---- permutations ---- */

void oct_permutation_to_last(int32_t rank, int32_t *permutation) {
    permutation[0] = 0;
    for (int32_t i = 1; i < rank - 1; i++) {
        permutation[i] = i + 1;
    }
    permutation[rank - 1] = 1;
}

void oct_permutation_to_first(int32_t rank, int32_t *permutation) {
    permutation[0] = 0;
    permutation[1] = rank - 1;
    for (int32_t i = 2; i < rank; i++) {
        permutation[i] = i - 1;
    }
}

OctetShape oct_shape_permuted(const OctetShape *shape, const int32_t *permutation) {
    OctetShape result = {.rank = shape->rank};
    for (int32_t i = 0; i < shape->rank; i++) {
        result.dims[i] = shape->dims[permutation[i]];
    }
    return result;
}

int64_t oct_axis_in_last(int64_t axis, int32_t rank) {
    return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

/* ---- new values ---- */

OctetStatus oct_layout_ints(OctLayoutPass *pass, const char *name, const int64_t *ints,
                            int32_t count, OctValue **value) {
    OctetTensor *tensor;
    OctetShape shape = {.rank = 1, .dims = {count}};
    OCT_TRY(octet_tensor_create(OCTET_S64, &shape, &tensor, pass->diagnostic));
    if (count) {
        memcpy(tensor->data, ints, (size_t)count * sizeof *ints);
    }
    *value = oct_graph_add_constant(pass->graph, name, tensor);
    return *value ? OCTET_OK : oct_fail_memory(pass->diagnostic);
}

/* The node's output gets the type and grid of its input. */
static OctetStatus like_input(OctLayoutPass *pass, OctNode *node, const OctetShape *shape,
                              OctValue **to) {
    const OctValue *from = node->inputs[0];
    *to = node->outputs[0];
    (*to)->dtype = from->dtype;
    (*to)->shape = *shape;
    (*to)->origin = NULL;
    (*to)->channels_last = false;
    return oct_graph_set_qparams(pass->graph, *to, &from->qparams)
               ? OCTET_OK
               : oct_fail_memory(pass->diagnostic);
}

OctetStatus oct_layout_reshape(OctLayoutPass *pass, OctNode *before, OctValue *from,
                               const OctetShape *shape, OctValue **to) {
    OctNode *node = NULL;
    OctValue *target = NULL;
    OCT_TRY(oct_layout_ints(pass, "shape", shape->dims, shape->rank, &target));
    OCT_TRY(oct_insert_unary(pass->graph, before, "", "Reshape", from, &node, pass->diagnostic));
    if (!oct_node_set_input(pass->graph, node, 1, target) ||
        !oct_node_set_int(pass->graph, node, "allowzero", 1)) {
        return oct_fail_memory(pass->diagnostic);
    }
    return like_input(pass, node, shape, to);
}

/* Axes of size 1 may move without anything happening in memory. */
static bool moves_nothing(const OctetShape *shape, const int32_t *permutation) {
    int32_t last = -1;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[permutation[i]] < 0) {
            return false;
        }
        if (shape->dims[permutation[i]] != 1) {
            if (permutation[i] < last) {
                return false;
            }
            last = permutation[i];
        }
    }
    return true;
}

OctetStatus oct_layout_transpose(OctLayoutPass *pass, OctNode *before, OctValue *from,
                                 const int32_t *permutation, OctValue **to) {
    OctetShape shape = oct_shape_permuted(&from->shape, permutation);
    int64_t perm[OCTET_MAX_RANK];
    OctNode *node = NULL;
    if (moves_nothing(&from->shape, permutation)) {
        return oct_layout_reshape(pass, before, from, &shape, to);
    }
    for (int32_t i = 0; i < shape.rank; i++) {
        perm[i] = permutation[i];
    }
    OCT_TRY(oct_insert_unary(pass->graph, before, "", "Transpose", from, &node, pass->diagnostic));
    if (!oct_node_set_ints(pass->graph, node, "perm", perm, shape.rank)) {
        return oct_fail_memory(pass->diagnostic);
    }
    return like_input(pass, node, &shape, to);
}

/* ---- forms ---- */

bool oct_layout_can_be_last(const OctValue *value) {
    return value->shape.rank >= 3 && value->shape.rank <= 5;
}

static OctForms *forms_of(const OctLayoutPass *pass, const OctValue *value) {
    return value->id >= 0 && value->id < pass->value_count ? &pass->forms[value->id] : NULL;
}

bool oct_layout_has_last(const OctLayoutPass *pass, const OctValue *value) {
    const OctForms *forms = forms_of(pass, value);
    return forms && forms->last;
}

/* The conversion's output becomes the value itself, which keeps its name (it may be an output). */
static OctetStatus materialize_first(OctLayoutPass *pass, OctNode *before, OctValue *value,
                                     OctForms *forms) {
    int32_t permutation[OCTET_MAX_RANK];
    OctValue *made = NULL;
    oct_permutation_to_first(value->shape.rank, permutation);
    OCT_TRY(oct_layout_transpose(pass, before, forms->last, permutation, &made));
    oct_node_set_output(made->producer, 0, value);
    value->origin = NULL;
    forms->first = value;
    return OCTET_OK;
}

OctetStatus oct_layout_form(OctLayoutPass *pass, OctNode *before, OctValue *value, bool last,
                            OctValue **form) {
    OctForms *forms = forms_of(pass, value);
    if (!forms) {
        *form = value;
        return OCTET_OK;
    }
    if (last && !forms->last) {
        int32_t permutation[OCTET_MAX_RANK];
        oct_permutation_to_last(value->shape.rank, permutation);
        OCT_TRY(oct_layout_transpose(pass, before, forms->first, permutation, &forms->last));
        forms->last->channels_last = true;
    } else if (!last && !forms->first) {
        OCT_TRY(materialize_first(pass, before, value, forms));
    }
    *form = last ? forms->last : forms->first;
    return OCTET_OK;
}

OctetStatus oct_layout_input(OctLayoutPass *pass, OctNode *node, int32_t k, bool last) {
    OctValue *form = NULL;
    OCT_TRY(oct_layout_form(pass, node, node->inputs[k], last, &form));
    node->inputs[k] = form;
    return OCTET_OK;
}

OctetStatus oct_layout_output_last(OctLayoutPass *pass, OctNode *node, int32_t k) {
    OctValue *value = node->outputs[k];
    OctForms *forms = forms_of(pass, value);
    int32_t permutation[OCTET_MAX_RANK];
    OctValue *last = oct_graph_add_value(pass->graph, value->name);
    if (!last || !oct_graph_set_qparams(pass->graph, last, &value->qparams)) {
        return oct_fail_memory(pass->diagnostic);
    }
    oct_permutation_to_last(value->shape.rank, permutation);
    last->dtype = value->dtype;
    last->shape = oct_shape_permuted(&value->shape, permutation);
    last->origin = value->origin;
    last->channels_last = true;
    oct_node_set_output(node, k, last);
    forms->last = last;
    forms->first = NULL;
    return OCTET_OK;
}

/* ---- the pass ---- */

/* Convolutions, pools and the like are always computed channels-last. */
static bool wants_last(const OctNode *node) {
    const OctValue *input = oct_node_input(node, 0);
    if (!(node->op->flags & OCT_OP_LAYOUT) || !input || !oct_layout_can_be_last(input)) {
        return false;
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        if (output && (k > 0 || output->shape.rank != input->shape.rank)) {
            return false;
        }
    }
    return true;
}

OctetStatus oct_layout_parameters(OctLayoutPass *pass, OctNode *node) {
    for (int32_t k = 1; k < node->input_count; k++) {
        if (node->inputs[k]) {
            OCT_TRY(oct_layout_input(pass, node, k, false));
        }
    }
    return OCTET_OK;
}

static OctetStatus make_last(OctLayoutPass *pass, OctNode *node) {
    OCT_TRY(oct_layout_input(pass, node, 0, true));
    OCT_TRY(oct_layout_parameters(pass, node));
    if (!oct_node_set_int(pass->graph, node, "channels_last", 1)) {
        return oct_fail_memory(pass->diagnostic);
    }
    return oct_layout_output_last(pass, node, 0);
}

/* Child graphs see the values as the source graph has them. */
static OctetStatus settle_children(OctLayoutPass *pass, OctNode *node, OctGraph *child) {
    for (int32_t i = 0; i < child->node_count; i++) {
        OctNode *inner = child->nodes[i];
        for (int32_t k = 0; k < inner->input_count && !inner->dead; k++) {
            OctValue *input = inner->inputs[k];
            bool own = input && input->id >= 0 && input->id < pass->value_count &&
                       pass->graph->values[input->id] == input;
            if (own) {
                OctValue *form = NULL;
                OCT_TRY(oct_layout_form(pass, node, input, false, &form));
                inner->inputs[k] = form;
            }
        }
    }
    for (int32_t i = 0; i < child->output_count; i++) {
        OctValue *output = child->outputs[i];
        bool own = output->id >= 0 && output->id < pass->value_count &&
                   pass->graph->values[output->id] == output;
        if (own) {
            OctValue *form = NULL;
            OCT_TRY(oct_layout_form(pass, node, output, false, &form));
            child->outputs[i] = form;
        }
    }
    for (int32_t i = 0; i < child->child_count; i++) {
        OCT_TRY(settle_children(pass, node, child->children[i]));
    }
    return OCTET_OK;
}

static OctetStatus make_first(OctLayoutPass *pass, OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k]) {
            OCT_TRY(oct_layout_input(pass, node, k, false));
        }
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH) {
            OCT_TRY(settle_children(pass, node, node->attributes[i].v.graph));
        }
    }
    return OCTET_OK;
}

/* The engine's Normalize: all of its inputs are images. */
static bool joins_images(const OctNode *node) {
    return strcmp(node->domain, "octet") == 0 && strcmp(node->op_type, "Normalize") == 0 &&
           oct_layout_can_be_last(node->inputs[0]);
}

static OctetStatus make_all_last(OctLayoutPass *pass, OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        OCT_TRY(oct_layout_input(pass, node, k, true));
    }
    if (!oct_node_set_int(pass->graph, node, "channels_last", 1)) {
        return oct_fail_memory(pass->diagnostic);
    }
    return oct_layout_output_last(pass, node, 0);
}

static OctetStatus place_node(OctLayoutPass *pass, OctNode *node, const OctUses *uses) {
    bool done = false;
    if (wants_last(node)) {
        return make_last(pass, node);
    }
    if (joins_images(node)) {
        return make_all_last(pass, node);
    }
    OCT_TRY(oct_layout_move(pass, node, uses, &done));
    if (!done) {
        OCT_TRY(oct_layout_follow(pass, node, &done));
    }
    return done ? OCTET_OK : make_first(pass, node);
}

static OctetStatus place_all(OctLayoutPass *pass, OctNode **nodes, int32_t count,
                             const OctUses *uses) {
    for (int32_t i = 0; i < count; i++) {
        if (!nodes[i]->dead) {
            OCT_TRY(place_node(pass, nodes[i], uses));
        }
    }
    for (int32_t i = 0; i < pass->graph->output_count; i++) {
        OctValue *form = NULL;
        OCT_TRY(oct_layout_form(pass, NULL, pass->graph->outputs[i], false, &form));
    }
    return OCTET_OK;
}

OctetStatus oct_plan_layout(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    int32_t count;
    OctUses uses = {0};
    OctLayoutPass pass = {session, graph, NULL, graph->value_count, diagnostic};
    OctetStatus status = oct_graph_uses(graph, &uses, diagnostic);
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    pass.forms = oct_calloc((size_t)graph->value_count + 1, sizeof *pass.forms);
    if (status == OCTET_OK && (!nodes || !pass.forms)) {
        status = oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < pass.value_count && status == OCTET_OK; i++) {
        pass.forms[i].first = graph->values[i];
    }
    if (status == OCTET_OK) {
        status = place_all(&pass, nodes, count, &uses);
    }
    oct_uses_free(&uses);
    oct_free(nodes);
    oct_free(pass.forms);
    return status;
}
