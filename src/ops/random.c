/* Random numbers: RandomNormal, RandomUniform and their Like forms, Bernoulli, Multinomial. The
 * generator is deterministic: with the attribute `seed` every run gives the same numbers, without
 * it a session gives a new set a run. */
#include "base/patience.h"
#include "kernels/vmath.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

typedef struct Random {
    const OctNode *node;
    const OctVmathBundle *math;
    uint64_t seed;
    bool seeded;
    uint64_t runs;
} Random;

/* splitmix64 */
static uint64_t next_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* In [0, 1), all multiples of 2^-24. */
static float next_unit(uint64_t *state) {
    return (float)(next_bits(state) >> 40) * 0x1p-24f;
}

/* Box and Muller's transform. */
static float next_normal(const Random *random, uint64_t *state) {
    float radius = 1 - next_unit(state); /* not 0 */
    float angle = 6.2831853f * next_unit(state);
    random->math->log(&radius, &radius, 1);
    random->math->cos(&angle, &angle, 1);
    return sqrtf(-2 * radius) * angle;
}

static uint64_t start_state(Random *random) {
    uint64_t state = random->seed;
    if (!random->seeded) {
        state += random->runs++ * 0xd1342543de82ef95ULL;
    }
    next_bits(&state);
    return state;
}

static OctetDType type_of(const OctNode *node, OctetDType fallback) {
    return oct_dtype_computed((OctetDType)oct_node_int(node, "dtype", fallback));
}

static OctetStatus check_random(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t dtype = oct_node_int(node, "dtype", OCTET_F32);
    if (dtype < 1 || dtype > OCTET_S4 || octet_dtype_size((OctetDType)dtype) == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a dtype that is none");
    }
    return OCTET_OK;
}

static bool is_like(const OctNode *node) {
    return node->input_count > 0;
}

static OctetStatus infer_random(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = {.rank = 0};
    const int64_t *dims = NULL;
    OctetDType fallback = OCTET_F32;
    if (is_like(node)) {
        shape = *oct_input_shape(node, 0);
        fallback = oct_input_dtype(node, 0);
    } else {
        shape.rank = oct_node_ints(node, "shape", &dims);
    }
    if (shape.rank > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    for (int32_t i = 0; dims && i < shape.rank; i++) {
        shape.dims[i] = dims[i];
        if (dims[i] < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative dimension");
        }
    }
    oct_set_output(node, 0, type_of(node, fallback), &shape);
    return OCTET_OK;
}

static OctetStatus run_random(void *state, const OctRun *run) {
    Random *random = state;
    const OctNode *node = random->node;
    bool normal = strncmp(node->op_type, "RandomNormal", 12) == 0;
    bool bernoulli = strcmp(node->op_type, "Bernoulli") == 0;
    float mean = oct_node_float(node, "mean", 0);
    float deviation = oct_node_float(node, "scale", 1);
    float low = oct_node_float(node, "low", 0);
    float high = oct_node_float(node, "high", 1);
    const OctView *output = &run->outputs[0];
    size_t size = octet_dtype_size(output->dtype);
    uint64_t bits = start_state(random);
    for (int64_t i = 0; i < oct_view_count(output); i++) {
        float value;
        if (bernoulli) {
            value = next_unit(&bits) < ((const float *)run->inputs[0].data)[i] ? 1.0f : 0.0f;
        } else {
            value = normal ? mean + deviation * next_normal(random, &bits)
                           : low + (high - low) * next_unit(&bits);
        }
        OCT_TRY(oct_convert(output->dtype, (char *)output->data + (size_t)i * size, OCTET_F32,
                            &value, 1, run->diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus prepare_generator(const OctPrepare *prepare, OctPreparedOp *prepared,
                                     OctetStatus (*run)(void *state, const OctRun *run)) {
    const OctNode *node = prepare->node;
    Random *random = oct_prepare_state(prepare, prepared, sizeof *random);
    if (!random) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    float seed = oct_node_float(node, "seed", 0);
    random->node = node;
    random->math = oct_vmath_select(prepare->cpu);
    random->seeded = oct_node_attribute(node, "seed") != NULL;
    if (random->seeded) {
        uint32_t low_bits;
        memcpy(&low_bits, &seed, sizeof low_bits);
        random->seed = low_bits;
    } else { /* nodes differ from each other */
        for (const char *c = node->name; *c; c++) {
            random->seed = random->seed * 131 + (uint8_t)*c;
        }
    }
    prepared->run = run;
    prepared->kernel = "random";
    return OCTET_OK;
}

static OctetStatus prepare_random(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    if (strcmp(node->op_type, "Bernoulli") == 0 && oct_input_dtype(node, 0) != OCTET_F32) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node, "needs probabilities");
    }
    return prepare_generator(prepare, prepared, run_random);
}

/* ---- Multinomial ---- */

static OctetStatus infer_multinomial(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = oct_shape_of_rank(2);
    if (input->rank >= 0 && input->rank != 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs an input of rank 2");
    }
    shape.dims[0] = input->rank == 2 ? input->dims[0] : OCT_DIM_UNKNOWN;
    shape.dims[1] = oct_node_int(node, "sample_size", 1);
    if (shape.dims[1] < 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative sample size");
    }
    oct_set_output(node, 0, type_of(node, OCTET_S32), &shape);
    return OCTET_OK;
}

/* The class in whose share of the cumulated probabilities the point lies. */
static int64_t draw(const Random *random, const float *logits, int64_t classes, float maximum,
                    float total, float unit) {
    float left = unit * total;
    for (int64_t c = 0; c < classes - 1; c++) {
        float share = logits[c] - maximum;
        random->math->exp(&share, &share, 1);
        left -= share;
        if (left < 0) {
            return c;
        }
    }
    return classes - 1;
}

static OctetStatus run_multinomial(void *state, const OctRun *run) {
    Random *random = state;
    const OctetShape *input = &run->inputs[0].shape;
    const OctView *output = &run->outputs[0];
    int64_t samples = output->shape.dims[1];
    int64_t classes = input->dims[1];
    size_t size = octet_dtype_size(output->dtype);
    uint64_t bits = start_state(random);
    if (classes < 1) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, random->node, "has no classes");
    }
    size_t stint = 0;
    for (int64_t b = 0; b < input->dims[0]; b++) {
        const float *logits = (const float *)run->inputs[0].data + b * classes;
        float maximum = logits[0];
        float total = 0;
        for (int64_t c = 1; c < classes; c++) {
            maximum = logits[c] > maximum ? logits[c] : maximum;
        }
        for (int64_t c = 0; c < classes; c++) {
            float share = logits[c] - maximum;
            random->math->exp(&share, &share, 1);
            total += share;
        }
        for (int64_t s = 0; s < samples && !oct_is_over_after(&stint, 20 * (size_t)classes); s++) {
            int64_t c = draw(random, logits, classes, maximum, total, next_unit(&bits));
            char *to = (char *)output->data + (size_t)(b * samples + s) * size;
            OCT_TRY(oct_convert(output->dtype, to, OCTET_S64, &c, 1, run->diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_multinomial(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_generator(prepare, prepared, run_multinomial);
}

#define RANDOM(name, inputs)                                                                       \
    {                                                                                              \
        "", name, 1, 0, OCT_OP_RANDOM, inputs, inputs, 1, 1, check_random, infer_random,           \
            prepare_random                                                                         \
    }

const OctOp oct_ops_random[] = {
    RANDOM("RandomNormal", 0),
    RANDOM("RandomUniform", 0),
    RANDOM("RandomNormalLike", 1),
    RANDOM("RandomUniformLike", 1),
    RANDOM("Bernoulli", 1),
    {"", "Multinomial", 7, 0, OCT_OP_RANDOM, 1, 1, 1, 1, check_random, infer_multinomial,
     prepare_multinomial},
};
OCT_OPS_COUNT(random);
