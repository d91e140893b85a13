/* Graphs that are written to a folder of the test's own and read back. */
#ifndef OCT_TESTS_EXPORTED_H
#define OCT_TESTS_EXPORTED_H

#include "onnx_models.h"

#include "base/file.h"
#include "ir/graph.h"
#include "octet/ptq.h"
#include "octet/session.h"
#include "onnx/export.h"

#include <unistd.h>

/* ---- files ---- */

static char folder[] = "/tmp/octet_export_XXXXXX";

static inline int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline const char *path_of(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int remove_folder(void **state) {
    (void)state;
    static const char *names[] = {"a.onnx", "b.onnx", "a.onnx.data", "b.onnx.data"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

static inline OctetGraph *read_back(const char *path) {
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions options = {.lenient = true};
    OctetStatus status = octet_model_load(path, &options, &graph, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    return graph;
}

static inline void save(const OctetGraph *graph, const char *path,
                        const OctetSaveOptions *options) {
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = octet_model_save(graph, path, options, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s: %s\n", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
}

static inline void expect_same_file(const char *a, const char *b) {
    uint8_t *data[2];
    size_t size[2];
    assert_int_equal(oct_file_read(a, 1 << 26, &data[0], &size[0], NULL), OCTET_OK);
    assert_int_equal(oct_file_read(b, 1 << 26, &data[1], &size[1], NULL), OCTET_OK);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(data[0], data[1], size[0]);
    oct_free(data[0]);
    oct_free(data[1]);
}

/* The file as protobuf sees it, nothing folded. Free with onnx__model_proto__free_unpacked. */
static inline Onnx__ModelProto *unpack(const char *path) {
    uint8_t *data;
    size_t size;
    assert_int_equal(oct_file_read(path, 1 << 26, &data, &size, NULL), OCTET_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, data);
    oct_free(data);
    assert_non_null(model);
    return model;
}

static inline int count_nodes(const Onnx__ModelProto *model, const char *op_type) {
    int count = 0;
    for (size_t i = 0; i < model->graph->n_node; i++) {
        count += strcmp(model->graph->node[i]->op_type, op_type) == 0;
    }
    return count;
}

/* ---- comparing graphs ---- */

static inline void expect_same_qparams(const OctetQParams *a, const OctetQParams *b) {
    assert_int_equal(a->dtype, b->dtype);
    if (a->dtype == OCTET_DTYPE_NONE) {
        return;
    }
    assert_int_equal(a->axis, b->axis);
    assert_int_equal(a->block_size, b->block_size);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->scale, b->scale, (size_t)a->count * sizeof(float));
    assert_memory_equal(a->zero_point, b->zero_point, (size_t)a->count * sizeof(int32_t));
}

static inline void expect_same_value(const OctValue *a, const OctValue *b) {
    assert_int_equal(a == NULL, b == NULL);
    if (!a) {
        return;
    }
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_true(octet_shape_equal(&a->shape, &b->shape) || a->shape.rank < 0);
    expect_same_qparams(&a->qparams, &b->qparams);
    const OctetTensor *x = oct_value_tensor(a);
    const OctetTensor *y = oct_value_tensor(b);
    assert_int_equal(x == NULL, y == NULL);
    if (x) {
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static inline void expect_same_graph(const OctGraph *a, const OctGraph *b);

static inline void expect_same_attribute(const OctAttribute *a, const OctAttribute *b) {
    assert_non_null(b);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->count, b->count);
    const OctetTensor *x;
    const OctetTensor *y;
    switch (a->type) {
    case OCT_ATTRIBUTE_FLOAT:
        assert_memory_equal(&a->v.f, &b->v.f, sizeof a->v.f);
        break;
    case OCT_ATTRIBUTE_INT:
        assert_int_equal(a->v.i, b->v.i);
        break;
    case OCT_ATTRIBUTE_STRING:
        assert_string_equal(a->v.s, b->v.s);
        break;
    case OCT_ATTRIBUTE_INTS:
        assert_memory_equal(a->v.ints, b->v.ints, (size_t)a->count * sizeof(int64_t));
        break;
    case OCT_ATTRIBUTE_FLOATS:
        assert_memory_equal(a->v.floats, b->v.floats, (size_t)a->count * sizeof(float));
        break;
    case OCT_ATTRIBUTE_STRINGS:
        for (int32_t i = 0; i < a->count; i++) {
            assert_string_equal(a->v.strings[i], b->v.strings[i]);
        }
        break;
    case OCT_ATTRIBUTE_TENSOR:
        x = oct_constant_tensor(a->v.tensor);
        y = oct_constant_tensor(b->v.tensor);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
        break;
    case OCT_ATTRIBUTE_GRAPH:
        expect_same_graph(a->v.graph, b->v.graph);
        break;
    }
}

static inline void expect_same_graph(const OctGraph *a, const OctGraph *b) {
    assert_int_equal(a->node_count, b->node_count);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    for (int32_t i = 0; i < a->input_count; i++) {
        expect_same_value(a->inputs[i], b->inputs[i]);
    }
    for (int32_t i = 0; i < a->output_count; i++) {
        expect_same_value(a->outputs[i], b->outputs[i]);
    }
    for (int32_t i = 0; i < a->node_count; i++) {
        const OctNode *x = a->nodes[i];
        const OctNode *y = oct_graph_find_node(b, x->name);
        assert_non_null(y);
        assert_string_equal(x->op_type, y->op_type);
        assert_string_equal(x->domain, y->domain);
        assert_int_equal(x->input_count, y->input_count);
        assert_int_equal(x->output_count, y->output_count);
        assert_int_equal(x->attribute_count, y->attribute_count);
        for (int32_t k = 0; k < x->input_count; k++) {
            expect_same_value(x->inputs[k], y->inputs[k]);
        }
        for (int32_t k = 0; k < x->output_count; k++) {
            expect_same_value(x->outputs[k], y->outputs[k]);
        }
        for (int32_t k = 0; k < x->attribute_count; k++) {
            expect_same_attribute(&x->attributes[k], oct_node_attribute(y, x->attributes[k].name));
        }
    }
}

/* Saves twice, expects the same bytes, and the same graph when read. */
static inline void expect_round_trip(const OctetGraph *graph, const OctetSaveOptions *options) {
    save(graph, path_of("a.onnx"), options);
    OctetGraph *back = read_back(path_of("a.onnx"));
    expect_same_graph(graph, back);
    save(back, path_of("b.onnx"), options);
    if (!options || !options->external_data) { /* there the file's own name is inside */
        expect_same_file(path_of("a.onnx"), path_of("b.onnx"));
    }
    octet_graph_free(back);
}

static inline Onnx__ModelProto *one_node(int64_t opset, const char *op_type, const char *inputs,
                                         const char *shape, Onnx__NodeProto **node) {
    Onnx__ModelProto *model = new_model(opset);
    add_input(model->graph, "x", OCTET_F32, shape);
    *node = add_node(model->graph, op_type, inputs, "y");
    (*node)->name = (char *)"n";
    add_output(model->graph, "y", OCTET_F32, NULL);
    return model;
}

#endif
