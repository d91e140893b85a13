/* ONNX's TensorProto and SparseTensorProto to tensors. */
#ifndef OCT_ONNX_TENSOR_PROTO_H
#define OCT_ONNX_TENSOR_PROTO_H

#include "base/file.h"
#include "base/mapping.h"
#include "octet/tensor.h"
#include "onnx/proto.h"

/* Where tensors may take bytes from that are not in the message itself, and how many. */
typedef struct OctDataSource {
    const char *folder;     /* of the model; NULL: external data is refused */
    uint64_t external_left; /* bytes of external data that may still be read */
    uint64_t dense_left;    /* bytes that sparse tensors may still expand to */
    OctFile *file;          /* the external file opened last */
    char *location;         /* its name in the model */
    OctMapping *mapping;    /* that raw data of messages lies in, if it may be used in place */
    bool narrowed;          /* set when a f16, bf16 or f64 tensor was turned into f32 */
} OctDataSource;

void oct_data_source_close(OctDataSource *source);

/* ONNX's number of an element type; false for those that Octet has no room for (complex, float8,
 * float4). `dtype` is the type in the file. */
bool oct_dtype_from_proto(int32_t number, OctetDType *dtype);

/* Dimensions of data: none below 0, at most OCTET_MAX_RANK. */
OctetStatus oct_shape_from_dims(const int64_t *dims, size_t count, OctetShape *shape,
                                OctetDiagnostic *diagnostic);

/* Makes a tensor of the type that the engine computes in. Errors name neither file nor tensor. */
OctetStatus oct_tensor_from_proto(const Onnx__TensorProto *proto, OctDataSource *source,
                                  OctetTensor **tensor, OctetDiagnostic *diagnostic);
OctetStatus oct_tensor_from_sparse(const Onnx__SparseTensorProto *proto, OctDataSource *source,
                                   OctetTensor **tensor, OctetDiagnostic *diagnostic);

/* Opens the file in which the message says that its `bytes` bytes of data lie and checks that they
 * are there: source->file from *offset on. Only files inside source->folder are opened. */
OctetStatus oct_external_find(const Onnx__TensorProto *proto, OctDataSource *source, size_t bytes,
                              uint64_t *offset, OctetDiagnostic *diagnostic);

#endif
