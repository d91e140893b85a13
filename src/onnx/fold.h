/* Quantization as files spell it, in nodes, to quantization as the graph has it: a property of
 * values. All of it is exact: the folded graph computes what the file says, to the last bit.
 *
 * Nodes whose scales are no constants, and quantization of activations per channel, stay nodes. */
#ifndef OCT_ONNX_FOLD_H
#define OCT_ONNX_FOLD_H

#include "ir/graph.h"

/* QLinearConv and its kind become the plain operator between DequantizeLinear and QuantizeLinear
 * nodes, for oct_fold_qdq to fold. */
OctetStatus oct_fold_qoperator(OctGraph *graph, OctetDiagnostic *diagnostic);

/* The whole folding of QuantizeLinear and DequantizeLinear, in the graph and its children. */
OctetStatus oct_fold_qdq(OctGraph *graph, OctetDiagnostic *diagnostic);

/* ---- its steps, on one graph each ---- */

/* Integers that only pass through data movers (Reshape, MaxPool, Concat, ...) on their way to
 * DequantizeLinear: the movers then work on quantized values. */
OctetStatus oct_fold_movers(OctGraph *graph, OctetDiagnostic *diagnostic);
/* QuantizeLinear and DequantizeLinear of constants, and a Transpose behind them. */
OctetStatus oct_fold_quantized_constants(OctGraph *graph, OctetDiagnostic *diagnostic);
/* QuantizeLinear -> DequantizeLinear pairs around activations. */
OctetStatus oct_fold_pairs(OctGraph *graph, OctetDiagnostic *diagnostic);

/* Data movers behind a quantized value give their output the same parameters. */
OctetStatus oct_fold_spread(OctGraph *graph, OctetDiagnostic *diagnostic);

/* ---- shared ---- */

/* How many of its first inputs an operator moves elements from, unchanged; 0 if it does more. */
int32_t oct_moved_inputs(const OctNode *node);

bool oct_is_quantize(const OctNode *node);
bool oct_is_dequantize(const OctNode *node);
/* The constant at the end of a chain of Identity nodes, or NULL. */
const OctetTensor *oct_constant_behind(const OctValue *value);

/* The parameters of a QuantizeLinear or DequantizeLinear node. `shape` is the data's, of unknown
 * rank if need be. *found is false, without an error, if they are no constants, or if they depend
 * on a shape or type that is not known. Wrong ones (NaN, negative, an axis outside) are errors,
 * but for scales of zero, which are left to the caller. Free with octet_qparams_clear. */
OctetStatus oct_read_qparams(const OctNode *node, const OctetShape *shape, OctetQParams *qparams,
                             bool *found, OctetDiagnostic *diagnostic);
/* The same, and *found only for what an activation can carry: one scale, 4 to 16 bits. */
OctetStatus oct_read_activation_qparams(const OctNode *node, OctetQParams *qparams, bool *found,
                                        OctetDiagnostic *diagnostic);

/* The errors of oct_read_qparams alone; nothing to say of nodes that quantize nothing. */
OctetStatus oct_check_qparams(const OctNode *node, OctetDiagnostic *diagnostic);

/* "x" of "x_quantized", as integers of x are called by those who write models; any other name is
 * returned as it is. NULL when out of memory. */
const char *oct_name_of_real(OctGraph *graph, const char *name);

/* Where a DequantizeLinear makes a graph output it becomes an Identity of `from`, which lies on the
 * grid already. The output carries the grid too, but for a child graph's: the node around it takes
 * plain floats. False when out of memory. */
bool oct_turn_into_identity(OctGraph *graph, OctNode *dequantize, OctValue *from,
                            const OctetQParams *qparams);

#endif
