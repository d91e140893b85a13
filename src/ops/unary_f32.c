/* The functions of the unary family, and which one a node means. */
#include "kernels/vmath_rare.h"
#include "ops/unary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BLOCK = 256 };

/* ---- straight from a bundle ---- */

#define FROM_BUNDLE(name, bundle)                                                                  \
    static void name##_f32(const OctUnary *u, const float *in, float *out, size_t n) {             \
        u->bundle->name(in, out, n);                                                               \
    }
FROM_BUNDLE(relu, vector)
FROM_BUNDLE(negate, vector)
FROM_BUNDLE(absolute, vector)
FROM_BUNDLE(square_root, vector)
FROM_BUNDLE(reciprocal, vector)
FROM_BUNDLE(floor, vector)
FROM_BUNDLE(ceil, vector)
FROM_BUNDLE(round_even, vector)
FROM_BUNDLE(exp, math)
FROM_BUNDLE(log, math)
FROM_BUNDLE(tanh, math)
FROM_BUNDLE(sigmoid, math)
FROM_BUNDLE(erf, math)
FROM_BUNDLE(gelu, math)
FROM_BUNDLE(gelu_tanh, math)
FROM_BUNDLE(softplus, math)
FROM_BUNDLE(softsign, math)
FROM_BUNDLE(mish, math)
FROM_BUNDLE(sin, math)
FROM_BUNDLE(cos, math)
#undef FROM_BUNDLE

#define FROM_RARE(name)                                                                            \
    static void name##_f32(const OctUnary *u, const float *in, float *out, size_t n) {             \
        (void)u;                                                                                   \
        oct_vmath_##name(in, out, n);                                                              \
    }
FROM_RARE(asin)
FROM_RARE(acos)
FROM_RARE(atan)
FROM_RARE(sinh)
FROM_RARE(cosh)
FROM_RARE(asinh)
FROM_RARE(acosh)
FROM_RARE(atanh)
#undef FROM_RARE

/* ---- with parameters ---- */

static void clip_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->clamp(in, out, n, u->alpha, u->beta);
}

static void leaky_relu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->leaky_relu(in, out, n, u->alpha);
}

static void hard_sigmoid_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->hard_sigmoid(in, out, n, u->alpha, u->beta);
}

static void hard_swish_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->hard_swish(in, out, n, u->alpha, u->beta);
}

static void elu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->math->elu(in, out, n, u->alpha);
}

/* gamma * elu(x) */
static void selu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->math->elu(in, out, n, u->alpha);
    u->vector->vector_scalar[OCT_F32_MUL](out, &u->gamma, out, n);
}

/* x < 0 ? alpha * (exp(x / alpha) - 1) : x */
static void celu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    float negative[BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        u->vector->vector_scalar[OCT_F32_DIV](in + begin, &u->alpha, negative, count);
        u->math->elu(negative, negative, count, u->alpha);
        for (size_t i = 0; i < count; i++) {
            float x = in[begin + i];
            out[begin + i] = x < 0 ? negative[i] : x;
        }
    }
}

/* x * sigmoid(alpha * x) */
static void quick_gelu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    float gate[BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        u->vector->vector_scalar[OCT_F32_MUL](in + begin, &u->alpha, gate, count);
        u->math->sigmoid(gate, gate, count);
        u->vector->vector_vector[OCT_F32_MUL](in + begin, gate, out + begin, count);
    }
}

/* sin / cos */
static void tan_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    float cosine[BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        u->math->cos(in + begin, cosine, count);
        u->math->sin(in + begin, out + begin, count);
        u->vector->vector_vector[OCT_F32_DIV](out + begin, cosine, out + begin, count);
    }
}

/* alpha * x + beta */
static void affine_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->vector_scalar[OCT_F32_MUL](in, &u->alpha, out, n);
    u->vector->vector_scalar[OCT_F32_ADD](out, &u->beta, out, n);
}

/* alpha * tanh(beta * x) */
static void scaled_tanh_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    u->vector->vector_scalar[OCT_F32_MUL](in, &u->beta, out, n);
    u->math->tanh(out, out, n);
    u->vector->vector_scalar[OCT_F32_MUL](out, &u->alpha, out, n);
}

static void thresholded_relu_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        out[i] = in[i] > u->alpha || isnan(in[i]) ? in[i] : 0.0f;
    }
}

/* x < -lambd ? x + bias : x > lambd ? x - bias : 0 */
static void shrink_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = in[i];
        out[i] = x < -u->alpha ? x + u->beta : x > u->alpha ? x - u->beta : 0.0f;
    }
}

static void sign_f32(const OctUnary *u, const float *in, float *out, size_t n) {
    (void)u;
    for (size_t i = 0; i < n; i++) {
        out[i] = isnan(in[i]) ? in[i] : (float)((in[i] > 0) - (in[i] < 0));
    }
}

/* ---- on integers ---- */

static int64_t abs_int(const OctUnary *u, int64_t x) {
    (void)u;
    return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
}

static int64_t negate_int(const OctUnary *u, int64_t x) {
    (void)u;
    return (int64_t)(0 - (uint64_t)x);
}

static int64_t sign_int(const OctUnary *u, int64_t x) {
    (void)u;
    return (x > 0) - (x < 0);
}

static int64_t relu_int(const OctUnary *u, int64_t x) {
    (void)u;
    return x < 0 ? 0 : x;
}

static int64_t clip_int(const OctUnary *u, int64_t x) {
    int64_t low = x < u->low ? u->low : x;
    return low > u->high ? u->high : low;
}

static int64_t not_bits(const OctUnary *u, int64_t x) {
    (void)u;
    return ~x;
}

static int64_t not_bool(const OctUnary *u, int64_t x) {
    (void)u;
    return x == 0;
}

static int64_t same_int(const OctUnary *u, int64_t x) {
    (void)u;
    return x;
}

/* ---- names ---- */

typedef struct Parameter {
    const char *name; /* NULL: none */
    float fallback;
} Parameter;

typedef struct Function {
    const char *name;
    OctUnaryF32 f32;
    OctUnaryInt integer;
    Parameter alpha, beta, gamma;
} Function;

static const Function functions[] = {
    {"Relu", relu_f32, relu_int, {0}, {0}, {0}},
    {"LeakyRelu", leaky_relu_f32, NULL, {"alpha", 0.01f}, {0}, {0}},
    {"Elu", elu_f32, NULL, {"alpha", 1.0f}, {0}, {0}},
    {"Selu",
     selu_f32,
     NULL,
     {"alpha", 1.67326319217681884765625f},
     {0},
     {"gamma", 1.0507010221481323f}},
    {"Celu", celu_f32, NULL, {"alpha", 1.0f}, {0}, {0}},
    {"Clip", clip_f32, clip_int, {"min", -INFINITY}, {"max", INFINITY}, {0}},
    {"Sigmoid", sigmoid_f32, NULL, {0}, {0}, {0}},
    {"HardSigmoid", hard_sigmoid_f32, NULL, {"alpha", 0.2f}, {"beta", 0.5f}, {0}},
    {"HardSwish", hard_swish_f32, NULL, {"", 1.0f / 6}, {"", 0.5f}, {0}},
    {"Tanh", tanh_f32, NULL, {0}, {0}, {0}},
    {"Exp", exp_f32, NULL, {0}, {0}, {0}},
    {"Log", log_f32, NULL, {0}, {0}, {0}},
    {"Sqrt", square_root_f32, NULL, {0}, {0}, {0}},
    {"Reciprocal", reciprocal_f32, NULL, {0}, {0}, {0}},
    {"Abs", absolute_f32, abs_int, {0}, {0}, {0}},
    {"Neg", negate_f32, negate_int, {0}, {0}, {0}},
    {"Floor", floor_f32, same_int, {0}, {0}, {0}},
    {"Ceil", ceil_f32, same_int, {0}, {0}, {0}},
    {"Round", round_even_f32, same_int, {0}, {0}, {0}},
    {"Sign", sign_f32, sign_int, {0}, {0}, {0}},
    {"Erf", erf_f32, NULL, {0}, {0}, {0}},
    {"Sin", sin_f32, NULL, {0}, {0}, {0}},
    {"Cos", cos_f32, NULL, {0}, {0}, {0}},
    {"Tan", tan_f32, NULL, {0}, {0}, {0}},
    {"Asin", asin_f32, NULL, {0}, {0}, {0}},
    {"Acos", acos_f32, NULL, {0}, {0}, {0}},
    {"Atan", atan_f32, NULL, {0}, {0}, {0}},
    {"Sinh", sinh_f32, NULL, {0}, {0}, {0}},
    {"Cosh", cosh_f32, NULL, {0}, {0}, {0}},
    {"Asinh", asinh_f32, NULL, {0}, {0}, {0}},
    {"Acosh", acosh_f32, NULL, {0}, {0}, {0}},
    {"Atanh", atanh_f32, NULL, {0}, {0}, {0}},
    {"Softplus", softplus_f32, NULL, {0}, {0}, {0}},
    {"Softsign", softsign_f32, NULL, {0}, {0}, {0}},
    {"Mish", mish_f32, NULL, {0}, {0}, {0}},
    {"Gelu", gelu_f32, NULL, {0}, {0}, {0}},
    {"QuickGelu", quick_gelu_f32, NULL, {"alpha", 1.702f}, {0}, {0}},
    {"ThresholdedRelu", thresholded_relu_f32, NULL, {"alpha", 1.0f}, {0}, {0}},
    {"Shrink", shrink_f32, NULL, {"lambd", 0.5f}, {"bias", 0.0f}, {0}},
    {"Affine", affine_f32, NULL, {"alpha", 1.0f}, {"beta", 0.0f}, {0}},
    {"ScaledTanh", scaled_tanh_f32, NULL, {"alpha", 1.0f}, {"beta", 1.0f}, {0}},
    {"Not", NULL, not_bool, {0}, {0}, {0}},
    {"BitwiseNot", NULL, not_bits, {0}, {0}, {0}},
};

static float parameter(const OctNode *node, const Parameter *from) {
    return from->name ? oct_node_float(node, from->name, from->fallback) : 0.0f;
}

/* Bounds of Clip that are constants. NaN bounds count as none. */
static OctetStatus clip_bounds(const OctNode *node, OctUnary *unary, OctetDiagnostic *diagnostic) {
    unary->low = INT64_MIN;
    unary->high = INT64_MAX;
    for (int32_t k = 1; k <= 2; k++) {
        const OctValue *value = oct_node_input(node, k);
        const OctetTensor *tensor = oct_value_tensor(value);
        if (!tensor || tensor->bytes == 0 || oct_value_quantized(value)) {
            continue;
        }
        OCT_TRY(oct_convert(OCTET_F32, k == 1 ? &unary->alpha : &unary->beta, tensor->dtype,
                            tensor->data, 1, diagnostic));
        OCT_TRY(oct_convert(OCTET_S64, k == 1 ? &unary->low : &unary->high, tensor->dtype,
                            tensor->data, 1, diagnostic));
    }
    return OCTET_OK;
}

OctetStatus oct_unary_of(const OctNode *node, OctetCpu cpu, OctUnary *unary,
                         OctetDiagnostic *diagnostic) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const Function *function = &functions[i];
        if (strcmp(function->name, node->op_type) != 0) {
            continue;
        }
        *unary = (OctUnary){.vector = oct_f32_vector_select(cpu),
                            .math = oct_vmath_select(cpu),
                            .f32 = function->f32,
                            .integer = function->integer,
                            .alpha = parameter(node, &function->alpha),
                            .beta = parameter(node, &function->beta),
                            .gamma = parameter(node, &function->gamma),
                            .activation = node->activation};
        if (function->f32 == gelu_f32 &&
            strcmp(oct_node_string(node, "approximate", "none"), "tanh") == 0) {
            unary->f32 = gelu_tanh_f32;
        }
        return function->f32 == clip_f32 ? clip_bounds(node, unary, diagnostic) : OCTET_OK;
    }
    return oct_fail_op(diagnostic, OCTET_ERROR_INTERNAL, node, "is no function of one number");
}

bool oct_unary_by_name(const char *name, OctetCpu cpu, const float *alpha, const float *beta,
                       OctUnary *unary) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const Function *function = &functions[i];
        if (strcasecmp(function->name, name) == 0 && function->f32) {
            *unary = (OctUnary){.vector = oct_f32_vector_select(cpu),
                                .math = oct_vmath_select(cpu),
                                .f32 = function->f32,
                                .alpha = alpha ? *alpha : function->alpha.fallback,
                                .beta = beta ? *beta : function->beta.fallback};
            return true;
        }
    }
    return false;
}
