#include "metrics.h"

#include <math.h>

void similarity_add(Similarity *similarity, const float *reference, const float *other,
                    int64_t count) {
    double signal = 0, squares = 0, product = 0, noise = 0;
    for (int64_t i = 0; i < count; i++) {
        double a = (double)reference[i], b = (double)other[i];
        signal += a * a;
        squares += b * b;
        product += a * b;
        noise += (a - b) * (a - b);
    }
    similarity->signal += signal;
    similarity->other += squares;
    similarity->product += product;
    similarity->noise += noise;
    similarity->count += count;
}

double similarity_sqnr(const Similarity *similarity) {
    if (similarity->count == 0) {
        return NAN;
    }
    if (similarity->noise == 0) {
        return INFINITY;
    }
    return 10.0 * log10(similarity->signal / similarity->noise);
}

double similarity_cosine(const Similarity *similarity) {
    if (similarity->signal == 0 && similarity->other == 0) {
        return 1.0;
    }
    return similarity->product / (sqrt(similarity->signal) * sqrt(similarity->other));
}

OctetStatus tensor_floats(const OctetTensor *tensor, const float **values, int64_t *count,
                          OctetTensor **made, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    *made = NULL;
    if (tensor->qparams.dtype != OCTET_DTYPE_NONE) {
        status = octet_dequantize(tensor, made, diagnostic);
    } else if (tensor->dtype != OCTET_F32) {
        status = octet_tensor_cast(tensor, OCTET_F32, made, diagnostic);
    }
    if (status == OCTET_OK) {
        const OctetTensor *chosen = *made ? *made : tensor;
        *values = chosen->data;
        *count = (int64_t)(chosen->bytes / sizeof(float));
    }
    return status;
}

bool is_scores(const OctetShape *shape) {
    int wide = 0;
    for (int32_t d = shape->rank > 1 ? 1 : 0; d < shape->rank; d++) {
        wide += shape->dims[d] != 1;
    }
    return wide == 1;
}
