/* What the tests' own operators have in common. */
#ifndef OCT_TESTS_CUSTOM_OPERATOR_H
#define OCT_TESTS_CUSTOM_OPERATOR_H

#include "octet/operators.h"

/* One output, of the first input's type and shape. */
static inline OctetStatus infer_same(void *user, const OctetNode *node,
                                     const OctetTensorInfo *inputs, size_t input_count,
                                     OctetTensorInfo *outputs, size_t output_count,
                                     OctetDiagnostic *diagnostic) {
    (void)user;
    (void)node;
    (void)input_count;
    (void)output_count;
    (void)diagnostic;
    outputs[0] = inputs[0];
    return OCTET_OK;
}

#endif
