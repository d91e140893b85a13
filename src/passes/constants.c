#include "passes/constants.h"

#include "base/diag.h"

const float *oct_constant_floats(const OctValue *value, int64_t *count) {
    const OctetTensor *tensor = oct_value_tensor(value);
    if (!tensor || tensor->dtype != OCTET_F32 || oct_value_quantized(value) ||
        !octet_shape_count(&tensor->shape, count)) {
        return NULL;
    }
    return tensor->data;
}

OctValue *oct_new_float_constant(OctGraph *graph, const char *name, const OctetShape *shape,
                                 float **data, OctetDiagnostic *diagnostic) {
    OctetTensor *tensor;
    if (octet_tensor_create(OCTET_F32, shape, &tensor, diagnostic) != OCTET_OK) {
        return NULL;
    }
    *data = tensor->data;
    OctValue *value = oct_graph_add_constant(graph, name, tensor);
    if (!value) {
        oct_fail_memory(diagnostic);
    }
    return value;
}
