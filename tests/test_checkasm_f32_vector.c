/* Elementwise, broadcasting and row reductions in f32: every level against plain loops
 * that follow the definitions in the headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/f32_gemm.h"
#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"

static float *floats_of(const CheckBuffer *buffer) {
    return (float *)(void *)buffer->data;
}

static float *make_floats(CheckRandom *random, size_t count) {
    float *data = malloc(count * sizeof(float) + 1);
    check_floats(random, (int)check_range(random, 0, CHECK_FLOATS - 1), data, count);
    return data;
}

static float binary(OctF32Binary op, float a, float b) {
    switch (op) {
    case OCT_F32_ADD:
        return a + b;
    case OCT_F32_SUB:
        return a - b;
    case OCT_F32_MUL:
        return a * b;
    case OCT_F32_DIV:
        return a / b;
    case OCT_F32_MIN:
        return b < a || isnan(b) ? b : a;
    default:
        return b > a || isnan(b) ? b : a;
    }
}

static void test_binary_forms(void **state) {
    (void)state;
    CheckRandom random = check_random(21);
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    for (size_t count = 0; count <= 67; count++) {
        float *a = make_floats(&random, count + 1);
        float *b = make_floats(&random, count + 1);
        float *expected = malloc(count * sizeof(float) + 1);
        for (size_t i = 0; i < level_count * OCT_F32_BINARY_COUNT * 3; i++) {
            const OctF32VectorBundle *bundle = oct_f32_vector_select(levels[i % level_count]);
            OctF32Binary op = (OctF32Binary)(i / level_count % OCT_F32_BINARY_COUNT);
            size_t form = i / level_count / OCT_F32_BINARY_COUNT;
            for (size_t k = 0; k < count; k++) {
                expected[k] = binary(op, a[form == 2 ? 0 : k], b[form == 1 ? 0 : k]);
            }
            CheckBuffer output = check_buffer(count * sizeof(float), (int)(count & 1));
            (form == 0   ? bundle->vector_vector
             : form == 1 ? bundle->vector_scalar
                         : bundle->scalar_vector)[op](a, b, floats_of(&output), count);
            check_same_floats(floats_of(&output), expected, count, bundle->name);
            check_buffer_free(&output);
        }
        free(a);
        free(b);
        free(expected);
    }
}

enum { UNARY_KINDS = 13 };

static float unary(size_t kind, float x, float scale, float shift) {
    float gate = oct_f32_clamp(fmaf(x, 0.2f, 0.5f), 0.0f, 1.0f);
    const float results[UNARY_KINDS] = {-x,
                                        fabsf(x),
                                        sqrtf(x),
                                        1.0f / x,
                                        floorf(x),
                                        ceilf(x),
                                        rintf(x),
                                        0.0f > x ? 0.0f : x,
                                        oct_f32_clamp(x, -1.5f, 2.5f),
                                        x < 0.0f ? x * 0.01f : x,
                                        gate,
                                        x * gate,
                                        fmaf(x, scale, shift)};
    return results[kind];
}

static void run_unary(const OctF32VectorBundle *bundle, size_t kind, const float *x,
                      const float *scale, const float *shift, float *y, size_t count) {
    const OctF32UnaryKernel simple[] = {bundle->negate,     bundle->absolute, bundle->square_root,
                                        bundle->reciprocal, bundle->floor,    bundle->ceil,
                                        bundle->round_even, bundle->relu};
    if (kind < 8) {
        simple[kind](x, y, count);
    } else if (kind == 8) {
        bundle->clamp(x, y, count, -1.5f, 2.5f);
    } else if (kind == 9) {
        bundle->leaky_relu(x, y, count, 0.01f);
    } else if (kind == 10) {
        bundle->hard_sigmoid(x, y, count, 0.2f, 0.5f);
    } else if (kind == 11) {
        bundle->hard_swish(x, y, count, 0.2f, 0.5f);
    } else {
        bundle->scale_shift(x, scale, shift, y, count);
    }
}

static void test_unary(void **state) {
    (void)state;
    CheckRandom random = check_random(22);
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    for (size_t count = 0; count <= 67; count++) {
        float *x = make_floats(&random, count);
        float *scale = make_floats(&random, count);
        float *shift = make_floats(&random, count);
        float *expected = malloc(count * sizeof(float) + 1);
        for (size_t i = 0; i < level_count * UNARY_KINDS; i++) {
            const OctF32VectorBundle *bundle = oct_f32_vector_select(levels[i % level_count]);
            size_t kind = i / level_count;
            for (size_t k = 0; k < count; k++) {
                expected[k] = unary(kind, x[k], scale[k], shift[k]);
            }
            CheckBuffer data = check_buffer(count * sizeof(float), (int)(count & 1));
            memcpy(data.data, x, count * sizeof(float)); /* in place */
            run_unary(bundle, kind, floats_of(&data), scale, shift, floats_of(&data), count);
            check_same_floats(floats_of(&data), expected, count, bundle->name);
            check_buffer_free(&data);
        }
        free(x);
        free(scale);
        free(shift);
        free(expected);
    }
}

static void test_map_in_pieces(void **state) {
    (void)state;
    enum { COUNT = 50001 };
    CheckRandom random = check_random(23);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(3, &pool, NULL), OCTET_OK);
    float *x = make_floats(&random, COUNT);
    float *y = malloc(COUNT * sizeof(float));
    oct_f32_map(oct_f32_vector_select(octet_get_cpu())->absolute, x, y, COUNT, pool);
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = fabsf(x[i]);
    }
    check_same_floats(y, x, COUNT, "map");
    octet_thread_pool_free(pool);
    free(x);
    free(y);
}

static size_t volume(int32_t rank, const int64_t *dims) {
    size_t count = 1;
    for (int32_t i = 0; i < rank; i++) {
        count *= (size_t)dims[i];
    }
    return count;
}

/* The element of an operand that an output index, given from the right, reads. */
static size_t operand_index(size_t index, int32_t output_rank, const int64_t *output_dims,
                            int32_t rank, const int64_t *dims) {
    size_t at = 0;
    size_t step = 1;
    for (int32_t i = 0; i < output_rank; i++) {
        size_t coordinate = index % (size_t)output_dims[output_rank - 1 - i];
        index /= (size_t)output_dims[output_rank - 1 - i];
        if (i < rank) {
            at += dims[rank - 1 - i] == 1 ? 0 : coordinate * step;
            step *= (size_t)dims[rank - 1 - i];
        }
    }
    return at;
}

static void check_broadcast(CheckRandom *random, const OctF32VectorBundle *bundle, int32_t a_rank,
                            const int64_t *a_dims, int32_t b_rank, const int64_t *b_dims,
                            OctetThreadPool *pool) {
    int32_t rank = a_rank > b_rank ? a_rank : b_rank;
    int64_t dims[8] = {0};
    for (int32_t i = 0; i < rank; i++) {
        int64_t x = i < a_rank ? a_dims[a_rank - 1 - i] : 1;
        int64_t y = i < b_rank ? b_dims[b_rank - 1 - i] : 1;
        dims[rank - 1 - i] = x == 1 ? y : x;
    }
    size_t count = volume(rank, dims);
    float *a = make_floats(random, volume(a_rank, a_dims));
    float *b = make_floats(random, volume(b_rank, b_dims));
    float *expected = malloc(count * sizeof(float) + 1);
    CheckBuffer output = check_buffer(count * sizeof(float), CHECK_GUARD_END);
    OctF32Binary op = (OctF32Binary)check_range(random, 0, OCT_F32_BINARY_COUNT - 1);
    for (size_t i = 0; i < count; i++) {
        expected[i] = binary(op, a[operand_index(i, rank, dims, a_rank, a_dims)],
                             b[operand_index(i, rank, dims, b_rank, b_dims)]);
    }
    oct_f32_broadcast(bundle, op, a_rank, a_dims, a, b_rank, b_dims, b, rank, dims,
                      floats_of(&output), pool);
    check_same_floats(floats_of(&output), expected, count, "broadcast");
    check_buffer_free(&output);
    free(a);
    free(b);
    free(expected);
}

static void test_broadcast(void **state) {
    (void)state;
    CheckRandom random = check_random(24);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    for (size_t round = 0; round < 400; round++) {
        int64_t a[8], b[8];
        int32_t a_rank = (int32_t)check_range(&random, 0, 8);
        int32_t b_rank = (int32_t)check_range(&random, 0, 8);
        for (int32_t i = 0; i < 8; i++) { /* from the right */
            int64_t size = check_range(&random, round % 16 == 0 ? 0 : 1, i < 2 ? 20 : 3);
            if (i < a_rank) {
                a[a_rank - 1 - i] = check_next(&random) & 3 ? size : 1;
            }
            if (i < b_rank) {
                b[b_rank - 1 - i] = check_next(&random) & 3 ? size : 1;
            }
        }
        check_broadcast(&random, oct_f32_vector_select(levels[round % level_count]), a_rank, a,
                        b_rank, b, round & 1 ? pool : NULL);
    }
    const int64_t large[] = {3, 40000}, row[] = {40000}, column[] = {3, 1};
    const OctF32VectorBundle *bundle = oct_f32_vector_select(octet_get_cpu());
    check_broadcast(&random, bundle, 2, large, 2, large, pool);
    check_broadcast(&random, bundle, 2, large, 1, row, pool);
    check_broadcast(&random, bundle, 2, column, 2, large, pool);
    octet_thread_pool_free(pool);
}

/* f32_rows.h's order: 16 lanes, then a tree. */
static float lanes_sum(const float *x, size_t count, int power, float mean) {
    float lanes[16] = {0};
    for (size_t i = 0; i < count; i++) {
        float d = x[i] - mean;
        lanes[i % 16] = power == 1 ? lanes[i % 16] + x[i] : fmaf(d, d, lanes[i % 16]);
    }
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            lanes[i] += lanes[i + half];
        }
    }
    return lanes[0];
}

static void check_rows(CheckRandom *random, size_t count) {
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    int kind = (int)check_range(random, 0, CHECK_FLOATS - 1);
    CheckBuffer input = check_buffer(count * sizeof(float), (int)(count & 1));
    float *x = floats_of(&input);
    check_floats(random, kind, x, count);
    float *scale = make_floats(random, count);
    float *expected = malloc((count + 1) * sizeof(float));
    float *got = malloc((count + 1) * sizeof(float));
    for (size_t i = 0; i < level_count; i++) {
        const OctF32RowsBundle *rows = oct_f32_rows_select(levels[i]);
        const OctF32RowsBundle *portable = oct_f32_rows_select(OCTET_CPU_PORTABLE);
        float largest = -INFINITY, least = INFINITY;
        for (size_t k = 0; k < count; k++) {
            largest = isnan(x[k]) || x[k] > largest ? x[k] : largest;
            least = isnan(x[k]) || x[k] < least ? x[k] : least;
        }
        float results[4] = {rows->sum(x, count), rows->sum_of_squares(x, count),
                            rows->maximum(x, count), rows->minimum(x, count)};
        float right[4] = {lanes_sum(x, count, 1, 0), lanes_sum(x, count, 2, 0), largest, least};
        check_same_floats(results, right, 2, rows->name);
        /* zeros of either sign are the same extreme; the bits must agree among the levels */
        assert_true(results[2] == largest || (isnan(results[2]) && isnan(largest)));
        assert_true(results[3] == least || (isnan(results[3]) && isnan(least)));
        right[2] = portable->maximum(x, count);
        right[3] = portable->minimum(x, count);
        check_same_floats(results, right, 4, rows->name);

        portable->softmax(x, expected, count);
        rows->softmax(x, got, count);
        check_same_floats(got, expected, count, rows->name);
        portable->log_softmax(x, expected, count);
        rows->log_softmax(x, got, count);
        check_same_floats(got, expected, count, rows->name);

        float mean = lanes_sum(x, count, 1, 0) / (float)count;
        float inverse = 1.0f / sqrtf(lanes_sum(x, count, 2, mean) / (float)count + 1e-5f);
        for (size_t k = 0; k < count; k++) {
            expected[k] = fmaf((x[k] - mean) * inverse, scale[k], scale[count - 1 - k]);
        }
        float *shift = malloc((count + 1) * sizeof(float));
        for (size_t k = 0; k < count; k++) {
            shift[k] = scale[count - 1 - k];
        }
        float statistics[2];
        rows->layer_norm(x, scale, shift, 1e-5f, got, count, &statistics[0], &statistics[1]);
        check_same_floats(got, expected, count, rows->name);
        check_same_floats(statistics, (float[]){mean, inverse}, 2, rows->name);
        for (size_t k = 0; k < count; k++) {
            expected[k] = shift[k] + x[k];
        }
        rows->accumulate(x, shift, count);
        check_same_floats(shift, expected, count, rows->name);
        free(shift);
    }
    check_buffer_free(&input);
    free(scale);
    free(expected);
    free(got);
}

static void test_rows(void **state) {
    (void)state;
    CheckRandom random = check_random(25);
    for (size_t count = 1; count < 70; count++) {
        check_rows(&random, count);
    }
    check_rows(&random, 1000);
    check_rows(&random, 769);
}

static void test_softmax_values(void **state) {
    (void)state;
    enum { ROWS = 300, COUNT = 37 };
    CheckRandom random = check_random(26);
    float *x = malloc(ROWS * COUNT * sizeof(float));
    float *y = malloc(ROWS * COUNT * sizeof(float));
    check_floats(&random, CHECK_FLOATS_NORMAL, x, ROWS * COUNT);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    for (int logarithm = 0; logarithm < 2; logarithm++) {
        oct_f32_softmax_run(oct_f32_rows_select(octet_get_cpu()), logarithm, x, y, ROWS, COUNT,
                            pool);
        for (size_t row = 0; row < ROWS; row++) {
            double sum = 0.0;
            for (size_t i = 0; i < COUNT; i++) {
                sum += exp((double)x[row * COUNT + i]);
            }
            for (size_t i = 0; i < COUNT; i++) {
                double exact = exp((double)x[row * COUNT + i]) / sum;
                exact = logarithm ? log(exact) : exact;
                assert_true(fabs((double)y[row * COUNT + i] - exact) <= 1e-6 * (1 + fabs(exact)));
            }
        }
    }
    octet_thread_pool_free(pool);
    free(x);
    free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_forms),  cmocka_unit_test(test_unary),
        cmocka_unit_test(test_map_in_pieces), cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_softmax_values),

    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
