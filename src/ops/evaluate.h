/* Runs one node by itself on constants: for constant folding and for shapes known at plan time. */
#ifndef OCT_OPS_EVALUATE_H
#define OCT_OPS_EVALUATE_H

#include "ir/op.h"

/* True if every input that the node has is a constant, its operator is a function of them alone,
 * and it has no child graphs. */
bool oct_node_is_evaluable(const OctNode *node);

/* Computes the node's outputs: outputs[k] is a new tensor for output k (NULL where it is left out),
 * to be freed by the caller. Quantized outputs come as integers with their qparams. Results larger
 * than max_bytes are refused with OCTET_ERROR_LIMIT, before they are allocated, and so is more work
 * or work space than folding is worth. */
OctetStatus oct_node_evaluate(OctGraph *graph, OctNode *node, size_t max_bytes,
                              OctetTensor **outputs, OctetDiagnostic *diagnostic);

#endif
