#include "ops/matmul_integer.h"

void oct_packed_b_free(OctPackedB *packed, int64_t count) {
    for (int64_t i = 0; packed && i < count; i++) {
        oct_q8_conv_free(packed[i].conv);
        oct_free(packed[i].column_sums);
    }
    oct_free(packed);
}

/* An integer of a u8 or s8 array as s8. */
static int32_t as_s8(OctetDType dtype, const void *data, size_t i) {
    return dtype == OCTET_U8 ? ((const uint8_t *)data)[i] - 128 : ((const int8_t *)data)[i];
}

static OctetStatus pack_one(const OctNode *node, const OctProduct *product, OctetCpu cpu,
                            const OctView *b, size_t matrix, const OctView *zeros,
                            OctPackedB *packed, OctetDiagnostic *diagnostic) {
    size_t k = (size_t)product->k, n = (size_t)product->n;
    int8_t *weights = oct_calloc(n, k);
    int32_t *zero = oct_calloc(n, sizeof *zero);
    packed->column_sums = oct_calloc(n, sizeof *packed->column_sums);
    OctetStatus status = OCTET_OK;
    if (!weights || !zero || !packed->column_sums) {
        status = oct_fail_memory(diagnostic);
    }
    size_t count = zeros && zeros->data ? (size_t)oct_view_count(zeros) : 0;
    for (size_t c = 0; c < n && status == OCTET_OK; c++) {
        int64_t sum = 0;
        zero[c] = count                  ? as_s8(zeros->dtype, zeros->data, count == 1 ? 0 : c)
                  : b->dtype == OCTET_U8 ? -128
                                         : 0;
        for (size_t i = 0; i < k; i++) {
            int32_t value = as_s8(b->dtype, b->data, matrix * k * n + i * n + c);
            weights[c * k + i] = (int8_t)value;
            sum += value - zero[c];
        }
        packed->column_sums[c] = (int32_t)sum;
    }
    if (status == OCTET_OK) {
        OctQ8ConvParams params = oct_q8_conv_params(k, n);
        params.weights = weights;
        params.weight_zero_points = zero;
        params.weight_zero_point_count = n;
        params.epilogue.kind = OCT_Q8_OUT_S32;
        status = oct_q8_conv_create(&params, cpu, &packed->conv, diagnostic);
    }
    oct_free(weights);
    oct_free(zero);
    return oct_fail_in_node(diagnostic, status, node->name);
}

OctetStatus oct_packed_b_make(const OctNode *node, const OctProduct *product, OctetCpu cpu,
                              const OctView *b, const OctView *zeros, OctPackedB **packed,
                              OctetDiagnostic *diagnostic) {
    int64_t count = product->b_count;
    OctetStatus status = OCTET_OK;
    *packed = oct_calloc((size_t)count, sizeof **packed);
    if (!*packed) {
        return oct_fail_memory(diagnostic);
    }
    for (int64_t i = 0; i < count && status == OCTET_OK; i++) {
        status = pack_one(node, product, cpu, b, (size_t)i, zeros, &(*packed)[i], diagnostic);
    }
    if (status != OCTET_OK) {
        oct_packed_b_free(*packed, count);
        *packed = NULL;
    }
    return status;
}
