/* Permutations of axes: Transpose, DepthToSpace, SpaceToDepth. */
#include "kernels/transpose.h"
#include "ops/ops.h"

#include <string.h>

/* What one call of the kernel needs. */
typedef struct Permutation {
    int32_t rank;
    int64_t dims[OCTET_MAX_RANK]; /* of the source */
    int32_t order[OCTET_MAX_RANK];
} Permutation;

static OctetStatus run_permutation(void *state, const OctRun *run) {
    const Permutation *permutation = state;
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    oct_transpose(size, permutation->rank, permutation->dims, permutation->order,
                  run->inputs[0].data, run->outputs[0].data, run->pool);
    return OCTET_OK;
}

static Permutation *prepare_permutation(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_permutation;
    prepared->kernel = "transpose";
    return oct_prepare_state(prepare, prepared, sizeof(Permutation));
}

/* ---- Transpose ---- */

/* The order of axes, for an input of this rank: reversed if the attribute is absent. */
static OctetStatus transpose_order(const OctNode *node, int32_t rank, int32_t *order,
                                   OctetDiagnostic *diagnostic) {
    const int64_t *perm = NULL;
    int32_t count = oct_node_ints(node, "perm", &perm);
    bool seen[OCTET_MAX_RANK] = {false};
    if (count == 0) {
        for (int32_t i = 0; i < rank; i++) {
            order[i] = rank - 1 - i;
        }
        return OCTET_OK;
    }
    if (count != rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "permutes %d axes of an input of rank %d", (int)count, (int)rank);
    }
    for (int32_t i = 0; i < rank; i++) {
        OCT_TRY(oct_normalize_axis(node, perm[i], rank, &order[i], diagnostic));
        if (seen[order[i]]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "names axis %d twice",
                               (int)order[i]);
        }
        seen[order[i]] = true;
    }
    return OCTET_OK;
}

static OctetStatus infer_transpose(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = {.rank = input->rank};
    int32_t order[OCTET_MAX_RANK];
    if (input->rank >= 0) {
        OCT_TRY(transpose_order(node, input->rank, order, diagnostic));
    }
    for (int32_t i = 0; i < input->rank; i++) {
        shape.dims[i] = input->dims[order[i]];
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus prepare_transpose(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Permutation *permutation = prepare_permutation(prepare, prepared);
    if (!permutation) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctetShape *input = oct_input_shape(prepare->node, 0);
    permutation->rank = input->rank;
    memcpy(permutation->dims, input->dims, sizeof permutation->dims);
    return transpose_order(prepare->node, input->rank, permutation->order, prepare->diagnostic);
}

/* ---- DepthToSpace and SpaceToDepth ---- */

static bool is_depth_to_space(const OctNode *node) {
    return node->op_type[0] == 'D';
}

static OctetStatus check_space(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t block = oct_node_int(node, "blocksize", 0);
    if (block < 1 || block > 65536) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has no legal blocksize");
    }
    const char *mode = oct_node_string(node, "mode", "DCR");
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a mode that is none");
    }
    return OCTET_OK;
}

static OctetStatus divide_dim(const OctNode *node, int64_t dim, int64_t divisor, int64_t *result,
                              OctetDiagnostic *diagnostic) {
    if (dim >= 0 && dim % divisor != 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has a block size that does not divide its input");
    }
    *result = dim >= 0 ? dim / divisor : divisor == 1 ? dim : OCT_DIM_UNKNOWN;
    return OCTET_OK;
}

static OctetStatus multiply_dim(const OctNode *node, int64_t dim, int64_t factor, int64_t *result,
                                OctetDiagnostic *diagnostic) {
    *result = factor == 1 ? dim : OCT_DIM_UNKNOWN;
    if (dim >= 0 && !oct_mul_i64(dim, factor, result)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has an output too large");
    }
    return OCTET_OK;
}

static OctetStatus infer_space(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    int64_t block = oct_node_int(node, "blocksize", 0);
    bool channels_last = oct_node_int(node, "channels_last", 0) != 0;
    OctetShape shape = oct_shape_of_rank(4);
    if (input->rank >= 0 && input->rank != 4) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs an input of rank 4");
    }
    if (input->rank == 4) {
        shape = *input;
        int32_t channel = channels_last ? 3 : 1;
        int32_t spatial = channels_last ? 1 : 2;
        bool to_space = is_depth_to_space(node);
        OctetStatus (*depth)(const OctNode *, int64_t, int64_t, int64_t *, OctetDiagnostic *) =
            to_space ? divide_dim : multiply_dim;
        OctetStatus (*space)(const OctNode *, int64_t, int64_t, int64_t *, OctetDiagnostic *) =
            to_space ? multiply_dim : divide_dim;
        OCT_TRY(depth(node, input->dims[channel], block * block, &shape.dims[channel], diagnostic));
        for (int32_t i = spatial; i < spatial + 2; i++) {
            OCT_TRY(space(node, input->dims[i], block, &shape.dims[i], diagnostic));
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus prepare_space(const OctPrepare *prepare, OctPreparedOp *prepared) {
    /* [N, b, b, C, H, W] to [N, C, H, b, W, b] and its like */
    static const int32_t orders[2][3][6] = {
        {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}, {0, 3, 5, 1, 2, 4}},
        {{0, 1, 3, 2, 4, 5}, {0, 1, 4, 2, 5, 3}, {0, 1, 3, 2, 4, 5}},
    };
    const OctNode *node = prepare->node;
    Permutation *permutation = prepare_permutation(prepare, prepared);
    if (!permutation) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    bool last = oct_node_int(node, "channels_last", 0) != 0;
    bool crd = strcmp(oct_node_string(node, "mode", "DCR"), "CRD") == 0;
    const int64_t *dims = node->inputs[0]->shape.dims;
    int64_t b = oct_node_int(node, "blocksize", 0);
    int64_t n = dims[0];
    int64_t c = dims[last ? 3 : 1];
    int64_t h = dims[last ? 1 : 2];
    int64_t w = dims[last ? 2 : 3];
    int form = is_depth_to_space(node) ? crd : 2;
    int64_t d = form == 2 ? c : c / (b * b);
    const int64_t split[2][3][6] = {
        {{n, b, b, d, h, w}, {n, d, b, b, h, w}, {n, c, h / b, b, w / b, b}},
        {{n, h, w, b, b, d}, {n, h, w, d, b, b}, {n, h / b, b, w / b, b, c}},
    };
    permutation->rank = 6;
    memcpy(permutation->dims, split[last][form], 6 * sizeof(int64_t));
    memcpy(permutation->order, orders[last][form], 6 * sizeof(int32_t));
    return OCTET_OK;
}

#define FLAGS (OCT_OP_MOVES_DATA | OCT_OP_INT8)

const OctOp oct_ops_transpose[] = {
    {"", "Transpose", 1, 0, FLAGS | OCT_OP_FLOAT8, 1, 1, 1, 1, NULL, infer_transpose,
     prepare_transpose},
    {"", "DepthToSpace", 1, 0, FLAGS | OCT_OP_LAYOUT, 1, 1, 1, 1, check_space, infer_space,
     prepare_space},
    {"", "SpaceToDepth", 1, 0, FLAGS | OCT_OP_LAYOUT, 1, 1, 1, 1, check_space, infer_space,
     prepare_space},
};
OCT_OPS_COUNT(transpose);
