/* What a model's nodes will compute in, told before anything is calibrated or run. */
#ifndef OCTET_TOOLS_INSPECT_PLAN_H
#define OCTET_TOOLS_INSPECT_PLAN_H

#include "octet/octet.h"
#include "quantize_rules.h"

/* Prints it, as text or as one JSON object. The graph is fused. Of a float model: what `octet
 * quantize` with these rules will make int8, what it will leave in float and why. Of a quantized
 * one: what the engine runs, in which kernel; shapes as in input_shape. */
OctetStatus inspect_plan(const char *path, const OctetGraph *graph, const QuantizeRules *rules,
                         const TextList *shapes, bool json, OctetDiagnostic *diagnostic);

#endif
