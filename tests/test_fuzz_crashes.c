/* Graphs that fuzzers once broke the library with, written down by hand. */
#include "onnx_models.h"

#include "ir/graph.h"
#include "octet/octet.h"

/* Loads, fuses and runs on a tensor of ones; the status of what failed first. */
static OctetStatus run_model(const Onnx__ModelProto *model, const OctetShape *shape,
                             OctetDiagnostic *diagnostic) {
    OctetGraph *graph;
    OctetSession *session = NULL;
    OctetTensor *x;
    const OctetTensor *outputs[8];
    assert_int_equal(octet_tensor_create(OCTET_F32, shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = 1;
    }
    OctetStatus status = try_load(model, false, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_create(graph, NULL, &session, diagnostic);
        if (status == OCTET_OK) {
            status = octet_session_run(session, (const OctetTensor *[]){x}, 1, outputs,
                                       octet_graph_output_count(graph), diagnostic);
        }
        octet_session_free(session);
        octet_graph_free(graph);
    }
    octet_tensor_free(x);
    return status;
}

/* A lenient import takes it, another one says that it is not supported. */
static void expect_only_lenient(const Onnx__ModelProto *model, bool lenient) {
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = try_load(model, lenient, &graph, &diagnostic);
    if (status != (lenient ? OCTET_OK : OCTET_ERROR_UNSUPPORTED)) {
        fail_msg("%s: %s", octet_status_name(status), diagnostic.message);
    }
    octet_graph_free(graph);
}

/* Unique of nothing: it has no lists to sort, and took an offset into them. */
static void unique_of_nothing(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 1, .dims = {0}};
    Onnx__ModelProto *model = new_model(17);
    OctetDiagnostic diagnostic = {0};
    add_input(model->graph, "x", OCTET_F32, "n");
    add_node(model->graph, "Unique", "x", "values first inverse counts");
    add_output(model->graph, "values", OCTET_F32, NULL);
    add_output(model->graph, "counts", OCTET_S64, NULL);
    assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_OK);
    empty_pool();
}

/* GatherND of constants without dimensions: folding ran it although nobody knew its output. */
static void gather_nd_of_scalars(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 1, .dims = {2}};
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    OctetDiagnostic diagnostic = {0};
    add_input(g, "x", OCTET_F32, "2");
    add_scalar_f32(g, "data", 1);
    add_tensor(g, "indices", OCTET_S64, "", (int64_t[]){0}, 8);
    add_node(g, "GatherND", "data indices", "one")->name = (char *)"gather";
    add_node(g, "Add", "x one", "y");
    add_output(g, "y", OCTET_F32, NULL);
    assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_ERROR_SHAPE);
    assert_string_equal(diagnostic.node, "gather");
    empty_pool();
}

/* A file with an operator of the engine's own, which checks nothing. */
static void inner_operators(void **state) {
    (void)state;
    static const char *const names[] = {"Join", "Table", "Quantize", "Normalize"};
    const OctetShape shape = {.rank = 1, .dims = {2}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Onnx__ModelProto *model = new_model(17);
        OctetDiagnostic diagnostic = {0};
        add_input(model->graph, "x", OCTET_F32, "2");
        add_node(model->graph, names[i], "x", "y")->domain = (char *)"octet";
        add_output(model->graph, "y", OCTET_F32, NULL);
        assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_ERROR_UNSUPPORTED);
        assert_non_null(strstr(diagnostic.message, "the engine's own"));
    }
    empty_pool();
}

/* Folded nodes that need no work space got a null pointer, and counted from it. */
static void no_work_space(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 1, .dims = {2}};
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    OctetDiagnostic diagnostic = {0};
    add_input(g, "x", OCTET_F32, "2");
    add_tensor(g, "two", OCTET_F32, "2", (float[]){1, 2}, 8);
    add_node(g, "Softmax", "two", "shares");
    add_node(g, "Add", "x shares", "y");
    add_output(g, "y", OCTET_F32, NULL);
    assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_OK);
    empty_pool();
}

/* The body of an unknown operator, which names an output that nothing makes: it was left where it
 * was, and took a constant from outside that nothing else wants. */
static void unfinished_bodies(void **state) {
    (void)state;
    for (int lenient = 0; lenient < 2; lenient++) {
        Onnx__ModelProto *model = new_model(17);
        Onnx__GraphProto *g = model->graph;
        Onnx__GraphProto *body = new_graph_proto();
        Onnx__GraphProto *inner = new_graph_proto();
        add_input(g, "x", OCTET_F32, "2");
        add_scalar_f32(g, "outside", 1);
        add_node(inner, "Neg", "outside", "negative");
        add_output(inner, "negative", OCTET_F32, NULL);
        add_graph(add_node(body, "Stranger", "outside", "made"), "body", inner);
        add_output(body, "made", OCTET_F32, NULL);
        add_output(body, "never made", OCTET_F32, NULL);
        add_graph(add_node(g, "Strange", "x", "y"), "body", body);
        add_output(g, "y", OCTET_F32, NULL);
        expect_only_lenient(model, lenient != 0);
        empty_pool();
    }
}

/* Floats times bytes: the bytes were read as floats, four times beyond their end. */
static void products_of_two_types(void **state) {
    (void)state;
    static const char *const names[] = {"MatMul", "Gemm", "FusedMatMul"};
    const OctetShape shape = {.rank = 2, .dims = {4, 4}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Onnx__ModelProto *model = new_model(17);
        Onnx__GraphProto *g = model->graph;
        OctetDiagnostic diagnostic = {0};
        add_input(g, "x", OCTET_F32, "4,4");
        add_int(add_node(g, "Cast", "x", "bytes"), "to", OCTET_U8);
        Onnx__NodeProto *node = add_node(g, names[i], "x bytes", "y");
        if (i == 2) {
            node->domain = (char *)"com.microsoft";
            add_opset(model, "com.microsoft", 1);
        }
        add_output(g, "y", OCTET_F32, NULL);
        assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_ERROR_SHAPE);
        assert_non_null(strstr(diagnostic.message, "f32 and of u8"));
    }
    empty_pool();
}

/* Weights that are bytes, of operators that multiply by floats. */
static void weights_of_another_type(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 3, .dims = {1, 1, 4}};
    static const struct {
        const char *domain, *op_type, *inputs, *w, *r, *attribute;
    } cases[] = {{"", "LSTM", "x w r", "1,8,4", "1,8,2", "hidden_size"},
                 {"", "GRU", "x w r", "1,6,4", "1,6,2", "hidden_size"},
                 {"", "RNN", "x w r", "1,2,4", "1,2,2", "hidden_size"},
                 {"com.microsoft", "Attention", "x w", "4,12", "1", "num_heads"}};
    static const uint8_t bytes[64] = {1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Onnx__ModelProto *model = new_model(17);
        Onnx__GraphProto *g = model->graph;
        OctetDiagnostic diagnostic = {0};
        add_input(g, "x", OCTET_F32, "1,1,4");
        add_tensor(g, "w", OCTET_U8, cases[i].w, bytes, i == 3 ? 48 : i == 2 ? 8 : i ? 24 : 32);
        add_tensor(g, "r", OCTET_U8, cases[i].r, bytes, i == 3 ? 1 : i == 2 ? 4 : i ? 12 : 16);
        add_opset(model, "com.microsoft", 1);
        Onnx__NodeProto *node = add_node(g, cases[i].op_type, cases[i].inputs, "y");
        node->domain = (char *)cases[i].domain;
        add_int(node, cases[i].attribute, 2);
        add_output(g, "y", OCTET_F32, NULL);
        assert_int_equal(run_model(model, &shape, &diagnostic), OCTET_ERROR_SHAPE);
        assert_non_null(strstr(diagnostic.message, "needs w as f32, it is u8"));
    }
    empty_pool();
}

/* Integers that are quantized: a lenient import, which keeps the node that makes them, must not
 * keep their grid. */
static void quantized_integers(void **state) {
    (void)state;
    for (int lenient = 0; lenient < 2; lenient++) {
        Onnx__ModelProto *model = new_model(17);
        Onnx__GraphProto *g = model->graph;
        add_input(g, "x", OCTET_S32, "4");
        add_scalar_f32(g, "s", 0.5f);
        add_tensor(g, "z", OCTET_U8, "", (uint8_t[]){3}, 1);
        add_node(g, "Identity", "x", "i")->name = (char *)"copy";
        add_node(g, "QuantizeLinear", "i s z", "q");
        add_node(g, "DequantizeLinear", "q s z", "y");
        add_output(g, "y", OCTET_F32, NULL);
        expect_only_lenient(model, lenient != 0);
        empty_pool();
    }
}

/* A branch's name lay in the message that it was read from, which is gone after loading. */
static void names_of_branches(void **state) {
    (void)state;
    Onnx__ModelProto *model = rich_model();
    for (size_t i = 0; i < model->graph->n_node; i++) {
        Onnx__NodeProto *node = model->graph->node[i];
        for (size_t k = 0; k < node->n_attribute; k++) {
            if (node->attribute[k]->g) {
                node->attribute[k]->g->name = (char *)"a name of a branch";
            }
        }
    }
    OctetGraph *graph = load_model(model);
    OctGraph *clone;
    assert_int_equal(graph->child_count, 2);
    assert_string_equal(graph->children[0]->name, "a name of a branch");
    assert_int_equal(oct_graph_clone(graph, &clone, NULL), OCTET_OK);
    assert_string_equal(clone->children[1]->name, "a name of a branch");
    octet_graph_free(clone);
    octet_graph_free(graph);
    empty_pool();
}

static void *modest_reallocate(void *pointer, size_t size, void *user) {
    (void)user;
    return size > (size_t)64 << 20 ? NULL : realloc(pointer, size);
}

static void modest_release(void *pointer, void *user) {
    (void)user;
    free(pointer);
}

/* A Resize to nothing that is long: 400,000,000 by 0 by 4. Its axes had tables of their lengths. */
static void long_and_empty(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 3, .dims = {2, 1, 2}};
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    OctetDiagnostic diagnostic = {0};
    add_input(g, "x", OCTET_F32, "2,1,2");
    add_tensor(g, "sizes", OCTET_S64, "3", (int64_t[]){400000000, 0, 4}, 24);
    add_string(add_node(g, "Resize", "x - - sizes", "y"), "mode", "linear");
    add_output(g, "y", OCTET_F32, NULL);
    octet_set_allocator(modest_reallocate, modest_release, NULL);
    OctetStatus status = run_model(model, &shape, &diagnostic);
    octet_set_allocator(NULL, NULL, NULL);
    if (status != OCTET_OK) {
        fail_msg("%s: %s", octet_status_name(status), diagnostic.message);
    }
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unique_of_nothing),     cmocka_unit_test(unfinished_bodies),
        cmocka_unit_test(products_of_two_types), cmocka_unit_test(weights_of_another_type),
        cmocka_unit_test(gather_nd_of_scalars),  cmocka_unit_test(inner_operators),
        cmocka_unit_test(quantized_integers),    cmocka_unit_test(names_of_branches),
        cmocka_unit_test(long_and_empty),        cmocka_unit_test(no_work_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
