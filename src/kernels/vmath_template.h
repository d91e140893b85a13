/* The bodies of vmath.h, included once a level after its vector abstraction, with BUNDLE,
 * BUNDLE_NAME and BUNDLE_CPU defined. No include guard. */
#include "kernels/vmath.h"
#include "kernels/vmath_scalar.h"

#include "kernels/vmath_functions.h"

#define MAP(name, parameters, expression)                                                          \
    static void name parameters {                                                                  \
        size_t i = 0;                                                                              \
        for (; i + LANES <= count; i += LANES) {                                                   \
            F x = s_load(input + i);                                                               \
            s_store(output + i, v_one_nan(expression));                                            \
        }                                                                                          \
        if (i < count) {                                                                           \
            F x = s_load_part(input + i, count - i);                                               \
            s_store_part(output + i, v_one_nan(expression), count - i);                            \
        }                                                                                          \
    }
#define UNARY (const float *input, float *output, size_t count)

MAP(map_exp, UNARY, v_exp(x))
MAP(map_log, UNARY, v_log(x))
MAP(map_tanh, UNARY, v_tanh(x))
MAP(map_sigmoid, UNARY, v_sigmoid(x))
MAP(map_erf, UNARY, v_erf(x))
MAP(map_gelu, UNARY, v_gelu(x))
MAP(map_gelu_tanh, UNARY, v_gelu_tanh(x))
MAP(map_softplus, UNARY, v_softplus(x))
MAP(map_softsign, UNARY, s_div(x, s_add(s_set(1.0f), v_abs(x))))
MAP(map_mish, UNARY, v_mish(x))
MAP(map_sin, UNARY, v_sine(x, 0))
MAP(map_cos, UNARY, v_sine(x, 1))
MAP(map_elu, (const float *input, float *output, size_t count, float alpha), v_elu(x, s_set(alpha)))

const OctVmathBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .exp = map_exp,
    .log = map_log,
    .tanh = map_tanh,
    .sigmoid = map_sigmoid,
    .erf = map_erf,
    .gelu = map_gelu,
    .gelu_tanh = map_gelu_tanh,
    .softplus = map_softplus,
    .softsign = map_softsign,
    .mish = map_mish,
    .sin = map_sin,
    .cos = map_cos,
    .pow = oct_vmath_pow,
    .elu = map_elu,
};
