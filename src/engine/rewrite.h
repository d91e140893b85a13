/* Edits of a plan's graph that several passes need. All fail only when out of memory (or, for a
 * missing internal operator, with OCTET_ERROR_INTERNAL). */
#ifndef OCT_ENGINE_REWRITE_H
#define OCT_ENGINE_REWRITE_H

#include "engine/engine.h"

/* A node with one input and one new output, standing before `before` (NULL: at the end). The
 * output's type and shape are the caller's to set. Its name derives from the input's. */
OctetStatus oct_insert_unary(OctGraph *graph, OctNode *before, const char *domain,
                             const char *op_type, OctValue *input, OctNode **node,
                             OctetDiagnostic *diagnostic);
/* The engine's Quantize / Requantize / Dequantize of a value; the result has `qparams` (or none),
 * and the input's shape, layout and origin. */
OctetStatus oct_insert_conversion(OctGraph *graph, OctNode *before, OctValue *input,
                                  const OctetQParams *qparams, OctValue **output,
                                  OctetDiagnostic *diagnostic);
/* A constant value over a shared constant; takes no reference over. */
OctetStatus oct_add_shared_constant(OctGraph *graph, const char *name, OctConstant *constant,
                                    OctValue **value, OctetDiagnostic *diagnostic);
/* Sets node->op for a node that the engine has made. */
OctetStatus oct_resolve_node(OctNode *node, OctetDiagnostic *diagnostic);
/* Makes `node` the producer of `value` as output k, instead of what it produced. */
void oct_node_set_output(OctNode *node, int32_t k, OctValue *value);
/* Replaces all uses of a value in the nodes, but not among the graph's outputs. */
void oct_replace_in_nodes(OctGraph *graph, const OctValue *from, OctValue *to);
/* The nodes as they stand, to walk over while inserting; free with oct_free. */
OctNode **oct_snapshot_nodes(const OctGraph *graph, int32_t *count);

/* Quantized per tensor to 8 bits. */
bool oct_value_is_8bit(const OctValue *value);
/* Does the operator's result depend on input k as data (not as a scale, a bound, a fill value)? */
bool oct_input_is_data(const OctNode *node, int32_t k);
/* ONNX's own operator of that name? */
bool oct_node_is(const OctNode *node, const char *op_type);
bool oct_node_has_graph(const OctNode *node);
/* Convolutions and matrix products: input 1 is a matrix of weights, input 2 a bias. */
bool oct_node_is_layer(const OctNode *node);

#endif
