/* Add and Mul on u8 where one operand is a short row that repeats, against their definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/q8_vector.h"
#include "op_harness.h"
#include "op_random.h"

static void check(bool multiply, bool row_first, int64_t batch, int64_t rows, int64_t row,
                  OctetThreadPool *pool) {
    size_t many = (size_t)(batch * rows * row), few = (size_t)(batch * row);
    uint8_t *x = op_random_bytes(many), *gate = op_random_bytes(few), *y = malloc(many + 1);
    OctQ8Mul mul = row_first ? oct_q8_mul_params(0.02f, 7, 0.1f, 100, 0.03f, 50)
                             : oct_q8_mul_params(0.1f, 100, 0.02f, 7, 0.03f, 50);
    OctQ8Add add = row_first ? oct_q8_add_params(0.02f, 7, 0.1f, 100, 0.03f, 50)
                             : oct_q8_add_params(0.1f, 100, 0.02f, 7, 0.03f, 50);
    for (size_t i = 0; i < many; i++) {
        size_t at = i / (size_t)(rows * row) * (size_t)row + i % (size_t)row;
        uint8_t a = row_first ? gate[at] : x[i], b = row_first ? x[i] : gate[at];
        y[i] = multiply ? oct_q8_mul_one(&mul, a, b) : oct_q8_add_one(&add, a, b);
    }
    const OctetShape *full = SHAPE(batch, rows, row), *short_row = SHAPE(batch, 1, row);
    OpHarness h;
    op_begin(&h, "", multiply ? "Mul" : "Add", 14, 1);
    h.pool = pool;
    if (row_first) {
        op_input_q(&h, OCTET_U8, short_row, gate, 0.02f, 7);
    }
    op_input_q(&h, OCTET_U8, full, x, 0.1f, 100);
    if (!row_first) {
        op_input_q(&h, OCTET_U8, short_row, gate, 0.02f, 7);
    }
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.03f, 50);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, full, y);
    op_end(&h);
    free(x);
    free(gate);
    free(y);
}

static void test_rows(void **state) {
    static const int64_t lengths[] = {2, 3, 16, 33, 128, 1000, 1024, 1025};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int form = 0; form < 4; form++) {
            check(form & 1, form >> 1, 1, 2, lengths[i], *state);
            check(form & 1, form >> 1, 3, 117, lengths[i], *state);
            check(form & 1, form >> 1, 2, 40000 / lengths[i], lengths[i], *state);
        }
    }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
