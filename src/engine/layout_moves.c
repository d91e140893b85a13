/* Transposes and Reshapes: most of those around channels-last computation cancel with it. */
#include "base/diag.h"
#include "engine/layout.h"
#include "engine/rewrite.h"

/* Whether a value can go away in favor of another one with the same bytes. */
static bool replaceable(const OctLayoutPass *pass, const OctValue *value) {
    return !value->is_output && !oct_session_observes(pass->session, value);
}

static OctForms *forms_of(OctLayoutPass *pass, const OctValue *value) {
    return &pass->forms[value->id];
}

/* ---- Transpose ---- */

static bool read_permutation(const OctNode *node, int32_t rank, int32_t *permutation) {
    const int64_t *listed;
    int32_t count = oct_node_ints(node, "perm", &listed);
    bool seen[OCTET_MAX_RANK] = {false};
    for (int32_t i = 0; i < rank; i++) {
        int64_t from = count ? (i < count ? listed[i] : -1) : rank - 1 - i;
        if (from < 0 || from >= rank || seen[from]) {
            return false;
        }
        seen[from] = true;
        permutation[i] = (int32_t)from;
    }
    return count == 0 || count == rank;
}

/* How the stored axes of the input become the stored axes of the output, when either may be
 * channels-last: stored axis j of the output is stored axis result[j] of the input. */
static void compose(const int32_t *permutation, int32_t rank, bool input_last, bool output_last,
                    int32_t *result) {
    int32_t input_axes[OCTET_MAX_RANK];
    int32_t output_axes[OCTET_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        input_axes[i] = output_axes[i] = i;
    }
    if (input_last) {
        oct_permutation_to_last(rank, input_axes);
    }
    if (output_last) {
        oct_permutation_to_last(rank, output_axes);
    }
    for (int32_t j = 0; j < rank; j++) {
        int32_t wanted = permutation[output_axes[j]];
        for (int32_t i = 0; i < rank; i++) {
            if (input_axes[i] == wanted) {
                result[j] = i;
            }
        }
    }
}

static bool is_identity(const int32_t *permutation, int32_t rank) {
    for (int32_t i = 0; i < rank; i++) {
        if (permutation[i] != i) {
            return false;
        }
    }
    return true;
}

/* An output form that is the input as it is stored. */
static bool alias(OctLayoutPass *pass, const OctValue *input, OctValue *output,
                  const int32_t *permutation, int32_t rank) {
    const OctForms *from = forms_of(pass, input);
    OctForms *to = forms_of(pass, output);
    int32_t composed[OCTET_MAX_RANK];
    bool found = false;
    for (int form = 0; form < 4; form++) {
        OctValue *stored = form & 1 ? from->last : from->first;
        bool output_last = (form & 2) != 0;
        if (!stored || (output_last && !oct_layout_can_be_last(output))) {
            continue;
        }
        compose(permutation, rank, (form & 1) != 0, output_last, composed);
        if (is_identity(composed, rank)) {
            if (!found) {
                *to = (OctForms){0};
            }
            *(output_last ? &to->last : &to->first) = stored;
            found = true;
        }
    }
    return found;
}

static OctetStatus move_transpose(OctLayoutPass *pass, OctNode *node, bool *done) {
    OctValue *input = node->inputs[0];
    OctValue *output = node->outputs[0];
    int32_t rank = input->shape.rank;
    int32_t permutation[OCTET_MAX_RANK];
    int32_t composed[OCTET_MAX_RANK];
    if (rank < 2 || output->shape.rank != rank || !read_permutation(node, rank, permutation) ||
        input->id >= pass->value_count || input->constant) {
        return OCTET_OK;
    }
    *done = true;
    const OctForms *from = forms_of(pass, input);
    if (replaceable(pass, output) && alias(pass, input, output, permutation, rank)) {
        oct_graph_remove_node(pass->graph, node);
        return OCTET_OK;
    }
    /* one permutation from whatever is stored to the output in its own order */
    bool last = !from->first;
    OctValue *made = NULL;
    compose(permutation, rank, last, false, composed);
    OCT_TRY(oct_layout_transpose(pass, node, last ? from->last : from->first, composed, &made));
    OctNode *mover = made->producer;
    oct_graph_remove_node(pass->graph, node);
    oct_node_set_output(mover, 0, output);
    return OCTET_OK;
}

/* ---- Reshape ---- */

static bool is_reshape(const OctNode *node) {
    return oct_node_is(node, "Reshape") || oct_node_is(node, "Flatten") ||
           oct_node_is(node, "Squeeze") || oct_node_is(node, "Unsqueeze");
}

/* N and C stay, the spatial axes are split or merged: the same holds channels-last. */
static OctetStatus reshape_spatial(OctLayoutPass *pass, OctNode *node, bool *done) {
    OctValue *output = node->outputs[0];
    const OctValue *input = node->inputs[0];
    OctetShape shape = {.rank = output->shape.rank};
    bool fits = oct_layout_can_be_last(input) && oct_layout_can_be_last(output) &&
                oct_layout_has_last(pass, input) && oct_value_has_static_shape(output) &&
                input->shape.dims[0] == output->shape.dims[0] &&
                input->shape.dims[1] == output->shape.dims[1];
    if (!fits || !replaceable(pass, output)) {
        return OCTET_OK;
    }
    int32_t permutation[OCTET_MAX_RANK];
    oct_permutation_to_last(shape.rank, permutation);
    shape = oct_shape_permuted(&output->shape, permutation);
    OctValue *last = NULL;
    OCT_TRY(oct_layout_reshape(pass, node, forms_of(pass, input)->last, &shape, &last));
    last->channels_last = true;
    *forms_of(pass, output) = (OctForms){.last = last};
    oct_graph_remove_node(pass->graph, node);
    *done = true;
    return OCTET_OK;
}

static OctNode *only_user(const OctLayoutPass *pass, const OctUses *uses, const OctValue *value) {
    return replaceable(pass, value) ? oct_uses_single(uses, value) : NULL;
}

/* The channel shuffle of ShuffleNet: (N, C, ...) to (N, g, C/g, ...), the middle axes exchanged,
 * back to (N, C, ...). Channels-last it is a small transpose a pixel. */
static OctetStatus shuffle(OctLayoutPass *pass, OctNode *node, const OctUses *uses, bool *done) {
    const OctValue *input = node->inputs[0];
    OctValue *split = node->outputs[0];
    int32_t rank = input->shape.rank;
    int32_t permutation[OCTET_MAX_RANK];
    OctNode *exchange = only_user(pass, uses, split);
    if (!oct_layout_can_be_last(input) || !oct_layout_has_last(pass, input) || !exchange ||
        !oct_node_is(exchange, "Transpose") || split->shape.rank != rank + 1 ||
        !read_permutation(exchange, rank + 1, permutation)) {
        return OCTET_OK;
    }
    OctNode *join = only_user(pass, uses, exchange->outputs[0]);
    if (!join || !is_reshape(join) || join->inputs[0] != exchange->outputs[0]) {
        return OCTET_OK;
    }
    OctValue *output = join->outputs[0];
    bool fits = oct_value_has_static_shape(input) && oct_value_has_static_shape(split) &&
                octet_shape_equal(&output->shape, &input->shape) && permutation[1] == 2 &&
                permutation[2] == 1 && split->shape.dims[0] == input->shape.dims[0] &&
                split->shape.dims[1] * split->shape.dims[2] == input->shape.dims[1];
    for (int32_t i = 0; i <= rank && fits; i++) {
        fits = (i == 1 || i == 2 || permutation[i] == i) &&
               (i < 3 || split->shape.dims[i] == input->shape.dims[i - 1]);
    }
    if (!fits || !replaceable(pass, output)) {
        return OCTET_OK;
    }
    OctValue *last = forms_of(pass, input)->last;
    OctetShape shape = last->shape;
    int64_t pixels = 1;
    for (int32_t i = 0; i < rank - 1; i++) {
        pixels *= shape.dims[i];
    }
    OctetShape groups = {.rank = 3, .dims = {pixels, split->shape.dims[1], split->shape.dims[2]}};
    const int32_t swap[3] = {0, 2, 1};
    OCT_TRY(oct_layout_reshape(pass, node, last, &groups, &last));
    OCT_TRY(oct_layout_transpose(pass, node, last, swap, &last));
    OCT_TRY(oct_layout_reshape(pass, node, last, &shape, &last));
    last->channels_last = true;
    *forms_of(pass, output) = (OctForms){.last = last};
    oct_graph_remove_node(pass->graph, join);
    oct_graph_remove_node(pass->graph, exchange);
    oct_graph_remove_node(pass->graph, node);
    *done = true;
    return OCTET_OK;
}

OctetStatus oct_layout_move(OctLayoutPass *pass, OctNode *node, const OctUses *uses, bool *done) {
    const OctValue *input = oct_node_input(node, 0);
    const OctValue *output = oct_node_output(node, 0);
    if (!input || !output || input->id >= pass->value_count || input->constant ||
        !octet_qparams_equal(&input->qparams, &output->qparams)) {
        return OCTET_OK;
    }
    if (oct_node_is(node, "Transpose")) {
        return move_transpose(pass, node, done);
    }
    if (!is_reshape(node)) {
        return OCTET_OK;
    }
    OCT_TRY(reshape_spatial(pass, node, done));
    return *done ? OCTET_OK : shuffle(pass, node, uses, done);
}
