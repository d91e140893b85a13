#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

#include "ir/findings.h"

static void identity_copies_any_type(void **state) {
    (void)state;
    const int64_t data[] = {1, -2, 3};
    OpHarness h;
    op_begin(&h, "", "Identity", 13, 1);
    op_input(&h, OCTET_S64, SHAPE(3, 1), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(3, 1), data);
    op_end(&h);
}

static void dropout_keeps_everything(void **state) {
    (void)state;
    const float data[] = {1, -2, 3, 4};
    const uint8_t mask[] = {1, 1, 1, 1};
    OpHarness h;
    op_begin(&h, "", "Dropout", 12, 2);
    op_input(&h, OCTET_F32, SHAPE(2, 2), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), data);
    op_expect(&h, 1, OCTET_BOOL, SHAPE(2, 2), mask);
    op_end(&h);
    const float old_mask[] = {1, 1, 1, 1};
    op_begin(&h, "", "Dropout", 7, 2);
    op_input(&h, OCTET_F32, SHAPE(2, 2), data);
    op_run_ok(&h);
    op_expect(&h, 1, OCTET_F32, SHAPE(2, 2), old_mask);
    op_end(&h);
}

static void training_mode_is_refused(void **state) {
    (void)state;
    const float data[] = {1};
    const uint8_t yes = 1;
    OpHarness h;
    op_begin(&h, "", "Dropout", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1), data);
    op_absent(&h);
    op_constant(&h, OCTET_BOOL, SCALAR, &yes);
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED);
    assert_non_null(strstr(h.diagnostic.message, "training"));
    op_end(&h);
    /* without a constant it shows when it runs */
    op_begin(&h, "", "Dropout", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1), data);
    op_absent(&h);
    op_input(&h, OCTET_BOOL, SCALAR, &yes);
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED);
    op_end(&h);
}

/* A ratio of 0 leaves nothing out, training or not. */
static void training_without_dropout_passes(void **state) {
    (void)state;
    const float data[] = {1, -2, 3, 4};
    const uint8_t mask[] = {1, 1, 1, 1};
    const uint8_t yes = 1;
    const float ratio = 0;
    OpHarness h;
    op_begin(&h, "", "Dropout", 13, 2);
    op_input(&h, OCTET_F32, SHAPE(4), data);
    op_constant(&h, OCTET_F32, SCALAR, &ratio);
    op_constant(&h, OCTET_BOOL, SCALAR, &yes);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4), data);
    op_expect(&h, 1, OCTET_BOOL, SHAPE(4), mask);
    op_end(&h);
}

static void missing_operators_are_all_named(void **state) {
    (void)state;
    OpHarness h;
    op_begin(&h, "", "Frobnicate", 13, 1);
    OctValue *output = oct_graph_add_value(h.graph, "z");
    assert_non_null(
        oct_graph_add_node(h.graph, "Defenestrate", "com.example", "other", NULL, 0, &output, 1));
    OctFindings findings = {0};
    h.graph->findings = &findings;
    assert_int_equal(oct_graph_resolve(h.graph, &h.diagnostic), OCTET_OK);
    assert_null(h.node->op);
    assert_int_equal(oct_findings_fail(&findings, &h.diagnostic), OCTET_ERROR_UNSUPPORTED);
    assert_non_null(strstr(h.diagnostic.message, "Frobnicate"));
    assert_non_null(strstr(h.diagnostic.message, "com.example.Defenestrate"));
    oct_findings_free(&findings);
    op_end(&h);
}

static void too_many_inputs_are_malformed(void **state) {
    (void)state;
    const float data[] = {1};
    OpHarness h;
    op_begin(&h, "", "Identity", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1), data);
    op_input(&h, OCTET_F32, SHAPE(1), data);
    assert_int_equal(op_run(&h), OCTET_ERROR_FORMAT);
    op_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_copies_any_type),
        cmocka_unit_test(dropout_keeps_everything),
        cmocka_unit_test(training_mode_is_refused),
        cmocka_unit_test(training_without_dropout_passes),
        cmocka_unit_test(missing_operators_are_all_named),
        cmocka_unit_test(too_many_inputs_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
