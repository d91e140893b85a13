/* Sessions: inputs, shapes, plans, outputs, memory. With operators that only pass data on; what
 * networks compute is tested elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "ir/op.h"
#include "octet/octet.h"

/* x -> Identity -> y; quantized to `dtype` unless that is NONE. */
static OctetGraph *identity_graph(OctetDType dtype, float scale, int32_t zero_point) {
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 2, .dims = {-1, 3}};
    assert_non_null(graph);
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *y = octet_graph_operator(graph, "Identity", "pass", &x, 1);
    assert_int_equal(octet_graph_output(graph, y, "y"), OCTET_OK);
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = octet_graph_finish(graph, &diagnostic);
    if (status != OCTET_OK) {
        fail_msg("%s", diagnostic.message);
    }
    if (dtype != OCTET_DTYPE_NONE) {
        OctetQParams q = {
            .dtype = dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
        assert_true(oct_graph_set_qparams(graph, graph->inputs[0], &q));
        assert_true(oct_graph_set_qparams(graph, graph->outputs[0], &q));
        graph->quantized = true;
    }
    return graph;
}

static OctetSession *session_over(const OctetGraph *graph, const OctetSessionOptions *options) {
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    if (octet_session_create(graph, options, &session, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    return session;
}

static OctetStatus run_on(OctetSession *session, OctetDType dtype, int64_t rows, int64_t columns,
                          void *data, const OctetTensor **output, OctetDiagnostic *diagnostic) {
    OctetShape shape = {.rank = 2, .dims = {rows, columns}};
    OctetTensor *input;
    size_t bytes = (size_t)(rows * columns) * octet_dtype_size(dtype);
    assert_int_equal(octet_tensor_wrap(dtype, &shape, data, bytes, &input, NULL), OCTET_OK);
    OctetStatus status =
        octet_session_run(session, (const OctetTensor *const *)&input, 1, output, 1, diagnostic);
    octet_tensor_free(input);
    return status;
}

static void test_float(void **state) {
    (void)state;
    OctetGraph *graph = identity_graph(OCTET_DTYPE_NONE, 0, 0);
    OctetSession *session = session_over(graph, NULL);
    const OctetTensor *output;
    for (int64_t rows = 0; rows < 9; rows++) {
        float data[8 * 3];
        for (int i = 0; i < 24; i++) {
            data[i] = (float)i * 0.5f - (float)rows;
        }
        assert_int_equal(run_on(session, OCTET_F32, rows, 3, data, &output, NULL), OCTET_OK);
        assert_int_equal(output->dtype, OCTET_F32);
        assert_int_equal(output->shape.rank, 2);
        assert_int_equal(output->shape.dims[0], rows);
        assert_int_equal(output->bytes, rows * 12);
        assert_memory_equal(output->data, data, output->bytes);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}

static void expect_error(OctetSession *session, OctetDType dtype, int64_t rows, int64_t columns,
                         OctetStatus status, const char *words) {
    static uint64_t data[64];
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(run_on(session, dtype, rows, columns, data, &output, &diagnostic), status);
    if (!strstr(diagnostic.message, words)) {
        fail_msg("\"%s\" does not say \"%s\"", diagnostic.message, words);
    }
}

static void test_refusals(void **state) {
    (void)state;
    OctetGraph *graph = identity_graph(OCTET_DTYPE_NONE, 0, 0);
    OctetSession *session = session_over(graph, NULL);
    expect_error(session, OCTET_F32, 2, 4, OCTET_ERROR_SHAPE, "Nx3, but 2x4");
    expect_error(session, OCTET_U8, 2, 3, OCTET_ERROR_SHAPE, "f32, but u8");
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_session_run(session, NULL, 0, NULL, 0, &diagnostic),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_session_free(session);
    OctetSessionOptions options = {.limits.max_memory_bytes = 64};
    session = session_over(graph, &options);
    expect_error(session, OCTET_F32, 20, 3, OCTET_ERROR_LIMIT, "limit of 64");
    octet_session_free(session);
    octet_graph_free(graph);
}

static void test_quantized(void **state) {
    (void)state;
    static const OctetDType types[] = {OCTET_U8, OCTET_S8};
    for (int t = 0; t < 2; t++) {
        int32_t zero_point = types[t] == OCTET_U8 ? 130 : 2;
        OctetGraph *graph = identity_graph(types[t], 0.25f, zero_point);
        float data[3] = {1.1f, -0.3f, 1000.0f};
        const float rounded[3] = {1.0f, -0.25f, 0.25f * 125};
        const OctetTensor *output;

        OctetSession *session = session_over(graph, NULL);
        assert_int_equal(run_on(session, OCTET_F32, 1, 3, data, &output, NULL), OCTET_OK);
        assert_int_equal(output->dtype, OCTET_F32);
        assert_memory_equal(output->data, rounded, sizeof rounded);
        octet_session_free(session);

        OctetSessionOptions options = {.int8_outputs = true};
        session = session_over(graph, &options);
        assert_int_equal(run_on(session, OCTET_F32, 1, 3, data, &output, NULL), OCTET_OK);
        assert_int_equal(output->dtype, types[t]);
        assert_int_equal(output->qparams.dtype, types[t]);
        assert_int_equal(output->qparams.zero_point[0], zero_point);
        const uint8_t integers[3] = {(uint8_t)(zero_point + 4), (uint8_t)(zero_point - 1),
                                     (uint8_t)(zero_point + 125)};
        assert_memory_equal(output->data, integers, 3);
        uint8_t given[3] = {3, 200, 127};
        assert_int_equal(run_on(session, types[t], 1, 3, given, &output, NULL), OCTET_OK);
        assert_memory_equal(output->data, given, 3);
        octet_session_free(session);
        octet_graph_free(graph);
    }
}

typedef struct Seen {
    int count;
    float first;
    OctetDType dtype;
} Seen;

static OctetStatus see(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Seen *seen = user;
    assert_string_equal(octet_value_name(value), "y");
    seen->count++;
    seen->dtype = tensor->dtype;
    if (tensor->dtype == OCTET_F32) {
        seen->first = *(const float *)tensor->data;
    }
    return OCTET_OK;
}

static OctetStatus refuse(void *user, const OctetValue *value, const OctetTensor *tensor) {
    (void)user;
    (void)value;
    (void)tensor;
    return OCTET_ERROR_CANCELED;
}

static void test_observe(void **state) {
    (void)state;
    float data[3] = {7, 8, 9};
    const OctetTensor *output;
    Seen seen = {0};
    OctetSessionOptions options = {.observe = see, .observe_user = &seen};
    OctetGraph *graph = identity_graph(OCTET_DTYPE_NONE, 0, 0);
    OctetSession *session = session_over(graph, &options);
    assert_int_equal(run_on(session, OCTET_F32, 1, 3, data, &output, NULL), OCTET_OK);
    assert_int_equal(seen.count, 1);
    assert_true(seen.first == 7.0f);
    octet_session_free(session);
    options.observe = refuse;
    session = session_over(graph, &options);
    assert_int_equal(run_on(session, OCTET_F32, 1, 3, data, &output, NULL), OCTET_ERROR_CANCELED);
    octet_session_free(session);
    octet_graph_free(graph);

    graph = identity_graph(OCTET_S8, 0.5f, 0);
    seen = (Seen){0};
    options.observe = see;
    session = session_over(graph, &options);
    assert_int_equal(run_on(session, OCTET_F32, 1, 3, data, &output, NULL), OCTET_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.dtype, OCTET_S8);
    octet_session_free(session);
    octet_graph_free(graph);
}

static void test_plan_and_memory(void **state) {
    (void)state;
    OctetGraph *graph = identity_graph(OCTET_U8, 0.5f, 3);
    OctetSession *session = session_over(graph, NULL);
    OctetMemoryInfo memory;
    assert_int_equal(octet_session_memory(session, &memory), OCTET_ERROR_STATE);
    assert_int_equal(octet_session_node_count(session), 0);
    OctetShape shape = {.rank = 2, .dims = {1000, 3}};
    assert_int_equal(octet_session_plan(session, &shape, 1, NULL), OCTET_OK);
    assert_int_equal(octet_session_memory(session, &memory), OCTET_OK);
    assert_true(memory.lower_bound_bytes >= 3000);
    assert_true(memory.arena_bytes >= memory.lower_bound_bytes);
    assert_int_equal(octet_session_node_count(session), 2); /* quantize, dequantize */
    OctetNodeInfo info;
    assert_int_equal(octet_session_node_info(session, 0, &info), OCTET_OK);
    assert_string_equal(info.op_type, "Quantize");
    assert_int_equal(octet_session_node_info(session, 2, &info), OCTET_ERROR_INVALID_ARGUMENT);
    octet_session_free(session);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_quantized),       cmocka_unit_test(test_observe),
        cmocka_unit_test(test_plan_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
