/* Convolutions, transposed ones, linear layers and differences in every requantization mode, byte
 * for byte against the formulas of docs/numerics.md written out again, with float and with int32
 * biases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mode_formulas.h"
#include "op_harness.h"

enum { BATCH = 3, INPUTS = 5, OUTPUTS = 7, SIDE = 4, MODES = OCTET_REQUANTIZE_TFLITE_SINGLE + 1 };

typedef struct Layer {
    const char *op_type; /* Gemm, or a convolution of one tap */
    bool integer_bias, relu;
    float sx, sw[OUTPUTS], sy, bias[OUTPUTS];
    int32_t zx, zw, zy, stored[OUTPUTS];
    int64_t places; /* outputs of a channel */
    uint8_t x[BATCH * INPUTS * SIDE * SIDE];
    int8_t w[OUTPUTS * INPUTS]; /* output channel first */
} Layer;

static uint64_t random_state = 20240607;

static int32_t between(int32_t low, int32_t high) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (int32_t)((random_state >> 33) % (uint64_t)(high - low + 1));
}

static float real_between(double low, double high) {
    return (float)(low + (high - low) * between(0, 1 << 24) / (1 << 24));
}

static Layer random_layer(const char *op_type, bool integer_bias) {
    Layer layer = {.op_type = op_type,
                   .integer_bias = integer_bias,
                   .relu = between(0, 2) == 0,
                   .sx = real_between(0.001, 0.1),
                   .zx = between(0, 255),
                   .zw = between(0, 1) ? 0 : between(-20, 20),
                   .sy = real_between(0.02, 0.3),
                   .zy = between(0, 255),
                   .places = strcmp(op_type, "Gemm") == 0 ? 1 : SIDE * SIDE};
    for (int c = 0; c < OUTPUTS; c++) {
        layer.sw[c] = real_between(0.001, 0.05);
        layer.bias[c] = real_between(-3, 3);
        layer.stored[c] = between(-30000, 30000);
    }
    for (size_t i = 0; i < sizeof layer.x; i++) {
        layer.x[i] = (uint8_t)between(0, 255);
    }
    for (size_t i = 0; i < sizeof layer.w; i++) {
        layer.w[i] = (int8_t)between(-127, 127);
    }
    return layer;
}

static uint8_t expected_byte(const Layer *l, OctetRequantize mode, int32_t accumulator, int c) {
    const ModeChannel channel = {.sx = l->sx,
                                 .sw = l->sw[c],
                                 .sy = l->sy,
                                 .zy = l->zy,
                                 .relu = l->relu,
                                 .integer_bias = l->integer_bias,
                                 .stored = l->stored[c],
                                 .bias = l->bias[c]};
    return mode_byte(&channel, mode, accumulator);
}

static int32_t accumulate(const Layer *l, int64_t n, int c, int64_t place) {
    int32_t sum = 0;
    for (int i = 0; i < INPUTS; i++) {
        sum +=
            (l->x[(n * INPUTS + i) * l->places + place] - l->zx) * (l->w[c * INPUTS + i] - l->zw);
    }
    return sum;
}

/* ---- the layers ---- */

static void add_weight(OpHarness *h, const Layer *l) {
    bool transposed = strcmp(l->op_type, "ConvTranspose") == 0, linear = l->places == 1;
    int8_t w[OUTPUTS * INPUTS];
    int32_t zeros[OUTPUTS];
    for (int k = 0; k < OUTPUTS * INPUTS; k++) {
        w[transposed ? k % INPUTS * OUTPUTS + k / INPUTS : k] = l->w[k];
        zeros[k % OUTPUTS] = l->zw;
    }
    OctValue *weight = op_constant(h, OCTET_S8,
                                   linear       ? SHAPE(OUTPUTS, INPUTS)
                                   : transposed ? SHAPE(INPUTS, OUTPUTS, 1, 1)
                                                : SHAPE(OUTPUTS, INPUTS, 1, 1),
                                   w);
    OctetQParams grid = {.dtype = OCTET_S8,
                         .axis = transposed ? 1 : 0,
                         .count = OUTPUTS,
                         .scale = (float *)l->sw,
                         .zero_point = zeros};
    weight->dtype = OCTET_F32;
    assert_true(oct_graph_set_qparams(h->graph, weight, &grid));
}

static void check(const Layer *l, OctetRequantize mode) {
    OpHarness h;
    bool linear = l->places == 1;
    op_begin(&h, "", l->op_type, 13, 1);
    h.requantize = mode;
    if (linear) {
        assert_true(oct_node_set_int(h.graph, h.node, "transB", 1));
    }
    if (l->relu) {
        h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, INFINITY};
    }
    op_input_q(&h, OCTET_U8, linear ? SHAPE(BATCH, INPUTS) : SHAPE(BATCH, INPUTS, SIDE, SIDE), l->x,
               l->sx, l->zx);
    add_weight(&h, l);
    op_constant(&h, l->integer_bias ? OCTET_S32 : OCTET_F32, SHAPE(OUTPUTS),
                l->integer_bias ? (const void *)l->stored : l->bias);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, l->sy, l->zy);
    op_run_ok(&h);
    int64_t bytes = op_expect_shape(
        &h, 0, OCTET_U8, linear ? SHAPE(BATCH, OUTPUTS) : SHAPE(BATCH, OUTPUTS, SIDE, SIDE));
    for (int64_t at = 0; at < bytes; at++) {
        int c = (int)(at / l->places % OUTPUTS);
        int32_t sum = accumulate(l, at / l->places / OUTPUTS, c, at % l->places);
        uint8_t expected = expected_byte(l, mode, sum, c), got = ((uint8_t *)h.outputs[0].data)[at];
        if (got != expected) {
            fail_msg("%s, %s, %s bias, output %d: %d instead of %d", l->op_type,
                     octet_requantize_name(mode), l->integer_bias ? "int32" : "float", (int)at, got,
                     expected);
        }
    }
    op_end(&h);
}

static void check_many(const char *op_type, int rounds) {
    for (int round = 0; round < rounds; round++) {
        Layer layer = random_layer(op_type, round % 2);
        for (int mode = 0; mode < MODES; mode++) {
            check(&layer, (OctetRequantize)mode);
        }
    }
}

static void linear_layers(void **state) {
    (void)state;
    check_many("Gemm", 400);
}

static void convolutions(void **state) {
    (void)state;
    check_many("Conv", 100);
}

static void transposed_convolutions(void **state) {
    (void)state;
    check_many("ConvTranspose", 100);
}

/* ---- differences ---- */

typedef struct Grid {
    float scale;
    int32_t zero_point;
} Grid;

static uint8_t difference(const Grid *a, const Grid *b, const Grid *y, OctetRequantize mode,
                          int32_t qa, int32_t qb) {
    double steps;
    qa -= a->zero_point;
    qb -= b->zero_point;
    if (mode == OCTET_REQUANTIZE_FBGEMM || mode == OCTET_REQUANTIZE_QNNPACK) {
        float real = (float)qa * a->scale - (float)qb * b->scale;
        steps = (double)rintf(real * (1.0f / y->scale));
    } else {
        double twice = 2 * fmax((double)a->scale, (double)b->scale);
        int64_t first = mode_multiply((double)a->scale / twice, mode, qa * (INT64_C(1) << 20));
        int64_t second = mode_multiply((double)b->scale / twice, mode, qb * (INT64_C(1) << 20));
        steps = (double)mode_multiply(twice / ((1 << 20) * (double)y->scale), mode, first - second);
    }
    return (uint8_t)fmax(0, fmin(255, steps + y->zero_point));
}

static void differences(void **state) {
    (void)state;
    enum { COUNT = 257 };
    for (int round = 0; round < 200; round++) {
        uint8_t a[COUNT], b[COUNT];
        Grid grids[3];
        for (int i = 0; i < 3; i++) {
            grids[i] = (Grid){real_between(0.005, 0.2), between(0, 255)};
        }
        for (int i = 0; i < COUNT; i++) {
            a[i] = (uint8_t)between(0, 255);
            b[i] = (uint8_t)between(0, 255);
        }
        for (int mode = OCTET_REQUANTIZE_FBGEMM; mode < MODES; mode++) {
            OpHarness h;
            op_begin(&h, "", "Sub", 14, 1);
            h.requantize = (OctetRequantize)mode;
            op_input_q(&h, OCTET_U8, SHAPE(COUNT), a, grids[0].scale, grids[0].zero_point);
            op_input_q(&h, OCTET_U8, SHAPE(COUNT), b, grids[1].scale, grids[1].zero_point);
            op_quantize(&h, h.node->outputs[0], OCTET_U8, grids[2].scale, grids[2].zero_point);
            op_run_ok(&h);
            for (int i = 0; i < COUNT; i++) {
                assert_int_equal(
                    ((uint8_t *)h.outputs[0].data)[i],
                    difference(&grids[0], &grids[1], &grids[2], h.requantize, a[i], b[i]));
            }
            op_end(&h);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_layers),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
