/* Export: what is written reads back as the same graph, byte for byte the same each time. */
#include "exported.h"

#include <sys/stat.h>

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
        cmocka_unit_test(child_graphs_and_attributes_survive),
        cmocka_unit_test(blocks_and_four_bits_survive),
        cmocka_unit_test(floats_are_rounded_only_where_they_were),
        cmocka_unit_test(fused_activations_keep_their_names),
        cmocka_unit_test(external_data_is_aligned_and_read),
        cmocka_unit_test(large_models_put_their_data_outside),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
