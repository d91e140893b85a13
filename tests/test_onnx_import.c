/* Import: what a file may say, and how Octet's graph says it. */
#include "onnx_models.h"

#include "ir/graph.h"

#include <unistd.h>

static void shared_models_load(void **state) {
    (void)state;
    static const char *names[] = {
        "cifar_resnet20",         "cifar_resnet56",
        "imagenet_squeezenet1_1", "mlperf_ad_autoencoder",
        "mlperf_ic_resnet8",      "mlperf_ic_resnet8_tflite_int8",
        "mlperf_kws_dscnn",       "mlperf_kws_dscnn_tflite_int8",
        "mlperf_vww_mobilenet",   "mnist_cntk",
        "ultraface_rfb320",
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
        OctetGraph *graph;
        OctetDiagnostic diagnostic = {0};
        OctetLoadOptions options = {.lenient = true};
        assert_int_equal(octet_model_load(path, &options, &graph, &diagnostic), OCTET_OK);
        assert_true(octet_graph_node_count(graph) > 5);
        assert_int_equal(octet_graph_input_count(graph), 1);
        octet_graph_free(graph);
    }
}

static void header_is_kept(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__StringStringEntryProto *entry = new_string_string_entry_proto();
    entry->key = (char *)"author";
    entry->value = (char *)"somebody";
    APPEND(model->n_metadata_props, model->metadata_props, entry);
    model->producer_name = (char *)"producer";
    model->doc_string = (char *)"words";
    add_opset(model, "com.microsoft", 1);
    OctetGraph *graph = load_model(model);
    assert_string_equal(octet_graph_metadata(graph, "author"), "somebody");
    assert_string_equal(graph->producer_name, "producer");
    assert_string_equal(graph->doc, "words");
    assert_int_equal(oct_graph_opset(graph, ""), 13);
    assert_int_equal(oct_graph_opset(graph, "com.microsoft"), 1);
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    assert_int_equal(shape.rank, 2);
    assert_string_equal(octet_graph_dim_name(graph, shape.dims[0]), "N");
    assert_int_equal(shape.dims[1], 3);
    octet_graph_free(graph);
    empty_pool();
}

static void unsorted_nodes_are_sorted(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F32, "2");
    add_node(model->graph, "Identity", "b", "y");
    add_node(model->graph, "Identity", "a", "b");
    add_node(model->graph, "Identity", "x", "a");
    add_output(model->graph, "y", OCTET_F32, "2");
    OctetGraph *graph = load_model(model);
    assert_int_equal(graph->node_count, 3);
    assert_string_equal(graph->nodes[0]->outputs[0]->name, "a");
    assert_string_equal(graph->nodes[2]->outputs[0]->name, "y");
    octet_graph_free(graph);
    empty_pool();
}

static void a_long_reversed_chain_sorts_in_time(void **state) {
    (void)state;
    enum { LENGTH = 20000 };
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "v0", OCTET_F32, "2");
    g->node = fresh(LENGTH * sizeof *g->node);
    for (int i = LENGTH; i > 0; i--) {
        char *names = fresh(64);
        snprintf(names, 32, "v%d", i - 1);
        snprintf(names + 32, 32, "v%d", i);
        Onnx__NodeProto *node = calloc(1, sizeof *node + 2 * sizeof(char *));
        onnx__node_proto__init(keep(node));
        node->op_type = (char *)"Identity";
        node->input = (char **)(node + 1);
        node->output = node->input + 1;
        node->n_input = node->n_output = 1;
        node->input[0] = names;
        node->output[0] = names + 32;
        g->node[g->n_node++] = node;
    }
    add_output(g, "v20000", OCTET_F32, "2");
    OctetGraph *graph = load_model(model);
    assert_int_equal(graph->node_count, LENGTH);
    assert_string_equal(graph->nodes[0]->outputs[0]->name, "v1");
    octet_graph_free(graph);
    empty_pool();
}

static void cycles_are_errors(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F32, "2");
    add_node(model->graph, "Add", "x b", "a");
    add_node(model->graph, "Identity", "a", "b");
    add_output(model->graph, "b", OCTET_F32, "2");
    expect_failure(model, OCTET_ERROR_FORMAT, "cycle");
    empty_pool();
}

static void wrong_names_are_errors(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    add_node(model->graph, "Identity", "x", "y");
    expect_failure(model, OCTET_ERROR_FORMAT, "have the name 'y'");
    model = identity_model();
    add_node(model->graph, "Identity", "nowhere", "z");
    expect_failure(model, OCTET_ERROR_FORMAT, "'nowhere' is used");
    model = identity_model();
    add_output(model->graph, "missing", OCTET_F32, NULL);
    expect_failure(model, OCTET_ERROR_FORMAT, "'missing' is used");
    model = identity_model();
    add_input(model->graph, "x", OCTET_F32, "2");
    expect_failure(model, OCTET_ERROR_FORMAT, "have the name 'x'");
    model = identity_model();
    add_scalar_f32(model->graph, "c", 1);
    add_scalar_f32(model->graph, "c", 2);
    expect_failure(model, OCTET_ERROR_FORMAT, "have the name 'c'");
    model = identity_model();
    model->graph->node[0]->op_type = NULL;
    expect_failure(model, OCTET_ERROR_FORMAT, "no operator");
    model = identity_model();
    add_output(model->graph, "y", OCTET_F32, NULL);
    expect_failure(model, OCTET_ERROR_FORMAT, "listed twice");
    empty_pool();
}

static void attributes_are_read(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__NodeProto *node = add_node(model->graph, "Foo", "x - -", "z -");
    add_int(node, "an_int", -3);
    add_float(node, "a_float", 0.25f);
    add_string(node, "a_string", "text");
    add_ints(node, "ints", (int64_t[]){1, 2, 3}, 3);
    Onnx__AttributeProto *old = add_attribute(node, "untyped", 0);
    old->has_type = 0;
    old->has_i = 1;
    old->i = 9;
    Onnx__AttributeProto *strings = add_attribute(node, "strings", 8);
    strings->n_strings = 2;
    strings->strings = fresh(2 * sizeof *strings->strings);
    strings->strings[0] = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    strings->strings[1] = (ProtobufCBinaryData){2, (uint8_t *)"bc"};
    add_attribute(node, "tensor", 4)->t = new_tensor("", OCTET_S64, "1", (int64_t[]){8}, 8);
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    const OctNode *read = octet_graph_find_value(graph, "z")->producer;
    const int64_t *ints;
    assert_int_equal(oct_node_int(read, "an_int", 0), -3);
    assert_int_equal(oct_node_int(read, "untyped", 0), 9);
    assert_float_equal(oct_node_float(read, "a_float", 0), 0.25f, 0);
    assert_string_equal(oct_node_string(read, "a_string", ""), "text");
    assert_int_equal(oct_node_ints(read, "ints", &ints), 3);
    assert_int_equal(ints[2], 3);
    assert_string_equal(oct_node_attribute(read, "strings")->v.strings[1], "bc");
    const OctetTensor *tensor = oct_constant_tensor(oct_node_attribute(read, "tensor")->v.tensor);
    assert_int_equal(*(const int64_t *)tensor->data, 8);
    assert_int_equal(read->input_count, 1);
    assert_int_equal(read->output_count, 1);
    octet_graph_free(graph);
    model = identity_model();
    node = add_node(model->graph, "Foo", "x", "z");
    add_int(node, "a", 1);
    add_int(node, "a", 2);
    expect_failure(model, OCTET_ERROR_FORMAT, "'a' is there twice");
    empty_pool();
}

static void half_models_become_f32(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F16, "2");
    Onnx__NodeProto *node = add_node(model->graph, "Cast", "x", "y");
    add_int(node, "to", OCTET_F64);
    add_output(model->graph, "y", OCTET_F64, "2");
    OctetGraph *graph = load_model(model);
    assert_int_equal(octet_value_dtype(octet_graph_input_at(graph, 0)), OCTET_F32);
    assert_int_equal(octet_value_dtype(octet_graph_output_at(graph, 0)), OCTET_F32);
    assert_int_equal(oct_node_int(graph->nodes[0], "to", 0), OCTET_F32);
    octet_graph_free(graph);
    empty_pool();
}

static void other_types_are_refused_by_name(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__TypeProto *type = new_type_proto();
    Onnx__TypeProto *inner = new_type_proto();
    type->value_case = inner->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type->sequence_type = new_type_proto__sequence();
    inner->sequence_type = new_type_proto__sequence();
    type->sequence_type->elem_type = inner;
    APPEND(model->graph->n_input, model->graph->input, new_info("s", type));
    expect_failure(model, OCTET_ERROR_UNSUPPORTED, "input 's' is a sequence of sequences");
    model = identity_model();
    type = new_type_proto();
    type->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type->sequence_type = new_type_proto__sequence();
    APPEND(model->graph->n_input, model->graph->input, new_info("s", type));
    expect_failure(model, OCTET_ERROR_UNSUPPORTED, "input 's' is of no type");
    model = identity_model();
    model->graph->input[0]->type = NULL;
    expect_failure(model, OCTET_ERROR_UNSUPPORTED, "input 'x' is of no type");
    empty_pool();
}

static void stated_shapes_fill_gaps(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F32, "?,3,-1");
    add_node(model->graph, "Unknown", "x", "u");
    add_node(model->graph, "Identity", "u", "y");
    add_output(model->graph, "y", OCTET_F32, NULL);
    APPEND(model->graph->n_value_info, model->graph->value_info,
           new_info("u", new_tensor_type(OCTET_F32, "7,N")));
    OctetGraph *graph = load_model(model);
    OctetShape shape = octet_value_shape(octet_graph_output_at(graph, 0));
    assert_int_equal(shape.rank, 2);
    assert_int_equal(shape.dims[0], 7);
    assert_string_equal(octet_graph_dim_name(graph, shape.dims[1]), "N");
    shape = octet_value_shape(octet_graph_input_at(graph, 0));
    assert_string_equal(octet_graph_dim_name(graph, shape.dims[0]), "x_dim0");
    assert_string_equal(octet_graph_dim_name(graph, shape.dims[2]), "x_dim2");
    octet_graph_free(graph);
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_models_load),
        cmocka_unit_test(header_is_kept),
        cmocka_unit_test(unsorted_nodes_are_sorted),
        cmocka_unit_test(a_long_reversed_chain_sorts_in_time),
        cmocka_unit_test(cycles_are_errors),
        cmocka_unit_test(wrong_names_are_errors),
        cmocka_unit_test(attributes_are_read),
        cmocka_unit_test(half_models_become_f32),
        cmocka_unit_test(other_types_are_refused_by_name),
        cmocka_unit_test(stated_shapes_fill_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
