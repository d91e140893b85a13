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
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED); /* asks for a present */
    op_end(&h);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
