/* Converting one layer with weights. */
#ifndef OCT_PTQ_LAYER_H
#define OCT_PTQ_LAYER_H

#include "ptq/prepared.h"

/* Replaces the node's weight and bias, of which it may be one of several users, by integer
 * constants of its own, repairing biases by options->bias and recording that in prepared->repairs.
 * With OCTET_BIAS_FLOAT a layer whose bias does not fit keeps both and gets its float_reason. */
OctetStatus oct_convert_layer(OctetPrepared *prepared, OctGraph *graph, OctNode *node,
                              const OctetQConfig *qconfig, const OctetConvertOptions *options,
                              OctetDiagnostic *diagnostic);

#endif
