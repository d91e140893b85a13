/* The kernels from one 8-bit grid to another against the portable ones, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/grid_affine.h"

enum { ROUNDS = 400, MOST_CHANNELS = 200 };

typedef struct Case {
    size_t pixels, channels, x_stride, y_stride;
    float numbers[4][MOST_CHANNELS]; /* zero, scale, multiply, shift */
    OctGridAffine affine;
    OctGridLine line;
} Case;

static size_t any_channels(CheckRandom *random) {
    static const size_t usual[] = {16, 32, 64, 96, 128, 160};
    return check_range(random, 0, 1) ? usual[check_range(random, 0, 5)]
                                     : (size_t)check_range(random, 1, MOST_CHANNELS);
}

static void fill(Case *c, CheckRandom *random) {
    c->pixels = (size_t)check_range(random, 1, 9);
    c->channels = any_channels(random);
    c->x_stride = c->channels + (size_t)check_range(random, 0, 3);
    c->y_stride = c->channels + (size_t)check_range(random, 0, 3);
    int kind = (int)check_range(random, 0, CHECK_FLOATS - 1);
    for (size_t i = 0; i < c->channels; i++) {
        c->numbers[0][i] = (float)check_range(random, 0, 255);
        c->numbers[1][i] = check_float(random, 0.001f, 1.0f);
        c->numbers[2][i] = check_float(random, -2.0f, 2.0f);
        c->numbers[3][i] = check_float(random, -200.0f, 200.0f);
    }
    if (check_range(random, 0, 3) == 0) {
        check_floats(random, kind, c->numbers[2], c->channels);
        check_floats(random, kind, c->numbers[3], c->channels);
    }
    bool clamps = check_range(random, 0, 1);
    c->affine = (OctGridAffine){c->numbers[0],
                                c->numbers[1],
                                c->numbers[2],
                                c->numbers[3],
                                clamps ? 0 : -INFINITY,
                                clamps ? 6 : INFINITY,
                                check_float(random, 0.001f, 1.0f),
                                (float)check_range(random, 0, 255)};
    c->line = (OctGridLine){c->numbers[2], c->numbers[3], (float)check_range(random, 0, 100),
                            (float)check_range(random, 100, 255)};
}

static void check_case(const OctGridAffineBundle *bundle, CheckRandom *random) {
    const OctGridAffineBundle *portable = oct_grid_affine_select(OCTET_CPU_PORTABLE);
    Case c;
    fill(&c, random);
    size_t x_bytes = (c.pixels - 1) * c.x_stride + c.channels;
    size_t y_bytes = (c.pixels - 1) * c.y_stride + c.channels;
    CheckBuffer x = check_buffer(x_bytes, (int)check_range(random, 0, 1));
    CheckBuffer y = check_buffer(y_bytes, (int)check_range(random, 0, 1));
    uint8_t *expected = malloc(y_bytes);
    assert_non_null(expected);
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), x.data, x_bytes);
    memset(expected, CHECK_CANARY, y_bytes);
    portable->run(&c.affine, x.data, c.x_stride, expected, c.y_stride, c.pixels, c.channels);
    bundle->run(&c.affine, x.data, c.x_stride, y.data, c.y_stride, c.pixels, c.channels);
    check_same_bytes(y.data, expected, y_bytes, bundle->name);
    memset(expected, CHECK_CANARY, y_bytes);
    memset(y.data, CHECK_CANARY, y_bytes);
    portable->run_line(&c.line, x.data, c.x_stride, expected, c.y_stride, c.pixels, c.channels);
    bundle->run_line(&c.line, x.data, c.x_stride, y.data, c.y_stride, c.pixels, c.channels);
    check_same_bytes(y.data, expected, y_bytes, bundle->name);
    free(expected);
    check_buffer_free(&x);
    check_buffer_free(&y);
}

static void test_levels(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t l = 0; l < count; l++) {
        CheckRandom random = check_random(11);
        for (int i = 0; i < ROUNDS; i++) {
            check_case(oct_grid_affine_select(levels[l]), &random);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
