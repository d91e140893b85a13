/* Nodes that compute in either order of axes. */
#include "base/diag.h"
#include "engine/layout.h"
#include "engine/rewrite.h"

#include <string.h>

/* True if the input exists channels-last, so that the node had better follow. */
static bool leads(const OctLayoutPass *pass, const OctNode *node, int32_t k) {
    const OctValue *input = oct_node_input(node, k);
    return input && oct_layout_can_be_last(input) && oct_layout_has_last(pass, input);
}

static bool any_leads(const OctLayoutPass *pass, const OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        if (leads(pass, node, k)) {
            return true;
        }
    }
    return false;
}

static OctetStatus outputs_last(OctLayoutPass *pass, OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k]) {
            OCT_TRY(oct_layout_output_last(pass, node, k));
        }
    }
    return OCTET_OK;
}

static bool same_rank(const OctNode *node, int32_t rank) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && node->outputs[k]->shape.rank != rank) {
            return false;
        }
    }
    return true;
}

/* ---- elementwise ---- */

static OctetStatus follow_unary(OctLayoutPass *pass, OctNode *node, bool *done) {
    if (!leads(pass, node, 0) || !same_rank(node, node->inputs[0]->shape.rank)) {
        return OCTET_OK;
    }
    OCT_TRY(oct_layout_input(pass, node, 0, true));
    OCT_TRY(oct_layout_parameters(pass, node));
    *done = true;
    return outputs_last(pass, node);
}

/* An operand of lower rank gets leading axes of 1 before it is permuted. */
static OctetStatus broadcast_input(OctLayoutPass *pass, OctNode *node, int32_t k, int32_t rank) {
    OctValue *input = node->inputs[k];
    OctetShape shape = {.rank = rank};
    int32_t permutation[OCTET_MAX_RANK];
    int64_t count = 0;
    (void)octet_shape_count(&input->shape, &count);
    if (count == 1) {
        return oct_layout_input(pass, node, k, false);
    }
    if (input->shape.rank == rank) {
        return oct_layout_input(pass, node, k, true);
    }
    OCT_TRY(oct_layout_input(pass, node, k, false));
    int32_t missing = rank - input->shape.rank;
    for (int32_t i = 0; i < rank; i++) {
        shape.dims[i] = i < missing ? 1 : input->shape.dims[i - missing];
    }
    OctValue *widened = NULL;
    OCT_TRY(oct_layout_reshape(pass, node, node->inputs[k], &shape, &widened));
    oct_permutation_to_last(rank, permutation);
    return oct_layout_transpose(pass, node, widened, permutation, &node->inputs[k]);
}

static OctetStatus follow_broadcast(OctLayoutPass *pass, OctNode *node, bool *done) {
    const OctValue *output = oct_node_output(node, 0);
    if (!output || node->output_count != 1 || !oct_layout_can_be_last(output) ||
        !any_leads(pass, node)) {
        return OCTET_OK;
    }
    int32_t rank = output->shape.rank;
    bool same = false; /* an operand that leads must have the output's rank to be of use */
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (input && (!oct_value_has_static_shape(input) || input->shape.rank > rank)) {
            return OCTET_OK;
        }
        same |= leads(pass, node, k) && input->shape.rank == rank;
    }
    if (!same) {
        return OCTET_OK;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k]) {
            OCT_TRY(broadcast_input(pass, node, k, rank));
        }
    }
    *done = true;
    return outputs_last(pass, node);
}

/* ---- one axis ---- */

static bool read_axis(const OctNode *node, int32_t rank, int64_t fallback, int64_t *axis) {
    *axis = oct_node_int(node, "axis", fallback);
    *axis += *axis < 0 ? rank : 0;
    return *axis >= 0 && *axis < rank;
}

static OctetStatus follow_axis(OctLayoutPass *pass, OctNode *node, int64_t fallback,
                               int32_t data_inputs, bool *done) {
    int64_t axis;
    bool lead = false;
    int32_t rank = node->inputs[0] ? node->inputs[0]->shape.rank : -1;
    for (int32_t k = 0; k < node->input_count && k < data_inputs; k++) {
        lead |= leads(pass, node, k);
        if (!node->inputs[k] || node->inputs[k]->shape.rank != rank) {
            return OCTET_OK;
        }
    }
    if (!lead || !same_rank(node, rank) || !read_axis(node, rank, fallback, &axis)) {
        return OCTET_OK;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k]) {
            OCT_TRY(oct_layout_input(pass, node, k, k < data_inputs));
        }
    }
    if (!oct_node_set_int(pass->graph, node, "axis", oct_axis_in_last(axis, rank))) {
        return oct_fail_memory(pass->diagnostic);
    }
    *done = true;
    return outputs_last(pass, node);
}

/* ---- lists of axes ---- */

typedef struct Axes {
    bool from_input;
    int32_t input;
    int32_t count;
    int64_t v[OCTET_MAX_RANK];
} Axes;

/* Axes from attribute "axes" or constant input `input`, normalized; false if they are not known,
 * or not given. */
static bool read_axes(const OctNode *node, int32_t input, int32_t rank, Axes *axes) {
    const int64_t *listed;
    axes->count = oct_node_ints(node, "axes", &listed);
    axes->input = input;
    axes->from_input = axes->count == 0;
    if (axes->from_input) {
        const OctValue *value = oct_node_input(node, input);
        axes->count =
            value && value->constant ? oct_value_known_ints(value, axes->v, OCTET_MAX_RANK) : -1;
    } else if (axes->count <= OCTET_MAX_RANK) {
        memcpy(axes->v, listed, (size_t)axes->count * sizeof *listed);
    }
    if (axes->count < 1 || axes->count > OCTET_MAX_RANK) {
        return false;
    }
    for (int32_t i = 0; i < axes->count; i++) {
        axes->v[i] += axes->v[i] < 0 ? rank : 0;
        if (axes->v[i] < 0 || axes->v[i] >= rank) {
            return false;
        }
    }
    return true;
}

static OctetStatus write_axes(OctLayoutPass *pass, OctNode *node, Axes *axes, int32_t rank) {
    for (int32_t i = 0; i < axes->count; i++) {
        axes->v[i] = oct_axis_in_last(axes->v[i], rank);
    }
    if (!axes->from_input) {
        return oct_node_set_ints(pass->graph, node, "axes", axes->v, axes->count)
                   ? OCTET_OK
                   : oct_fail_memory(pass->diagnostic);
    }
    OctValue *constant = NULL;
    OCT_TRY(oct_layout_ints(pass, "axes", axes->v, axes->count, &constant));
    return oct_node_set_input(pass->graph, node, axes->input, constant)
               ? OCTET_OK
               : oct_fail_memory(pass->diagnostic);
}

static OctetStatus follow_slice(OctLayoutPass *pass, OctNode *node, bool *done) {
    Axes axes;
    int32_t rank = leads(pass, node, 0) ? node->inputs[0]->shape.rank : -1;
    if (rank < 0 || !same_rank(node, rank) || !read_axes(node, 3, rank, &axes)) {
        return OCTET_OK;
    }
    OCT_TRY(oct_layout_input(pass, node, 0, true));
    OCT_TRY(oct_layout_parameters(pass, node));
    OCT_TRY(write_axes(pass, node, &axes, rank));
    *done = true;
    return outputs_last(pass, node);
}

static bool is_reduction(const OctNode *node) {
    return node->domain[0] == '\0' && strncmp(node->op_type, "Reduce", 6) == 0;
}

/* Without keepdims what is left must be in order by itself: N and C, when all of the spatial axes
 * are gone. */
static bool leaves_batch_and_channels(const Axes *axes, int32_t rank) {
    bool spatial = axes->count == rank - 2;
    for (int32_t i = 0; i < axes->count; i++) {
        spatial = spatial && axes->v[i] >= 2;
    }
    return spatial;
}

static OctetStatus follow_reduction(OctLayoutPass *pass, OctNode *node, bool *done) {
    Axes axes;
    bool keep = oct_node_int(node, "keepdims", 1) != 0;
    int32_t rank = leads(pass, node, 0) ? node->inputs[0]->shape.rank : -1;
    if (rank < 0 || !read_axes(node, 1, rank, &axes) ||
        !(keep || leaves_batch_and_channels(&axes, rank))) {
        return OCTET_OK;
    }
    OCT_TRY(oct_layout_input(pass, node, 0, true));
    OCT_TRY(oct_layout_parameters(pass, node));
    OCT_TRY(write_axes(pass, node, &axes, rank));
    *done = true;
    return keep ? outputs_last(pass, node) : OCTET_OK;
}

/* Pads of all axes: begins, then ends. */
static OctetStatus follow_pad(OctLayoutPass *pass, OctNode *node, bool *done) {
    const int64_t *listed;
    int64_t pads[2 * OCTET_MAX_RANK];
    int64_t moved[2 * OCTET_MAX_RANK];
    int32_t rank = leads(pass, node, 0) ? node->inputs[0]->shape.rank : -1;
    if (rank < 0 || !same_rank(node, rank) || oct_node_input(node, 3)) {
        return OCTET_OK;
    }
    bool attribute = node->opset < 11;
    if (attribute) {
        if (oct_node_ints(node, "pads", &listed) != 2 * rank) {
            return OCTET_OK;
        }
        memcpy(pads, listed, (size_t)rank * 2 * sizeof *pads);
    } else {
        const OctValue *value = oct_node_input(node, 1);
        if (!value || !value->constant || oct_value_known_ints(value, pads, 2 * rank) != 2 * rank) {
            return OCTET_OK;
        }
    }
    for (int32_t i = 0; i < rank; i++) {
        int64_t to = oct_axis_in_last(i, rank);
        moved[to] = pads[i];
        moved[rank + to] = pads[rank + i];
    }
    OCT_TRY(oct_layout_input(pass, node, 0, true));
    OCT_TRY(oct_layout_parameters(pass, node));
    if (attribute) {
        if (!oct_node_set_ints(pass->graph, node, "pads", moved, 2 * rank)) {
            return oct_fail_memory(pass->diagnostic);
        }
    } else {
        OctValue *constant = NULL;
        OCT_TRY(oct_layout_ints(pass, "pads", moved, 2 * rank, &constant));
        node->inputs[1] = constant;
    }
    *done = true;
    return outputs_last(pass, node);
}

OctetStatus oct_layout_follow(OctLayoutPass *pass, OctNode *node, bool *done) {
    uint32_t flags = node->op->flags;
    if (oct_node_has_graph(node) || !oct_node_input(node, 0)) {
        return OCTET_OK;
    }
    if (flags & OCT_OP_ELEMENTWISE) {
        return follow_unary(pass, node, done);
    }
    if (flags & OCT_OP_BROADCAST) {
        return follow_broadcast(pass, node, done);
    }
    if (oct_node_is(node, "Concat")) {
        return follow_axis(pass, node, 0, node->input_count, done);
    }
    if (oct_node_is(node, "Split")) {
        return follow_axis(pass, node, 0, 1, done);
    }
    if ((oct_node_is(node, "Softmax") || oct_node_is(node, "LogSoftmax")) && node->opset >= 13) {
        return follow_axis(pass, node, -1, 1, done);
    }
    if (oct_node_is(node, "Slice")) {
        return follow_slice(pass, node, done);
    }
    if (oct_node_is(node, "Pad")) {
        return follow_pad(pass, node, done);
    }
    return is_reduction(node) ? follow_reduction(pass, node, done) : OCTET_OK;
}
