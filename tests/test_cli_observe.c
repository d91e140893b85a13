/* octet observe against PyTorch's numbers (tests/golden/observers.txt), through files and options.
 */
#include "cli.h"
#include "golden.h"

#include "octet/data.h"
#include "octet/octet.h"

#include <math.h>

enum { MAX_SETS = 32, MAX_LINE = 4096, EVERY = 9 };

static char set_names[1024];
static int batch_count;

/* Writes every batch of the golden data as an array of its own: NAME_I.npy. */
static void write_batches(char *header) {
    OctetShape shape = {.rank = 4};
    int dims[4];
    assert_int_equal(sscanf(header, "data %1023s shape %dx%dx%dx%d batches %d", set_names, &dims[0],
                            &dims[1], &dims[2], &dims[3], &batch_count),
                     6);
    size_t count = 1;
    for (int i = 0; i < 4; i++) {
        shape.dims[i] = dims[i];
        count *= dims[i];
    }
    FILE *file = open_golden("observers.bin");
    char names[1024], path[64], *save = NULL;
    strcpy(names, set_names);
    for (char *name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        for (int b = 0; b < batch_count; b++) {
            OctetTensor *tensor;
            assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
            assert_int_equal(fread(tensor->data, sizeof(float), count, file), count);
            snprintf(path, sizeof path, "%s_%d.npy", name, b);
            assert_int_equal(octet_npy_write(cli_path(path), tensor, NULL), OCTET_OK);
            octet_tensor_free(tensor);
        }
    }
    fclose(file);
}

static float from_bits(const char *hex) {
    uint32_t bits = (uint32_t)strtoul(hex, NULL, 16);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Element i of a list, or the number itself. */
static double element(const json_t *object, const char *key, size_t i) {
    const json_t *value = json_object_get(object, key);
    value = json_is_array(value) ? json_array_get(value, i) : value;
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void check_line(char *line) {
    char observer[64], dtype[16], scheme[64], set[64], low[16], high[16], eps[16], averaging[16];
    char command[3000], range[64] = "", expected[16];
    int batches, reduce, bins, upsample, axis, count, at;
    assert_int_equal(sscanf(line, "%63s %15s %63s %63s %d %d %15s %15s %15s %15s %d %d %d %d %n",
                            observer, dtype, scheme, set, &batches, &reduce, low, high, eps,
                            averaging, &bins, &upsample, &axis, &count, &at),
                     14);
    if (strcmp(low, "-") != 0) {
        snprintf(range, sizeof range, " --quant-min %s --quant-max %s", low, high);
    }
    int length = snprintf(command, sizeof command,
                          "observe --observer %s --dtype %s --qscheme %s --axis %d --eps %.9g "
                          "--averaging-constant %.9g --bins %d --upsample-rate %d%s%s",
                          observer, dtype, scheme, axis, (double)from_bits(eps),
                          (double)from_bits(averaging), bins, upsample, range,
                          reduce ? " --reduce-range" : "");
    for (int b = 0; b < batches; b++) {
        length += snprintf(command + length, sizeof command - (size_t)length, " %s/%s_%d.npy",
                           cli_folder, set, b);
    }
    assert_int_equal(cli("%s", command), 0);
    json_t *object = cli_json();
    bool floats = strcmp(scheme, "per_channel_affine_float_qparams") == 0;
    assert_int_equal(json_is_array(json_object_get(object, "scale")),
                     strncmp(scheme, "per_channel", 11) == 0);
    for (int i = 0; i < 2 * count; i++) {
        int taken;
        assert_int_equal(sscanf(line + at, "%15s %n", expected, &taken), 1);
        at += taken;
        double found = element(object, i < count ? "scale" : "zero_point", (size_t)(i % count));
        bool is_float = i < count || floats;
        /* all digits of the float: equal as doubles, not only when rounded */
        double wanted = is_float ? (double)from_bits(expected) : atof(expected);
        if (found != wanted) {
            fail_msg("%s: %.17g is not %.17g", command, found, wanted);
        }
    }
    json_decref(object);
}

static void golden_lines_come_out_of_the_command(void **state) {
    (void)state;
    char line[MAX_LINE];
    FILE *file = open_golden("observers.txt");
    int number = 0, checked = 0;
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(fgets(line, sizeof line, file));
    write_batches(line);
    while (fgets(line, sizeof line, file)) {
        if (number++ % EVERY == 0) {
            check_line(line);
            checked++;
        }
    }
    fclose(file);
    assert_true(checked > 100);
}

static void wrong_uses_are_said(void **state) {
    (void)state;
    static const struct {
        const char *arguments, *part;
        int code;
    } cases[] = {
        {"observe", "FILE", 2},
        {"observe --dtype float normal_0.npy", "--dtype", 2},
        {"observe --observer mean x.npy", "mean", 2},
        {"observe --quant-min 0 x.npy", "--quant-max", 2},
        {"observe --eps much x.npy", "--eps", 2},
        {"observe --axis 0.5 x.npy", "--axis", 2},
        {"observe nowhere.npy", "nowhere.npy", 1},
        {"observe --observer minmax --qscheme per_channel_affine x.npy", "per_channel_affine", 1},
        {"observe --quant-min 5 --quant-max 9 x.npy", "must include 0", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cli("%s", cases[i].arguments), cases[i].code);
        assert_string_equal(cli_out, "");
        if (i > 0 && !strstr(cli_err, cases[i].part)) {
            fail_msg("%s: %s", cases[i].arguments, cli_err);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_lines_come_out_of_the_command),
        cmocka_unit_test(wrong_uses_are_said),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
