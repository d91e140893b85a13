/* Elementwise functions of two tensors with broadcasting: check, infer, choice of the kernel. */
#include "ops/binary.h"

#include <string.h>

OctBinary oct_binary_of(const OctNode *node) {
    static const struct {
        const char *name;
        OctBinary op;
    } names[] = {
        {"Add", OCT_BINARY_ADD},
        {"Sub", OCT_BINARY_SUB},
        {"Mul", OCT_BINARY_MUL},
        {"Div", OCT_BINARY_DIV},
        {"Min", OCT_BINARY_MIN},
        {"Max", OCT_BINARY_MAX},
        {"Sum", OCT_BINARY_ADD},
        {"Mean", OCT_BINARY_ADD},
        {"Pow", OCT_BINARY_POW},
        {"PRelu", OCT_BINARY_PRELU},
        {"And", OCT_BINARY_AND},
        {"Or", OCT_BINARY_OR},
        {"Xor", OCT_BINARY_XOR},
        {"BitwiseAnd", OCT_BINARY_AND},
        {"BitwiseOr", OCT_BINARY_OR},
        {"BitwiseXor", OCT_BINARY_XOR},
        {"Equal", OCT_BINARY_EQUAL},
        {"Less", OCT_BINARY_LESS},
        {"LessOrEqual", OCT_BINARY_LESS_OR_EQUAL},
        {"Greater", OCT_BINARY_GREATER},
        {"GreaterOrEqual", OCT_BINARY_GREATER_OR_EQUAL},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(node->op_type, names[i].name) == 0) {
            return names[i].op;
        }
    }
    if (strcmp(node->op_type, "BitShift") == 0) {
        return strcmp(oct_node_string(node, "direction", ""), "LEFT") == 0 ? OCT_BINARY_SHIFT_LEFT
                                                                           : OCT_BINARY_SHIFT_RIGHT;
    }
    bool c_like = oct_node_int(node, "fmod", 0) != 0 || oct_input_dtype(node, 0) == OCTET_F32;
    return c_like ? OCT_BINARY_FMOD : OCT_BINARY_MOD;
}

/* ---- check ---- */

static OctetStatus check_types(const OctNode *node, uint32_t types, OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < node->input_count; k++) {
        if (!node->inputs[k]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "lacks its input %d", (int)k);
        }
        OCT_TRY(oct_check_type(node, k, types, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus check_numbers(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    return check_types(node, OCT_TYPES_FLOAT | OCT_TYPES_INTEGER, diagnostic);
}

static OctetStatus check_any(const OctGraph *graph, const OctNode *node,
                             OctetDiagnostic *diagnostic) {
    (void)graph;
    return check_types(node, OCT_TYPES_ANY, diagnostic);
}

static OctetStatus check_bools(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    return check_types(node, OCT_TYPES_BOOL, diagnostic);
}

static OctetStatus check_integers(const OctGraph *graph, const OctNode *node,
                                  OctetDiagnostic *diagnostic) {
    (void)graph;
    const char *direction = oct_node_string(node, "direction", "LEFT");
    if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has no legal direction");
    }
    return check_types(node, OCT_TYPES_INTEGER, diagnostic);
}

/* ---- infer ---- */

static OctetStatus infer_known(OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic) {
    OctValue *output = oct_node_output(node, 0);
    int64_t a[OCT_MAX_INTS];
    int64_t b[OCT_MAX_INTS];
    int64_t count;
    if (!output || node->input_count != 2 || output->shape.rank > 1 ||
        !octet_shape_count(&output->shape, &count) || count > OCT_MAX_INTS) {
        return OCTET_OK;
    }
    int32_t a_count = oct_value_known_ints(node->inputs[0], a, OCT_MAX_INTS);
    int32_t b_count = oct_value_known_ints(node->inputs[1], b, OCT_MAX_INTS);
    bool fits = (a_count == count || a_count == 1) && (b_count == count || b_count == 1);
    if (!fits) {
        return OCTET_OK;
    }
    OctetDType dtype = oct_input_dtype(node, 0);
    OctBinary op = oct_binary_of(node);
    int64_t known[OCT_MAX_INTS];
    for (int64_t i = 0; i < count; i++) {
        known[i] = oct_binary_known(op, dtype, a[a_count == 1 ? 0 : i], b[b_count == 1 ? 0 : i]);
    }
    return oct_set_known(graph, output, known, (int32_t)count, diagnostic);
}

static OctetStatus infer_binary(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctBinary op = oct_binary_of(node);
    OctetDType dtype = oct_input_dtype(node, 0);
    OctetShape shape = *oct_input_shape(node, 0);
    for (int32_t k = 1; k < node->input_count; k++) {
        OctetDType other = oct_input_dtype(node, k);
        if (dtype != OCTET_DTYPE_NONE && other != OCTET_DTYPE_NONE && other != dtype &&
            op != OCT_BINARY_POW) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "mixes %s and %s",
                               octet_dtype_name(dtype), octet_dtype_name(other));
        }
        dtype = dtype == OCTET_DTYPE_NONE && op != OCT_BINARY_POW ? other : dtype;
        OCT_TRY(oct_broadcast_shapes(node, &shape, oct_input_shape(node, k), &shape, diagnostic));
    }
    OctetDType result = op >= OCT_BINARY_EQUAL ? OCTET_BOOL : dtype;
    oct_set_output(node, 0, result, &shape);
    bool integers = oct_dtype_is_integer(dtype) || dtype == OCTET_BOOL;
    return integers ? infer_known(graph, node, diagnostic) : OCTET_OK;
}

/* The slope may broadcast to the input, not the other way round. */
static OctetStatus infer_prelu(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OCT_TRY(infer_binary(graph, node, diagnostic));
    const OctValue *output = oct_node_output(node, 0);
    const OctetShape *input = oct_input_shape(node, 0);
    if (output && oct_shape_is_static(input) && oct_shape_is_static(&output->shape) &&
        !octet_shape_equal(input, &output->shape)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has a slope larger than its input");
    }
    return oct_infer_same(graph, node, diagnostic);
}

/* ---- prepare ---- */

static OctetStatus prepare_binary(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    if (node->outputs[0] && oct_value_quantized(node->outputs[0])) {
        if (oct_binary_has_u8(node)) {
            return oct_binary_prepare_u8(prepare, prepared);
        }
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "has no integer kernel for these tensors");
    }
    if (oct_input_dtype(node, 0) == OCTET_F32) {
        return oct_binary_prepare_f32(prepare, prepared);
    }
    return oct_binary_prepare_int(prepare, prepared);
}

#define BINARY(name, since, flags, check)                                                          \
    {                                                                                              \
        "", name, since, 0, OCT_OP_BROADCAST | (flags), 2, 2, 1, 1, check, infer_binary,           \
            prepare_binary                                                                         \
    }
#define VARIADIC(name, since, check)                                                               \
    { "", name, since, 0, OCT_OP_BROADCAST, 1, -1, 1, 1, check, infer_binary, prepare_binary }

const OctOp oct_ops_binary[] = {
    BINARY("Add", 7, OCT_OP_INT8, check_numbers),
    BINARY("Sub", 7, OCT_OP_INT8, check_numbers),
    BINARY("Mul", 7, OCT_OP_INT8, check_numbers),
    BINARY("Div", 7, OCT_OP_INT8, check_numbers),
    BINARY("Pow", 7, OCT_OP_INT8, check_numbers),
    BINARY("Mod", 10, 0, check_numbers),
    BINARY("BitShift", 11, 0, check_integers),
    BINARY("BitwiseAnd", 18, 0, check_integers),
    BINARY("BitwiseOr", 18, 0, check_integers),
    BINARY("BitwiseXor", 18, 0, check_integers),
    BINARY("And", 7, 0, check_bools),
    BINARY("Or", 7, 0, check_bools),
    BINARY("Xor", 7, 0, check_bools),
    BINARY("Equal", 7, 0, check_any),
    BINARY("Greater", 7, 0, check_numbers),
    BINARY("Less", 7, 0, check_numbers),
    BINARY("GreaterOrEqual", 12, 0, check_numbers),
    BINARY("LessOrEqual", 12, 0, check_numbers),
    VARIADIC("Min", 6, check_numbers),
    VARIADIC("Max", 6, check_numbers),
    VARIADIC("Sum", 6, check_numbers),
    VARIADIC("Mean", 6, check_numbers),
    {"", "PRelu", 7, 0, OCT_OP_BROADCAST | OCT_OP_INT8, 2, 2, 1, 1, check_numbers, infer_prelu,
     prepare_binary},
};
OCT_OPS_COUNT(binary);
