/* Conversion of types: Cast, CastLike. Floats of other widths are held in f32; casting to one of
 * them rounds to its precision. */
#include "base/float8.h"
#include "ops/ops.h"

#include <string.h>

/* The type that is asked for, before it is held in another; NONE if it is not known. */
static OctetDType target_of(const OctNode *node) {
    if (node->input_count == 2) {
        return oct_input_dtype(node, 1);
    }
    int64_t to = oct_node_int(node, "to", 0);
    return to > 0 && to <= OCTET_S4 ? (OctetDType)to : OCTET_DTYPE_NONE;
}

static OctetStatus check_cast(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    if (node->input_count == 1 && octet_dtype_size(target_of(node)) == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "casts to type %d",
                           (int)oct_node_int(node, "to", 0));
    }
    return oct_check_type(node, 0, OCT_TYPES_ANY | OCT_TYPES_FLOAT8, diagnostic);
}

static OctetStatus infer_cast(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetDType to = oct_dtype_computed(target_of(node));
    oct_set_output(node, 0, to, oct_input_shape(node, 0));
    OctValue *output = oct_node_output(node, 0);
    int64_t known[OCT_MAX_INTS];
    bool integers = to == OCTET_S64 || to == OCTET_S32;
    int32_t count =
        output && integers ? oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS) : -1;
    for (int32_t i = 0; to == OCTET_S32 && i < count; i++) {
        bool number = oct_known_is_number(known[i]);
        known[i] = number && known[i] != (int32_t)known[i] ? OCT_DIM_UNKNOWN : known[i];
    }
    return count >= 0 ? oct_set_known(graph, output, known, count, diagnostic) : OCTET_OK;
}

/* Through 16 bits and back. */
static OctetStatus narrow(OctetDType to, float *data, int64_t count, OctetDiagnostic *diagnostic) {
    uint16_t block[256];
    for (int64_t first = 0; first < count; first += 256) {
        int64_t part = count - first < 256 ? count - first : 256;
        OCT_TRY(oct_convert(to, block, OCTET_F32, data + first, part, diagnostic));
        OCT_TRY(oct_convert(OCTET_F32, data + first, to, block, part, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus run_cast(void *state, const OctRun *run) {
    OctetDType to = target_of(state);
    int64_t count = oct_view_count(&run->inputs[0]);
    if (oct_dtype_is_float8(to)) {
        return oct_convert_to_float8(to, run->outputs[0].data, run->inputs[0].dtype,
                                     run->inputs[0].data, count,
                                     oct_node_int(state, "saturate", 1) != 0, run->diagnostic);
    }
    OCT_TRY(oct_convert(run->outputs[0].dtype, run->outputs[0].data, run->inputs[0].dtype,
                        run->inputs[0].data, count, run->diagnostic));
    return to == OCTET_F16 || to == OCTET_BF16
               ? narrow(to, run->outputs[0].data, count, run->diagnostic)
               : OCTET_OK;
}

static OctetStatus prepare_cast(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_cast;
    prepared->kernel = "convert";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_cast[] = {
    {"", "Cast", 6, 0, OCT_OP_ELEMENTWISE | OCT_OP_FLOAT8, 1, 1, 1, 1, check_cast, infer_cast,
     prepare_cast},
    {"", "CastLike", 15, 0, OCT_OP_FLOAT8, 2, 2, 1, 1, check_cast, infer_cast, prepare_cast},
};
OCT_OPS_COUNT(cast);
