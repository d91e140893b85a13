/* Opsets 1 to 6. Source: ONNX's Changelog.md: what changed in opset 6 (consumed_inputs gone, Cast's
 * type a number) and 7 (broadcasting by numpy's rule instead of an axis, no is_test). */
#include "onnx/import_old.h"
#include "base/diag.h"

#include <math.h>
#include <string.h>

enum { NEW_OPSET = 7 };

OctValue *oct_old_add(const OctOld *old, const char *op_type, OctValue *const *inputs,
                      int32_t count, OctValue *output, OctNode **made) {
    OctValue *value =
        output ? output : oct_graph_add_value(old->graph, oct_node_output(old->node, 0)->name);
    OctNode *node = value ? oct_graph_add_node(old->graph, op_type, "", old->node->name, inputs,
                                               count, &value, 1)
                          : NULL;
    if (!node) {
        return NULL;
    }
    node->opset = NEW_OPSET;
    node->file_order = old->node->file_order;
    if (made) {
        *made = node;
    }
    return value;
}

OctValue *oct_old_floats(const OctOld *old, const OctetShape *shape, const float *numbers) {
    OctetTensor *tensor;
    if (octet_tensor_create(OCTET_F32, shape, &tensor, NULL) != OCTET_OK) {
        return NULL;
    }
    memcpy(tensor->data, numbers, tensor->bytes);
    return oct_graph_add_constant(old->graph, old->node->name, tensor);
}

static OctetStatus unsupported(const OctOld *old, const char *what) {
    return oct_fail_node(old->diagnostic, OCTET_ERROR_UNSUPPORTED, old->node->name, "%s", what);
}

static OctetStatus memory_or_ok(const OctOld *old, bool done) {
    return done ? OCTET_OK : oct_fail_memory(old->diagnostic);
}

/* ---- one function an operator family ---- */

static OctetStatus same(const OctOld *old) {
    (void)old;
    return OCTET_OK;
}

/* Ones behind input 1, so that its axes meet those of input 0 from `axis` on. */
static OctetStatus align(const OctOld *old, int64_t axis) {
    int64_t axes[OCTET_MAX_RANK];
    int32_t rank = oct_old_rank(old, 0);
    int32_t own = oct_old_rank(old, 1);
    OctNode *made = NULL;
    if (rank < 0 || own < 0) {
        return unsupported(old, "broadcasts along an axis, and a rank is not known");
    }
    axis += axis < 0 ? rank : 0;
    int64_t behind = rank - axis - own;
    if (axis < 0 || behind < 0) {
        return oct_fail_node(old->diagnostic, OCTET_ERROR_SHAPE, old->node->name,
                             "has an axis outside its input");
    }
    if (behind == 0) {
        return OCTET_OK;
    }
    for (int32_t i = 0; i < behind; i++) {
        axes[i] = own + i;
    }
    OctValue *longer = oct_old_add(old, "Unsqueeze", &old->node->inputs[1], 1, NULL, &made);
    if (!longer || !oct_node_set_ints(old->graph, made, "axes", axes, (int32_t)behind)) {
        return oct_fail_memory(old->diagnostic);
    }
    old->node->inputs[1] = longer;
    return OCTET_OK;
}

static OctetStatus broadcast(const OctOld *old) {
    const OctAttribute *axis = oct_node_attribute(old->node, "axis");
    bool aligned = axis && axis->type == OCT_ATTRIBUTE_INT &&
                   oct_node_int(old->node, "broadcast", 0) != 0 && old->node->input_count == 2 &&
                   old->node->inputs[1];
    OctetStatus status = aligned ? align(old, axis->v.i) : OCTET_OK;
    oct_node_remove_attribute(old->node, "axis");
    oct_node_remove_attribute(old->node, "broadcast");
    return status;
}

static OctetStatus gemm(const OctOld *old) {
    oct_node_remove_attribute(old->node, "broadcast");
    return OCTET_OK;
}

static OctetStatus dropout(const OctOld *old) {
    oct_node_remove_attribute(old->node, "is_test");
    return OCTET_OK;
}

/* With is_test the other outputs are there, but say nothing. */
static OctetStatus batch_norm(const OctOld *old) {
    if (oct_node_int(old->node, "is_test", 0) != 0 && old->node->output_count > 1) {
        for (int32_t k = 1; k < old->node->output_count; k++) {
            if (old->node->outputs[k]) {
                old->node->outputs[k]->producer = NULL;
            }
        }
        old->node->output_count = 1;
    }
    oct_node_remove_attribute(old->node, "is_test");
    return OCTET_OK;
}

static OctetStatus cast(const OctOld *old) {
    static const struct {
        const char *name;
        OctetDType dtype;
    } types[] = {
        {"FLOAT", OCTET_F32},   {"UINT8", OCTET_U8},   {"INT8", OCTET_S8},    {"UINT16", OCTET_U16},
        {"INT16", OCTET_S16},   {"INT32", OCTET_S32},  {"INT64", OCTET_S64},  {"BOOL", OCTET_BOOL},
        {"FLOAT16", OCTET_F32}, {"DOUBLE", OCTET_F32}, {"UINT32", OCTET_U32}, {"UINT64", OCTET_U64},
    };
    const char *to = oct_node_string(old->node, "to", NULL);
    for (size_t i = 0; to && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(to, types[i].name) == 0) {
            return memory_or_ok(old, oct_node_set_int(old->graph, old->node, "to", types[i].dtype));
        }
    }
    return to ? unsupported(old, "casts to a type that is not supported") : OCTET_OK;
}

static OctetStatus recurrent(const OctOld *old) {
    oct_node_remove_attribute(old->node, "output_sequence");
    return OCTET_OK;
}

/* The order of the norm was a float. */
static OctetStatus lp_pool(const OctOld *old) {
    float p = oct_node_float(old->node, "p", 2);
    if (!(p >= 1 && p <= 1000) || p != floorf(p)) {
        return unsupported(old, "a norm of an order that is no whole number");
    }
    return memory_or_ok(old, oct_node_set_int(old->graph, old->node, "p", (int64_t)p));
}

/* One slope a channel, which stands along axis 1. */
static OctetStatus prelu(const OctOld *old) {
    const OctetTensor *slope = oct_value_tensor(oct_node_input(old->node, 1));
    bool single = slope && slope->bytes == octet_dtype_size(slope->dtype);
    return single || oct_old_rank(old, 1) != 1 ? OCTET_OK : align(old, 1);
}

static OctetStatus selu(const OctOld *old) {
    bool alpha = oct_node_attribute(old->node, "alpha") ||
                 oct_node_set_float(old->graph, old->node, "alpha", 1.6732f);
    bool gamma = oct_node_attribute(old->node, "gamma") ||
                 oct_node_set_float(old->graph, old->node, "gamma", 1.0507f);
    return memory_or_ok(old, alpha && gamma);
}

/* A list of whole numbers that a constant of floats or integers holds. */
static bool whole_numbers(const OctValue *value, int64_t *ints, int32_t capacity, int32_t *count) {
    const OctetTensor *tensor = oct_value_tensor(value);
    int64_t all;
    if (tensor && tensor->dtype != OCTET_F32) {
        *count = oct_value_known_ints(value, ints, capacity);
        return *count >= 0;
    }
    if (!tensor || !octet_shape_count(&tensor->shape, &all) || all > capacity) {
        return false;
    }
    *count = (int32_t)all;
    for (int32_t i = 0; i < all; i++) {
        float number = ((const float *)tensor->data)[i];
        if (!(fabsf(number) <= 1e9f) || number != floorf(number)) {
            return false;
        }
        ints[i] = (int64_t)number;
    }
    return true;
}

/* The sizes may have come as a second input. */
static OctetStatus split(const OctOld *old) {
    int64_t sizes[64];
    int32_t count;
    if (!oct_node_input(old->node, 1)) {
        return OCTET_OK;
    }
    if (!whole_numbers(old->node->inputs[1], sizes, 64, &count)) {
        return unsupported(old, "has sizes that are not constant");
    }
    old->node->input_count = 1;
    return memory_or_ok(old, oct_node_set_ints(old->graph, old->node, "split", sizes, count));
}

/* Tiles along one axis, both given as numbers. */
static OctetStatus tile(const OctOld *old) {
    int64_t times, axis, repeats[OCTET_MAX_RANK];
    int32_t count[2];
    int32_t rank = oct_old_rank(old, 0);
    OctetShape shape = {.rank = 1, .dims = {rank}};
    OctetTensor *tensor;
    if (old->node->input_count != 3 || rank < 0 ||
        !whole_numbers(old->node->inputs[1], &times, 1, &count[0]) || count[0] != 1 ||
        !whole_numbers(old->node->inputs[2], &axis, 1, &count[1]) || count[1] != 1) {
        return unsupported(old, "has tiles that are not constant, or an input of unknown rank");
    }
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank) {
        return oct_fail_node(old->diagnostic, OCTET_ERROR_SHAPE, old->node->name,
                             "has an axis outside its input");
    }
    for (int32_t i = 0; i < rank; i++) {
        repeats[i] = i == axis ? times : 1;
    }
    OCT_TRY(octet_tensor_create(OCTET_S64, &shape, &tensor, old->diagnostic));
    memcpy(tensor->data, repeats, tensor->bytes);
    OctValue *value = oct_graph_add_constant(old->graph, old->node->name, tensor);
    old->node->inputs[1] = value;
    old->node->input_count = 2;
    return memory_or_ok(old, value);
}

static OctetStatus upsample(const OctOld *old) {
    float scales[4] = {1, 1, oct_node_float(old->node, "height_scale", 1),
                       oct_node_float(old->node, "width_scale", 1)};
    bool linear = strcmp(oct_node_string(old->node, "mode", "nearest"), "bilinear") == 0;
    oct_node_remove_attribute(old->node, "height_scale");
    oct_node_remove_attribute(old->node, "width_scale");
    return memory_or_ok(
        old, oct_node_set_floats(old->graph, old->node, "scales", scales, 4) &&
                 (!linear || oct_node_set_string(old->graph, old->node, "mode", "linear")));
}

/* The shape was an attribute. */
static OctetStatus reshape(const OctOld *old) {
    const int64_t *ints;
    int32_t count = oct_node_ints(old->node, "shape", &ints);
    OctetShape shape = {.rank = 1, .dims = {count}};
    OctetTensor *tensor;
    if (!oct_node_attribute(old->node, "shape") || oct_node_input(old->node, 1)) {
        return OCTET_OK;
    }
    OCT_TRY(octet_tensor_create(OCTET_S64, &shape, &tensor, old->diagnostic));
    if (count > 0) {
        memcpy(tensor->data, ints, tensor->bytes);
    }
    OctValue *value = oct_graph_add_constant(old->graph, old->node->name, tensor);
    oct_node_remove_attribute(old->node, "shape");
    return memory_or_ok(old, value && oct_node_set_input(old->graph, old->node, 1, value));
}

static OctetStatus concat(const OctOld *old) {
    return memory_or_ok(old, oct_node_attribute(old->node, "axis") ||
                                 oct_node_set_int(old->graph, old->node, "axis", 1));
}

static OctetStatus pad(const OctOld *old) {
    const int64_t *ints;
    int32_t count = oct_node_ints(old->node, "paddings", &ints);
    bool done = count == 0 || oct_node_set_ints(old->graph, old->node, "pads", ints, count);
    oct_node_remove_attribute(old->node, "paddings");
    return memory_or_ok(old, done);
}

typedef struct Rule {
    const char *op_type;
    OctetStatus (*rewrite)(const OctOld *old);
} Rule;

static const Rule rules[] = {
    {"Abs", same},
    {"Add", broadcast},
    {"And", broadcast},
    {"BatchNormalization", batch_norm},
    {"Cast", cast},
    {"Ceil", same},
    {"Concat", concat},
    {"Pad", pad},
    {"Reshape", reshape},
    {"Clip", same},
    {"Div", broadcast},
    {"Dropout", dropout},
    {"Elu", same},
    {"Equal", broadcast},
    {"Exp", same},
    {"Floor", same},
    {"GRU", recurrent},
    {"Gemm", gemm},
    {"GlobalLpPool", lp_pool},
    {"Greater", broadcast},
    {"HardSigmoid", same},
    {"InstanceNormalization", same},
    {"LSTM", recurrent},
    {"LeakyRelu", same},
    {"Less", broadcast},
    {"Log", same},
    {"LpPool", lp_pool},
    {"Max", same},
    {"Mean", same},
    {"Min", same},
    {"Mul", broadcast},
    {"Neg", same},
    {"Or", broadcast},
    {"PRelu", prelu},
    {"Pow", broadcast},
    {"RNN", recurrent},
    {"Reciprocal", same},
    {"Relu", same},
    {"Selu", selu},
    {"Sigmoid", same},
    {"Split", split},
    {"Sqrt", same},
    {"Sub", broadcast},
    {"Sum", same},
    {"Tanh", same},
    {"Tile", tile},
    {"Upsample", upsample},
    {"Xor", broadcast},
};

/* Operators whose new form came before opset 7, so that not all of 1 to 6 are old. */
static int32_t new_from(const OctNode *node) {
    static const struct {
        const char *op_type;
        int32_t from;
    } table[] = {{"LpPool", 2}, {"Pad", 2},  {"Concat", 4}, {"Reshape", 5}, {"GlobalLpPool", 2},
                 {"Split", 2},  {"Cast", 6}, {"Tile", 6},   {"Selu", 6},    {"Upsample", 7}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(node->op_type, table[i].op_type) == 0) {
            return table[i].from;
        }
    }
    return NEW_OPSET;
}

OctetStatus oct_import_old(const OctOld *old) {
    OctNode *node = old->node;
    if (node->opset >= new_from(node) || node->output_count == 0 || !node->outputs[0]) {
        return OCTET_OK;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(node->op_type, rules[i].op_type) == 0) {
            oct_node_remove_attribute(node, "consumed_inputs");
            OCT_TRY(rules[i].rewrite(old));
            node->opset = new_from(node);
            return OCTET_OK;
        }
    }
    return OCTET_OK;
}
