/* octet test, octet operators, and plugins. */
#include "cli.h"
#include "custom_operator.h"

#include "ir/graph.h"
#include "ir/op.h"
#include "octet/octet.h"

static OctetStatus run_nothing(void *user, const OctetNode *node, const OctetTensor *const *inputs,
                               size_t input_count, OctetTensor *const *outputs, size_t output_count,
                               OctetDiagnostic *diagnostic) {
    (void)user;
    (void)node;
    (void)inputs;
    (void)input_count;
    (void)outputs;
    (void)output_count;
    (void)diagnostic;
    return OCTET_OK;
}

/* y = op(x) on three floats. */
static void write_model(const char *folder, const char *op_type, const char *domain) {
    char path[400];
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 1, .dims = {3}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *y = oct_graph_add_value(graph, "y");
    OctetNode *node = oct_graph_add_node(graph, op_type, domain, "node", &x, 1, &y, 1);
    node->opset = domain[0] ? 1 : 17;
    if (domain[0]) {
        assert_true(oct_graph_set_opset(graph, domain, 1));
        assert_true(oct_node_set_float(graph, node, "factor", 2));
    }
    assert_int_equal(octet_graph_output(graph, y, "y"), OCTET_OK);
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_graph_finish(graph, &diagnostic), OCTET_OK);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (octet_model_save(graph, path, NULL, &diagnostic) != OCTET_OK) {
        fail_msg("%s", diagnostic.message);
    }
    octet_graph_free(graph);
}

/* A TensorProto of three floats, written by hand: dims, data_type, raw_data. */
static void write_tensor(const char *folder, const char *name, const float *values) {
    char path[400];
    const unsigned char head[] = {0x08, 3, 0x10, 1, 0x4a, 12};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, sizeof head, file), sizeof head);
    assert_int_equal(fwrite(values, sizeof *values, 3, file), 3);
    assert_int_equal(fclose(file), 0);
}

static void write_case(const char *name, const char *op_type, const char *domain,
                       const float *expected) {
    const float x[] = {-1, 0.5f, 2};
    char folder[360];
    char data[400];
    snprintf(folder, sizeof folder, "%s", cli_path(name));
    snprintf(data, sizeof data, "%s/test_data_set_0", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkdir(data, 0700), 0);
    write_model(folder, op_type, domain);
    write_tensor(data, "input_0.pb", x);
    write_tensor(data, "output_0.pb", expected);
}

static void expect_code(int expected, int code) {
    if (code != expected) {
        fail_msg("exit code %d: %s%s", code, cli_out, cli_err);
    }
}

static void cases_pass_fail_or_lack_something(void **state) {
    (void)state;
    const float relu[] = {0, 0.5f, 2};
    const float wrong[] = {0, 0.5f, 2.1f};
    const float doubled[] = {-2, 1, 4};
    const OctetCustomOperator scaled = {.domain = "com.example",
                                        .name = "Scaled",
                                        .since = 1,
                                        .min_inputs = 1,
                                        .max_inputs = 1,
                                        .min_outputs = 1,
                                        .max_outputs = 1,
                                        .infer = infer_same,
                                        .run = run_nothing};
    assert_int_equal(octet_register_operator(&scaled, NULL), OCTET_OK);
    assert_int_equal(mkdir(cli_path("cases"), 0700), 0);
    write_case("cases/a_right", "Relu", "", relu);
    write_case("cases/b_wrong", "Relu", "", wrong);
    write_case("cases/c_custom", "Scaled", "com.example", doubled);

    expect_code(0, cli("test %s", cli_path("cases/a_right")));
    assert_non_null(strstr(cli_out, "1 passed, 0 failed, 0 unsupported"));

    assert_int_equal(cli("test %s --json", cli_path("cases")), 1);
    json_t *object = cli_json();
    assert_int_equal((int)cli_number(object, "passed"), 1);
    assert_int_equal((int)cli_number(object, "failed"), 1);
    assert_int_equal((int)cli_number(object, "unsupported"), 1);
    const json_t *list = json_object_get(object, "cases");
    assert_int_equal(json_array_size(list), 3);
    const json_t *failed = json_array_get(list, 1);
    assert_non_null(strstr(json_string_value(json_object_get(failed, "reason")), "element 2"));
    const json_t *lacks = json_array_get(list, 2);
    assert_non_null(strstr(json_string_value(json_object_get(lacks, "reason")), "Scaled"));
    json_decref(object);

    expect_code(0, cli("test %s --rtol 0.1", cli_path("cases/b_wrong")));
    expect_code(0, cli("test %s", cli_path("cases/c_custom")));
    assert_non_null(strstr(cli_out, "1 unsupported"));
    expect_code(0, cli("test --plugin %s/examples/scaled.so %s", OCTET_BINARY_DIR,
                       cli_path("cases/c_custom")));
    assert_non_null(strstr(cli_out, "1 passed"));
}

static void what_is_no_case_or_plugin_is_said(void **state) {
    (void)state;
    assert_int_equal(cli("test %s", cli_path("nowhere")), 1);
    cli_assert_one_line("nowhere");
    assert_int_equal(mkdir(cli_path("empty"), 0700), 0);
    assert_int_equal(cli("test %s", cli_path("empty")), 1);
    cli_assert_one_line("model.onnx");
    assert_int_equal(cli("test %s --rtol many", cli_path("empty")), 2);
    cli_assert_one_line("rtol");
    assert_int_equal(cli("test %s --plugin %s", cli_path("empty"), cli_path("none.so")), 1);
    cli_assert_one_line("none.so");
}

static void operators_are_listed(void **state) {
    (void)state;
    assert_int_equal(cli("operators"), 0);
    assert_non_null(strstr(cli_out, "GridSample"));
    assert_int_equal(cli("operators --json"), 0);
    json_t *object = cli_json();
    assert_true(json_array_size(json_object_get(object, "operators")) > 150);
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_pass_fail_or_lack_something),
        cmocka_unit_test(what_is_no_case_or_plugin_is_said),
        cmocka_unit_test(operators_are_listed),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
