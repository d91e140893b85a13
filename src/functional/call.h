/* One quantized operator as a network of one node: described step by step, run once. */
#ifndef OCT_FUNCTIONAL_CALL_H
#define OCT_FUNCTIONAL_CALL_H

#include "ir/graph.h"
#include "octet/functional.h"

enum { OCT_CALL_INPUTS = 64 };

typedef struct OctCall {
    OctGraph *graph;
    OctNode *node;
    OctValue *operands[OCT_CALL_INPUTS]; /* of the node, in order */
    int32_t operand_count;
    const OctetTensor *feeds[OCT_CALL_INPUTS]; /* of the graph's inputs, in order */
    int32_t feed_count;
    OctetStatus status; /* the first failure; later steps then do nothing */
    OctetDiagnostic *diagnostic;
} OctCall;

void oct_call_begin(OctCall *call, OctetDiagnostic *diagnostic);
/* An operand that is data: a quantized tensor of 8 bits, not per channel. */
void oct_call_data(OctCall *call, const OctetTensor *tensor);
/* An operand that is a constant: any tensor (copied), f32 numbers, s64 numbers, or nothing. */
void oct_call_constant(OctCall *call, const OctetTensor *tensor);
void oct_call_floats(OctCall *call, const OctetShape *shape, const float *data);
void oct_call_ints(OctCall *call, const int64_t *data, int32_t count);
void oct_call_absent(OctCall *call);
/* The operator over the operands so far. Attributes are set on call->node afterwards; it is NULL
 * after a failure, and the setters below accept that. */
void oct_call_node(OctCall *call, const char *op_type);
void oct_call_set_int(OctCall *call, const char *name, int64_t value);
void oct_call_set_float(OctCall *call, const char *name, float value);
void oct_call_set_string(OctCall *call, const char *name, const char *value);
void oct_call_set_ints(OctCall *call, const char *name, const int64_t *values, int32_t count);
void oct_call_set_clip(OctCall *call, float minimum, float maximum);
/* Runs, puts the result on the grid `scale`, `zero_point` of type `dtype`, and releases all. */
OctetStatus oct_call_end(OctCall *call, OctetDType dtype, const OctetQOutput *output,
                         OctetTensor **result);
/* The same on the grid of `like`. */
OctetStatus oct_call_end_like(OctCall *call, const OctetTensor *like, OctetTensor **result);
/* Checks what oct_call_data checks, for functions that need no network. */
OctetStatus oct_check_quantized(const OctetTensor *tensor, OctetDiagnostic *diagnostic);

#endif
