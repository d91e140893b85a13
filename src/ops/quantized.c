#include "ops/quantized.h"
#include "kernels/q8_vector.h"
#include "ops/table_u8.h"

OctetStatus oct_constant_f32_open(const OctValue *value, OctConstantF32 *constant,
                                  OctetDiagnostic *diagnostic) {
    const OctetTensor *tensor = oct_value_tensor(value);
    *constant = (OctConstantF32){0};
    if (!tensor) {
        return OCTET_OK;
    }
    if (oct_value_quantized(value)) {
        OctetTensor view = *tensor;
        view.qparams = value->qparams;
        OCT_TRY(octet_dequantize(&view, &constant->copy, diagnostic));
    } else if (tensor->dtype != OCTET_F32) {
        OCT_TRY(octet_tensor_cast(tensor, OCTET_F32, &constant->copy, diagnostic));
    }
    constant->data = constant->copy ? constant->copy->data : tensor->data;
    return OCTET_OK;
}

void oct_constant_f32_close(OctConstantF32 *constant) {
    octet_tensor_free(constant->copy);
}

bool oct_is_u8(const OctValue *value) {
    return value && value->qparams.dtype == OCTET_U8 && value->qparams.count == 1 &&
           value->qparams.axis < 0;
}

OctetStatus oct_element_of(const OctPrepare *prepare, const OctValue *value, OctElement *element) {
    *element = (OctElement){.quantized = oct_is_u8(value), .size = sizeof(float)};
    if (element->quantized) {
        element->scale = oct_value_scale(value);
        element->zero_point = (uint8_t)oct_value_zero_point(value);
        element->size = 1;
    } else if (oct_value_storage(value) != OCTET_F32) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "is not supported on %s", octet_dtype_name(oct_value_storage(value)));
    }
    return OCTET_OK;
}

void oct_activation_u8(const OctActivation *activation, const OctetQParams *qparams,
                       uint8_t *minimum, uint8_t *maximum) {
    bool clips = activation->kind == OCT_ACTIVATION_CLIP;
    *minimum = clips ? (uint8_t)oct_table_quantize(qparams, activation->minimum) : 0;
    *maximum = clips ? (uint8_t)oct_table_quantize(qparams, activation->maximum) : 255;
}

typedef struct TableWork {
    const OctQ8VectorOps *vector;
    const uint8_t *table;
    uint8_t *data;
    size_t count;
} TableWork;

enum { TABLE_CHUNK = 16384 };

static void look_up(void *user, size_t index) {
    const TableWork *work = user;
    size_t at = index * TABLE_CHUNK, rest = work->count - at;
    size_t count = rest < TABLE_CHUNK ? rest : TABLE_CHUNK;
    work->vector->lookup(work->table, work->data + at, work->data + at, count);
}

void oct_table_apply(OctetCpu cpu, const uint8_t *table, uint8_t *data, size_t count,
                     OctetThreadPool *pool) {
    TableWork work = {oct_q8_vector_ops(cpu), table, data, count};
    oct_parallel_for(pool, look_up, &work, (count + TABLE_CHUNK - 1) / TABLE_CHUNK);
}
