/* Import of what holds graphs: branches, bodies and functions, also hostile ones. */
#include "onnx_models.h"

#include "ir/graph.h"
#include "octet/operators.h"
#include "octet/session.h"

static Onnx__GraphProto *branch(const char *op, const char *input) {
    Onnx__GraphProto *graph = new_graph_proto();
    graph->name = (char *)"branch";
    add_node(graph, op, input, "inner");
    add_output(graph, "inner", OCTET_F32, NULL);
    return graph;
}

static void child_graphs_see_outer_values(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2");
    add_input(g, "c", OCTET_BOOL, "");
    Onnx__NodeProto *node = add_node(g, "If", "c", "y");
    add_graph(node, "then_branch", branch("Relu", "late"));
    Onnx__GraphProto *pass = new_graph_proto();
    add_output(pass, "x", OCTET_F32, NULL);
    add_graph(node, "else_branch", pass);
    add_node(g, "Neg", "x", "late");
    add_output(g, "y", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    assert_int_equal(graph->node_count, 2);
    assert_string_equal(graph->nodes[0]->op_type, "Neg");
    const OctGraph *then = oct_node_attribute(graph->nodes[1], "then_branch")->v.graph;
    const OctGraph *other = oct_node_attribute(graph->nodes[1], "else_branch")->v.graph;
    assert_ptr_equal(then->nodes[0]->inputs[0], graph->nodes[0]->outputs[0]);
    assert_string_equal(other->nodes[0]->op_type, "Identity");
    assert_ptr_equal(other->outputs[0]->producer, other->nodes[0]);
    octet_graph_free(graph);
    empty_pool();
}

static Onnx__FunctionProto *add_function(Onnx__ModelProto *model, const char *name,
                                         const char *inputs, const char *outputs) {
    Onnx__FunctionProto *function = new_function_proto();
    Onnx__OperatorSetIdProto *opset = new_operator_set_id_proto();
    function->name = (char *)name;
    function->domain = (char *)"local";
    opset->domain = (char *)"";
    opset->has_version = 1;
    opset->version = 17;
    APPEND(function->n_opset_import, function->opset_import, opset);
    add_names(&function->n_input, &function->input, inputs);
    add_names(&function->n_output, &function->output, outputs);
    APPEND(model->n_functions, model->functions, function);
    return function;
}

static Onnx__NodeProto *add_body(Onnx__FunctionProto *function, const char *op, const char *inputs,
                                 const char *outputs) {
    Onnx__NodeProto *node = new_node(op, inputs, outputs);
    APPEND(function->n_node, function->node, node);
    return node;
}

static Onnx__NodeProto *call(Onnx__NodeProto *node) {
    node->domain = (char *)"local";
    return node;
}

/* Operators of the domain "octet" are the engine's: they trust what it has made. */
static void the_engines_operators_are_refused(void **state) {
    (void)state;
    OctetOperatorInfo info;
    int seen = 0;
    for (size_t i = 0; octet_operator_at(i, &info); i++) {
        if (strcmp(info.domain, "octet") != 0) {
            continue;
        }
        size_t size;
        OctetGraph *graph = NULL;
        OctetDiagnostic own = {0};
        Onnx__ModelProto *model = new_model(17);
        add_opset(model, "octet", 1);
        add_input(model->graph, "x", OCTET_F32, "4");
        Onnx__NodeProto *node = add_node(model->graph, info.name, "x", "y");
        node->name = (char *)"inner";
        node->domain = (char *)"octet";
        add_output(model->graph, "y", OCTET_F32, NULL);
        uint8_t *bytes = pack_model(model, &size);
        assert_int_equal(octet_model_load_memory(bytes, size, "m", NULL, &graph, &own),
                         OCTET_ERROR_UNSUPPORTED);
        assert_string_equal(own.node, "inner");
        assert_null(graph);
        /* lenient loading keeps it, and nothing runs it */
        const OctetLoadOptions lenient = {.lenient = true};
        OctetSession *session = NULL;
        assert_int_equal(octet_model_load_memory(bytes, size, "m", &lenient, &graph, NULL),
                         OCTET_OK);
        assert_int_equal(octet_session_create(graph, NULL, &session, NULL),
                         OCTET_ERROR_UNSUPPORTED);
        octet_graph_free(graph);
        empty_pool();
        seen++;
    }
    assert_true(seen > 5);
}

static void functions_are_expanded(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__FunctionProto *f = add_function(model, "f", "a b", "r s");
    Onnx__NodeProto *leaky = add_body(f, "LeakyRelu", "a", "t");
    Onnx__AttributeProto *alpha = add_attribute(leaky, "alpha", 1);
    alpha->ref_attr_name = (char *)"slope";
    Onnx__AttributeProto *absent = add_attribute(leaky, "other", 1);
    absent->ref_attr_name = (char *)"absent";
    call(add_body(f, "g", "t", "r"));
    add_body(f, "Foo", "b t", "s");
    Onnx__FunctionProto *g = add_function(model, "g", "a", "a2");
    add_body(g, "Neg", "a", "a2");
    Onnx__NodeProto *node = call(add_node(model->graph, "f", "y", "z"));
    node->name = (char *)"call";
    add_float(node, "slope", 0.125f);
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    const OctNode *neg = octet_graph_find_value(graph, "z")->producer;
    assert_string_equal(neg->op_type, "Neg");
    assert_int_equal(neg->opset, 17);
    const OctNode *relu = neg->inputs[0]->producer;
    assert_string_equal(relu->op_type, "LeakyRelu");
    assert_string_equal(relu->outputs[0]->name, "call/t");
    assert_float_equal(oct_node_float(relu, "alpha", 0), 0.125f, 0);
    assert_null(oct_node_attribute(relu, "other"));
    const OctNode *foo = octet_graph_find_value(graph, "call/s")->producer;
    assert_null(foo->inputs[0]);
    octet_graph_free(graph);
    empty_pool();
}

static void give_graph(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *graph) {
    Onnx__AttributeProto *attribute = add_attribute(node, name, 5);
    if (graph) {
        attribute->g = graph;
    } else {
        attribute->ref_attr_name = (char *)name;
    }
}

/* A graph of one node over a value of the graph around it. */
static Onnx__GraphProto *branch_graph(const char *op, const char *outer) {
    Onnx__GraphProto *graph = new_graph_proto();
    graph->name = (char *)op;
    add_node(graph, op, outer, "r");
    add_output(graph, "r", OCTET_F32, NULL);
    return graph;
}

/* The graphs that a call gives see the names of the call, not those of the function. */
static void functions_take_graphs(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__FunctionProto *f = add_function(model, "choose", "x", "r");
    add_body(f, "ReduceMax", "x", "y"); /* the caller has another y */
    add_body(f, "Cast", "y", "c");
    Onnx__AttributeProto *to = add_attribute(f->node[1], "to", 2);
    to->has_i = 1;
    to->i = OCTET_BOOL;
    add_int(f->node[0], "keepdims", 0);
    Onnx__NodeProto *inner = add_body(f, "If", "c", "r");
    give_graph(inner, "then_branch", NULL);
    give_graph(inner, "else_branch", NULL);
    Onnx__NodeProto *node = call(add_node(model->graph, "choose", "x", "z"));
    give_graph(node, "then_branch", branch_graph("Neg", "y"));
    give_graph(node, "else_branch", branch_graph("Abs", "y"));
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    const OctNode *made = octet_graph_find_value(graph, "z")->producer;
    assert_string_equal(made->op_type, "If");
    const OctAttribute *then_branch = oct_node_attribute(made, "then_branch");
    assert_ptr_equal(then_branch->v.graph->parent, graph);
    const OctNode *neg = then_branch->v.graph->outputs[0]->producer;
    assert_string_equal(neg->op_type, "Neg");
    assert_ptr_equal(neg->inputs[0], octet_graph_find_value(graph, "y"));
    octet_graph_free(graph);
    empty_pool();
}

/* Each function takes its graph twice, so that 40 of them would make 2^40 nodes. */
static void repeated_graphs_are_refused(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    static char names[40][8];
    Onnx__GraphProto *graph = branch_graph("Neg", "y");
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        Onnx__FunctionProto *f = add_function(model, names[i], "c", "r");
        Onnx__NodeProto *inner = add_body(f, "If", "c", "r");
        give_graph(inner, "then_branch", NULL);
        add_attribute(inner, "else_branch", 5)->ref_attr_name = (char *)"then_branch";
    }
    for (int i = 0; i < 40; i++) {
        Onnx__GraphProto *outer = new_graph_proto();
        Onnx__NodeProto *node = call(add_node(outer, names[i], "c", "r"));
        give_graph(node, "then_branch", graph);
        add_output(outer, "r", OCTET_F32, NULL);
        graph = outer;
    }
    add_input(model->graph, "c", OCTET_BOOL, "");
    Onnx__NodeProto *node = add_node(model->graph, "If", "c", "z");
    give_graph(node, "then_branch", graph);
    give_graph(node, "else_branch", branch_graph("Abs", "y"));
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetLoadOptions options = {.max_depth = 200, .max_nodes = 10000};
    size_t size;
    OctetGraph *loaded;
    uint8_t *bytes = pack_model(model, &size);
    assert_int_equal(octet_model_load_memory(bytes, size, "m", &options, &loaded, NULL),
                     OCTET_ERROR_LIMIT);
    empty_pool();
}

static void hostile_functions_are_refused(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__FunctionProto *f = add_function(model, "f", "a", "r");
    call(add_body(f, "g", "a", "r"));
    Onnx__FunctionProto *g = add_function(model, "g", "a", "r");
    call(add_body(g, "f", "a", "r"));
    call(add_node(model->graph, "f", "y", "z"));
    expect_failure(model, OCTET_ERROR_FORMAT, "calls itself");
    /* each function calls the next one four times: 4^14 nodes */
    static const char *names[] = {"f0", "f1", "f2",  "f3",  "f4",  "f5",  "f6", "f7",
                                  "f8", "f9", "f10", "f11", "f12", "f13", "f14"};
    model = identity_model();
    for (int i = 0; i < 14; i++) {
        f = add_function(model, names[i], "a", "r");
        call(add_body(f, names[i + 1], "a", "b"));
        call(add_body(f, names[i + 1], "b", "c"));
        call(add_body(f, names[i + 1], "c", "d"));
        call(add_body(f, names[i + 1], "d", "r"));
    }
    f = add_function(model, "f14", "a", "r");
    add_body(f, "Neg", "a", "r");
    call(add_node(model->graph, "f0", "y", "z"));
    expect_failure(model, OCTET_ERROR_LIMIT, "max_nodes");
    empty_pool();
}

static void nesting_is_limited(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    add_input(model->graph, "c", OCTET_BOOL, "");
    Onnx__GraphProto *inner = branch("Relu", "x");
    for (int i = 0; i < 40; i++) {
        Onnx__GraphProto *outer = new_graph_proto();
        Onnx__NodeProto *node = add_node(outer, "If", "c", "o");
        add_graph(node, "then_branch", inner);
        add_output(outer, "o", OCTET_F32, NULL);
        inner = outer;
    }
    APPEND(model->graph->n_node, model->graph->node, inner->node[0]);
    expect_failure(model, OCTET_ERROR_LIMIT, "deep");
    /* a type of types of types: protobuf's own recursion */
    model = identity_model();
    Onnx__TypeProto *type = new_tensor_type(OCTET_F32, "1");
    for (int i = 0; i < 2000; i++) {
        Onnx__TypeProto *outer = new_type_proto();
        outer->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
        outer->sequence_type = new_type_proto__sequence();
        outer->sequence_type->elem_type = type;
        type = outer;
    }
    model->graph->output[0]->type = type;
    expect_failure(model, OCTET_ERROR_LIMIT, "deep");
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_graphs_see_outer_values),
        cmocka_unit_test(the_engines_operators_are_refused),
        cmocka_unit_test(functions_are_expanded),
        cmocka_unit_test(functions_take_graphs),
        cmocka_unit_test(repeated_graphs_are_refused),
        cmocka_unit_test(hostile_functions_are_refused),
        cmocka_unit_test(nesting_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
