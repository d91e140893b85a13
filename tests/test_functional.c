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

enum { MOST_IN = 1 << 10, MOST_OUT = 1 << 13, CHANNELS = 4, MOST_WEIGHTS = 1 << 10 };

typedef struct Case {
    char name[32];
    double in_scale, out_scale;
    int in_zero, out_zero;
    double numbers[6];
    OctetShape shape;
    uint8_t input[MOST_IN], output[MOST_OUT];
    size_t input_count, output_count;
} Case;

static size_t read_hex(const char *text, uint8_t *bytes, size_t most) {
    size_t count = 0;
    unsigned value;
    while (count < most && sscanf(text + 2 * count, "%2x", &value) == 1) {
        bytes[count++] = (uint8_t)value;
    }
    return count;
}

static bool read_case(FILE *file, Case *c) {
    static char input[2 * MOST_IN + 1], output[2 * MOST_OUT + 1], numbers[256], shape[64];
    memset(c, 0, sizeof *c);
    if (fscanf(file, "%31s %lf %d %lf %d %255s %63s %2048s %16384s", c->name, &c->in_scale,
               &c->in_zero, &c->out_scale, &c->out_zero, numbers, shape, input, output) != 9) {
        return false;
    }
    char *at = numbers;
    bool any = strcmp(numbers, "-") != 0;
    for (int i = 0; i < 6 && any && *at; i++) {
        c->numbers[i] = strtod(at, &at);
        at += *at == ',';
    }
    for (at = shape; *at; at += *at == 'x') {
        c->shape.dims[c->shape.rank++] = strtol(at, &at, 10);
    }
    c->input_count = read_hex(input, c->input, sizeof c->input);
    c->output_count = read_hex(output, c->output, sizeof c->output);
    return true;
}

/* low, low + step, ... in a circle of seven, as the script has it. */
static void line_of(float *line, int count, double step, double low) {
    for (int i = 0; i < count; i++) {
        line[i] = (float)(low + step * (i % 7));
    }
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
    float scale[CHANNELS], shift[CHANNELS], mean[CHANNELS], variance[CHANNELS], area[2][MOST_IN];
    line_of(scale, CHANNELS, 0.375, -0.75);
    line_of(shift, CHANNELS, 0.25, -0.5);
    line_of(mean, CHANNELS, 0.1, -0.2);
    line_of(variance, CHANNELS, 0.3, 0.25);
    line_of(area[0], MOST_IN, 0.25, 0.5);
    line_of(area[1], MOST_IN, 0.25, -1);
    if (strcmp(c->name, "batch_norm") == 0) {
        return octet_quantized_batch_norm(x, scale, shift, mean, variance, 1e-5f, out, y, d);
    }
    if (strcmp(c->name, "layer_norm") == 0) {
        return octet_quantized_layer_norm(x, -2, area[0], area[1], 1e-5f, out, y, d);
    }
    return strcmp(c->name, "group_norm") == 0
               ? octet_quantized_group_norm(x, 2, scale, shift, 1e-5f, out, y, d)
               : octet_quantized_instance_norm(x, scale, shift, 1e-5f, out, y, d);
}

static OctetStatus layer(const Case *c, const OctetTensor *x, const OctetQOutput *out,
                         OctetTensor **y, OctetDiagnostic *d) {
    bool linear = strcmp(c->name, "linear") == 0;
    int32_t spatial = linear ? 0 : x->shape.rank - 2, zero_point = 0;
    int32_t outputs = linear ? 6 : 5;
    float w_scale = 0.0078125f, bias[6];
    OctetQParams grid = {
        .dtype = OCTET_S8, .axis = -1, .count = 1, .scale = &w_scale, .zero_point = &zero_point};
    OctetShape shape = {spatial + 2, {outputs, x->shape.dims[1]}};
    OctetConvOptions options = {0};
    OctetTensor *weight;
    for (int32_t i = 0; i < spatial; i++) {
        shape.dims[i + 2] = 3;
        options.stride[i] = 2;
        options.padding[i] = 1;
    }
    assert_int_equal(octet_tensor_create(OCTET_S8, &shape, &weight, NULL), OCTET_OK);
    for (size_t k = 0; k < weight->bytes; k++) {
        ((int8_t *)weight->data)[k] = (int8_t)((int)(k * 37 % 251) - 125);
    }
    for (int i = 0; i < outputs; i++) {
        bias[i] = (float)((i * 13 % 11 - 5) * 0.3);
    }
    assert_int_equal(octet_tensor_set_qparams(weight, &grid, NULL), OCTET_OK);
    OctetStatus status =
        linear         ? octet_quantized_linear(x, weight, bias, out, y, d)
        : spatial == 1 ? octet_quantized_conv1d(x, weight, bias, &options, out, y, d)
        : spatial == 2 ? octet_quantized_conv2d(x, weight, bias, &options, out, y, d)
                       : octet_quantized_conv3d(x, weight, bias, &options, out, y, d);
    octet_tensor_free(weight);
    return status;
}

/* The script gives pads as torch takes them: width first. */
static OctetStatus pad(const Case *c, const OctetTensor *x, OctetTensor **y, OctetDiagnostic *d) {
    const double *n = c->numbers;
    return octet_quantized_pad(x, (int64_t[]){0, 0, (int64_t)n[2], (int64_t)n[0]},
                               (int64_t[]){0, 0, (int64_t)n[3], (int64_t)n[1]}, (float)n[4], y, d);
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
           : IS("bilinear") ? octet_quantized_interpolate(x, sizes, "bilinear", n[2] != 0, y, d)
           : IS("prelu")    ? octet_quantized_prelu(x, (float[]){(float)n[0]}, 1, &out, y, d)
           : IS("pixel_shuffle") ? octet_quantized_pixel_shuffle(x, sizes[0], y, d)
           : IS("pad")           ? pad(c, x, y, d)
           : IS("mul_relu")      ? octet_quantized_mul_relu(x, b, &out, y, d)
           : IS("matmul")        ? octet_quantized_matmul(x, b, &out, y, d)
           : IS("linear") || strncmp(c->name, "conv", 4) == 0 ? layer(c, x, &out, y, d)
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
    static Case c;
    int cases = 0, different = 0;
    size_t bytes = 0;
    while (read_case(file, &c)) {
        uint8_t reversed[MOST_IN];
        OctetDiagnostic diagnostic = {0};
        OctetTensor *y = NULL;
        for (size_t i = 0; i < c.input_count; i++) {
            reversed[i] = c.input[c.input_count - 1 - i];
        }
        OctetTensor *x = tensor_of(c.input, &c.shape, c.in_scale, c.in_zero);
        OctetTensor *b = tensor_of(reversed, &c.shape, c.in_scale, c.in_zero);
        assert_int_equal(x->bytes, c.input_count);
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
            print_message("%s (%g, %d): %d of %zu differ by one, %d by more\n", c.name, c.in_scale,
                          c.in_zero, by_one, c.output_count, by_more);
            different++;
        }
        octet_tensor_free(x);
        octet_tensor_free(b);
        octet_tensor_free(y);
        bytes += c.output_count;
        cases++;
    }
    assert_true(feof(file));
    fclose(file);
    print_message("%d of %d calls (%zu bytes) differ\n", different, cases, bytes);
    assert_true(cases >= 4 * 42);
    assert_int_equal(different, 0);
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
