/* Import of tensors: every type and form that a file may hold them in, and constants. */
#include "onnx_models.h"

#include "ir/graph.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initializers_among_inputs_are_constants),
        cmocka_unit_test(typed_fields_are_read),
        cmocka_unit_test(broken_tensors_are_errors),
        cmocka_unit_test(sparse_initializers_are_expanded),
        cmocka_unit_test(constant_nodes_become_constants),
        cmocka_unit_test(constant_outputs_get_a_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
