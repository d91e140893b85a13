/* Activations that are fused into the operator before them: node->activation (a clamp, set by
 * Octet's passes) and the attribute `activation` of com.microsoft's FusedConv and FusedGemm. */
#ifndef OCT_OPS_FUSED_ACTIVATION_H
#define OCT_OPS_FUSED_ACTIVATION_H

#include "ir/op.h"

typedef enum OctFusedKind {
    OCT_FUSED_CLAMP = 0, /* minimum and maximum alone: what kernels do themselves */
    OCT_FUSED_LEAKY_RELU,
    OCT_FUSED_TANH,
    OCT_FUSED_SIGMOID,
    OCT_FUSED_HARD_SIGMOID
} OctFusedKind;

typedef struct OctFusedActivation {
    OctFusedKind kind;
    float minimum, maximum; /* -INFINITY, INFINITY where there is no bound */
    float alpha, beta;
} OctFusedActivation;

/* The bounds of a node's own activation. */
void oct_activation_bounds(const OctActivation *activation, float *minimum, float *maximum);
/* OCTET_ERROR_UNSUPPORTED for an activation that Octet lacks. */
OctetStatus oct_fused_activation_read(const OctNode *node, OctFusedActivation *activation,
                                      OctetDiagnostic *diagnostic);
/* What is left to do after a kernel has clamped: nothing for OCT_FUSED_CLAMP. In place. */
void oct_fused_activation_run(const OctFusedActivation *activation, OctetCpu cpu, float *data,
                              size_t count, OctetThreadPool *pool);

#endif
