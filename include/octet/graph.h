/* Networks: a graph of operators, read from an ONNX file (model.h) or built here in C. */
#ifndef OCTET_GRAPH_H
#define OCTET_GRAPH_H

#include "octet/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OctetGraph OctetGraph;
/* A tensor of the graph: owned by it, valid as long as it. */
typedef struct OctetValue OctetValue;
typedef struct OctetNode OctetNode;

/* ---- building ----
 * Layers return their output, or NULL after a failure; later calls that are given NULL return
 * NULL, so that a network can be written down and checked once, by octet_graph_finish. */
OCTET_API OctetGraph *octet_graph_create(void); /* NULL when out of memory */
OCTET_API void octet_graph_free(OctetGraph *graph);
OCTET_API OctetStatus octet_graph_clone(const OctetGraph *graph, OctetGraph **clone,
                                        OctetDiagnostic *diagnostic);

/* The part of a graph that makes the values `outputs` of the values `inputs`, as a graph of its own
 * that shares the constants' data: a single layer, or what comes behind one. Inputs keep types,
 * shapes and grids, and their order, whether or not they are needed. The values belong to `graph`.
 * Errors: INVALID_ARGUMENT where an output depends on an input of `graph` that is not among
 * `inputs`, UNSUPPORTED for graphs that have subgraphs. */
OCTET_API OctetStatus octet_graph_extract(const OctetGraph *graph, const OctetValue *const *inputs,
                                          size_t input_count, const OctetValue *const *outputs,
                                          size_t output_count, OctetGraph **part,
                                          OctetDiagnostic *diagnostic);

/* An input. A dimension below 0 is the batch or another open one, named "N". */
OCTET_API OctetValue *octet_graph_input(OctetGraph *graph, const char *name, OctetDType dtype,
                                        const OctetShape *shape);
/* A constant with a copy of `tensor`. */
OCTET_API OctetValue *octet_graph_constant(OctetGraph *graph, const char *name,
                                           const OctetTensor *tensor);
/* Any operator by its ONNX name with positional inputs (NULL: left out) and one output. */
OCTET_API OctetValue *octet_graph_operator(OctetGraph *graph, const char *op_type, const char *name,
                                           OctetValue *const *inputs, size_t input_count);
/* Attributes of the operator that made `value`. */
OCTET_API OctetStatus octet_graph_set_int(OctetGraph *graph, OctetValue *value, const char *name,
                                          int64_t number);
OCTET_API OctetStatus octet_graph_set_ints(OctetGraph *graph, OctetValue *value, const char *name,
                                           const int64_t *numbers, size_t count);
OCTET_API OctetStatus octet_graph_set_float(OctetGraph *graph, OctetValue *value, const char *name,
                                            float number);
OCTET_API OctetStatus octet_graph_set_string(OctetGraph *graph, OctetValue *value, const char *name,
                                             const char *text);

typedef struct OctetConvOptions {
    int64_t out_channels;
    int64_t kernel[3];   /* as many as the input has spatial dimensions */
    int64_t stride[3];   /* 0 counts as 1 */
    int64_t padding[3];  /* on both sides */
    int64_t dilation[3]; /* 0 counts as 1 */
    int64_t groups;      /* 0 counts as 1 */
} OctetConvOptions;

/* weight: out_channels x in_channels/groups x kernel...; bias: out_channels, or NULL. Both f32 and
 * copied. */
OCTET_API OctetValue *octet_graph_conv(OctetGraph *graph, const char *name, OctetValue *input,
                                       const OctetConvOptions *options, const float *weight,
                                       const float *bias);
/* weight: out_features x in_features; bias: out_features, or NULL. */
OCTET_API OctetValue *octet_graph_linear(OctetGraph *graph, const char *name, OctetValue *input,
                                         int64_t in_features, int64_t out_features,
                                         const float *weight, const float *bias);
OCTET_API OctetValue *octet_graph_relu(OctetGraph *graph, const char *name, OctetValue *input);
OCTET_API OctetValue *octet_graph_add(OctetGraph *graph, const char *name, OctetValue *a,
                                      OctetValue *b);
/* PyTorch's QuantStub and DeQuantStub: where int8 begins and ends. With a stub anywhere in the
 * network, only what lies between a quant and a dequant stub becomes int8; without any, Octet
 * places the borders itself. Both pass their input on and go on converting. */
OCTET_API OctetValue *octet_graph_quant_stub(OctetGraph *graph, OctetValue *input);
OCTET_API OctetValue *octet_graph_dequant_stub(OctetGraph *graph, OctetValue *input);
OCTET_API OctetStatus octet_graph_output(OctetGraph *graph, OctetValue *value, const char *name);
/* Says whether all went well, infers shapes and makes the graph ready for use. */
OCTET_API OctetStatus octet_graph_finish(OctetGraph *graph, OctetDiagnostic *diagnostic);

/* ---- looking ---- */
OCTET_API size_t octet_graph_input_count(const OctetGraph *graph);
OCTET_API size_t octet_graph_output_count(const OctetGraph *graph);
OCTET_API const OctetValue *octet_graph_input_at(const OctetGraph *graph, size_t index);
OCTET_API const OctetValue *octet_graph_output_at(const OctetGraph *graph, size_t index);
OCTET_API size_t octet_graph_node_count(const OctetGraph *graph);
OCTET_API const OctetNode *octet_graph_node_at(const OctetGraph *graph, size_t index);
OCTET_API const OctetValue *octet_graph_find_value(const OctetGraph *graph, const char *name);
OCTET_API const OctetNode *octet_graph_find_node(const OctetGraph *graph, const char *name);

OCTET_API const char *octet_value_name(const OctetValue *value);
OCTET_API OctetDType octet_value_dtype(const OctetValue *value);
/* OCTET_KIND_TENSOR, or the bits of a sequence or an optional value. */
OCTET_API uint32_t octet_value_kind(const OctetValue *value);
OCTET_API OctetShape octet_value_shape(const OctetValue *value);
/* NULL when the value is not quantized. Valid until the graph changes. */
OCTET_API const OctetQParams *octet_value_qparams(const OctetValue *value);
/* The constant's data; NULL when it is not a constant. */
OCTET_API const OctetTensor *octet_value_tensor(const OctetValue *value);
/* The name of a dimension that is not a number: "N", "batch", or "?". */
OCTET_API const char *octet_graph_dim_name(const OctetGraph *graph, int64_t dim);
/* Writes a shape with the names of its open dimensions: "Nx3x224x224". */
OCTET_API int octet_graph_shape_format(const OctetGraph *graph, const OctetShape *shape,
                                       char *buffer, size_t size);

OCTET_API const char *octet_node_name(const OctetNode *node);
OCTET_API const char *octet_node_op_type(const OctetNode *node);
OCTET_API const char *octet_node_domain(const OctetNode *node);
OCTET_API size_t octet_node_input_count(const OctetNode *node);
OCTET_API size_t octet_node_output_count(const OctetNode *node);
OCTET_API const OctetValue *octet_node_input(const OctetNode *node, size_t index);  /* or NULL */
OCTET_API const OctetValue *octet_node_output(const OctetNode *node, size_t index); /* or NULL */
/* True when all its data inputs and its output are quantized to 8 bits. */
OCTET_API bool octet_node_is_int8(const OctetNode *node);
/* Why a node of a quantized graph stays in float; NULL when it doesn't or nobody knows. */
OCTET_API const char *octet_node_float_reason(const OctetNode *node);
/* "relu", "clip [0, 6]" for a fused activation, "" for none. Static or owned by the graph. */
OCTET_API const char *octet_node_activation(const OctetNode *node);
/* Multiply-accumulates per run at the shapes known now; 0 for nodes without any, and where shapes
 * are not known (an open batch counts as 1). */
OCTET_API double octet_node_macs(const OctetNode *node);

OCTET_API const char *octet_graph_metadata(const OctetGraph *graph, const char *key);
OCTET_API OctetStatus octet_graph_set_metadata(OctetGraph *graph, const char *key,
                                               const char *value);
OCTET_API bool octet_graph_is_quantized(const OctetGraph *graph);

#ifdef __cplusplus
}
#endif
#endif
