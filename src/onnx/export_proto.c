/* The rewritten graph as protobuf messages. They live in the graph's arena and borrow the
 * constants' data. */
#include "base/diag.h"
#include "onnx/export.h"
#include "onnx/notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXTERNAL_ALIGNMENT = 4096, LEAST_EXTERNAL = 1024 };

typedef struct Builder {
    OctGraph *root;
    const OctExternalWriter *external;
    uint64_t external_offset;
    OctetDiagnostic *diagnostic;
} Builder;

#define NEW(builder, type, init)                                                                   \
    (type *)initialized(oct_arena_alloc((builder)->root->arena, sizeof(type)),                     \
                        &onnx__##init##__descriptor)

static void *initialized(void *message, const ProtobufCMessageDescriptor *type) {
    if (message) {
        protobuf_c_message_init(type, message);
    }
    return message;
}

static void *new_list(const Builder *builder, int32_t count) {
    return oct_arena_array(builder->root->arena, (size_t)count + 1, sizeof(void *));
}

static OctetStatus out_of_memory(const Builder *builder) {
    return oct_fail_memory(builder->diagnostic);
}

/* ---- tensors ---- */

static Onnx__StringStringEntryProto *new_entry(const Builder *builder, const char *key,
                                               const char *value) {
    Onnx__StringStringEntryProto *entry =
        NEW(builder, Onnx__StringStringEntryProto, string_string_entry_proto);
    if (entry) {
        entry->key = (char *)key;
        entry->value = (char *)value;
    }
    return entry;
}

/* Two four-bit numbers a byte, the first in the low half. */
static uint8_t *pack_four_bit(const Builder *builder, const OctetTensor *tensor, size_t *size) {
    size_t count = tensor->bytes;
    const uint8_t *from = tensor->data;
    *size = count / 2 + count % 2;
    uint8_t *packed = oct_arena_alloc(builder->root->arena, *size);
    for (size_t i = 0; packed && i < count; i++) {
        packed[i / 2] = (uint8_t)(packed[i / 2] | (from[i] & 15) << (i % 2 * 4));
    }
    return packed;
}

static OctetStatus write_external(Builder *builder, const void *data, size_t size,
                                  Onnx__TensorProto *proto) {
    static const uint8_t zeros[EXTERNAL_ALIGNMENT];
    OctArena *arena = builder->root->arena;
    uint64_t padding =
        (EXTERNAL_ALIGNMENT - builder->external_offset % EXTERNAL_ALIGNMENT) % EXTERNAL_ALIGNMENT;
    uint64_t offset = builder->external_offset + padding;
    char text[2][32];
    snprintf(text[0], sizeof text[0], "%" PRIu64, offset);
    snprintf(text[1], sizeof text[1], "%zu", size);
    Onnx__StringStringEntryProto **entries = new_list(builder, 3);
    if (!entries) {
        return out_of_memory(builder);
    }
    entries[0] = new_entry(builder, "location", builder->external->location);
    entries[1] = new_entry(builder, "offset", oct_arena_strdup(arena, text[0]));
    entries[2] = new_entry(builder, "length", oct_arena_strdup(arena, text[1]));
    if (!entries[0] || !entries[1] || !entries[2] || !entries[1]->value || !entries[2]->value) {
        return out_of_memory(builder);
    }
    proto->external_data = entries;
    proto->n_external_data = 3;
    proto->has_data_location = 1;
    proto->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    builder->external_offset = offset + size;
    if (!builder->external->writer) {
        return OCTET_OK;
    }
    OCT_TRY(oct_file_write(builder->external->writer, zeros, (size_t)padding, builder->diagnostic));
    return oct_file_write(builder->external->writer, data, size, builder->diagnostic);
}

static OctetStatus make_tensor(Builder *builder, const OctetTensor *tensor, const char *name,
                               Onnx__TensorProto **made) {
    Onnx__TensorProto *proto = NEW(builder, Onnx__TensorProto, tensor_proto);
    if (!proto) {
        return out_of_memory(builder);
    }
    *made = proto;
    proto->name = (char *)name;
    proto->has_data_type = 1;
    proto->data_type = (int32_t)tensor->dtype;
    proto->n_dims = (size_t)tensor->shape.rank;
    proto->dims = oct_arena_memdup(builder->root->arena, tensor->shape.dims,
                                   proto->n_dims * sizeof *proto->dims);
    const void *data = tensor->data;
    size_t size = tensor->bytes;
    if (tensor->dtype == OCTET_U4 || tensor->dtype == OCTET_S4) {
        data = pack_four_bit(builder, tensor, &size);
    }
    if (!proto->dims || (size > 0 && !data)) {
        return out_of_memory(builder);
    }
    /* tensors of attributes have no name and stay inside, since few readers look for them */
    if (builder->external->location && name && size >= LEAST_EXTERNAL) {
        return write_external(builder, data, size, proto);
    }
    proto->has_raw_data = 1;
    proto->raw_data = (ProtobufCBinaryData){size, (uint8_t *)data};
    return OCTET_OK;
}

/* ---- types ---- */

static OctetStatus make_shape(const Builder *builder, const OctetShape *shape,
                              Onnx__TensorShapeProto **made) {
    Onnx__TensorShapeProto *proto = NEW(builder, Onnx__TensorShapeProto, tensor_shape_proto);
    Onnx__TensorShapeProto__Dimension **dims = new_list(builder, shape->rank);
    if (!proto || !dims) {
        return out_of_memory(builder);
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        dims[i] = NEW(builder, Onnx__TensorShapeProto__Dimension, tensor_shape_proto__dimension);
        if (!dims[i]) {
            return out_of_memory(builder);
        }
        if (dim >= 0) {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i]->dim_value = dim;
        } else if (dim != OCT_DIM_UNKNOWN) {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i]->dim_param = (char *)oct_graph_symbol_name(builder->root, dim);
        }
    }
    proto->dim = dims;
    proto->n_dim = (size_t)shape->rank;
    *made = proto;
    return OCTET_OK;
}

/* A tensor's type, and what is around it: sequence, optional. */
static OctetStatus make_type(const Builder *builder, uint32_t kind, OctetDType dtype,
                             const OctetShape *shape, Onnx__TypeProto **made) {
    Onnx__TypeProto *type = NEW(builder, Onnx__TypeProto, type_proto);
    Onnx__TypeProto__Tensor *tensor = NEW(builder, Onnx__TypeProto__Tensor, type_proto__tensor);
    if (!type || !tensor) {
        return out_of_memory(builder);
    }
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)dtype;
    *made = type;
    if (kind & OCTET_KIND_SEQUENCE) {
        type = NEW(builder, Onnx__TypeProto, type_proto);
        Onnx__TypeProto__Sequence *sequence =
            NEW(builder, Onnx__TypeProto__Sequence, type_proto__sequence);
        if (!type || !sequence) {
            return out_of_memory(builder);
        }
        sequence->elem_type = *made;
        type->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
        type->sequence_type = sequence;
        *made = type;
    }
    if (kind & OCTET_KIND_OPTIONAL) {
        type = NEW(builder, Onnx__TypeProto, type_proto);
        Onnx__TypeProto__Optional *optional =
            NEW(builder, Onnx__TypeProto__Optional, type_proto__optional);
        if (!type || !optional) {
            return out_of_memory(builder);
        }
        optional->elem_type = *made;
        type->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
        type->optional_type = optional;
        *made = type;
    }
    return shape->rank < 0 ? OCTET_OK : make_shape(builder, shape, &tensor->shape);
}

static OctetStatus make_info(const Builder *builder, const OctValue *value,
                             Onnx__ValueInfoProto **made) {
    Onnx__ValueInfoProto *info = NEW(builder, Onnx__ValueInfoProto, value_info_proto);
    if (!info) {
        return out_of_memory(builder);
    }
    *made = info;
    info->name = (char *)value->name;
    info->doc_string = (char *)value->doc;
    if (value->dtype == OCTET_DTYPE_NONE) {
        return OCTET_OK;
    }
    return make_type(builder, value->kind, value->dtype, &value->shape, &info->type);
}

/* ---- nodes ---- */

static OctetStatus make_graph(Builder *builder, OctGraph *graph, Onnx__GraphProto **made);

static OctetStatus set_attribute(Builder *builder, const OctAttribute *attribute,
                                 Onnx__AttributeProto *proto) {
    proto->name = (char *)attribute->name;
    proto->has_type = 1;
    proto->type = (Onnx__AttributeProto__AttributeType)attribute->type;
    switch (attribute->type) {
    case OCT_ATTRIBUTE_FLOAT:
        proto->has_f = 1;
        proto->f = attribute->v.f;
        break;
    case OCT_ATTRIBUTE_INT:
        proto->has_i = 1;
        proto->i = attribute->v.i;
        break;
    case OCT_ATTRIBUTE_STRING:
        proto->has_s = 1;
        proto->s =
            (ProtobufCBinaryData){strlen(attribute->v.s), (uint8_t *)(uintptr_t)attribute->v.s};
        break;
    case OCT_ATTRIBUTE_TENSOR:
        return make_tensor(builder, oct_constant_tensor(attribute->v.tensor), NULL, &proto->t);
    case OCT_ATTRIBUTE_GRAPH:
        return make_graph(builder, attribute->v.graph, &proto->g);
    case OCT_ATTRIBUTE_FLOATS:
        proto->n_floats = (size_t)attribute->count;
        proto->floats = (float *)(uintptr_t)attribute->v.floats;
        break;
    case OCT_ATTRIBUTE_INTS:
        proto->n_ints = (size_t)attribute->count;
        proto->ints = (int64_t *)(uintptr_t)attribute->v.ints;
        break;
    case OCT_ATTRIBUTE_STRINGS:
        proto->n_strings = (size_t)attribute->count;
        proto->strings =
            oct_arena_array(builder->root->arena, proto->n_strings + 1, sizeof *proto->strings);
        if (!proto->strings) {
            return out_of_memory(builder);
        }
        for (size_t i = 0; i < proto->n_strings; i++) {
            const char *text = attribute->v.strings[i];
            proto->strings[i] = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
        }
        break;
    }
    return OCTET_OK;
}

/* Optional's attribute that says what would be there. */
static OctetStatus set_type(const Builder *builder, const OctNode *node,
                            Onnx__AttributeProto *proto) {
    static const OctetShape unknown = {.rank = -1};
    proto->name = (char *)"type";
    proto->has_type = 1;
    proto->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO;
    return make_type(builder, (uint32_t)oct_node_int(node, OCT_TYPE_KIND, 0),
                     (OctetDType)oct_node_int(node, OCT_TYPE_DTYPE, OCTET_F32), &unknown,
                     &proto->tp);
}

static OctetStatus make_names(const Builder *builder, OctValue *const *values, int32_t count,
                              char ***names) {
    *names = new_list(builder, count);
    if (!*names) {
        return out_of_memory(builder);
    }
    for (int32_t i = 0; i < count; i++) {
        (*names)[i] = (char *)(values[i] ? values[i]->name : "");
    }
    return OCTET_OK;
}

static OctetStatus make_node(Builder *builder, const OctNode *node, Onnx__NodeProto **made) {
    Onnx__NodeProto *proto = NEW(builder, Onnx__NodeProto, node_proto);
    Onnx__AttributeProto **attributes = new_list(builder, node->attribute_count);
    if (!proto || !attributes) {
        return out_of_memory(builder);
    }
    *made = proto;
    proto->name = (char *)node->name;
    proto->op_type = (char *)node->op_type;
    proto->domain = *node->domain ? (char *)node->domain : NULL;
    if (!oct_notes_export(builder->root->arena, &node->notes, proto)) {
        return out_of_memory(builder);
    }
    proto->n_input = (size_t)node->input_count;
    proto->n_output = (size_t)node->output_count;
    OCT_TRY(make_names(builder, node->inputs, node->input_count, &proto->input));
    OCT_TRY(make_names(builder, node->outputs, node->output_count, &proto->output));
    proto->attribute = attributes;
    for (int32_t i = 0; i < node->attribute_count; i++) {
        const OctAttribute *attribute = &node->attributes[i];
        if (strcmp(attribute->name, OCT_TYPE_DTYPE) == 0) {
            continue; /* written with OCT_TYPE_KIND */
        }
        Onnx__AttributeProto *made_attribute = NEW(builder, Onnx__AttributeProto, attribute_proto);
        if (!made_attribute) {
            return out_of_memory(builder);
        }
        attributes[proto->n_attribute++] = made_attribute;
        OCT_TRY(strcmp(attribute->name, OCT_TYPE_KIND) == 0
                    ? set_type(builder, node, made_attribute)
                    : set_attribute(builder, attribute, made_attribute));
    }
    return OCTET_OK;
}

/* ---- graphs ---- */

static bool worth_a_statement(const OctValue *value) {
    return value && !value->is_output && value->dtype != OCTET_DTYPE_NONE &&
           (value->shape.rank >= 0 || value->kind != OCTET_KIND_TENSOR);
}

/* Initializers in the order in which nodes use them, so that the file doesn't depend on the order
 * in which they were made. */
typedef struct Order {
    const OctGraph *graph;
    OctValue **constants;
    int32_t count;
    bool *seen; /* by the value's number */
} Order;

static void order_list(Order *order, OctValue *const *values, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        OctValue *value = values[i];
        bool own = value && value->constant && value->id >= 0 &&
                   value->id < order->graph->value_count &&
                   order->graph->values[value->id] == value;
        if (own && !order->seen[value->id]) {
            order->seen[value->id] = true;
            order->constants[order->count++] = value;
        }
    }
}

static void order_graph(Order *order, const OctGraph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        order_list(order, node->inputs, node->input_count);
        for (int32_t k = 0; k < node->attribute_count; k++) {
            if (node->attributes[k].type == OCT_ATTRIBUTE_GRAPH) {
                order_graph(order, node->attributes[k].v.graph);
            }
        }
    }
    order_list(order, graph->outputs, graph->output_count);
}

static OctetStatus make_initializers(Builder *builder, const OctGraph *graph,
                                     Onnx__GraphProto *proto) {
    Order order = {.graph = graph, .constants = new_list(builder, graph->value_count)};
    order.seen =
        oct_arena_array(builder->root->arena, (size_t)graph->value_count + 1, sizeof(bool));
    proto->initializer = new_list(builder, graph->value_count);
    if (!order.constants || !order.seen || !proto->initializer) {
        return out_of_memory(builder);
    }
    order_graph(&order, graph);
    order_list(&order, graph->values, graph->value_count);
    for (int32_t i = 0; i < order.count; i++) {
        const OctValue *value = order.constants[i];
        OCT_TRY(make_tensor(builder, oct_constant_tensor(value->constant), value->name,
                            &proto->initializer[proto->n_initializer++]));
    }
    return OCTET_OK;
}

static OctetStatus make_values(Builder *builder, const OctGraph *graph, Onnx__GraphProto *proto) {
    proto->value_info = new_list(builder, graph->value_count);
    proto->input = new_list(builder, graph->input_count);
    proto->output = new_list(builder, graph->output_count);
    if (!proto->value_info || !proto->input || !proto->output) {
        return out_of_memory(builder);
    }
    OCT_TRY(make_initializers(builder, graph, proto));
    for (int32_t i = 0; i < graph->node_count; i++) {
        for (int32_t k = 0; k < graph->nodes[i]->output_count; k++) {
            const OctValue *value = graph->nodes[i]->outputs[k];
            if (worth_a_statement(value)) {
                OCT_TRY(make_info(builder, value, &proto->value_info[proto->n_value_info++]));
            }
        }
    }
    for (int32_t i = 0; i < graph->input_count; i++) {
        if (!graph->parent && graph->inputs[i]->dtype == OCTET_DTYPE_NONE) {
            return oct_fail(builder->diagnostic, OCTET_ERROR_UNSUPPORTED,
                            "the input '%s' is no tensor of a type that can be written",
                            graph->inputs[i]->name);
        }
        OCT_TRY(make_info(builder, graph->inputs[i], &proto->input[proto->n_input++]));
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        OCT_TRY(make_info(builder, graph->outputs[i], &proto->output[proto->n_output++]));
    }
    return OCTET_OK;
}

static OctetStatus make_graph(Builder *builder, OctGraph *graph, Onnx__GraphProto **made) {
    Onnx__GraphProto *proto = NEW(builder, Onnx__GraphProto, graph_proto);
    Onnx__NodeProto **nodes = new_list(builder, graph->node_count);
    if (!proto || !nodes) {
        return out_of_memory(builder);
    }
    *made = proto;
    proto->name = (char *)(graph->name && *graph->name ? graph->name : "graph");
    proto->doc_string = (char *)graph->graph_doc;
    proto->node = nodes;
    proto->n_node = (size_t)graph->node_count;
    for (int32_t i = 0; i < graph->node_count; i++) {
        OCT_TRY(make_node(builder, graph->nodes[i], &nodes[i]));
    }
    return make_values(builder, graph, proto);
}

static OctetStatus make_lists(const Builder *builder, Onnx__ModelProto *model) {
    const OctGraph *graph = builder->root;
    model->opset_import = new_list(builder, graph->opset_count);
    model->metadata_props = new_list(builder, graph->metadata_count);
    if (!model->opset_import || !model->metadata_props) {
        return out_of_memory(builder);
    }
    for (int32_t i = 0; i < graph->opset_count; i++) {
        Onnx__OperatorSetIdProto *opset =
            NEW(builder, Onnx__OperatorSetIdProto, operator_set_id_proto);
        if (!opset) {
            return out_of_memory(builder);
        }
        opset->domain = (char *)graph->opsets[i].domain;
        opset->has_version = 1;
        opset->version = graph->opsets[i].version;
        model->opset_import[model->n_opset_import++] = opset;
    }
    for (int32_t i = 0; i < graph->metadata_count; i++) {
        const OctMetadata *entry = &graph->metadata[i];
        model->metadata_props[i] = new_entry(builder, entry->key, entry->value);
        if (!model->metadata_props[i]) {
            return out_of_memory(builder);
        }
        model->n_metadata_props++;
    }
    return OCTET_OK;
}

OctetStatus oct_export_model(OctGraph *graph, const OctExternalWriter *external,
                             Onnx__ModelProto **made, OctetDiagnostic *diagnostic) {
    Builder builder = {.root = graph, .external = external, .diagnostic = diagnostic};
    Onnx__ModelProto *model = NEW(&builder, Onnx__ModelProto, model_proto);
    if (!model) {
        return out_of_memory(&builder);
    }
    model->has_ir_version = 1;
    model->ir_version = graph->ir_version;
    model->producer_name = (char *)"octet";
    model->producer_version = (char *)octet_version();
    model->doc_string = (char *)graph->doc;
    model->domain = (char *)graph->model_domain;
    model->has_model_version = graph->model_version != 0;
    model->model_version = graph->model_version;
    *made = model;
    OCT_TRY(make_lists(&builder, model));
    return make_graph(&builder, graph, &model->graph);
}
