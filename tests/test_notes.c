/* Names and notes of nodes that become part of others, and all that a file says besides. */
#include "onnx_models.h"

#include "octet/octet.h"

static char folder[] = "/tmp/octet-notes-XXXXXX";

static const char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void add_weights(Onnx__GraphProto *g, const char *name, const char *dims, size_t count,
                        float least) {
    float *numbers = fresh(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = least + (float)(i * 7 % 11) / 8;
    }
    add_tensor(g, name, OCTET_F32, dims, numbers, count * sizeof *numbers);
}

static Onnx__NodeProto *noted(Onnx__NodeProto *node, const char *name, const char *doc) {
    node->name = (char *)name;
    node->doc_string = (char *)doc;
    return node;
}

/* NodeProto.metadata_props, a field that the message type lacks. */
static void add_metadata(Onnx__NodeProto *node) {
    static uint8_t bytes[] = {6, 0x0a, 1, 'k', 0x12, 1, 'v'};
    static ProtobufCMessageUnknownField fields[2];
    for (int i = 0; i < 2; i++) {
        fields[i] = (ProtobufCMessageUnknownField){9, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                                   sizeof bytes, bytes};
    }
    node->base.n_unknown_fields = 2;
    node->base.unknown_fields = fields;
}

static Onnx__ModelProto *noted_model(void) {
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    model->doc_string = (char *)"of the model";
    model->domain = (char *)"my.models";
    model->has_model_version = 1;
    model->model_version = 7;
    g->doc_string = (char *)"of the graph";
    add_input(g, "x", OCTET_F32, "N,2,6,6");
    g->input[0]->doc_string = (char *)"of the input";
    int64_t pads[] = {0, 0, 1, 1, 0, 0, 1, 1};
    add_tensor(g, "pads", OCTET_S64, "8", pads, sizeof pads);
    add_weights(g, "w1", "4,2,3,3", 72, -0.5f);
    add_weights(g, "w2", "4,4,1,1", 16, -0.5f);
    static const char *const vectors[] = {"scale", "shift", "mean", "variance"};
    for (int i = 0; i < 4; i++) {
        add_weights(g, vectors[i], "4", 4, 0.5f);
    }
    add_scalar_f32(g, "low", 0);
    add_scalar_f32(g, "high", 6);
    noted(add_node(g, "Pad", "x pads", "xp"), "pad", NULL);
    Onnx__NodeProto *conv = noted(add_node(g, "Conv", "xp w1", "c1"), "conv", "of the conv");
    add_metadata(conv);
    noted(add_node(g, "BatchNormalization", "c1 scale shift mean variance", "n1"), "norm",
          "of the norm");
    add_metadata(noted(add_node(g, "Relu", "n1", "r1"), "relu", "of the relu"));
    noted(add_node(g, "Conv", "r1 w2", "c2"), "conv2", NULL);
    noted(add_node(g, "Clip", "c2 low high", "r2"), "clip", NULL);
    noted(add_node(g, "Add", "r1 r2", "a"), "add", NULL);
    noted(add_node(g, "Relu", "a", "y"), "last relu", NULL);
    add_output(g, "y", OCTET_F32, NULL);
    g->output[0]->doc_string = (char *)"of the output";
    return model;
}

static OctetGraph *quantized(OctetGraph *graph) {
    OctetDiagnostic diagnostic = {0};
    OctetPrepared *prepared;
    OctetGraph *made;
    OctetTensor *input;
    OctetShape shape = {.rank = 4, .dims = {4, 2, 6, 6}};
    const OctetPrepareOptions options = {.quantize_borders = true};
    assert_int_equal(octet_fuse(graph, &diagnostic), OCTET_OK);
    assert_int_equal(octet_prepare(graph, NULL, &options, &prepared, &diagnostic), OCTET_OK);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &input, NULL), OCTET_OK);
    for (int i = 0; i < 4 * 72; i++) {
        ((float *)input->data)[i] = (float)(i * 37 % 101) / 50 - 1;
    }
    assert_int_equal(octet_calibrate(prepared, (const OctetTensor *[]){input}, 1, &diagnostic),
                     OCTET_OK);
    assert_int_equal(octet_convert(prepared, NULL, &made, NULL, &diagnostic), OCTET_OK);
    octet_tensor_free(input);
    octet_prepared_free(prepared);
    return made;
}

static Onnx__ModelProto *unpack(const char *path) {
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[1 << 16];
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, bytes);
    assert_non_null(model);
    return model;
}

static const Onnx__NodeProto *find(const Onnx__ModelProto *model, const char *name) {
    for (size_t i = 0; i < model->graph->n_node; i++) {
        if (strcmp(model->graph->node[i]->name, name) == 0) {
            return model->graph->node[i];
        }
    }
    return NULL;
}

static void expect_metadata(const Onnx__NodeProto *node) {
    static const uint8_t expected[] = {6, 0x0a, 1, 'k', 0x12, 1, 'v'};
    assert_int_equal(node->base.n_unknown_fields, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node->base.unknown_fields[i].tag, 9);
        assert_int_equal(node->base.unknown_fields[i].len, sizeof expected);
        assert_memory_equal(node->base.unknown_fields[i].data, expected, sizeof expected);
    }
}

static void expect_statements(const Onnx__ModelProto *model) {
    assert_string_equal(model->doc_string, "of the model");
    assert_string_equal(model->domain, "my.models");
    assert_int_equal(model->model_version, 7);
    assert_string_equal(model->graph->doc_string, "of the graph");
    assert_string_equal(model->graph->input[0]->doc_string, "of the input");
    assert_string_equal(model->graph->output[0]->doc_string, "of the output");
}

/* A float model says the same when it was only read and written. */
static void floats_return_with_their_notes(void **state) {
    (void)state;
    OctetGraph *graph = load_model(noted_model());
    assert_int_equal(octet_model_save(graph, path_of("f.onnx"), NULL, NULL), OCTET_OK);
    Onnx__ModelProto *model = unpack(path_of("f.onnx"));
    expect_statements(model);
    assert_string_equal(find(model, "conv")->doc_string, "of the conv");
    assert_string_equal(find(model, "relu")->doc_string, "of the relu");
    assert_null(find(model, "conv2")->doc_string);
    expect_metadata(find(model, "conv"));
    expect_metadata(find(model, "relu"));
    onnx__model_proto__free_unpacked(model, NULL);
    octet_graph_free(graph);
    empty_pool();
}

static void qdq_keeps_activations_and_notes_the_rest(void **state) {
    (void)state;
    OctetGraph *graph = load_model(noted_model());
    OctetGraph *made = quantized(graph);
    assert_int_equal(octet_model_save(made, path_of("q.onnx"), NULL, NULL), OCTET_OK);
    Onnx__ModelProto *model = unpack(path_of("q.onnx"));
    expect_statements(model);
    const Onnx__NodeProto *conv = find(model, "conv");
    assert_string_equal(conv->doc_string, "of the conv\nincludes Pad 'pad'\n"
                                          "includes BatchNormalization 'norm': of the norm");
    expect_metadata(conv);
    assert_string_equal(conv->output[0], "n1"); /* as what the Relu reads is called in the file */
    const Onnx__NodeProto *relu = find(model, "relu");
    assert_string_equal(relu->op_type, "Relu");
    assert_string_equal(relu->doc_string, "of the relu");
    assert_string_equal(relu->input[0], "n1");
    assert_string_equal(relu->output[0], "r1");
    expect_metadata(relu);
    assert_string_equal(find(model, "clip")->op_type, "Clip");
    assert_string_equal(find(model, "last relu")->op_type, "Relu");
    onnx__model_proto__free_unpacked(model, NULL);
    octet_graph_free(made);
    octet_graph_free(graph);
    empty_pool();
}

static void qoperator_notes_activations(void **state) {
    (void)state;
    OctetGraph *graph = load_model(noted_model());
    OctetGraph *made = quantized(graph);
    const OctetSaveOptions options = {.format = OCTET_FORMAT_QOPERATOR};
    assert_int_equal(octet_model_save(made, path_of("i.onnx"), &options, NULL), OCTET_OK);
    Onnx__ModelProto *model = unpack(path_of("i.onnx"));
    expect_statements(model);
    const Onnx__NodeProto *conv = find(model, "conv");
    assert_string_equal(conv->op_type, "QLinearConv");
    assert_string_equal(conv->doc_string, "of the conv\nincludes Pad 'pad'\n"
                                          "includes BatchNormalization 'norm': of the norm\n"
                                          "includes Relu 'relu': of the relu");
    assert_string_equal(conv->output[0], "r1_quantized");
    assert_string_equal(find(model, "conv2")->doc_string, "includes Clip 'clip'");
    assert_string_equal(find(model, "add")->doc_string, "includes Relu 'last relu'");
    /* reading and writing keeps all of it */
    OctetGraph *back;
    assert_int_equal(octet_model_load(path_of("i.onnx"), NULL, &back, NULL), OCTET_OK);
    assert_int_equal(octet_model_save(back, path_of("j.onnx"), &options, NULL), OCTET_OK);
    Onnx__ModelProto *again = unpack(path_of("j.onnx"));
    assert_string_equal(find(again, "conv")->doc_string, conv->doc_string);
    onnx__model_proto__free_unpacked(again, NULL);
    onnx__model_proto__free_unpacked(model, NULL);
    octet_graph_free(back);
    octet_graph_free(made);
    octet_graph_free(graph);
    empty_pool();
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state) {
    (void)state;
    for (const char *const *name =
             (const char *const[]){"f.onnx", "q.onnx", "i.onnx", "j.onnx", NULL};
         *name; name++) {
        remove(path_of(*name));
    }
    return remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_return_with_their_notes),
        cmocka_unit_test(qdq_keeps_activations_and_notes_the_rest),
        cmocka_unit_test(qoperator_notes_activations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
