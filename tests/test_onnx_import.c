/* Import: what a file may say, and how Octet's graph says it. */
#include "onnx_models.h"

#include "base/file.h"
#include "ir/graph.h"
#include "octet/operators.h"
#include "octet/session.h"

#include <sys/stat.h>
#include <unistd.h>

static Onnx__ModelProto *identity_model(void) {
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F32, "N,3");
    add_node(model->graph, "Identity", "x", "y");
    add_output(model->graph, "y", OCTET_F32, "N,3");
    return model;
}

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

static void initializers_among_inputs_are_constants(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(7);
    add_input(model->graph, "x", OCTET_F32, "2");
    add_input(model->graph, "c", OCTET_F32, "");
    add_scalar_f32(model->graph, "c", 3);
    add_node(model->graph, "Add", "x c", "y");
    add_output(model->graph, "y", OCTET_F32, "2");
    OctetGraph *graph = load_model(model);
    assert_int_equal(octet_graph_input_count(graph), 1);
    const OctetTensor *tensor = octet_value_tensor(octet_graph_find_value(graph, "c"));
    assert_non_null(tensor);
    assert_int_equal(tensor->shape.rank, 0);
    assert_float_equal(*(const float *)tensor->data, 3, 0);
    octet_graph_free(graph);
    empty_pool();
}

/* Loads the tensor as a constant and checks its bytes. */
static void expect_tensor(Onnx__TensorProto *proto, OctetDType dtype, const void *bytes,
                          size_t size) {
    Onnx__ModelProto *model = identity_model();
    proto->name = (char *)"c";
    APPEND(model->graph->n_initializer, model->graph->initializer, proto);
    add_node(model->graph, "Foo", "x c", "z");
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    const OctetTensor *tensor = octet_value_tensor(octet_graph_find_value(graph, "c"));
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, dtype);
    assert_int_equal(tensor->bytes, size);
    assert_memory_equal(tensor->data, bytes, size);
    octet_graph_free(graph);
}

static Onnx__TensorProto *typed_tensor(int32_t dtype, const char *dims) {
    Onnx__TensorProto *tensor = new_tensor("c", dtype, dims, NULL, 0);
    tensor->has_raw_data = 0;
    return tensor;
}

static void typed_fields_are_read(void **state) {
    (void)state;
    int32_t ints[] = {-1, 2, 300};
    Onnx__TensorProto *tensor = typed_tensor(OCTET_S32, "3");
    tensor->n_int32_data = 3;
    tensor->int32_data = ints;
    expect_tensor(tensor, OCTET_S32, ints, sizeof ints);
    tensor = typed_tensor(OCTET_S16, "3");
    tensor->n_int32_data = 3;
    tensor->int32_data = ints;
    expect_tensor(tensor, OCTET_S16, (int16_t[]){-1, 2, 300}, 6);
    tensor = typed_tensor(OCTET_U8, "3");
    tensor->n_int32_data = 3;
    tensor->int32_data = (int32_t[]){0, 255, 7};
    expect_tensor(tensor, OCTET_U8, (uint8_t[]){0, 255, 7}, 3);
    tensor = typed_tensor(OCTET_S64, "2");
    tensor->n_int64_data = 2;
    tensor->int64_data = (int64_t[]){INT64_MIN, 5};
    expect_tensor(tensor, OCTET_S64, (int64_t[]){INT64_MIN, 5}, 16);
    tensor = typed_tensor(OCTET_F64, "2");
    tensor->n_double_data = 2;
    tensor->double_data = (double[]){0.5, -2};
    expect_tensor(tensor, OCTET_F32, (float[]){0.5f, -2}, 8);
    tensor = typed_tensor(OCTET_F16, "2");
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){0x3c00, 0xc000};
    expect_tensor(tensor, OCTET_F32, (float[]){1, -2}, 8);
    tensor = typed_tensor(OCTET_U32, "1");
    tensor->n_uint64_data = 1;
    tensor->uint64_data = (uint64_t[]){4000000000u};
    expect_tensor(tensor, OCTET_U32, (uint32_t[]){4000000000u}, 4);
    tensor = typed_tensor(OCTET_S4, "3");
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){0x8f, 0x07};
    expect_tensor(tensor, OCTET_S4, (int8_t[]){-1, -8, 7}, 3);
    expect_tensor(new_tensor("c", OCTET_U4, "3", (uint8_t[]){0x8f, 0x07}, 2), OCTET_U4,
                  (uint8_t[]){15, 8, 7}, 3);
    expect_tensor(new_tensor("c", OCTET_BF16, "1", (uint16_t[]){0x3f80}, 2), OCTET_F32,
                  (float[]){1}, 4);
    expect_tensor(new_tensor("c", OCTET_BOOL, "2", (uint8_t[]){2, 0}, 2), OCTET_BOOL,
                  (uint8_t[]){1, 0}, 2);
    empty_pool();
}

static void broken_tensor(Onnx__TensorProto *tensor, OctetStatus status, const char *part) {
    Onnx__ModelProto *model = identity_model();
    APPEND(model->graph->n_initializer, model->graph->initializer, tensor);
    expect_failure(model, status, part);
}

static void broken_tensors_are_errors(void **state) {
    (void)state;
    float one = 1;
    broken_tensor(new_tensor("c", OCTET_F32, "2", &one, 4), OCTET_ERROR_FORMAT, "initializer 'c'");
    broken_tensor(new_tensor("c", OCTET_F32, "-1", &one, 4), OCTET_ERROR_FORMAT, "negative");
    broken_tensor(new_tensor("c", OCTET_F32, "4294967296,4294967296", &one, 4), OCTET_ERROR_SHAPE,
                  "can't be held");
    broken_tensor(new_tensor("c", OCTET_F32, "1,1,1,1,1,1,1,1,1", &one, 4), OCTET_ERROR_UNSUPPORTED,
                  "9 dimensions");
    broken_tensor(new_tensor("c", 14, "1", &one, 4), OCTET_ERROR_UNSUPPORTED, "number 14");
    broken_tensor(new_tensor("c", OCTET_STRING, "1", &one, 4), OCTET_ERROR_UNSUPPORTED, "strings");
    broken_tensor(new_tensor("", OCTET_F32, "1", &one, 4), OCTET_ERROR_FORMAT, "no name");
    /* a gigabyte that the file doesn't have must not be allocated */
    broken_tensor(typed_tensor(OCTET_F32, "1024,1024,256"), OCTET_ERROR_FORMAT, "the file has 0");
    empty_pool();
}

static Onnx__SparseTensorProto *sparse(const int64_t *indices, const char *shape) {
    Onnx__SparseTensorProto *proto = new_sparse_tensor_proto();
    proto->values = new_tensor("c", OCTET_F32, "2", (float[]){5, 7}, 8);
    proto->indices = new_tensor("", OCTET_S64, shape, indices, 16 * (strchr(shape, ',') ? 2 : 1));
    proto->n_dims = 2;
    proto->dims = fresh(16);
    proto->dims[0] = 2;
    proto->dims[1] = 2;
    return proto;
}

static void sparse_initializers_are_expanded(void **state) {
    (void)state;
    for (int form = 0; form < 2; form++) {
        Onnx__ModelProto *model = identity_model();
        Onnx__SparseTensorProto *proto =
            form ? sparse((int64_t[]){0, 1, 1, 0}, "2,2") : sparse((int64_t[]){1, 2}, "2");
        APPEND(model->graph->n_sparse_initializer, model->graph->sparse_initializer, proto);
        add_node(model->graph, "Foo", "x c", "z");
        add_output(model->graph, "z", OCTET_F32, NULL);
        OctetGraph *graph = load_model(model);
        const OctetTensor *tensor = octet_value_tensor(octet_graph_find_value(graph, "c"));
        assert_memory_equal(tensor->data, ((float[]){0, 5, 7, 0}), 16);
        octet_graph_free(graph);
    }
    Onnx__ModelProto *model = identity_model();
    Onnx__SparseTensorProto *outside = sparse((int64_t[]){1, 4}, "2");
    APPEND(model->graph->n_sparse_initializer, model->graph->sparse_initializer, outside);
    expect_failure(model, OCTET_ERROR_FORMAT, "outside");
    model = identity_model();
    Onnx__SparseTensorProto *huge = sparse((int64_t[]){1, 2}, "2");
    huge->dims[0] = 1 << 30;
    APPEND(model->graph->n_sparse_initializer, model->graph->sparse_initializer, huge);
    expect_failure(model, OCTET_ERROR_LIMIT, "sparse");
    empty_pool();
}

static void constant_nodes_become_constants(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    Onnx__NodeProto *node = add_node(model->graph, "Constant", "", "k");
    add_ints(node, "value_ints", (int64_t[]){4, 5}, 2);
    node = add_node(model->graph, "Constant", "", "f");
    add_float(node, "value_float", 2.5f);
    add_node(model->graph, "Foo", "k f", "z");
    add_output(model->graph, "z", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    const OctetTensor *k = octet_value_tensor(octet_graph_find_value(graph, "k"));
    const OctetTensor *f = octet_value_tensor(octet_graph_find_value(graph, "f"));
    assert_int_equal(k->dtype, OCTET_S64);
    assert_memory_equal(k->data, ((int64_t[]){4, 5}), 16);
    assert_int_equal(f->shape.rank, 0);
    assert_float_equal(*(const float *)f->data, 2.5f, 0);
    assert_int_equal(graph->node_count, 2);
    octet_graph_free(graph);
    empty_pool();
}

static void constant_outputs_get_a_node(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    add_scalar_f32(model->graph, "c", 4);
    add_output(model->graph, "c", OCTET_F32, "");
    add_output(model->graph, "x", OCTET_F32, "N,3");
    OctetGraph *graph = load_model(model);
    assert_int_equal(graph->output_count, 3);
    assert_string_equal(graph->outputs[1]->name, "c");
    assert_non_null(graph->outputs[1]->producer);
    assert_string_equal(graph->outputs[2]->name, "x");
    assert_true(graph->outputs[2]->is_input);
    octet_graph_free(graph);
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

/* ---- external data ---- */

static void add_entry(Onnx__TensorProto *tensor, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = new_string_string_entry_proto();
    entry->key = (char *)key;
    entry->value = (char *)value;
    APPEND(tensor->n_external_data, tensor->external_data, entry);
}

static OctetStatus load_external(const char *folder, const char *location, const char *offset,
                                 OctetGraph **graph, OctetDiagnostic *diagnostic) {
    Onnx__ModelProto *model = identity_model();
    Onnx__TensorProto *tensor = typed_tensor(OCTET_F32, "2");
    char path[300];
    size_t size;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    add_entry(tensor, "location", location);
    add_entry(tensor, "offset", offset);
    APPEND(model->graph->n_initializer, model->graph->initializer, tensor);
    add_node(model->graph, "Foo", "x c", "z");
    add_output(model->graph, "z", OCTET_F32, NULL);
    uint8_t *bytes = pack_model(model, &size);
    snprintf(path, sizeof path, "%s/model/m.onnx", folder);
    write_bytes(path, bytes, size);
    OctetLoadOptions options = {.lenient = true};
    *diagnostic = (OctetDiagnostic){0};
    return octet_model_load(path, &options, graph, diagnostic);
}

static void external_data_stays_inside(void **state) {
    (void)state;
    char folder[] = "/tmp/octet_external_XXXXXX";
    char path[200];
    char link[200];
    float values[] = {1, 2, 3};
    OctetGraph *graph;
    OctetDiagnostic diagnostic;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/secret", folder);
    write_bytes(path, values, sizeof values);
    snprintf(link, sizeof link, "%s/model/link", folder);
    assert_int_equal(symlink("../secret", link), 0);
    snprintf(path, sizeof path, "%s/model/data", folder);
    write_bytes(path, values, sizeof values);

    assert_int_equal(load_external(folder, "data", "4", &graph, &diagnostic), OCTET_OK);
    const OctetTensor *tensor = octet_value_tensor(octet_graph_find_value(graph, "c"));
    assert_memory_equal(tensor->data, values + 1, 8);
    octet_graph_free(graph);

    static const char *outside[] = {"../secret", "/etc/passwd", "link", "", "a/../../secret"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        assert_int_equal(load_external(folder, outside[i], "0", &graph, &diagnostic),
                         OCTET_ERROR_FORMAT);
        assert_non_null(strstr(diagnostic.message, "folder"));
    }
    assert_int_equal(load_external(folder, "absent", "0", &graph, &diagnostic), OCTET_ERROR_IO);
    assert_int_equal(load_external(folder, "data", "8", &graph, &diagnostic), OCTET_ERROR_FORMAT);
    assert_int_equal(load_external(folder, "data", "-4", &graph, &diagnostic), OCTET_ERROR_FORMAT);
    assert_int_equal(load_external(folder, "data", "18446744073709551615", &graph, &diagnostic),
                     OCTET_ERROR_FORMAT);
    unlink(link);
    unlink(path);
    snprintf(path, sizeof path, "%s/secret", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/model/m.onnx", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/model", folder);
    rmdir(path);
    rmdir(folder);
    empty_pool();
}

/* ---- damaged files ---- */

static void damaged_files_give_errors(void **state) {
    (void)state;
    Onnx__ModelProto *model = identity_model();
    add_scalar_f32(model->graph, "c", 1);
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    OctetLoadOptions options = {.lenient = true};
    for (size_t cut = 0; cut < size; cut++) {
        OctetGraph *graph = NULL;
        OctetDiagnostic diagnostic = {0};
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, bytes, cut);
        OctetStatus status =
            octet_model_load_memory(copy, cut, "cut.onnx", &options, &graph, &diagnostic);
        assert_true((status == OCTET_OK) == (graph != NULL));
        assert_true(status == OCTET_OK || diagnostic.message[0]);
        octet_graph_free(graph);
        free(copy);
    }
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            OctetGraph *graph = NULL;
            OctetDiagnostic diagnostic = {0};
            bytes[at] ^= (uint8_t)(1 << bit);
            OctetStatus status =
                octet_model_load_memory(bytes, size, "flip.onnx", &options, &graph, &diagnostic);
            assert_true((status == OCTET_OK) == (graph != NULL));
            octet_graph_free(graph);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    empty_pool();
}

static void repeated_messages_are_refused(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = pack_model(identity_model(), &size);
    uint8_t *twice = fresh(2 * size);
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    memcpy(twice, bytes, size);
    memcpy(twice + size, bytes, size);
    assert_int_equal(octet_model_load_memory(twice, 2 * size, "m", NULL, &graph, &diagnostic),
                     OCTET_ERROR_FORMAT);
    assert_non_null(strstr(diagnostic.message, "written twice"));
    empty_pool();
}

static void swelling_messages_are_refused(void **state) {
    (void)state;
    /* 4 million empty nodes: 8 MB that would become a gigabyte */
    enum { NODES = 4 << 20 };
    size_t inner = 2 * (size_t)NODES;
    uint8_t *bytes = fresh(inner + 16);
    size_t used = 0;
    bytes[used++] = 7 << 3 | 2;
    for (size_t rest = inner; rest; rest >>= 7) {
        bytes[used++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    }
    for (size_t i = 0; i < NODES; i++) {
        bytes[used++] = 1 << 3 | 2;
        bytes[used++] = 0;
    }
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_model_load_memory(bytes, used, "m", NULL, &graph, &diagnostic),
                     OCTET_ERROR_LIMIT);
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
        cmocka_unit_test(initializers_among_inputs_are_constants),
        cmocka_unit_test(typed_fields_are_read),
        cmocka_unit_test(broken_tensors_are_errors),
        cmocka_unit_test(sparse_initializers_are_expanded),
        cmocka_unit_test(constant_nodes_become_constants),
        cmocka_unit_test(constant_outputs_get_a_node),
        cmocka_unit_test(attributes_are_read),
        cmocka_unit_test(half_models_become_f32),
        cmocka_unit_test(child_graphs_see_outer_values),
        cmocka_unit_test(the_engines_operators_are_refused),
        cmocka_unit_test(functions_are_expanded),
        cmocka_unit_test(functions_take_graphs),
        cmocka_unit_test(repeated_graphs_are_refused),
        cmocka_unit_test(hostile_functions_are_refused),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(other_types_are_refused_by_name),
        cmocka_unit_test(stated_shapes_fill_gaps),
        cmocka_unit_test(external_data_stays_inside),
        cmocka_unit_test(damaged_files_give_errors),
        cmocka_unit_test(repeated_messages_are_refused),
        cmocka_unit_test(swelling_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
