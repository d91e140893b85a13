#include "ops/fused_activation.h"
#include "kernels/vmath.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

void oct_activation_bounds(const OctActivation *activation, float *minimum, float *maximum) {
    bool clip = activation->kind == OCT_ACTIVATION_CLIP;
    *minimum = clip ? activation->minimum : -INFINITY;
    *maximum = clip ? activation->maximum : INFINITY;
}

/* Parameter k of the attribute activation_params. */
static float parameter(const OctNode *node, int32_t k, float fallback) {
    const OctAttribute *attribute = oct_node_attribute(node, "activation_params");
    bool present = attribute && attribute->type == OCT_ATTRIBUTE_FLOATS && k < attribute->count;
    return present ? attribute->v.floats[k] : fallback;
}

OctetStatus oct_fused_activation_read(const OctNode *node, OctFusedActivation *activation,
                                      OctetDiagnostic *diagnostic) {
    const char *name = oct_node_string(node, "activation", "");
    *activation = (OctFusedActivation){.kind = OCT_FUSED_CLAMP};
    oct_activation_bounds(&node->activation, &activation->minimum, &activation->maximum);
    if (strcmp(name, "Relu") == 0) {
        activation->minimum = fmaxf(activation->minimum, 0.0f);
    } else if (strcmp(name, "Clip") == 0) {
        activation->minimum = fmaxf(activation->minimum, parameter(node, 0, -INFINITY));
        activation->maximum = fminf(activation->maximum, parameter(node, 1, INFINITY));
    } else if (strcmp(name, "LeakyRelu") == 0) {
        activation->kind = OCT_FUSED_LEAKY_RELU;
        activation->alpha = parameter(node, 0, oct_node_float(node, "leaky_relu_alpha", 0.01f));
    } else if (strcmp(name, "Tanh") == 0) {
        activation->kind = OCT_FUSED_TANH;
    } else if (strcmp(name, "Sigmoid") == 0) {
        activation->kind = OCT_FUSED_SIGMOID;
    } else if (strcmp(name, "HardSigmoid") == 0) {
        activation->kind = OCT_FUSED_HARD_SIGMOID;
        activation->alpha = parameter(node, 0, 0.2f);
        activation->beta = parameter(node, 1, 0.5f);
    } else if (name[0] != '\0') {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "the fused activation \"%s\" is not supported", name);
    }
    if (activation->kind != OCT_FUSED_CLAMP && node->activation.kind != OCT_ACTIVATION_NONE) {
        return oct_fail_op(diagnostic, OCTET_ERROR_INTERNAL, node, "has two activations");
    }
    return OCTET_OK;
}

enum { CHUNK = 4096 };

typedef struct Work {
    const OctFusedActivation *activation;
    OctetCpu cpu;
    float *data;
    size_t count;
} Work;

static void apply(void *user, size_t index) {
    const Work *work = user;
    const OctFusedActivation *activation = work->activation;
    const OctF32VectorBundle *vector = oct_f32_vector_select(work->cpu);
    const OctVmathBundle *math = oct_vmath_select(work->cpu);
    float *data = work->data + index * CHUNK;
    size_t rest = work->count - index * CHUNK;
    size_t count = rest < CHUNK ? rest : CHUNK;
    switch (activation->kind) {
    case OCT_FUSED_CLAMP:
        break;
    case OCT_FUSED_LEAKY_RELU:
        vector->leaky_relu(data, data, count, activation->alpha);
        break;
    case OCT_FUSED_TANH:
        math->tanh(data, data, count);
        break;
    case OCT_FUSED_SIGMOID:
        math->sigmoid(data, data, count);
        break;
    case OCT_FUSED_HARD_SIGMOID:
        vector->hard_sigmoid(data, data, count, activation->alpha, activation->beta);
        break;
    }
}

void oct_fused_activation_run(const OctFusedActivation *activation, OctetCpu cpu, float *data,
                              size_t count, OctetThreadPool *pool) {
    if (activation->kind != OCT_FUSED_CLAMP) {
        Work work = {activation, cpu, data, count};
        oct_parallel_for(pool, apply, &work, (count + CHUNK - 1) / CHUNK);
    }
}
