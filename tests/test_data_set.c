/* Data sets: what kinds there are, order, skipping, several threads. */
#include "octet/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA OCTET_SOURCE_DIR "/tests/data/"

static char folder[] = "/tmp/octet-set-XXXXXX";
static char logged[2048];

static void keep_log(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)user;
    snprintf(logged, sizeof logged, "%s", message);
}

static int set_up(void **state) {
    (void)state;
    octet_set_log_callback(keep_log, NULL, OCTET_LOG_WARNING);
    return mkdtemp(folder) ? 0 : -1;
}

static void in_shell(const char *format, const char *a, const char *b) {
    char command[1024];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int tear_down(void **state) {
    (void)state;
    in_shell("rm -r '%s'%s", folder, "");
    return 0;
}

static OctetStatus open_set(const char *path, const OctetDataInput *inputs, int32_t count,
                            bool strict, OctetDataset **dataset, OctetDiagnostic *diagnostic) {
    OctetDatasetOptions options = {.inputs = inputs, .input_count = count, .strict = strict};
    assert_true(octet_preprocess_preset("raw", &options.preprocess));
    return octet_dataset_open(path, &options, dataset, diagnostic);
}

static const OctetDataInput picture = {
    .name = "x", .dtype = OCTET_F32, .shape = {.rank = 4, .dims = {-1, 3, 8, 8}}};

static void test_images(void **state) {
    (void)state;
    OctetDataset *dataset;
    OctetTensor *tensor;
    bool skipped;
    assert_int_equal(open_set(DATA "images", &picture, 1, true, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 13);
    assert_true(octet_dataset_has_images(dataset));
    assert_string_equal(octet_dataset_sample_name(dataset, 0), "bits1.png");
    assert_string_equal(octet_dataset_sample_name(dataset, 12), "rgba.png");
    assert_null(octet_dataset_sample_name(dataset, 13));
    for (int64_t i = 0; i < 13; i++) {
        assert_int_equal(octet_dataset_read(dataset, i, &tensor, &skipped, NULL), OCTET_OK);
        assert_int_equal(tensor->bytes, 3 * 8 * 8 * 4);
        octet_tensor_free(tensor);
    }
    assert_int_equal(octet_dataset_read(dataset, 13, &tensor, &skipped, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_dataset_free(dataset);

    assert_int_equal(open_set(DATA "images/rgb.png", &picture, 1, true, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 1);
    assert_string_equal(octet_dataset_sample_name(dataset, 0), "rgb.png");
    assert_int_equal(octet_dataset_read(dataset, 0, &tensor, &skipped, NULL), OCTET_OK);
    octet_tensor_free(tensor);
    octet_dataset_free(dataset);
}

static void test_unreadable(void **state) {
    (void)state;
    in_shell("mkdir '%s/some'; cp %s/a.png 2>/dev/null; :", folder, "");
    in_shell("cp " DATA "images/rgb.png '%s/some/c.PNG'; echo '%s' > /dev/null", folder, "");
    in_shell("head -c 100 " DATA "images/rgb.png > '%s/some/b.png'%s", folder, "");
    in_shell("echo text > '%s/some/a.jpg'%s", folder, "");
    in_shell("echo text > '%s/some/notes.txt'%s", folder, "");
    char path[256];
    snprintf(path, sizeof path, "%s/some", folder);
    OctetDataset *dataset;
    OctetTensor *tensor;
    OctetDiagnostic diagnostic = {0};
    bool skipped;
    assert_int_equal(open_set(path, &picture, 1, false, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 3);
    for (int64_t i = 0; i < 3; i++) {
        logged[0] = '\0';
        assert_int_equal(octet_dataset_read(dataset, i, &tensor, &skipped, NULL), OCTET_OK);
        assert_int_equal(skipped, i < 2);
        assert_int_equal(tensor != NULL, i == 2);
        assert_int_equal(strstr(logged, i == 0 ? "/a.jpg" : "/b.png") != NULL, i < 2);
        octet_tensor_free(tensor);
    }
    assert_int_equal(octet_dataset_skipped(dataset), 2);
    octet_dataset_free(dataset);

    assert_int_equal(open_set(path, &picture, 1, true, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_read(dataset, 1, &tensor, &skipped, &diagnostic),
                     OCTET_ERROR_FORMAT);
    assert_non_null(strstr(diagnostic.file, "/b.png"));
    assert_int_equal(octet_dataset_skipped(dataset), 0);
    octet_dataset_free(dataset);

    /* a size that no image could get is not skipped: all would be */
    OctetDataInput flat = {.name = "x", .dtype = OCTET_F32, .shape = {.rank = 2, .dims = {1, 9}}};
    assert_int_equal(open_set(path, &flat, 1, false, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_read(dataset, 2, &tensor, &skipped, NULL), OCTET_ERROR_SHAPE);
    octet_dataset_free(dataset);
}

static const OctetDataInput pair[2] = {
    {.name = "pixels:0", .dtype = OCTET_F32, .shape = {.rank = 4, .dims = {-1, 1, 5, 6}}},
    {.name = "ids", .dtype = OCTET_S64, .shape = {.rank = 2, .dims = {-1, 3}}}};

static void check_pair(const char *path) {
    OctetDataset *dataset;
    OctetTensor *tensors[2];
    bool skipped;
    assert_int_equal(open_set(path, pair, 2, false, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 4);
    assert_true(octet_dataset_has_floats(dataset));
    assert_null(octet_dataset_sample_name(dataset, 0));
    for (int64_t i = 3; i >= 0; i--) {
        assert_int_equal(octet_dataset_read(dataset, i, tensors, &skipped, NULL), OCTET_OK);
        assert_int_equal(tensors[0]->shape.rank, 4);
        assert_true(((float *)tensors[0]->data)[29] == (float)(30 * i + 29) / 8);
        assert_int_equal(tensors[1]->dtype, OCTET_S64);
        assert_int_equal(((int64_t *)tensors[1]->data)[2], 3 * i + 2);
        octet_tensor_free(tensors[0]);
        octet_tensor_free(tensors[1]);
    }
    octet_dataset_free(dataset);
}

static void test_arrays(void **state) {
    (void)state;
    check_pair(DATA "arrays/stored.npz");
    check_pair(DATA "arrays/deflated.npz");
    in_shell("mkdir '%s/arrays' && cp " DATA "arrays/fortran.npy '%s/arrays/pixels_0.npy'", folder,
             folder);
    OctetShape shape = {.rank = 2, .dims = {4, 3}};
    OctetTensor *ids;
    char path[256], file[300];
    snprintf(path, sizeof path, "%s/arrays", folder);
    snprintf(file, sizeof file, "%s/ids.npy", path);
    assert_int_equal(octet_tensor_create(OCTET_S64, &shape, &ids, NULL), OCTET_OK);
    for (int i = 0; i < 12; i++) {
        ((int64_t *)ids->data)[i] = i;
    }
    assert_int_equal(octet_npy_write(file, ids, NULL), OCTET_OK);
    octet_tensor_free(ids);
    check_pair(path);
}

/* A TensorProto of 1 x 3 floats: dims, data_type, raw_data. */
static void write_pb(const char *path, float first) {
    uint8_t bytes[20] = {0x08, 1, 0x08, 3, 0x10, OCTET_F32, 0x4a, 12};
    float values[3] = {first, first + 1, first + 2};
    memcpy(bytes + 8, values, sizeof values);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    assert_int_equal(fclose(file), 0);
}

static void test_test_data(void **state) {
    (void)state;
    char path[512], root[256];
    OctetDataInput inputs[2] = {
        {.name = "a", .dtype = OCTET_F32, .shape = {.rank = 2, .dims = {-1, 3}}},
        {.name = "b", .dtype = OCTET_F32, .shape = {.rank = 2, .dims = {1, 3}}}};
    snprintf(root, sizeof root, "%s/onnx", folder);
    assert_int_equal(mkdir(root, 0700), 0);
    static const int sets[] = {2, 10}; /* in the order of numbers, not of letters */
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            snprintf(path, sizeof path, "%s/test_data_set_%d", root, sets[i]);
            (void)mkdir(path, 0700);
            snprintf(path, sizeof path, "%s/test_data_set_%d/input_%d.pb", root, sets[i], k);
            write_pb(path, (float)(100 * i + 10 * k));
        }
    }
    OctetDataset *dataset;
    OctetTensor *tensors[2];
    bool skipped;
    assert_int_equal(open_set(root, inputs, 2, false, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 2);
    assert_string_equal(octet_dataset_sample_name(dataset, 1), "test_data_set_10");
    assert_int_equal(octet_dataset_read(dataset, 1, tensors, &skipped, NULL), OCTET_OK);
    assert_true(((float *)tensors[0]->data)[0] == 100.0f);
    assert_true(((float *)tensors[1]->data)[2] == 112.0f);
    octet_tensor_free(tensors[0]);
    octet_tensor_free(tensors[1]);
    octet_dataset_free(dataset);

    snprintf(path, sizeof path, "%s/test_data_set_2", root); /* one sample, without subfolders */
    assert_int_equal(open_set(path, inputs, 1, false, &dataset, NULL), OCTET_OK);
    assert_int_equal(octet_dataset_count(dataset), 1);
    assert_int_equal(octet_dataset_read(dataset, 0, tensors, &skipped, NULL), OCTET_OK);
    assert_true(((float *)tensors[0]->data)[1] == 1.0f);
    octet_tensor_free(tensors[0]);
    octet_dataset_free(dataset);

    OctetDataInput three[3] = {inputs[0], inputs[1], inputs[1]};
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(open_set(root, three, 3, false, &dataset, NULL), OCTET_OK);
    OctetTensor *many[3];
    assert_int_equal(octet_dataset_read(dataset, 0, many, &skipped, &diagnostic), OCTET_ERROR_IO);
    assert_non_null(strstr(diagnostic.file, "input_2.pb"));
    octet_dataset_free(dataset);
}

static void test_mismatches(void **state) {
    (void)state;
    OctetDataset *dataset;
    OctetTensor *tensor;
    OctetDiagnostic diagnostic = {0};
    bool skipped;
    assert_int_equal(open_set(DATA "images", pair, 2, false, &dataset, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(open_set(DATA "arrays/fortran.npy", pair, 2, false, &dataset, NULL),
                     OCTET_ERROR_SHAPE);
    assert_int_equal(open_set(DATA "arrays/none.npy", pair, 1, false, &dataset, NULL),
                     OCTET_ERROR_IO);
    assert_int_equal(open_set(DATA "make.py", pair, 1, false, &dataset, &diagnostic),
                     OCTET_ERROR_FORMAT);
    assert_non_null(strstr(diagnostic.file, "make.py"));
    OctetDataInput other = {.name = "y", .dtype = OCTET_F32, .shape = {.rank = -1}};
    assert_int_equal(open_set(DATA "arrays/stored.npz", &other, 1, false, &dataset, NULL),
                     OCTET_ERROR_FORMAT);
    assert_int_equal(open_set(DATA, &other, 1, false, &dataset, NULL), OCTET_ERROR_IO);
    /* a wrong shape is an error even where images would be skipped */
    assert_int_equal(open_set(DATA "arrays/fortran.npy", &picture, 1, false, &dataset, NULL),
                     OCTET_OK);
    diagnostic = (OctetDiagnostic){0};
    assert_int_equal(octet_dataset_read(dataset, 0, &tensor, &skipped, &diagnostic),
                     OCTET_ERROR_SHAPE);
    assert_non_null(strstr(diagnostic.message, "1x5x6"));
    octet_dataset_free(dataset);
}

static void *read_many(void *argument) {
    OctetDataset *dataset = argument;
    for (int64_t i = 0; i < 400; i++) {
        OctetTensor *tensors[2];
        bool skipped;
        int64_t sample = i * 7 % 4;
        if (octet_dataset_read(dataset, sample, tensors, &skipped, NULL) != OCTET_OK ||
            ((float *)tensors[0]->data)[29] != (float)(30 * sample + 29) / 8) {
            return argument;
        }
        octet_tensor_free(tensors[0]);
        octet_tensor_free(tensors[1]);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    OctetDataset *dataset;
    pthread_t threads[4];
    assert_int_equal(open_set(DATA "arrays/deflated.npz", pair, 2, false, &dataset, NULL),
                     OCTET_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_many, dataset), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    octet_dataset_free(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),  cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_arrays),  cmocka_unit_test(test_mismatches),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_test_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
