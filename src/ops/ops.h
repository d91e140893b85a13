/* What every operator family shares: the table, types, shapes, lists of integers that come as an
 * attribute or as an input, outputs of infer, state of prepare.
 *
 * A family file exports `const OctOp oct_ops_NAME[]` and `const size_t oct_ops_NAME_count`, and
 * has one line in families.h. */
#ifndef OCT_OPS_OPS_H
#define OCT_OPS_OPS_H

#include "base/diag.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "base/threads.h"
#include "ir/op.h"

/* Defines a family's count; stands behind its array. */
#define OCT_OPS_COUNT(family)                                                                      \
    const size_t oct_ops_##family##_count = sizeof oct_ops_##family / sizeof oct_ops_##family[0]

/* Every operator, for documentation: the index-th of the table, NULL behind the last. */
const OctOp *oct_op_at(size_t index);
/* An operator that was registered by the library's user; see custom.c. */
const OctOp *oct_custom_find(const char *domain, const char *name, int64_t opset);

/* ---- failing about a node: its name, operator and opset lead the message ---- */
OctetStatus oct_fail_op(OctetDiagnostic *diagnostic, OctetStatus status, const OctNode *node,
                        const char *format, ...) OCTET_PRINTF(4, 5);

/* The check of the engine's own operators (domain "octet"): they trust what the engine has made,
 * and neither a file nor a user may ask for them. */
OctetStatus oct_check_inner(const OctGraph *graph, const OctNode *node,
                            OctetDiagnostic *diagnostic);

/* ---- types ---- */
bool oct_dtype_is_float(OctetDType dtype);   /* f32, f64, f16, bf16: no 8-bit floats */
bool oct_dtype_is_integer(OctetDType dtype); /* 4 to 64 bits, bool not included */
bool oct_dtype_is_signed(OctetDType dtype);  /* signed integers */

/* ---- shapes ---- */
static inline bool oct_dim_is_number(int64_t dim) {
    return dim >= 0;
}
/* False if the two dimensions are numbers that differ. */
bool oct_dims_agree(int64_t a, int64_t b);
/* The more definite of two dimensions that agree. */
int64_t oct_dim_merge(int64_t a, int64_t b);
/* Surely equal: same number or same symbol. */
bool oct_dims_equal(int64_t a, int64_t b);
/* The product of dims [from, to); false if one is no number or it overflows. */
bool oct_shape_product(const OctetShape *shape, int32_t from, int32_t to, int64_t *product);
bool oct_shape_is_static(const OctetShape *shape);
/* A shape of unknown rank. */
OctetShape oct_shape_unknown(void);
/* A shape of this rank with unknown dimensions. */
OctetShape oct_shape_of_rank(int32_t rank);
/* Numpy's broadcasting of two shapes; OCTET_ERROR_SHAPE when they don't fit. An unknown rank gives
 * an unknown rank. */
OctetStatus oct_broadcast_shapes(const OctNode *node, const OctetShape *a, const OctetShape *b,
                                 OctetShape *result, OctetDiagnostic *diagnostic);
/* axis in [-rank, rank) to [0, rank). */
OctetStatus oct_normalize_axis(const OctNode *node, int64_t axis, int32_t rank, int32_t *normalized,
                               OctetDiagnostic *diagnostic);
/* Strides in elements of a row-major array; strides of dimensions of size 1 are as computed. */
void oct_strides(const OctetShape *shape, int64_t *strides);

/* ---- integers from an attribute or an input ---- */
#define OCT_MAX_INTS 256

typedef struct OctInts {
    bool present;  /* the attribute or the input is there */
    bool known;    /* its values are, as far as inference goes */
    bool exact;    /* they are numbers: from an attribute or a constant. If not, `v` holds what
                      OctValue.known may hold, symbols and OCT_DIM_UNKNOWN among it */
    int32_t count; /* -1 if even the length is unknown */
    int64_t v[OCT_MAX_INTS];
} OctInts;

/* Reads attribute `attribute` (an int counts as a list of one; NULL: none) or else input `input`
 * (-1: none) as far as it is known before the run. A list longer than OCT_MAX_INTS is an error. */
OctetStatus oct_node_int_list(const OctNode *node, const char *attribute, int32_t input,
                              OctInts *ints, OctetDiagnostic *diagnostic);
/* The values of an s64 or s32 view (rank 0 or 1), when running. */
OctetStatus oct_view_int_list(const OctView *view, OctInts *ints, OctetDiagnostic *diagnostic);
/* What oct_node_int_list reads, when running: nothing is open then. */
OctetStatus oct_run_int_list(const OctNode *node, const char *attribute, int32_t input,
                             const OctRun *run, OctInts *ints);
/* True if some of the list is known only when running. */
bool oct_ints_open(const OctInts *ints);

/* ---- for check ---- */
/* OCTET_ERROR_UNSUPPORTED unless input k is absent, of unknown type, or one of these types: a mask
 * of the OCT_TYPES_ bits below. */
enum {
    OCT_TYPES_FLOAT = 1 << 0,
    OCT_TYPES_INTEGER = 1 << 1,
    OCT_TYPES_BOOL = 1 << 2,
    OCT_TYPES_ANY = 7,
    OCT_TYPES_FLOAT8 = 1 << 3 /* for operators that are OCT_OP_FLOAT8 */
};
OctetStatus oct_check_type(const OctNode *node, int32_t input, uint32_t types,
                           OctetDiagnostic *diagnostic);
/* For prepare: fails if an input is not f32 in memory, but for those whose bits are in `others`. */
OctetStatus oct_check_f32(const OctPrepare *prepare, uint32_t others);

/* ---- for infer ---- */
/* Sets type and shape of output k (nothing to do if it is left out) and forgets its `known`. */
void oct_set_output(const OctNode *node, int32_t k, OctetDType dtype, const OctetShape *shape);
/* Sets `known` (copied to the arena). */
OctetStatus oct_set_known(OctGraph *graph, OctValue *value, const int64_t *ints, int32_t count,
                          OctetDiagnostic *diagnostic);
/* Output 0 has type and shape of input 0; the infer of most elementwise operators. */
OctetStatus oct_infer_same(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic);
/* The same, where the attribute "axis" has to lie within the input. */
OctetStatus oct_infer_same_along(OctGraph *graph, OctNode *node, int64_t default_axis,
                                 OctetDiagnostic *diagnostic);
/* Shape of input k; unknown rank if it is left out. */
const OctetShape *oct_input_shape(const OctNode *node, int32_t k);
OctetDType oct_input_dtype(const OctNode *node, int32_t k); /* NONE if left out */

/* ---- for prepare and run ---- */
/* Allocates zeroed state that destroy frees with oct_free. NULL when out of memory (recorded). */
void *oct_prepare_state(const OctPrepare *prepare, OctPreparedOp *prepared, size_t bytes);
/* Operators whose output shapes may depend on data call this when running, before they touch
 * run->outputs[k].data. Does nothing if the output already has that shape. */
OctetStatus oct_run_output(const OctRun *run, int32_t k, const OctetShape *shape);
/* Elements of a view that is known to be static. */
int64_t oct_view_count(const OctView *view);
/* Sets `count` elements of 1, 2, 4 or 8 bytes to the low bytes of `value`. */
void oct_fill(void *data, size_t element_size, int64_t count, uint64_t value);
/* Applies a node's fused activation to floats in place. */
void oct_activation_f32(const OctActivation *activation, float *data, int64_t count);
/* True if every input and output that the node has and that is of type f32 is quantized: what a
 * node's integer kernel needs. `inputs` limits the test to the first inputs (-1: all). */
bool oct_node_is_quantized(const OctNode *node, int32_t inputs);
/* Scale and zero point of a value that is quantized per tensor. */
static inline float oct_value_scale(const OctValue *value) {
    return value->qparams.scale[0];
}
static inline int32_t oct_value_zero_point(const OctValue *value) {
    return value->qparams.zero_point ? value->qparams.zero_point[0] : 0;
}

#endif
