/* Gemm and MatMul in float against their definition in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"
#include "op_random.h"

/* ---- Gemm ---- */

typedef struct GemmCase {
    int64_t m, k, n;
    bool trans_a, trans_b, constant_b, constant_c, relu;
    float alpha, beta;
    OctetShape c; /* rank -1: none */
} GemmCase;

static float at_c(const GemmCase *g, const float *c, int64_t i, int64_t j) {
    int32_t rank = g->c.rank;
    int64_t rows = rank == 2 ? g->c.dims[0] : 1, columns = rank > 0 ? g->c.dims[rank - 1] : 1;
    return c[(rows == 1 ? 0 : i * columns) + (columns == 1 ? 0 : j)];
}

static void check_gemm(const GemmCase *g, OctetThreadPool *pool) {
    int64_t c_count = 1;
    (void)(g->c.rank >= 0 && octet_shape_count(&g->c, &c_count));
    float *a = op_random_floats((size_t)(g->m * g->k)),
          *b = op_random_floats((size_t)(g->k * g->n));
    float *c = op_random_floats((size_t)c_count);
    float *expected = calloc((size_t)(g->m * g->n) + 1, sizeof *expected);
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < g->k; p++) {
                sum += (double)a[g->trans_a ? p * g->m + i : i * g->k + p] *
                       (double)b[g->trans_b ? j * g->k + p : p * g->n + j];
            }
            sum *= (double)g->alpha;
            sum += g->c.rank >= 0 ? (double)g->beta * (double)at_c(g, c, i, j) : 0.0;
            expected[i * g->n + j] = (float)(g->relu ? fmax(sum, 0.0) : sum);
        }
    }
    OpHarness h;
    op_begin(&h, "", "Gemm", 13, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "transA", g->trans_a));
    assert_true(oct_node_set_int(h.graph, h.node, "transB", g->trans_b));
    assert_true(oct_node_set_float(h.graph, h.node, "alpha", g->alpha));
    assert_true(oct_node_set_float(h.graph, h.node, "beta", g->beta));
    if (g->relu) {
        h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, INFINITY};
    }
    op_input(&h, OCTET_F32, g->trans_a ? SHAPE(g->k, g->m) : SHAPE(g->m, g->k), a);
    (g->constant_b ? op_constant : op_input)(&h, OCTET_F32,
                                             g->trans_b ? SHAPE(g->n, g->k) : SHAPE(g->k, g->n), b);
    if (g->c.rank >= 0) {
        (g->constant_c ? op_constant : op_input)(&h, OCTET_F32, &g->c, c);
    }
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(g->m, g->n), expected, 2e-5f);
    op_end(&h);
    free(a);
    free(b);
    free(c);
    free(expected);
}

static void test_gemm_random(void **state) {
    static const float factors[] = {1.0f, 1.0f, 0.5f, -2.0f, 0.0f};
    for (int i = 0; i < 400; i++) {
        GemmCase g = {.m = op_random_int(1, 20),
                      .k = op_random_int(0, 9) ? op_random_int(1, 60) : 0,
                      .n = op_random_int(1, 70),
                      .trans_a = op_random_int(0, 1),
                      .trans_b = op_random_int(0, 1),
                      .constant_b = op_random_int(0, 1),
                      .constant_c = op_random_int(0, 1),
                      .relu = op_random_int(0, 3) == 0,
                      .alpha = factors[op_random_int(0, 4)],
                      .beta = factors[op_random_int(0, 4)]};
        const OctetShape shapes[] = {{.rank = -1},
                                     {.rank = 0},
                                     {.rank = 1, .dims = {1}},
                                     {.rank = 1, .dims = {g.n}},
                                     {.rank = 2, .dims = {1, g.n}},
                                     {.rank = 2, .dims = {g.m, 1}},
                                     {.rank = 2, .dims = {g.m, g.n}}};
        g.c = shapes[op_random_int(0, 6)];
        check_gemm(&g, *state);
    }
}

/* ---- MatMul ---- */

/* Element index of a broadcast operand for matrix `index` of the batch. */
static int64_t matrix_of(const OctetShape *shape, const int64_t *batch, int32_t rank,
                         int64_t index) {
    int64_t matrix = 0, stride = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        int64_t at = index % batch[i];
        index /= batch[i];
        int32_t own = i - (rank - (shape->rank - 2));
        if (own >= 0) {
            matrix += (shape->dims[own] == 1 ? 0 : at) * stride;
            stride *= shape->dims[own];
        }
    }
    return matrix;
}

static void check_matmul(OctetShape as, OctetShape bs, bool constant, bool fused, bool trans_a,
                         bool trans_b, OctetThreadPool *pool) {
    int64_t batch[OCTET_MAX_RANK], count = 1, a_count, b_count;
    int32_t rank = (as.rank > bs.rank ? as.rank : bs.rank) - 2;
    int64_t m = as.dims[as.rank - (trans_a ? 1 : 2)], k = as.dims[as.rank - (trans_a ? 2 : 1)];
    int64_t n = bs.dims[bs.rank - (trans_b ? 2 : 1)];
    OctetShape ys = {.rank = rank + 2};
    for (int32_t i = 0; i < rank; i++) {
        int32_t ia = i - (rank - (as.rank - 2)), ib = i - (rank - (bs.rank - 2));
        int64_t da = ia < 0 ? 1 : as.dims[ia], db = ib < 0 ? 1 : bs.dims[ib];
        ys.dims[i] = batch[i] = da == 1 ? db : da;
        count *= batch[i];
    }
    ys.dims[rank] = m;
    ys.dims[rank + 1] = n;
    assert_true(octet_shape_count(&as, &a_count) && octet_shape_count(&bs, &b_count));
    float *a = op_random_floats((size_t)a_count), *b = op_random_floats((size_t)b_count);
    float *expected = calloc((size_t)(count * m * n) + 1, sizeof *expected);
    for (int64_t t = 0; t < count; t++) {
        const float *at = a + matrix_of(&as, batch, rank, t) * m * k;
        const float *bt = b + matrix_of(&bs, batch, rank, t) * k * n;
        for (int64_t i = 0; i < m * n; i++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) {
                sum += (double)at[trans_a ? p * m + i / n : i / n * k + p] *
                       (double)bt[trans_b ? i % n * k + p : p * n + i % n];
            }
            expected[t * m * n + i] = (float)(fused ? 0.25 * sum : sum);
        }
    }
    OpHarness h;
    op_begin(&h, fused ? "com.microsoft" : "", fused ? "FusedMatMul" : "MatMul", fused ? 1 : 13, 1);
    h.pool = pool;
    if (fused) {
        assert_true(oct_node_set_int(h.graph, h.node, "transA", trans_a));
        assert_true(oct_node_set_int(h.graph, h.node, "transB", trans_b));
        assert_true(oct_node_set_float(h.graph, h.node, "alpha", 0.25f));
    }
    op_input(&h, OCTET_F32, &as, a);
    (constant ? op_constant : op_input)(&h, OCTET_F32, &bs, b);
    op_run_ok(&h);
    op_expect_f32(&h, 0, &ys, expected, 2e-5f);
    op_end(&h);
    free(a);
    free(b);
    free(expected);
}

static void test_matmul_random(void **state) {
    for (int i = 0; i < 300; i++) {
        bool fused = op_random_int(0, 2) == 0;
        bool ta = fused && op_random_int(0, 1), tb = fused && op_random_int(0, 1);
        int64_t m = op_random_int(1, 9), k = op_random_int(1, 20), n = op_random_int(1, 40);
        int32_t ra = op_random_int(0, 3), rb = op_random_int(0, 3);
        OctetShape as = {.rank = ra + 2}, bs = {.rank = rb + 2};
        for (int32_t d = 0; d < 3; d++) { /* the d-th batch dimension from the right */
            int64_t size = op_random_int(1, 3), which = op_random_int(0, 3);
            if (d < ra) {
                as.dims[ra - 1 - d] = which == 0 ? 1 : size;
            }
            if (d < rb) {
                bs.dims[rb - 1 - d] = which == 1 ? 1 : size;
            }
        }
        as.dims[ra] = ta ? k : m;
        as.dims[ra + 1] = ta ? m : k;
        bs.dims[rb] = tb ? n : k;
        bs.dims[rb + 1] = tb ? k : n;
        check_matmul(as, bs, op_random_int(0, 1), fused, ta, tb, *state);
    }
}

static void test_matmul_vectors(void **state) {
    (void)state;
    float v[2] = {1, 2}, w[4] = {1, 2, 3, 4};
    OpHarness h;
    op_begin(&h, "", "MatMul", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), v);
    op_input(&h, OCTET_F32, SHAPE(2, 2), w);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2), (float[]){7, 10}, 0.0f);
    op_end(&h);
    op_begin(&h, "", "MatMul", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), w);
    op_input(&h, OCTET_F32, SHAPE(2), v);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2), (float[]){5, 11}, 0.0f);
    op_end(&h);
    op_begin(&h, "", "MatMul", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), v);
    op_input(&h, OCTET_F32, SHAPE(2), v);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SCALAR, (float[]){5}, 0.0f);
    op_end(&h);
}

/* Integers, which wrap. */
static void test_integers(void **state) {
    int64_t a[6] = {1, -2, 3, 4, 5, INT64_MAX}, b[6] = {1, 2, 3, 4, 5, 2}, c[2] = {100, 200};
    int32_t a32[2] = {-3, 4}, b32[2] = {5, 6};
    OpHarness h;
    op_begin(&h, "", "MatMul", 13, 1);
    h.pool = *state;
    op_input(&h, OCTET_S64, SHAPE(2, 3), a);
    op_input(&h, OCTET_S64, SHAPE(3, 2), b);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(2, 2), (int64_t[]){10, 0, INT64_MIN + 14, 26});
    op_end(&h);
    op_begin(&h, "", "Gemm", 13, 1);
    assert_true(oct_node_set_int(h.graph, h.node, "transA", 1));
    assert_true(oct_node_set_int(h.graph, h.node, "transB", 1));
    op_input(&h, OCTET_S64, SHAPE(3, 1), a);
    op_input(&h, OCTET_S64, SHAPE(2, 3), b);
    op_input(&h, OCTET_S64, SHAPE(2), c);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(1, 2), (int64_t[]){106, 200});
    op_end(&h);
    op_begin(&h, "", "MatMul", 13, 1);
    op_input(&h, OCTET_S32, SHAPE(2), a32);
    op_input(&h, OCTET_S32, SHAPE(2), b32);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S32, SCALAR, (int32_t[]){9});
    op_end(&h);
}

static void expect_shape_error(const OctetShape *a, const OctetShape *b) {
    static const float data[64];
    OpHarness h;
    op_begin(&h, "", "MatMul", 13, 1);
    op_input(&h, OCTET_F32, a, data);
    op_input(&h, OCTET_F32, b, data);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void test_shape_errors(void **state) {
    (void)state;
    expect_shape_error(SHAPE(2, 3), SHAPE(2, 3));
    expect_shape_error(SHAPE(2, 2, 3), SHAPE(3, 3, 2));
    expect_shape_error(SCALAR, SHAPE(2, 3));
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm_random), cmocka_unit_test(test_matmul_random),
        cmocka_unit_test(test_matmul_vectors), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_shape_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
