/* Images against what Pillow makes of the same files (tests/data/make.py). */
#include "octet/data.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES OCTET_SOURCE_DIR "/tests/data/images/"

static const char *const names[] = {
    "rgb.png",
    "rgba.png",
    "gray.png",
    "gray_alpha.png",
    "bits1.png",
    "palette4.png",
    "rgb16.png",
    "gray16.png",
    "rgb.jpg",
    "gray.jpg",
    "cmyk.jpg",
    "progressive.jpg",
    "palette_transparent.png",
};
enum { NAMES = sizeof names / sizeof *names };

static OctetStatus plan_channels(void *user, int32_t width, int32_t height, OctRowPlan *plan,
                                 OctetDiagnostic *diagnostic) {
    (void)height;
    (void)diagnostic;
    *plan = (OctRowPlan){*(int32_t *)user, width, 0, width};
    return OCTET_OK;
}

static OctetStatus decode_file(const char *name, const OctRowPlanner *planner, OctImage *image) {
    char path[512];
    uint8_t *data;
    size_t bytes;
    snprintf(path, sizeof path, IMAGES "%s", name);
    assert_int_equal(oct_file_read(path, 1 << 20, &data, &bytes, NULL), OCTET_OK);
    OctetStatus status = oct_image_decode(data, bytes, planner, image, NULL);
    oct_free(data);
    return status;
}

static void compare(const OctImage *image, const char *array, int tolerance) {
    char path[512];
    OctetTensor *wanted;
    snprintf(path, sizeof path, IMAGES "%s.npy", array);
    assert_int_equal(octet_npy_read(path, &wanted, NULL), OCTET_OK);
    assert_int_equal(wanted->shape.dims[0], image->height);
    assert_int_equal(wanted->shape.dims[1], image->width);
    assert_int_equal(wanted->shape.dims[2], image->channels);
    const uint8_t *pixels = wanted->data;
    for (size_t i = 0; i < wanted->bytes; i++) {
        assert_in_range(image->pixels[i] + tolerance, pixels[i], pixels[i] + 2 * tolerance);
    }
    octet_tensor_free(wanted);
}

static void test_decode(void **state) {
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        OctImage image;
        int32_t channels = 3;
        OctRowPlanner planner = {plan_channels, &channels};
        assert_int_equal(decode_file(names[i], &planner, &image), OCTET_OK);
        /* another version of the JPEG library may round its transform otherwise */
        compare(&image, names[i], strstr(names[i], ".jpg") ? 2 : 0);
        oct_image_free(&image);
    }
}

static void test_resize(void **state) {
    (void)state;
    static const int32_t sizes[][2] = {{7, 5}, {64, 40}, {23, 4}};
    for (size_t i = 0; i < 3; i++) {
        OctImage image;
        char name[64];
        assert_int_equal(decode_file("rgb.png", NULL, &image), OCTET_OK);
        assert_int_equal(oct_image_resize(&image, sizes[i][0], sizes[i][1], NULL), OCTET_OK);
        snprintf(name, sizeof name, "resized_%dx%d", sizes[i][0], sizes[i][1]);
        compare(&image, name, 0);
        oct_image_free(&image);
    }
}

/* The long side is rounded to nearest, a half to even. */
static void test_short_side(void **state) {
    (void)state;
    static const int32_t cases[][5] = {{500, 375, 256, 341, 256}, {375, 500, 256, 256, 341},
                                       {256, 256, 256, 256, 256}, {3, 10, 7, 7, 23},
                                       {333, 500, 256, 256, 384}, {512, 641, 256, 256, 320},
                                       {643, 512, 256, 322, 256}, {1, 65535, 1, 1, 65535}};
    int32_t width, height;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t *c = cases[i];
        assert_true(oct_image_short_side_size(c[0], c[1], c[2], &width, &height));
        assert_int_equal(width, c[3]);
        assert_int_equal(height, c[4]);
    }
    assert_false(oct_image_short_side_size(1, 65535, 65535, &width, &height));
}

/* Offsets are rounded half to even; what is missing is black and split with the odd pixel behind.
 */
static void test_crop(void **state) {
    (void)state;
    static const struct {
        int32_t length, crop, first;
    } cases[] = {{10, 4, 3}, {9, 4, 2}, {11, 4, 3}, {4, 4, 0}, {4, 5, 0}, {4, 7, -1}};
    for (size_t i = 0; i < 6; i++) {
        OctImage image;
        assert_int_equal(oct_image_create(cases[i].length, 1, 1, &image, NULL), OCTET_OK);
        for (int32_t x = 0; x < image.width; x++) {
            image.pixels[x] = (uint8_t)(x + 1);
        }
        assert_int_equal(oct_image_center_crop(&image, cases[i].crop, 1, NULL), OCTET_OK);
        for (int32_t x = 0; x < cases[i].crop; x++) {
            int32_t from = cases[i].first + x;
            int32_t wanted = from >= 0 && from < cases[i].length ? from + 1 : 0;
            assert_int_equal(image.pixels[x], wanted);
        }
        oct_image_free(&image);
    }
}

static void test_limits(void **state) {
    (void)state;
    OctImage image;
    assert_int_equal(oct_image_create(20000, 20000, 3, &image, NULL), OCTET_ERROR_LIMIT);
    assert_int_equal(oct_image_create(70000, 1, 3, &image, NULL), OCTET_ERROR_LIMIT);
    assert_int_equal(oct_image_create(0, 1, 3, &image, NULL), OCTET_ERROR_LIMIT);
    assert_null(image.pixels);
    assert_false(octet_is_image(IMAGES "rgb.png.npy"));
    assert_false(octet_is_image(IMAGES "none.png"));
    assert_true(octet_is_image(IMAGES "rgb.png"));
    assert_true(octet_is_image(IMAGES "cmyk.jpg"));
}

/* Cut anywhere a file is an error; with a byte changed it is an error or an image. */
static void test_hostile(void **state) {
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        char path[512];
        uint8_t *data;
        size_t bytes;
        OctImage image;
        snprintf(path, sizeof path, IMAGES "%s", names[i]);
        assert_int_equal(oct_file_read(path, 1 << 20, &data, &bytes, NULL), OCTET_OK);
        for (size_t at = 0; at < bytes; at++) {
            data[at] ^= 0xff;
            (void)oct_image_decode(data, bytes, NULL, &image, NULL);
            oct_image_free(&image);
            data[at] ^= 0xff;
            /* a PNG's last chunks carry nothing that is needed, a JPEG's end marker is two bytes */
            bool needed = at + (strstr(path, ".jpg") ? 2 : 16) < bytes;
            OctetStatus status = oct_image_decode(data, at, NULL, &image, NULL);
            if (needed) {
                assert_int_not_equal(status, OCTET_OK);
                assert_null(image.pixels);
            }
            oct_image_free(&image);
        }
        oct_free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_resize),
        cmocka_unit_test(test_short_side), cmocka_unit_test(test_crop),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
