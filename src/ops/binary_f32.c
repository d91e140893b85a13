/* Binary functions on floats. */
#include "kernels/f32_vector.h"
#include "kernels/vmath.h"
#include "ops/binary.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 256 };

typedef struct FloatBinary {
    OctBinary op;
    bool mean;
    int32_t input_count;
    OctActivation activation;
    const OctF32VectorBundle *vector;
    const OctVmathBundle *math;
    OctBroadcast plan; /* for functions that the vector kernels lack: two inputs exactly */
} FloatBinary;

typedef struct FloatJob {
    const FloatBinary *binary;
    const float *a;
    OctView b;
    void *output;
} FloatJob;

/* ---- functions without a vector kernel ---- */

static void power_block(const FloatBinary *binary, const float *a, const float *b, bool b_repeats,
                        float *to, int64_t count) {
    if (b_repeats && b[0] == 2.0f) {
        binary->vector->vector_vector[OCT_F32_MUL](a, a, to, (size_t)count);
    } else if (b_repeats && b[0] == 3.0f) {
        for (int64_t i = 0; i < count; i++) {
            to[i] = a[i] * a[i] * a[i];
        }
    } else {
        binary->math->pow(a, b, to, (size_t)count);
    }
}

static void compare_block(OctBinary op, const float *a, const float *b, uint8_t *to,
                          int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        switch (op) {
        case OCT_BINARY_EQUAL:
            to[i] = a[i] == b[i];
            break;
        case OCT_BINARY_LESS:
            to[i] = a[i] < b[i];
            break;
        case OCT_BINARY_LESS_OR_EQUAL:
            to[i] = a[i] <= b[i];
            break;
        case OCT_BINARY_GREATER:
            to[i] = a[i] > b[i];
            break;
        default:
            to[i] = a[i] >= b[i];
        }
    }
}

static void float_row(const void *context, const OctBroadcastRow *row) {
    const FloatJob *job = context;
    const FloatBinary *binary = job->binary;
    float a_buffer[BLOCK];
    float b_buffer[BLOCK];
    int64_t ints[BLOCK];
    for (int64_t begin = 0; begin < row->count; begin += BLOCK) {
        int64_t count = row->count - begin < BLOCK ? row->count - begin : BLOCK;
        const float *a = oct_broadcast_floats(job->a, row, 0, begin, count, a_buffer);
        const float *b = b_buffer;
        if (job->b.dtype == OCTET_F32) {
            b = oct_broadcast_floats(job->b.data, row, 1, begin, count, b_buffer);
        } else { /* an integer exponent */
            oct_broadcast_ints(job->b.dtype, job->b.data, row, 1, begin, count, ints);
            (void)oct_convert(OCTET_F32, b_buffer, OCTET_S64, ints, count, NULL);
        }
        float *to = (float *)job->output + row->output_offset + begin;
        if (binary->op == OCT_BINARY_POW) {
            power_block(binary, a, b, row->steps[1] == 0, to, count);
        } else if (binary->op == OCT_BINARY_PRELU) {
            for (int64_t i = 0; i < count; i++) {
                to[i] = a[i] < 0 ? a[i] * b[i] : a[i];
            }
        } else if (binary->op == OCT_BINARY_FMOD) {
            for (int64_t i = 0; i < count; i++) {
                to[i] = fmodf(a[i], b[i]);
            }
        } else {
            compare_block(binary->op, a, b, (uint8_t *)job->output + row->output_offset + begin,
                          count);
        }
    }
}

static OctetStatus run_rows(void *state, const OctRun *run) {
    const FloatBinary *binary = state;
    FloatJob job = {binary, run->inputs[0].data, run->inputs[1], run->outputs[0].data};
    oct_broadcast_run(&binary->plan, float_row, &job, run->pool);
    return OCTET_OK;
}

/* ---- functions with one ---- */

static OctetStatus run_vector(void *state, const OctRun *run) {
    const FloatBinary *binary = state;
    const OctetShape *shape = &run->outputs[0].shape;
    float *output = run->outputs[0].data;
    int64_t count = oct_view_count(&run->outputs[0]);
    OctView a = run->inputs[0];
    if (count == 0) {
        return OCTET_OK;
    }
    if (binary->input_count == 1 && output != a.data) {
        memcpy(output, a.data, (size_t)count * sizeof *output);
    }
    for (int32_t k = 1; k < binary->input_count; k++) {
        const OctView *b = &run->inputs[k];
        oct_f32_broadcast(binary->vector, (OctF32Binary)binary->op, a.shape.rank, a.shape.dims,
                          a.data, b->shape.rank, b->shape.dims, b->data, shape->rank, shape->dims,
                          output, run->pool);
        a = run->outputs[0];
    }
    if (binary->mean) {
        float divisor = (float)binary->input_count;
        binary->vector->vector_scalar[OCT_F32_DIV](output, &divisor, output, (size_t)count);
    }
    oct_activation_f32(&binary->activation, output, count);
    return OCTET_OK;
}

OctetStatus oct_binary_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    FloatBinary *binary = oct_prepare_state(prepare, prepared, sizeof *binary);
    if (!binary) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    binary->op = oct_binary_of(node);
    binary->mean = strcmp(node->op_type, "Mean") == 0;
    binary->input_count = node->input_count;
    binary->activation = node->activation;
    binary->vector = oct_f32_vector_select(prepare->cpu);
    binary->math = oct_vmath_select(prepare->cpu);
    prepared->kernel = binary->vector->name;
    prepared->cpu = binary->vector->cpu;
    if (binary->op <= OCT_BINARY_MAX) {
        prepared->run = run_vector;
        return OCTET_OK;
    }
    const OctetShape *shapes[] = {&node->inputs[0]->shape, &node->inputs[1]->shape};
    oct_broadcast_plan(&binary->plan, &node->outputs[0]->shape, 2, shapes);
    prepared->run = run_rows;
    return OCTET_OK;
}
