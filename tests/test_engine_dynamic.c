/* What is decided while running: shapes that depend on data, and control flow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ir/op.h"
#include "octet/octet.h"

static OctetShape vector_shape(int64_t count) {
    return (OctetShape){.rank = 1, .dims = {count}};
}

static const OctetShape scalar = {.rank = 0};

static OctValue *named_input(OctGraph *graph, const char *name, OctetDType dtype,
                             const OctetShape *shape) {
    OctValue *value = oct_graph_add_value(graph, name);
    assert_non_null(value);
    value->dtype = dtype;
    value->shape = *shape;
    assert_true(oct_graph_add_input(graph, value));
    return value;
}

static OctValue *constant(OctGraph *graph, const char *name, OctetDType dtype,
                          const OctetShape *shape, const void *data) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(dtype, shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, data, tensor->bytes);
    OctValue *value = oct_graph_add_constant(graph, name, tensor);
    assert_non_null(value);
    return value;
}

static OctNode *node(OctGraph *graph, const char *op_type, OctValue *const *inputs, int32_t count,
                     OctValue **outputs, int32_t output_count) {
    for (int32_t k = 0; k < output_count; k++) {
        outputs[k] = oct_graph_add_value(graph, op_type);
        assert_non_null(outputs[k]);
    }
    OctNode *made =
        oct_graph_add_node(graph, op_type, "", op_type, inputs, count, outputs, output_count);
    assert_non_null(made);
    made->opset = 17;
    return made;
}

static OctValue *apply(OctGraph *graph, const char *op_type, OctValue *a, OctValue *b) {
    OctValue *inputs[] = {a, b};
    OctValue *output;
    node(graph, op_type, inputs, b ? 2 : 1, &output, 1);
    return output;
}

static OctGraph *new_graph(void) {
    OctGraph *graph = oct_graph_create();
    assert_non_null(graph);
    assert_true(oct_graph_set_opset(graph, "", 17));
    return graph;
}

static void finish(OctGraph *graph) {
    OctetDiagnostic diagnostic = {0};
    if (oct_graph_resolve(graph, &diagnostic) != OCTET_OK ||
        oct_graph_infer(graph, &diagnostic) != OCTET_OK ||
        oct_graph_verify(graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
}

static OctetSession *open_session(const OctGraph *graph, const OctetSessionOptions *options) {
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    if (octet_session_create(graph, options, &session, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    return session;
}

static OctetTensor *wrap(OctetDType dtype, const OctetShape *shape, void *data) {
    OctetTensor *tensor;
    int64_t count;
    assert_true(octet_shape_count(shape, &count));
    assert_int_equal(octet_tensor_wrap(dtype, shape, data, (size_t)count * octet_dtype_size(dtype),
                                       &tensor, NULL),
                     OCTET_OK);
    return tensor;
}

static void expect_floats(const OctetTensor *tensor, const OctetShape *shape,
                          const float *expected) {
    assert_int_equal(tensor->dtype, OCTET_F32);
    assert_true(octet_shape_equal(&tensor->shape, shape));
    if (tensor->bytes) {
        assert_memory_equal(tensor->data, expected, tensor->bytes);
    }
}

/* ---- shapes that depend on data ---- */

/* y = 2 * x[x != 0], in front of which static nodes stand. */
static void test_selection(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape open = vector_shape(-1);
    open.dims[0] = oct_graph_symbol(graph, "N");
    OctetShape one = vector_shape(1);
    const int64_t minus_one = -1;
    OctValue *x = named_input(graph, "x", OCTET_F32, &open);
    OctValue *twice = apply(graph, "Add", x, x);
    OctValue *where = apply(graph, "NonZero", x, NULL); /* 1 x count */
    OctValue *flat =
        apply(graph, "Reshape", where, constant(graph, "flat", OCTET_S64, &one, &minus_one));
    OctValue *y = apply(graph, "Gather", twice, flat);
    assert_true(oct_graph_add_output(graph, y));
    assert_true(oct_graph_add_output(graph, twice));
    finish(graph);
    OctetSession *session = open_session(graph, NULL);
    float data[3][5] = {{0, 1, 0, 2, 3}, {0, 0, 0, 0, 0}, {5, 0, 0, 0, 6}};
    const float expected[3][3] = {{2, 4, 6}, {0}, {10, 12}};
    const int64_t counts[] = {3, 0, 2};
    for (int round = 0; round < 9; round++) {
        int i = round % 3;
        OctetShape five = vector_shape(5);
        OctetShape shape = vector_shape(counts[i]);
        OctetTensor *input = wrap(OCTET_F32, &five, data[i]);
        const OctetTensor *outputs[2];
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)&input, 1, outputs, 2, NULL),
            OCTET_OK);
        expect_floats(outputs[0], &shape, expected[i]);
        assert_int_equal(outputs[1]->bytes, sizeof data[i]);
        octet_tensor_free(input);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}

/* A shape that is an input. The limit on memory holds for it. */
static void test_shape_input(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape two = vector_shape(2);
    OctetShape one = vector_shape(1);
    const float seven = 7;
    OctValue *sizes = named_input(graph, "sizes", OCTET_S64, &two);
    OctValue *y = apply(graph, "Expand", constant(graph, "seven", OCTET_F32, &one, &seven), sizes);
    y = apply(graph, "Neg", y, NULL);
    assert_true(oct_graph_add_output(graph, y));
    finish(graph);
    OctetSessionOptions options = {.limits.max_memory_bytes = 1 << 20};
    OctetSession *session = open_session(graph, &options);
    int64_t wanted[][2] = {{2, 3}, {1, 1}, {1000, 1000}, {2, 3}};
    for (int i = 0; i < 4; i++) {
        OctetTensor *input = wrap(OCTET_S64, &two, wanted[i]);
        const OctetTensor *output;
        OctetStatus status =
            octet_session_run(session, (const OctetTensor *const *)&input, 1, &output, 1, NULL);
        octet_tensor_free(input);
        if (i == 2) {
            assert_int_equal(status, OCTET_ERROR_LIMIT);
            continue;
        }
        assert_int_equal(status, OCTET_OK);
        assert_int_equal(output->shape.dims[0], wanted[i][0]);
        assert_int_equal(output->shape.dims[1], wanted[i][1]);
        assert_true(((const float *)output->data)[0] == -7.0f);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}

static void on_grid(OctGraph *graph, OctValue *value) {
    float scale = 0.25f;
    int32_t zero_point = 100;
    OctetQParams q = {
        .dtype = OCTET_U8, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    assert_true(oct_graph_set_qparams(graph, value, &q));
    graph->quantized = true;
}

/* There is no int8 kernel for weights that are no constant, which is found out while running: the
 * node is planned again, in float. */
static void test_no_kernel(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape four = vector_shape(4);
    OctetShape image = {.rank = 4, .dims = {1, 2, 1, 1}};
    OctetShape filter = {.rank = 4, .dims = {3, 2, 1, 1}};
    OctValue *x = named_input(graph, "x", OCTET_F32, &image);
    OctValue *w = named_input(graph, "w", OCTET_F32, &filter);
    OctValue *sizes = named_input(graph, "sizes", OCTET_S64, &four);
    OctValue *wide = apply(graph, "Expand", x, sizes);
    OctValue *y = apply(graph, "Conv", wide, w);
    assert_true(oct_graph_add_output(graph, y));
    finish(graph);
    on_grid(graph, x);
    on_grid(graph, w);
    on_grid(graph, wide);
    on_grid(graph, y);
    OctetSession *session = open_session(graph, NULL);
    float data[2] = {1, 2}, weights[6] = {1, 0, 0, 1, 1, 1};
    int64_t to[4] = {1, 2, 2, 1};
    const float expected[6] = {1, 1, 2, 2, 3, 3};
    OctetShape result = {.rank = 4, .dims = {1, 3, 2, 1}};
    OctetTensor *inputs[] = {wrap(OCTET_F32, &image, data), wrap(OCTET_F32, &filter, weights),
                             wrap(OCTET_S64, &four, to)};
    for (int round = 0; round < 2; round++) {
        const OctetTensor *output;
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)inputs, 3, &output, 1, NULL),
            OCTET_OK);
        expect_floats(output, &result, expected);
    }
    for (int i = 0; i < 3; i++) {
        octet_tensor_free(inputs[i]);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}

/* ---- If ---- */

static OctGraph *branch(OctGraph *parent, const char *op_type, OctValue *outer) {
    OctGraph *child = oct_graph_create_child(parent);
    assert_non_null(child);
    OctValue *y = apply(child, op_type, outer, NULL);
    assert_true(oct_graph_add_output(child, y));
    return child;
}

static void test_if(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape three = vector_shape(3);
    OctValue *which = named_input(graph, "which", OCTET_BOOL, &scalar);
    OctValue *x = named_input(graph, "x", OCTET_F32, &three);
    OctValue *moved = apply(graph, "Add", x, x);
    OctValue *y;
    OctNode *made = node(graph, "If", &which, 1, &y, 1);
    assert_true(oct_node_set_graph(graph, made, "then_branch", branch(graph, "Neg", moved)));
    assert_true(oct_node_set_graph(graph, made, "else_branch", branch(graph, "Abs", moved)));
    OctValue *z = apply(graph, "Add", y, moved);
    assert_true(oct_graph_add_output(graph, z));
    finish(graph);
    OctetSession *session = open_session(graph, NULL);
    float data[] = {1, -2, 3};
    const float expected[2][3] = {{4, 0, 12}, {0, 0, 0}};
    for (uint8_t condition = 0; condition < 2; condition++) {
        OctetTensor *inputs[] = {wrap(OCTET_BOOL, &scalar, &condition),
                                 wrap(OCTET_F32, &three, data)};
        const OctetTensor *output;
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)inputs, 2, &output, 1, NULL),
            OCTET_OK);
        expect_floats(output, &three, expected[condition]);
        octet_tensor_free(inputs[0]);
        octet_tensor_free(inputs[1]);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}

/* ---- Loop: a list that grows, and the running sum of each iteration ---- */

static OctGraph *loop_body(OctGraph *parent, OctValue *step) {
    OctGraph *body = oct_graph_create_child(parent);
    OctetShape unknown = {.rank = -1};
    assert_non_null(body);
    OctValue *i = named_input(body, "i", OCTET_S64, &scalar);
    OctValue *go = named_input(body, "go", OCTET_BOOL, &scalar);
    OctValue *sum = named_input(body, "sum", OCTET_F32, &unknown);
    OctValue *list = named_input(body, "list", OCTET_F32, &unknown);
    (void)i;
    OctValue *next = apply(body, "Add", sum, step);
    OctValue *longer = apply(body, "Concat", list, next);
    assert_true(oct_node_set_int(body, longer->producer, "axis", 0));
    OctValue *still = apply(body, "Identity", go, NULL);
    OctValue *shown = apply(body, "Neg", next, NULL);
    assert_true(oct_graph_add_output(body, still));
    assert_true(oct_graph_add_output(body, next));
    assert_true(oct_graph_add_output(body, longer));
    assert_true(oct_graph_add_output(body, shown));
    return body;
}

/* The Loop and its body's nodes are told of, with what they took in five runs of ten iterations. */
static void expect_told(const OctetSession *session) {
    static const char *const types[] = {"Loop", "Add", "Concat", "Identity", "Neg"};
    OctetNodeInfo info;
    assert_int_equal(octet_session_node_count(session), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(octet_session_node_info(session, i, &info), OCTET_OK);
        assert_string_equal(info.op_type, types[i]);
        assert_int_equal(info.runs, 5);
        assert_true(info.seconds > 0);
    }
    /* a run of Neg reads four bytes and writes four, ten times in five runs */
    assert_float_equal(info.bytes, 8.0 * 10 / 5, 1e-9);
    assert_int_equal(octet_session_node_info(session, 5, &info), OCTET_ERROR_INVALID_ARGUMENT);
}

static void test_loop(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape one = vector_shape(1);
    OctetShape none = vector_shape(0);
    const float zero = 0;
    OctValue *count = named_input(graph, "count", OCTET_S64, &scalar);
    OctValue *step = named_input(graph, "step", OCTET_F32, &one);
    OctValue *inputs[] = {count, NULL, constant(graph, "zero", OCTET_F32, &one, &zero),
                          constant(graph, "none", OCTET_F32, &none, &zero)};
    OctValue *outputs[3];
    OctNode *made = node(graph, "Loop", inputs, 4, outputs, 3);
    assert_true(oct_node_set_graph(graph, made, "body", loop_body(graph, step)));
    for (int k = 0; k < 3; k++) {
        assert_true(oct_graph_add_output(graph, outputs[k]));
    }
    finish(graph);
    OctetSession *session = open_session(graph, &(OctetSessionOptions){.per_node_times = true});
    const float sums[] = {1.5f, 3, 4.5f, 6}, negative[] = {-1.5f, -3, -4.5f, -6};
    for (int64_t n = 4; n >= 0; n--) {
        float by = 1.5f;
        int64_t times = n;
        OctetTensor *given[] = {wrap(OCTET_S64, &scalar, &times), wrap(OCTET_F32, &one, &by)};
        const OctetTensor *made_outputs[3];
        OctetShape list = vector_shape(n);
        OctetShape stack = {.rank = 2, .dims = {n, 1}};
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)given, 2, made_outputs, 3, NULL),
            OCTET_OK);
        expect_floats(made_outputs[0], &one, n ? &sums[n - 1] : &zero);
        expect_floats(made_outputs[1], &list, sums);
        if (n) {
            expect_floats(made_outputs[2], &stack, negative);
        }
        assert_int_equal(made_outputs[2]->bytes, n * 4);
        octet_tensor_free(given[0]);
        octet_tensor_free(given[1]);
    }
    expect_told(session);
    octet_session_free(session);
    octet_graph_free(graph);
}

/* ---- Scan: running sums over rows, forward and backward ---- */

static void check_scan(bool backward) {
    OctGraph *graph = new_graph();
    OctetShape two = vector_shape(2);
    OctetShape rows = {.rank = 2, .dims = {3, 2}};
    OctetShape unknown = {.rank = -1};
    const float zeros[2] = {0, 0};
    OctValue *x = named_input(graph, "x", OCTET_F32, &rows);
    OctValue *inputs[] = {constant(graph, "zeros", OCTET_F32, &two, zeros), x};
    OctValue *outputs[2];
    OctNode *made = node(graph, "Scan", inputs, 2, outputs, 2);
    OctGraph *body = oct_graph_create_child(graph);
    OctValue *sum = named_input(body, "sum", OCTET_F32, &unknown);
    OctValue *row = named_input(body, "row", OCTET_F32, &unknown);
    OctValue *next = apply(body, "Add", sum, row);
    OctValue *shown = apply(body, "Identity", next, NULL);
    assert_true(oct_graph_add_output(body, next));
    assert_true(oct_graph_add_output(body, shown));
    const int64_t directions[] = {backward};
    assert_true(oct_node_set_graph(graph, made, "body", body) &&
                oct_node_set_int(graph, made, "num_scan_inputs", 1) &&
                oct_node_set_ints(graph, made, "scan_input_directions", directions, 1) &&
                oct_node_set_ints(graph, made, "scan_output_directions", directions, 1));
    assert_true(oct_graph_add_output(graph, outputs[0]));
    assert_true(oct_graph_add_output(graph, outputs[1]));
    finish(graph);
    OctetSession *session = open_session(graph, NULL);
    float data[] = {1, 2, 3, 4, 5, 6};
    const float total[] = {9, 12};
    const float forward_sums[] = {1, 2, 4, 6, 9, 12}, backward_sums[] = {9, 12, 8, 10, 5, 6};
    OctetTensor *input = wrap(OCTET_F32, &rows, data);
    for (int round = 0; round < 2; round++) {
        const OctetTensor *results[2];
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)&input, 1, results, 2, NULL),
            OCTET_OK);
        expect_floats(results[0], &two, total);
        expect_floats(results[1], &rows, backward ? backward_sums : forward_sums);
    }
    octet_tensor_free(input);
    octet_session_free(session);
    octet_graph_free(graph);
}

static void test_scan(void **state) {
    (void)state;
    check_scan(false);
    check_scan(true);
}

/* Opset 8: a batch in front of everything, lengths of sequences as input 0. */
static void test_scan_of_batches(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctetShape starts = {.rank = 2, .dims = {2, 1}};
    OctetShape rows = {.rank = 3, .dims = {2, 3, 1}};
    OctetShape unknown = {.rank = -1};
    OctValue *start = named_input(graph, "start", OCTET_F32, &starts);
    OctValue *x = named_input(graph, "x", OCTET_F32, &rows);
    OctValue *inputs[] = {NULL, start, x};
    OctValue *outputs[2];
    OctNode *made = node(graph, "Scan", inputs, 3, outputs, 2);
    made->opset = 8;
    OctGraph *body = oct_graph_create_child(graph);
    OctValue *sum = named_input(body, "sum", OCTET_F32, &unknown);
    OctValue *row = named_input(body, "row", OCTET_F32, &unknown);
    OctValue *next = apply(body, "Add", sum, row);
    OctValue *shown = apply(body, "Neg", next, NULL);
    assert_true(oct_graph_add_output(body, next) && oct_graph_add_output(body, shown));
    assert_true(oct_node_set_graph(graph, made, "body", body) &&
                oct_node_set_int(graph, made, "num_scan_inputs", 1));
    assert_true(oct_graph_add_output(graph, outputs[0]) && oct_graph_add_output(graph, outputs[1]));
    finish(graph);
    OctetSession *session = open_session(graph, NULL);
    float from[] = {10, 20}, data[] = {1, 2, 3, 4, 5, 6};
    const float totals[] = {16, 35}, sums[] = {-11, -13, -16, -24, -29, -35};
    OctetTensor *given[] = {wrap(OCTET_F32, &starts, from), wrap(OCTET_F32, &rows, data)};
    for (int round = 0; round < 2; round++) {
        const OctetTensor *results[2];
        assert_int_equal(
            octet_session_run(session, (const OctetTensor *const *)given, 2, results, 2, NULL),
            OCTET_OK);
        expect_floats(results[0], &starts, totals);
        expect_floats(results[1], &rows, sums);
    }
    octet_tensor_free(given[0]);
    octet_tensor_free(given[1]);
    octet_session_free(session);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_shape_input),
        cmocka_unit_test(test_no_kernel),
        cmocka_unit_test(test_if),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_of_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
