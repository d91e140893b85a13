#include "base/tensor.h"

static const struct {
    OctetDType dtype;
    const char *name;
    uint8_t size;
    int64_t minimum, maximum;
} dtypes[] = {
    {OCTET_F32, "f32", 4, 0, 0},
    {OCTET_U8, "u8", 1, 0, UINT8_MAX},
    {OCTET_S8, "s8", 1, INT8_MIN, INT8_MAX},
    {OCTET_U16, "u16", 2, 0, UINT16_MAX},
    {OCTET_S16, "s16", 2, INT16_MIN, INT16_MAX},
    {OCTET_S32, "s32", 4, INT32_MIN, INT32_MAX},
    {OCTET_S64, "s64", 8, INT64_MIN, INT64_MAX},
    {OCTET_STRING, "string", 0, 0, 0},
    {OCTET_BOOL, "bool", 1, 0, 1},
    {OCTET_F16, "f16", 2, 0, 0},
    {OCTET_F64, "f64", 8, 0, 0},
    {OCTET_U32, "u32", 4, 0, UINT32_MAX},
    {OCTET_U64, "u64", 8, 0, INT64_MAX},
    {OCTET_BF16, "bf16", 2, 0, 0},
    {OCTET_F8E4M3FN, "f8e4m3fn", 1, 0, 0},
    {OCTET_F8E4M3FNUZ, "f8e4m3fnuz", 1, 0, 0},
    {OCTET_F8E5M2, "f8e5m2", 1, 0, 0},
    {OCTET_F8E5M2FNUZ, "f8e5m2fnuz", 1, 0, 0},
    {OCTET_U4, "u4", 1, 0, 15},
    {OCTET_S4, "s4", 1, -8, 7},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

size_t octet_dtype_size(OctetDType dtype) {
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (dtypes[i].dtype == dtype) {
            return dtypes[i].size;
        }
    }
    return 0;
}

const char *octet_dtype_name(OctetDType dtype) {
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (dtypes[i].dtype == dtype) {
            return dtypes[i].name;
        }
    }
    return "?";
}

void octet_dtype_range(OctetDType dtype, int64_t *minimum, int64_t *maximum) {
    *minimum = 0;
    *maximum = 0;
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (dtypes[i].dtype == dtype) {
            *minimum = dtypes[i].minimum;
            *maximum = dtypes[i].maximum;
        }
    }
}

OctetDType oct_dtype_computed(OctetDType dtype) {
    bool narrowed = dtype == OCTET_F16 || dtype == OCTET_BF16 || dtype == OCTET_F64;
    return narrowed ? OCTET_F32 : dtype;
}
