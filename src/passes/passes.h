/* Rewrites of a graph, one a file. Each takes a resolved, inferred graph and leaves one: values
 * that the network's user sees (inputs, outputs, their names) never change, nor does any result,
 * except for the rounding that folding a batch norm or a constant brings with it. */
#ifndef OCT_PASSES_PASSES_H
#define OCT_PASSES_PASSES_H

#include "ir/graph.h"

typedef OctetStatus (*OctPass)(OctGraph *graph, OctetDiagnostic *diagnostic);

/* Nodes whose inputs are constants, or whose integers shape inference knows, become constants:
 * the Shape/Gather/Slice/Concat/ConstantOfShape/Cast chains that exporters write. */
OctetStatus oct_pass_fold_constants(OctGraph *graph, OctetDiagnostic *diagnostic);
/* The same, and weights of 8-bit floats become f32: for a graph that is not written again. */
OctetStatus oct_pass_fold_constants_to_run(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Identity, Dropout, and Cast, Reshape, Transpose, Pad, Slice, Concat, ... that change nothing. */
OctetStatus oct_pass_remove_identities(OctGraph *graph, OctetDiagnostic *diagnostic);
/* MatMul of a matrix with a constant, and the Add of a vector behind it, become Gemm; Gemm's alpha
 * and beta are multiplied into its constants. */
OctetStatus oct_pass_matmul_to_gemm(OctGraph *graph, OctetDiagnostic *diagnostic);
/* A Pad with zeros before a Conv becomes the Conv's pads. */
OctetStatus oct_pass_fold_pads(OctGraph *graph, OctetDiagnostic *diagnostic);
/* BatchNormalization, and Mul or Add of a constant per channel, behind Conv, ConvTranspose, Gemm
 * are multiplied into weights and bias. */
OctetStatus oct_pass_fold_batch_norm(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Relu and Clip behind Conv, ConvTranspose, Gemm, MatMul, Add become their activation. */
OctetStatus oct_pass_fuse_activations(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Nodes that compute the same from the same become one. */
OctetStatus oct_pass_merge_common(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Nodes whose outputs nobody uses go. */
OctetStatus oct_pass_remove_dead(OctGraph *graph, OctetDiagnostic *diagnostic);

/* Runs one pass, then compacts; with OCTET_CHECKS it verifies the graph too. */
OctetStatus oct_pass_run(OctPass pass, OctGraph *graph, OctetDiagnostic *diagnostic);
/* The passes that change nothing but the number of nodes, as both prepare and the engine want. */
OctetStatus oct_passes_simplify(OctGraph *graph, OctetDiagnostic *diagnostic);

#endif
