#include "engine/observe.h"
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/rewrite.h"
#include "kernels/transpose.h"

#include <string.h>

/* Channels-last to the graph's order, when `from` is a view of rank 3 and more. */
static OctetStatus to_channels_first(const OctView *from, OctetTensor **tensor,
                                     OctetDiagnostic *diagnostic) {
    OctetShape shape = from->shape;
    int64_t channels = shape.dims[shape.rank - 1];
    int64_t area = 1;
    for (int32_t i = 1; i < shape.rank - 1; i++) {
        area *= from->shape.dims[i];
        shape.dims[i + 1] = from->shape.dims[i];
    }
    shape.dims[1] = channels;
    OCT_TRY(octet_tensor_create(from->dtype, &shape, tensor, diagnostic));
    oct_transpose_matrix(octet_dtype_size(from->dtype), (size_t)shape.dims[0], (size_t)area,
                         (size_t)channels, from->data, (*tensor)->data, NULL);
    return OCTET_OK;
}

/* The engine's u8 back to the s8 of the source. */
static OctetStatus to_s8(const OctetTensor *from, OctetTensor **tensor,
                         OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_tensor_create(OCTET_S8, &from->shape, tensor, diagnostic));
    for (size_t i = 0; i < from->bytes; i++) {
        ((uint8_t *)(*tensor)->data)[i] = ((const uint8_t *)from->data)[i] ^ 0x80;
    }
    return OCTET_OK;
}

/* A value that has a grid in the plan, but not in the source graph. */
static OctetStatus to_real(const OctetTensor *from, const OctetQParams *qparams,
                           OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    OctetTensor stored = *from;
    stored.qparams = *qparams;
    return octet_dequantize(&stored, tensor, diagnostic);
}

void oct_session_observe_any_layout(OctetSession *session) {
    session->observe_any_layout = true;
}

static OctetStatus show(const OctetSession *session, const OctValue *value, const OctView *view,
                        OctetDiagnostic *diagnostic) {
    const OctValue *origin = value->origin;
    OctetTensor *ordered = NULL;
    OctetTensor *converted = NULL;
    OctetTensor shown = {.dtype = view->dtype, .shape = view->shape, .data = view->data};
    OctetStatus status = oct_tensor_bytes(view->dtype, &view->shape, &shown.bytes, diagnostic);
    if (status == OCTET_OK && value->channels_last && !session->observe_any_layout) {
        status = to_channels_first(view, &ordered, diagnostic);
        if (status == OCTET_OK) {
            shown = *ordered;
        }
    }
    if (status == OCTET_OK && oct_value_quantized(value)) {
        if (!oct_value_quantized(origin)) {
            status = to_real(&shown, &value->qparams, &converted, diagnostic);
        } else if (value->qparams.dtype != origin->qparams.dtype) {
            status = to_s8(&shown, &converted, diagnostic);
        }
        if (status == OCTET_OK && converted) {
            shown = *converted;
        }
    }
    shown.qparams = origin->qparams;
    if (status == OCTET_OK) {
        status = session->options.observe(session->options.observe_user, origin, &shown);
        if (status != OCTET_OK) {
            oct_fail(diagnostic, status, "the observer of %s ended the run", origin->name);
        }
    }
    octet_tensor_free(ordered);
    octet_tensor_free(converted);
    return status;
}

OctetStatus oct_observe(const OctetSession *session, const OctNode *node, const OctView *outputs,
                        OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *value = node->outputs[k];
        if (value && oct_session_observes(session, value)) {
            OCT_TRY(show(session, value, &outputs[k], diagnostic));
        }
    }
    return OCTET_OK;
}
