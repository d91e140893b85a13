/* Export of quantized networks: in QDQ and QOperator form, with integers at the border, whole or
 * not at all. */
#include "exported.h"

#include <math.h>

/* ---- a small network of every kind ---- */

static void quantize_value(OctGraph *graph, OctValue *value, OctetDType dtype, float scale,
                           int32_t zero_point) {
    OctetQParams qparams = {
        .dtype = dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    assert_true(oct_graph_set_qparams(graph, value, &qparams));
}

static OctValue *quantized_constant(OctGraph *graph, const char *name, OctetDType dtype,
                                    const OctetShape *shape, const void *data, int32_t axis,
                                    int64_t count, float *scales) {
    OctetTensor *tensor;
    int32_t zeros[8] = {0};
    assert_int_equal(octet_tensor_create(dtype, shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, data, tensor->bytes);
    OctetQParams qparams = {
        .dtype = dtype, .axis = axis, .count = count, .scale = scales, .zero_point = zeros};
    assert_int_equal(octet_tensor_set_qparams(tensor, &qparams, NULL), OCTET_OK);
    OctValue *value = oct_graph_add_constant(graph, name, tensor);
    assert_non_null(value);
    return value;
}

static OctValue *add_layer(OctGraph *graph, const char *op_type, const char *output,
                           OctValue *const *inputs, int32_t count) {
    OctValue *value = oct_graph_add_value(graph, output);
    assert_non_null(oct_graph_add_node(graph, op_type, "", op_type, inputs, count, &value, 1));
    return value;
}

/* input -> Conv (relu) -> MaxPool -> Conv (clip) -> Add -> GlobalAveragePool -> Flatten -> Gemm */
static OctGraph *quantized_network(OctetDType activation, int64_t opset) {
    OctGraph *graph = octet_graph_create();
    assert_true(oct_graph_set_opset(graph, "", opset));
    int32_t zero = activation == OCTET_U8 ? 0 : -128;
    OctetShape shape = {.rank = 4, .dims = {-1, 2, 6, 6}};
    OctValue *x = octet_graph_input(graph, "input", OCTET_F32, &shape);
    quantize_value(graph, x, activation, 1.0f / 64, zero + 128);
    const int8_t weights[16] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16};
    const int32_t bias[4] = {100, -200, 300, -400};
    const OctetShape w_shape = {.rank = 4, .dims = {2, 2, 1, 1}};
    const OctetShape b_shape = {.rank = 1, .dims = {2}};
    float w_scales[2] = {0.125f, 0.0625f};
    float b_scales[2] = {0.125f / 64, 0.0625f / 64};
    OctValue *w1 = quantized_constant(graph, "w1", OCTET_S8, &w_shape, weights, 0, 2, w_scales);
    OctValue *b1 = quantized_constant(graph, "b1", OCTET_S32, &b_shape, bias, 0, 2, b_scales);
    OctValue *c1 = add_layer(graph, "Conv", "c1", (OctValue *[]){x, w1, b1}, 3);
    c1->producer->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0, INFINITY};
    quantize_value(graph, c1, activation, 0.03125f, zero);
    OctValue *p = add_layer(graph, "MaxPool", "p", &c1, 1);
    assert_true(oct_node_set_ints(graph, p->producer, "kernel_shape", (int64_t[]){2, 2}, 2));
    quantize_value(graph, p, activation, 0.03125f, zero);
    OctValue *w2 =
        quantized_constant(graph, "w2", OCTET_S8, &w_shape, weights + 4, -1, 1, w_scales);
    OctValue *c2 = add_layer(graph, "Conv", "c2", (OctValue *[]){p, w2}, 2);
    c2->producer->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0, 6};
    quantize_value(graph, c2, activation, 0.04f, zero + 3);
    OctValue *a = add_layer(graph, "Add", "a", (OctValue *[]){p, c2}, 2);
    quantize_value(graph, a, activation, 0.05f, zero + 5);
    OctValue *g = add_layer(graph, "GlobalAveragePool", "g", &a, 1);
    quantize_value(graph, g, activation, 0.05f, zero + 5);
    OctValue *f = add_layer(graph, "Flatten", "f", &g, 1);
    quantize_value(graph, f, activation, 0.05f, zero + 5);
    const OctetShape fc_shape = {.rank = 2, .dims = {4, 2}};
    const OctetShape fb_shape = {.rank = 1, .dims = {4}};
    float fc_scales[4] = {0.5f, 0.25f, 0.125f, 0.0625f};
    float fb_scales[4];
    for (int i = 0; i < 4; i++) {
        fb_scales[i] = 0.05f * fc_scales[i];
    }
    OctValue *w3 = quantized_constant(graph, "w3", OCTET_S8, &fc_shape, weights, 0, 4, fc_scales);
    OctValue *b3 = quantized_constant(graph, "b3", OCTET_S32, &fb_shape, bias, 0, 4, fb_scales);
    OctValue *y = add_layer(graph, "Gemm", "y", (OctValue *[]){f, w3, b3}, 3);
    assert_true(oct_node_set_int(graph, y->producer, "transB", 1));
    quantize_value(graph, y, activation, 0.5f, zero + 128);
    assert_true(oct_graph_add_output(graph, y));
    graph->quantized = true;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_graph_finish(graph, &diagnostic), OCTET_OK);
    return graph;
}

static OctValue *int64_constant(OctGraph *graph, const char *name, const int64_t *numbers,
                                int64_t count) {
    OctetTensor *tensor;
    OctetShape shape = {.rank = 1, .dims = {count}};
    assert_int_equal(octet_tensor_create(OCTET_S64, &shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, numbers, tensor->bytes);
    return oct_graph_add_constant(graph, name, tensor);
}

static OctetTensor *float_scalar(float number) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, &(OctetShape){0}, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, &number, sizeof number);
    return tensor;
}

/* Runs with a fixed input; the bytes of the output are copied to `bytes`. */
static size_t run(const OctetGraph *graph, bool integer_input, bool integer_output,
                  uint8_t *bytes) {
    OctetDType dtype = octet_value_dtype(octet_graph_input_at(graph, 0));
    OctetShape shape = {.rank = 4, .dims = {3, 2, 6, 6}};
    OctetTensor *input;
    OctetSession *session;
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_tensor_create(integer_input ? dtype : OCTET_F32, &shape, &input, NULL),
                     OCTET_OK);
    for (int i = 0; i < 3 * 72; i++) {
        int number = i * 37 % 256; /* as u8, and with zero point 128 and scale 1/64 as a real */
        if (!integer_input) {
            ((float *)input->data)[i] = (float)(number - 128) / 64;
        } else if (dtype == OCTET_U8) {
            ((uint8_t *)input->data)[i] = (uint8_t)number;
        } else {
            ((int8_t *)input->data)[i] = (int8_t)(number - 128);
        }
    }
    OctetSessionOptions options = {.int8_outputs = integer_output};
    assert_int_equal(octet_session_create(graph, &options, &session, &diagnostic), OCTET_OK);
    OctetStatus status =
        octet_session_run(session, (const OctetTensor *[]){input}, 1, &output, 1, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    size_t size = output->bytes;
    assert_true(size <= 256);
    memcpy(bytes, output->data, size);
    octet_session_free(session);
    octet_tensor_free(input);
    return size;
}

static void quantized_networks_compute_the_same_bytes(void **state) {
    (void)state;
    static const OctetDType types[] = {OCTET_U8, OCTET_S8};
    for (int t = 0; t < 2; t++) {
        OctGraph *graph = quantized_network(types[t], 13);
        uint8_t expected[256];
        uint8_t found[256];
        size_t size = run(graph, false, true, expected);
        for (int form = 0; form < 8; form++) {
            OctetSaveOptions options = {.format =
                                            form & 1 ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ,
                                        .io = (OctetModelIo)(form / 2)};
            save(graph, path_of("a.onnx"), &options);
            OctetGraph *back = read_back(path_of("a.onnx"));
            OctetDType own = options.io == OCTET_IO_INT8    ? OCTET_S8
                             : options.io == OCTET_IO_UINT8 ? OCTET_U8
                             : options.io == OCTET_IO_GRID  ? types[t]
                                                            : OCTET_F32;
            assert_int_equal(octet_value_dtype(octet_graph_input_at(back, 0)), own);
            assert_int_equal(octet_value_dtype(octet_graph_output_at(back, 0)), own);
            assert_string_equal(octet_value_name(octet_graph_input_at(back, 0)), "input");
            assert_string_equal(octet_value_name(octet_graph_output_at(back, 0)), "y");
            assert_int_equal(run(back, own != OCTET_F32, true, found), size);
            for (size_t i = 0; i < size; i++) {
                bool moved = own != OCTET_F32 && own != types[t];
                assert_int_equal(found[i], expected[i] ^ (moved ? 0x80 : 0));
            }
            save(back, path_of("b.onnx"), &(OctetSaveOptions){.format = options.format});
            OctetGraph *again = read_back(path_of("b.onnx"));
            expect_same_graph(back, again);
            octet_graph_free(again);
            octet_graph_free(back);
        }
        octet_graph_free(graph);
    }
}

static void qdq_has_nodes_where_they_belong(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_U8, 13);
    save(graph, path_of("a.onnx"), NULL);
    Onnx__ModelProto *model = unpack(path_of("a.onnx"));
    assert_int_equal(model->opset_import[0]->version, 13);
    assert_int_equal(count_nodes(model, "QuantizeLinear"), 8);
    assert_int_equal(count_nodes(model, "DequantizeLinear"), 8 + 5);
    assert_int_equal(count_nodes(model, "Relu"), 1);
    assert_int_equal(count_nodes(model, "Clip"), 1);
    assert_string_equal(model->graph->input[0]->name, "input");
    assert_string_equal(model->graph->output[0]->name, "y");
    const Onnx__TensorShapeProto *shape = model->graph->output[0]->type->tensor_type->shape;
    assert_string_equal(shape->dim[0]->dim_param, "N");
    assert_int_equal(shape->dim[1]->dim_value, 4);
    for (size_t i = 0; i < model->graph->n_node; i++) {
        const Onnx__NodeProto *node = model->graph->node[i];
        if (strcmp(node->op_type, "Conv") == 0) {
            /* no rounding between a convolution and its activation */
            assert_int_equal(strncmp(node->output[0] + 2, "_linear", 7), 0);
        }
    }
    onnx__model_proto__free_unpacked(model, NULL);
    OctetGraph *back = read_back(path_of("a.onnx"));
    assert_true(octet_graph_is_quantized(back));
    save(back, path_of("b.onnx"), NULL);
    expect_same_file(path_of("a.onnx"), path_of("b.onnx"));
    octet_graph_free(back);
    octet_graph_free(graph);
}

static void qoperator_leaves_floats_at_the_border_only(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_U8, 13);
    OctetSaveOptions options = {.format = OCTET_FORMAT_QOPERATOR};
    save(graph, path_of("a.onnx"), &options);
    Onnx__ModelProto *model = unpack(path_of("a.onnx"));
    assert_int_equal(count_nodes(model, "QLinearConv"), 1); /* the clip at 6 needs floats */
    assert_int_equal(count_nodes(model, "QLinearAdd"), 1);
    assert_int_equal(count_nodes(model, "QLinearGlobalAveragePool"), 1);
    assert_int_equal(count_nodes(model, "QGemm"), 1);
    assert_int_equal(count_nodes(model, "MaxPool"), 1);
    assert_int_equal(count_nodes(model, "Relu"), 0);
    assert_int_equal(count_nodes(model, "QuantizeLinear"), 2);
    onnx__model_proto__free_unpacked(model, NULL);
    OctetGraph *back = read_back(path_of("a.onnx"));
    save(back, path_of("b.onnx"), &options);
    OctetGraph *again = read_back(path_of("b.onnx"));
    expect_same_graph(back, again);
    octet_graph_free(again);
    octet_graph_free(back);
    octet_graph_free(graph);
}

/* Operators that move elements take bytes; what Pad fills in is on the grid, 0 as well as others.
 */
static void qoperator_moves_bytes(void **state) {
    (void)state;
    static const OctetDType types[] = {OCTET_U8, OCTET_S8};
    const OctetSaveOptions options = {.format = OCTET_FORMAT_QOPERATOR, .io = OCTET_IO_GRID};
    for (int t = 0; t < 2; t++) {
        OctGraph *graph = octet_graph_create();
        assert_true(oct_graph_set_opset(graph, "", 13));
        OctetShape shape = {.rank = 4, .dims = {3, 2, 6, 6}};
        int64_t pads[8] = {0, 0, 1, 0, 0, 0, 0, 2};
        int64_t sizes[4] = {3, 2, 14, 4};
        OctValue *x = octet_graph_input(graph, "input", OCTET_F32, &shape);
        OctValue *p = int64_constant(graph, "pads", pads, 8);
        OctValue *half = oct_graph_add_constant(graph, "half", float_scalar(0.43f));
        OctValue *to = int64_constant(graph, "sizes", sizes, 4);
        OctValue *a = add_layer(graph, "Pad", "a", (OctValue *[]){x, p}, 2);
        OctValue *b = add_layer(graph, "Pad", "b", (OctValue *[]){a, p, half}, 3);
        OctValue *c = add_layer(graph, "Resize", "c", (OctValue *[]){b, NULL, NULL, to}, 4);
        OctValue *d = add_layer(graph, "SpaceToDepth", "d", &c, 1);
        OctValue *y = add_layer(graph, "MaxPool", "y", &d, 1);
        assert_true(oct_node_set_int(graph, d->producer, "blocksize", 2));
        assert_true(oct_node_set_ints(graph, y->producer, "kernel_shape", (int64_t[]){2, 2}, 2));
        OctValue *const all[] = {x, a, b, c, d, y};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            quantize_value(graph, all[i], types[t], 1.0f / 64, types[t] == OCTET_U8 ? 128 : 0);
        }
        assert_true(oct_graph_add_output(graph, y));
        graph->quantized = true;
        assert_int_equal(octet_graph_finish(graph, NULL), OCTET_OK);
        save(graph, path_of("a.onnx"), &options);
        Onnx__ModelProto *model = unpack(path_of("a.onnx"));
        assert_int_equal(model->graph->n_node, 5);
        assert_int_equal(count_nodes(model, "Pad"), 2);
        assert_int_equal(count_nodes(model, "Resize"), 1);
        onnx__model_proto__free_unpacked(model, NULL);
        uint8_t expected[256], found[256];
        size_t size = run(graph, false, true, expected);
        OctetGraph *back = read_back(path_of("a.onnx"));
        assert_int_equal(run(back, true, true, found), size);
        assert_memory_equal(found, expected, size);
        octet_graph_free(back);
        octet_graph_free(graph);
    }
}

static void integer_borders_have_integer_types(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_S8, 13);
    save(graph, path_of("a.onnx"), &(OctetSaveOptions){.io = OCTET_IO_GRID});
    OctetGraph *back = read_back(path_of("a.onnx"));
    assert_string_equal(octet_value_name(octet_graph_input_at(back, 0)), "input");
    assert_string_equal(octet_value_name(octet_graph_output_at(back, 0)), "y");
    assert_int_equal(octet_value_dtype(octet_graph_input_at(back, 0)), OCTET_S8);
    assert_int_equal(octet_value_dtype(octet_graph_output_at(back, 0)), OCTET_S8);
    expect_round_trip(back, NULL);
    octet_graph_free(back);
    octet_graph_free(graph);
}

/* 16 bits don't fit into the 8 that were asked for; the grid's own type does. */
static void wide_grids_are_no_bytes(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_U8, 13);
    quantize_value(graph, graph->outputs[0], OCTET_S16, 0.5f, 0);
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_model_save(graph, path_of("a.onnx"),
                                      &(OctetSaveOptions){.io = OCTET_IO_INT8}, &diagnostic),
                     OCTET_ERROR_UNSUPPORTED);
    assert_non_null(strstr(diagnostic.message, "'y' lies on a grid of type s16"));
    save(graph, path_of("a.onnx"), &(OctetSaveOptions){.io = OCTET_IO_GRID});
    OctetGraph *back = read_back(path_of("a.onnx"));
    assert_int_equal(octet_value_dtype(octet_graph_input_at(back, 0)), OCTET_U8);
    assert_int_equal(octet_value_dtype(octet_graph_output_at(back, 0)), OCTET_S16);
    octet_graph_free(back);
    octet_graph_free(graph);
}

static void old_operator_sets_are_raised(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_U8, 9);
    graph->ir_version = 3;
    save(graph, path_of("a.onnx"), NULL);
    OctetGraph *back = read_back(path_of("a.onnx"));
    assert_int_equal(oct_graph_opset(back, ""), 13);
    assert_true(back->ir_version >= 7);
    octet_graph_free(back);
    octet_graph_free(graph);
    /* types that came later */
    graph = quantized_network(OCTET_U8, 13);
    quantize_value(graph, graph->outputs[0], OCTET_S16, 0.001f, 0);
    save(graph, path_of("a.onnx"), NULL);
    back = read_back(path_of("a.onnx"));
    assert_int_equal(oct_graph_opset(back, ""), 21);
    assert_int_equal(back->outputs[0]->qparams.dtype, OCTET_S16);
    octet_graph_free(back);
    octet_graph_free(graph);
}

static void failures_leave_no_file(void **state) {
    (void)state;
    OctGraph *graph = quantized_network(OCTET_U8, 13);
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_model_save(graph, path_of("absent/a.onnx"), NULL, &diagnostic),
                     OCTET_ERROR_IO);
    assert_non_null(strstr(diagnostic.file, "absent"));
    if (access("/dev/full", W_OK) == 0) {
        diagnostic = (OctetDiagnostic){0};
        assert_int_equal(octet_model_save(graph, "/dev/full", NULL, &diagnostic), OCTET_ERROR_IO);
    }
    /* an operator that can't be said at the newer set */
    Onnx__NodeProto *node;
    Onnx__ModelProto *model = one_node(7, "BatchNormalization", "x x x x x", "1,2", &node);
    add_int(node, "spatial", 0);
    OctetGraph *other = load_model(model);
    assert_true(oct_graph_set_opset(other, "", 13));
    unlink(path_of("a.onnx"));
    diagnostic = (OctetDiagnostic){0};
    assert_int_equal(octet_model_save(other, path_of("a.onnx"), NULL, &diagnostic),
                     OCTET_ERROR_UNSUPPORTED);
    assert_int_not_equal(access(path_of("a.onnx"), F_OK), 0);
    octet_graph_free(other);
    octet_graph_free(graph);
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantized_networks_compute_the_same_bytes),
        cmocka_unit_test(qdq_has_nodes_where_they_belong),
        cmocka_unit_test(qoperator_leaves_floats_at_the_border_only),
        cmocka_unit_test(qoperator_moves_bytes),
        cmocka_unit_test(integer_borders_have_integer_types),
        cmocka_unit_test(wide_grids_are_no_bytes),
        cmocka_unit_test(old_operator_sets_are_raised),
        cmocka_unit_test(failures_leave_no_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
