/* Nodes of old operator sets in files of new ones. */
#include "exported.h"

/* Imports a model, raises it by importing a newer opset, and gives what was written. */
static Onnx__ModelProto *raise_model(const Onnx__ModelProto *model, int64_t opset) {
    OctetGraph *graph = load_model(model);
    assert_true(oct_graph_set_opset(graph, "", opset));
    save(graph, path_of("a.onnx"), NULL);
    octet_graph_free(graph);
    return unpack(path_of("a.onnx"));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_become_inputs),
        cmocka_unit_test(clip_bounds_become_inputs),
        cmocka_unit_test(upsample_becomes_resize),
        cmocka_unit_test(old_softmax_keeps_its_meaning),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
