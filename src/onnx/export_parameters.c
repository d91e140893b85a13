/* Scales and zero points as constants of the file. */
#include "base/diag.h"
#include "onnx/export.h"

static OctValue *add_parameters(OctGraph *graph, const OctValue *value, const OctetQParams *q,
                                OctetDType dtype, const char *suffix, const void *numbers,
                                OctetDType from) {
    OctetShape shape = {.rank = 0};
    OctetTensor *tensor;
    char name[256];
    if (q->block_size > 0) {
        shape = value->shape;
        int64_t dim = shape.dims[q->axis];
        shape.dims[q->axis] = dim > 0 ? (dim - 1) / q->block_size + 1 : 0;
    } else if (q->axis >= 0) {
        shape = (OctetShape){.rank = 1, .dims = {q->count}};
    }
    OctetTensor *wrapped;
    if (octet_tensor_wrap(from, &shape, (void *)numbers, (size_t)q->count * octet_dtype_size(from),
                          &wrapped, NULL) != OCTET_OK) {
        return NULL;
    }
    OctetStatus status = octet_tensor_cast(wrapped, dtype, &tensor, NULL);
    octet_tensor_free(wrapped);
    oct_export_name(name, sizeof name, value->name, suffix);
    return status == OCTET_OK ? oct_graph_add_constant(graph, name, tensor) : NULL;
}

static bool any_zero_point(const OctetQParams *q) {
    for (int64_t i = 0; i < q->count; i++) {
        if (q->zero_point[i] != 0) {
            return true;
        }
    }
    return false;
}

OctetStatus oct_export_parameters(OctGraph *graph, const OctValue *value, const OctetQParams *q,
                                  OctExportForm *form, OctetDiagnostic *diagnostic) {
    bool wanted = q->dtype != OCTET_S32 || any_zero_point(q);
    if (!form->scale) {
        form->scale = add_parameters(graph, value, q, OCTET_F32, "scale", q->scale, OCTET_F32);
    }
    if (wanted && !form->zero_point) {
        form->zero_point =
            add_parameters(graph, value, q, q->dtype, "zero_point", q->zero_point, OCTET_S32);
    }
    return form->scale && (form->zero_point || !wanted) ? OCTET_OK : oct_fail_memory(diagnostic);
}
