/* The AVX2-VNNI bundles on machines that have AVX-512 VNNI instead: the same source, with the
 * instruction in its EVEX form, which the encoding alone tells from the VEX form. Skipped on
 * machines without; where the VEX form exists, test_checkasm_q8_conv checks the bundles
 * themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm_q8_conv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512vl,avx512vnni"))),      \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512vnni")
#endif

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define _mm_dpbusd_avx_epi32 _mm_dpbusd_epi32
#define oct_q8_conv_avxvnni evex_conv
#define oct_q8_depthwise_avxvnni evex_depthwise
#include "kernels/x86/q8_conv_avxvnni.c"
#include "kernels/x86/q8_depthwise_avxvnni.c"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static void test_bundles(void **state) {
    (void)state;
    if (!oct_cpu_has(oct_cpu_best(), OCTET_CPU_AVX512_VNNI)) {
        print_message("skipped: no AVX-512 VNNI\n");
        skip();
    }
    check_conv_bundle(&evex_conv);
    check_depthwise_bundle(&evex_depthwise);
}
#else
static void test_bundles(void **state) {
    (void)state;
    print_message("skipped: not an x86 machine\n");
    skip();
}
#endif

int main(void) {
    check_make_tables();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bundles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
