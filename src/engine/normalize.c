/* Batch normalizations that could not be folded into a layer, as DenseNet has them: between a
 * Concat of dequantized tensors and a quantization. The whole of it becomes one pass over bytes. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "passes/constants.h"

#include <math.h>
#include <string.h>

typedef struct Chain {
    OctNode *norm, *relu, *quantize; /* relu may be NULL */
    OctNode *concat;                 /* before it, left out; may be NULL */
} Chain;

typedef struct Pass {
    OctetSession *session;
    OctGraph *graph;
    OctUses uses;
    OctetDiagnostic *diagnostic;
} Pass;

static bool is_octet(const OctNode *node, const char *op_type) {
    return node && !node->dead && strcmp(node->domain, "octet") == 0 &&
           strcmp(node->op_type, op_type) == 0;
}

static bool is_u8(const OctValue *value) {
    return value->qparams.dtype == OCTET_U8 && value->qparams.count == 1;
}

/* The only user of a value that nobody else sees. */
static OctNode *next(const Pass *pass, const OctValue *value) {
    bool hidden = !value->is_output && !oct_session_observes(pass->session, value);
    return hidden ? oct_uses_single(&pass->uses, value) : NULL;
}

static bool find_chain(const Pass *pass, OctNode *norm, Chain *chain) {
    const OctValue *input = oct_node_input(norm, 0);
    if (norm->dead || !oct_node_is(norm, "BatchNormalization") || !input || input->shape.rank < 2 ||
        input->shape.rank > 5 || oct_value_quantized(input)) {
        return false;
    }
    for (int32_t k = 1; k < 5; k++) {
        int64_t count;
        if (!oct_constant_floats(oct_node_input(norm, k), &count) ||
            count != input->shape.dims[1]) {
            return false;
        }
    }
    *chain = (Chain){.norm = norm};
    OctNode *user = next(pass, norm->outputs[0]);
    bool clamps = norm->activation.kind != OCT_ACTIVATION_NONE;
    if (user && oct_node_is(user, "Relu") && !clamps) {
        chain->relu = user;
        user = next(pass, user->outputs[0]);
    }
    chain->quantize = user;
    return is_octet(user, "Quantize") && is_u8(user->outputs[0]);
}

/* The bytes behind a dequantized value, or the value itself. */
static OctValue *source_of(OctValue *value) {
    OctNode *producer = value->producer;
    return is_octet(producer, "Dequantize") && is_u8(producer->inputs[0]) ? producer->inputs[0]
                                                                          : value;
}

/* Whether a Concat can be left out: it joins floats along the channels, and only normalizations
 * that become passes over bytes look at it. */
static bool concat_vanishes(const Pass *pass, const OctNode *concat) {
    const OctValue *output = oct_node_output(concat, 0);
    int64_t axis = oct_node_int(concat, "axis", 1);
    Chain chain;
    if (concat->dead || !oct_node_is(concat, "Concat") || output->is_output ||
        oct_session_observes(pass->session, output) ||
        (axis != 1 && axis != 1 - output->shape.rank)) {
        return false;
    }
    for (int32_t k = 0; k < concat->input_count; k++) {
        if (concat->inputs[k]->constant || oct_value_quantized(concat->inputs[k])) {
            return false;
        }
    }
    for (int32_t u = pass->uses.first[output->id]; u < pass->uses.first[output->id + 1]; u++) {
        if (!find_chain(pass, pass->uses.nodes[u], &chain)) {
            return false;
        }
    }
    return true;
}

/* The numbers that BatchNormalization multiplies with and adds, computed as its operator does. */
static OctetStatus set_numbers(Pass *pass, OctNode *node, const OctNode *norm) {
    int64_t count = 0;
    const float *scale = oct_constant_floats(norm->inputs[1], &count);
    const float *bias = oct_constant_floats(norm->inputs[2], &count);
    const float *mean = oct_constant_floats(norm->inputs[3], &count);
    const float *variance = oct_constant_floats(norm->inputs[4], &count);
    float epsilon = oct_node_float(norm, "epsilon", 1e-5f);
    OctetShape shape = {.rank = 1, .dims = {count}};
    OctetTensor *multiply = NULL;
    OctetTensor *shift = NULL;
    OctetStatus status = octet_tensor_create(OCTET_F32, &shape, &multiply, pass->diagnostic);
    if (status == OCTET_OK) {
        status = octet_tensor_create(OCTET_F32, &shape, &shift, pass->diagnostic);
    }
    if (status != OCTET_OK) {
        octet_tensor_free(multiply);
        return status;
    }
    for (int64_t c = 0; c < count; c++) {
        float a = scale[c] / sqrtf(variance[c] + epsilon);
        ((float *)multiply->data)[c] = a;
        ((float *)shift->data)[c] = bias[c] - mean[c] * a;
    }
    OctConstant *first = oct_constant_create(multiply);
    OctConstant *second = oct_constant_create(shift);
    if (!first || !second) {
        oct_constant_release(first);
        oct_constant_release(second);
        return oct_fail_memory(pass->diagnostic);
    }
    bool done = oct_node_set_tensor(pass->graph, node, "multiply", first);
    if (!done) {
        oct_constant_release(second);
        return oct_fail_memory(pass->diagnostic);
    }
    return oct_node_set_tensor(pass->graph, node, "shift", second)
               ? OCTET_OK
               : oct_fail_memory(pass->diagnostic);
}

static OctetStatus rewrite(Pass *pass, const Chain *chain) {
    OctValue *output = chain->quantize->outputs[0];
    int32_t count = chain->concat ? chain->concat->input_count : 1;
    OctValue **sources = oct_calloc((size_t)count + 1, sizeof(OctValue *));
    if (!sources) {
        return oct_fail_memory(pass->diagnostic);
    }
    for (int32_t k = 0; k < count; k++) {
        sources[k] = source_of(chain->concat ? chain->concat->inputs[k] : chain->norm->inputs[0]);
    }
    OctNode *node = oct_graph_insert_node(pass->graph, chain->norm, "Normalize", "octet",
                                          chain->norm->name, sources, count, &output, 1);
    oct_free(sources);
    if (!node) {
        return oct_fail_memory(pass->diagnostic);
    }
    node->opset = 1;
    node->activation = chain->norm->activation;
    if (chain->relu) {
        node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0, INFINITY};
    }
    OCT_TRY(set_numbers(pass, node, chain->norm));
    oct_graph_remove_node(pass->graph, chain->quantize);
    return oct_resolve_node(node, pass->diagnostic);
}

OctetStatus oct_plan_normalize(OctetSession *session, OctGraph *graph,
                               OctetDiagnostic *diagnostic) {
    int32_t count;
    Pass pass = {.session = session, .graph = graph, .diagnostic = diagnostic};
    OCT_TRY(oct_graph_uses(graph, &pass.uses, diagnostic));
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    Chain *chains = oct_calloc((size_t)count + 1, sizeof *chains);
    OctetStatus status = nodes && chains ? OCTET_OK : oct_fail_memory(diagnostic);
    int32_t found = 0;
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        Chain chain;
        if (!find_chain(&pass, nodes[i], &chain)) {
            continue;
        }
        const OctValue *input = chain.norm->inputs[0];
        if (input->producer && concat_vanishes(&pass, input->producer)) {
            chain.concat = input->producer;
        }
        chains[found++] = chain;
    }
    for (int32_t i = 0; i < found && status == OCTET_OK; i++) {
        status = rewrite(&pass, &chains[i]);
    }
    oct_free(chains);
    oct_free(nodes);
    oct_uses_free(&pass.uses);
    return status;
}
