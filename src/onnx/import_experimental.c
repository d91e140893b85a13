/* Operators that ONNX once tried out, and some that exporters wrote without its consent: CoreML's
 * and caffe2's. ONNX Runtime still has most of them. */
#include "base/diag.h"
#include "onnx/import_old.h"

#include <math.h>
#include <string.h>

/* The output of a chain that stands in the node's place. */
static OctetStatus finish(const OctOld *old, const OctValue *output) {
    if (!output) {
        return oct_fail_memory(old->diagnostic);
    }
    for (int32_t k = 0; k < old->node->output_count; k++) {
        OctValue *value = old->node->outputs[k];
        if (value && value->producer == old->node) {
            value->producer = NULL;
        }
    }
    old->node->dead = true;
    return OCTET_OK;
}

static OctetStatus fail(const OctOld *old, const char *what) {
    return oct_fail_node(old->diagnostic, OCTET_ERROR_UNSUPPORTED, old->node->name, "%s", what);
}

static OctValue *scalar(const OctOld *old, float number) {
    return oct_old_floats(old, &(OctetShape){.rank = 0}, &number);
}

/* `op_type` of x and a constant; NULL when out of memory. */
static OctValue *combine(const OctOld *old, const char *op_type, OctValue *x, OctValue *constant,
                         OctValue *output) {
    return x && constant ? oct_old_add(old, op_type, (OctValue *[]){x, constant}, 2, output, NULL)
                         : NULL;
}

/* alpha * x + beta */
static OctetStatus affine(const OctOld *old) {
    const OctNode *node = old->node;
    OctValue *scaled =
        combine(old, "Mul", node->inputs[0], scalar(old, oct_node_float(node, "alpha", 1)), NULL);
    return finish(old, combine(old, "Add", scaled, scalar(old, oct_node_float(node, "beta", 0)),
                               node->outputs[0]));
}

static OctetStatus scale(const OctOld *old) {
    float factor = oct_node_float(old->node, "scale", 1);
    return finish(
        old, combine(old, "Mul", old->node->inputs[0], scalar(old, factor), old->node->outputs[0]));
}

/* scale * x + bias[channel] */
static OctetStatus image_scaler(const OctOld *old) {
    const OctNode *node = old->node;
    const OctAttribute *bias = oct_node_attribute(node, "bias");
    OctValue *scaled =
        combine(old, "Mul", node->inputs[0], scalar(old, oct_node_float(node, "scale", 1)), NULL);
    if (!bias || bias->type != OCT_ATTRIBUTE_FLOATS || bias->count < 1) {
        return fail(old, "has no list of biases");
    }
    OctetShape shape = {.rank = 3, .dims = {bias->count, 1, 1}};
    return finish(old, combine(old, "Add", scaled, oct_old_floats(old, &shape, bias->v.floats),
                               node->outputs[0]));
}

/* alpha * f(beta * x), the product in front left out where beta is 1 */
static OctetStatus scaled(const OctOld *old, const char *function) {
    const OctNode *node = old->node;
    OctValue *inner =
        combine(old, "Mul", node->inputs[0], scalar(old, oct_node_float(node, "beta", 1)), NULL);
    OctValue *middle = inner ? oct_old_add(old, function, &inner, 1, NULL, NULL) : NULL;
    return finish(old, combine(old, "Mul", middle, scalar(old, oct_node_float(node, "alpha", 1)),
                               node->outputs[0]));
}

static OctetStatus scaled_tanh(const OctOld *old) {
    return scaled(old, "Tanh");
}

static OctetStatus parametric_softplus(const OctOld *old) {
    return scaled(old, "Softplus");
}

/* Cuts `border` (left, top, right, bottom) off; with a scale (height, width), that much is kept. */
static OctetStatus crop(const OctOld *old) {
    const int64_t *border, *kept;
    OctNode *node = old->node;
    OctNode *slice = NULL;
    int32_t count = oct_node_ints(node, "border", &border);
    int32_t sizes = oct_node_ints(node, "scale", &kept);
    if (count != 4 || (sizes != 0 && sizes != 2)) {
        return fail(old, "has no border of four numbers");
    }
    for (int32_t i = 0; i < 4; i++) {
        if (border[i] < 0 || border[i] > INT32_MAX || (i < sizes && kept[i] > INT32_MAX)) {
            return fail(old, "has a border or a scale out of range");
        }
    }
    int64_t axes[2] = {2, 3};
    int64_t starts[2] = {border[1], border[0]};
    int64_t ends[2] = {border[3] ? -border[3] : INT32_MAX, border[2] ? -border[2] : INT32_MAX};
    for (int32_t i = 0; i < sizes; i++) {
        ends[i] = starts[i] + kept[i];
    }
    OctValue *output = oct_old_add(old, "Slice", node->inputs, 1, node->outputs[0], &slice);
    bool done = output && oct_node_set_ints(old->graph, slice, "axes", axes, 2) &&
                oct_node_set_ints(old->graph, slice, "starts", starts, 2) &&
                oct_node_set_ints(old->graph, slice, "ends", ends, 2);
    return finish(old, done ? output : NULL);
}

static OctetStatus dynamic_slice(const OctOld *old) {
    old->node->op_type = "Slice";
    old->node->opset = 10;
    return OCTET_OK;
}

/* As it became ONNX's in opset 10. */
static OctetStatus thresholded_relu(const OctOld *old) {
    old->node->opset = old->node->opset < 10 ? 10 : old->node->opset;
    return OCTET_OK;
}

/* Over pixels, or over channels and pixels. */
static OctetStatus mean_variance(const OctOld *old) {
    OctNode *node = old->node;
    if (node->opset >= 9) {
        return OCTET_OK;
    }
    bool across = oct_node_int(node, "across_channels", 0) != 0;
    const int64_t axes[3] = {1, 2, 3};
    if (oct_node_int(node, "normalize_variance", 1) == 0 || oct_old_rank(old, 0) != 4) {
        return fail(old, "is supported with its variance, and on four dimensions");
    }
    oct_node_remove_attribute(node, "across_channels");
    oct_node_remove_attribute(node, "normalize_variance");
    node->opset = 9;
    return oct_node_set_ints(old->graph, node, "axes", across ? axes : axes + 1, across ? 3 : 2)
               ? OCTET_OK
               : oct_fail_memory(old->diagnostic);
}

/* A shape from the attribute, from the input's content or from its shape, all of one number. */
static OctetStatus constant_fill(const OctOld *old) {
    OctNode *node = old->node;
    const int64_t *dims, *extra;
    OctNode *fill = NULL;
    float number = oct_node_float(node, "value", 0);
    OctValue *shape = oct_node_input(node, 0);
    int32_t count = oct_node_ints(node, "shape", &dims);
    if (oct_node_int(node, "dtype", OCTET_F32) != OCTET_F32 ||
        oct_node_ints(node, "extra_shape", &extra) > 0) {
        return fail(old, "is supported with floats and without extra_shape");
    }
    if (!shape) {
        OctetShape list = {.rank = 1, .dims = {count}};
        OctetTensor *tensor;
        OCT_TRY(octet_tensor_create(OCTET_S64, &list, &tensor, old->diagnostic));
        if (count > 0) {
            memcpy(tensor->data, dims, tensor->bytes);
        }
        shape = oct_graph_add_constant(old->graph, node->name, tensor);
    } else if (oct_node_int(node, "input_as_shape", 0) == 0) {
        shape = oct_old_add(old, "Shape", &shape, 1, NULL, NULL);
    }
    OctetTensor *value;
    OCT_TRY(octet_tensor_create(OCTET_F32, &(OctetShape){.rank = 1, .dims = {1}}, &value,
                                old->diagnostic));
    memcpy(value->data, &number, sizeof number);
    OctConstant *constant = oct_constant_create(value);
    OctValue *output = shape && constant
                           ? oct_old_add(old, "ConstantOfShape", &shape, 1, node->outputs[0], &fill)
                           : NULL;
    if (!output) {
        oct_constant_release(constant);
        return oct_fail_memory(old->diagnostic);
    }
    fill->opset = 9;
    return finish(old, oct_node_set_tensor(old->graph, fill, "value", constant) ? output : NULL);
}

/* Before opset 9 a BatchNormalization could have its parameters for every place of a channel. */
static OctetStatus batch_norm(const OctOld *old) {
    OctNode *node = old->node;
    float epsilon = oct_node_float(node, "epsilon", 1e-5f);
    const float *in[4];
    int64_t count = 0;
    if (node->opset >= 9 || oct_node_int(node, "spatial", 1) != 0) {
        return OCTET_OK;
    }
    for (int32_t k = 0; k < 4; k++) {
        const OctetTensor *tensor = oct_value_tensor(oct_node_input(node, 1 + k));
        int64_t own;
        if (!tensor || tensor->dtype != OCTET_F32 || !octet_shape_count(&tensor->shape, &own) ||
            (k > 0 && own != count)) {
            return fail(old, "that is not spatial is supported with constant parameters");
        }
        count = own;
        in[k] = tensor->data;
    }
    OctetTensor *factor = NULL;
    OctetTensor *shift = NULL;
    const OctetShape *shape = &oct_value_tensor(node->inputs[1])->shape;
    OctetStatus status = octet_tensor_create(OCTET_F32, shape, &factor, old->diagnostic);
    if (status == OCTET_OK) {
        status = octet_tensor_create(OCTET_F32, shape, &shift, old->diagnostic);
    }
    for (int64_t i = 0; i < count && status == OCTET_OK; i++) {
        float a = in[0][i] / sqrtf(in[3][i] + epsilon);
        ((float *)factor->data)[i] = a;
        ((float *)shift->data)[i] = in[1][i] - in[2][i] * a;
    }
    if (status != OCTET_OK) {
        octet_tensor_free(factor);
        return status;
    }
    OctValue *factors = oct_graph_add_constant(old->graph, node->name, factor);
    OctValue *shifts = oct_graph_add_constant(old->graph, node->name, shift);
    OctValue *product = combine(old, "Mul", node->inputs[0], factors, NULL);
    return finish(old, combine(old, "Add", product, shifts, node->outputs[0]));
}

static const struct {
    const char *op_type;
    int32_t inputs; /* that must be there */
    OctetStatus (*rewrite)(const OctOld *old);
} table[] = {
    {"Affine", 1, affine},
    {"BatchNormalization", 5, batch_norm},
    {"ConstantFill", 0, constant_fill},
    {"Crop", 1, crop},
    {"DynamicSlice", 3, dynamic_slice},
    {"ImageScaler", 1, image_scaler},
    {"MeanVarianceNormalization", 1, mean_variance},
    {"ParametricSoftplus", 1, parametric_softplus},
    {"Scale", 1, scale},
    {"ScaledTanh", 1, scaled_tanh},
    {"ThresholdedRelu", 1, thresholded_relu},
};

static bool has_operands(const OctNode *node, int32_t inputs) {
    for (int32_t k = 0; k < inputs; k++) {
        if (!oct_node_input(node, k)) {
            return false;
        }
    }
    return oct_node_output(node, 0) != NULL;
}

static int find(const OctNode *node) {
    for (int i = 0; i < (int)(sizeof table / sizeof table[0]) && !*node->domain; i++) {
        if (node->op_type[0] == table[i].op_type[0] &&
            strcmp(node->op_type, table[i].op_type) == 0) {
            return i;
        }
    }
    return -1;
}

bool oct_is_experimental(const OctNode *node) {
    return find(node) >= 0;
}

OctetStatus oct_import_experimental(const OctOld *old) {
    int i = find(old->node);
    bool fits = i >= 0 && has_operands(old->node, table[i].inputs);
    return fits ? table[i].rewrite(old) : OCTET_OK;
}
