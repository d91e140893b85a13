/* Tensors: element types, shapes, quantization parameters, and arrays with them. */
#ifndef OCTET_TENSOR_H
#define OCTET_TENSOR_H

#include "octet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OCTET_MAX_RANK 8

/* Element types, numbered as in ONNX's TensorProto.DataType. f16, bf16 and f64 exist in files
 * and in Cast; the engine computes them in f32. 8-bit floats stay what they are: operators convert
 * and move them, none computes in them. Four-bit types are held one a byte. */
typedef enum OctetDType {
    OCTET_DTYPE_NONE = 0,
    OCTET_F32 = 1,
    OCTET_U8 = 2,
    OCTET_S8 = 3,
    OCTET_U16 = 4,
    OCTET_S16 = 5,
    OCTET_S32 = 6,
    OCTET_S64 = 7,
    OCTET_STRING = 8, /* recognized in files, never computed with */
    OCTET_BOOL = 9,
    OCTET_F16 = 10,
    OCTET_F64 = 11,
    OCTET_U32 = 12,
    OCTET_U64 = 13,
    OCTET_BF16 = 16,
    OCTET_F8E4M3FN = 17,
    OCTET_F8E4M3FNUZ = 18,
    OCTET_F8E5M2 = 19,
    OCTET_F8E5M2FNUZ = 20,
    OCTET_U4 = 21,
    OCTET_S4 = 22
} OctetDType;

/* Bytes an element takes in memory; 0 for OCTET_DTYPE_NONE and strings. */
OCTET_API size_t octet_dtype_size(OctetDType dtype);
/* "f32", "u8" and so on, never NULL. */
OCTET_API const char *octet_dtype_name(OctetDType dtype);
/* Lowest and highest integer of an integer type, for quantization (s64 and u64 saturate). */
OCTET_API void octet_dtype_range(OctetDType dtype, int64_t *minimum, int64_t *maximum);

/* rank -1: nothing is known. A dimension below 0 is not a number: octet_graph_dim_name tells its
 * name. Tensors that hold data have only dimensions of 0 and more. */
typedef struct OctetShape {
    int32_t rank;
    int64_t dims[OCTET_MAX_RANK];
} OctetShape;

/* The number of elements; false if a dimension is unknown or the product overflows int64. */
OCTET_API bool octet_shape_count(const OctetShape *shape, int64_t *count);
OCTET_API bool octet_shape_equal(const OctetShape *a, const OctetShape *b);
/* Writes "1x3x224x224" (or "scalar", "?") and returns its length, as snprintf does. */
OCTET_API int octet_shape_format(const OctetShape *shape, char *buffer, size_t size);

/* Quantization parameters: real = (stored - zero_point[c]) * scale[c].
 * dtype OCTET_DTYPE_NONE means "not quantized". axis -1 and count 1: per tensor; else `count`
 * parameters along `axis`. block_size > 0: one parameter a block of that many elements along
 * axis, `count` then being the number of parameters in all (opset 21). */
typedef struct OctetQParams {
    OctetDType dtype;
    int32_t axis;
    int64_t block_size;
    int64_t count;
    float *scale;
    int32_t *zero_point;
} OctetQParams;

/* What a value of a network is, as bits: a tensor; a sequence of tensors of one type; an optional
 * tensor or sequence, which may be absent. */
enum { OCTET_KIND_TENSOR = 0, OCTET_KIND_SEQUENCE = 1, OCTET_KIND_OPTIONAL = 2 };

/* An array. `data` is row-major and contiguous. A quantized tensor has dtype f32 in qparams' sense
 * and holds integers of type qparams.dtype; its `dtype` is then that same integer type.
 *
 * Networks that take or give sequences or optional values do so with a tensor of another `kind`: a
 * sequence has items and no data, and rank -1; an absent optional value (OCTET_KIND_OPTIONAL) has
 * neither. An optional value that is there is given as the tensor or the sequence that it is. */
typedef struct OctetTensor {
    OctetDType dtype; /* of a sequence: of its tensors */
    OctetShape shape;
    void *data;
    size_t bytes;
    OctetQParams qparams;
    bool owns_data; /* data is freed with the tensor */
    /* Internal: the mapped file that data lies in, NULL for none. Such data can't be written to. */
    struct OctMapping *mapping;
    uint32_t kind;              /* OCTET_KIND_TENSOR unless said otherwise */
    struct OctetTensor **items; /* of a sequence: item_count tensors */
    size_t item_count;
    bool owns_items; /* items are freed with the sequence */
} OctetTensor;

/* Makes a zeroed tensor with its own data. Sizes are checked. Free with octet_tensor_free. */
OCTET_API OctetStatus octet_tensor_create(OctetDType dtype, const OctetShape *shape,
                                          OctetTensor **tensor, OctetDiagnostic *diagnostic);
/* Makes a tensor over the caller's data, which must outlive it; bytes must match shape. */
OCTET_API OctetStatus octet_tensor_wrap(OctetDType dtype, const OctetShape *shape, void *data,
                                        size_t bytes, OctetTensor **tensor,
                                        OctetDiagnostic *diagnostic);
/* Makes a sequence of `count` tensors of type `dtype`. With OCTET_OK the tensors belong to the
 * sequence (the list `items` is copied); after a failure they are the caller's still. */
OCTET_API OctetStatus octet_sequence_create(OctetDType dtype, OctetTensor *const *items,
                                            size_t count, OctetTensor **sequence,
                                            OctetDiagnostic *diagnostic);
/* Makes an optional value that is absent. */
OCTET_API OctetStatus octet_absent_create(OctetDType dtype, OctetTensor **absent,
                                          OctetDiagnostic *diagnostic);
/* Copies data, shape and quantization parameters of a tensor (not of a sequence). */
OCTET_API OctetStatus octet_tensor_copy(const OctetTensor *tensor, OctetTensor **copy,
                                        OctetDiagnostic *diagnostic);
/* Gives the tensor a copy of qparams (count scales and zero points). */
OCTET_API OctetStatus octet_tensor_set_qparams(OctetTensor *tensor, const OctetQParams *qparams,
                                               OctetDiagnostic *diagnostic);
/* The tensor converted to `dtype` as ONNX's Cast converts (saturating for integers from float). */
OCTET_API OctetStatus octet_tensor_cast(const OctetTensor *tensor, OctetDType dtype,
                                        OctetTensor **cast, OctetDiagnostic *diagnostic);
OCTET_API void octet_tensor_free(OctetTensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
