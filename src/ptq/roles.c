#include "base/diag.h"
#include "ir/op.h"
#include "ptq/prepared.h"

#include <string.h>

static const struct {
    const char *op_type;
    OctRole role;
    int32_t data_inputs; /* the first so many are data; -1: all */
} roles[] = {
    {"Conv", OCT_ROLE_LAYER, 1},         {"ConvTranspose", OCT_ROLE_LAYER, 1},
    {"Gemm", OCT_ROLE_LAYER, 1},         {"MatMul", OCT_ROLE_LAYER, 2},
    {"Add", OCT_ROLE_FOLLOW, 2},         {"Mul", OCT_ROLE_FOLLOW, 2},
    {"AveragePool", OCT_ROLE_FOLLOW, 1}, {"GlobalAveragePool", OCT_ROLE_FOLLOW, 1},
    {"ReduceMean", OCT_ROLE_FOLLOW, 1},  {"Relu", OCT_ROLE_FOLLOW, 1},
    {"Clip", OCT_ROLE_FOLLOW, 1},        {"LeakyRelu", OCT_ROLE_FOLLOW, 1},
    {"Elu", OCT_ROLE_FOLLOW, 1},         {"Gelu", OCT_ROLE_FOLLOW, 1},
    {"Sigmoid", OCT_ROLE_FOLLOW, 1},     {"HardSigmoid", OCT_ROLE_FOLLOW, 1},
    {"HardSwish", OCT_ROLE_FOLLOW, 1},   {"Tanh", OCT_ROLE_FOLLOW, 1},
    {"MaxPool", OCT_ROLE_MOVE, 1},       {"Reshape", OCT_ROLE_MOVE, 1},
    {"Flatten", OCT_ROLE_MOVE, 1},       {"Squeeze", OCT_ROLE_MOVE, 1},
    {"Unsqueeze", OCT_ROLE_MOVE, 1},     {"Transpose", OCT_ROLE_MOVE, 1},
    {"Pad", OCT_ROLE_MOVE, 1},           {"Concat", OCT_ROLE_MOVE, -1},
    {"Slice", OCT_ROLE_MOVE, 1},         {"Split", OCT_ROLE_MOVE, 1},
    {"Gather", OCT_ROLE_MOVE, 1},        {"DepthToSpace", OCT_ROLE_MOVE, 1},
    {"SpaceToDepth", OCT_ROLE_MOVE, 1},  {"Expand", OCT_ROLE_MOVE, 1},
    {"Tile", OCT_ROLE_MOVE, 1},          {"Identity", OCT_ROLE_MOVE, 1},
    {"Dropout", OCT_ROLE_MOVE, 1},       {"BatchNormalization", OCT_ROLE_FOLLOW, 1},
};
enum { ROLE_COUNT = sizeof roles / sizeof roles[0] };

static int find(const OctNode *node) {
    for (int i = 0; i < ROLE_COUNT && node->domain[0] == '\0'; i++) {
        if (strcmp(roles[i].op_type, node->op_type) == 0) {
            return i;
        }
    }
    return -1;
}

static bool is(const OctNode *node, const char *op_type) {
    return strcmp(node->op_type, op_type) == 0;
}

/* A value that pads with something else than 0, or with edges, still moves data: every element of
 * the output is one of the input, or a constant that the grid may not hold. Only 0 surely is on
 * every grid. */
static bool pads_with_zero(const OctNode *node) {
    const OctetTensor *fill = oct_value_tensor(oct_node_input(node, 2));
    if (strcmp(oct_node_string(node, "mode", "constant"), "constant") != 0) {
        return true;
    }
    if (node->opset < 11) {
        return oct_node_float(node, "value", 0) == 0;
    }
    if (!oct_node_input(node, 2)) {
        return true;
    }
    return fill && fill->dtype == OCTET_F32 && fill->bytes == sizeof(float) &&
           *(const float *)fill->data == 0;
}

OctRole oct_role_of(const OctNode *node) {
    if (is(node, "Resize") || is(node, "Upsample")) {
        bool nearest = strcmp(oct_node_string(node, "mode", "nearest"), "nearest") == 0;
        bool int8 = node->op && (node->op->flags & OCT_OP_INT8);
        return nearest ? OCT_ROLE_MOVE : int8 ? OCT_ROLE_FOLLOW : OCT_ROLE_NONE;
    }
    int i = find(node);
    if (i < 0) {
        return OCT_ROLE_NONE;
    }
    if (is(node, "Pad") && !pads_with_zero(node)) {
        return OCT_ROLE_NONE;
    }
    if (roles[i].role == OCT_ROLE_FOLLOW && !(node->op && (node->op->flags & OCT_OP_INT8))) {
        return OCT_ROLE_NONE;
    }
    return roles[i].role;
}

bool oct_role_is_data_input(const OctNode *node, int32_t k) {
    int i = find(node);
    int32_t count = i < 0 ? 1 : roles[i].data_inputs;
    const OctValue *value = oct_node_input(node, k);
    if (!value || (count >= 0 && k >= count)) {
        return false;
    }
    /* a matrix that is constant is a weight */
    return !(is(node, "MatMul") && k == 1 && value->constant);
}

int32_t oct_weight_axis(const OctNode *node) {
    const OctValue *weight = oct_node_input(node, 1);
    if (!weight || !weight->constant) {
        return -1;
    }
    if (is(node, "Conv")) {
        return 0;
    }
    if (is(node, "ConvTranspose")) {
        return 1;
    }
    if (is(node, "Gemm")) {
        return oct_node_int(node, "transB", 0) ? 0 : 1;
    }
    return is(node, "MatMul") && weight->shape.rank >= 2 ? weight->shape.rank - 1 : -1;
}
