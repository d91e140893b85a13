/* The algorithms of vmath.h over the vector abstraction (f32_simd_*.h), for templates to include
 * after it. Coefficients are minimax fits made for Octet (weighted by the function, rounded to f32
 * one after the other from the lowest power). No include guard. */

OCT_SIMD F v_horner(F x, const float *coefficients, size_t count) {
    F sum = s_set(coefficients[count - 1]);
    for (size_t i = count - 1; i-- > 0;) {
        sum = s_fma(sum, x, s_set(coefficients[i]));
    }
    return sum;
}
#define V_HORNER(x, coefficients)                                                                  \
    v_horner(x, coefficients, sizeof(coefficients) / sizeof((coefficients)[0]))

/* Every NaN becomes the one quiet NaN, as platforms differ in the NaNs they make. */
OCT_SIMD F v_one_nan(F x) {
    return s_select(s_is_nan(x), s_from_bits(si_set(0x7fc00000)), x);
}
OCT_SIMD F v_abs(F x) {
    return s_from_bits(si_and(s_bits(x), si_set(INT32_MAX)));
}
OCT_SIMD F v_negate(F x) {
    return s_from_bits(si_xor(s_bits(x), si_set(INT32_MIN)));
}
OCT_SIMD F v_with_sign_of(F x, F sign) {
    return s_from_bits(si_or(s_bits(x), si_and(s_bits(sign), si_set(INT32_MIN))));
}
/* Adding this rounds |x| < 2^22 to an integer, which the low bits then hold. */
#define V_MAGIC 12582912.0f
#define V_MAGIC_BITS 0x4B400000
#define V_LN2_HIGH 0x1.62e430p-1f
#define V_LN2_LOW (-0x1.05c610p-29f)

/* NaN stays some NaN. exp(x) = 2^n * exp(r), |r| <= ln(2) / 2. */
OCT_SIMD F v_exp(F x) {
    static const float coefficients[] = {0x1.fffffcp-2f, 0x1.55548cp-3f, 0x1.5558bap-5f,
                                         0x1.123e5cp-7f, 0x1.6a4b98p-10f};
    x = s_min(s_set(89.0f), x);
    x = s_max(s_set(-104.0f), x);
    F shifted = s_fma(x, s_set(0x1.715476p+0f), s_set(V_MAGIC));
    F n = s_sub(shifted, s_set(V_MAGIC));
    I exponent = si_sub(s_bits(shifted), si_set(V_MAGIC_BITS));
    F r = s_fma(n, s_set(-V_LN2_HIGH), x);
    r = s_fma(n, s_set(-V_LN2_LOW), r);
    F q = V_HORNER(r, coefficients);
    F y = s_add(s_fma(s_mul(r, r), q, r), s_set(1.0f));
    /* in two steps, so that subnormal results are rounded once */
    I half = si_sar(exponent, 1);
    I rest = si_sub(exponent, half);
    F scale = s_from_bits(si_shl(si_add(half, si_set(127)), 23));
    F scale_rest = s_from_bits(si_shl(si_add(rest, si_set(127)), 23));
    return s_mul(s_mul(y, scale), scale_rest);
}

/* log(1 + f) + k * ln(2) for 1 + f in [sqrt(1/2), sqrt(2)] */
OCT_SIMD F v_log_reduced(F f, F k) {
    static const float coefficients[] = {0x1.555548p-2f,  -0x1.000006p-2f, 0x1.99a47ap-3f,
                                         -0x1.555c52p-3f, 0x1.233b38p-3f,  -0x1.fc256cp-4f,
                                         0x1.e6c3a6p-4f,  -0x1.de1b4cp-4f, 0x1.148b06p-4f};
    F square = s_mul(f, f);
    F y = s_mul(s_mul(V_HORNER(f, coefficients), f), square);
    y = s_fma(k, s_set(V_LN2_LOW), y);
    y = s_fma(square, s_set(-0.5f), y);
    return s_fma(k, s_set(V_LN2_HIGH), s_add(f, y));
}

OCT_SIMD F v_log(F x) {
    M tiny = s_less(x, s_set(0x1p-126f));
    F scaled = s_select(tiny, s_mul(x, s_set(0x1p23f)), x);
    I bits = si_add(s_bits(scaled), si_set(0x3f800000 - 0x3f3504f3));
    I exponent = si_sub(si_sar(bits, 23), si_set(127));
    exponent = si_sub(exponent, si_select(tiny, si_set(23), si_set(0)));
    F m = s_from_bits(si_add(si_and(bits, si_set(0x007fffff)), si_set(0x3f3504f3)));
    F y = v_log_reduced(s_sub(m, s_set(1.0f)), si_to_float(exponent));
    /* what has no logarithm, or not a finite one */
    M finite = s_less(x, s_set(INFINITY));
    y = s_select(finite, y, x);
    y = s_select(s_less(x, s_set(0.0f)), s_from_bits(si_set(0x7fc00000)), y);
    M zero = si_equal(si_and(s_bits(x), si_set(INT32_MAX)), si_set(0));
    return s_select(zero, s_set(-INFINITY), y);
}

/* log(1 + e) for e in [0, 1]: f below is exact, or rounded far below the result's last place */
OCT_SIMD F v_log1p_unit(F e) {
    M large = s_less(s_set(0x1.a82798p-2f), e);
    F f = s_select(large, s_mul(s_set(0.5f), s_sub(e, s_set(1.0f))), e);
    return v_log_reduced(f, s_select(large, s_set(1.0f), s_set(0.0f)));
}

OCT_SIMD F v_tanh(F x) {
    static const float coefficients[] = {-0x1.555532p-2f, 0x1.1106f6p-3f, -0x1.b835a4p-5f,
                                         0x1.51f8cep-6f, -0x1.750ce2p-8f};
    F size = v_abs(x);
    F square = s_mul(size, size);
    F small = s_fma(s_mul(V_HORNER(square, coefficients), square), size, size);
    F e = v_exp(s_min(s_set(20.0f), s_add(size, size)));
    F large = s_sub(s_set(1.0f), s_div(s_set(2.0f), s_add(e, s_set(1.0f))));
    return v_with_sign_of(s_select(s_less(size, s_set(0.625f)), small, large), x);
}

/* With e = exp(-|x|): 1 / (1 + e) or e / (1 + e), neither of which cancels. What rounding took
 * from 1 + e is put back to first order, (3 - (1 + e)) / 2 standing for 1 / (1 + e). */
OCT_SIMD F v_sigmoid(F x) {
    F one = s_set(1.0f);
    F e = v_exp(v_negate(v_abs(x)));
    F divisor = s_add(one, e);
    F y = s_div(s_select(s_less(x, s_set(0.0f)), e, one), divisor);
    F lost = s_sub(e, s_sub(divisor, one));
    F inverse = s_fma(divisor, s_set(-0.5f), s_set(1.5f));
    return s_fma(s_mul(y, inverse), v_negate(lost), y);
}

/* A polynomial below 0.92; above, erfc as the exponential of one. */
OCT_SIMD F v_erf(F x) {
    static const float near_zero[] = {0x1.06eba8p-3f,  -0x1.812740p-2f, 0x1.ce2d64p-4f,
                                      -0x1.b80110p-6f, 0x1.544920p-8f,  -0x1.a5fb10p-11f,
                                      0x1.4f1db2p-14f};
    static const float far_off[] = {0x1.20ef1cp+0f,  0x1.45328ap-1f, 0x1.b3259cp-4f,
                                    -0x1.8551d2p-6f, 0x1.dd6e38p-9f, -0x1.527e5ep-12f,
                                    0x1.78e136p-17f};
    F size = s_min(s_set(3.9375f), v_abs(x));
    F small = s_fma(size, V_HORNER(s_mul(size, size), near_zero), size);
    F e = v_exp(v_negate(s_mul(size, V_HORNER(size, far_off))));
    F large = s_sub(s_set(1.0f), e);
    return v_with_sign_of(s_select(s_less(size, s_set(0.92f)), small, large), x);
}

OCT_SIMD F v_gelu(F x) {
    F erf = v_erf(s_mul(x, s_set(0x1.6a09e6p-1f)));
    return s_mul(x, s_mul(s_set(0.5f), s_add(s_set(1.0f), erf)));
}

/* 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) */
OCT_SIMD F v_gelu_tanh(F x) {
    F inner = s_mul(x, s_fma(s_mul(x, x), s_set(0.044715f), s_set(1.0f)));
    F tanh = v_tanh(s_mul(s_set(0x1.988454p-1f), inner));
    return s_mul(s_mul(s_set(0.5f), x), s_add(s_set(1.0f), tanh));
}

OCT_SIMD F v_softplus(F x) {
    F positive = s_max(s_set(0.0f), x);
    return s_add(positive, v_log1p_unit(v_exp(v_negate(v_abs(x)))));
}

/* tanh(log(1 + e)) = w / (w + 2) with w = e * (e + 2) */
OCT_SIMD F v_mish(F x) {
    F e = v_exp(s_min(s_set(20.0f), x));
    F w = s_mul(e, s_add(e, s_set(2.0f)));
    return s_mul(x, s_div(w, s_add(w, s_set(2.0f))));
}

OCT_SIMD F v_elu(F x, F alpha) {
    F negative = s_mul(alpha, s_sub(v_exp(x), s_set(1.0f)));
    return s_select(s_less(x, s_set(0.0f)), negative, x);
}

/* x = quadrant * pi / 2 + rest, |rest| <= pi / 4; the quadrant modulo 4 counts. */
OCT_SIMD F v_reduce_angle(F x, I *quadrant) {
    F shifted = s_fma(x, s_set(0x1.45f306p-1f), s_set(V_MAGIC));
    F n = s_sub(shifted, s_set(V_MAGIC));
    F rest = s_fma(n, s_set(-0x1.921fb6p+0f), x);
    rest = s_fma(n, s_set(0x1.777a5cp-25f), rest);
    rest = s_fma(n, s_set(0x1.ee59dap-50f), rest);
    *quadrant = si_sub(s_bits(shifted), si_set(V_MAGIC_BITS));
    M small = s_less(v_abs(x), s_set(OCT_VMATH_SMALL_ANGLE));
    if (m_any(m_not(small))) {
        float angles[LANES];
        float rests[LANES];
        int32_t quadrants[LANES];
        s_store(angles, x);
        s_store(rests, rest);
        si_store(quadrants, *quadrant);
        for (size_t i = 0; i < LANES; i++) {
            if (!(fabsf(angles[i]) < OCT_VMATH_SMALL_ANGLE)) {
                rests[i] = oct_vmath_reduce_large_angle(angles[i], &quadrants[i]);
            }
        }
        rest = s_load(rests);
        *quadrant = si_load(quadrants);
    }
    return rest;
}

/* sin(x + turns * pi / 2) */
OCT_SIMD F v_sine(F x, int32_t turns) {
    static const float sine[] = {-0x1.555544p-3f, 0x1.1106c8p-7f, -0x1.991d18p-13f};
    static const float cosine[] = {0x1.55554ap-5f, -0x1.6c0c14p-10f, 0x1.99de6ep-16f};
    I quadrant;
    F r = v_reduce_angle(x, &quadrant);
    quadrant = si_add(quadrant, si_set(turns));
    F z = s_mul(r, r);
    F s = s_fma(s_mul(r, z), V_HORNER(z, sine), r);
    F c = s_fma(s_mul(z, z), V_HORNER(z, cosine), s_fma(z, s_set(-0.5f), s_set(1.0f)));
    M odd = si_equal(si_and(quadrant, si_set(1)), si_set(1));
    F y = s_select(odd, c, s);
    return s_from_bits(si_xor(s_bits(y), si_shl(si_and(quadrant, si_set(2)), 30)));
}
