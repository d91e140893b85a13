/* Import of damaged files, and of external data, which may lie anywhere but outside. */
#include "onnx_models.h"

#include "ir/graph.h"

#include <sys/stat.h>
#include <unistd.h>

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
        cmocka_unit_test(external_data_stays_inside),
        cmocka_unit_test(damaged_files_give_errors),
        cmocka_unit_test(repeated_messages_are_refused),
        cmocka_unit_test(swelling_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
