/* Every int8 convolution and depthwise bundle against plain loops, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm_q8_conv.h"

static void test_conv(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t l = 0; l < count; l++) {
        check_conv_bundle(oct_q8_conv_select(levels[l]));
    }
}

/* Transposed, unsigned weights: the packing of a matrix at run time. */
static void test_pack_strides(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    CheckRandom random = check_random(2);
    for (size_t l = 0; l < count; l++) {
        const OctQ8ConvBundle *bundle = oct_q8_conv_select(levels[l]);
        for (int i = 0; i < 60; i++) {
            size_t channels = (size_t)check_range(&random, 1, 150);
            size_t k = (size_t)check_range(&random, 1, 90);
            size_t bytes = (bundle->packed_bytes(channels, 1, k) + 63) / 64 * 64;
            CheckBuffer rows = check_buffer(channels * k, CHECK_GUARD_END);
            CheckBuffer columns = check_buffer(channels * k, CHECK_GUARD_END);
            CheckBuffer a = check_buffer(bytes, CHECK_GUARD_END);
            CheckBuffer b = check_buffer(bytes, CHECK_GUARD_END);
            check_bytes(&random, CHECK_BYTES_RANDOM, rows.data, rows.size);
            for (size_t n = 0; n < channels; n++) {
                for (size_t j = 0; j < k; j++) {
                    columns.data[j * channels + n] = rows.data[n * k + j] ^ 0x80;
                }
            }
            OctQ8PackSource source = {.weights = (const int8_t *)rows.data,
                                      .channel_stride = k,
                                      .k_stride = 1,
                                      .channels = channels,
                                      .taps = 1,
                                      .k = k,
                                      .input_zero_point = 77};
            bundle->pack(&source, a.data);
            source.weights = (const int8_t *)columns.data;
            source.channel_stride = 1;
            source.k_stride = channels;
            source.flip = 0x80;
            bundle->pack(&source, b.data);
            check_same_bytes(b.data, a.data, bundle->packed_bytes(channels, 1, k), bundle->name);
            check_buffer_free(&rows);
            check_buffer_free(&columns);
            check_buffer_free(&a);
            check_buffer_free(&b);
        }
    }
}

/* 255 * (a + b) must fit 16 bits; a and b of different signs help each other. */
static void test_pairs(void **state) {
    (void)state;
    static const struct {
        int8_t a, b;
        bool fits;
    } cases[] = {{64, 64, true},    {64, 65, false},  {-64, -64, true}, {-64, -65, false},
                 {127, -128, true}, {127, 1, true},   {127, 2, false},  {-128, 0, true},
                 {-128, -1, false}, {-127, -1, true}, {127, 127, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* the pair in question is the last of the second channel's second tap */
        int8_t weights[2][2][5] = {{{0}}};
        weights[1][1][2] = cases[i].a;
        weights[1][1][3] = cases[i].b;
        OctQ8PackSource source = {.weights = &weights[0][0][0],
                                  .channel_stride = 10,
                                  .tap_stride = 5,
                                  .k_stride = 1,
                                  .channels = 2,
                                  .taps = 2,
                                  .k = 5};
        assert_int_equal(oct_q8_pairs_fit(&source), cases[i].fits);
        weights[1][1][4] = 127; /* has no neighbor */
        assert_int_equal(oct_q8_pairs_fit(&source), cases[i].fits);
        weights[1][1][1] = 127; /* is of another pair */
        assert_int_equal(oct_q8_pairs_fit(&source), cases[i].fits);
    }
}

static void test_depthwise(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t l = 0; l < count; l++) {
        check_depthwise_bundle(oct_q8_depthwise_select(levels[l]));
    }
}

int main(void) {
    check_make_tables();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_pack_strides),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_depthwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
