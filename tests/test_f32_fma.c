/* The portable fused multiply-add against fmaf, with sums that lie half-way between two floats and
 * subnormal results on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/f32_fma.h"

static float any_float(CheckRandom *random, int kind) {
    uint32_t bits = (uint32_t)check_next(random);
    float value;
    if (kind == 0) { /* all bits random */
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (kind == 1) { /* few bits, so that half-way sums are frequent */
        float few = (float)check_range(random, -255, 255);
        return ldexpf(few, (int)check_range(random, -30, 30));
    }
    if (kind == 2) { /* products around the subnormal numbers */
        return ldexpf(check_float(random, -2.0f, 2.0f), (int)check_range(random, -80, -60));
    }
    return check_float(random, -4.0f, 4.0f);
}

static void test_against_fmaf(void **state) {
    (void)state;
    CheckRandom random = check_random(41);
    size_t half_way = 0;
    for (int round = 0; round < 400000; round++) {
        int kind = round % 4;
        float a[OCT_FMA_LANES], b[OCT_FMA_LANES], sum[OCT_FMA_LANES], sums[2][OCT_FMA_LANES];
        float expected[2][OCT_FMA_LANES];
        for (size_t i = 0; i < OCT_FMA_LANES; i++) {
            a[i] = any_float(&random, kind);
            b[i] = any_float(&random, kind);
            sum[i] = kind == 2 ? any_float(&random, kind) * 0x1p-70f : any_float(&random, kind);
            double exact = (double)a[i] * (double)b[i] + (double)sum[i];
            uint64_t bits;
            memcpy(&bits, &exact, sizeof bits);
            half_way += (bits & 0x1fffffff) == 0x10000000;
            expected[0][i] = fmaf(a[0], b[i], sum[i]);
            expected[1][i] = fmaf(a[i], b[i], sum[i]);
        }
        memcpy(sums[0], sum, sizeof sum);
        memcpy(sums[1], sum, sizeof sum);
        oct_f32_fma_scalar(a[0], b, sums[0]);
        oct_f32_fma_vector(a, b, sums[1]);
        check_same_floats(sums[0], expected[0], OCT_FMA_LANES, "fma with a scalar");
        check_same_floats(sums[1], expected[1], OCT_FMA_LANES, "fma of vectors");
    }
    assert_true(half_way > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_fmaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
