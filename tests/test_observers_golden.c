/* Observers against scale and zero point that PyTorch 1.13 computed (scripts/golden_observers.py):
 * equal to the last bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "octet/observer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETS = 32, MAX_LINE = 4096 };

typedef struct Golden {
    FILE *lines;
    float *data;
    char names[1024];
    char *sets[MAX_SETS];
    int set_count, batches;
    OctetShape shape;
    int64_t batch_size;
} Golden;

static float from_bits(const char *hex) {
    uint32_t bits = (uint32_t)strtoul(hex, NULL, 16);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void quiet(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    ++*(int *)user;
}

static void load(Golden *golden) {
    char line[MAX_LINE], *save = NULL;
    int dims[4];
    golden->lines = open_golden("observers.txt");
    assert_non_null(golden->lines);
    assert_non_null(fgets(line, sizeof line, golden->lines));
    assert_non_null(fgets(line, sizeof line, golden->lines));
    assert_int_equal(sscanf(line, "data %1023s shape %dx%dx%dx%d batches %d", golden->names,
                            &dims[0], &dims[1], &dims[2], &dims[3], &golden->batches),
                     6);
    golden->shape.rank = 4;
    golden->batch_size = 1;
    for (int i = 0; i < 4; i++) {
        golden->shape.dims[i] = dims[i];
        golden->batch_size *= dims[i];
    }
    for (char *name = strtok_r(golden->names, ",", &save); name;
         name = strtok_r(NULL, ",", &save)) {
        golden->sets[golden->set_count++] = name;
    }
    size_t count = (size_t)golden->set_count * golden->batches * golden->batch_size;
    golden->data = malloc(count * sizeof(float));
    FILE *file = open_golden("observers.bin");
    assert_non_null(file);
    assert_int_equal(fread(golden->data, sizeof(float), count, file), count);
    fclose(file);
}

/* Everything of a line up to the expected values; returns their count and where they start. */
static int parse(char *line, OctetObserverOptions *options, char *set, int *batches,
                 char **expected) {
    char observer[64], dtype[16], scheme[64], low[16], high[16], eps[16], averaging[16];
    int reduce, bins, upsample, axis, count, at;
    OctetObserverType type;
    assert_int_equal(sscanf(line, "%63s %15s %63s %63s %d %d %15s %15s %15s %15s %d %d %d %d %n",
                            observer, dtype, scheme, set, batches, &reduce, low, high, eps,
                            averaging, &bins, &upsample, &axis, &count, &at),
                     14);
    assert_true(octet_observer_type_parse(observer, &type));
    *options = octet_observer_options(type);
    assert_true(octet_qdtype_parse(dtype, &options->spec.dtype));
    assert_true(octet_qscheme_parse(scheme, &options->spec.qscheme));
    options->spec.reduce_range = reduce;
    options->spec.custom_range = low[0] != '-' || low[1];
    if (options->spec.custom_range) {
        options->spec.quant_min = atoi(low);
        options->spec.quant_max = atoi(high);
    }
    options->spec.eps = from_bits(eps);
    options->averaging_constant = from_bits(averaging);
    options->bins = bins;
    options->upsample_rate = upsample;
    options->axis = axis;
    *expected = line + at;
    return count;
}

static void observe_all(OctetObserver *observer, const Golden *golden, const float *data,
                        int batches) {
    for (int pass = 0; pass < octet_observer_passes(observer); pass++) {
        if (pass > 0) {
            assert_int_equal(octet_observer_next_pass(observer, NULL), OCTET_OK);
        }
        for (int b = 0; b < batches; b++) {
            assert_int_equal(octet_observer_observe(observer, data + b * golden->batch_size,
                                                    &golden->shape, NULL),
                             OCTET_OK);
        }
    }
}

/* The scales and zero points as text, in the file's own notation. */
static void describe(const OctetObserver *observer, char *text) {
    OctetQParams qparams;
    float *scale, *zero_point;
    int64_t count;
    if (octet_observer_get_options(observer)->spec.qscheme ==
        OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS) {
        assert_int_equal(
            octet_observer_calculate_float_qparams(observer, &scale, &zero_point, &count, NULL),
            OCTET_OK);
        for (int64_t i = 0; i < 2 * count; i++) {
            uint32_t bits;
            memcpy(&bits, i < count ? scale + i : zero_point + i - count, sizeof bits);
            text += sprintf(text, "%s%08" PRIx32, i ? " " : "", bits);
        }
        octet_floats_free(scale);
        octet_floats_free(zero_point);
        return;
    }
    assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL), OCTET_OK);
    for (int64_t i = 0; i < qparams.count; i++) {
        uint32_t bits;
        memcpy(&bits, &qparams.scale[i], sizeof bits);
        text += sprintf(text, "%s%08" PRIx32, i ? " " : "", bits);
    }
    for (int64_t i = 0; i < qparams.count; i++) {
        text += sprintf(text, " %" PRId32, qparams.zero_point[i]);
    }
    octet_qparams_clear(&qparams);
}

static void every_configuration_equals_torch(void **state) {
    (void)state;
    Golden golden = {0};
    char line[MAX_LINE], set[64], *expected, found[MAX_LINE];
    int warnings = 0, cases = 0, different = 0;
    octet_set_log_callback(quiet, &warnings, OCTET_LOG_WARNING);
    load(&golden);
    while (fgets(line, sizeof line, golden.lines)) {
        OctetObserverOptions options;
        OctetObserver *observer;
        int batches, index = 0;
        line[strcspn(line, "\n")] = '\0';
        parse(line, &options, set, &batches, &expected);
        while (strcmp(golden.sets[index], set) != 0) {
            index++;
        }
        assert_int_equal(octet_observer_create(&options, &observer, NULL), OCTET_OK);
        observe_all(observer, &golden,
                    golden.data + (size_t)index * golden.batches * golden.batch_size, batches);
        describe(observer, found);
        if (strcmp(found, expected) != 0) {
            print_message("%s\n  found %s\n", line, found);
            different++;
        }
        octet_observer_free(observer);
        cases++;
    }
    print_message("%d cases, %d differ, %d warnings\n", cases, different, warnings);
    fclose(golden.lines);
    free(golden.data);
    octet_set_log_callback(NULL, NULL, OCTET_LOG_WARNING);
    assert_true(cases > 1000);
    assert_true(warnings > 0);
    assert_int_equal(different, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_configuration_equals_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
