/* Files in memory, and weights that stay where they are in the file. */
#include "onnx_models.h"

#include "base/file.h"
#include "base/mapping.h"
#include "ir/graph.h"

#include <unistd.h>

enum { LARGE = 300000 };

static char path[] = "/tmp/octet-mapping-XXXXXX";

static void large_files_are_mapped(void **state) {
    (void)state;
    static uint8_t bytes[LARGE];
    OctMapping *mapping;
    OctetDiagnostic diagnostic = {0};
    fill_bytes(bytes, LARGE, 1);
    write_bytes(path, bytes, LARGE);
    assert_int_equal(oct_mapping_open(path, LARGE, false, &mapping, NULL), OCTET_OK);
    assert_true(oct_mapping_is_mapped(mapping));
    assert_int_equal(oct_mapping_bytes(mapping), LARGE);
    assert_memory_equal(oct_mapping_data(mapping), bytes, LARGE);
    OctMapping *second = oct_mapping_retain(mapping);
    oct_mapping_release(mapping);
    oct_mapping_forget(second, oct_mapping_data(second) + 10, LARGE - 20);
    oct_mapping_forget(second, oct_mapping_data(second) + 10, 0);
    assert_memory_equal(oct_mapping_data(second), bytes, LARGE);
    oct_mapping_release(second);
    assert_int_equal(oct_mapping_open(path, LARGE - 1, false, &mapping, &diagnostic),
                     OCTET_ERROR_LIMIT);
    assert_string_equal(diagnostic.file, path);
    assert_int_equal(oct_mapping_open(path, LARGE, true, &mapping, NULL), OCTET_OK);
    assert_false(oct_mapping_is_mapped(mapping));
    oct_mapping_forget(mapping, oct_mapping_data(mapping), LARGE);
    assert_memory_equal(oct_mapping_data(mapping), bytes, LARGE);
    oct_mapping_release(mapping);
}

static void other_files_are_read(void **state) {
    (void)state;
    OctMapping *mapping;
    OctetDiagnostic diagnostic = {0};
    write_bytes(path, "few", 3);
    assert_int_equal(oct_mapping_open(path, 3, false, &mapping, NULL), OCTET_OK);
    assert_false(oct_mapping_is_mapped(mapping));
    assert_memory_equal(oct_mapping_data(mapping), "few", 3);
    oct_mapping_release(mapping);
    assert_int_equal(oct_mapping_open("/dev/null", 3, false, &mapping, NULL), OCTET_OK);
    assert_int_equal(oct_mapping_bytes(mapping), 0);
    oct_mapping_release(mapping);
    assert_int_equal(oct_mapping_open("/nowhere/at/all", 3, false, &mapping, &diagnostic),
                     OCTET_ERROR_IO);
    assert_int_equal(oct_mapping_open("/tmp", 3, false, &mapping, &diagnostic), OCTET_ERROR_IO);
    oct_mapping_release(NULL);
}

/* A constant of LARGE bytes behind DequantizeLinear, and what it is multiplied with. */
static void write_model(const uint8_t *weights, float scale) {
    size_t size;
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *graph = model->graph;
    add_input(graph, "x", OCTET_F32, "1,300");
    add_tensor(graph, "w", OCTET_S8, "300,1000", weights, LARGE);
    add_scalar_f32(graph, "s", scale);
    add_node(graph, "DequantizeLinear", "w s", "v");
    add_node(graph, "MatMul", "x v", "y");
    add_output(graph, "y", OCTET_F32, "1,1000");
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(path, bytes, size);
    empty_pool();
}

static const OctetTensor *weights_of(const OctetGraph *graph) {
    assert_int_equal(graph->node_count, 1);
    return oct_value_tensor(graph->nodes[0]->inputs[1]);
}

static void weights_stay_in_the_file(void **state) {
    (void)state;
    static uint8_t weights[LARGE];
    OctetGraph *graph, *copied, *zero;
    OctetLoadOptions copy = {.copy_file = true};
    fill_bytes(weights, LARGE, 2);
    write_model(weights, 0.5f);
    assert_int_equal(octet_model_load(path, NULL, &graph, NULL), OCTET_OK);
    assert_int_equal(octet_model_load(path, &copy, &copied, NULL), OCTET_OK);
    unlink(path); /* the old file lives on in its mapping */
    /* a scale of 0 makes zeros of the weights, which can't happen in the file */
    write_model(weights, 0);
    assert_int_equal(octet_model_load(path, NULL, &zero, NULL), OCTET_OK);
    const OctetTensor *mapped = weights_of(graph), *read = weights_of(copied);
    assert_non_null(mapped->mapping);
    assert_null(read->mapping);
    assert_null(weights_of(zero)->mapping);
    assert_int_equal(mapped->bytes, LARGE);
    /* the file has been replaced meanwhile */
    assert_memory_equal(mapped->data, weights, LARGE);
    assert_memory_equal(read->data, weights, LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        assert_int_equal(((const int8_t *)weights_of(zero)->data)[i], 0);
    }
    octet_graph_free(zero);
    octet_graph_free(copied);
    octet_graph_free(graph);
}

/* A Constant's bytes are read with its message, so that they don't lie in the file. */
static void constant_nodes_are_copied(void **state) {
    (void)state;
    static uint8_t weights[LARGE];
    size_t size;
    OctetGraph *graph;
    fill_bytes(weights, LARGE, 3);
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_U8, "300,1000");
    Onnx__NodeProto *node = add_node(model->graph, "Constant", "", "c");
    Onnx__AttributeProto *value = add_attribute(node, "value", 4);
    value->t = new_tensor(NULL, OCTET_U8, "300,1000", weights, LARGE);
    add_node(model->graph, "BitwiseXor", "x c", "y");
    add_output(model->graph, "y", OCTET_U8, "300,1000");
    model->opset_import[0]->version = 18;
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(path, bytes, size);
    empty_pool();
    assert_int_equal(octet_model_load(path, NULL, &graph, NULL), OCTET_OK);
    const OctetTensor *constant = weights_of(graph);
    assert_null(constant->mapping);
    assert_memory_equal(constant->data, weights, LARGE);
    octet_graph_free(graph);
}

static int make_file(void **state) {
    (void)state;
    int descriptor = mkstemp(path);
    return descriptor < 0 ? -1 : close(descriptor);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_files_are_mapped),
        cmocka_unit_test(other_files_are_read),
        cmocka_unit_test(weights_stay_in_the_file),
        cmocka_unit_test(constant_nodes_are_copied),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
