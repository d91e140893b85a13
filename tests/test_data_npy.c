/* NumPy files: every type and version, hostile headers, archives, what is written reads back. */
#include "octet/data.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAYS OCTET_SOURCE_DIR "/tests/data/arrays/"

static char path[] = "/tmp/octet-npy-XXXXXX";

static int make_path(void **state) {
    (void)state;
    int descriptor = mkstemp(path);
    return descriptor < 0 ? -1 : close(descriptor);
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void write_bytes(const void *data, size_t bytes) {
    OctFileWriter *writer;
    assert_int_equal(oct_file_writer_open(path, &writer, NULL), OCTET_OK);
    assert_int_equal(oct_file_write(writer, data, bytes, NULL), OCTET_OK);
    assert_int_equal(oct_file_writer_commit(writer, NULL), OCTET_OK);
    oct_file_writer_free(writer);
}

/* A file of `version` with this dictionary and data. */
static void write_npy(int version, const char *dictionary, const void *data, size_t bytes) {
    uint8_t file[4096] = "\x93NUMPY";
    size_t length = strlen(dictionary);
    size_t at = version == 1 ? 10 : 12;
    file[6] = (uint8_t)version;
    file[8] = (uint8_t)length;
    file[9] = (uint8_t)(length >> 8);
    memcpy(file + at, dictionary, length);
    memcpy(file + at + length, data, bytes);
    write_bytes(file, at + length + bytes);
}

static void test_types(void **state) {
    (void)state;
    static const struct {
        const char *name;
        OctetDType dtype;
        uint8_t bytes[8]; /* of the number 1 (f2, f4, f8: 1.5) in little endian */
    } types[] = {
        {"u1", OCTET_U8, {1}},
        {"i1", OCTET_S8, {1}},
        {"b1", OCTET_BOOL, {7}},
        {"u2", OCTET_U16, {1}},
        {"i2", OCTET_S16, {1}},
        {"u4", OCTET_U32, {1}},
        {"i4", OCTET_S32, {1}},
        {"u8", OCTET_U64, {1}},
        {"i8", OCTET_S64, {1}},
        {"f2", OCTET_F16, {0, 0x3e}},
        {"f4", OCTET_F32, {0, 0, 0xc0, 0x3f}},
        {"f8", OCTET_F64, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int big = 0; big < 2; big++) {
            size_t size = octet_dtype_size(types[i].dtype);
            uint8_t data[16];
            for (size_t k = 0; k < size; k++) {
                data[k] = data[size + k] = types[i].bytes[big ? size - 1 - k : k];
            }
            char header[128];
            snprintf(header, sizeof header,
                     "{'descr': '%c%s', 'fortran_order': False, 'shape': (2, 1), }\n",
                     big ? '>' : '<', types[i].name);
            write_npy(1 + (int)i % 3, header, data, 2 * size);
            OctetTensor *tensor;
            assert_int_equal(octet_npy_read(path, &tensor, NULL), OCTET_OK);
            assert_int_equal(tensor->dtype, types[i].dtype);
            assert_int_equal(tensor->shape.rank, 2);
            assert_int_equal(tensor->bytes, 2 * size);
            OctetTensor *number;
            assert_int_equal(octet_tensor_cast(tensor, OCTET_F32, &number, NULL), OCTET_OK);
            float wanted = types[i].name[0] == 'f' ? 1.5f : 1.0f;
            assert_true(((float *)number->data)[0] == wanted);
            assert_true(((float *)number->data)[1] == wanted);
            octet_tensor_free(number);
            octet_tensor_free(tensor);
        }
    }
}

static void test_headers(void **state) {
    (void)state;
    static const struct {
        const char *header;
        OctetStatus status;
    } headers[] = {
        {"{\"shape\":(3,),\"fortran_order\":False,\"descr\":\"|u1\"}", OCTET_OK},
        {"{'descr':'|u1','fortran_order':False,'shape':(3L,)}   \n", OCTET_OK},
        {"{'descr':'|u1','fortran_order':False,'shape':()}", OCTET_OK},
        {"{'descr':'|u1','fortran_order':False,'shape':(0, 9223372036854775807)}", OCTET_OK},
        {"{'descr':'|u1','fortran_order':False,'shape':(4,)}", OCTET_ERROR_FORMAT},
        {"{'descr':'|u1','fortran_order':False}", OCTET_ERROR_FORMAT},
        {"{'descr':'|u1','fortran_order':Maybe,'shape':(3,)}", OCTET_ERROR_FORMAT},
        {"{'descr':'|u1','fortran_order':False,'shape':(-3,)}", OCTET_ERROR_FORMAT},
        {"{'descr':'|u1','fortran_order':False,'shape':(99999999999999999999,)}",
         OCTET_ERROR_FORMAT},
        {"{'descr':'|u1','fortran_order':False,'shape':(4294967296,4294967296)}",
         OCTET_ERROR_SHAPE},
        {"{'descr':'|u1','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,3)}", OCTET_ERROR_FORMAT},
        {"{'descr':'|O','fortran_order':False,'shape':(3,)}", OCTET_ERROR_UNSUPPORTED},
        {"{'descr':'<c8','fortran_order':False,'shape':(3,)}", OCTET_ERROR_UNSUPPORTED},
        {"{'descr':[('a','<f4')],'fortran_order':False,'shape':(3,)}", OCTET_ERROR_UNSUPPORTED},
        {"{'descr':'|u1','fortran_order':False,'shape':(3", OCTET_ERROR_FORMAT},
        {"{'descr':'|u1' 'fortran_order':False,'shape':(3,)}", OCTET_ERROR_FORMAT},
        {"{", OCTET_ERROR_FORMAT},
        {"", OCTET_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        OctetTensor *tensor;
        OctetDiagnostic diagnostic = {0};
        write_npy(1, headers[i].header, "abc", 3);
        assert_int_equal(octet_npy_read(path, &tensor, &diagnostic), headers[i].status);
        if (headers[i].status != OCTET_OK) {
            assert_null(tensor);
            assert_string_equal(diagnostic.file, path);
        }
        octet_tensor_free(tensor);
    }
}

static void test_truncated(void **state) {
    (void)state;
    uint8_t *data;
    size_t bytes;
    OctetTensor *tensor;
    assert_int_equal(oct_file_read(ARRAYS "fortran.npy", 1 << 20, &data, &bytes, NULL), OCTET_OK);
    for (size_t length = 0; length < bytes; length++) {
        write_bytes(data, length);
        assert_int_equal(octet_npy_read(path, &tensor, NULL), OCTET_ERROR_FORMAT);
    }
    oct_free(data);
}

static void test_orders(void **state) {
    (void)state;
    static const char *const files[] = {ARRAYS "fortran.npy", ARRAYS "big_endian.npy"};
    for (size_t f = 0; f < 2; f++) {
        OctetTensor *raw, *tensor;
        assert_int_equal(octet_npy_read(files[f], &raw, NULL), OCTET_OK);
        assert_int_equal(octet_tensor_cast(raw, OCTET_F32, &tensor, NULL), OCTET_OK);
        octet_tensor_free(raw);
        for (int i = 0; i < 120; i++) {
            assert_true(((float *)tensor->data)[i] == (float)i / 8);
        }
        octet_tensor_free(tensor);
        OctSource *source;
        OctNpy *npy;
        assert_int_equal(oct_source_open(files[f], &source, NULL), OCTET_OK);
        assert_int_equal(oct_npy_open(source, &npy, NULL), OCTET_OK);
        assert_int_equal(oct_npy_read_rows(npy, 2, 2, &raw, NULL), OCTET_OK);
        assert_int_equal(raw->shape.dims[0], 2);
        assert_int_equal(octet_tensor_cast(raw, OCTET_F32, &tensor, NULL), OCTET_OK);
        for (int i = 0; i < 60; i++) {
            assert_true(((float *)tensor->data)[i] == (float)(i + 60) / 8);
        }
        octet_tensor_free(raw);
        octet_tensor_free(tensor);
        assert_int_equal(oct_npy_read_rows(npy, 3, 2, &raw, NULL), OCTET_ERROR_INVALID_ARGUMENT);
        assert_int_equal(oct_npy_read_rows(npy, -1, 1, &raw, NULL), OCTET_ERROR_INVALID_ARGUMENT);
        oct_npy_free(npy);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    static const OctetDType types[] = {OCTET_F32, OCTET_F64, OCTET_F16, OCTET_U8,
                                       OCTET_S8,  OCTET_U16, OCTET_S16, OCTET_U32,
                                       OCTET_S32, OCTET_U64, OCTET_S64, OCTET_BOOL};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (int32_t rank = 0; rank <= OCTET_MAX_RANK; rank++) {
            OctetShape shape = {.rank = rank};
            for (int32_t d = 0; d < rank; d++) {
                shape.dims[d] = 1 + (d + rank) % 3;
            }
            OctetTensor *tensor, *again;
            assert_int_equal(octet_tensor_create(types[t], &shape, &tensor, NULL), OCTET_OK);
            for (size_t i = 0; i < tensor->bytes; i++) {
                ((uint8_t *)tensor->data)[i] = (uint8_t)(types[t] == OCTET_BOOL ? i % 2 : i * 7);
            }
            assert_int_equal(octet_npy_write(path, tensor, NULL), OCTET_OK);
            assert_int_equal(octet_npy_read(path, &again, NULL), OCTET_OK);
            assert_int_equal(again->dtype, tensor->dtype);
            assert_true(octet_shape_equal(&again->shape, &tensor->shape));
            assert_memory_equal(again->data, tensor->data, tensor->bytes);
            octet_tensor_free(tensor);
            octet_tensor_free(again);
        }
    }
}

static void test_archives(void **state) {
    (void)state;
    static const char *const files[] = {ARRAYS "stored.npz", ARRAYS "deflated.npz"};
    for (size_t f = 0; f < 2; f++) {
        OctZip *zip;
        assert_int_equal(oct_zip_open(files[f], &zip, NULL), OCTET_OK);
        assert_int_equal(oct_zip_count(zip), 2);
        assert_string_equal(oct_zip_name(zip, 1), "pixels:0.npy");
        OctSource *source;
        OctNpy *npy;
        assert_int_equal(oct_zip_entry(zip, 1, &source, NULL), OCTET_OK);
        assert_int_equal(oct_npy_open(source, &npy, NULL), OCTET_OK);
        static const int64_t order[] = {3, 0, 1, 2, 2}; /* back and forth */
        for (size_t i = 0; i < 5; i++) {
            OctetTensor *row;
            assert_int_equal(oct_npy_read_rows(npy, order[i], 1, &row, NULL), OCTET_OK);
            for (int k = 0; k < 30; k++) {
                assert_true(((float *)row->data)[k] == (float)(30 * order[i] + k) / 8);
            }
            octet_tensor_free(row);
        }
        oct_npy_free(npy);
        oct_zip_free(zip);
    }
}

/* Any cut and any changed byte gives an error or an array, never anything worse. */
static void test_hostile_archives(void **state) {
    (void)state;
    static const char *const files[] = {ARRAYS "stored.npz", ARRAYS "deflated.npz"};
    for (size_t f = 0; f < 2; f++) {
        uint8_t *data;
        size_t bytes;
        assert_int_equal(oct_file_read(files[f], 1 << 20, &data, &bytes, NULL), OCTET_OK);
        size_t failures = 0, cases = 0;
        for (size_t at = 0; at < 2 * bytes; at++) {
            bool cut = at >= bytes;
            if (!cut) {
                data[at] ^= 0xff;
            }
            write_bytes(data, cut ? at - bytes : bytes);
            if (!cut) {
                data[at] ^= 0xff;
            }
            OctZip *zip;
            OctetStatus status = oct_zip_open(path, &zip, NULL);
            for (int32_t i = 0; status == OCTET_OK && i < oct_zip_count(zip); i++) {
                OctSource *source;
                OctNpy *npy = NULL;
                OctetTensor *tensor = NULL;
                status = oct_zip_entry(zip, i, &source, NULL);
                if (status == OCTET_OK) {
                    status = oct_npy_open(source, &npy, NULL);
                }
                if (status == OCTET_OK) {
                    status = oct_npy_read_all(npy, &tensor, NULL);
                }
                octet_tensor_free(tensor);
                oct_npy_free(npy);
            }
            oct_zip_free(zip);
            cases++;
            failures += status != OCTET_OK;
            if (cut) {
                assert_int_not_equal(status, OCTET_OK);
            }
        }
        assert_true(failures > cases / 2);
        oct_free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_archives),
        cmocka_unit_test(test_hostile_archives),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
