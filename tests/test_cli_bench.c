/* octet bench: its JSON, and what it says of a network's nodes. */
#include "cli.h"

#include "octet/octet.h"

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static const char *text(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_string(value));
    return json_string_value(value);
}

static json_t *bench(const char *arguments) {
    if (cli("bench %s", arguments) != 0) {
        fail_msg("%s", cli_err);
    }
    json_error_t error;
    json_t *object = json_loads(cli_out, 0, &error);
    assert_non_null(object);
    return object;
}

/* Every node has a kernel and numbers that fit together. */
static void expect_nodes(const json_t *report, const char *float_or_int8) {
    const json_t *nodes = json_object_get(report, "nodes");
    double macs = 0;
    assert_true(json_array_size(nodes) >= 3);
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        assert_true(strlen(text(node, "name")) > 0);
        assert_true(strlen(text(node, "kernel")) > 0);
        assert_true(strlen(text(node, "cpu")) > 0);
        assert_true(number(node, "bytes") > 0);
        assert_true(number(node, "us") >= 0);
        assert_true(strlen(text(node, "bound_by")) > 0);
        if (strcmp(text(node, "op_type"), "Conv") == 0) {
            bool int8 = json_is_true(json_object_get(node, "int8"));
            assert_int_equal(int8, strcmp(float_or_int8, "int8") == 0);
        }
        macs += number(node, "macs");
    }
    assert_float_equal(macs, number(report, "int8_macs") + number(report, "float_macs"), 0.5);
}

static void test_nodes(void **state) {
    (void)state;
    json_t *report =
        bench(OCTET_SOURCE_DIR "/examples/demo/digits.onnx --per-node --runs 3 --json");
    assert_true(number(report, "median_ms") >= number(report, "min_ms"));
    assert_true(number(report, "p90_ms") >= number(report, "median_ms"));
    assert_true(number(report, "peak_rss_bytes") > 0);
    expect_nodes(report, "float");
    const json_t *advice = json_object_get(report, "advice");
    assert_true(json_array_size(advice) >= 1 && json_array_size(advice) <= 3);
    assert_non_null(
        strstr(text(json_array_get(advice, 0), "text"), "because the model is not quantized"));
    assert_true(number(json_array_get(advice, 0), "saved_ms") > 0);
    json_decref(report);
    assert_int_equal(cli("quantize " OCTET_SOURCE_DIR
                         "/examples/demo/digits.onnx --calib " OCTET_SOURCE_DIR
                         "/examples/demo/calibration.npy --output %s --quiet",
                         cli_path("int8.onnx")),
                     0);
    char arguments[512];
    snprintf(arguments, sizeof arguments, "%s --per-node --runs 3 --json", cli_path("int8.onnx"));
    report = bench(arguments);
    expect_nodes(report, "int8");
    json_decref(report);
    assert_int_equal(cli("bench %s --per-node --runs 3", cli_path("int8.onnx")), 0);
    assert_non_null(strstr(cli_out, "What would help most:"));
    assert_non_null(strstr(cli_out, "us in all nodes"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes)};
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
