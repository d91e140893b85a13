/* Pooling in f32: every level against plain loops that follow the definitions in the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/f32_pool.h"

static float *floats_of(const CheckBuffer *buffer) {
    return (float *)(void *)buffer->data;
}

static float *make_floats(CheckRandom *random, size_t count) {
    float *data = malloc(count * sizeof(float) + 1);
    check_floats(random, (int)check_range(random, 0, CHECK_FLOATS - 1), data, count);
    return data;
}

/* One output channel, straight from the definition. */
static float pool_reference(const OctF32Pool *p, const float *input, size_t image, const size_t *at,
                            size_t channel) {
    float best = p->kind == OCT_F32_POOL_MAX ? -INFINITY : 0.0f;
    size_t inside_count = 0, padded_count = 0;
    for (size_t tap = 0; tap < p->kernel[0] * p->kernel[1] * p->kernel[2]; tap++) {
        size_t k[3] = {tap / p->kernel[2] / p->kernel[1], tap / p->kernel[2] % p->kernel[1],
                       tap % p->kernel[2]};
        bool inside = true, padded = true;
        size_t pixel = image;
        for (int axis = 0; axis < 3; axis++) {
            int64_t i = (int64_t)(at[axis] * p->stride[axis] + k[axis] * p->dilation[axis]) -
                        p->pad_begin[axis];
            inside &= i >= 0 && i < (int64_t)p->input[axis];
            padded &= i < (int64_t)p->input[axis] + p->pad_end[axis];
            pixel = pixel * p->input[axis] + (size_t)i;
        }
        padded_count += padded;
        if (inside) {
            float x = input[pixel * p->channels + channel];
            inside_count++;
            best = p->kind != OCT_F32_POOL_MAX ? best + x : isnan(x) || x > best ? x : best;
        }
    }
    if (p->kind == OCT_F32_POOL_MAX) {
        return best;
    }
    size_t count = p->kind == OCT_F32_POOL_AVERAGE ? inside_count : padded_count;
    return best / (float)(count ? count : 1);
}

static void check_pool(CheckRandom *random, const OctF32Pool *p, OctetThreadPool *threads) {
    size_t inputs = p->batch * p->input[0] * p->input[1] * p->input[2] * p->channels;
    size_t pixels = p->batch * p->output[0] * p->output[1] * p->output[2];
    CheckBuffer input = check_buffer(inputs * sizeof(float), CHECK_GUARD_END);
    check_floats(random, (int)check_range(random, 0, CHECK_FLOATS - 1), floats_of(&input), inputs);
    float *expected = malloc(pixels * p->channels * sizeof(float));
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        size_t at[3] = {pixel / p->output[2] / p->output[1] % p->output[0],
                        pixel / p->output[2] % p->output[1], pixel % p->output[2]};
        size_t image = pixel / p->output[2] / p->output[1] / p->output[0];
        for (size_t c = 0; c < p->channels; c++) {
            expected[pixel * p->channels + c] = pool_reference(p, floats_of(&input), image, at, c);
        }
    }
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    for (size_t i = 0; i < level_count; i++) {
        CheckBuffer output = check_buffer(pixels * p->channels * sizeof(float), CHECK_GUARD_END);
        oct_f32_pool_run(p, levels[i], floats_of(&input), floats_of(&output), threads);
        check_same_floats(floats_of(&output), expected, pixels * p->channels,
                          octet_cpu_name(levels[i]));
        check_buffer_free(&output);
    }
    check_buffer_free(&input);
    free(expected);
}

static void test_pool(void **state) {
    (void)state;
    CheckRandom random = check_random(27);
    OctetThreadPool *threads = NULL;
    assert_int_equal(octet_thread_pool_create(2, &threads, NULL), OCTET_OK);
    for (int round = 0; round < 200; round++) {
        OctF32Pool p = {.kind = (OctF32PoolKind)(round % 3)};
        p.batch = (size_t)check_range(&random, 1, 2);
        p.channels = (size_t)check_range(&random, 1, 50);
        for (int axis = 0; axis < 3; axis++) {
            bool used = axis > 0 || round % 5 == 0;
            p.input[axis] = used ? (size_t)check_range(&random, 1, 9) : 1;
            p.kernel[axis] = used ? (size_t)check_range(&random, 1, 4) : 1;
            p.stride[axis] = used ? (size_t)check_range(&random, 1, 3) : 1;
            p.dilation[axis] = used ? (size_t)check_range(&random, 1, 2) : 1;
            p.pad_begin[axis] = used ? check_range(&random, 0, 3) : 0;
            p.pad_end[axis] = used ? check_range(&random, 0, 3) : 0;
            p.output[axis] = used ? (size_t)check_range(&random, 1, 6) : 1;
        }
        check_pool(&random, &p, round & 1 ? threads : NULL);
    }
    octet_thread_pool_free(threads);
}

static void test_global_average(void **state) {
    (void)state;
    CheckRandom random = check_random(28);
    OctetCpu levels[6];
    size_t level_count = check_levels(levels);
    for (size_t channels = 1; channels <= 150; channels += 7) {
        size_t pixels = (size_t)check_range(&random, 1, 200);
        float *x = make_floats(&random, 2 * pixels * channels);
        float *expected = calloc(2 * channels, sizeof(float));
        float *got = calloc(2 * channels, sizeof(float));
        for (size_t i = 0; i < 2 * channels; i++) {
            const float *column = x + i / channels * pixels * channels + i % channels;
            for (size_t first = 0; first < pixels; first += 64) {
                float sum = 0.0f;
                for (size_t p = first; p < pixels && p < first + 64; p++) {
                    sum += column[p * channels];
                }
                expected[i] += sum;
            }
            expected[i] /= (float)pixels;
        }
        for (size_t i = 0; i < level_count; i++) {
            oct_f32_global_average(2, pixels, channels, levels[i], x, got, NULL);
            check_same_floats(got, expected, 2 * channels, octet_cpu_name(levels[i]));
        }
        free(x);
        free(expected);
        free(got);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_global_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
