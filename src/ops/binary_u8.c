/* Binary functions on u8: Add, Sub and Mul by the formulas of QLinearAdd and QLinearMul, and any
 * function one of whose operands is a constant number through a table. */
#include "kernels/f32_vector.h"
#include "kernels/q8_vector.h"
#include "ops/binary.h"
#include "ops/table_u8.h"

#include <string.h>

typedef struct BytesBinary {
    bool multiply;
    OctQ8Add add;
    OctQ8Mul mul;
    const OctQ8VectorOps *q8;
    OctBroadcast plan;
} BytesBinary;

typedef struct BytesJob {
    const BytesBinary *binary;
    const uint8_t *a, *b;
    uint8_t *output;
} BytesJob;

static bool is_u8(const OctValue *value) {
    return value && oct_value_quantized(value) && value->qparams.dtype == OCTET_U8;
}

/* A constant of one element, in f32 or quantized, as a real number. */
static bool constant_number(const OctValue *value, float *number) {
    const OctetTensor *tensor = oct_value_tensor(value);
    int64_t count;
    if (!tensor || !octet_shape_count(&tensor->shape, &count) || count != 1) {
        return false;
    }
    if (!oct_value_quantized(value)) {
        return oct_convert(OCTET_F32, number, tensor->dtype, tensor->data, 1, NULL) == OCTET_OK;
    }
    int64_t stored;
    if (oct_convert(OCTET_S64, &stored, tensor->dtype, tensor->data, 1, NULL) != OCTET_OK) {
        return false;
    }
    *number = (float)(stored - oct_value_zero_point(value)) * oct_value_scale(value);
    return true;
}

/* ---- one operand is a constant: a function of the other ---- */

typedef struct Partial {
    OctBinary op;
    bool constant_first;
    float constant;
    const OctF32VectorBundle *vector;
} Partial;

static void apply_partial(const void *context, const float *input, float *output, size_t count) {
    const Partial *partial = context;
    if (partial->op == OCT_BINARY_PRELU) {
        partial->vector->leaky_relu(input, output, count, partial->constant);
    } else if (partial->constant_first) {
        partial->vector->scalar_vector[partial->op](&partial->constant, input, output, count);
    } else {
        partial->vector->vector_scalar[partial->op](input, &partial->constant, output, count);
    }
}

static bool is_same_shape_as_other(const OctNode *node, int32_t k) {
    return octet_shape_equal(&node->inputs[1 - k]->shape, &node->outputs[0]->shape);
}

/* The operand that a table would replace: a constant number that does not widen the other one;
 * -1 if there is none. */
static int32_t constant_operand(const OctNode *node, float *number) {
    OctBinary op = oct_binary_of(node);
    for (int32_t k = 1; k >= 0; k--) {
        if (node->input_count == 2 && constant_number(node->inputs[k], number) &&
            is_u8(node->inputs[1 - k]) && is_same_shape_as_other(node, k) &&
            (k == 1 || op != OCT_BINARY_PRELU)) {
            return k;
        }
    }
    return -1;
}

bool oct_binary_has_u8(const OctNode *node) {
    OctBinary op = oct_binary_of(node);
    float number;
    if (!is_u8(node->outputs[0]) || node->input_count != 2) {
        return false;
    }
    bool table =
        (op <= OCT_BINARY_MAX || op == OCT_BINARY_PRELU) && constant_operand(node, &number) >= 0;
    bool pair = op == OCT_BINARY_ADD || op == OCT_BINARY_SUB || op == OCT_BINARY_MUL;
    return table || (pair && is_u8(node->inputs[0]) && is_u8(node->inputs[1]));
}

/* ---- two tensors ---- */

static void bytes_row(const void *context, const OctBroadcastRow *row) {
    const BytesJob *job = context;
    const BytesBinary *binary = job->binary;
    const uint8_t *a = job->a + row->offsets[0];
    const uint8_t *b = job->b + row->offsets[1];
    uint8_t *to = job->output + row->output_offset;
    size_t count = (size_t)row->count;
    bool a_repeats = row->steps[0] == 0;
    bool b_repeats = row->steps[1] == 0;
    if (binary->multiply) {
        if (a_repeats || b_repeats) {
            OctQ8Mul mul = binary->mul;
            if (a_repeats) { /* the kernel's scalar is its b */
                mul.zero_a = binary->mul.zero_b;
                mul.zero_b = binary->mul.zero_a;
            }
            binary->q8->mul_scalar(&mul, a_repeats ? b : a, a_repeats ? *a : *b, to,
                                   a_repeats && b_repeats ? 1 : count);
        } else {
            binary->q8->mul(&binary->mul, a, b, to, count);
        }
    } else if (a_repeats || b_repeats) {
        binary->q8->add_scalar(&binary->add, a_repeats ? b : a, a_repeats ? *a : *b, a_repeats, to,
                               a_repeats && b_repeats ? 1 : count);
    } else {
        binary->q8->add(&binary->add, a, b, to, count);
    }
}

static OctetStatus run_bytes(void *state, const OctRun *run) {
    const BytesBinary *binary = state;
    BytesJob job = {binary, run->inputs[0].data, run->inputs[1].data, run->outputs[0].data};
    oct_broadcast_run(&binary->plan, bytes_row, &job, run->pool);
    return OCTET_OK;
}

/* The activation's bounds on the output's grid. */
static void clamp_bounds(const OctNode *node, uint8_t *minimum, uint8_t *maximum) {
    const OctetQParams *grid = &node->outputs[0]->qparams;
    *minimum = 0;
    *maximum = 255;
    if (node->activation.kind == OCT_ACTIVATION_CLIP) {
        *minimum = (uint8_t)oct_table_quantize(grid, node->activation.minimum);
        *maximum = (uint8_t)oct_table_quantize(grid, node->activation.maximum);
    }
}

/* a - b is a + b with the negative of b's ratio. */
static OctQ8Add add_params(OctBinary op, const OctValue *a, const OctValue *b, const OctValue *y) {
    OctQ8Add add =
        oct_q8_add_params(oct_value_scale(a), oct_value_zero_point(a), oct_value_scale(b),
                          oct_value_zero_point(b), oct_value_scale(y), oct_value_zero_point(y));
    if (op == OCT_BINARY_SUB) {
        add.ratio_b = -add.ratio_b;
        add.fixed = (float)oct_value_zero_point(y) - (add.ratio_a * (float)oct_value_zero_point(a) +
                                                      add.ratio_b * (float)oct_value_zero_point(b));
    }
    return add;
}

static OctetStatus prepare_pair(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    BytesBinary *binary = oct_prepare_state(prepare, prepared, sizeof *binary);
    if (!binary) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctValue *a = node->inputs[0];
    const OctValue *b = node->inputs[1];
    const OctValue *y = node->outputs[0];
    OctBinary op = oct_binary_of(node);
    binary->q8 = oct_q8_vector_ops(prepare->cpu);
    binary->multiply = op == OCT_BINARY_MUL;
    if (binary->multiply) {
        binary->mul =
            oct_q8_mul_params(oct_value_scale(a), oct_value_zero_point(a), oct_value_scale(b),
                              oct_value_zero_point(b), oct_value_scale(y), oct_value_zero_point(y));
        clamp_bounds(node, &binary->mul.minimum, &binary->mul.maximum);
    } else {
        binary->add = add_params(op, a, b, y);
        clamp_bounds(node, &binary->add.minimum, &binary->add.maximum);
    }
    const OctetShape *shapes[] = {&a->shape, &b->shape};
    oct_broadcast_plan(&binary->plan, &y->shape, 2, shapes);
    prepared->run = run_bytes;
    prepared->kernel = binary->multiply ? "q8_mul" : "q8_add";
    prepared->cpu = binary->q8->cpu;
    return OCTET_OK;
}

/* ---- a constant and a tensor ---- */

static OctetStatus prepare_number(const OctPrepare *prepare, int32_t constant, float number,
                                  OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    Partial partial = {oct_binary_of(node), constant == 0, number,
                       oct_f32_vector_select(prepare->cpu)};
    return oct_table_prepare(prepare, 1 - constant, apply_partial, &partial, prepared);
}

OctetStatus oct_binary_prepare_u8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    float number;
    int32_t constant = constant_operand(node, &number);
    bool on_grids =
        is_u8(node->inputs[0]) && is_u8(node->inputs[1]) && oct_binary_of(node) <= OCT_BINARY_MUL;
    if (constant >= 0 && !on_grids) {
        return prepare_number(prepare, constant, number, prepared);
    }
    OCT_TRY(prepare_pair(prepare, prepared));
    if (constant < 0) {
        return OCTET_OK;
    }
    /* the other operand runs through all its values: what the kernel gives for each is the table */
    uint8_t all[256];
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    const uint8_t *stored = oct_value_tensor(node->inputs[constant])->data;
    const BytesJob job = {prepared->state, constant == 1 ? all : stored,
                          constant == 1 ? stored : all, table};
    const OctBroadcastRow row = {.count = 256, .steps = {constant == 1, constant == 0}};
    bytes_row(&job, &row);
    prepared->destroy(prepared->state);
    return oct_table_prepare_bytes(prepare, 1 - constant, table, prepared);
}
