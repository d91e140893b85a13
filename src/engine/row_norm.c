/* Layer normalizations that exporters spell out: nine nodes over floats become one. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "passes/constants.h"

#include <string.h>

typedef struct Chain {
    OctNode *mean;           /* where it begins */
    OctNode *divide;         /* where it ends at least */
    OctNode *last;           /* where it ends: divide, or the Mul or Add behind it */
    OctNode *quantize;       /* of its result, or NULL */
    OctValue *scale, *shift; /* or NULL */
    float epsilon;
} Chain;

typedef struct Pass {
    OctetSession *session;
    OctGraph *graph;
    OctUses uses;
} Pass;

/* A plain ONNX node on floats. */
static bool is_plain(const OctNode *node, const char *op_type) {
    return node && !node->dead && oct_node_is(node, op_type) &&
           node->activation.kind == OCT_ACTIVATION_NONE && node->output_count == 1 &&
           node->outputs[0]->dtype == OCTET_F32 && !oct_value_quantized(node->outputs[0]);
}

/* Nobody but nodes sees the value. */
static bool is_hidden(const Pass *pass, const OctValue *value) {
    return !value->is_output && !oct_session_observes(pass->session, value);
}

static OctNode *only_user(const Pass *pass, const OctNode *node) {
    const OctValue *value = node->outputs[0];
    return is_hidden(pass, value) ? oct_uses_single(&pass->uses, value) : NULL;
}

/* A mean over the last axis, which stays as one of 1. */
static bool is_row_mean(const OctNode *node) {
    if (!is_plain(node, "ReduceMean")) {
        return false;
    }
    const OctetShape *from = &node->inputs[0]->shape;
    OctetShape to = *from;
    if (from->rank < 1 || from->dims[from->rank - 1] < 2) {
        return false;
    }
    to.dims[to.rank - 1] = 1;
    return octet_shape_equal(&to, &node->outputs[0]->shape);
}

static bool read_number(const OctValue *value, float *number) {
    int64_t count;
    const float *data = value ? oct_constant_floats(value, &count) : NULL;
    if (!data || count != 1) {
        return false;
    }
    *number = data[0];
    return true;
}

/* The constant vector along the rows that a Mul or Add takes beside `from`. */
static OctValue *vector_operand(const OctNode *node, const OctValue *from) {
    const OctetShape *shape = &from->shape;
    OctValue *other = node->inputs[0] == from ? node->inputs[1] : node->inputs[0];
    int64_t count;
    bool fits = other != from && other->shape.rank >= 1 && other->shape.rank <= shape->rank &&
                oct_constant_floats(other, &count) && count == shape->dims[shape->rank - 1] &&
                other->shape.dims[other->shape.rank - 1] == count;
    return fits ? other : NULL;
}

/* Pow(d, 2) or Mul(d, d). */
static bool is_square(const OctNode *node, const OctValue *d) {
    float exponent;
    if (is_plain(node, "Pow")) {
        return node->inputs[0] == d && read_number(node->inputs[1], &exponent) && exponent == 2;
    }
    return is_plain(node, "Mul") && node->inputs[0] == d && node->inputs[1] == d;
}

/* Sqrt(mean(square) + epsilon), behind a square; NULL if it is something else. */
static OctNode *find_deviation(const Pass *pass, const OctNode *square, float *epsilon) {
    OctNode *variance = only_user(pass, square);
    if (!is_row_mean(variance)) {
        return NULL;
    }
    OctNode *sum = only_user(pass, variance);
    if (!is_plain(sum, "Add") ||
        (!read_number(sum->inputs[1], epsilon) && !read_number(sum->inputs[0], epsilon))) {
        return NULL;
    }
    OctNode *root = only_user(pass, sum);
    return is_plain(root, "Sqrt") &&
                   octet_shape_equal(&root->outputs[0]->shape, &variance->outputs[0]->shape)
               ? root
               : NULL;
}

/* What may follow: scale, shift, quantization. */
static void find_end(const Pass *pass, Chain *chain) {
    chain->last = chain->divide;
    OctNode *user = only_user(pass, chain->last);
    if (is_plain(user, "Mul")) {
        chain->scale = vector_operand(user, chain->last->outputs[0]);
        chain->last = chain->scale ? user : chain->last;
        user = chain->scale ? only_user(pass, user) : user;
    }
    if (is_plain(user, "Add")) {
        chain->shift = vector_operand(user, chain->last->outputs[0]);
        chain->last = chain->shift ? user : chain->last;
        user = chain->shift ? only_user(pass, user) : user;
    }
    bool quantize = user && !user->dead && strcmp(user->domain, "octet") == 0 &&
                    strcmp(user->op_type, "Quantize") == 0 && oct_value_is_8bit(user->outputs[0]) &&
                    user->outputs[0]->qparams.dtype == OCTET_U8;
    chain->quantize = quantize ? user : NULL;
}

static bool find_chain(const Pass *pass, OctNode *mean, Chain *chain) {
    *chain = (Chain){.mean = mean};
    if (!is_row_mean(mean) || oct_value_quantized(mean->inputs[0]) ||
        mean->inputs[0]->dtype != OCTET_F32) {
        return false;
    }
    OctNode *subtract = only_user(pass, mean);
    if (!is_plain(subtract, "Sub") || subtract->inputs[0] != mean->inputs[0] ||
        subtract->inputs[1] != mean->outputs[0] || !is_hidden(pass, subtract->outputs[0])) {
        return false;
    }
    const OctValue *d = subtract->outputs[0];
    OctNode *square = NULL;
    const OctUses *uses = &pass->uses;
    int32_t others = 0;
    for (int32_t u = uses->first[d->id]; u < uses->first[d->id + 1]; u++) {
        OctNode *user = uses->nodes[u];
        if (is_square(user, d)) {
            square = user;
        } else if (is_plain(user, "Div") && user->inputs[0] == d) {
            chain->divide = user;
            others++;
        } else {
            return false;
        }
    }
    if (!square || others != 1) {
        return false;
    }
    OctNode *root = find_deviation(pass, square, &chain->epsilon);
    if (!root || only_user(pass, root) != chain->divide ||
        chain->divide->inputs[1] != root->outputs[0]) {
        return false;
    }
    find_end(pass, chain);
    return true;
}

static OctetStatus rewrite(const Pass *pass, const Chain *chain, OctetDiagnostic *diagnostic) {
    OctNode *end = chain->quantize ? chain->quantize : chain->last;
    OctValue *output = end->outputs[0];
    OctValue *inputs[3] = {chain->mean->inputs[0], chain->scale, chain->shift};
    int32_t count = chain->shift ? 3 : chain->scale ? 2 : 1;
    OctNode *node = oct_graph_insert_node(pass->graph, end, "NormalizeRows", "octet",
                                          chain->mean->name, inputs, count, &output, 1);
    if (!node || !oct_node_set_float(pass->graph, node, "epsilon", chain->epsilon)) {
        return oct_fail_memory(diagnostic);
    }
    node->opset = 1;
    oct_graph_remove_node(pass->graph, end);
    return oct_resolve_node(node, diagnostic);
}

OctetStatus oct_plan_row_norms(OctetSession *session, OctGraph *graph,
                               OctetDiagnostic *diagnostic) {
    int32_t count;
    Pass pass = {.session = session, .graph = graph};
    OCT_TRY(oct_graph_uses(graph, &pass.uses, diagnostic));
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    OctetStatus status = nodes ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        Chain chain;
        if (!nodes[i]->dead && find_chain(&pass, nodes[i], &chain)) {
            status = rewrite(&pass, &chain, diagnostic);
        }
    }
    oct_free(nodes);
    oct_uses_free(&pass.uses);
    return status;
}
