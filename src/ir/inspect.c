/* Looking at networks: the public half of graph.h that only reads. */
#include "base/diag.h"
#include "ir/graph.h"
#include "octet/graph.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t octet_graph_input_count(const OctetGraph *graph) {
    return (size_t)graph->input_count;
}

size_t octet_graph_output_count(const OctetGraph *graph) {
    return (size_t)graph->output_count;
}

const OctetValue *octet_graph_input_at(const OctetGraph *graph, size_t index) {
    return index < (size_t)graph->input_count ? graph->inputs[index] : NULL;
}

const OctetValue *octet_graph_output_at(const OctetGraph *graph, size_t index) {
    return index < (size_t)graph->output_count ? graph->outputs[index] : NULL;
}

size_t octet_graph_node_count(const OctetGraph *graph) {
    return (size_t)graph->node_count;
}

const OctetNode *octet_graph_node_at(const OctetGraph *graph, size_t index) {
    return index < (size_t)graph->node_count ? graph->nodes[index] : NULL;
}

const OctetValue *octet_graph_find_value(const OctetGraph *graph, const char *name) {
    return oct_graph_find_value(graph, name);
}

const OctetNode *octet_graph_find_node(const OctetGraph *graph, const char *name) {
    return oct_graph_find_node(graph, name);
}

const char *octet_value_name(const OctetValue *value) {
    return value->name;
}

OctetDType octet_value_dtype(const OctetValue *value) {
    return value->dtype;
}

uint32_t octet_value_kind(const OctetValue *value) {
    return value->kind;
}

OctetShape octet_value_shape(const OctetValue *value) {
    return value->shape;
}

const OctetQParams *octet_value_qparams(const OctetValue *value) {
    return oct_value_quantized(value) ? &value->qparams : NULL;
}

const OctetTensor *octet_value_tensor(const OctetValue *value) {
    return oct_value_tensor(value);
}

const char *octet_graph_dim_name(const OctetGraph *graph, int64_t dim) {
    return oct_graph_symbol_name(graph, dim);
}

int octet_graph_shape_format(const OctetGraph *graph, const OctetShape *shape, char *buffer,
                             size_t size) {
    if (shape->rank <= 0) {
        return octet_shape_format(shape, buffer, size);
    }
    int used = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, shape->dims[i]);
        bool open = shape->dims[i] < 0;
        size_t room = (size_t)used < size ? size - (size_t)used : 0;
        used += snprintf(room ? buffer + used : NULL, room, "%s%s", i ? "x" : "",
                         open ? oct_graph_symbol_name(graph, shape->dims[i]) : number);
    }
    return used;
}

const char *octet_node_name(const OctetNode *node) {
    return node->name;
}

const char *octet_node_op_type(const OctetNode *node) {
    return node->op_type;
}

const char *octet_node_domain(const OctetNode *node) {
    return node->domain;
}

size_t octet_node_input_count(const OctetNode *node) {
    return (size_t)node->input_count;
}

size_t octet_node_output_count(const OctetNode *node) {
    return (size_t)node->output_count;
}

const OctetValue *octet_node_input(const OctetNode *node, size_t index) {
    return index < (size_t)node->input_count ? node->inputs[index] : NULL;
}

const OctetValue *octet_node_output(const OctetNode *node, size_t index) {
    return index < (size_t)node->output_count ? node->outputs[index] : NULL;
}

static bool on_8_bits(const OctValue *value) {
    return value->qparams.dtype == OCTET_U8 || value->qparams.dtype == OCTET_S8;
}

bool octet_node_is_int8(const OctetNode *node) {
    bool any = false;
    if (node->output_count == 0 || !node->outputs[0] || !on_8_bits(node->outputs[0])) {
        return false;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        /* shapes, axes and biases are not data that decides */
        if (input && !input->constant && input->dtype == OCTET_F32) {
            if (!on_8_bits(input)) {
                return false;
            }
            any = true;
        } else if (input && k == 1 && input->constant && input->dtype == OCTET_F32 &&
                   !oct_value_quantized(input)) {
            return false;
        }
    }
    return any;
}

const char *octet_node_float_reason(const OctetNode *node) {
    return node->float_reason;
}

const char *octet_node_activation(const OctetNode *node) {
    const OctActivation *a = &node->activation;
    if (a->kind == OCT_ACTIVATION_NONE) {
        return "";
    }
    if (a->minimum == 0 && isinf(a->maximum)) {
        return "relu";
    }
    return a->minimum == 0 && a->maximum == 6 ? "relu6" : "clip";
}

static double open_as_one(int64_t dim) {
    return dim < 0 ? 1 : (double)dim;
}

/* Elements of a shape with open dimensions counted as one; 0 if nothing is known. */
static double elements(const OctetShape *shape) {
    double product = shape->rank < 0 ? 0 : 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        product *= open_as_one(shape->dims[i]);
    }
    return product;
}

double octet_node_macs(const OctetNode *node) {
    const OctValue *a = oct_node_input(node, 0);
    const OctValue *b = oct_node_input(node, 1);
    const OctValue *y = oct_node_output(node, 0);
    if (!a || !b || !y || a->shape.rank < 1 || b->shape.rank < 1 || y->shape.rank < 0) {
        return 0;
    }
    bool conv = strcmp(node->op_type, "Conv") == 0;
    bool transposed = strcmp(node->op_type, "ConvTranspose") == 0;
    if ((conv || transposed) && b->shape.dims[0] > 0) {
        return elements(conv ? &y->shape : &a->shape) * elements(&b->shape) /
               (double)b->shape.dims[0];
    }
    if (strcmp(node->op_type, "Gemm") == 0 && a->shape.rank == 2) {
        return elements(&y->shape) *
               open_as_one(a->shape.dims[oct_node_int(node, "transA", 0) ? 0 : 1]);
    }
    if (strcmp(node->op_type, "MatMul") == 0) {
        return elements(&y->shape) * open_as_one(a->shape.dims[a->shape.rank - 1]);
    }
    return 0;
}

const char *octet_graph_metadata(const OctetGraph *graph, const char *key) {
    return oct_graph_metadata(graph, key);
}

OctetStatus octet_graph_set_metadata(OctetGraph *graph, const char *key, const char *value) {
    return oct_graph_set_metadata(graph, key, value) ? OCTET_OK : OCTET_ERROR_OUT_OF_MEMORY;
}

bool octet_graph_is_quantized(const OctetGraph *graph) {
    return graph->quantized;
}
