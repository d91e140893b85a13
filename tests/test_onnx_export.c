/* Export: what is written reads back as the same graph, byte for byte the same each time. */
#include "onnx_models.h"

#include "base/file.h"
#include "ir/graph.h"
#include "octet/ptq.h"
#include "octet/session.h"
#include "onnx/export.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

static char folder[] = "/tmp/octet_export_XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path_of(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *names[] = {"a.onnx", "b.onnx", "a.onnx.data", "b.onnx.data"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

static OctetGraph *read_back(const char *path) {
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions options = {.lenient = true};
    OctetStatus status = octet_model_load(path, &options, &graph, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    return graph;
}

static void save(const OctetGraph *graph, const char *path, const OctetSaveOptions *options) {
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = octet_model_save(graph, path, options, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s: %s\n", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
}

static void expect_same_file(const char *a, const char *b) {
    uint8_t *data[2];
    size_t size[2];
    assert_int_equal(oct_file_read(a, 1 << 26, &data[0], &size[0], NULL), OCTET_OK);
    assert_int_equal(oct_file_read(b, 1 << 26, &data[1], &size[1], NULL), OCTET_OK);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(data[0], data[1], size[0]);
    oct_free(data[0]);
    oct_free(data[1]);
}

/* The file as protobuf sees it, nothing folded. Free with onnx__model_proto__free_unpacked. */
static Onnx__ModelProto *unpack(const char *path) {
    uint8_t *data;
    size_t size;
    assert_int_equal(oct_file_read(path, 1 << 26, &data, &size, NULL), OCTET_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, data);
    oct_free(data);
    assert_non_null(model);
    return model;
}

static int count_nodes(const Onnx__ModelProto *model, const char *op_type) {
    int count = 0;
    for (size_t i = 0; i < model->graph->n_node; i++) {
        count += strcmp(model->graph->node[i]->op_type, op_type) == 0;
    }
    return count;
}

/* ---- comparing graphs ---- */

static void expect_same_qparams(const OctetQParams *a, const OctetQParams *b) {
    assert_int_equal(a->dtype, b->dtype);
    if (a->dtype == OCTET_DTYPE_NONE) {
        return;
    }
    assert_int_equal(a->axis, b->axis);
    assert_int_equal(a->block_size, b->block_size);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->scale, b->scale, (size_t)a->count * sizeof(float));
    assert_memory_equal(a->zero_point, b->zero_point, (size_t)a->count * sizeof(int32_t));
}

static void expect_same_value(const OctValue *a, const OctValue *b) {
    assert_int_equal(a == NULL, b == NULL);
    if (!a) {
        return;
    }
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_true(octet_shape_equal(&a->shape, &b->shape) || a->shape.rank < 0);
    expect_same_qparams(&a->qparams, &b->qparams);
    const OctetTensor *x = oct_value_tensor(a);
    const OctetTensor *y = oct_value_tensor(b);
    assert_int_equal(x == NULL, y == NULL);
    if (x) {
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static void expect_same_graph(const OctGraph *a, const OctGraph *b);

static void expect_same_attribute(const OctAttribute *a, const OctAttribute *b) {
    assert_non_null(b);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->count, b->count);
    const OctetTensor *x;
    const OctetTensor *y;
    switch (a->type) {
    case OCT_ATTRIBUTE_FLOAT:
        assert_memory_equal(&a->v.f, &b->v.f, sizeof a->v.f);
        break;
    case OCT_ATTRIBUTE_INT:
        assert_int_equal(a->v.i, b->v.i);
        break;
    case OCT_ATTRIBUTE_STRING:
        assert_string_equal(a->v.s, b->v.s);
        break;
    case OCT_ATTRIBUTE_INTS:
        assert_memory_equal(a->v.ints, b->v.ints, (size_t)a->count * sizeof(int64_t));
        break;
    case OCT_ATTRIBUTE_FLOATS:
        assert_memory_equal(a->v.floats, b->v.floats, (size_t)a->count * sizeof(float));
        break;
    case OCT_ATTRIBUTE_STRINGS:
        for (int32_t i = 0; i < a->count; i++) {
            assert_string_equal(a->v.strings[i], b->v.strings[i]);
        }
        break;
    case OCT_ATTRIBUTE_TENSOR:
        x = oct_constant_tensor(a->v.tensor);
        y = oct_constant_tensor(b->v.tensor);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
        break;
    case OCT_ATTRIBUTE_GRAPH:
        expect_same_graph(a->v.graph, b->v.graph);
        break;
    }
}

static void expect_same_graph(const OctGraph *a, const OctGraph *b) {
    assert_int_equal(a->node_count, b->node_count);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    for (int32_t i = 0; i < a->input_count; i++) {
        expect_same_value(a->inputs[i], b->inputs[i]);
    }
    for (int32_t i = 0; i < a->output_count; i++) {
        expect_same_value(a->outputs[i], b->outputs[i]);
    }
    for (int32_t i = 0; i < a->node_count; i++) {
        const OctNode *x = a->nodes[i];
        const OctNode *y = oct_graph_find_node(b, x->name);
        assert_non_null(y);
        assert_string_equal(x->op_type, y->op_type);
        assert_string_equal(x->domain, y->domain);
        assert_int_equal(x->input_count, y->input_count);
        assert_int_equal(x->output_count, y->output_count);
        assert_int_equal(x->attribute_count, y->attribute_count);
        for (int32_t k = 0; k < x->input_count; k++) {
            expect_same_value(x->inputs[k], y->inputs[k]);
        }
        for (int32_t k = 0; k < x->output_count; k++) {
            expect_same_value(x->outputs[k], y->outputs[k]);
        }
        for (int32_t k = 0; k < x->attribute_count; k++) {
            expect_same_attribute(&x->attributes[k], oct_node_attribute(y, x->attributes[k].name));
        }
    }
}

/* Saves twice, expects the same bytes, and the same graph when read. */
static void expect_round_trip(const OctetGraph *graph, const OctetSaveOptions *options) {
    save(graph, path_of("a.onnx"), options);
    OctetGraph *back = read_back(path_of("a.onnx"));
    expect_same_graph(graph, back);
    save(back, path_of("b.onnx"), options);
    if (!options || !options->external_data) { /* there the file's own name is inside */
        expect_same_file(path_of("a.onnx"), path_of("b.onnx"));
    }
    octet_graph_free(back);
}

/* ---- shared models ---- */

static void shared_models_return_as_they_were(void **state) {
    (void)state;
    static const char *names[] = {
        "cifar_resnet20",       "imagenet_squeezenet1_1",
        "mlperf_ic_resnet8",    "mlperf_ic_resnet8_tflite_int8",
        "mlperf_kws_dscnn",     "mlperf_kws_dscnn_tflite_int8",
        "mlperf_vww_mobilenet", "mnist_cntk",
        "ultraface_rfb320",     "mlperf_ad_autoencoder",
    };
    const char *root = getenv("OCTET_SHARED");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/models/%s.onnx",
                 root ? root : OCTET_SOURCE_DIR "/../shared", names[i]);
        if (access(path, R_OK) != 0) {
            print_message("skipped: %s is not there\n", path);
            skip();
        }
        OctetGraph *graph = read_back(path);
        expect_round_trip(graph, NULL);
        expect_round_trip(graph, &(OctetSaveOptions){.external_data = true});
        octet_graph_free(graph);
    }
}

/* ---- a small quantized network of every kind ---- */

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

/* ---- raising ---- */

/* Imports a model, raises it by importing a newer opset, and gives what was written. */
static Onnx__ModelProto *raise_model(const Onnx__ModelProto *model, int64_t opset) {
    OctetGraph *graph = load_model(model);
    assert_true(oct_graph_set_opset(graph, "", opset));
    save(graph, path_of("a.onnx"), NULL);
    octet_graph_free(graph);
    return unpack(path_of("a.onnx"));
}

static Onnx__ModelProto *one_node(int64_t opset, const char *op_type, const char *inputs,
                                  const char *shape, Onnx__NodeProto **node) {
    Onnx__ModelProto *model = new_model(opset);
    add_input(model->graph, "x", OCTET_F32, shape);
    *node = add_node(model->graph, op_type, inputs, "y");
    (*node)->name = (char *)"n";
    add_output(model->graph, "y", OCTET_F32, NULL);
    return model;
}

static void attributes_become_inputs(void **state) {
    (void)state;
    static const struct {
        const char *op_type, *attribute;
        int64_t from, to;
        size_t input;
    } cases[] = {
        {"Squeeze", "axes", 11, 13, 1},   {"Unsqueeze", "axes", 11, 13, 1},
        {"ReduceSum", "axes", 11, 13, 1}, {"ReduceMean", "axes", 13, 18, 1},
        {"Pad", "pads", 10, 13, 1},       {"Split", "split", 11, 13, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Onnx__NodeProto *node;
        Onnx__ModelProto *model = one_node(cases[i].from, cases[i].op_type, "x", "1,2", &node);
        int64_t ints[4] = {0, 0, 0, 0};
        bool split = strcmp(cases[i].op_type, "Split") == 0;
        bool pad = strcmp(cases[i].op_type, "Pad") == 0;
        ints[0] = split ? 1 : 0;
        add_ints(node, cases[i].attribute, ints, pad ? 4 : 1);
        Onnx__ModelProto *raised = raise_model(model, cases[i].to);
        const Onnx__NodeProto *found = raised->graph->node[0];
        assert_string_equal(found->op_type, cases[i].op_type);
        assert_int_equal(found->n_attribute, 0);
        assert_int_equal(found->n_input, 2);
        assert_string_equal(raised->graph->initializer[0]->name, found->input[cases[i].input]);
        assert_int_equal(raised->graph->initializer[0]->data_type, OCTET_S64);
        assert_int_equal(raised->opset_import[0]->version, cases[i].to);
        onnx__model_proto__free_unpacked(raised, NULL);
    }
    empty_pool();
}

static void clip_bounds_become_inputs(void **state) {
    (void)state;
    Onnx__NodeProto *node;
    Onnx__ModelProto *model = one_node(7, "Clip", "x", "2", &node);
    add_float(node, "max", 6);
    Onnx__ModelProto *raised = raise_model(model, 13);
    const Onnx__NodeProto *found = raised->graph->node[0];
    assert_int_equal(found->n_input, 3);
    assert_string_equal(found->input[1], "");
    assert_string_equal(found->input[2], raised->graph->initializer[0]->name);
    assert_int_equal(found->n_attribute, 0);
    onnx__model_proto__free_unpacked(raised, NULL);
    empty_pool();
}

static void upsample_becomes_resize(void **state) {
    (void)state;
    Onnx__NodeProto *node;
    Onnx__ModelProto *model = one_node(7, "Upsample", "x", "1,1,2,2", &node);
    Onnx__AttributeProto *scales = add_attribute(node, "scales", 6);
    scales->n_floats = 4;
    scales->floats = (float[]){1, 1, 2, 2};
    Onnx__ModelProto *raised = raise_model(model, 13);
    const Onnx__NodeProto *found = raised->graph->node[0];
    assert_string_equal(found->op_type, "Resize");
    assert_int_equal(found->n_input, 3);
    int seen = 0;
    for (size_t i = 0; i < found->n_attribute; i++) {
        const Onnx__AttributeProto *a = found->attribute[i];
        if (strcmp(a->name, "coordinate_transformation_mode") == 0) {
            assert_memory_equal(a->s.data, "asymmetric", a->s.len);
            seen++;
        } else if (strcmp(a->name, "nearest_mode") == 0) {
            assert_memory_equal(a->s.data, "floor", a->s.len);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    onnx__model_proto__free_unpacked(raised, NULL);
    empty_pool();
}

static void old_softmax_keeps_its_meaning(void **state) {
    (void)state;
    Onnx__NodeProto *node;
    Onnx__ModelProto *raised = raise_model(one_node(7, "Softmax", "x", "2,5,1,1", &node), 13);
    assert_int_equal(raised->graph->n_node, 1);
    assert_int_equal(raised->graph->node[0]->attribute[0]->i, 1);
    onnx__model_proto__free_unpacked(raised, NULL);
    raised = raise_model(one_node(7, "Softmax", "x", "2,5,3", &node), 13);
    static const char *expected[] = {"Flatten", "Shape", "Softmax", "Reshape"};
    assert_int_equal(raised->graph->n_node, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(count_nodes(raised, expected[i]), 1);
    }
    onnx__model_proto__free_unpacked(raised, NULL);
    /* an axis that is no axis of anything known, found by the fuzzer */
    Onnx__ModelProto *model = one_node(7, "Softmax", "u", "2", &node);
    add_node(model->graph, "Unknown", "x", "u");
    add_int(node, "axis", INT32_MAX);
    raised = raise_model(model, 13);
    assert_int_equal(count_nodes(raised, "Flatten"), 1);
    onnx__model_proto__free_unpacked(raised, NULL);
    empty_pool();
}

/* ---- other content ---- */

static void child_graphs_and_attributes_survive(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(16);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "N,?");
    add_input(g, "c", OCTET_BOOL, "");
    for (int i = 0; i < 1; i++) {
        add_tensor(g, "k", OCTET_U4, "3", (uint8_t[]){0x21, 0x03}, 2);
    }
    Onnx__GraphProto *branches[2];
    for (int i = 0; i < 2; i++) {
        branches[i] = new_graph_proto();
        branches[i]->name = (char *)(i ? "else" : "then");
        Onnx__NodeProto *leaky = add_node(branches[i], "LeakyRelu", "x", i ? "o1" : "o0");
        add_float(leaky, "alpha", 0.3f);
        add_output(branches[i], i ? "o1" : "o0", OCTET_F32, NULL);
    }
    Onnx__NodeProto *node = add_node(g, "If", "c", "y");
    add_graph(node, "then_branch", branches[0]);
    add_graph(node, "else_branch", branches[1]);
    node = add_node(g, "Custom", "y - k", "z");
    node->domain = (char *)"my.domain";
    add_opset(model, "my.domain", 3);
    add_string(node, "s", "text");
    add_ints(node, "i", (int64_t[]){1, -1}, 2);
    add_attribute(node, "t", 4)->t = new_tensor("", OCTET_S64, "1", (int64_t[]){8}, 8);
    Onnx__AttributeProto *strings = add_attribute(node, "strings", 8);
    strings->n_strings = 1;
    strings->strings = fresh(sizeof *strings->strings);
    strings->strings[0] = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    add_output(g, "z", OCTET_F32, NULL);
    Onnx__StringStringEntryProto *entry = new_string_string_entry_proto();
    entry->key = (char *)"key";
    entry->value = (char *)"value";
    APPEND(model->n_metadata_props, model->metadata_props, entry);
    OctetGraph *graph = load_model(model);
    expect_round_trip(graph, NULL);
    OctetGraph *back = read_back(path_of("a.onnx"));
    assert_string_equal(octet_graph_metadata(back, "key"), "value");
    assert_int_equal(oct_graph_opset(back, "my.domain"), 3);
    octet_graph_free(back);
    octet_graph_free(graph);
    empty_pool();
}

static void blocks_and_four_bits_survive(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(21);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "1,5");
    add_tensor(g, "w", OCTET_S4, "5,1", (uint8_t[]){0x21, 0x83, 0x07}, 3);
    add_tensor(g, "ws", OCTET_F32, "3,1", (float[]){1, 2, 3}, 12);
    Onnx__NodeProto *node = add_node(g, "DequantizeLinear", "w ws", "wf");
    add_int(node, "axis", 0);
    add_int(node, "block_size", 2);
    add_node(g, "MatMul", "x wf", "y");
    add_output(g, "y", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    expect_round_trip(graph, NULL);
    octet_graph_free(graph);
    empty_pool();
}

static void floats_are_rounded_only_where_they_were(void **state) {
    (void)state;
    /* one value, used rounded and unrounded, and requantized: Identity nodes carry the grids */
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "1,4");
    add_scalar_f32(g, "s", 0.5f);
    add_scalar_f32(g, "t", 0.25f);
    add_tensor(g, "z", OCTET_U8, "", (uint8_t[]){7}, 1);
    add_node(g, "Sigmoid", "x", "a");
    add_node(g, "QuantizeLinear", "a s z", "q");
    add_node(g, "DequantizeLinear", "q s z", "b");
    add_node(g, "QuantizeLinear", "b t z", "r");
    add_node(g, "DequantizeLinear", "r t z", "c");
    add_node(g, "Add", "a c", "d");
    add_output(g, "d", OCTET_F32, NULL);
    add_output(g, "r", OCTET_U8, NULL);
    add_output(g, "b", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    expect_round_trip(graph, NULL);
    octet_graph_free(graph);
    empty_pool();
}

static void fused_activations_keep_their_names(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "1,2,4,4");
    add_tensor(g, "w", OCTET_F32, "2,2,1,1", (float[]){1, 2, 3, 4}, 16);
    add_node(g, "Conv", "x w", "c")->name = (char *)"layer";
    add_node(g, "Relu", "c", "y")->name = (char *)"its activation";
    add_output(g, "y", OCTET_F32, "1,2,4,4");
    OctetGraph *graph = load_model(model);
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_fuse(graph, &diagnostic), OCTET_OK);
    assert_int_equal(octet_graph_node_count(graph), 1);
    save(graph, path_of("a.onnx"), NULL);
    octet_graph_free(graph);
    Onnx__ModelProto *written = unpack(path_of("a.onnx"));
    assert_int_equal(written->graph->n_node, 2);
    assert_string_equal(written->graph->node[0]->name, "layer");
    assert_string_equal(written->graph->node[1]->name, "its activation");
    assert_string_equal(written->graph->node[1]->op_type, "Relu");
    onnx__model_proto__free_unpacked(written, NULL);
    empty_pool();
}

static void external_data_is_aligned_and_read(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    float *numbers = fresh(5000 * sizeof(float));
    for (int i = 0; i < 5000; i++) {
        numbers[i] = (float)i;
    }
    add_input(model->graph, "x", OCTET_F32, "5000");
    add_tensor(model->graph, "small", OCTET_F32, "1", numbers, 4);
    add_tensor(model->graph, "large", OCTET_F32, "5000", numbers, 20000);
    add_tensor(model->graph, "other", OCTET_F32, "5000", numbers, 20000);
    add_node(model->graph, "Add", "x small", "a");
    add_node(model->graph, "Add", "a large", "b");
    add_node(model->graph, "Add", "b other", "y");
    add_output(model->graph, "y", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    save(graph, path_of("a.onnx"), &(OctetSaveOptions){.external_data = true});
    Onnx__ModelProto *written = unpack(path_of("a.onnx"));
    int external = 0;
    for (size_t i = 0; i < written->graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = written->graph->initializer[i];
        if (tensor->n_external_data == 0) {
            continue;
        }
        external++;
        assert_string_equal(tensor->external_data[0]->key, "location");
        assert_string_equal(tensor->external_data[0]->value, "a.onnx.data");
        assert_int_equal(atoi(tensor->external_data[1]->value) % 4096, 0);
    }
    assert_int_equal(external, 2);
    onnx__model_proto__free_unpacked(written, NULL);
    OctetGraph *back = read_back(path_of("a.onnx"));
    expect_same_graph(graph, back);
    octet_graph_free(back);
    octet_graph_free(graph);
    empty_pool();
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

/* What is too large for one message goes beside it, without being asked: the limit is 2,000 MiB,
 * but any other size is the same code. */
static void large_models_put_their_data_outside(void **state) {
    (void)state;
    enum { BYTES = 20000 };
    Onnx__ModelProto *model = new_model(13);
    uint8_t *content = fresh(BYTES);
    fill_bytes(content, BYTES, 7);
    add_tensor(model->graph, "w", OCTET_U8, "20000", content, BYTES);
    add_input(model->graph, "x", OCTET_U8, "20000");
    add_int(add_node(model->graph, "Concat", "x w", "y"), "axis", 0);
    add_output(model->graph, "y", OCTET_U8, "40000");
    OctetGraph *graph = load_model(model);
    OctetDiagnostic diagnostic = {0};
    struct stat info;
    assert_int_equal(oct_model_save(graph, path_of("l.onnx"), NULL, SIZE_MAX, &diagnostic),
                     OCTET_OK);
    assert_int_equal(stat(path_of("l.onnx"), &info), 0);
    size_t whole = (size_t)info.st_size;
    assert_true(whole > BYTES);
    /* exactly as large as may be: inside; a byte less: outside */
    assert_int_equal(oct_model_save(graph, path_of("l.onnx"), NULL, whole, &diagnostic), OCTET_OK);
    assert_int_not_equal(access(path_of("l.onnx.data"), F_OK), 0);
    assert_int_equal(oct_model_save(graph, path_of("l.onnx"), NULL, whole - 1, &diagnostic),
                     OCTET_OK);
    assert_int_equal(stat(path_of("l.onnx.data"), &info), 0);
    assert_true(info.st_size >= BYTES);
    assert_int_equal(stat(path_of("l.onnx"), &info), 0);
    assert_true(info.st_size < BYTES);
    octet_graph_free(graph);
    assert_int_equal(octet_model_load(path_of("l.onnx"), NULL, &graph, &diagnostic), OCTET_OK);
    const OctetTensor *tensor = oct_value_tensor(octet_graph_find_value(graph, "w"));
    assert_non_null(tensor);
    assert_memory_equal(tensor->data, content, BYTES);
    unlink(path_of("l.onnx"));
    unlink(path_of("l.onnx.data"));
    octet_graph_free(graph);
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_models_return_as_they_were),
        cmocka_unit_test(quantized_networks_compute_the_same_bytes),
        cmocka_unit_test(qdq_has_nodes_where_they_belong),
        cmocka_unit_test(qoperator_leaves_floats_at_the_border_only),
        cmocka_unit_test(qoperator_moves_bytes),
        cmocka_unit_test(integer_borders_have_integer_types),
        cmocka_unit_test(wide_grids_are_no_bytes),
        cmocka_unit_test(old_operator_sets_are_raised),
        cmocka_unit_test(attributes_become_inputs),
        cmocka_unit_test(clip_bounds_become_inputs),
        cmocka_unit_test(upsample_becomes_resize),
        cmocka_unit_test(old_softmax_keeps_its_meaning),
        cmocka_unit_test(child_graphs_and_attributes_survive),
        cmocka_unit_test(blocks_and_four_bits_survive),
        cmocka_unit_test(floats_are_rounded_only_where_they_were),
        cmocka_unit_test(fused_activations_keep_their_names),
        cmocka_unit_test(external_data_is_aligned_and_read),
        cmocka_unit_test(large_models_put_their_data_outside),
        cmocka_unit_test(failures_leave_no_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
