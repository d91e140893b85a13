/* What is wrong with the nodes of a file is told all at once, in the order of the file. */
#include "onnx_models.h"

#include "cli.h"

typedef struct Told {
    size_t count;
    uint64_t left_out;
    struct {
        OctetStatus status;
        char node[64], op_type[64], reason[256];
        uint64_t nodes;
    } list[OCTET_MAX_FINDINGS];
    int calls;
} Told;

static void take(const OctetFinding *findings, size_t count, uint64_t left_out, void *user) {
    Told *told = user;
    told->calls++;
    told->count = count;
    told->left_out = left_out;
    for (size_t i = 0; i < count; i++) {
        told->list[i].status = findings[i].status;
        told->list[i].nodes = findings[i].nodes;
        snprintf(told->list[i].node, 64, "%s", findings[i].node);
        snprintf(told->list[i].op_type, 64, "%s", findings[i].op_type);
        snprintf(told->list[i].reason, 256, "%s", findings[i].reason);
    }
}

static OctetStatus load(const Onnx__ModelProto *model, bool lenient, Told *told,
                        OctetDiagnostic *diagnostic) {
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    OctetGraph *graph = NULL;
    OctetLoadOptions options = {.lenient = lenient, .on_findings = take, .findings_user = told};
    *told = (Told){0};
    *diagnostic = (OctetDiagnostic){0};
    OctetStatus status =
        octet_model_load_memory(bytes, size, "test.onnx", &options, &graph, diagnostic);
    assert_true((status == OCTET_OK) == (graph != NULL));
    octet_graph_free(graph);
    return status;
}

static Onnx__NodeProto *named(Onnx__NodeProto *node, const char *name) {
    node->name = (char *)name;
    return node;
}

static Onnx__GraphProto *branch(const char *op_type, const char *name, const char *output) {
    Onnx__GraphProto *graph = new_graph_proto();
    graph->name = (char *)"branch";
    named(add_node(graph, op_type, "x", output), name);
    add_output(graph, output, OCTET_F32, NULL);
    return graph;
}

/* Two operators and an attribute's value that are unsupported, two malformed attributes, and an
 * unsupported operator in a branch between them. */
static Onnx__ModelProto *bad_model(void) {
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_opset(model, "my.domain", 2);
    add_input(g, "x", OCTET_F32, "1,3,4,4");
    add_input(g, "c", OCTET_BOOL, "");
    int64_t sizes[] = {1, 3, 8, 8};
    add_tensor(g, "sizes", OCTET_S64, "4", sizes, sizeof sizes);
    named(add_node(g, "Foo", "x", "a"), "foo");
    add_string(named(add_node(g, "Resize", "x - - sizes", "b"), "resize"), "mode", "quintic");
    add_float(named(add_node(g, "Concat", "a x", "d"), "concat"), "axis", 1);
    Onnx__NodeProto *choice = named(add_node(g, "If", "c", "e"), "if");
    add_graph(choice, "then_branch", branch("Zap", "zap", "z"));
    add_graph(choice, "else_branch", branch("Relu", "relu", "r"));
    add_int(named(add_node(g, "Flatten", "x", "f"), "flatten"), "axis", 9);
    named(add_node(g, "Bar", "f", "y"), "bar")->domain = (char *)"my.domain";
    named(add_node(g, "Foo", "b", "h"), "foo2");
    for (const char *const *name = (const char *const[]){"d", "e", "y", "h", NULL}; *name; name++) {
        add_output(g, *name, OCTET_F32, NULL);
    }
    return model;
}

static void all_are_told_at_once(void **state) {
    (void)state;
    static const struct {
        const char *node, *op_type, *part;
        OctetStatus status;
        uint64_t nodes;
    } expected[] = {
        {"foo", "Foo", "operator Foo of opset 13", OCTET_ERROR_UNSUPPORTED, 2},
        {"resize", "Resize", "quintic", OCTET_ERROR_UNSUPPORTED, 1},
        {"concat", "Concat", "'axis': it is a float", OCTET_ERROR_FORMAT, 1},
        {"zap", "Zap", "operator Zap of opset 13", OCTET_ERROR_UNSUPPORTED, 1},
        {"flatten", "Flatten", "an axis outside", OCTET_ERROR_SHAPE, 1},
        {"bar", "Bar", "my.domain.Bar of opset 2", OCTET_ERROR_UNSUPPORTED, 1},
    };
    Told told;
    OctetDiagnostic diagnostic;
    for (int lenient = 0; lenient < 2; lenient++) {
        assert_int_equal(load(bad_model(), lenient, &told, &diagnostic), OCTET_ERROR_FORMAT);
        assert_int_equal(told.calls, 1);
        assert_int_equal(told.count, sizeof expected / sizeof expected[0]);
        assert_int_equal(told.left_out, 0);
        for (size_t i = 0; i < told.count; i++) {
            assert_string_equal(told.list[i].node, expected[i].node);
            assert_string_equal(told.list[i].op_type, expected[i].op_type);
            assert_non_null(strstr(told.list[i].reason, expected[i].part));
            assert_int_equal(told.list[i].status, expected[i].status);
            assert_int_equal(told.list[i].nodes, expected[i].nodes);
            assert_non_null(strstr(diagnostic.message, expected[i].part));
        }
        assert_non_null(strstr(diagnostic.message, "7 nodes can't be run"));
    }
    empty_pool();
}

/* A grid without steps does not hide what comes after it. */
static void zero_scales_are_told_with_the_rest(void **state) {
    (void)state;
    Told told;
    OctetDiagnostic diagnostic;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    add_scalar_f32(g, "nothing", 0);
    named(add_node(g, "QuantizeLinear", "x nothing", "q"), "quantize");
    named(add_node(g, "DequantizeLinear", "q nothing", "d"), "dequantize");
    named(add_node(g, "Foo", "d", "y"), "foo");
    add_output(g, "y", OCTET_F32, NULL);
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_FORMAT);
    assert_int_equal(told.count, 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"quantize", "dequantize", "foo"};
        assert_string_equal(told.list[i].node, names[i]);
    }
    assert_string_equal(told.list[0].reason, "QuantizeLinear of opset 13: its scale is 0");
    empty_pool();
}

/* Shapes that don't follow from a node that can't run are no one's fault. */
static void what_follows_is_not_told(void **state) {
    (void)state;
    Told told;
    OctetDiagnostic diagnostic;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    named(add_node(g, "Foo", "x", "a"), "foo");
    named(add_node(g, "Add", "a x", "b"), "add");
    add_int(named(add_node(g, "Softmax", "b", "y"), "softmax"), "axis", 9);
    add_output(g, "y", OCTET_F32, "2,3");
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_UNSUPPORTED);
    assert_int_equal(told.count, 1);
    assert_string_equal(diagnostic.node, "foo");
    assert_string_equal(diagnostic.message, "operator Foo of opset 13 is not supported");
    /* and where unsupported nodes are allowed, it loads and says so */
    assert_int_equal(load(model, true, &told, &diagnostic), OCTET_OK);
    assert_int_equal(told.count, 1);
    empty_pool();
}

static void names_and_types_of_attributes(void **state) {
    (void)state;
    Told told;
    OctetDiagnostic diagnostic;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    add_float(named(add_node(g, "LeakyRelu", "x", "a"), "leaky"), "alfa", 0.5f);
    add_int(named(add_node(g, "Elu", "a", "b"), "elu"), "alpha", 1);
    named(add_node(g, "Relu", "b x", "c"), "relu");
    named(add_node(g, "Sigmoid", "nothing", "d"), "sigmoid");
    add_int(named(add_node(g, "Abs", "c", "y"), "abs"), "axis", 1); /* known, if not of use here */
    add_output(g, "y", OCTET_F32, NULL);
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_FORMAT);
    assert_int_equal(told.count, 4);
    assert_string_equal(told.list[0].reason,
                        "LeakyRelu of opset 13: attribute 'alfa': it is not known");
    assert_string_equal(
        told.list[1].reason,
        "Elu of opset 13: attribute 'alpha': it is an integer, but should be a float");
    assert_string_equal(told.list[2].reason, "Relu of opset 13 has 2 inputs, which is not legal");
    assert_non_null(strstr(told.list[3].reason, "'nothing' is used"));
    empty_pool();
}

static void the_first_fifty_are_kept(void **state) {
    (void)state;
    enum { NODES = 70 };
    static char names[NODES][16];
    Told told;
    OctetDiagnostic diagnostic;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    for (int i = 0; i < NODES; i++) {
        snprintf(names[i], sizeof names[i], "N%d", i);
        /* found later than the others, by inference, though they stand among them */
        bool shape = i % 2 == 0;
        Onnx__NodeProto *node = add_node(g, shape ? "Flatten" : names[i], "x", names[i]);
        if (shape) {
            add_int(node, "axis", 100 + i);
        }
        named(node, names[i]);
        add_output(g, names[i], OCTET_F32, NULL);
    }
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_SHAPE);
    /* the Flatten nodes are told as one: their reasons are the same */
    assert_int_equal(told.count, 36);
    assert_int_equal(told.list[0].nodes, NODES / 2);
    for (int i = 0; i < NODES; i++) {
        g->node[i]->op_type = names[i];
        g->node[i]->n_attribute = 0;
    }
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_UNSUPPORTED);
    assert_int_equal(told.count, OCTET_MAX_FINDINGS);
    assert_int_equal(told.left_out, NODES - OCTET_MAX_FINDINGS);
    assert_string_equal(told.list[49].node, "N49");
    assert_non_null(strstr(diagnostic.message, " more"));
    /* one of the first that shows last of all takes the place of the last one */
    g->node[3]->op_type = (char *)"Flatten";
    add_int(g->node[3], "axis", 9);
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_SHAPE);
    assert_string_equal(told.list[3].op_type, "Flatten");
    assert_string_equal(told.list[49].node, "N49");
    empty_pool();
}

/* What ends the import at once stands behind what was found before. */
static void a_cycle_comes_last(void **state) {
    (void)state;
    Told told;
    OctetDiagnostic diagnostic;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    add_float(named(add_node(g, "Concat", "x x", "a"), "concat"), "axis", 1);
    named(add_node(g, "Add", "a c", "b"), "add");
    named(add_node(g, "Relu", "b", "c"), "relu");
    add_output(g, "c", OCTET_F32, NULL);
    assert_int_equal(load(model, false, &told, &diagnostic), OCTET_ERROR_FORMAT);
    assert_int_equal(told.count, 2);
    assert_string_equal(told.list[0].node, "concat");
    assert_non_null(strstr(told.list[1].reason, "cycle"));
    empty_pool();
}

static void the_command_lists_them(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = pack_model(bad_model(), &size);
    write_bytes(cli_path("bad.onnx"), bytes, size);
    assert_int_equal(cli("inspect %s --plan", cli_path("bad.onnx")), 1);
    assert_non_null(
        strstr(cli_err, "these nodes can't be run:\n  node foo and 1 more: operator Foo"));
    assert_non_null(strstr(cli_err, "\n  node flatten: Flatten of opset 13 "));
    assert_string_equal(cli_out, "");
    assert_int_equal(cli("inspect %s --plan --json", cli_path("bad.onnx")), 1);
    json_t *object = json_loads(cli_out, 0, NULL);
    const json_t *findings = json_object_get(object, "findings");
    assert_int_equal(json_array_size(findings), 6);
    const json_t *concat = json_array_get(findings, 2);
    assert_string_equal(json_string_value(json_object_get(concat, "kind")), "malformed");
    assert_string_equal(json_string_value(json_object_get(concat, "node")), "concat");
    assert_int_equal(json_integer_value(json_object_get(concat, "opset")), 13);
    json_decref(object);
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_told_at_once),
        cmocka_unit_test(zero_scales_are_told_with_the_rest),
        cmocka_unit_test(what_follows_is_not_told),
        cmocka_unit_test(names_and_types_of_attributes),
        cmocka_unit_test(the_first_fifty_are_kept),
        cmocka_unit_test(a_cycle_comes_last),
        cmocka_unit_test(the_command_lists_them),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
