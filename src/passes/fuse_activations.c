#include "base/diag.h"
#include "ir/op.h"
#include "passes/passes.h"

#include <math.h>
#include <string.h>

static bool is_one_of(const OctNode *node, const char *const *names, size_t count) {
    for (size_t i = 0; i < count && node->domain[0] == '\0'; i++) {
        if (strcmp(node->op_type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool can_carry(const OctNode *node) {
    static const char *const carriers[] = {"Conv",   "ConvTranspose", "Gemm",
                                           "MatMul", "Add",           "BatchNormalization"};
    return node && !node->dead && !node->hold && node->op && node->output_count == 1 &&
           is_one_of(node, carriers, sizeof carriers / sizeof carriers[0]);
}

/* One bound of a Clip: an attribute before opset 11, then a constant scalar input. */
static bool read_bound(const OctNode *node, const char *attribute, int32_t input, float fallback,
                       float *bound) {
    *bound = fallback;
    if (node->opset < 11) {
        *bound = oct_node_float(node, attribute, fallback);
        return true;
    }
    const OctValue *value = oct_node_input(node, input);
    const OctetTensor *tensor = oct_value_tensor(value);
    if (!value) {
        return true;
    }
    int64_t count;
    if (!tensor || tensor->dtype != OCTET_F32 || oct_value_quantized(value) ||
        !octet_shape_count(&tensor->shape, &count) || count != 1) {
        return false;
    }
    memcpy(bound, tensor->data, sizeof *bound);
    return true;
}

/* The node as a clamp; false if it is none, or one with bounds known only when running. */
static bool read_clip(const OctNode *node, OctActivation *clip) {
    static const char *const relu[] = {"Relu"};
    static const char *const clipping[] = {"Clip"};
    *clip = (OctActivation){OCT_ACTIVATION_CLIP, -INFINITY, INFINITY};
    if (is_one_of(node, relu, 1)) {
        clip->minimum = 0;
        return true;
    }
    if (!is_one_of(node, clipping, 1)) {
        return false;
    }
    /* -FLT_MAX and FLT_MAX are the old defaults; they cut infinities, which a grid can't hold */
    if (!read_bound(node, "min", 1, -INFINITY, &clip->minimum) ||
        !read_bound(node, "max", 2, INFINITY, &clip->maximum)) {
        return false;
    }
    return clip->minimum <= clip->maximum;
}

/* Clamping twice is one clamp: first to [a, b], then to [c, d]. */
static OctActivation combine(const OctActivation *first, const OctActivation *second) {
    if (first->kind == OCT_ACTIVATION_NONE) {
        return *second;
    }
    OctActivation both = {OCT_ACTIVATION_CLIP, 0, 0};
    both.minimum = fminf(fmaxf(first->minimum, second->minimum), second->maximum);
    both.maximum = fmaxf(fminf(first->maximum, second->maximum), second->minimum);
    return both;
}

/* Keeps what the file calls the activation, of two the last. */
static bool take_over(OctGraph *graph, OctNode *carrier, const OctNode *node,
                      const OctValue *input) {
    bool two = carrier->activation_name != NULL;
    bool relu = carrier->activation.minimum == 0 && carrier->activation.maximum == INFINITY;
    bool noted = !two || oct_node_include(graph, carrier, relu ? "Relu" : "Clip",
                                          carrier->activation_name, &carrier->activation_notes);
    carrier->activation_input = two ? carrier->activation_input : input->name;
    carrier->activation_name = node->name;
    carrier->activation_notes = node->notes;
    return noted;
}

OctetStatus oct_pass_fuse_activations(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctetStatus status = OCTET_OK;
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        OctNode *node = graph->nodes[i];
        OctActivation clip;
        OctValue *input = node->dead || node->hold ? NULL : oct_node_input(node, 0);
        if (!input || input->dtype != OCTET_F32 || !can_carry(input->producer) ||
            !read_clip(node, &clip)) {
            continue;
        }
        /* the value before the clamp must be nobody else's, and not rounded to a grid of its own */
        bool private = oct_uses_single(&uses, input) == node && !input->is_output &&
                       !oct_value_quantized(input);
        if (!private) {
            continue;
        }
        OctNode *carrier = input->producer;
        OctValue *output = node->outputs[0];
        if (!take_over(graph, carrier, node, input)) {
            status = oct_fail_memory(diagnostic);
            continue;
        }
        oct_graph_remove_node(graph, node);
        carrier->activation = combine(&carrier->activation, &clip);
        carrier->outputs[0] = output;
        output->producer = carrier;
        input->producer = NULL;
        /* uses stay right: `output` has the consumers that it had */
    }
    oct_uses_free(&uses);
    return status;
}
