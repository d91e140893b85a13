/* com.microsoft's Attention, MultiHeadAttention, BiasGelu and FastGelu against ONNX Runtime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

#include "attention_golden.h"

static void add_input(OpHarness *h, const AttentionGolden *g, int k) {
    const OctetShape *shape = &g->inputs[k].shape;
    int64_t count;
    if (g->inputs[k].kind == 0) {
        op_absent(h);
        return;
    }
    assert_true(octet_shape_count(shape, &count));
    float *floats = calloc((size_t)count, sizeof *floats);
    int32_t *ints = calloc((size_t)count, sizeof *ints);
    for (int64_t j = 0; j < count; j++) {
        floats[j] = (float)((j * 7919 + 13 + k * 31) % 101) / 50 - 1;
        ints[j] = (int32_t)(shape->rank == 1 ? 3 + j : (j * 7 + 3) % 3 != 0);
    }
    bool real = g->inputs[k].kind == 'f';
    op_input(h, real ? OCTET_F32 : OCTET_S32, shape, real ? (const void *)floats : ints);
    free(floats);
    free(ints);
}

static void test_goldens(void **state) {
    for (size_t i = 0; i < sizeof attention_goldens / sizeof attention_goldens[0]; i++) {
        const AttentionGolden *g = &attention_goldens[i];
        OpHarness h;
        op_begin(&h, "com.microsoft", g->op, 1, 1);
        h.pool = *state;
        if (g->heads) {
            assert_true(oct_node_set_int(h.graph, h.node, "num_heads", g->heads));
            assert_true(oct_node_set_int(h.graph, h.node, "unidirectional", g->causal));
            assert_true(oct_node_set_float(h.graph, h.node, "scale", g->scale));
        }
        if (g->sizes[0]) {
            assert_true(oct_node_set_ints(h.graph, h.node, "qkv_hidden_sizes", g->sizes, 3));
        }
        for (int k = 0; k < g->input_count; k++) {
            add_input(&h, g, k);
        }
        op_run_ok(&h);
        op_expect_f32(&h, 0, &g->output, g->expected, 1e-5f);
        op_end(&h);
    }
}

static void test_errors(void **state) {
    (void)state;
    static const float data[256];
    OpHarness h;
    op_begin(&h, "com.microsoft", "Attention", 1, 1);
    assert_true(oct_node_set_int(h.graph, h.node, "num_heads", 3));
    op_input(&h, OCTET_F32, SHAPE(1, 2, 8), data);
    op_input(&h, OCTET_F32, SHAPE(8, 24), data);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    op_begin(&h, "com.microsoft", "Attention", 1, 2);
    assert_true(oct_node_set_int(h.graph, h.node, "num_heads", 2));
    op_input(&h, OCTET_F32, SHAPE(1, 2, 8), data);
    op_input(&h, OCTET_F32, SHAPE(8, 24), data);
    op_absent(&h);
    op_absent(&h);
    op_input(&h, OCTET_F32, SHAPE(2, 1, 2, 3, 5), data); /* a head has 4 */
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

enum { TOKENS = 5, CHANNELS = 6, HEADS = 2, SIZE = CHANNELS / HEADS };

/* Rows [first, first + count) of both batches behind what an earlier call has left. */
static void attend(OpHarness *h, const char *op, const float *x, const float *w, int first,
                   int count, const OpHarness *earlier) {
    static float rows[3][2 * TOKENS * CHANNELS];
    bool one = strcmp(op, "Attention") == 0;
    op_begin(h, "com.microsoft", op, 1, one ? 2 : 3);
    assert_true(oct_node_set_int(h->graph, h->node, "num_heads", HEADS));
    assert_true(oct_node_set_int(h->graph, h->node, "unidirectional", 1));
    for (int i = 0; i < (one ? 1 : 3); i++) {
        for (int b = 0; b < 2; b++) {
            memcpy(rows[i] + b * count * CHANNELS, x + i + (b * TOKENS + first) * CHANNELS,
                   (size_t)(count * CHANNELS) * sizeof(float));
        }
        op_input(h, OCTET_F32, SHAPE(2, count, CHANNELS), rows[i]);
    }
    if (one) {
        op_input(h, OCTET_F32, SHAPE(CHANNELS, 3 * CHANNELS), w);
    }
    for (int k = h->node->input_count; k < (one ? 4 : 6); k++) {
        op_absent(h);
    }
    for (int k = 1; earlier && k < earlier->node->output_count; k++) {
        op_input(h, OCTET_F32, &earlier->outputs[k].shape, earlier->outputs[k].data);
    }
    op_run_ok(h);
}

/* Three tokens and then two are the five at once. */
static void check_past(const char *op) {
    float x[2 * TOKENS * CHANNELS + 3], w[CHANNELS * 3 * CHANNELS];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        x[i] = sinf((float)i);
    }
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) {
        w[i] = cosf((float)(3 * i));
    }
    OpHarness all, begin, rest;
    attend(&all, op, x, w, 0, TOKENS, NULL);
    attend(&begin, op, x, w, 0, 3, NULL);
    attend(&rest, op, x, w, 3, 2, &begin);
    const float *whole = all.outputs[0].data, *last = rest.outputs[0].data;
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < 2 * CHANNELS; i++) {
            float expected = whole[(b * TOKENS + 3) * CHANNELS + i];
            assert_float_equal(last[b * 2 * CHANNELS + i], expected, 1e-6f);
        }
    }
    for (int k = 1; k < all.node->output_count; k++) {
        assert_true(octet_shape_equal(&all.outputs[k].shape, &rest.outputs[k].shape));
        assert_int_equal(all.outputs[k].shape.dims[all.outputs[k].shape.rank - 2], TOKENS);
        assert_memory_equal(all.outputs[k].data, rest.outputs[k].data,
                            (size_t)(2 * HEADS * TOKENS * SIZE) * sizeof(float));
    }
    op_end(&all);
    op_end(&begin);
    op_end(&rest);
}

static void test_past(void **state) {
    (void)state;
    check_past("Attention");
    check_past("MultiHeadAttention");
}

/* Keys outside of [start, end) do not count: the same as a mask of every key. */
static void test_ends_and_starts(void **state) {
    (void)state;
    const int32_t ends[] = {3, 2, 1, 0}, each[] = {0, 1, 1, 1, 1, 0};
    const float x[2 * 3 * 2] = {1, 2, 3, 4, 5, 6, -1, 2, -3, 1, 0, 4};
    const float w[2 * 6] = {1, 0, 0.5f, 1, 2, 1, 0, 1, 1, -1, 0.25f, 1};
    OpHarness h[2];
    for (int i = 0; i < 2; i++) {
        op_begin(&h[i], "com.microsoft", "Attention", 1, 1);
        assert_true(oct_node_set_int(h[i].graph, h[i].node, "num_heads", 1));
        op_input(&h[i], OCTET_F32, SHAPE(2, 3, 2), x);
        op_input(&h[i], OCTET_F32, SHAPE(2, 6), w);
        op_absent(&h[i]);
        op_input(&h[i], OCTET_S32, i ? SHAPE(2, 3) : SHAPE(4), i ? each : ends);
        op_run_ok(&h[i]);
    }
    assert_memory_equal(h[0].outputs[0].data, h[1].outputs[0].data, sizeof x);
    op_end(&h[0]);
    op_end(&h[1]);
}

static int start_pool(void **state) {
    OctetThreadPool *pool = NULL;
    int failed = octet_thread_pool_create(2, &pool, NULL) != OCTET_OK;
    *state = pool;
    return failed;
}

static int stop_pool(void **state) {
    octet_thread_pool_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens), cmocka_unit_test(test_past),
                                       cmocka_unit_test(test_ends_and_starts),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
