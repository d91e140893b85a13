/* The int8 convolution driver against plain loops: paths, groups, padding, zero points, strides,
 * batches, threads, failures; and the matrix product of two activations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "checkasm.h"
#include "kernels/q8_conv_run.h"

typedef struct Shape {
    size_t in_channels, out_channels, groups, kernel_h, kernel_w, stride, dilation, pad_before,
        pad_after, batch, in_h, in_w, in_gap, out_gap;
    bool weight_zero_points, add;
} Shape;

/* ONNX's order from the one of OctQ8ConvParams. */
static void to_oihw(const Shape *s, const int8_t *weights, int8_t *oihw) {
    size_t in = s->in_channels / s->groups, taps = s->kernel_h * s->kernel_w;
    for (size_t i = 0; i < s->out_channels * taps * in; i++) {
        size_t channel = i / (taps * in), tap = i / in % taps;
        oihw[(channel * in + i % in) * taps + tap] = weights[i];
    }
}

static int32_t reference_acc(const OctQ8ConvParams *p, const Shape *s, const uint8_t *input,
                             size_t image, size_t y, size_t x, size_t channel) {
    size_t in = s->in_channels / s->groups, group = channel / (s->out_channels / s->groups);
    size_t stride = s->in_channels + s->in_gap;
    int32_t acc = p->bias ? p->bias[channel] : 0;
    int32_t zero = p->weight_zero_points
                       ? p->weight_zero_points[p->weight_zero_point_count == 1 ? 0 : channel]
                       : 0;
    for (size_t r = 0; r < s->kernel_h; r++) {
        for (size_t t = 0; t < s->kernel_w; t++) {
            int64_t in_y = (int64_t)(y * s->stride + r * s->dilation) - (int64_t)s->pad_before;
            int64_t in_x = (int64_t)(x * s->stride + t * s->dilation) - (int64_t)s->pad_before;
            if (in_y < 0 || in_y >= (int64_t)s->in_h || in_x < 0 || in_x >= (int64_t)s->in_w) {
                continue;
            }
            size_t pixel = (image * s->in_h + (size_t)in_y) * s->in_w + (size_t)in_x;
            const uint8_t *values = input + pixel * stride + group * in;
            const int8_t *w = p->weights + ((channel * s->kernel_h + r) * s->kernel_w + t) * in;
            for (size_t i = 0; i < in; i++) {
                acc += (values[i] - p->input_zero_point) * (w[i] - zero);
            }
        }
    }
    return acc;
}

static OctQ8ConvParams params_of(const Shape *s) {
    OctQ8ConvParams p = oct_q8_conv_params(s->in_channels, s->out_channels);
    p.groups = s->groups;
    p.kernel_h = s->kernel_h;
    p.kernel_w = s->kernel_w;
    p.stride_h = p.stride_w = s->stride;
    p.dilation_h = p.dilation_w = s->dilation;
    p.pad_top = p.pad_left = s->pad_before;
    p.pad_bottom = p.pad_right = s->pad_after;
    return p;
}

/* small: with weights of 7 bits, for which AVX2 has another kernel. */
static void run_shape(const Shape *s, bool small, OctetCpu cpu, OctetThreadPool *pool,
                      CheckRandom *random) {
    OctQ8ConvParams p = params_of(s);
    size_t depth = s->kernel_h * s->kernel_w * (s->in_channels / s->groups);
    int8_t *weights = malloc(depth * s->out_channels);
    int32_t *bias = malloc(s->out_channels * sizeof *bias);
    int32_t *zeros = malloc(s->out_channels * sizeof *zeros);
    float *multipliers = malloc(s->out_channels * sizeof *multipliers);
    assert_true(weights && bias && zeros && multipliers);
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), weights,
                depth * s->out_channels);
    for (size_t i = 0; i < depth * s->out_channels && small; i++) {
        weights[i] /= 2;
    }
    for (size_t c = 0; c < s->out_channels; c++) {
        bias[c] = (int32_t)check_range(random, -5000, 5000);
        zeros[c] = (int32_t)check_range(random, -128, 127);
        multipliers[c] = check_float(random, 0.0001f, 0.01f);
    }
    p.weights = weights;
    p.bias = bias;
    p.multipliers = multipliers;
    p.input_zero_point = check_range(random, 0, 1) ? 0 : (uint8_t)check_range(random, 0, 255);
    if (s->weight_zero_points && !small) {
        p.weight_zero_points = zeros;
        p.weight_zero_point_count = check_range(random, 0, 1) ? 1 : s->out_channels;
    }
    p.epilogue = oct_q8_epilogue_u8(120);
    if (s->add) {
        p.epilogue.has_add = true;
        p.epilogue.add = oct_q8_add_params(0.02f, 120, 0.03f, 7, 0.04f, 10);
    }
    OctQ8Conv *conv = NULL;
    OctQ8ConvSetup setup;
    OctetDiagnostic diagnostic = {0};
    size_t in_stride = s->in_channels + s->in_gap, out_stride = s->out_channels + s->out_gap;
    OctQ8ConvParams given = p;
    int8_t *oihw = malloc(depth * s->out_channels);
    assert_non_null(oihw);
    to_oihw(s, weights, oihw);
    if (check_range(random, 0, 1)) {
        given.weights = oihw;
        given.weights_oihw = true;
    }
    assert_int_equal(oct_q8_conv_create(&given, cpu, &conv, &diagnostic), OCTET_OK);
    assert_int_equal(oct_q8_conv_setup(conv, s->batch, s->in_h, s->in_w, in_stride, out_stride,
                                       out_stride, &setup, &diagnostic),
                     OCTET_OK);
    size_t in_bytes = s->batch * s->in_h * s->in_w * in_stride;
    size_t out_bytes = s->batch * setup.out_h * setup.out_w * out_stride;
    uint8_t *input = oct_aligned_alloc(in_bytes), *output = malloc(out_bytes);
    uint8_t *residual = malloc(out_bytes), *workspace = oct_aligned_alloc(setup.workspace_bytes);
    assert_true(input && output && residual && workspace);
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), input, in_bytes);
    check_bytes(random, CHECK_BYTES_RANDOM, residual, out_bytes);
    memset(output, CHECK_CANARY, out_bytes);
    oct_q8_conv_run(conv, &setup, input, output, residual, workspace, pool);
    char what[256];
    snprintf(what, sizeof what, "%s: %zu->%zu g%zu k%zux%zu s%zu d%zu pad %zu,%zu in %zux%zux%zu",
             oct_q8_conv_kernel_name(conv), s->in_channels, s->out_channels, s->groups, s->kernel_h,
             s->kernel_w, s->stride, s->dilation, s->pad_before, s->pad_after, s->batch, s->in_h,
             s->in_w);
    for (size_t pixel = 0; pixel < s->batch * setup.out_h * setup.out_w; pixel++) {
        size_t x = pixel % setup.out_w, y = pixel / setup.out_w % setup.out_h;
        size_t image = pixel / setup.out_w / setup.out_h;
        uint8_t row[600];
        memset(row, CHECK_CANARY, sizeof row);
        for (size_t c = 0; c < s->out_channels; c++) {
            int32_t acc = reference_acc(&p, s, input, image, y, x, c);
            row[c] = oct_q8_finish_u8(&p.epilogue, acc, multipliers[c],
                                      residual + pixel * out_stride + c);
        }
        check_same_bytes(output + pixel * out_stride, row, out_stride, what);
    }
    oct_q8_conv_free(conv);
    free(oihw);
    free(weights);
    free(bias);
    free(zeros);
    free(multipliers);
    oct_aligned_free(input);
    oct_aligned_free(workspace);
    free(output);
    free(residual);
}

/* Every pixel is once in the order, whatever the borders. */
static void test_order(void **state) {
    (void)state;
    CheckRandom random = check_random(8);
    size_t in_parts = 0;
    for (int round = 0; round < 3000; round++) {
        size_t batch = (size_t)check_range(&random, 1, 3);
        size_t height = (size_t)check_range(&random, 1, 20);
        size_t width = (size_t)check_range(&random, 1, 20);
        OctQ8Borders borders = {.top = (size_t)check_range(&random, 0, 2),
                                .bottom = (size_t)check_range(&random, 0, 2),
                                .left = (size_t)check_range(&random, 0, 2),
                                .right = (size_t)check_range(&random, 0, 2)};
        OctQ8Order order;
        oct_q8_order_borders(&order, batch, height, width, borders, round % 2 ? 6 : 24);
        in_parts += order.count > 1;
        size_t pixels = batch * height * width;
        uint8_t seen[3 * 20 * 20] = {0};
        for (size_t done = 0; done < pixels;) {
            OctQ8PixelRun run = oct_q8_order_run(&order, done, pixels - done);
            assert_true(run.count > 0 && run.image < batch && run.y < height);
            assert_true(run.x + run.count <= width);
            for (size_t i = 0; i < run.count; i++) {
                seen[(run.image * height + run.y) * width + run.x + i]++;
            }
            done += run.count;
        }
        for (size_t i = 0; i < pixels; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
    assert_in_range(in_parts, 1000, 2999);
}

static void test_shapes(void **state) {
    (void)state;
    static const Shape shapes[] = {
        {3, 16, 1, 7, 7, 2, 1, 3, 3, 2, 21, 18, 0, 0, false, false}, /* stems */
        {3, 20, 1, 3, 3, 2, 1, 0, 1, 1, 15, 15, 1, 2, false, false},
        {3, 16, 1, 3, 3, 2, 1, 0, 0, 2, 15, 15, 0, 0, false, false},
        {1, 8, 1, 10, 4, 2, 1, 4, 5, 1, 30, 12, 0, 0, true, false},
        {16, 24, 1, 1, 1, 1, 1, 0, 0, 2, 9, 7, 0, 0, false, true}, /* 1x1 */
        {58, 58, 1, 1, 1, 1, 1, 0, 0, 1, 14, 14, 58, 58, false, false},
        {40, 70, 1, 1, 1, 2, 1, 0, 0, 2, 13, 9, 3, 5, false, true},
        {64, 130, 1, 3, 3, 1, 1, 1, 1, 2, 14, 11, 0, 0, false, false}, /* 3x3 */
        {32, 48, 1, 3, 3, 2, 1, 1, 1, 1, 17, 19, 0, 0, true, true},
        {20, 12, 1, 3, 3, 1, 3, 3, 3, 1, 12, 12, 0, 0, false, false},
        {18, 12, 1, 5, 1, 1, 1, 2, 2, 1, 8, 8, 0, 0, true, false},
        {24, 36, 4, 3, 3, 1, 1, 1, 1, 2, 9, 9, 0, 0, false, true}, /* groups */
        {12, 24, 12, 3, 3, 1, 1, 1, 1, 1, 9, 9, 0, 0, false, false},
        {24, 24, 2, 1, 1, 1, 1, 0, 0, 1, 9, 9, 0, 0, false, false},
        {32, 32, 8, 3, 3, 1, 1, 1, 1, 2, 7, 9, 0, 0, false, true},
        {64, 64, 32, 3, 3, 2, 1, 1, 1, 1, 9, 9, 3, 5, false, false},
        {48, 48, 6, 1, 1, 1, 1, 0, 0, 1, 9, 5, 0, 0, true, false},
        {48, 48, 6, 1, 1, 1, 1, 0, 0, 1, 9, 5, 0, 0, false, false},
        {33, 33, 33, 3, 3, 1, 1, 1, 1, 2, 14, 15, 0, 0, false, false}, /* depthwise */
        {72, 72, 72, 5, 5, 2, 1, 2, 2, 1, 15, 15, 7, 9, false, true},
        {16, 16, 16, 3, 3, 1, 2, 2, 2, 1, 11, 11, 0, 0, true, false},
        {8, 8, 8, 7, 7, 1, 1, 3, 3, 1, 5, 200, 0, 0, false, false},
        {500, 260, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, false, false}, /* fully connected */
        {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0, 0, false, false},   /* mostly padding */
        {8, 8, 1, 3, 3, 1, 1, 5, 5, 1, 2, 2, 0, 0, false, false},
        {20, 64, 1, 3, 3, 1, 1, 1, 1, 1, 7, 7, 0, 0, false, false}, /* border pixels first */
        {20, 130, 1, 3, 3, 1, 1, 1, 1, 3, 7, 7, 3, 5, false, true},
        {20, 32, 1, 3, 3, 2, 1, 1, 1, 1, 14, 14, 0, 0, false, true},
        {20, 64, 1, 5, 5, 1, 1, 2, 2, 2, 14, 11, 0, 0, false, false},
        {20, 24, 1, 3, 3, 1, 2, 2, 1, 1, 9, 13, 0, 0, false, false},
        {40, 80, 2, 3, 3, 1, 1, 1, 1, 1, 14, 14, 0, 0, false, true},
    };
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(3, &pool, NULL), OCTET_OK);
    for (size_t l = 0; l < count; l++) {
        CheckRandom random = check_random(4);
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            run_shape(&shapes[i], false, levels[l], NULL, &random);
            run_shape(&shapes[i], false, levels[l], pool, &random);
            run_shape(&shapes[i], true, levels[l], NULL, &random);
        }
    }
    octet_thread_pool_free(pool);
}

/* w - zero_point reaches 255 and -255: the sums of two and three weights. */
static void test_extreme_zero_points(void **state) {
    (void)state;
    static const int8_t weights[] = {127, -128, 5, 127, -128, 0};
    static const int32_t zeros[] = {-128, 127};
    static const float multipliers[] = {1.0f, 1.0f};
    OctQ8ConvParams p = oct_q8_conv_params(3, 2);
    p.weights = weights;
    p.weight_zero_points = zeros;
    p.weight_zero_point_count = 2;
    p.input_zero_point = 1;
    p.multipliers = multipliers;
    p.epilogue.kind = OCT_Q8_OUT_S32;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t l = 0; l < count; l++) {
        OctQ8Conv *conv = NULL;
        OctQ8ConvSetup setup;
        uint8_t input[68] = {255, 0, 9};
        int32_t output[2];
        assert_int_equal(oct_q8_conv_create(&p, levels[l], &conv, NULL), OCTET_OK);
        assert_int_equal(oct_q8_conv_setup(conv, 1, 1, 1, 0, 0, 0, &setup, NULL), OCTET_OK);
        assert_int_equal(setup.workspace_bytes, 0);
        oct_q8_conv_run(conv, &setup, input, output, NULL, NULL, NULL);
        assert_int_equal(output[0], 254 * 255 - 0 + 8 * 133);
        assert_int_equal(output[1], 254 * 0 + 255 + 8 * -127);
        oct_q8_conv_free(conv);
    }
}

static void expect_failure(const OctQ8ConvParams *p, OctetStatus status) {
    OctQ8Conv *conv = NULL;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(oct_q8_conv_create(p, octet_get_cpu(), &conv, &diagnostic), status);
    assert_null(conv);
    assert_true(diagnostic.message[0]);
}

static void test_failures(void **state) {
    (void)state;
    static const int8_t weights[64] = {0};
    static const float ones[] = {1, 1, 1, 1}, infinite[] = {1, INFINITY, 1, 1};
    static const int32_t bias[] = {0, 0, 0, INT32_MAX};
    OctQ8ConvParams good = oct_q8_conv_params(4, 4), p;
    good.weights = weights;
    good.multipliers = ones;
    p = good, p.stride_w = 0, expect_failure(&p, OCTET_ERROR_INVALID_ARGUMENT);
    p = good, p.groups = 3, expect_failure(&p, OCTET_ERROR_INVALID_ARGUMENT);
    p = good, p.multipliers = NULL, expect_failure(&p, OCTET_ERROR_INVALID_ARGUMENT);
    p = good, p.multipliers = infinite, expect_failure(&p, OCTET_ERROR_NUMERIC);
    p = good, p.kernel_h = p.kernel_w = 100, expect_failure(&p, OCTET_ERROR_UNSUPPORTED);
    p = good, p.dilation_h = SIZE_MAX / 2, expect_failure(&p, OCTET_ERROR_INVALID_ARGUMENT);
    int8_t ones_s8[16];
    memset(ones_s8, 1, sizeof ones_s8);
    p = good, p.bias = bias, p.weights = ones_s8, expect_failure(&p, OCTET_ERROR_NUMERIC);
    /* the same bias with weights of 0 can't overflow: the exact bound is what counts */
    p = good, p.bias = bias;
    OctQ8Conv *conv = NULL;
    assert_int_equal(oct_q8_conv_create(&p, octet_get_cpu(), &conv, NULL), OCTET_OK);
    OctQ8ConvSetup setup;
    assert_int_equal(oct_q8_conv_setup(conv, 1, 4, 4, 3, 0, 0, &setup, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    assert_int_equal(oct_q8_conv_setup(conv, 1, 0, 4, 0, 0, 0, &setup, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(
        oct_q8_conv_setup(conv, SIZE_MAX / 64, 1 << 20, 1 << 20, 0, 0, 0, &setup, NULL),
        OCTET_ERROR_LIMIT);
    oct_q8_conv_free(conv);
    oct_q8_conv_free(NULL);
}

static void run_matmul(OctetCpu cpu, OctetThreadPool *pool, CheckRandom *random, size_t m, size_t n,
                       size_t k, bool transposed) {
    size_t a_stride = (k + 3) / 4 * 4;
    uint8_t *a = oct_aligned_alloc(m * a_stride), *b = malloc(n * k);
    int32_t *c = malloc(m * n * sizeof *c);
    size_t bytes = oct_q8_matmul_workspace(cpu, m, n, k);
    void *workspace = oct_aligned_alloc(bytes);
    assert_true(a && b && c && workspace && bytes > 0);
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), a, m * a_stride);
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), b, n * k);
    OctQ8Matmul matmul = {.m = m,
                          .n = n,
                          .k = k,
                          .a = a,
                          .a_stride = a_stride,
                          .a_zero_point = (uint8_t)check_range(random, 0, 255),
                          .b = b,
                          .b_stride_k = transposed ? 1 : n,
                          .b_stride_n = transposed ? k : 1,
                          .b_zero_point = (uint8_t)check_range(random, 0, 255),
                          .epilogue = {.kind = OCT_Q8_OUT_S32},
                          .output = c,
                          .output_stride = n};
    oct_q8_matmul_run(cpu, &matmul, workspace, pool);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            int32_t acc = 0;
            for (size_t l = 0; l < k; l++) {
                acc += (a[i * a_stride + l] - matmul.a_zero_point) *
                       (b[l * matmul.b_stride_k + j * matmul.b_stride_n] - matmul.b_zero_point);
            }
            assert_int_equal(c[i * n + j], acc);
        }
    }
    oct_aligned_free(a);
    oct_aligned_free(workspace);
    free(b);
    free(c);
}

static void test_matmul(void **state) {
    (void)state;
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    CheckRandom random = check_random(5);
    for (size_t l = 0; l < count; l++) {
        for (size_t i = 0; i < 12; i++) {
            run_matmul(levels[l], i % 3 ? NULL : pool, &random,
                       (size_t)check_range(&random, 1, i ? 40 : 300),
                       (size_t)check_range(&random, 1, 200), (size_t)check_range(&random, 1, 100),
                       i % 2);
        }
        assert_int_equal(oct_q8_matmul_workspace(levels[l], 1, 1, 33026), 0);
        assert_int_equal(oct_q8_matmul_workspace(levels[l], SIZE_MAX / 8, 1, 4), 0);
    }
    octet_thread_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_extreme_zero_points),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_matmul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
