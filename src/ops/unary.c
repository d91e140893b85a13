/* Elementwise functions of one tensor: check, infer, prepare for floats, integers and bytes. */
#include "ops/unary.h"
#include "ops/table_u8.h"

#include <math.h>
#include <string.h>

enum { ELEMENTS_PER_TASK = 16 * 1024, INT_BLOCK = 256 };

/* ---- check, infer ---- */

/* Types are checked against what the function is defined on. */
static OctetStatus check_unary(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    OctUnary unary;
    OCT_TRY(oct_unary_of(node, OCTET_CPU_PORTABLE, &unary, diagnostic));
    uint32_t types = unary.f32 ? OCT_TYPES_FLOAT : 0;
    types |= unary.integer ? OCT_TYPES_INTEGER : 0;
    types = strcmp(node->op_type, "Not") == 0 ? OCT_TYPES_BOOL : types;
    return oct_check_type(node, 0, types, diagnostic);
}

static OctetStatus infer_unary(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_infer_same(graph, node, diagnostic));
    OctValue *output = oct_node_output(node, 0);
    int64_t known[OCT_MAX_INTS];
    OctUnary unary;
    int32_t count = oct_dtype_is_integer(oct_input_dtype(node, 0)) && output
                        ? oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS)
                        : -1;
    if (count < 0) {
        return OCTET_OK;
    }
    OCT_TRY(oct_unary_of(node, OCTET_CPU_PORTABLE, &unary, diagnostic));
    for (int32_t i = 0; i < count; i++) {
        bool number = oct_known_is_number(known[i]) && unary.integer;
        known[i] = number ? unary.integer(&unary, known[i]) : OCT_DIM_UNKNOWN;
    }
    return oct_set_known(graph, output, known, count, diagnostic);
}

/* ---- running ---- */

typedef struct Prepared {
    OctUnary unary;
    bool open[3]; /* inputs 1 and 2 (bounds of Clip) are read when running */
} Prepared;

typedef struct Job {
    const OctUnary *unary;
    OctView input, output;
    size_t count;
} Job;

static void float_task(void *user, size_t task) {
    const Job *job = user;
    size_t first = task * ELEMENTS_PER_TASK;
    size_t left = job->count - first;
    size_t count = left < ELEMENTS_PER_TASK ? left : ELEMENTS_PER_TASK;
    float *to = (float *)job->output.data + first;
    job->unary->f32(job->unary, (const float *)job->input.data + first, to, count);
    oct_activation_f32(&job->unary->activation, to, (int64_t)count);
}

static void int_task(void *user, size_t task) {
    const Job *job = user;
    size_t size = octet_dtype_size(job->output.dtype);
    int64_t block[INT_BLOCK];
    size_t end = (task + 1) * ELEMENTS_PER_TASK;
    end = end < job->count ? end : job->count;
    for (size_t first = task * ELEMENTS_PER_TASK; first < end; first += INT_BLOCK) {
        int64_t count = (int64_t)(end - first < INT_BLOCK ? end - first : INT_BLOCK);
        const char *from = (const char *)job->input.data + first * size;
        /* integer to integer can't fail */
        (void)oct_convert(OCTET_S64, block, job->input.dtype, from, count, NULL);
        for (int64_t i = 0; i < count; i++) {
            block[i] = job->unary->integer(job->unary, block[i]);
        }
        (void)oct_convert(job->output.dtype, (char *)job->output.data + first * size, OCTET_S64,
                          block, count, NULL);
    }
}

/* Bounds that are not constants. */
static OctetStatus read_bounds(const Prepared *state, const OctRun *run, OctUnary *unary) {
    for (int32_t k = 1; k <= 2; k++) {
        const OctView *bound = k < run->input_count ? &run->inputs[k] : NULL;
        if (!state->open[k] || !bound || !bound->data || oct_view_count(bound) == 0) {
            continue;
        }
        OCT_TRY(oct_convert(OCTET_F32, k == 1 ? &unary->alpha : &unary->beta, bound->dtype,
                            bound->data, 1, run->diagnostic));
        OCT_TRY(oct_convert(OCTET_S64, k == 1 ? &unary->low : &unary->high, bound->dtype,
                            bound->data, 1, run->diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus run_unary(void *state, const OctRun *run) {
    const Prepared *prepared = state;
    OctUnary unary = prepared->unary;
    if (prepared->open[1] || prepared->open[2]) {
        OCT_TRY(read_bounds(prepared, run, &unary));
    }
    Job job = {&unary, run->inputs[0], run->outputs[0], (size_t)oct_view_count(&run->outputs[0])};
    size_t tasks = (job.count + ELEMENTS_PER_TASK - 1) / ELEMENTS_PER_TASK;
    oct_parallel_for(run->pool, job.output.dtype == OCTET_F32 ? float_task : int_task, &job, tasks);
    return OCTET_OK;
}

static void apply_in_table(const void *context, const float *input, float *output, size_t count) {
    const OctUnary *unary = context;
    unary->f32(unary, input, output, count);
}

static OctetStatus prepare_unary(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctUnary unary;
    OCT_TRY(oct_unary_of(node, prepare->cpu, &unary, prepare->diagnostic));
    bool open[3] = {false};
    for (int32_t k = 1; k < node->input_count && k <= 2; k++) {
        open[k] = node->inputs[k] && !node->inputs[k]->constant;
    }
    if (oct_value_quantized(node->outputs[0])) {
        if (!oct_table_possible(node) || open[1] || open[2]) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                               "has no integer kernel for these tensors");
        }
        return oct_table_prepare(prepare, 0, apply_in_table, &unary, prepared);
    }
    Prepared *state = oct_prepare_state(prepare, prepared, sizeof *state);
    if (!state) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    state->unary = unary;
    memcpy(state->open, open, sizeof open);
    OctetDType dtype = oct_input_dtype(node, 0);
    if (dtype == OCTET_F32 ? !unary.f32 : !unary.integer) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has no %s form",
                           octet_dtype_name(dtype));
    }
    prepared->run = run_unary;
    prepared->kernel = unary.vector->name;
    prepared->cpu = unary.vector->cpu;
    return OCTET_OK;
}

/* ---- IsNaN, IsInf ---- */

static OctetStatus check_floats(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    return oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic);
}

static OctetStatus infer_predicate(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    oct_set_output(node, 0, OCTET_BOOL, oct_input_shape(node, 0));
    return OCTET_OK;
}

static OctetStatus run_is_nan(void *state, const OctRun *run) {
    (void)state;
    const float *from = run->inputs[0].data;
    uint8_t *to = run->outputs[0].data;
    for (int64_t i = 0; i < oct_view_count(&run->inputs[0]); i++) {
        to[i] = from[i] != from[i];
    }
    return OCTET_OK;
}

static OctetStatus run_is_inf(void *state, const OctRun *run) {
    const OctNode *node = state;
    bool positive = oct_node_int(node, "detect_positive", 1) != 0;
    bool negative = oct_node_int(node, "detect_negative", 1) != 0;
    const float *from = run->inputs[0].data;
    uint8_t *to = run->outputs[0].data;
    for (int64_t i = 0; i < oct_view_count(&run->inputs[0]); i++) {
        bool found = (from[i] == INFINITY && positive) || (from[i] == -INFINITY && negative);
        to[i] = found ? 1 : 0;
    }
    return OCTET_OK;
}

static OctetStatus prepare_predicate(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->state = (void *)(uintptr_t)prepare->node;
    prepared->run = strcmp(prepare->node->op_type, "IsNaN") == 0 ? run_is_nan : run_is_inf;
    prepared->kernel = "predicate";
    return OCTET_OK;
}

#define PLAIN (OCT_OP_ELEMENTWISE | OCT_OP_INPLACE)
#define BYTES (PLAIN | OCT_OP_INT8)
#define UNARY(domain, name, since, until, flags, max_inputs)                                       \
    {                                                                                              \
        domain, name, since, until, flags, 1, max_inputs, 1, 1, check_unary, infer_unary,          \
            prepare_unary                                                                          \
    }

const OctOp oct_ops_unary[] = {
    UNARY("", "Relu", 6, 0, BYTES, 1),
    UNARY("", "LeakyRelu", 6, 0, BYTES, 1),
    UNARY("", "Elu", 6, 0, BYTES, 1),
    UNARY("", "Selu", 6, 0, BYTES, 1),
    UNARY("", "Celu", 12, 0, BYTES, 1),
    UNARY("", "Clip", 6, 10, BYTES, 1),
    UNARY("", "Clip", 11, 0, BYTES, 3),
    UNARY("", "Sigmoid", 6, 0, BYTES, 1),
    UNARY("", "HardSigmoid", 6, 0, BYTES, 1),
    UNARY("", "HardSwish", 14, 0, BYTES, 1),
    UNARY("", "Tanh", 6, 0, BYTES, 1),
    UNARY("", "Exp", 6, 0, BYTES, 1),
    UNARY("", "Log", 6, 0, BYTES, 1),
    UNARY("", "Sqrt", 6, 0, BYTES, 1),
    UNARY("", "Reciprocal", 6, 0, BYTES, 1),
    UNARY("", "Abs", 6, 0, BYTES, 1),
    UNARY("", "Neg", 6, 0, BYTES, 1),
    UNARY("", "Floor", 6, 0, BYTES, 1),
    UNARY("", "Ceil", 6, 0, BYTES, 1),
    UNARY("", "Round", 11, 0, BYTES, 1),
    UNARY("", "Sign", 9, 0, BYTES, 1),
    UNARY("", "Erf", 9, 0, BYTES, 1),
    UNARY("", "Sin", 7, 0, BYTES, 1),
    UNARY("", "Cos", 7, 0, BYTES, 1),
    UNARY("", "Tan", 7, 0, BYTES, 1),
    UNARY("", "Asin", 7, 0, BYTES, 1),
    UNARY("", "Acos", 7, 0, BYTES, 1),
    UNARY("", "Atan", 7, 0, BYTES, 1),
    UNARY("", "Sinh", 9, 0, BYTES, 1),
    UNARY("", "Cosh", 9, 0, BYTES, 1),
    UNARY("", "Asinh", 9, 0, BYTES, 1),
    UNARY("", "Acosh", 9, 0, BYTES, 1),
    UNARY("", "Atanh", 9, 0, BYTES, 1),
    UNARY("", "Softplus", 1, 0, BYTES, 1),
    UNARY("", "Softsign", 1, 0, BYTES, 1),
    UNARY("", "Mish", 18, 0, BYTES, 1),
    UNARY("", "Gelu", 20, 0, BYTES, 1),
    UNARY("com.microsoft", "Gelu", 1, 0, BYTES, 1),
    UNARY("com.microsoft", "QuickGelu", 1, 0, BYTES, 1),
    UNARY("", "ThresholdedRelu", 1, 0, BYTES, 1),
    UNARY("", "Shrink", 9, 0, BYTES, 1),
    UNARY("", "Not", 1, 0, PLAIN, 1),
    UNARY("", "BitwiseNot", 18, 0, PLAIN, 1),
    {"", "IsNaN", 9, 0, 0, 1, 1, 1, 1, check_floats, infer_predicate, prepare_predicate},
    {"", "IsInf", 10, 0, 0, 1, 1, 1, 1, check_floats, infer_predicate, prepare_predicate},
};
OCT_OPS_COUNT(unary);
