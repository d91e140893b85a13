/* Binary functions on u8: Add, Sub and Mul of two tensors by the formulas of QLinearAdd and
 * QLinearMul; a constant number makes the function a table of the other operand; what remains is
 * computed on real numbers, block by block, and rounded. */
#include "kernels/f32_vector.h"
#include "kernels/q8_vector.h"
#include "kernels/vmath.h"
#include "ops/binary.h"
#include "ops/table_u8.h"
#include "ops/tile_u8.h"
#include "quant/requantize_pairs.h"

#include <string.h>

typedef struct BytesBinary {
    bool multiply;
    OctQ8Add add;
    OctQ8Mul mul;
    const OctQ8VectorOps *q8;
    OctBroadcast plan;
    uint8_t *pairs; /* results of all pairs in the arithmetic of another runtime; NULL in our own */
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
    const OctVmathBundle *math;
} Partial;

static void apply_partial(const void *context, const float *input, float *output, size_t count) {
    const Partial *partial = context;
    if (partial->op == OCT_BINARY_PRELU) {
        partial->vector->leaky_relu(input, output, count, partial->constant);
    } else if (partial->op == OCT_BINARY_POW) { /* a table at a time */
        float constant[256];
        for (size_t i = 0; i < count; i++) {
            constant[i] = partial->constant;
        }
        partial->math->pow(partial->constant_first ? constant : input,
                           partial->constant_first ? input : constant, output, count);
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
    if (!is_u8(node->outputs[0]) || node->input_count != 2 ||
        (op > OCT_BINARY_MAX && op != OCT_BINARY_PRELU && op != OCT_BINARY_POW)) {
        return false;
    }
    for (int32_t k = 0; k < 2; k++) {
        const OctValue *input = node->inputs[k];
        bool real = input->dtype == OCTET_F32 && !oct_value_quantized(input);
        if (!real && !is_u8(input)) {
            return false;
        }
    }
    return true;
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
    if (binary->pairs) {
        for (size_t i = 0; i < count; i++) {
            to[i] = binary->pairs[256 * a[a_repeats ? 0 : i] + b[b_repeats ? 0 : i]];
        }
    } else if (binary->multiply) {
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

static void bytes_tile(const void *context, const uint8_t *a, const uint8_t *b, uint8_t *y,
                       size_t count) {
    const BytesBinary *binary = context;
    if (binary->multiply) {
        binary->q8->mul(&binary->mul, a, b, y, count);
    } else {
        binary->q8->add(&binary->add, a, b, y, count);
    }
}

static OctetStatus run_tiles(void *state, const OctRun *run) {
    const BytesBinary *binary = state;
    oct_tile_run(&binary->plan, bytes_tile, binary, run->inputs[0].data, run->inputs[1].data,
                 run->outputs[0].data, run->pool);
    return OCTET_OK;
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

/* The table of another runtime's arithmetic. */
static OctetStatus fill_pairs(const OctPrepare *prepare, OctBinary op, BytesBinary *binary) {
    const OctNode *node = prepare->node;
    const OctValue *a = node->inputs[0], *b = node->inputs[1], *y = node->outputs[0];
    uint8_t minimum, maximum;
    clamp_bounds(node, &minimum, &maximum);
    const OctPairGrids grids = {.a_scale = oct_value_scale(a),
                                .b_scale = oct_value_scale(b),
                                .y_scale = oct_value_scale(y),
                                .a_zero_point = oct_value_zero_point(a),
                                .b_zero_point = oct_value_zero_point(b),
                                .y_zero_point = oct_value_zero_point(y),
                                .minimum = minimum,
                                .maximum = maximum};
    binary->pairs = (uint8_t *)(binary + 1);
    OctetStatus status =
        op == OCT_BINARY_MUL
            ? oct_requantize_multiply_pairs(prepare->requantize, &grids, binary->pairs,
                                            prepare->diagnostic)
            : oct_requantize_add_pairs(prepare->requantize, &grids, op == OCT_BINARY_SUB,
                                       binary->pairs, prepare->diagnostic);
    return oct_fail_in_node(prepare->diagnostic, status, node->name);
}

static OctetStatus prepare_pair(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctBinary op = oct_binary_of(node);
    bool by_pairs = prepare->requantize != OCTET_REQUANTIZE_ONNX;
    BytesBinary *binary =
        oct_prepare_state(prepare, prepared, sizeof *binary + (by_pairs ? OCT_PAIRS : 0));
    if (!binary) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctValue *a = node->inputs[0];
    const OctValue *b = node->inputs[1];
    const OctValue *y = node->outputs[0];
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
    bool tiles = !by_pairs && oct_tile_possible(&binary->plan);
    prepared->run = tiles ? run_tiles : run_bytes;
    prepared->kernel = by_pairs ? "q8_pairs" : binary->multiply ? "q8_mul" : "q8_add";
    prepared->cpu = by_pairs ? OCTET_CPU_PORTABLE : binary->q8->cpu;
    return by_pairs ? fill_pairs(prepare, op, binary) : OCTET_OK;
}

/* ---- on real numbers ---- */

enum { BLOCK = 256 };

typedef struct RealOperand {
    bool quantized;
    float scale;
    uint8_t zero_point;
} RealOperand;

typedef struct RealBinary {
    OctBinary op;
    RealOperand operands[2];
    RealOperand output;
    OctActivation activation;
    const OctF32VectorBundle *vector;
    const OctVmathBundle *math;
    const OctQ8VectorOps *q8;
    OctBroadcast plan;
} RealBinary;

typedef struct RealJob {
    const RealBinary *binary;
    const void *data[2];
    uint8_t *output;
} RealJob;

static const float *real_block(const RealJob *job, const OctBroadcastRow *row, int32_t k,
                               int64_t begin, int64_t count, float *buffer) {
    const RealOperand *operand = &job->binary->operands[k];
    if (!operand->quantized) {
        return oct_broadcast_floats(job->data[k], row, k, begin, count, buffer);
    }
    const uint8_t *from = (const uint8_t *)job->data[k] + row->offsets[k];
    bool repeats = row->steps[k] == 0;
    job->binary->q8->dequantize(repeats ? from : from + begin, operand->scale, operand->zero_point,
                                buffer, repeats ? 1 : (size_t)count);
    for (int64_t i = 1; repeats && i < count; i++) {
        buffer[i] = buffer[0];
    }
    return buffer;
}

static void real_row(const void *context, const OctBroadcastRow *row) {
    const RealJob *job = context;
    const RealBinary *binary = job->binary;
    float buffers[2][BLOCK];
    float result[BLOCK];
    for (int64_t begin = 0; begin < row->count; begin += BLOCK) {
        int64_t count = row->count - begin < BLOCK ? row->count - begin : BLOCK;
        const float *a = real_block(job, row, 0, begin, count, buffers[0]);
        const float *b = real_block(job, row, 1, begin, count, buffers[1]);
        if (binary->op == OCT_BINARY_POW) {
            binary->math->pow(a, b, result, (size_t)count);
        } else if (binary->op == OCT_BINARY_PRELU) {
            for (int64_t i = 0; i < count; i++) {
                result[i] = a[i] < 0 ? a[i] * b[i] : a[i];
            }
        } else {
            binary->vector->vector_vector[binary->op](a, b, result, (size_t)count);
        }
        oct_activation_f32(&binary->activation, result, count);
        binary->q8->quantize(result, binary->output.scale, binary->output.zero_point,
                             job->output + row->output_offset + begin, (size_t)count);
    }
}

static OctetStatus run_real(void *state, const OctRun *run) {
    const RealBinary *binary = state;
    RealJob job = {binary, {run->inputs[0].data, run->inputs[1].data}, run->outputs[0].data};
    oct_broadcast_run(&binary->plan, real_row, &job, run->pool);
    return OCTET_OK;
}

static RealOperand real_operand(const OctValue *value) {
    RealOperand operand = {.quantized = oct_value_quantized(value)};
    if (operand.quantized) {
        operand.scale = oct_value_scale(value);
        operand.zero_point = (uint8_t)oct_value_zero_point(value);
    }
    return operand;
}

static OctetStatus prepare_real(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    RealBinary *binary = oct_prepare_state(prepare, prepared, sizeof *binary);
    if (!binary) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctetShape *shapes[] = {&node->inputs[0]->shape, &node->inputs[1]->shape};
    binary->op = oct_binary_of(node);
    binary->operands[0] = real_operand(node->inputs[0]);
    binary->operands[1] = real_operand(node->inputs[1]);
    binary->output = real_operand(node->outputs[0]);
    binary->activation = node->activation;
    binary->vector = oct_f32_vector_select(prepare->cpu);
    binary->math = oct_vmath_select(prepare->cpu);
    binary->q8 = oct_q8_vector_ops(prepare->cpu);
    oct_broadcast_plan(&binary->plan, &node->outputs[0]->shape, 2, shapes);
    prepared->run = run_real;
    prepared->kernel = "q8_real_binary";
    prepared->cpu = binary->q8->cpu;
    return OCTET_OK;
}

/* ---- a constant and a tensor ---- */

static OctetStatus prepare_number(const OctPrepare *prepare, int32_t constant, float number,
                                  OctPreparedOp *prepared) {
    Partial partial = {oct_binary_of(prepare->node), constant == 0, number,
                       oct_f32_vector_select(prepare->cpu), oct_vmath_select(prepare->cpu)};
    return oct_table_prepare(prepare, 1 - constant, apply_partial, &partial, prepared);
}

/* The other operand runs through all its values: what the kernel gives for each is the table. */
static OctetStatus tabulate(const OctPrepare *prepare, int32_t constant, OctPreparedOp *prepared) {
    uint8_t all[256];
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    const uint8_t *stored = oct_value_tensor(prepare->node->inputs[constant])->data;
    const BytesJob job = {prepared->state, constant == 1 ? all : stored,
                          constant == 1 ? stored : all, table};
    const OctBroadcastRow row = {.count = 256, .steps = {constant == 1, constant == 0}};
    bytes_row(&job, &row);
    prepared->destroy(prepared->state);
    prepared->state = NULL;
    return oct_table_prepare_bytes(prepare, 1 - constant, table, prepared);
}

OctetStatus oct_binary_prepare_u8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    float number;
    OctBinary op = oct_binary_of(node);
    int32_t constant = constant_operand(node, &number);
    bool pair = is_u8(node->inputs[0]) && is_u8(node->inputs[1]) && op <= OCT_BINARY_MUL;
    if (pair) {
        OCT_TRY(prepare_pair(prepare, prepared));
        return constant >= 0 ? tabulate(prepare, constant, prepared) : OCTET_OK;
    }
    return constant >= 0 ? prepare_number(prepare, constant, number, prepared)
                         : prepare_real(prepare, prepared);
}
