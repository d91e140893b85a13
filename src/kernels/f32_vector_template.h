/* The bodies of f32_vector.h, included once a level after its vector abstraction, with BUNDLE,
 * BUNDLE_NAME and BUNDLE_CPU defined. No include guard. */

#define MAP(name, parameters, expression)                                                          \
    static void name parameters {                                                                  \
        size_t i = 0;                                                                              \
        for (; i + LANES <= count; i += LANES) {                                                   \
            F x = s_load(input + i);                                                               \
            s_store(output + i, expression);                                                       \
        }                                                                                          \
        if (i < count) {                                                                           \
            F x = s_load_part(input + i, count - i);                                               \
            s_store_part(output + i, expression, count - i);                                       \
        }                                                                                          \
    }

OCT_SIMD F op_add(F a, F b) {
    return s_add(a, b);
}
OCT_SIMD F op_sub(F a, F b) {
    return s_sub(a, b);
}
OCT_SIMD F op_mul(F a, F b) {
    return s_mul(a, b);
}
OCT_SIMD F op_div(F a, F b) {
    return s_div(a, b);
}
/* s_min(b, a) is a when a is NaN, and also when only b is */
OCT_SIMD F op_min(F a, F b) {
    return s_select(s_is_nan(b), b, s_min(b, a));
}
OCT_SIMD F op_max(F a, F b) {
    return s_select(s_is_nan(b), b, s_max(b, a));
}

#define BINARY(op)                                                                                 \
    static void op##_vector_vector(const float *a, const float *b, float *output, size_t count) {  \
        size_t i = 0;                                                                              \
        for (; i + LANES <= count; i += LANES) {                                                   \
            s_store(output + i, op_##op(s_load(a + i), s_load(b + i)));                            \
        }                                                                                          \
        if (i < count) {                                                                           \
            size_t rest = count - i;                                                               \
            F value = op_##op(s_load_part(a + i, rest), s_load_part(b + i, rest));                 \
            s_store_part(output + i, value, rest);                                                 \
        }                                                                                          \
    }                                                                                              \
    static void op##_vector_scalar(const float *input, const float *b, float *output,              \
                                   size_t count) {                                                 \
        F y = s_set(*b);                                                                           \
        op##_with(input, y, output, count);                                                        \
    }                                                                                              \
    static void op##_scalar_vector(const float *a, const float *input, float *output,              \
                                   size_t count) {                                                 \
        F y = s_set(*a);                                                                           \
        op##_from(input, y, output, count);                                                        \
    }
#define WITH(op)                                                                                   \
    MAP(op##_with, (const float *input, F y, float *output, size_t count), op_##op(x, y))          \
    MAP(op##_from, (const float *input, F y, float *output, size_t count), op_##op(y, x))          \
    BINARY(op)
WITH(add)
WITH(sub)
WITH(mul)
WITH(div)
WITH(min)
WITH(max)

OCT_SIMD F op_clamp(F x, F minimum, F maximum) {
    F low = s_max(minimum, x);
    return s_min(maximum, low);
}
OCT_SIMD F op_hard_sigmoid(F x, F alpha, F beta) {
    return op_clamp(s_fma(x, alpha, beta), s_set(0.0f), s_set(1.0f));
}

#define UNARY (const float *input, float *output, size_t count)
MAP(negate, UNARY, s_from_bits(si_xor(s_bits(x), si_set(INT32_MIN))))
MAP(absolute, UNARY, s_from_bits(si_and(s_bits(x), si_set(INT32_MAX))))
MAP(square_root, UNARY, s_sqrt(x))
MAP(reciprocal, UNARY, s_div(s_set(1.0f), x))
MAP(round_down, UNARY, s_floor(x))
MAP(round_up, UNARY, s_ceil(x))
MAP(round_even, UNARY, s_round(x))
MAP(relu, UNARY, s_max(s_set(0.0f), x))
MAP(clamp, (const float *input, float *output, size_t count, float minimum, float maximum),
    op_clamp(x, s_set(minimum), s_set(maximum)))
MAP(leaky_relu, (const float *input, float *output, size_t count, float slope),
    s_select(s_less(x, s_set(0.0f)), s_mul(x, s_set(slope)), x))
MAP(hard_sigmoid, (const float *input, float *output, size_t count, float alpha, float beta),
    op_hard_sigmoid(x, s_set(alpha), s_set(beta)))
MAP(hard_swish, (const float *input, float *output, size_t count, float alpha, float beta),
    s_mul(x, op_hard_sigmoid(x, s_set(alpha), s_set(beta))))

static void scale_shift(const float *input, const float *scale, const float *shift, float *output,
                        size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        s_store(output + i, s_fma(s_load(input + i), s_load(scale + i), s_load(shift + i)));
    }
    if (i < count) {
        size_t rest = count - i;
        F factor = s_load_part(scale + i, rest);
        F value = s_fma(s_load_part(input + i, rest), factor, s_load_part(shift + i, rest));
        s_store_part(output + i, value, rest);
    }
}

#define FORMS(form)                                                                                \
    {                                                                                              \
        [OCT_F32_ADD] = add_##form, [OCT_F32_SUB] = sub_##form, [OCT_F32_MUL] = mul_##form,        \
        [OCT_F32_DIV] = div_##form, [OCT_F32_MIN] = min_##form, [OCT_F32_MAX] = max_##form,        \
    }

const OctF32VectorBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .vector_vector = FORMS(vector_vector),
    .vector_scalar = FORMS(vector_scalar),
    .scalar_vector = FORMS(scalar_vector),
    .negate = negate,
    .absolute = absolute,
    .square_root = square_root,
    .reciprocal = reciprocal,
    .floor = round_down,
    .ceil = round_up,
    .round_even = round_even,
    .relu = relu,
    .clamp = clamp,
    .leaky_relu = leaky_relu,
    .hard_sigmoid = hard_sigmoid,
    .hard_swish = hard_swish,
    .scale_shift = scale_shift,
};
