#include "base/tensor.h"
#include "base/diag.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

OctetStatus oct_tensor_bytes(OctetDType dtype, const OctetShape *shape, size_t *bytes,
                             OctetDiagnostic *diagnostic) {
    size_t element = octet_dtype_size(dtype);
    int64_t count;
    char text[128];
    if (element == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "a tensor of type %s can't be held",
                        octet_dtype_name(dtype));
    }
    if (!octet_shape_count(shape, &count) || (uint64_t)count > SIZE_MAX ||
        !oct_mul_size((size_t)count, element, bytes) || *bytes > PTRDIFF_MAX / 2) {
        octet_shape_format(shape, text, sizeof text);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a tensor of shape %s can't be held", text);
    }
    return OCTET_OK;
}

static OctetStatus make(OctetDType dtype, const OctetShape *shape, void *data, size_t bytes,
                        bool owns, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    OctetTensor *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->dtype = dtype;
    made->shape = *shape;
    made->data = data;
    made->bytes = bytes;
    made->owns_data = owns;
    made->qparams.axis = -1;
    *tensor = made;
    return OCTET_OK;
}

OctetStatus octet_tensor_create(OctetDType dtype, const OctetShape *shape, OctetTensor **tensor,
                                OctetDiagnostic *diagnostic) {
    size_t bytes;
    *tensor = NULL;
    OCT_TRY(oct_tensor_bytes(dtype, shape, &bytes, diagnostic));
    void *data = oct_aligned_calloc(bytes);
    if (!data) {
        return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY,
                        "out of memory for a tensor of %zu bytes", bytes);
    }
    OctetStatus status = make(dtype, shape, data, bytes, true, tensor, diagnostic);
    if (status != OCTET_OK) {
        oct_aligned_free(data);
    }
    return status;
}

OctetStatus octet_tensor_wrap(OctetDType dtype, const OctetShape *shape, void *data, size_t bytes,
                              OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    size_t needed;
    *tensor = NULL;
    OCT_TRY(oct_tensor_bytes(dtype, shape, &needed, diagnostic));
    if (needed != bytes || (bytes > 0 && !data)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the shape needs %zu bytes, %zu were given", needed, bytes);
    }
    return make(dtype, shape, data, bytes, false, tensor, diagnostic);
}

OctetStatus oct_tensor_map(OctetDType dtype, const OctetShape *shape, OctMapping *mapping,
                           const void *data, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    size_t bytes;
    *tensor = NULL;
    OCT_TRY(oct_tensor_bytes(dtype, shape, &bytes, diagnostic));
    OCT_TRY(make(dtype, shape, (void *)(uintptr_t)data, bytes, false, tensor, diagnostic));
    (*tensor)->mapping = oct_mapping_retain(mapping);
    return OCTET_OK;
}

OctetStatus oct_tensor_share(const OctetTensor *tensor, OctetTensor **shared,
                             OctetDiagnostic *diagnostic) {
    if (tensor->mapping) {
        return oct_tensor_map(tensor->dtype, &tensor->shape, tensor->mapping, tensor->data, shared,
                              diagnostic);
    }
    OCT_TRY(octet_tensor_create(tensor->dtype, &tensor->shape, shared, diagnostic));
    if (tensor->bytes) {
        memcpy((*shared)->data, tensor->data, tensor->bytes);
    }
    return OCTET_OK;
}

OctetStatus octet_tensor_copy(const OctetTensor *tensor, OctetTensor **copy,
                              OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_tensor_create(tensor->dtype, &tensor->shape, copy, diagnostic));
    if (tensor->bytes) {
        memcpy((*copy)->data, tensor->data, tensor->bytes);
    }
    OctetStatus status = octet_tensor_set_qparams(*copy, &tensor->qparams, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(*copy);
        *copy = NULL;
    }
    return status;
}

OctetStatus octet_tensor_set_qparams(OctetTensor *tensor, const OctetQParams *qparams,
                                     OctetDiagnostic *diagnostic) {
    OctetQParams copy = *qparams;
    if (qparams->dtype == OCTET_DTYPE_NONE) {
        copy = (OctetQParams){.axis = -1};
    } else {
        if (qparams->count < 1 || !qparams->scale || !qparams->zero_point) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "quantization parameters need a scale and a zero point");
        }
        size_t count = (size_t)qparams->count;
        copy.scale = oct_calloc(count, sizeof *copy.scale);
        copy.zero_point = oct_calloc(count, sizeof *copy.zero_point);
        if (!copy.scale || !copy.zero_point) {
            oct_free(copy.scale);
            oct_free(copy.zero_point);
            return oct_fail_memory(diagnostic);
        }
        memcpy(copy.scale, qparams->scale, count * sizeof *copy.scale);
        memcpy(copy.zero_point, qparams->zero_point, count * sizeof *copy.zero_point);
    }
    oct_free(tensor->qparams.scale);
    oct_free(tensor->qparams.zero_point);
    tensor->qparams = copy;
    return OCTET_OK;
}

OctetStatus octet_sequence_create(OctetDType dtype, OctetTensor *const *items, size_t count,
                                  OctetTensor **sequence, OctetDiagnostic *diagnostic) {
    *sequence = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!items[i] || items[i]->kind != OCTET_KIND_TENSOR || items[i]->dtype != dtype) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "item %zu of the sequence is no tensor of type %s", i,
                            octet_dtype_name(dtype));
        }
    }
    OctetTensor *made = oct_calloc(1, sizeof *made);
    OctetTensor **list = oct_calloc(count + 1, sizeof(OctetTensor *));
    if (!made || !list) {
        oct_free(made);
        oct_free(list);
        return oct_fail_memory(diagnostic);
    }
    if (count) {
        memcpy(list, items, count * sizeof(OctetTensor *));
    }
    *made = (OctetTensor){.dtype = dtype,
                          .shape = {.rank = -1},
                          .qparams = {.axis = -1},
                          .kind = OCTET_KIND_SEQUENCE,
                          .items = list,
                          .item_count = count,
                          .owns_items = true};
    *sequence = made;
    return OCTET_OK;
}

OctetStatus octet_absent_create(OctetDType dtype, OctetTensor **absent,
                                OctetDiagnostic *diagnostic) {
    *absent = oct_calloc(1, sizeof **absent);
    if (!*absent) {
        return oct_fail_memory(diagnostic);
    }
    **absent = (OctetTensor){.dtype = dtype,
                             .shape = {.rank = -1},
                             .qparams = {.axis = -1},
                             .kind = OCTET_KIND_OPTIONAL};
    return OCTET_OK;
}

void octet_tensor_free(OctetTensor *tensor) {
    if (tensor) {
        for (size_t i = 0; tensor->owns_items && i < tensor->item_count; i++) {
            octet_tensor_free(tensor->items[i]);
        }
        if (tensor->owns_items) {
            oct_free(tensor->items);
        }
        if (tensor->owns_data) {
            oct_aligned_free(tensor->data);
        }
        oct_mapping_release(tensor->mapping);
        oct_free(tensor->qparams.scale);
        oct_free(tensor->qparams.zero_point);
        oct_free(tensor);
    }
}
