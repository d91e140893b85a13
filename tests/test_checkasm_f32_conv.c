/* f32 convolution, matrix product and depthwise kernels of every level against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/f32_conv_run.h"
#include "kernels/f32_depthwise.h"
#include "kernels/f32_matmul.h"

typedef struct Case {
    OctF32ConvSpec spec;
    OctF32ConvShape shape;
    bool residual, in_place;
    float minimum, maximum;
} Case;

static bool is_depthwise(const OctF32ConvSpec *spec) {
    return spec->groups > 1 && spec->groups == spec->input_channels &&
           spec->groups == spec->output_channels &&
           spec->kernel[0] * spec->kernel[1] * spec->kernel[2] <= OCT_F32_DEPTHWISE_MAX_TAPS;
}

/* The products of an output, in order. */
typedef struct Products {
    float x[4096], w[4096];
    size_t count;
    size_t channels, width; /* of a tap, and taps of a line */
} Products;

/* The number of the block that product i is in: as many lines of taps as have at most 576 products
 * and 96 taps, else as many taps of a line, else an equal part of a tap's channels. */
static size_t block_of(const Products *products, size_t i) {
    size_t channels = products->channels, width = products->width;
    size_t tap = i / channels;
    if (channels > 576) {
        size_t parts = (channels + 575) / 576;
        size_t length = (channels + parts - 1) / parts;
        return tap * parts + i % channels / length;
    }
    size_t fitting = 576 / channels < 96 ? 576 / channels : 96;
    if (fitting >= width) {
        return tap / width / (fitting / width);
    }
    return tap / width * width + tap % width / fitting;
}

static float chain_of_products(const Products *products, float sum) {
    for (size_t i = 0; i < products->count; i++) {
        sum = fmaf(products->x[i], products->w[i], sum);
    }
    return sum;
}

/* Chains of fused multiply-adds, block by block; the first starts from the bias. */
static float sum_of_products(const Products *products, float bias) {
    float before = 0;
    float sum = bias;
    bool later = false;
    for (size_t i = 0; i < products->count; i++) {
        if (i > 0 && block_of(products, i) != block_of(products, i - 1)) {
            before = later ? before + sum : sum;
            later = true;
            sum = 0;
        }
        sum = fmaf(products->x[i], products->w[i], sum);
    }
    return later ? before + sum : sum;
}

/* The definition: every output of an ordinary or transposed convolution on its own. */
static float reference_output(const Case *c, const float *input, size_t image, size_t channel,
                              const size_t *at) {
    const OctF32ConvSpec *spec = &c->spec;
    size_t depth = spec->input_channels / spec->groups;
    size_t columns = spec->output_channels / spec->groups;
    size_t group = channel / columns;
    size_t taps = spec->kernel[0] * spec->kernel[1] * spec->kernel[2];
    static Products products;
    products.count = products.width = 0;
    products.channels = depth;
    size_t first_line = SIZE_MAX;
    for (size_t tap = 0; tap < taps; tap++) {
        size_t k[3] = {tap / spec->kernel[2] / spec->kernel[1],
                       tap / spec->kernel[2] % spec->kernel[1], tap % spec->kernel[2]};
        int64_t in[3];
        bool inside = true, reached = true;
        for (int axis = 0; axis < 3; axis++) {
            int64_t shift = (int64_t)(k[axis] * spec->dilation[axis]);
            int64_t stride = (int64_t)spec->stride[axis];
            if (spec->transposed) {
                int64_t from = (int64_t)at[axis] + c->shape.pad_begin[axis] - shift;
                reached &= from % stride == 0;
                in[axis] = from / stride;
                inside &= from >= 0;
            } else {
                in[axis] = (int64_t)at[axis] * stride - c->shape.pad_begin[axis] + shift;
            }
            inside &= in[axis] >= 0 && in[axis] < (int64_t)c->shape.input[axis];
        }
        /* depthwise kernels leave padding out, the matrix kernels multiply it as zeros */
        if (!reached || (!inside && is_depthwise(spec))) {
            continue;
        }
        size_t line = tap / spec->kernel[2];
        first_line = first_line == SIZE_MAX ? line : first_line;
        products.width += line == first_line;
        for (size_t i = 0; i < depth; i++) {
            size_t pixel = 0;
            for (int axis = 0; axis < 3 && inside; axis++) {
                pixel = pixel * c->shape.input[axis] + (size_t)in[axis];
            }
            size_t pixels = c->shape.input[0] * c->shape.input[1] * c->shape.input[2];
            float x =
                inside ? input[(image * pixels + pixel) * spec->input_channels + group * depth + i]
                       : 0.0f;
            size_t w = spec->layout == OCT_F32_WEIGHTS_OIHW ? (channel * depth + i) * taps + tap
                       : spec->layout == OCT_F32_WEIGHTS_OHWI
                           ? (channel * taps + tap) * depth + i
                           : ((group * depth + i) * columns + channel % columns) * taps + tap;
            assert_true(products.count < sizeof products.x / sizeof products.x[0]);
            products.x[products.count] = x;
            products.w[products.count++] = spec->weights[w];
        }
    }
    float bias = spec->bias ? spec->bias[channel] : 0.0f;
    return is_depthwise(spec) ? chain_of_products(&products, bias)
                              : sum_of_products(&products, bias);
}

static void reference(const Case *c, const float *input, const float *residual, float *output) {
    const size_t *size = c->shape.output;
    size_t index = 0;
    for (size_t image = 0; image < c->shape.batch; image++) {
        for (size_t pixel = 0; pixel < size[0] * size[1] * size[2]; pixel++) {
            size_t at[3] = {pixel / size[2] / size[1], pixel / size[2] % size[1], pixel % size[2]};
            for (size_t channel = 0; channel < c->spec.output_channels; channel++, index++) {
                float value = reference_output(c, input, image, channel, at);
                value = c->residual ? value + residual[index] : value;
                output[index] = oct_f32_clamp(value, c->minimum, c->maximum);
            }
        }
    }
}

static void check_case(Case *c, CheckRandom *random, OctetThreadPool *pool) {
    OctF32ConvSpec *spec = &c->spec;
    const OctF32ConvShape *shape = &c->shape;
    size_t weights = spec->kernel[0] * spec->kernel[1] * spec->kernel[2] * spec->output_channels *
                     (spec->input_channels / spec->groups);
    size_t inputs =
        shape->batch * shape->input[0] * shape->input[1] * shape->input[2] * spec->input_channels;
    size_t outputs = shape->batch * shape->output[0] * shape->output[1] * shape->output[2] *
                     spec->output_channels;
    int kind = (int)check_range(random, 0, CHECK_FLOATS - 1);
    float *weight_data = malloc(weights * sizeof(float));
    float *bias_data = malloc(spec->output_channels * sizeof(float));
    float *expected = malloc(outputs * sizeof(float) + 1);
    check_floats(random, CHECK_FLOATS_NORMAL, weight_data, weights);
    check_floats(random, CHECK_FLOATS_NORMAL, bias_data, spec->output_channels);
    spec->weights = weight_data;
    spec->bias = check_next(random) & 3 ? bias_data : NULL;
    int side = check_next(random) & 1 ? CHECK_GUARD_END : CHECK_GUARD_START;
    CheckBuffer input = check_buffer(inputs * sizeof(float), side);
    CheckBuffer residual = check_buffer(outputs * sizeof(float), side);
    check_floats(random, kind, (float *)(void *)input.data, inputs);
    check_floats(random, kind, (float *)(void *)residual.data, outputs);
    const float *x = (const float *)(const void *)input.data;
    const float *r = (const float *)(const void *)residual.data;
    reference(c, x, r, expected);

    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t i = 0; i < count; i++) {
        OctF32Conv *conv = NULL;
        OctetDiagnostic diagnostic = {0};
        assert_int_equal(oct_f32_conv_create(spec, levels[i], &conv, &diagnostic), OCTET_OK);
        assert_int_equal(oct_f32_conv_setup(conv, shape, &diagnostic), OCTET_OK);
        CheckBuffer output = check_buffer(outputs * sizeof(float), side);
        float *y = (float *)(void *)output.data;
        if (c->in_place) {
            memcpy(y, r, outputs * sizeof(float));
        }
        OctF32ConvCall call = {x, c->residual ? (c->in_place ? y : r) : NULL, y, c->minimum,
                               c->maximum};
        oct_f32_conv_run(conv, shape, &call, pool);
        char what[256];
        snprintf(what, sizeof what,
                 "%s%s k %zux%zux%zu s %zu d %zu in %zux%zux%zux%zu out %zu g %zu",
                 oct_f32_conv_kernel_name(conv), spec->transposed ? " transposed" : "",
                 spec->kernel[0], spec->kernel[1], spec->kernel[2], spec->stride[2],
                 spec->dilation[2], shape->input[0], shape->input[1], shape->input[2],
                 spec->input_channels, spec->output_channels, spec->groups);
        check_same_floats(y, expected, outputs, what);
        check_buffer_free(&output);
        oct_f32_conv_free(conv);
    }
    check_buffer_free(&input);
    check_buffer_free(&residual);
    free(weight_data);
    free(bias_data);
    free(expected);
}

static void make_case(CheckRandom *random, Case *c, bool transposed, int32_t family) {
    *c = (Case){0};
    OctF32ConvSpec *spec = &c->spec;
    OctF32ConvShape *shape = &c->shape;
    spec->transposed = transposed;
    spec->layout = transposed               ? OCT_F32_WEIGHTS_IOHW
                   : check_next(random) & 1 ? OCT_F32_WEIGHTS_OIHW
                                            : OCT_F32_WEIGHTS_OHWI;
    spec->groups = family == 0 ? 1 : (size_t)check_range(random, 2, family == 1 ? 4 : 40);
    spec->input_channels = spec->groups * (size_t)(family == 2 ? 1 : check_range(random, 1, 24));
    spec->output_channels = spec->groups * (size_t)(family == 2 ? 1 : check_range(random, 1, 40));
    shape->batch = (size_t)check_range(random, 1, 2);
    int first_axis = (int)check_range(random, 0, 7) == 0 ? 0 : (int)check_range(random, 1, 2);
    for (int axis = 0; axis < 3; axis++) {
        bool used = axis >= first_axis;
        spec->kernel[axis] = used ? (size_t)check_range(random, 1, axis == 0 ? 2 : 4) : 1;
        spec->stride[axis] = used ? (size_t)check_range(random, 1, 3) : 1;
        spec->dilation[axis] = used ? (size_t)check_range(random, 1, 3) : 1;
        shape->input[axis] = used ? (size_t)check_range(random, 1, axis == 0 ? 3 : 9) : 1;
        size_t reach = (spec->kernel[axis] - 1) * spec->dilation[axis];
        int64_t pad = used ? check_range(random, 0, (int64_t)reach) : 0;
        shape->pad_begin[axis] = pad;
        if (transposed) {
            int64_t whole = (int64_t)((shape->input[axis] - 1) * spec->stride[axis] + reach + 1);
            int64_t size = whole - pad + (used ? check_range(random, 0, 2) : 0);
            shape->output[axis] = size < 1 ? 1 : (size_t)size;
        } else {
            int64_t padded =
                (int64_t)shape->input[axis] + pad + (used ? check_range(random, 0, 3) : 0);
            int64_t rest = padded - (int64_t)reach - 1;
            shape->output[axis] = rest < 0 ? 1 : (size_t)rest / spec->stride[axis] + 1;
        }
    }
    c->residual = check_next(random) & 1;
    c->in_place = c->residual && (check_next(random) & 1);
    bool clamped = check_next(random) & 1;
    c->minimum = clamped ? 0.0f : -INFINITY;
    c->maximum = clamped && (check_next(random) & 1) ? 6.0f : INFINITY;
}

static void test_random_convolutions(void **state) {
    (void)state;
    CheckRandom random = check_random(11);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(3, &pool, NULL), OCTET_OK);
    for (int i = 0; i < 180; i++) {
        Case c;
        make_case(&random, &c, i % 3 == 2, i / 3 % 3);
        check_case(&c, &random, i & 1 ? pool : NULL);
    }
    octet_thread_pool_free(pool);
}

/* More taps than the driver holds pointers for, with the residual in the output; also depthwise
 * filters too large for their kernel. */
static void test_many_taps(void **state) {
    (void)state;
    CheckRandom random = check_random(12);
    for (size_t groups = 1; groups <= 3; groups += 2) {
        Case c = {.spec = {.input_channels = 3,
                           .output_channels = 3,
                           .groups = groups,
                           .kernel = {2, 9, 11},
                           .stride = {1, 2, 1},
                           .dilation = {1, 1, 1}},
                  .shape = {.batch = 1,
                            .input = {2, 12, 13},
                            .output = {2, 7, 12},
                            .pad_begin = {0, 4, 5}},
                  .residual = true,
                  .in_place = true,
                  .minimum = -1.0f,
                  .maximum = 50.0f};
        check_case(&c, &random, NULL);
    }
}

/* Colliding rows with more than one tap, and with a residual. */
/* Blocks of lines, of taps of a line and of parts of a tap, along borders and inside. */
static void test_blocks(void **state) {
    (void)state;
    static const struct {
        size_t channels, width, dilation;
    } windows[] = {{64, 3, 1},  {65, 3, 1},  {128, 3, 1}, {128, 3, 2}, {256, 3, 1},
                   {256, 5, 1}, {600, 3, 1}, {40, 17, 1}, {5, 101, 1}, {96, 7, 2}};
    CheckRandom random = check_random(15);
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        for (int residual = 0; residual < 3; residual++) {
            size_t width = windows[i].width;
            size_t reach = (width - 1) * windows[i].dilation;
            Case c = {.spec = {.input_channels = windows[i].channels,
                               .output_channels = 9 + 5 * i,
                               .groups = 1,
                               .kernel = {1, 2, width},
                               .stride = {1, 1, 1},
                               .dilation = {1, 1, windows[i].dilation}},
                      .shape = {.batch = 1,
                                .input = {1, 2, 20},
                                .output = {1, 2, 20},
                                .pad_begin = {0, 1, (int64_t)(reach / 2)}},
                      .residual = residual > 0,
                      .in_place = residual > 1,
                      .minimum = -INFINITY,
                      .maximum = INFINITY};
            check_case(&c, &random, NULL);
        }
    }
}

static void test_colliding_rows(void **state) {
    (void)state;
    CheckRandom random = check_random(14);
    for (int residual = 0; residual < 3; residual++) {
        Case c = {.spec = {.input_channels = 1024,
                           .output_channels = 23,
                           .groups = 1,
                           .kernel = {1, 1, 2},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1}},
                  .shape = {.batch = 1, .input = {1, 2, 17}, .output = {1, 2, 17}},
                  .residual = residual > 0,
                  .in_place = residual > 1,
                  .minimum = 0.0f,
                  .maximum = INFINITY};
        check_case(&c, &random, NULL);
    }
}

static void check_product(CheckRandom *random, size_t m, size_t n, size_t k, size_t a_stride,
                          bool transposed, OctetThreadPool *pool) {
    size_t b_stride = (transposed ? k : n) + (size_t)check_range(random, 0, 3);
    size_t output_stride = n + (size_t)check_range(random, 0, 2);
    size_t b_count = b_stride * (transposed ? n : k);
    float *a = malloc(m * a_stride * sizeof(float) + 1);
    float *b = malloc(b_count * sizeof(float) + 1);
    float *bias = malloc(n * sizeof(float));
    float *expected = calloc(m * output_stride, sizeof(float));
    float *output = calloc(m * output_stride, sizeof(float));
    check_floats(random, CHECK_FLOATS_WIDE, a, m * a_stride);
    check_floats(random, CHECK_FLOATS_NORMAL, b, b_count);
    check_floats(random, CHECK_FLOATS_NORMAL, bias, n);
    for (size_t row = 0; row < m; row++) {
        for (size_t column = 0; column < n; column++) {
            static Products products;
            products.channels = products.count = k;
            products.width = 1;
            for (size_t i = 0; i < k; i++) {
                products.x[i] = a[row * a_stride + i];
                products.w[i] = transposed ? b[column * b_stride + i] : b[i * b_stride + column];
            }
            float sum = sum_of_products(&products, bias[column]);
            expected[row * output_stride + column] = oct_f32_clamp(sum, -100.0f, INFINITY);
        }
    }
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t i = 0; i < count; i++) {
        OctF32GemmSpec spec = {k, n, b, b_stride, transposed, bias, NULL};
        OctF32GemmCall call = {m, a, a_stride, NULL, output, output_stride, -100.0f, INFINITY};
        OctF32Gemm *gemm = NULL;
        assert_int_equal(oct_f32_gemm_create(&spec, levels[i], &gemm, NULL), OCTET_OK);
        oct_f32_gemm_run(gemm, &call, pool);
        check_same_floats(output, expected, m * output_stride, oct_f32_gemm_kernel_name(gemm));
        memset(output, 0, m * output_stride * sizeof(float));
        size_t bytes;
        assert_true(oct_f32_matmul_workspace_bytes(levels[i], k, n, &bytes));
        CheckBuffer workspace = check_buffer(bytes, CHECK_GUARD_START);
        oct_f32_matmul_run(levels[i], &spec, &call, workspace.data, pool);
        check_same_floats(output, expected, m * output_stride, "matmul of two activations");
        check_buffer_free(&workspace);
        memset(output, 0, m * output_stride * sizeof(float));
        oct_f32_gemm_free(gemm);
    }
    free(a);
    free(b);
    free(bias);
    free(expected);
    free(output);
}

static void test_matrix_products(void **state) {
    (void)state;
    CheckRandom random = check_random(13);
    OctetThreadPool *pool = NULL;
    assert_int_equal(octet_thread_pool_create(2, &pool, NULL), OCTET_OK);
    for (size_t m = 1; m <= 17; m++) {
        size_t k = (size_t)check_range(&random, 0, 33);
        check_product(&random, m, (size_t)check_range(&random, 1, 70), k,
                      k + (size_t)check_range(&random, 0, 3), m & 1, m & 2 ? pool : NULL);
    }
    check_product(&random, 29, 130, 300, 301, true, pool);
    check_product(&random, 40, 33, 1000, 1000, false, NULL);
    /* rows that collide in L1, so that the driver copies them piece by piece */
    check_product(&random, 29, 56, 1100, 2048, false, NULL);
    check_product(&random, 30, 40, 1024, 1024, true, pool);
    check_product(&random, 14, 8, 513, 1024, false, NULL);
    octet_thread_pool_free(pool);
}

static void test_refusals(void **state) {
    (void)state;
    float weight = 1.0f;
    OctF32ConvSpec spec = {.input_channels = 4,
                           .output_channels = 4,
                           .groups = 3,
                           .kernel = {1, 1, 1},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .weights = &weight};
    OctF32Conv *conv = NULL;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(oct_f32_conv_create(&spec, OCTET_CPU_PORTABLE, &conv, &diagnostic),
                     OCTET_ERROR_SHAPE);
    spec.groups = 1;
    spec.stride[1] = 0;
    assert_int_equal(oct_f32_conv_create(&spec, OCTET_CPU_PORTABLE, &conv, NULL),
                     OCTET_ERROR_SHAPE);
    spec.stride[1] = 1;
    spec.kernel[1] = spec.kernel[2] = (size_t)1 << 33;
    assert_int_equal(oct_f32_conv_create(&spec, OCTET_CPU_PORTABLE, &conv, NULL),
                     OCTET_ERROR_LIMIT);
    assert_null(conv);
    OctF32GemmSpec gemm_spec = {.k = SIZE_MAX / 2, .n = 3, .b = &weight};
    OctF32Gemm *gemm = NULL;
    assert_int_equal(oct_f32_gemm_create(&gemm_spec, OCTET_CPU_PORTABLE, &gemm, NULL),
                     OCTET_ERROR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_convolutions), cmocka_unit_test(test_many_taps),
        cmocka_unit_test(test_colliding_rows),      cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_matrix_products),     cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
