/* What a comparison with ONNX Runtime on random graphs found: the smallest graph of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "octet/octet.h"
#include "op_harness.h"

/* Runs a graph of one input and one output on floats, and expects floats. */
static void expect_run(OctGraph *graph, const OctetShape *shape, float *data, int64_t count,
                       const float *expected) {
    OctetSession *session = NULL;
    OctetTensor *input = op_tensor(OCTET_F32, shape, data);
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_session_create(graph, NULL, &session, &diagnostic), OCTET_OK);
    if (octet_session_run(session, (const OctetTensor *const *)&input, 1, &output, 1,
                          &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(output->dtype, OCTET_F32);
    assert_int_equal(output->bytes, count * (int64_t)sizeof(float));
    assert_memory_equal(output->data, expected, output->bytes);
    octet_session_free(session);
    octet_tensor_free(input);
}

/* The output of Pad has no grid: its fill must not be rounded to the operand's. */
static void a_fill_beside_the_grid_stays(void **state) {
    (void)state;
    float data[] = {0, 0.5f, 1};
    const int64_t pads[] = {1, 0};
    const float fill = 0.3f;
    const float expected[] = {0.3f, 0, 0.5f, 1};
    float scale = 0.25f;
    int32_t zero_point = 3;
    OctetQParams grid = {
        .dtype = OCTET_U8, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    OctetGraph *graph = octet_graph_create();
    OctetValue *inputs[3];
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, SHAPE(3));
    OctetValue *abs = octet_graph_operator(graph, "Abs", "abs", &x, 1);
    assert_true(oct_graph_set_qparams(graph, abs, &grid));
    inputs[0] = abs;
    OctetTensor *pads_tensor = op_tensor(OCTET_S64, SHAPE(2), pads);
    OctetTensor *fill_tensor = op_tensor(OCTET_F32, SCALAR, &fill);
    inputs[1] = octet_graph_constant(graph, "pads", pads_tensor);
    inputs[2] = octet_graph_constant(graph, "fill", fill_tensor);
    octet_tensor_free(pads_tensor);
    octet_tensor_free(fill_tensor);
    OctetValue *y = octet_graph_operator(graph, "Pad", "pad", inputs, 3);
    assert_int_equal(octet_graph_output(graph, y, "y"), OCTET_OK);
    assert_int_equal(octet_graph_finish(graph, NULL), OCTET_OK);
    graph->quantized = true;
    expect_run(graph, SHAPE(3), data, 4, expected);
    octet_graph_free(graph);
}

/* 7 pixels to 2: the second lies at 3.5, however 2 / 7 is rounded. */
static void halfway_is_halfway(void **state) {
    (void)state;
    float data[] = {0, 1, 2, 3, 4, 5, 6};
    const int64_t sizes[] = {1, 1, 2};
    const float ceil[] = {0, 4};
    const float floor[] = {0, 3};
    for (int up = 0; up < 2; up++) {
        OpHarness h;
        op_begin(&h, "", "Resize", 15, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 1, 7), data);
        op_absent(&h);
        op_absent(&h);
        op_constant(&h, OCTET_S64, SHAPE(3), sizes);
        oct_node_set_string(h.graph, h.node, "mode", "nearest");
        oct_node_set_string(h.graph, h.node, "coordinate_transformation_mode", "asymmetric");
        oct_node_set_string(h.graph, h.node, "nearest_mode",
                            up ? "round_prefer_ceil" : "round_prefer_floor");
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(1, 1, 2), up ? ceil : floor);
        op_end(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fill_beside_the_grid_stays),
        cmocka_unit_test(halfway_is_halfway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
