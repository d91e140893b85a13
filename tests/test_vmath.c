/* Vector math: the same bits at every level, and the stated accuracy against libm in double. The
 * inputs are every OCTET_VMATH_STEP-th of the 2^32 floats (default 4999, so about 12 million for
 * all functions together), plus special values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/vmath.h"

enum { BLOCK = 4099 };

typedef struct Function {
    const char *name;
    size_t at; /* of the kernel in OctVmathBundle */
    double (*exact)(double);
    double ulps;      /* error allowed; 0: only the bits are compared */
    double magnitude; /* of inputs that accuracy is checked for */
} Function;

static double exact_sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}
static double exact_softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static double exact_softsign(double x) {
    return x / (1.0 + fabs(x));
}
static double exact_mish(double x) {
    return x * tanh(exact_softplus(x));
}

#define FUNCTION(name, exact, ulps, magnitude)                                                     \
    { #name, offsetof(OctVmathBundle, name), exact, ulps, magnitude }
static const Function functions[] = {
    FUNCTION(exp, exp, 1.1, INFINITY),
    FUNCTION(log, log, 1.1, INFINITY),
    FUNCTION(tanh, tanh, 2.0, INFINITY),
    FUNCTION(sigmoid, exact_sigmoid, 2.0, INFINITY),
    FUNCTION(erf, erf, 2.0, INFINITY),
    FUNCTION(gelu, NULL, 0, 0),
    FUNCTION(gelu_tanh, NULL, 0, 0),
    FUNCTION(softplus, exact_softplus, 2.0, INFINITY),
    FUNCTION(softsign, exact_softsign, 2.0, 1e30),
    FUNCTION(mish, exact_mish, 4.5, 80.0),
    FUNCTION(sin, sin, 2.0, INFINITY),
    FUNCTION(cos, cos, 2.0, INFINITY),
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static OctF32UnaryKernel kernel_of(const OctVmathBundle *bundle, const Function *function) {
    OctF32UnaryKernel kernel;
    memcpy(&kernel, (const char *)bundle + function->at, sizeof kernel);
    return kernel;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The error in units of the last place of a float of the exact value's size. */
static double error_of(float got, double exact) {
    if (isnan(exact) || isnan(got)) {
        return isnan(exact) && bits_of(got) == 0x7fc00000 ? 0.0 : INFINITY;
    }
    if (isinf(got) || isinf((float)exact)) {
        /* just below the largest float either is right */
        bool near = fabs(exact) > 0x1.fffffcp127 && fabsf(got) > 0x1.fffffcp127f;
        return near && (exact > 0) == (got > 0) ? 0.0 : INFINITY;
    }
    int exponent;
    frexp(exact, &exponent);
    exponent = exact == 0.0 || exponent < -125 ? -125 : exponent;
    return fabs((double)got - exact) / ldexp(1.0, exponent - 24);
}

static uint64_t step_from_environment(void) {
    const char *text = getenv("OCTET_VMATH_STEP");
    uint64_t step = text ? strtoull(text, NULL, 10) : 4999;
    return step ? step : 1;
}

/* The next inputs from `index` on; the first block is special values. */
static size_t fill(uint64_t *index, uint64_t step, float *input) {
    size_t count = 0;
    if (*index == 0) {
        static const float special[] = {0.0f,
                                        -0.0f,
                                        INFINITY,
                                        -INFINITY,
                                        NAN,
                                        1.0f,
                                        -1.0f,
                                        0x1p-149f,
                                        -0x1p-149f,
                                        0x1p-126f,
                                        -0x1.fffffcp-127f,
                                        88.7228394f,
                                        88.72284f,
                                        -87.33655f,
                                        -103.97208f,
                                        -103.98f,
                                        0.625f,
                                        0.92f,
                                        3.92f,
                                        9.01f,
                                        48000.0f,
                                        -48000.0f,
                                        47999.996f,
                                        0x1.fffffep127f,
                                        -0x1.fffffep127f};
        for (; count < sizeof special / sizeof special[0]; count++) {
            input[count] = special[count];
        }
        input[count++] = from_bits(0xffc12345);
        input[count++] = from_bits(0x7f812345);
    }
    for (; count < BLOCK && *index < (uint64_t)1 << 32; *index += step) {
        input[count++] = from_bits((uint32_t)*index);
    }
    return count;
}

static void test_bits_and_accuracy(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    uint64_t step = step_from_environment();
    float *input = malloc(BLOCK * sizeof(float));
    float *expected = malloc(BLOCK * sizeof(float));
    float *got = malloc(BLOCK * sizeof(float));
    for (size_t f = 0; f < FUNCTIONS; f++) {
        const Function *function = &functions[f];
        double worst = 0.0;
        float worst_at = 0.0f;
        uint64_t index = 0;
        for (size_t count; (count = fill(&index, step, input)) > 0;) {
            kernel_of(oct_vmath_select(levels[0]), function)(input, expected, count);
            for (size_t i = 1; i < level_count; i++) {
                const OctVmathBundle *bundle = oct_vmath_select(levels[i]);
                kernel_of(bundle, function)(input, got, count);
                if (memcmp(got, expected, count * sizeof(float)) != 0) {
                    char what[64];
                    snprintf(what, sizeof what, "%s of %s", function->name, bundle->name);
                    check_same_bytes(got, expected, count * sizeof(float), what);
                }
            }
            for (size_t i = 0; i < count && function->ulps > 0; i++) {
                if (isnan(input[i]) || fabsf(input[i]) <= function->magnitude) {
                    double error = error_of(expected[i], function->exact((double)input[i]));
                    worst_at = error > worst ? input[i] : worst_at;
                    worst = error > worst ? error : worst;
                }
            }
        }
        if (function->ulps > 0) {
            print_message("%s: %.3f ulp at %a\n", function->name, worst, (double)worst_at);
            assert_true(worst <= function->ulps);
        }
    }
    free(input);
    free(expected);
    free(got);
}

static void test_elu(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    CheckRandom random = check_random(3);
    float input[1001], expected[1001], got[1001];
    check_floats(&random, CHECK_FLOATS_SPECIAL, input, 1001);
    oct_vmath_select(levels[0])->elu(input, expected, 1001, 0.75f);
    for (size_t i = 0; i < 1001; i++) {
        if (!isnan(input[i])) {
            float exact = input[i] < 0 ? (float)(0.75 * expm1((double)input[i])) : input[i];
            assert_true(expected[i] == exact || fabsf(expected[i] - exact) <= 1e-7f);
        }
    }
    for (size_t i = 1; i < level_count; i++) {
        oct_vmath_select(levels[i])->elu(input, got, 1001, 0.75f);
        check_same_bytes(got, expected, sizeof got, "elu");
    }
}

static void test_pow(void **state) {
    (void)state;
    CheckRandom random = check_random(4);
    double worst = 0.0;
    OctF32BinaryKernel power = oct_vmath_select(OCTET_CPU_PORTABLE)->pow;
    for (int i = 0; i < 400000; i++) {
        float x = from_bits((uint32_t)check_next(&random));
        float y = from_bits((uint32_t)check_next(&random));
        if (i % 4 != 0) { /* results that are neither 0 nor infinite */
            x = ldexpf(check_float(&random, 0.5f, 2.0f), (int)check_range(&random, -20, 20));
            y = check_float(&random, -6.0f, 6.0f);
            y = i % 4 == 1 ? rintf(y) : y;
            x = i % 4 == 1 && (check_next(&random) & 1) ? -x : x;
        }
        float got;
        power(&x, &y, &got, 1);
        double error = error_of(got, pow((double)x, (double)y));
        if (error > 1.0) {
            fail_msg("pow(%a, %a) = %a, %f ulp off", (double)x, (double)y, (double)got, error);
        }
        worst = error > worst ? error : worst;
    }
    print_message("pow: %.3f ulp\n", worst);
    static const float special[] = {0.0f,  -0.0f, 1.0f,  -1.0f,    0.5f,      -0.5f, 2.0f,
                                    -2.0f, 3.0f,  -3.0f, INFINITY, -INFINITY, NAN,   1e30f};
    enum { SPECIAL = sizeof special / sizeof special[0] };
    for (size_t i = 0; i < SPECIAL; i++) {
        for (size_t k = 0; k < SPECIAL; k++) {
            float got;
            power(&special[i], &special[k], &got, 1);
            float exact = powf(special[i], special[k]);
            check_same_floats(&got, &exact, 1, "special cases of pow");
        }
    }
}

static void test_in_place_and_ends(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    CheckRandom random = check_random(5);
    float expected[40];
    for (size_t i = 0; i < level_count; i++) {
        for (size_t count = 0; count < 40; count++) {
            CheckBuffer buffer = check_buffer(count * sizeof(float), (int)(count & 1));
            float *data = (float *)(void *)buffer.data;
            check_floats(&random, CHECK_FLOATS_NORMAL, data, count);
            oct_vmath_select(levels[0])->gelu(data, expected, count);
            oct_vmath_select(levels[i])->gelu(data, data, count);
            check_same_bytes(data, expected, count * sizeof(float), "gelu in place");
            check_buffer_free(&buffer);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_and_accuracy),
        cmocka_unit_test(test_elu),
        cmocka_unit_test(test_pow),
        cmocka_unit_test(test_in_place_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
