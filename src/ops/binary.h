/* Functions of two numbers, shared by the files of the binary family. */
#ifndef OCT_OPS_BINARY_H
#define OCT_OPS_BINARY_H

#include "ops/broadcast.h"
#include "ops/ops.h"

typedef enum OctBinary {
    OCT_BINARY_ADD, /* the first six as in OctF32Binary */
    OCT_BINARY_SUB,
    OCT_BINARY_MUL,
    OCT_BINARY_DIV,
    OCT_BINARY_MIN,
    OCT_BINARY_MAX,
    OCT_BINARY_POW,
    OCT_BINARY_MOD,  /* sign of the divisor, as in Python */
    OCT_BINARY_FMOD, /* sign of the dividend, as in C */
    OCT_BINARY_PRELU,
    OCT_BINARY_AND,
    OCT_BINARY_OR,
    OCT_BINARY_XOR,
    OCT_BINARY_SHIFT_LEFT,
    OCT_BINARY_SHIFT_RIGHT,
    OCT_BINARY_EQUAL, /* from here on the result is a bool */
    OCT_BINARY_LESS,
    OCT_BINARY_LESS_OR_EQUAL,
    OCT_BINARY_GREATER,
    OCT_BINARY_GREATER_OR_EQUAL
} OctBinary;

/* The function that a node of the binary family computes. */
OctBinary oct_binary_of(const OctNode *node);
/* On integers of `dtype`, in 64 bits: the caller wraps the result. Division and remainder by 0
 * give 0. */
int64_t oct_binary_int(OctBinary op, OctetDType dtype, int64_t a, int64_t b);
/* On entries of OctValue.known: numbers, symbols, OCT_DIM_UNKNOWN. */
int64_t oct_binary_known(OctBinary op, OctetDType dtype, int64_t a, int64_t b);

/* Float, integer, and quantized execution; see the files. */
OctetStatus oct_binary_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared);
OctetStatus oct_binary_prepare_int(const OctPrepare *prepare, OctPreparedOp *prepared);
OctetStatus oct_binary_prepare_u8(const OctPrepare *prepare, OctPreparedOp *prepared);
/* True if the node's quantized form has an integer kernel. */
bool oct_binary_has_u8(const OctNode *node);

#endif
