/* Binary functions on integers and bools: computed in 64 bits, results wrapped to their type. */
#include "ops/binary.h"

#include <string.h>

static int64_t power(int64_t base, int64_t exponent) {
    uint64_t result = 1;
    uint64_t factor = (uint64_t)base;
    if (exponent < 0) { /* 1 / base^|exponent|, truncated */
        bool odd = (exponent & 1) != 0;
        return base == 1 ? 1 : base == -1 ? (odd ? -1 : 1) : 0;
    }
    for (uint64_t left = (uint64_t)exponent; left != 0; left >>= 1) {
        if (left & 1) {
            result *= factor;
        }
        factor *= factor;
    }
    return (int64_t)result;
}

static int64_t quotient(OctetDType dtype, int64_t a, int64_t b) {
    if (b == 0) {
        return 0;
    }
    if (dtype == OCTET_U64) {
        return (int64_t)((uint64_t)a / (uint64_t)b);
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(OctetDType dtype, int64_t a, int64_t b, bool python) {
    if (b == 0 || b == -1) {
        return 0;
    }
    if (dtype == OCTET_U64) {
        return (int64_t)((uint64_t)a % (uint64_t)b);
    }
    int64_t rest = a % b;
    return python && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t shift(OctBinary op, OctetDType dtype, int64_t a, int64_t b) {
    uint64_t bits = 8 * octet_dtype_size(dtype);
    if ((uint64_t)b >= bits) {
        return 0;
    }
    return op == OCT_BINARY_SHIFT_LEFT ? (int64_t)((uint64_t)a << b) : (int64_t)((uint64_t)a >> b);
}

static int64_t compare(OctBinary op, OctetDType dtype, int64_t a, int64_t b) {
    bool less = dtype == OCTET_U64 ? (uint64_t)a < (uint64_t)b : a < b;
    switch (op) {
    case OCT_BINARY_MIN:
        return less ? a : b;
    case OCT_BINARY_MAX:
        return less ? b : a;
    case OCT_BINARY_EQUAL:
        return a == b;
    case OCT_BINARY_LESS:
        return less;
    case OCT_BINARY_LESS_OR_EQUAL:
        return less || a == b;
    case OCT_BINARY_GREATER:
        return !less && a != b;
    default:
        return !less;
    }
}

int64_t oct_binary_int(OctBinary op, OctetDType dtype, int64_t a, int64_t b) {
    switch (op) {
    case OCT_BINARY_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case OCT_BINARY_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case OCT_BINARY_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case OCT_BINARY_DIV:
        return quotient(dtype, a, b);
    case OCT_BINARY_POW:
        return power(a, b);
    case OCT_BINARY_MOD:
    case OCT_BINARY_FMOD:
        return remainder_of(dtype, a, b, op == OCT_BINARY_MOD);
    case OCT_BINARY_PRELU:
        return a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a;
    case OCT_BINARY_AND:
        return a & b;
    case OCT_BINARY_OR:
        return a | b;
    case OCT_BINARY_XOR:
        return a ^ b;
    case OCT_BINARY_SHIFT_LEFT:
    case OCT_BINARY_SHIFT_RIGHT:
        return shift(op, dtype, a, b);
    default:
        return compare(op, dtype, a, b);
    }
}

int64_t oct_binary_known(OctBinary op, OctetDType dtype, int64_t a, int64_t b) {
    bool numbers = oct_known_is_number(a) && oct_known_is_number(b);
    if (numbers && (b != 0 || (op != OCT_BINARY_DIV && op != OCT_BINARY_MOD))) {
        int64_t result = oct_binary_int(op, dtype, a, b);
        return oct_known_is_number(result) ? result : OCT_DIM_UNKNOWN;
    }
    bool same = a == b && oct_known_is_symbol(a);
    switch (op) {
    case OCT_BINARY_ADD:
        return b == 0 ? a : a == 0 ? b : OCT_DIM_UNKNOWN;
    case OCT_BINARY_SUB:
        return b == 0 ? a : same ? 0 : OCT_DIM_UNKNOWN;
    case OCT_BINARY_MUL:
        return a == 0 || b == 0 ? 0 : b == 1 ? a : a == 1 ? b : OCT_DIM_UNKNOWN;
    case OCT_BINARY_DIV:
        return b == 1 ? a : same ? 1 : OCT_DIM_UNKNOWN;
    case OCT_BINARY_MIN:
    case OCT_BINARY_MAX:
        return same ? a : OCT_DIM_UNKNOWN;
    case OCT_BINARY_EQUAL:
        /* a dimension is no negative number */
        return same || (oct_known_is_symbol(a) && oct_known_is_number(b) && b < 0) ||
                       (oct_known_is_symbol(b) && oct_known_is_number(a) && a < 0)
                   ? same
                   : OCT_DIM_UNKNOWN;
    default:
        return OCT_DIM_UNKNOWN;
    }
}

/* ---- running ---- */

enum { BLOCK = 256 };

typedef struct IntBinary {
    OctBinary op;
    bool mean;
    int32_t input_count;
    /* one for each input but the first: the result so far, and the input; behind this struct */
    OctBroadcast *plans;
} IntBinary;

typedef struct IntJob {
    const IntBinary *binary;
    OctView a, b, output;
    int64_t divisor; /* of Mean, at its last step; else 1 */
} IntJob;

/* Pow alone may have operands of two types, also an exponent of floats. */
static void read_operand(const OctView *view, const OctBroadcastRow *row, int32_t k, int64_t begin,
                         int64_t count, int64_t *buffer) {
    if (view->dtype != OCTET_F32) {
        oct_broadcast_ints(view->dtype, view->data, row, k, begin, count, buffer);
        return;
    }
    float floats[BLOCK];
    const float *from = oct_broadcast_floats(view->data, row, k, begin, count, floats);
    (void)oct_convert(OCTET_S64, buffer, OCTET_F32, from, count, NULL);
}

static void int_row(const void *context, const OctBroadcastRow *row) {
    const IntJob *job = context;
    OctBinary op = job->binary->op;
    OctetDType dtype = job->a.dtype;
    size_t size = octet_dtype_size(job->output.dtype);
    int64_t a[BLOCK];
    int64_t b[BLOCK];
    for (int64_t begin = 0; begin < row->count; begin += BLOCK) {
        int64_t count = row->count - begin < BLOCK ? row->count - begin : BLOCK;
        read_operand(&job->a, row, 0, begin, count, a);
        read_operand(&job->b, row, 1, begin, count, b);
        for (int64_t i = 0; i < count; i++) {
            a[i] = oct_binary_int(op, dtype, a[i], b[i]);
        }
        for (int64_t i = 0; job->divisor != 1 && i < count; i++) {
            a[i] = quotient(dtype, a[i], job->divisor);
        }
        char *to = (char *)job->output.data + (size_t)(row->output_offset + begin) * size;
        (void)oct_convert(job->output.dtype, to, OCTET_S64, a, count, NULL);
    }
}

static OctetStatus run_int(void *state, const OctRun *run) {
    const IntBinary *binary = state;
    IntJob job = {binary, run->inputs[0], run->inputs[0], run->outputs[0], 1};
    if (binary->input_count == 1) {
        size_t bytes =
            (size_t)oct_view_count(&run->inputs[0]) * octet_dtype_size(run->inputs[0].dtype);
        memmove(run->outputs[0].data, run->inputs[0].data, bytes);
        return OCTET_OK;
    }
    for (int32_t k = 1; k < binary->input_count; k++) {
        job.b = run->inputs[k];
        job.divisor = binary->mean && k == binary->input_count - 1 ? binary->input_count : 1;
        oct_broadcast_run(&binary->plans[k - 1], int_row, &job, run->pool);
        job.a = run->outputs[0];
    }
    return OCTET_OK;
}

OctetStatus oct_binary_prepare_int(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    size_t count = (size_t)node->input_count;
    IntBinary *binary =
        oct_prepare_state(prepare, prepared, sizeof(IntBinary) + count * sizeof(OctBroadcast));
    if (!binary) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_int;
    prepared->kernel = "int_binary";
    binary->op = oct_binary_of(node);
    binary->mean = strcmp(node->op_type, "Mean") == 0;
    binary->input_count = node->input_count;
    binary->plans = (OctBroadcast *)(void *)(binary + 1);
    const OctetShape *output = &node->outputs[0]->shape;
    for (int32_t k = 1; k < node->input_count; k++) {
        const OctetShape *shapes[] = {k == 1 ? &node->inputs[0]->shape : output,
                                      &node->inputs[k]->shape};
        oct_broadcast_plan(&binary->plans[k - 1], output, 2, shapes);
    }
    return OCTET_OK;
}
