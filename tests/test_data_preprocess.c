/* Preprocessing as text, on images and on arrays; label files. */
#include "data/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGES OCTET_SOURCE_DIR "/tests/data/images/"

static void test_text(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"raw", "resize=none divide=1 mean=0 std=1"},
        {"unit", "resize=none divide=255 mean=0 std=1"},
        {"imagenet", "resize=256 crop=224 channels=rgb divide=255 mean=0.485,0.456,0.406 "
                     "std=0.229,0.224,0.225"},
        {"caffe", "resize=256 crop=224 channels=bgr divide=1 mean=104,117,123 std=1"},
        {"imagenet crop=none resize=320x240 channels=gray mean=0.1 std=0.3 floats=1",
         "resize=320x240 channels=gray divide=255 mean=0.1 std=0.3 floats=1"},
        {"divide=0.333333343 mean=1e-8,-5", "resize=none divide=0.33333334 mean=1e-08,-5 std=1"},
        {"", "resize=none divide=1 mean=0 std=1"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        OctetPreprocess first, second;
        char text[256], again[256], small[8];
        assert_int_equal(octet_preprocess_parse(texts[i][0], &first, NULL), OCTET_OK);
        int length = octet_preprocess_format(&first, text, sizeof text);
        assert_string_equal(text, texts[i][1]);
        assert_int_equal(length, strlen(text));
        assert_int_equal(octet_preprocess_parse(text, &second, NULL), OCTET_OK);
        octet_preprocess_format(&second, again, sizeof again);
        assert_string_equal(text, again);
        assert_int_equal(octet_preprocess_format(&first, small, sizeof small), length);
        assert_int_equal(strlen(small), sizeof small - 1);
        assert_int_equal(octet_preprocess_format(&first, NULL, 0), length);
    }
}

static void test_bad_text(void **state) {
    (void)state;
    static const char *const texts[] = {
        "image",        "resize=",        "resize=-1", "resize=12x",  "resize=1.5",
        "crop=x",       "channels=xyz",   "divide=0",  "divide=nan",  "divide=1,2",
        "mean=1,,2",    "mean=1,2,3,4,5", "mean=",     "std=0",       "std=1,0,1",
        "color=rgb",    "floats=yes",     "mean=1;2",  "divide=1e99", "crop=99999999999",
        "resize=10x10x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        OctetPreprocess preprocess;
        OctetDiagnostic diagnostic = {0};
        assert_int_equal(octet_preprocess_parse(texts[i], &preprocess, &diagnostic),
                         OCTET_ERROR_INVALID_ARGUMENT);
        assert_true(diagnostic.message[0] != '\0');
    }
}

static OctetPreprocess parse(const char *text) {
    OctetPreprocess preprocess;
    assert_int_equal(octet_preprocess_parse(text, &preprocess, NULL), OCTET_OK);
    return preprocess;
}

static OctetDataInput input_of(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (OctetDataInput){
        .name = "x", .dtype = OCTET_F32, .shape = {.rank = rank, .dims = {a, b, c, d}}};
}

static OctetTensor *image(const char *text, OctetDataInput input) {
    OctetPreprocess preprocess = parse(text);
    OctetTensor *tensor = NULL;
    (void)octet_image_read(IMAGES "rgb.png", &preprocess, &input, &tensor, NULL);
    return tensor;
}

static void test_image(void **state) {
    (void)state;
    OctetTensor *pixels; /* 17 x 23 x 3 */
    assert_int_equal(octet_npy_read(IMAGES "rgb.png.npy", &pixels, NULL), OCTET_OK);
    const uint8_t *wanted = pixels->data;
    static const float mean[] = {0.5f, 0.25f, 0.125f};
    static const float deviation[] = {2.0f, 3.0f, 4.0f};
    for (int last = 0; last < 2; last++) {
        for (int reverse = 0; reverse < 2; reverse++) {
            OctetDataInput input = last ? input_of(4, -1, 17, 23, 3) : input_of(4, 1, 3, -2, -3);
            char text[128];
            snprintf(text, sizeof text, "channels=%s divide=255 mean=0.5,0.25,0.125 std=2,3,4",
                     reverse ? "bgr" : "rgb");
            OctetTensor *tensor = image(text, input);
            assert_non_null(tensor);
            assert_int_equal(tensor->shape.rank, 4);
            assert_int_equal(tensor->shape.dims[last ? 1 : 2], 17);
            const float *values = tensor->data;
            for (size_t i = 0; i < 17 * 23; i++) {
                for (size_t c = 0; c < 3; c++) {
                    float x = wanted[3 * i + (reverse ? 2 - c : c)];
                    x = x / 255.0f;
                    x = x - mean[c];
                    x = x / deviation[c];
                    assert_true(values[last ? 3 * i + c : c * 17 * 23 + i] == x);
                }
            }
            octet_tensor_free(tensor);
        }
    }
    octet_tensor_free(pixels);
}

static void test_image_shapes(void **state) {
    (void)state;
    OctetTensor *tensor = image("raw", input_of(4, -1, 3, 32, 48)); /* scaled to the model's size */
    assert_int_equal(tensor->shape.dims[2], 32);
    assert_int_equal(tensor->shape.dims[3], 48);
    octet_tensor_free(tensor);
    tensor = image("raw", input_of(3, 1, 8, 8, 0)); /* no batch, gray */
    assert_int_equal(tensor->shape.rank, 3);
    assert_int_equal(tensor->bytes, 8 * 8 * 4);
    octet_tensor_free(tensor);
    tensor = image("resize=20 crop=16", input_of(4, -1, 3, 16, 16));
    assert_int_equal(tensor->shape.dims[3], 16);
    octet_tensor_free(tensor);
    tensor = image("crop=10", input_of(4, -1, 3, 30, 30)); /* crop first, then the model's size */
    assert_int_equal(tensor->shape.dims[3], 30);
    octet_tensor_free(tensor);
    OctetDataInput unknown = {.name = "x", .dtype = OCTET_F32, .shape = {.rank = -1}};
    tensor = image("raw", unknown);
    assert_int_equal(tensor->shape.dims[1], 3);
    octet_tensor_free(tensor);
    unknown.dtype = OCTET_U8;
    tensor = image("raw", unknown);
    assert_int_equal(tensor->dtype, OCTET_U8);
    octet_tensor_free(tensor);
    assert_null(image("resize=20 crop=18", input_of(4, -1, 3, 16, 16)));
    assert_null(image("channels=gray", input_of(4, -1, 3, 16, 16)));
    assert_null(image("mean=1,2", input_of(4, -1, 3, 16, 16)));
    assert_null(image("raw", input_of(2, -1, 640, 0, 0)));
    assert_null(image("raw", input_of(4, -1, 5, 16, 16)));
}

/* Resizing and cutting while decoding gives what doing it afterwards gives. */
static void test_resize_and_crop(void **state) {
    (void)state;
    static const int32_t cases[][3] = {{10, 8, 5}, {30, 8, 5},  {23, 9, 6}, {11, 17, 8},
                                       {40, 6, 9}, {5, 30, 12}, {9, 9, 9},  {23, 17, 4}};
    for (size_t i = 0; i < 8; i++) {
        const int32_t *c = cases[i];
        char text[128];
        OctImage wanted;
        OctetTensor *pixels;
        assert_int_equal(octet_npy_read(IMAGES "rgb.png.npy", &pixels, NULL), OCTET_OK);
        assert_int_equal(oct_image_create(23, 17, 3, &wanted, NULL), OCTET_OK);
        memcpy(wanted.pixels, pixels->data, pixels->bytes);
        octet_tensor_free(pixels);
        assert_int_equal(oct_image_resize(&wanted, c[0], c[1], NULL), OCTET_OK);
        assert_int_equal(oct_image_center_crop(&wanted, c[2], c[2], NULL), OCTET_OK);
        snprintf(text, sizeof text, "resize=%dx%d crop=%d", c[0], c[1], c[2]);
        OctetTensor *tensor = image(text, input_of(4, -1, -1, -1, 3));
        assert_non_null(tensor);
        for (size_t k = 0; k < (size_t)(c[2] * c[2] * 3); k++) {
            assert_true(((float *)tensor->data)[k] == wanted.pixels[k]);
        }
        octet_tensor_free(tensor);
        oct_image_free(&wanted);
    }
}

static OctetTensor *array(OctetDType dtype, OctetShape shape) {
    OctetTensor *ramp, *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &ramp, NULL), OCTET_OK);
    for (size_t i = 0; i < ramp->bytes / 4; i++) {
        ((float *)ramp->data)[i] = (float)i;
    }
    assert_int_equal(octet_tensor_cast(ramp, dtype, &tensor, NULL), OCTET_OK);
    octet_tensor_free(ramp);
    return tensor;
}

static void test_array_values(void **state) {
    (void)state;
    OctetPreprocess preprocess = parse("imagenet mean=1,2 std=2,4 divide=8 channels=bgr");
    OctetDataInput input = input_of(4, -1, 2, 2, 2);
    OctetShape shape = {.rank = 4, .dims = {2, 2, 2, 2}};
    for (int floats = 0; floats < 3; floats++) {
        OctetTensor *tensor = array(floats ? OCTET_F32 : OCTET_U8, shape);
        preprocess.float_arrays = floats == 2;
        assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_OK);
        assert_int_equal(tensor->dtype, OCTET_F32);
        for (int i = 0; i < 16; i++) {
            int channel = i / 4 % 2; /* arrays keep their order of channels */
            float scaled = ((float)i / 8 - (float)(channel + 1)) / (channel ? 4.0f : 2.0f);
            assert_true(((float *)tensor->data)[i] == (floats == 1 ? (float)i : scaled));
        }
        octet_tensor_free(tensor);
    }
    /* channels last, and a wrong number of them */
    preprocess = parse("mean=1,2,3");
    input = input_of(4, -1, 4, 4, 3);
    OctetTensor *tensor = array(OCTET_U8, (OctetShape){.rank = 4, .dims = {1, 4, 4, 3}});
    assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_OK);
    assert_true(((float *)tensor->data)[5] == 5.0f - 3.0f);
    octet_tensor_free(tensor);
    input = input_of(4, -1, 4, 4, 4);
    tensor = array(OCTET_U8, (OctetShape){.rank = 4, .dims = {1, 4, 4, 4}});
    assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(tensor->dtype, OCTET_U8);
    octet_tensor_free(tensor);
}

static void test_array_shapes(void **state) {
    (void)state;
    static const struct {
        OctetShape have, want;
        int64_t batch; /* 0: they don't fit */
    } cases[] = {
        {{4, {5, 3, 4, 6}}, {4, {-1, 3, -2, 6}}, 5},
        {{4, {5, 3, 4, 6}}, {4, {1, 3, 4, 6}}, 5}, /* the batch is the session's affair */
        {{3, {1, 28, 28}}, {4, {1, 1, 28, 28}}, 1},
        {{3, {7, 28, 28}}, {4, {-1, 1, 28, 28}}, 7},
        {{2, {28, 28}}, {4, {-1, 1, 28, 28}}, 1}, /* one sample without a batch */
        {{2, {1, 784}}, {4, {-1, 1, 28, 28}}, 1},
        {{4, {2, 1, 28, 28}}, {2, {-1, 784}}, 2},
        {{1, {640}}, {2, {-1, 640}}, 1},
        {{4, {1, 32, 32, 3}}, {4, {-1, 3, 32, 32}}, 0}, /* another layout, not another grouping */
        {{4, {1, 3, 31, 32}}, {4, {-1, 3, 32, 32}}, 0},
        {{2, {3, 4}}, {2, {-1, 6}}, 0},
        {{2, {3, 4}}, {2, {-1, 2}}, 0},
        {{0, {0}}, {1, {1}}, 1},
    };
    OctetPreprocess preprocess = parse("raw");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OctetTensor *tensor = array(OCTET_F32, cases[i].have);
        OctetDataInput input = {.name = "x", .dtype = OCTET_F32, .shape = cases[i].want};
        OctetStatus status = octet_array_prepare(&tensor, &preprocess, &input, NULL);
        assert_int_equal(status, cases[i].batch ? OCTET_OK : OCTET_ERROR_SHAPE);
        if (cases[i].batch) {
            assert_int_equal(tensor->shape.rank, cases[i].want.rank);
            assert_int_equal(tensor->shape.dims[0], cases[i].batch);
        } else {
            assert_true(octet_shape_equal(&tensor->shape, &cases[i].have));
        }
        octet_tensor_free(tensor);
    }
}

static void test_array_types(void **state) {
    (void)state;
    OctetPreprocess preprocess = parse("unit");
    OctetDataInput input = {.name = "x", .dtype = OCTET_S64, .shape = {.rank = -1}};
    OctetShape shape = {.rank = 2, .dims = {2, 3}};
    OctetTensor *tensor = array(OCTET_F32, shape);
    assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_OK);
    assert_int_equal(((int64_t *)tensor->data)[5], 5); /* not divided: these are no pixels */
    octet_tensor_free(tensor);
    tensor = array(OCTET_F32, shape);
    ((float *)tensor->data)[4] = 0.5f;
    assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(tensor->dtype, OCTET_F32);
    octet_tensor_free(tensor);
    tensor = array(OCTET_S32, shape);
    assert_int_equal(octet_array_prepare(&tensor, &preprocess, &input, NULL), OCTET_OK);
    octet_tensor_free(tensor);
}

static OctetStatus read_labels(const char *text, OctetLabels **labels) {
    char path[] = "/tmp/octet-labels-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
    OctetStatus status = octet_labels_read(path, labels, NULL);
    unlink(path);
    return status;
}

static void test_labels(void **state) {
    (void)state;
    OctetLabels *labels;
    int64_t label;
    assert_int_equal(read_labels("3\r\n0\n\n 12 \n", &labels), OCTET_OK);
    assert_int_equal(octet_labels_count(labels), 3);
    assert_true(octet_labels_find(labels, "any.png", 2, &label));
    assert_int_equal(label, 12);
    assert_false(octet_labels_find(labels, NULL, 3, &label));
    assert_false(octet_labels_find(labels, NULL, -1, &label));
    octet_labels_free(labels);

    assert_int_equal(read_labels("z.png 4\na/b c.png\t5\nd.png,6", &labels), OCTET_OK);
    assert_true(octet_labels_find(labels, "b c.png", 77, &label));
    assert_int_equal(label, 5);
    assert_true(octet_labels_find(labels, "x/z.png", 77, &label));
    assert_int_equal(label, 4);
    assert_true(octet_labels_find(labels, "d.png", 0, &label));
    assert_int_equal(label, 6);
    assert_false(octet_labels_find(labels, "none.png", 0, &label));
    assert_false(octet_labels_find(labels, NULL, 0, &label));
    octet_labels_free(labels);

    static const char *const bad[] = {"",
                                      "\n\n",
                                      "cat\n",
                                      "1\na.png 2\n",
                                      "-1\n",
                                      "1.5\n",
                                      "99999999999999999999\n",
                                      "a.png 2\n3\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_labels(bad[i], &labels), OCTET_ERROR_FORMAT);
        assert_null(labels);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_image_shapes),
        cmocka_unit_test(test_resize_and_crop),
        cmocka_unit_test(test_array_values),
        cmocka_unit_test(test_array_shapes),
        cmocka_unit_test(test_array_types),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
