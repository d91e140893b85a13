/* Whole .npy files: the public reader and the writer. */
#include "octet/data.h"

#include "base/diag.h"
#include "base/float8.h"
#include "base/mem.h"
#include "data/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, PREFIX_SIZE = 10 };

OctetStatus octet_npy_read(const char *path, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    *tensor = NULL;
    OctSource *source;
    OctNpy *npy;
    OCT_TRY(oct_source_open(path, &source, diagnostic));
    OCT_TRY(oct_npy_open(source, &npy, diagnostic));
    OctetStatus status = oct_npy_read_all(npy, tensor, diagnostic);
    oct_npy_free(npy);
    return status;
}

/* NumPy's name of a type without its byte order; NULL for those that NumPy lacks. */
static const char *type_name(OctetDType dtype) {
    switch (dtype) {
    case OCTET_F32:
        return "f4";
    case OCTET_F64:
        return "f8";
    case OCTET_F16:
        return "f2";
    case OCTET_U8:
    case OCTET_U4:
        return "u1";
    case OCTET_S8:
    case OCTET_S4:
        return "i1";
    case OCTET_U16:
        return "u2";
    case OCTET_S16:
        return "i2";
    case OCTET_U32:
        return "u4";
    case OCTET_S32:
        return "i4";
    case OCTET_U64:
        return "u8";
    case OCTET_S64:
        return "i8";
    case OCTET_BOOL:
        return "b1";
    default:
        return NULL;
    }
}

/* Version 1: magic, length, and a dictionary that is padded so that the data is aligned. */
static size_t format_header(const OctetTensor *tensor, const char *type, char *header,
                            size_t size) {
    size_t element = octet_dtype_size(tensor->dtype);
    bool big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    char order = '|';
    if (element > 1) {
        order = big ? '>' : '<';
    }
    char dims[OCTET_MAX_RANK * 24] = "";
    size_t used = 0;
    for (int32_t d = 0; d < tensor->shape.rank; d++) {
        used += (size_t)snprintf(dims + used, sizeof dims - used, "%s%" PRId64, d ? ", " : "",
                                 tensor->shape.dims[d]);
    }
    int text = snprintf(header + PREFIX_SIZE, size - PREFIX_SIZE,
                        "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s%s), }", order, type,
                        dims, tensor->shape.rank == 1 ? "," : "");
    size_t whole = PREFIX_SIZE + (size_t)text + 1;
    size_t padded = (whole + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(header + whole - 1, ' ', padded - whole);
    header[padded - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((padded - PREFIX_SIZE) & 0xff);
    header[9] = (char)((padded - PREFIX_SIZE) >> 8);
    return padded;
}

OctetStatus octet_npy_write(const char *path, const OctetTensor *tensor,
                            OctetDiagnostic *diagnostic) {
    OctetTensor *widened = NULL;
    OctFileWriter *writer = NULL;
    char header[1024];
    if (tensor->dtype == OCTET_BF16 || oct_dtype_is_float8(tensor->dtype)) {
        OCT_TRY(octet_tensor_cast(tensor, OCTET_F32, &widened, diagnostic));
        tensor = widened;
    }
    const char *type = type_name(tensor->dtype);
    OctetStatus status = OCTET_OK;
    if (!type) {
        status = oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "NumPy has no type for %s",
                          octet_dtype_name(tensor->dtype));
    } else {
        status = oct_file_writer_open(path, &writer, diagnostic);
    }
    if (status == OCTET_OK) {
        size_t length = format_header(tensor, type, header, sizeof header);
        status = oct_file_write(writer, header, length, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_file_write(writer, tensor->data, tensor->bytes, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_file_writer_commit(writer, diagnostic);
    }
    oct_file_writer_free(writer);
    octet_tensor_free(widened);
    return oct_fail_in_file(diagnostic, status, path);
}
