/* quantize, dequantize and printing against PyTorch 1.13 (scripts/golden_requantize.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "octet/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 20, MAX_TEXT = 1 << 16, MAX_VALUES = 4096 };

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int read_floats(const char *text, float *values) {
    int count = 0;
    char *end;
    for (; *text && *text != '-'; text = *end ? end + 1 : end) {
        values[count++] = from_bits((uint32_t)strtoul(text, &end, 16));
    }
    return count;
}

static int read_integers(const char *text, int32_t *values) {
    int count = 0;
    char *end;
    if (strcmp(text, "-") == 0) {
        return 0;
    }
    for (; *text; text = *end ? end + 1 : end) {
        values[count++] = (int32_t)strtol(text, &end, 10);
    }
    return count;
}

static OctetShape read_shape(const char *text) {
    OctetShape shape = {0};
    char *end;
    if (strcmp(text, "scalar") == 0) {
        return shape;
    }
    for (; *text; text = *end ? end + 1 : end) {
        shape.dims[shape.rank++] = strtol(text, &end, 10);
    }
    return shape;
}

static int32_t element(const OctetTensor *tensor, int index) {
    switch (tensor->dtype) {
    case OCTET_U8:
        return ((const uint8_t *)tensor->data)[index];
    case OCTET_S8:
        return ((const int8_t *)tensor->data)[index];
    default:
        return ((const int32_t *)tensor->data)[index];
    }
}

/* Fields of a line, cut in place. */
static int cut(char *line, char **fields, int most) {
    int count = 0;
    char *save = NULL;
    for (char *field = strtok_r(line, " \n", &save); field && count < most;
         field = strtok_r(NULL, " \n", &save)) {
        fields[count++] = field;
    }
    return count;
}

static void quantized_values_equal_torch(void **state) {
    (void)state;
    static char line[MAX_LINE];
    static float scales[MAX_VALUES], values[MAX_VALUES], dequantized[MAX_VALUES];
    static int32_t zero_points[MAX_VALUES], integers[MAX_VALUES];
    FILE *file = open_golden("quantize.txt");
    int cases = 0;
    while (fgets(line, sizeof line, file)) {
        char *fields[8];
        OctetDType dtype;
        OctetTensor *real, *quantized, *back, *plain;
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(cut(line, fields, 8), 8);
        assert_true(octet_qdtype_parse(fields[0], &dtype));
        int axis = atoi(fields[1]);
        OctetShape shape = read_shape(fields[2]);
        read_floats(fields[3], scales);
        read_integers(fields[4], zero_points);
        int count = read_floats(fields[5], values);
        assert_int_equal(read_integers(fields[6], integers), count);
        assert_int_equal(read_floats(fields[7], dequantized), count);
        assert_int_equal(
            octet_tensor_wrap(OCTET_F32, &shape, values, count * sizeof(float), &real, NULL),
            OCTET_OK);
        OctetStatus status = axis < 0 ? octet_quantize_per_tensor(real, scales[0], zero_points[0],
                                                                  dtype, &quantized, NULL)
                                      : octet_quantize_per_channel(real, scales, zero_points, axis,
                                                                   dtype, &quantized, NULL);
        assert_int_equal(status, OCTET_OK);
        assert_int_equal(octet_dequantize(quantized, &back, NULL), OCTET_OK);
        assert_int_equal(octet_int_repr(quantized, &plain, NULL), OCTET_OK);
        assert_int_equal(plain->qparams.dtype, OCTET_DTYPE_NONE);
        for (int i = 0; i < count; i++) {
            assert_int_equal(element(quantized, i), integers[i]);
            assert_int_equal(element(plain, i), integers[i]);
        }
        assert_memory_equal(back->data, dequantized, count * sizeof(float));
        octet_tensor_free(real);
        octet_tensor_free(quantized);
        octet_tensor_free(back);
        octet_tensor_free(plain);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 72);
}

/* The quantized tensor that a line of print.txt describes. */
static OctetTensor *described(char **fields) {
    static float scales[MAX_VALUES];
    static int32_t zero_points[MAX_VALUES], integers[MAX_VALUES];
    OctetDType dtype;
    OctetTensor *tensor;
    assert_true(octet_qdtype_parse(fields[1], &dtype));
    OctetShape shape = read_shape(fields[3]);
    OctetQParams qparams = {.dtype = dtype,
                            .axis = atoi(fields[2]),
                            .count = read_floats(fields[4], scales),
                            .scale = scales,
                            .zero_point = zero_points};
    read_integers(fields[5], zero_points);
    int count = read_integers(fields[6], integers);
    assert_int_equal(octet_tensor_create(dtype, &shape, &tensor, NULL), OCTET_OK);
    assert_int_equal(octet_tensor_set_qparams(tensor, &qparams, NULL), OCTET_OK);
    for (int i = 0; i < count; i++) {
        if (dtype == OCTET_S32) {
            ((int32_t *)tensor->data)[i] = integers[i];
        } else {
            ((uint8_t *)tensor->data)[i] = (uint8_t)integers[i];
        }
    }
    return tensor;
}

static void printing_equals_torch(void **state) {
    (void)state;
    static char line[MAX_LINE], expected[MAX_TEXT], copy[MAX_LINE];
    FILE *file = open_golden("print.txt");
    int cases = 0;
    while (fgets(line, sizeof line, file)) {
        char *fields[7], *text;
        OctetTensor *shown = NULL;
        size_t length = 0;
        if (line[0] == '#') {
            continue;
        }
        strcpy(copy, line);
        assert_int_equal(cut(copy, fields, 7), 7);
        OctetTensor *tensor = described(fields);
        if (fields[0][0] == 'i') {
            assert_int_equal(octet_int_repr(tensor, &shown, NULL), OCTET_OK);
        } else if (fields[0][0] == 'f') {
            assert_int_equal(octet_dequantize(tensor, &shown, NULL), OCTET_OK);
        }
        while (fgets(line, sizeof line, file) && strcmp(line, ".\n") != 0) {
            strcpy(expected + length, line);
            length += strlen(line);
        }
        expected[length - 1] = '\0';
        assert_int_equal(octet_tensor_format(shown ? shown : tensor, &text, NULL), OCTET_OK);
        assert_string_equal(text, expected);
        octet_string_free(text);
        octet_tensor_free(shown);
        octet_tensor_free(tensor);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 117);
}

/* Floats that torch prints in ways that dequantized tensors never need; copied from Python. */
static void printing_of_odd_floats(void **state) {
    (void)state;
    static const struct {
        float values[4];
        const char *text;
    } cases[] = {
        {{1.0F, 0.0F, -2.0F, 1e6F}, "tensor([ 1.0000e+00,  0.0000e+00, -2.0000e+00,  1.0000e+06])"},
        {{1e-5F, 0.5F, 0.0F, 1.0F}, "tensor([1.0000e-05, 5.0000e-01, 0.0000e+00, 1.0000e+00])"},
        {{1.0F, 2.0F, 300.0F, -4.0F}, "tensor([  1.,   2., 300.,  -4.])"},
        {{0.0F, 0.0F, 0.0F, 0.0F}, "tensor([0., 0., 0., 0.])"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const OctetShape shape = {.rank = 1, .dims = {4}};
        OctetTensor *tensor;
        char *text;
        assert_int_equal(octet_tensor_wrap(OCTET_F32, &shape, (void *)cases[i].values,
                                           4 * sizeof(float), &tensor, NULL),
                         OCTET_OK);
        assert_int_equal(octet_tensor_format(tensor, &text, NULL), OCTET_OK);
        assert_string_equal(text, cases[i].text);
        octet_string_free(text);
        octet_tensor_free(tensor);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantized_values_equal_torch),
        cmocka_unit_test(printing_equals_torch),
        cmocka_unit_test(printing_of_odd_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
