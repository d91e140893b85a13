/* y = (conv(x, w) + b) * m + a, per output channel, is conv(x, w * m) + (b * m + a). The products
 * are made in double and rounded once, so that folding costs no more than one rounding a weight. */
#include "base/diag.h"
#include "ir/op.h"
#include "passes/constants.h"
#include "passes/passes.h"

#include <math.h>
#include <string.h>

typedef struct Affine {
    int64_t channels;
    double *multiply;
    double *add;
} Affine;

static bool is(const OctNode *node, const char *op_type) {
    return node && !node->dead && node->op && strcmp(node->op_type, op_type) == 0 &&
           node->domain[0] == '\0';
}

/* Where the output channels lie in the layer's weight, -1 if the node is no layer that folds. */
static int32_t weight_axis(const OctNode *node) {
    if (node->activation.kind != OCT_ACTIVATION_NONE || node->output_count != 1) {
        return -1;
    }
    if (is(node, "Conv")) {
        return 0;
    }
    if (is(node, "ConvTranspose")) {
        return oct_node_int(node, "group", 1) == 1 ? 1 : -1;
    }
    bool plain = is(node, "Gemm") && oct_node_float(node, "alpha", 1) == 1 &&
                 oct_node_float(node, "beta", 1) == 1;
    return plain ? (oct_node_int(node, "transB", 0) ? 0 : 1) : -1;
}

static bool affine_create(Affine *affine, int64_t channels) {
    affine->channels = channels;
    affine->multiply = oct_calloc((size_t)channels, sizeof(double));
    affine->add = oct_calloc((size_t)channels, sizeof(double));
    for (int64_t c = 0; affine->multiply && c < channels; c++) {
        affine->multiply[c] = 1;
    }
    return affine->multiply && affine->add;
}

static void affine_free(Affine *affine) {
    oct_free(affine->multiply);
    oct_free(affine->add);
}

static bool read_batch_norm(const OctNode *node, Affine *affine) {
    const float *parameters[4];
    if (node->output_count > 1 && (node->outputs[1] || oct_node_int(node, "training_mode", 0))) {
        return false;
    }
    for (int32_t k = 0; k < 4; k++) {
        int64_t count;
        parameters[k] = oct_constant_floats(oct_node_input(node, k + 1), &count);
        if (!parameters[k] || count != affine->channels) {
            return false;
        }
    }
    double epsilon = (double)oct_node_float(node, "epsilon", 1e-5f);
    for (int64_t c = 0; c < affine->channels; c++) {
        double scale = (double)parameters[0][c];
        double bias = (double)parameters[1][c];
        double mean = (double)parameters[2][c];
        double variance = (double)parameters[3][c];
        double m = scale / sqrt(variance + epsilon);
        affine->multiply[c] = m;
        affine->add[c] = bias - mean * m;
        if (!isfinite(m) || !isfinite(affine->add[c])) {
            return false;
        }
    }
    return true;
}

/* A constant that is a scalar or one number a channel when broadcast against `shape`. */
static const float *per_channel(const OctValue *value, const OctetShape *shape, int64_t channels,
                                bool *scalar) {
    int64_t count;
    const float *data = oct_constant_floats(value, &count);
    if (!data || shape->rank < 2 || value->shape.rank > shape->rank) {
        return NULL;
    }
    *scalar = count == 1;
    if (*scalar) {
        return data;
    }
    int32_t place = 1 - (shape->rank - value->shape.rank);
    bool fits = count == channels && place >= 0 && value->shape.dims[place] == channels;
    return fits ? data : NULL;
}

/* Mul, Add, Sub, Div with a constant per channel. */
static bool read_arithmetic(const OctNode *node, const OctValue *input, Affine *affine) {
    bool add = is(node, "Add");
    bool subtract = is(node, "Sub");
    bool multiply = is(node, "Mul");
    bool divide = is(node, "Div");
    if (!(add || subtract || multiply || divide) || node->input_count != 2) {
        return false;
    }
    bool first = node->inputs[0] == input;
    if (!first && (subtract || divide)) {
        return false;
    }
    bool scalar;
    const float *data =
        per_channel(node->inputs[first ? 1 : 0], &input->shape, affine->channels, &scalar);
    if (!data || !octet_shape_equal(&input->shape, &node->outputs[0]->shape)) {
        return false;
    }
    for (int64_t c = 0; c < affine->channels; c++) {
        double v = (double)data[scalar ? 0 : c];
        if (multiply || divide) {
            affine->multiply[c] = multiply ? v : 1 / v;
        } else {
            affine->add[c] = add ? v : -v;
        }
        if (!isfinite(affine->multiply[c])) {
            return false;
        }
    }
    return true;
}

static OctetStatus apply(OctGraph *graph, OctNode *layer, int32_t axis, const Affine *affine,
                         OctetDiagnostic *diagnostic) {
    int64_t count;
    int64_t bias_count = 0;
    OctValue *weight = layer->inputs[1];
    OctValue *bias = oct_node_input(layer, 2);
    const float *old_weight = oct_constant_floats(weight, &count);
    const float *old_bias = bias ? oct_constant_floats(bias, &bias_count) : NULL;
    float *data;
    float *bias_data;
    OctetShape bias_shape = {1, {affine->channels}};
    OctValue *new_weight =
        oct_new_float_constant(graph, weight->name, &weight->shape, &data, diagnostic);
    OctValue *new_bias = oct_new_float_constant(graph, bias ? bias->name : "bias", &bias_shape,
                                                &bias_data, diagnostic);
    if (!new_weight || !new_bias) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    int64_t inner = 1;
    for (int32_t i = axis + 1; i < weight->shape.rank; i++) {
        inner *= weight->shape.dims[i];
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % affine->channels;
        data[i] = (float)((double)old_weight[i] * affine->multiply[c]);
    }
    for (int64_t c = 0; c < affine->channels; c++) {
        double b = old_bias ? (double)old_bias[bias_count == 1 ? 0 : c] : 0;
        bias_data[c] = (float)(b * affine->multiply[c] + affine->add[c]);
    }
    layer->inputs[1] = new_weight;
    return oct_node_set_input(graph, layer, 2, new_bias) ? OCTET_OK : oct_fail_memory(diagnostic);
}

/* The layer can take the affine: constant f32 weights, and a bias that is absent or constant with
 * one number a channel (or, for Gemm, one in all). */
static bool foldable(const OctNode *layer, int32_t axis, int64_t *channels) {
    int64_t count;
    const OctValue *weight = oct_node_input(layer, 1);
    const OctValue *bias = oct_node_input(layer, 2);
    if (axis < 0 || !weight || !oct_constant_floats(weight, &count) || weight->shape.rank <= axis) {
        return false;
    }
    *channels = weight->shape.dims[axis];
    if (bias) {
        int64_t bias_count;
        bool vector =
            oct_constant_floats(bias, &bias_count) && (bias_count == *channels || bias_count == 1);
        bool row = vector &&
                   (bias->shape.rank < 2 || bias->shape.dims[bias->shape.rank - 1] == bias_count);
        return row && *channels > 0;
    }
    return *channels > 0;
}

static OctetStatus try_fold(OctGraph *graph, OctNode *node, const OctUses *uses,
                            OctetDiagnostic *diagnostic) {
    bool norm = is(node, "BatchNormalization");
    OctValue *input = oct_node_input(node, 0);
    if (!norm && input && input->constant) {
        input = oct_node_input(node, 1);
    }
    OctNode *layer = input ? input->producer : NULL;
    Affine affine = {0};
    if (!layer || layer->dead || layer->hold || node->hold ||
        node->activation.kind != OCT_ACTIVATION_NONE || oct_uses_single(uses, input) != node ||
        input->is_output || oct_value_quantized(input) ||
        !foldable(layer, weight_axis(layer), &affine.channels)) {
        return OCTET_OK;
    }
    OctetStatus status =
        affine_create(&affine, affine.channels) ? OCTET_OK : oct_fail_memory(diagnostic);
    bool fits = status == OCTET_OK &&
                (norm ? read_batch_norm(node, &affine) : read_arithmetic(node, input, &affine));
    if (fits) {
        status = apply(graph, layer, weight_axis(layer), &affine, diagnostic);
    }
    if (fits && status == OCTET_OK &&
        !oct_node_include(graph, layer, node->op_type, node->name, &node->notes)) {
        status = oct_fail_memory(diagnostic);
    }
    if (fits && status == OCTET_OK) {
        OctValue *output = node->outputs[0];
        oct_graph_remove_node(graph, node);
        layer->outputs[0] = output;
        output->producer = layer;
        input->producer = NULL;
    }
    affine_free(&affine);
    return status;
}

OctetStatus oct_pass_fold_batch_norm(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctetStatus status = OCTET_OK;
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        OctNode *node = graph->nodes[i];
        if (is(node, "BatchNormalization") || is(node, "Mul") || is(node, "Add") ||
            is(node, "Sub") || is(node, "Div")) {
            status = try_fold(graph, node, &uses, diagnostic);
        }
    }
    oct_uses_free(&uses);
    return status;
}
