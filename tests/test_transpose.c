/* Transposition against the definition, for all element sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/transpose.h"

static void check_transpose(CheckRandom *random, size_t element_size, int32_t rank,
                            const int64_t *dims, const int32_t *permutation,
                            OctetThreadPool *pool) {
    size_t count = 1;
    for (int32_t i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    CheckBuffer input = check_buffer(count * element_size, CHECK_GUARD_END);
    CheckBuffer output = check_buffer(count * element_size, CHECK_GUARD_START);
    uint8_t *expected = malloc(count * element_size + 1);
    check_bytes(random, CHECK_BYTES_RANDOM, input.data, count * element_size);
    for (size_t i = 0; i < count; i++) {
        int64_t at[8] = {0};
        size_t rest = i;
        for (int32_t axis = rank - 1; axis >= 0; axis--) {
            int64_t size = dims[permutation[axis]];
            at[permutation[axis]] = (int64_t)(rest % (size_t)size);
            rest /= (size_t)size;
        }
        size_t from = 0;
        for (int32_t axis = 0; axis < rank; axis++) {
            from = from * (size_t)dims[axis] + (size_t)at[axis];
        }
        memcpy(expected + i * element_size, input.data + from * element_size, element_size);
    }
    oct_transpose(element_size, rank, dims, permutation, input.data, output.data, pool);
    check_same_bytes(output.data, expected, count * element_size, "transpose");
    check_buffer_free(&input);
    check_buffer_free(&output);
    free(expected);
}

static void test_random(void **state) {
    (void)state;
    CheckRandom random = check_random(31);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    for (int round = 0; round < 400; round++) {
        int32_t rank = (int32_t)check_range(&random, 0, 8);
        int64_t dims[8];
        int32_t permutation[8];
        for (int32_t i = 0; i < rank; i++) {
            dims[i] = check_range(&random, round % 50 == 0 ? 0 : 1, rank > 4 ? 4 : 25);
            permutation[i] = i;
        }
        for (int32_t i = rank - 1; i > 0; i--) {
            int32_t k = (int32_t)check_range(&random, 0, i);
            int32_t swapped = permutation[i];
            permutation[i] = permutation[k];
            permutation[k] = swapped;
        }
        check_transpose(&random, (size_t)1 << round % 4, rank, dims, permutation,
                        round & 1 ? pool : NULL);
    }
    octet_thread_pool_free(pool);
}

static void test_layouts(void **state) {
    (void)state;
    CheckRandom random = check_random(32);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    const int32_t to_nhwc[] = {0, 2, 3, 1}, to_nchw[] = {0, 3, 1, 2};
    const int64_t sizes[][4] = {{1, 3, 61, 47},   {2, 64, 7, 7},  {3, 17, 33, 1},
                                {1, 129, 30, 31}, {3, 2, 31, 17}, {3, 31, 17, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t element_size = 1; element_size <= 8; element_size *= 2) {
            check_transpose(&random, element_size, 4, sizes[i], to_nhwc, pool);
            check_transpose(&random, element_size, 4, sizes[i], to_nchw, NULL);
        }
    }
    octet_thread_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
