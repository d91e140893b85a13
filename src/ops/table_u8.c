#include "ops/table_u8.h"
#include "kernels/q8_vector.h"

#include <math.h>
#include <string.h>

static bool is_8_bit(const OctValue *value) {
    OctetDType storage = oct_value_storage(value);
    return oct_value_quantized(value) && (storage == OCTET_U8 || storage == OCTET_S8);
}

bool oct_table_possible(const OctNode *node) {
    return node->input_count > 0 && node->inputs[0] && is_8_bit(node->inputs[0]) &&
           node->output_count > 0 && node->outputs[0] && is_8_bit(node->outputs[0]);
}

bool oct_table_same_grid(const OctValue *a, const OctValue *b) {
    return a->qparams.dtype == b->qparams.dtype && oct_value_scale(a) == oct_value_scale(b) &&
           oct_value_zero_point(a) == oct_value_zero_point(b);
}

int32_t oct_table_quantize(const OctetQParams *grid, float x) {
    int64_t minimum;
    int64_t maximum;
    octet_dtype_range(grid->dtype, &minimum, &maximum);
    int32_t zero_point = grid->zero_point ? grid->zero_point[0] : 0;
    if (isnan(x)) {
        return zero_point;
    }
    float low = (float)((int32_t)minimum - zero_point);
    float high = (float)((int32_t)maximum - zero_point);
    float steps = x / grid->scale[0];
    steps = steps < low ? low : steps > high ? high : steps;
    return (int32_t)lrintf(steps) + zero_point;
}

OctetStatus oct_table_build(const OctPrepare *prepare, const OctValue *input,
                            const OctValue *output, OctTableFunction function, const void *context,
                            const OctActivation *activation, uint8_t *table) {
    float real[256];
    if (!is_8_bit(input) || !is_8_bit(output)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "has no kernel from %s to %s",
                           octet_dtype_name(oct_value_storage(input)),
                           octet_dtype_name(oct_value_storage(output)));
    }
    bool is_signed = oct_value_storage(input) == OCTET_S8;
    for (int32_t i = 0; i < 256; i++) {
        int32_t stored = is_signed && i >= 128 ? i - 256 : i;
        real[i] = (float)(stored - oct_value_zero_point(input)) * oct_value_scale(input);
    }
    if (function) {
        function(context, real, real, 256);
    }
    if (activation) {
        oct_activation_f32(activation, real, 256);
    }
    for (int32_t i = 0; i < 256; i++) {
        table[i] = (uint8_t)oct_table_quantize(&output->qparams, real[i]);
    }
    return OCTET_OK;
}

OctetStatus oct_table_requantize(const OctPrepare *prepare, const OctValue *input,
                                 const OctValue *output, uint8_t *table) {
    return oct_table_build(prepare, input, output, NULL, NULL, NULL, table);
}

typedef struct Lookup {
    uint8_t table[256];
    const OctQ8VectorOps *q8;
    int32_t input;
} Lookup;

typedef struct LookupJob {
    const Lookup *lookup;
    const uint8_t *input;
    uint8_t *output;
    size_t count;
} LookupJob;

enum { LOOKUP_BYTES_PER_TASK = 64 * 1024 };

static void lookup_task(void *user, size_t task) {
    const LookupJob *job = user;
    size_t first = task * LOOKUP_BYTES_PER_TASK;
    size_t left = job->count - first;
    job->lookup->q8->lookup(job->lookup->table, job->input + first, job->output + first,
                            left < LOOKUP_BYTES_PER_TASK ? left : LOOKUP_BYTES_PER_TASK);
}

static OctetStatus run_lookup(void *state, const OctRun *run) {
    const Lookup *lookup = state;
    LookupJob job = {lookup, run->inputs[lookup->input].data, run->outputs[0].data,
                     (size_t)oct_view_count(&run->outputs[0])};
    oct_parallel_for(run->pool, lookup_task, &job,
                     (job.count + LOOKUP_BYTES_PER_TASK - 1) / LOOKUP_BYTES_PER_TASK);
    return OCTET_OK;
}

OctetStatus oct_table_prepare_bytes(const OctPrepare *prepare, int32_t input, const uint8_t *table,
                                    OctPreparedOp *prepared) {
    Lookup *lookup = oct_prepare_state(prepare, prepared, sizeof *lookup);
    if (!lookup) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    lookup->q8 = oct_q8_vector_ops(prepare->cpu);
    lookup->input = input;
    memcpy(lookup->table, table, sizeof lookup->table);
    prepared->run = run_lookup;
    prepared->kernel = "q8_lookup";
    prepared->cpu = lookup->q8->cpu;
    return OCTET_OK;
}

OctetStatus oct_table_prepare(const OctPrepare *prepare, int32_t input, OctTableFunction function,
                              const void *context, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    uint8_t table[256];
    OCT_TRY(oct_table_build(prepare, node->inputs[input], node->outputs[0], function, context,
                            &node->activation, table));
    return oct_table_prepare_bytes(prepare, input, table, prepared);
}

const uint8_t *oct_table_of(const OctPreparedOp *prepared) {
    return prepared->run == run_lookup ? ((const Lookup *)prepared->state)->table : NULL;
}
