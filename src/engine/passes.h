/* The rewrites of a plan's graph, in the order in which they run. Each leaves a valid graph, apart
 * from dead nodes and unused values where it says so. */
#ifndef OCT_ENGINE_PASSES_H
#define OCT_ENGINE_PASSES_H

#include "engine/engine.h"

/* Conversions at inputs and outputs: floats given for a quantized input are quantized, quantized
 * outputs dequantized unless the user wants integers. */
OctetStatus oct_plan_borders(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic);

/* u8 activations and s8 weights only, apart from the tensors of the caller. */
OctetStatus oct_plan_rebase(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Makes every node purely int8 or purely float: s8 activations become u8, weights s8, and explicit
 * conversions stand where the two meet. Afterwards no node has operands of both kinds. */
OctetStatus oct_plan_regions(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Dequantize, Concat, BatchNormalization, Relu, Quantize become one Normalize. Leaves dead nodes.
 */
OctetStatus oct_plan_normalize(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Layer normalizations spelt out in ReduceMean, Sub, Pow and so on become one NormalizeRows, with
 * the Quantize behind it. Leaves dead nodes. */
OctetStatus oct_plan_row_norms(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Functions of one 8-bit tensor, whatever they are made of, become a Table. Leaves dead nodes. */
OctetStatus oct_plan_tables(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Tables and additions behind a layer move into it. */
OctetStatus oct_plan_fuse(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Concats whose parts convolutions can write in place become Joins. */
OctetStatus oct_plan_join(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Chooses channels-last for what computes fastest so, renumbers axes of what follows, and leaves
 * Transposes only where a node needs the other order. */
OctetStatus oct_plan_layout(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

/* Conversions, Transposes and Reshapes of constants become constants. */
OctetStatus oct_plan_fold(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic);

#endif
