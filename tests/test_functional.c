/* octet_quantized_* against the bytes of PyTorch 1.13 (tests/golden/functional.txt, made by
 * scripts/golden_functional.py), and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "octet/octet.h"

enum { COUNT = 2 * 4 * 6 * 6 };

typedef struct Case {
    char name[32];
    double in_scale, out_scale;
    int in_zero, out_zero;
    double numbers[4];
    uint8_t input[COUNT], output[COUNT * 4];
    size_t output_count;
} Case;

static const float scale_c[4] = {0.5f, 1.5f, -0.75f, 1}, shift_c[4] = {0.25f, -0.5f, 0, 1};
static const float mean_c[4] = {0.1f, -0.2f, 0.3f, 0}, variance_c[4] = {0.5f, 1, 2, 0.25f};

static size_t read_hex(const char *text, uint8_t *bytes, size_t most) {
    size_t count = 0;
    unsigned value;
    while (count < most && sscanf(text + 2 * count, "%2x", &value) == 1) {
        bytes[count++] = (uint8_t)value;
    }
    return count;
}

static bool read_case(FILE *file, Case *c) {
    static char input[4 * COUNT], output[16 * COUNT], numbers[256];
    memset(c, 0, sizeof *c);
    if (fscanf(file, "%31s %lf %d %lf %d %255s %1151s %4607s", c->name, &c->in_scale, &c->in_zero,
               &c->out_scale, &c->out_zero, numbers, input, output) != 8) {
        return false;
    }
    char *at = numbers;
    bool any = strcmp(numbers, "-") != 0;
    for (int i = 0; i < 4 && any && *at; i++) {
        c->numbers[i] = strtod(at, &at);
        at += *at == ',';
    }
    read_hex(input, c->input, COUNT);
    c->output_count = read_hex(output, c->output, sizeof c->output);
    return true;
}

static OctetTensor *tensor_of(const uint8_t *bytes, const OctetShape *shape, double scale,
                              int32_t zero_point) {
    OctetTensor *tensor;
    float s = (float)scale;
    OctetQParams grid = {
        .dtype = OCTET_U8, .axis = -1, .count = 1, .scale = &s, .zero_point = &zero_point};
    assert_int_equal(octet_tensor_create(OCTET_U8, shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, bytes, tensor->bytes);
    assert_int_equal(octet_tensor_set_qparams(tensor, &grid, NULL), OCTET_OK);
    return tensor;
}

static OctetStatus normalize(const Case *c, const OctetTensor *x, const OctetQOutput *out,
                             OctetTensor **y, OctetDiagnostic *d) {
    float line[2][36];
    for (int i = 0; i < 36; i++) {
        line[0][i] = 0.5f + (float)i / 35;
        line[1][i] = -1 + 2 * (float)i / 35;
    }
    if (strcmp(c->name, "batch_norm") == 0) {
        return octet_quantized_batch_norm(x, scale_c, shift_c, mean_c, variance_c, 1e-5f, out, y,
                                          d);
    }
    if (strcmp(c->name, "layer_norm") == 0) {
        return octet_quantized_layer_norm(x, -2, line[0], line[1], 1e-5f, out, y, d);
    }
    return strcmp(c->name, "group_norm") == 0
               ? octet_quantized_group_norm(x, 2, scale_c, shift_c, 1e-5f, out, y, d)
               : octet_quantized_instance_norm(x, scale_c, shift_c, 1e-5f, out, y, d);
}

static OctetStatus call(const Case *c, const OctetTensor *x, const OctetTensor *b, OctetTensor **y,
                        OctetDiagnostic *d) {
    const double *n = c->numbers;
    const int64_t sizes[2] = {(int64_t)n[0], (int64_t)n[1]};
    OctetQOutput out = {.scale = (float)c->out_scale,
                        .zero_point = c->out_zero,
                        .requantize = OCTET_REQUANTIZE_QNNPACK};
    OctetPoolOptions pool = {.kernel = {sizes[0], sizes[0]},
                             .stride = {sizes[1], sizes[1]},
                             .padding = {(int64_t)n[2], (int64_t)n[2]},
                             .count_include_pad = true};
#define IS(text) (strcmp(c->name, text) == 0)
    return IS("relu")                ? octet_quantized_relu(x, y, d)
           : IS("relu6")             ? octet_quantized_relu6(x, y, d)
           : IS("clamp")             ? octet_quantized_clamp(x, (float)n[0], (float)n[1], y, d)
           : IS("hardtanh")          ? octet_quantized_hardtanh(x, (float)n[0], (float)n[1], y, d)
           : IS("leaky_relu")        ? octet_quantized_leaky_relu(x, (float)n[0], &out, y, d)
           : IS("elu")               ? octet_quantized_elu(x, (float)n[0], &out, y, d)
           : IS("hardswish")         ? octet_quantized_hardswish(x, &out, y, d)
           : IS("hardsigmoid")       ? octet_quantized_hardsigmoid(x, y, d)
           : IS("sigmoid")           ? octet_quantized_sigmoid(x, y, d)
           : IS("tanh")              ? octet_quantized_tanh(x, y, d)
           : IS("softmax")           ? octet_quantized_softmax(x, 3, y, d)
           : IS("max_pool")          ? octet_quantized_max_pool(x, &pool, y, d)
           : IS("avg_pool")          ? octet_quantized_avg_pool(x, &pool, y, d)
           : IS("adaptive_avg_pool") ? octet_quantized_adaptive_avg_pool(x, sizes, y, d)
           : IS("mean")              ? octet_quantized_mean(x, sizes, 2, true, y, d)
           : IS("nearest")           ? octet_quantized_interpolate(x, sizes, "nearest", false, y, d)
           : IS("bilinear")   ? octet_quantized_interpolate(x, sizes, "bilinear", false, y, d)
           : IS("add_scalar") ? octet_quantized_add_scalar(x, n[0], y, d)
           : IS("mul_scalar") ? octet_quantized_mul_scalar(x, n[0], y, d)
           : IS("add")        ? octet_quantized_add(x, b, &out, y, d)
           : IS("add_relu")   ? octet_quantized_add_relu(x, b, &out, y, d)
           : IS("mul")        ? octet_quantized_mul(x, b, &out, y, d)
           : IS("cat")        ? octet_quantized_cat((const OctetTensor *[]){x, b}, 2, 1, &out, y, d)
                              : normalize(c, x, &out, y, d);
#undef IS
}

/* How many bytes differ by one and by more. */
static void count_differences(const Case *c, const OctetTensor *y, int *by_one, int *by_more) {
    const uint8_t *bytes = y->data;
    *by_one = 0;
    *by_more = 0;
    assert_int_equal(y->bytes, c->output_count);
    for (size_t i = 0; i < c->output_count; i++) {
        int difference = abs((int)bytes[i] - (int)c->output[i]);
        *by_one += difference == 1;
        *by_more += difference > 1;
    }
}

static void gives_pytorchs_bytes(void **state) {
    (void)state;
    FILE *file = open_golden("functional.txt");
    OctetShape shape = {4, {2, 4, 6, 6}};
    static Case c;
    int cases = 0;
    while (read_case(file, &c)) {
        uint8_t reversed[COUNT];
        OctetDiagnostic diagnostic = {0};
        OctetTensor *y = NULL;
        for (int i = 0; i < COUNT; i++) {
            reversed[i] = c.input[COUNT - 1 - i];
        }
        OctetTensor *x = tensor_of(c.input, &shape, c.in_scale, c.in_zero);
        OctetTensor *b = tensor_of(reversed, &shape, c.in_scale, c.in_zero);
        if (call(&c, x, b, &y, &diagnostic) != OCTET_OK) {
            fail_msg("%s: %s", c.name, diagnostic.message);
        }
        int by_one;
        int by_more;
        count_differences(&c, y, &by_one, &by_more);
        if (y->qparams.scale[0] != (float)c.out_scale || y->qparams.zero_point[0] != c.out_zero) {
            fail_msg("%s: the grid is %.9g, %d instead of %.9g, %d", c.name,
                     (double)y->qparams.scale[0], (int)y->qparams.zero_point[0], c.out_scale,
                     c.out_zero);
        }
        if (by_more > 0 || by_one > 0) {
            fail_msg("%s (%g, %d): %d of %zu differ by one, %d by more", c.name, c.in_scale,
                     c.in_zero, by_one, c.output_count, by_more);
        }
        octet_tensor_free(x);
        octet_tensor_free(b);
        octet_tensor_free(y);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 99);
}

static void refuses_what_is_not_quantized(void **state) {
    (void)state;
    OctetShape shape = {4, {1, 2, 3, 3}};
    OctetDiagnostic diagnostic = {0};
    OctetQOutput out = {.scale = 0.1f};
    OctetTensor *plain;
    OctetTensor *y = NULL;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &plain, NULL), OCTET_OK);
    assert_int_equal(octet_quantized_relu(plain, &y, &diagnostic), OCTET_ERROR_INVALID_ARGUMENT);
    assert_null(y);
    assert_non_null(strstr(diagnostic.message, "quantized"));
    assert_int_equal(octet_quantized_add(plain, plain, &out, &y, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    assert_int_equal(octet_quantized_mul_scalar(NULL, 2, &y, NULL), OCTET_ERROR_INVALID_ARGUMENT);
    octet_tensor_free(plain);
}

static void refuses_shapes_and_grids_that_do_not_fit(void **state) {
    (void)state;
    uint8_t bytes[36] = {0};
    OctetTensor *a = tensor_of(bytes, &(OctetShape){4, {1, 2, 3, 3}}, 0.1, 3);
    OctetTensor *b = tensor_of(bytes, &(OctetShape){4, {1, 3, 2, 2}}, 0.1, 3);
    OctetTensor *y = NULL;
    OctetDiagnostic diagnostic = {0};
    OctetQOutput out = {.scale = 0.1f};
    OctetQOutput wrong = {.scale = -1};
    assert_int_not_equal(octet_quantized_add(a, b, &out, &y, &diagnostic), OCTET_OK);
    assert_true(diagnostic.message[0] != 0);
    assert_null(y);
    assert_int_not_equal(octet_quantized_add(a, a, &wrong, &y, NULL), OCTET_OK);
    assert_int_equal(octet_quantized_conv1d(a, b, NULL, NULL, &out, &y, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(octet_quantized_adaptive_avg_pool(a, (int64_t[]){0, 1}, &y, NULL),
                     OCTET_ERROR_SHAPE);
    assert_int_equal(octet_quantized_mul_scalar(a, NAN, &y, NULL), OCTET_ERROR_NUMERIC);
    octet_tensor_free(a);
    octet_tensor_free(b);
}

/* A convolution by hand: weights with a zero point, a bias, relu. */
static void convolves(void **state) {
    (void)state;
    uint8_t pixels[9] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
    int8_t taps[4] = {1, -2, 3, 4};
    float w_scale = 0.5f;
    int32_t w_zero = 1;
    float bias = -60;
    OctetQParams grid = {
        .dtype = OCTET_S8, .axis = -1, .count = 1, .scale = &w_scale, .zero_point = &w_zero};
    OctetTensor *x = tensor_of(pixels, &(OctetShape){4, {1, 1, 3, 3}}, 1, 10);
    OctetTensor *w;
    OctetTensor *y = NULL;
    OctetQOutput out = {.scale = 1, .zero_point = 7};
    assert_int_equal(octet_tensor_create(OCTET_S8, &(OctetShape){4, {1, 1, 2, 2}}, &w, NULL),
                     OCTET_OK);
    memcpy(w->data, taps, sizeof taps);
    assert_int_equal(octet_tensor_set_qparams(w, &grid, NULL), OCTET_OK);
    assert_int_equal(octet_quantized_conv2d_relu(x, w, &bias, NULL, &out, &y, NULL), OCTET_OK);
    for (int i = 0; i < 4; i++) {
        const uint8_t *corner = pixels + i / 2 * 3 + i % 2;
        double sum = bias;
        sum += (corner[1] - 10) * (taps[1] - 1) * 0.5 + (corner[0] - 10) * (taps[0] - 1) * 0.5;
        sum += (corner[3] - 10) * (taps[2] - 1) * 0.5 + (corner[4] - 10) * (taps[3] - 1) * 0.5;
        double expected = sum < 0 ? 7 : fmin(255, nearbyint(sum) + 7);
        assert_int_equal(((uint8_t *)y->data)[i], (int)expected);
    }
    octet_tensor_free(x);
    octet_tensor_free(w);
    octet_tensor_free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_pytorchs_bytes),
        cmocka_unit_test(refuses_what_is_not_quantized),
        cmocka_unit_test(refuses_shapes_and_grids_that_do_not_fit),
        cmocka_unit_test(convolves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
