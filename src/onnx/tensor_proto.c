#include "onnx/tensor_proto.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/tensor.h"

#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX's raw data is little-endian, and so must this machine be"
#endif

bool oct_dtype_from_proto(int32_t number, OctetDType *dtype) {
    bool known = (number >= OCTET_F32 && number <= OCTET_U64) ||
                 (number >= OCTET_BF16 && number <= OCTET_S4);
    *dtype = known ? (OctetDType)number : OCTET_DTYPE_NONE;
    return known;
}

OctetStatus oct_shape_from_dims(const int64_t *dims, size_t count, OctetShape *shape,
                                OctetDiagnostic *diagnostic) {
    *shape = (OctetShape){0};
    if (count > OCTET_MAX_RANK) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "%zu dimensions, at most %d are supported", count, OCTET_MAX_RANK);
    }
    shape->rank = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (dims[i] < 0) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "dimension %zu is negative (%lld)", i,
                            (long long)dims[i]);
        }
        shape->dims[i] = dims[i];
    }
    return OCTET_OK;
}

static bool is_four_bit(OctetDType dtype) {
    return dtype == OCTET_U4 || dtype == OCTET_S4;
}

/* Bytes that `count` elements take in a file, where two four-bit ones share a byte. */
static size_t packed_bytes(OctetDType dtype, size_t count) {
    return is_four_bit(dtype) ? count / 2 + count % 2 : count * octet_dtype_size(dtype);
}

static void unpack_four_bit(OctetDType dtype, const uint8_t *packed, uint8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t nibble = (uint8_t)(i % 2 ? packed[i / 2] >> 4 : packed[i / 2] & 15);
        bool negative = dtype == OCTET_S4 && nibble > 7;
        out[i] = negative ? (uint8_t)(nibble | 0xf0) : nibble;
    }
}

static OctetStatus fail_count(OctetDiagnostic *diagnostic, const char *unit, size_t found,
                              size_t needed) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                    "its shape and type need %zu %s of data, the file has %zu", needed, unit,
                    found);
}

/* int32_data holds every type of up to 32 bits, one element a number (two for four-bit types). */
static void narrow_ints(OctetDType dtype, const int32_t *from, void *to, size_t count) {
    size_t size = octet_dtype_size(dtype);
    for (size_t i = 0; i < count; i++) {
        memcpy((char *)to + i * size, &from[i], size); /* little-endian: the low bytes */
    }
}

static OctetStatus read_typed(const Onnx__TensorProto *proto, OctetDType dtype, void *to,
                              size_t count, OctetDiagnostic *diagnostic) {
    const void *from = NULL;
    size_t found = 0;
    size_t needed = is_four_bit(dtype) ? count / 2 + count % 2 : count;
    switch (dtype) {
    case OCTET_F32:
        from = proto->float_data;
        found = proto->n_float_data;
        break;
    case OCTET_F64:
        from = proto->double_data;
        found = proto->n_double_data;
        break;
    case OCTET_S64:
        from = proto->int64_data;
        found = proto->n_int64_data;
        break;
    case OCTET_U32:
    case OCTET_U64:
        from = proto->uint64_data;
        found = proto->n_uint64_data;
        break;
    default:
        from = proto->int32_data;
        found = proto->n_int32_data;
        break;
    }
    if (found != needed) {
        return fail_count(diagnostic, "elements", found, needed);
    }
    if (is_four_bit(dtype)) {
        for (size_t i = 0; i < count; i++) {
            uint8_t byte = (uint8_t)proto->int32_data[i / 2];
            byte = i % 2 ? (uint8_t)(byte >> 4) : byte;
            unpack_four_bit(dtype, &byte, (uint8_t *)to + i, 1);
        }
    } else if (dtype == OCTET_U32) {
        for (size_t i = 0; i < count; i++) {
            ((uint32_t *)to)[i] = (uint32_t)proto->uint64_data[i];
        }
    } else if (from == proto->int32_data) {
        narrow_ints(dtype, proto->int32_data, to, count);
    } else if (count > 0) {
        memcpy(to, from, count * octet_dtype_size(dtype));
    }
    return OCTET_OK;
}

static bool is_external(const Onnx__TensorProto *proto) {
    return proto->has_data_location &&
           proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* Refuses what the message and its external file can't hold, before anything is allocated for it.
 * *offset is the place in the external file. */
static OctetStatus check_size(const Onnx__TensorProto *proto, OctetDType dtype, size_t count,
                              OctDataSource *source, uint64_t *offset,
                              OctetDiagnostic *diagnostic) {
    size_t bytes = packed_bytes(dtype, count);
    if (is_external(proto)) {
        return oct_external_find(proto, source, bytes, offset, diagnostic);
    }
    if (proto->has_raw_data) {
        return proto->raw_data.len == bytes
                   ? OCTET_OK
                   : fail_count(diagnostic, "bytes", proto->raw_data.len, bytes);
    }
    size_t elements = proto->n_float_data + proto->n_int32_data + proto->n_int64_data +
                      proto->n_double_data + proto->n_uint64_data;
    size_t needed = is_four_bit(dtype) ? count / 2 + count % 2 : count;
    return elements >= needed ? OCTET_OK : fail_count(diagnostic, "elements", elements, needed);
}

static OctetStatus read_raw(const Onnx__TensorProto *proto, const OctDataSource *source,
                            uint64_t offset, void *to, size_t bytes, OctetDiagnostic *diagnostic) {
    if (is_external(proto)) {
        return oct_file_read_at(source->file, offset, to, bytes, diagnostic);
    }
    if (bytes > 0) {
        memcpy(to, proto->raw_data.data, bytes);
    }
    return OCTET_OK;
}

/* The elements as they are in the file, four-bit ones one a byte. */
static OctetStatus read_elements(const Onnx__TensorProto *proto, const OctDataSource *source,
                                 uint64_t offset, OctetDType dtype, void *to, size_t count,
                                 OctetDiagnostic *diagnostic) {
    if (!is_external(proto) && !proto->has_raw_data) {
        return read_typed(proto, dtype, to, count, diagnostic);
    }
    size_t bytes = packed_bytes(dtype, count);
    if (!is_four_bit(dtype)) {
        return read_raw(proto, source, offset, to, bytes, diagnostic);
    }
    uint8_t *packed = oct_alloc(bytes);
    if (!packed) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = read_raw(proto, source, offset, packed, bytes, diagnostic);
    if (status == OCTET_OK) {
        unpack_four_bit(dtype, packed, to, count);
    }
    oct_free(packed);
    return status;
}

/* Any byte but 0 is true in a file; in memory true is 1. */
static void normalize_bools(uint8_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        values[i] = values[i] != 0;
    }
}

/* Below this a copy is cheaper than what it takes to do without. */
enum { LEAST_IN_PLACE = 4096 };

/* Whether the data can be used where it lies in the file: nothing to convert, aligned, and readable
 * as far beyond its end as oct_aligned_alloc's blocks are. */
static bool can_stay(const Onnx__TensorProto *proto, const OctDataSource *source, OctetDType dtype,
                     size_t bytes) {
    if (!source->mapping || is_external(proto) || !proto->has_raw_data || bytes < LEAST_IN_PLACE ||
        is_four_bit(dtype) || dtype == OCTET_BOOL || oct_dtype_computed(dtype) != dtype) {
        return false;
    }
    return (uintptr_t)proto->raw_data.data % octet_dtype_size(dtype) == 0 &&
           oct_mapping_room(source->mapping, proto->raw_data.data) >= bytes + 64;
}

OctetStatus oct_tensor_from_proto(const Onnx__TensorProto *proto, OctDataSource *source,
                                  OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    OctetDType dtype;
    OctetShape shape;
    size_t bytes;
    uint64_t offset = 0;
    *tensor = NULL;
    if (!oct_dtype_from_proto(proto->data_type, &dtype)) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "its element type is ONNX's number %d, which is not supported",
                        proto->data_type);
    }
    if (dtype == OCTET_STRING) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "it holds strings, which are not supported");
    }
    if (proto->segment) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "it is stored in segments, which is not supported");
    }
    OCT_TRY(oct_shape_from_dims(proto->dims, proto->n_dims, &shape, diagnostic));
    OCT_TRY(oct_tensor_bytes(dtype, &shape, &bytes, diagnostic));
    size_t count = bytes / octet_dtype_size(dtype);
    OCT_TRY(check_size(proto, dtype, count, source, &offset, diagnostic));

    if (can_stay(proto, source, dtype, bytes)) {
        return oct_tensor_map(dtype, &shape, source->mapping, proto->raw_data.data, tensor,
                              diagnostic);
    }
    OctetTensor *made;
    OCT_TRY(octet_tensor_create(dtype, &shape, &made, diagnostic));
    OctetStatus status = read_elements(proto, source, offset, dtype, made->data, count, diagnostic);
    if (status == OCTET_OK && dtype == OCTET_BOOL) {
        normalize_bools(made->data, count);
    }
    if (status == OCTET_OK && oct_dtype_computed(dtype) != dtype) {
        source->narrowed = true;
        OctetTensor *converted = NULL;
        status = octet_tensor_cast(made, oct_dtype_computed(dtype), &converted, diagnostic);
        octet_tensor_free(made);
        made = converted;
    }
    if (status != OCTET_OK) {
        octet_tensor_free(made);
        return status;
    }
    *tensor = made;
    return OCTET_OK;
}

/* ---- sparse tensors ---- */

/* Row-major index of element k; indices are linear (rank 1) or one row of coordinates a value. */
static bool sparse_index(const OctetTensor *indices, const OctetShape *shape, int64_t k,
                         int64_t count, int64_t *index) {
    const int64_t *numbers = indices->data;
    if (indices->shape.rank == 1) {
        *index = numbers[k];
        return *index >= 0 && *index < count;
    }
    *index = 0;
    for (int32_t axis = 0; axis < shape->rank; axis++) {
        int64_t coordinate = numbers[k * shape->rank + axis];
        if (coordinate < 0 || coordinate >= shape->dims[axis]) {
            return false;
        }
        *index = *index * shape->dims[axis] + coordinate;
    }
    return true;
}

static OctetStatus expand(const OctetTensor *values, const OctetTensor *indices, OctetTensor *dense,
                          OctetDiagnostic *diagnostic) {
    int64_t stored;
    int64_t count;
    bool shaped = values->shape.rank == 1 && octet_shape_count(&values->shape, &stored) &&
                  octet_shape_count(&dense->shape, &count) && indices->dtype == OCTET_S64;
    if (shaped && indices->shape.rank == 2) {
        shaped = indices->shape.dims[0] == stored && indices->shape.dims[1] == dense->shape.rank;
    } else if (shaped) {
        shaped = indices->shape.rank == 1 && indices->shape.dims[0] == stored;
    }
    if (!shaped) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "the indices of the sparse tensor don't fit its values");
    }
    size_t size = octet_dtype_size(values->dtype);
    for (int64_t k = 0; k < stored; k++) {
        int64_t index;
        if (!sparse_index(indices, &dense->shape, k, count, &index)) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                            "index %lld of the sparse tensor lies outside of it", (long long)k);
        }
        memcpy((char *)dense->data + (size_t)index * size,
               (const char *)values->data + (size_t)k * size, size);
    }
    return OCTET_OK;
}

OctetStatus oct_tensor_from_sparse(const Onnx__SparseTensorProto *proto, OctDataSource *source,
                                   OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    OctetShape shape;
    size_t bytes;
    OctetTensor *values = NULL;
    OctetTensor *indices = NULL;
    OctetTensor *dense = NULL;
    *tensor = NULL;
    if (!proto->values || !proto->indices) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "the sparse tensor lacks its values or indices");
    }
    OCT_TRY(oct_shape_from_dims(proto->dims, proto->n_dims, &shape, diagnostic));
    OctetStatus status = oct_tensor_from_proto(proto->values, source, &values, diagnostic);
    if (status == OCTET_OK) {
        status = oct_tensor_from_proto(proto->indices, source, &indices, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_tensor_bytes(values->dtype, &shape, &bytes, diagnostic);
    }
    if (status == OCTET_OK && bytes > source->dense_left) {
        status = oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                          "a sparse tensor of %zu bytes when expanded is not accepted", bytes);
    }
    if (status == OCTET_OK) {
        source->dense_left -= bytes;
        status = octet_tensor_create(values->dtype, &shape, &dense, diagnostic);
    }
    if (status == OCTET_OK) {
        status = expand(values, indices, dense, diagnostic);
    }
    octet_tensor_free(values);
    octet_tensor_free(indices);
    if (status != OCTET_OK) {
        octet_tensor_free(dense);
        return status;
    }
    *tensor = dense;
    return OCTET_OK;
}
