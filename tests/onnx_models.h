/* ONNX models for tests, written down in C: messages of protobuf-c, packed to bytes. */
#ifndef OCT_TESTS_ONNX_MODELS_H
#define OCT_TESTS_ONNX_MODELS_H

#include <onnx/onnx.pb-c.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "octet/model.h"

/* Everything is allocated and never freed one by one: a pool that a test empties at its end. */
static struct {
    void *items[65536];
    size_t count;
} kept_items;

static void *keep(void *item) {
    assert_non_null(item);
    assert_true(kept_items.count < sizeof kept_items.items / sizeof kept_items.items[0]);
    kept_items.items[kept_items.count++] = item;
    return item;
}

static void *fresh(size_t size) {
    return keep(calloc(1, size ? size : 1));
}

static void empty_pool(void) {
    while (kept_items.count > 0) {
        free(kept_items.items[--kept_items.count]);
    }
}

/* Lengthens a repeated field by one. */
#define APPEND(count, list, item)                                                                  \
    do {                                                                                           \
        void *grown = fresh(((count) + 1) * sizeof *(list));                                       \
        if (count) {                                                                               \
            memcpy(grown, list, (count) * sizeof *(list));                                         \
        }                                                                                          \
        (list) = grown;                                                                            \
        (list)[(count)++] = (item);                                                                \
    } while (0)

#define MESSAGE(type, init)                                                                        \
    static inline type *new_##init(void) {                                                         \
        type *message = fresh(sizeof *message);                                                    \
        onnx__##init##__init(message);                                                             \
        return message;                                                                            \
    }
MESSAGE(Onnx__ModelProto, model_proto)
MESSAGE(Onnx__GraphProto, graph_proto)
MESSAGE(Onnx__NodeProto, node_proto)
MESSAGE(Onnx__TensorProto, tensor_proto)
MESSAGE(Onnx__SparseTensorProto, sparse_tensor_proto)
MESSAGE(Onnx__AttributeProto, attribute_proto)
MESSAGE(Onnx__ValueInfoProto, value_info_proto)
MESSAGE(Onnx__TypeProto, type_proto)
MESSAGE(Onnx__TypeProto__Tensor, type_proto__tensor)
MESSAGE(Onnx__TypeProto__Sequence, type_proto__sequence)
MESSAGE(Onnx__TensorShapeProto, tensor_shape_proto)
MESSAGE(Onnx__TensorShapeProto__Dimension, tensor_shape_proto__dimension)
MESSAGE(Onnx__OperatorSetIdProto, operator_set_id_proto)
MESSAGE(Onnx__FunctionProto, function_proto)
MESSAGE(Onnx__StringStringEntryProto, string_string_entry_proto)

static inline void add_opset(Onnx__ModelProto *model, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *opset = new_operator_set_id_proto();
    opset->domain = (char *)domain;
    opset->has_version = 1;
    opset->version = version;
    APPEND(model->n_opset_import, model->opset_import, opset);
}

static inline Onnx__ModelProto *new_model(int64_t opset) {
    Onnx__ModelProto *model = new_model_proto();
    model->has_ir_version = 1;
    model->ir_version = 8;
    model->graph = new_graph_proto();
    model->graph->name = (char *)"test";
    add_opset(model, "", opset);
    return model;
}

/* "1,3,N": numbers and names. NULL: no shape. */
static inline Onnx__TypeProto *new_tensor_type(int32_t dtype, const char *dims) {
    Onnx__TypeProto *type = new_type_proto();
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = new_type_proto__tensor();
    type->tensor_type->has_elem_type = 1;
    type->tensor_type->elem_type = dtype;
    if (!dims) {
        return type;
    }
    Onnx__TensorShapeProto *shape = new_tensor_shape_proto();
    type->tensor_type->shape = shape;
    char *text = keep(strdup(dims));
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
        Onnx__TensorShapeProto__Dimension *dim = new_tensor_shape_proto__dimension();
        if (*part == '?') {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
        } else if (*part == '-' || (*part >= '0' && *part <= '9')) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = strtoll(part, NULL, 10);
        } else {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = part;
        }
        APPEND(shape->n_dim, shape->dim, dim);
    }
    return type;
}

static inline Onnx__ValueInfoProto *new_info(const char *name, Onnx__TypeProto *type) {
    Onnx__ValueInfoProto *info = new_value_info_proto();
    info->name = (char *)name;
    info->type = type;
    return info;
}

static inline void add_input(Onnx__GraphProto *graph, const char *name, int32_t dtype,
                             const char *dims) {
    APPEND(graph->n_input, graph->input, new_info(name, new_tensor_type(dtype, dims)));
}

static inline void add_output(Onnx__GraphProto *graph, const char *name, int32_t dtype,
                              const char *dims) {
    APPEND(graph->n_output, graph->output, new_info(name, new_tensor_type(dtype, dims)));
}

/* Names are separated by blanks, "-" is the empty one. */
static inline void add_names(size_t *count, char ***list, const char *names) {
    char *text = keep(strdup(names));
    for (char *part = strtok(text, " "); part; part = strtok(NULL, " ")) {
        APPEND(*count, *list, strcmp(part, "-") == 0 ? (char *)"" : part);
    }
}

static inline Onnx__NodeProto *new_node(const char *op_type, const char *inputs,
                                        const char *outputs) {
    Onnx__NodeProto *node = new_node_proto();
    node->op_type = (char *)op_type;
    add_names(&node->n_input, &node->input, inputs);
    add_names(&node->n_output, &node->output, outputs);
    return node;
}

static inline Onnx__NodeProto *add_node(Onnx__GraphProto *graph, const char *op_type,
                                        const char *inputs, const char *outputs) {
    Onnx__NodeProto *node = new_node(op_type, inputs, outputs);
    APPEND(graph->n_node, graph->node, node);
    return node;
}

static inline Onnx__AttributeProto *add_attribute(Onnx__NodeProto *node, const char *name,
                                                  int type) {
    Onnx__AttributeProto *attribute = new_attribute_proto();
    attribute->name = (char *)name;
    attribute->has_type = 1;
    attribute->type = (Onnx__AttributeProto__AttributeType)type;
    APPEND(node->n_attribute, node->attribute, attribute);
    return attribute;
}

static inline void add_int(Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(node, name, 2);
    attribute->has_i = 1;
    attribute->i = value;
}

static inline void add_ints(Onnx__NodeProto *node, const char *name, const int64_t *values,
                            size_t count) {
    Onnx__AttributeProto *attribute = add_attribute(node, name, 7);
    attribute->n_ints = count;
    attribute->ints = fresh(count * sizeof *values);
    memcpy(attribute->ints, values, count * sizeof *values);
}

static inline void add_float(Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *attribute = add_attribute(node, name, 1);
    attribute->has_f = 1;
    attribute->f = value;
}

static inline void add_string(Onnx__NodeProto *node, const char *name, const char *value) {
    Onnx__AttributeProto *attribute = add_attribute(node, name, 3);
    attribute->has_s = 1;
    attribute->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
}

static inline void add_graph(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *graph) {
    add_attribute(node, name, 5)->g = graph;
}

/* dims as in new_tensor_type, "" for a scalar; the bytes are copied. */
static inline Onnx__TensorProto *new_tensor(const char *name, int32_t dtype, const char *dims,
                                            const void *bytes, size_t size) {
    Onnx__TensorProto *tensor = new_tensor_proto();
    tensor->name = (char *)name;
    tensor->has_data_type = 1;
    tensor->data_type = dtype;
    char *text = keep(strdup(dims));
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
        int64_t dim = strtoll(part, NULL, 10);
        APPEND(tensor->n_dims, tensor->dims, dim);
    }
    tensor->has_raw_data = 1;
    tensor->raw_data.len = size;
    tensor->raw_data.data = fresh(size);
    if (size) {
        memcpy(tensor->raw_data.data, bytes, size);
    }
    return tensor;
}

static inline Onnx__TensorProto *add_tensor(Onnx__GraphProto *graph, const char *name,
                                            int32_t dtype, const char *dims, const void *bytes,
                                            size_t size) {
    Onnx__TensorProto *tensor = new_tensor(name, dtype, dims, bytes, size);
    APPEND(graph->n_initializer, graph->initializer, tensor);
    return tensor;
}

static inline void add_scalar_f32(Onnx__GraphProto *graph, const char *name, float value) {
    add_tensor(graph, name, OCTET_F32, "", &value, sizeof value);
}

static inline uint8_t *pack_model(const Onnx__ModelProto *model, size_t *size) {
    *size = onnx__model_proto__get_packed_size(model);
    uint8_t *bytes = fresh(*size);
    assert_int_equal(onnx__model_proto__pack(model, bytes), *size);
    return bytes;
}

static inline void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Bytes that look like no pattern. */
static inline void fill_bytes(uint8_t *bytes, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static inline OctetStatus try_load(const Onnx__ModelProto *model, bool lenient, OctetGraph **graph,
                                   OctetDiagnostic *diagnostic) {
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    OctetLoadOptions options = {.lenient = lenient};
    *diagnostic = (OctetDiagnostic){0};
    return octet_model_load_memory(bytes, size, "test.onnx", &options, graph, diagnostic);
}

/* Loads with nodes that Octet can't run left in. */
static inline OctetGraph *load_model(const Onnx__ModelProto *model) {
    OctetGraph *graph;
    OctetDiagnostic diagnostic;
    OctetStatus status = try_load(model, true, &graph, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    return graph;
}

/* Expects a failure with `part` in its message. */
static inline void expect_failure(const Onnx__ModelProto *model, OctetStatus expected,
                                  const char *part) {
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic;
    OctetStatus status = try_load(model, false, &graph, &diagnostic);
    if (status != expected || !strstr(diagnostic.message, part)) {
        print_error("got %d: %s\n", (int)status, diagnostic.message);
    }
    assert_int_equal(status, expected);
    assert_non_null(strstr(diagnostic.message, part));
    assert_null(graph);
}

/* A model with something of everything that import and export do. */
static inline Onnx__ModelProto *rich_model(void) {
    Onnx__ModelProto *model = new_model(11);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "N,2,4,4");
    add_scalar_f32(g, "s", 0.5f);
    add_tensor(g, "z", OCTET_U8, "", (uint8_t[]){3}, 1);
    add_tensor(g, "w", OCTET_S8, "2,2,1,1", (int8_t[]){1, 2, 3, 4}, 4);
    add_tensor(g, "ws", OCTET_F32, "2", (float[]){0.5f, 0.25f}, 8);
    add_node(g, "QuantizeLinear", "x s z", "q");
    add_node(g, "DequantizeLinear", "q s z", "d");
    add_int(add_node(g, "DequantizeLinear", "w ws", "wf"), "axis", 0);
    add_node(g, "Conv", "d wf", "c");
    add_node(g, "Relu", "c", "r");
    add_node(g, "QuantizeLinear", "r s z", "rq");
    add_node(g, "Transpose", "rq", "t");
    add_node(g, "DequantizeLinear", "t s z", "rd");
    add_int(add_node(g, "Softmax", "rd", "soft"), "axis", 1);
    add_node(g, "Dropout", "soft", "y");
    add_output(g, "y", OCTET_F32, NULL);
    Onnx__FunctionProto *function = new_function_proto();
    function->name = (char *)"f";
    function->domain = (char *)"local";
    add_names(&function->n_input, &function->input, "a");
    add_names(&function->n_output, &function->output, "b");
    Onnx__NodeProto *body = new_node("Neg", "a", "b");
    APPEND(function->n_node, function->node, body);
    APPEND(model->n_functions, model->functions, function);
    add_node(g, "f", "x", "fx")->domain = (char *)"local";
    add_output(g, "fx", OCTET_F32, NULL);
    add_input(g, "choose", OCTET_BOOL, "");
    Onnx__GraphProto *branch = new_graph_proto();
    add_node(branch, "Neg", "fx", "o");
    add_output(branch, "o", OCTET_F32, NULL);
    Onnx__NodeProto *node = add_node(g, "If", "choose", "i");
    add_graph(node, "then_branch", branch);
    add_graph(node, "else_branch", branch);
    add_output(g, "i", OCTET_F32, NULL);
    return model;
}

/* x to y, of Nx3. */
static inline Onnx__ModelProto *identity_model(void) {
    Onnx__ModelProto *model = new_model(13);
    add_input(model->graph, "x", OCTET_F32, "N,3");
    add_node(model->graph, "Identity", "x", "y");
    add_output(model->graph, "y", OCTET_F32, "N,3");
    return model;
}

/* A tensor whose data a test fills in, in the field of its type. */
static inline Onnx__TensorProto *typed_tensor(int32_t dtype, const char *dims) {
    Onnx__TensorProto *tensor = new_tensor("c", dtype, dims, NULL, 0);
    tensor->has_raw_data = 0;
    return tensor;
}

#endif
