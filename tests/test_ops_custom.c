#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "octet/operators.h"
#include "op_harness.h"

static int runs;

/* y = x * factor, with the attribute factor, on f32. */
static OctetStatus infer_scaled(void *user, const OctetNode *node, const OctetTensorInfo *inputs,
                                size_t input_count, OctetTensorInfo *outputs, size_t output_count,
                                OctetDiagnostic *diagnostic) {
    (void)user;
    (void)node;
    (void)diagnostic;
    assert_int_equal(input_count, 1);
    assert_int_equal(output_count, 1);
    outputs[0] = inputs[0];
    return OCTET_OK;
}

static OctetStatus run_scaled(void *user, const OctetNode *node, const OctetTensor *const *inputs,
                              size_t input_count, OctetTensor *const *outputs, size_t output_count,
                              OctetDiagnostic *diagnostic) {
    (void)input_count;
    (void)output_count;
    (void)diagnostic;
    float factor = octet_node_attribute_float(node, "factor", 1);
    const float *x = inputs[0]->data;
    float *y = outputs[0]->data;
    for (size_t i = 0; i < inputs[0]->bytes / sizeof(float); i++) {
        y[i] = x[i] * factor;
    }
    ++*(int *)user;
    return OCTET_OK;
}

static OctetCustomOperator scaled = {.domain = "com.example",
                                     .name = "Scaled",
                                     .since = 1,
                                     .min_inputs = 1,
                                     .max_inputs = 1,
                                     .min_outputs = 1,
                                     .max_outputs = 1,
                                     .user = &runs,
                                     .infer = infer_scaled,
                                     .run = run_scaled};

static void a_custom_operator_runs(void **state) {
    (void)state;
    const float x[] = {1, 2, 3};
    const float y[] = {2.5f, 5, 7.5f};
    assert_int_equal(octet_register_operator(&scaled, NULL), OCTET_OK);
    OpHarness h;
    op_begin(&h, "com.example", "Scaled", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(3), x);
    oct_node_set_float(h.graph, h.node, "factor", 2.5f);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3), y);
    op_end(&h);
    assert_int_equal(runs, 1);
}

static void what_there_is_stays(void **state) {
    (void)state;
    OctetCustomOperator add = scaled;
    add.domain = "";
    add.name = "Add";
    add.since = 14;
    assert_int_equal(octet_register_operator(&add, NULL), OCTET_ERROR_STATE);
    assert_int_equal(octet_register_operator(&scaled, NULL), OCTET_ERROR_STATE);
    add.name = NULL;
    assert_int_equal(octet_register_operator(&add, NULL), OCTET_ERROR_INVALID_ARGUMENT);
}

/* No operator stands in the table twice for one version. */
static void the_table_has_no_doubles(void **state) {
    (void)state;
    OctetOperatorInfo a;
    OctetOperatorInfo b;
    size_t count = 0;
    for (size_t i = 0; octet_operator_at(i, &a); i++, count++) {
        assert_true(a.until == 0 || a.until >= a.since);
        for (size_t j = 0; j < i; j++) {
            octet_operator_at(j, &b);
            bool same = strcmp(a.domain, b.domain) == 0 && strcmp(a.name, b.name) == 0;
            bool apart = (a.until && a.until < b.since) || (b.until && b.until < a.since);
            if (same && !apart) {
                fail_msg("%s is there twice", a.name);
            }
        }
    }
    assert_true(count > 150);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_custom_operator_runs),
        cmocka_unit_test(what_there_is_stays),
        cmocka_unit_test(the_table_has_no_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
