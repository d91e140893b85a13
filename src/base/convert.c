#include "base/diag.h"
#include "base/float8.h"
#include "base/tensor.h"

#include <math.h>
#include <string.h>

float oct_bf16_to_f32(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t oct_f32_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) {
        return (uint16_t)((bits >> 16) | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float oct_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = (bits >> 10) & 0x1f;
    uint32_t mantissa = bits & 0x3ff;
    uint32_t wide;
    if (exponent == 0) {
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    wide = exponent == 31 ? sign | 0x7f800000 | mantissa << 13
                          : sign | (exponent + 112) << 23 | mantissa << 13;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t oct_f32_to_f16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
    float magnitude = fabsf(value);
    if (isnan(value)) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (magnitude >= 65520.0f) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (magnitude < 0x1p-14f) {
        return (uint16_t)(sign | (uint16_t)rintf(magnitude * 0x1p24f));
    }
    memcpy(&bits, &magnitude, sizeof bits);
    bits += 0xfff + ((bits >> 13) & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112u << 10)));
}

static double read_float(OctetDType type, const char *source) {
    float f32;
    double f64;
    uint16_t half;
    if (oct_dtype_is_float8(type)) {
        return (double)oct_float8_decode(type, (uint8_t)*source);
    }
    switch (type) {
    case OCTET_F32:
        memcpy(&f32, source, sizeof f32);
        return (double)f32;
    case OCTET_F64:
        memcpy(&f64, source, sizeof f64);
        return f64;
    default:
        memcpy(&half, source, sizeof half);
        return (double)(type == OCTET_F16 ? oct_f16_to_f32(half) : oct_bf16_to_f32(half));
    }
}

/* u64 above INT64_MAX is the one value that does not fit; it keeps its bits, as wrapping does. */
static int64_t read_integer(OctetDType type, const char *source) {
    union {
        uint8_t u8;
        int8_t s8;
        uint16_t u16;
        int16_t s16;
        uint32_t u32;
        int32_t s32;
        int64_t s64;
    } v;
    v.s64 = 0;
    memcpy(&v, source, octet_dtype_size(type));
    switch (type) {
    case OCTET_BOOL:
    case OCTET_U4:
    case OCTET_U8:
        return v.u8;
    case OCTET_S4:
    case OCTET_S8:
        return v.s8;
    case OCTET_U16:
        return v.u16;
    case OCTET_S16:
        return v.s16;
    case OCTET_U32:
        return v.u32;
    case OCTET_S32:
        return v.s32;
    default:
        return v.s64;
    }
}

static bool is_float(OctetDType type) {
    return type == OCTET_F32 || type == OCTET_F64 || type == OCTET_F16 || type == OCTET_BF16 ||
           oct_dtype_is_float8(type);
}

static void write_float(OctetDType type, char *destination, double value) {
    float f32 = (float)value;
    uint16_t half;
    switch (type) {
    case OCTET_F32:
        memcpy(destination, &f32, sizeof f32);
        break;
    case OCTET_F64:
        memcpy(destination, &value, sizeof value);
        break;
    default:
        half = type == OCTET_F16 ? oct_f32_to_f16(f32) : oct_f32_to_bf16(f32);
        memcpy(destination, &half, sizeof half);
    }
}

static int64_t saturate(OctetDType type, double value) {
    int64_t minimum;
    int64_t maximum;
    octet_dtype_range(type, &minimum, &maximum);
    if (isnan(value)) {
        return 0;
    }
    value = trunc(value);
    if (value <= (double)minimum) {
        return minimum;
    }
    return value >= (double)maximum ? maximum : (int64_t)value;
}

static void write_integer(OctetDType type, char *destination, int64_t value) {
    if (type == OCTET_S4) {
        value = ((value & 15) ^ 8) - 8;
    } else if (type == OCTET_U4) {
        value &= 15;
    }
    uint64_t bits = (uint64_t)value;
    switch (octet_dtype_size(type)) {
    case 1:
        *(uint8_t *)destination = (uint8_t)bits;
        break;
    case 2: {
        uint16_t v = (uint16_t)bits;
        memcpy(destination, &v, sizeof v);
        break;
    }
    case 4: {
        uint32_t v = (uint32_t)bits;
        memcpy(destination, &v, sizeof v);
        break;
    }
    default:
        memcpy(destination, &bits, sizeof bits);
    }
}

/* What zero points take, of which a model has thousands. */
static void widen(OctetDType from, const void *source, int32_t *out, int64_t count) {
    if (from == OCTET_U8) {
        for (int64_t i = 0; i < count; i++) {
            out[i] = ((const uint8_t *)source)[i];
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            out[i] = ((const int8_t *)source)[i];
        }
    }
}

OctetStatus oct_convert_to_float8(OctetDType to, void *destination, OctetDType from,
                                  const void *source, int64_t count, bool saturate,
                                  OctetDiagnostic *diagnostic) {
    uint8_t *out = destination;
    const char *in = source;
    if (to == from || octet_dtype_size(from) == 0) {
        return oct_convert(to, destination, from, source, count, diagnostic);
    }
    for (int64_t i = 0; i < count; i++, in += octet_dtype_size(from)) {
        double value;
        if (is_float(from)) {
            value = read_float(from, in);
        } else {
            int64_t whole = read_integer(from, in);
            value = from == OCTET_U64 ? (double)(uint64_t)whole : (double)whole;
        }
        out[i] = oct_float8_encode(to, value, saturate);
    }
    return OCTET_OK;
}

OctetStatus oct_convert(OctetDType to, void *destination, OctetDType from, const void *source,
                        int64_t count, OctetDiagnostic *diagnostic) {
    size_t to_size = octet_dtype_size(to);
    size_t from_size = octet_dtype_size(from);
    if (to_size == 0 || from_size == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "can't convert %s to %s",
                        octet_dtype_name(from), octet_dtype_name(to));
    }
    if (to == from) {
        if (count > 0) {
            memcpy(destination, source, (size_t)count * to_size);
        }
        return OCTET_OK;
    }
    if (to == OCTET_S32 && (from == OCTET_U8 || from == OCTET_S8)) {
        widen(from, source, destination, count);
        return OCTET_OK;
    }
    if (oct_dtype_is_float8(to)) {
        return oct_convert_to_float8(to, destination, from, source, count, true, diagnostic);
    }
    char *out = destination;
    const char *in = source;
    for (int64_t i = 0; i < count; i++, out += to_size, in += from_size) {
        if (is_float(from)) {
            double value = read_float(from, in);
            if (is_float(to)) {
                write_float(to, out, value);
            } else {
                write_integer(to, out, to == OCTET_BOOL ? value != 0 : saturate(to, value));
            }
        } else {
            int64_t value = read_integer(from, in);
            if (is_float(to)) {
                write_float(to, out, from == OCTET_U64 ? (double)(uint64_t)value : (double)value);
            } else {
                write_integer(to, out, to == OCTET_BOOL ? value != 0 : value);
            }
        }
    }
    return OCTET_OK;
}

OctetStatus octet_tensor_cast(const OctetTensor *tensor, OctetDType dtype, OctetTensor **cast,
                              OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_tensor_create(dtype, &tensor->shape, cast, diagnostic));
    int64_t count = 0;
    octet_shape_count(&tensor->shape, &count);
    OctetStatus status =
        oct_convert(dtype, (*cast)->data, tensor->dtype, tensor->data, count, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(*cast);
        *cast = NULL;
    }
    return status;
}
