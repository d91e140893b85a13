/* TopK. */
#include "base/patience.h"
#include "ops/order.h"

#include <string.h>

/* ---- sorting ---- */

typedef struct Entry {
    int64_t key;
    int64_t index;
} Entry;

/* Larger keys first, if `largest`; equal keys by ascending index. */
static bool comes_before(const Entry *a, const Entry *b, bool largest) {
    if (a->key != b->key) {
        return largest ? a->key > b->key : a->key < b->key;
    }
    return a->index < b->index;
}

/* The subtree of `root` becomes a heap whose top comes last. */
static void sift(Entry *entries, int64_t root, int64_t count, bool largest) {
    Entry moving = entries[root];
    for (;;) {
        int64_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && comes_before(&entries[child], &entries[child + 1], largest)) {
            child++;
        }
        if (!comes_before(&moving, &entries[child], largest)) {
            break;
        }
        entries[root] = entries[child];
        root = child;
    }
    entries[root] = moving;
}

/* The first k of all entries, sorted, at the front. */
static void sort_first(Entry *entries, int64_t count, int64_t k, bool largest) {
    size_t stint = 0;
    if (k == 0) {
        return;
    }
    for (int64_t i = k / 2 - 1; i >= 0 && !oct_is_over_after(&stint, 200); i--) {
        sift(entries, i, k, largest);
    }
    for (int64_t i = k; i < count && !oct_is_over_after(&stint, 2); i++) {
        if (comes_before(&entries[i], &entries[0], largest)) {
            entries[0] = entries[i];
            sift(entries, 0, k, largest);
            stint += 200;
        }
    }
    for (int64_t end = k - 1; end > 0 && !oct_is_over_after(&stint, 200); end--) {
        Entry last = entries[0];
        entries[0] = entries[end];
        entries[end] = last;
        sift(entries, 0, end, largest);
    }
}

/* ---- TopK ---- */

/* k from the attribute (before opset 10) or the input. */
static OctetStatus infer_topk(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = *oct_input_shape(node, 0);
    OctInts k;
    OCT_TRY(oct_node_int_list(node, "k", node->opset >= 10 ? 1 : -1, &k, diagnostic));
    if (shape.rank >= 0) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", -1), shape.rank, &axis,
                                   diagnostic));
        int64_t dim = shape.dims[axis];
        shape.dims[axis] = k.known && k.count == 1 ? oct_dim_of_known(k.v[0]) : OCT_DIM_UNKNOWN;
        if (k.exact && (shape.dims[axis] < 0 || (dim >= 0 && shape.dims[axis] > dim))) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "wants more elements than there are");
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    oct_set_output(node, 1, OCTET_S64, &shape);
    return OCTET_OK;
}

static OctetStatus run_topk(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    bool largest = oct_node_int(node, "largest", 1) != 0;
    Entry *entries = run->workspace;
    OctInts k;
    int32_t index;
    OctOrderAxis axis;
    OCT_TRY(oct_order_axis(node, &input->shape, -1, &index, &axis, run->diagnostic));
    OCT_TRY(oct_run_int_list(node, "k", 1, run, &k));
    if (k.count != 1 || k.v[0] < 0 || k.v[0] > axis.dim) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "wants more elements than there are");
    }
    int64_t kept = k.v[0];
    OctetShape shape = input->shape;
    shape.dims[index] = kept;
    for (int32_t i = 0; i < run->output_count; i++) {
        if (node->outputs[i]) {
            OCT_TRY(oct_run_output(run, i, &shape));
        }
    }
    size_t size = octet_dtype_size(input->dtype);
    size_t stint = 0;
    for (int64_t i = 0; i < axis.outer * axis.inner; i++) {
        int64_t first = i / axis.inner * axis.dim * axis.inner + i % axis.inner;
        int64_t to = i / axis.inner * kept * axis.inner + i % axis.inner;
        for (int64_t j = 0; j < axis.dim; j++) {
            if (oct_is_over_after(&stint, 5)) {
                return oct_noted_go_on(run->diagnostic);
            }
            entries[j] = (Entry){oct_order_key(input, first + j * axis.inner), j};
        }
        sort_first(entries, axis.dim, kept, largest);
        OCT_TRY(oct_noted_go_on(run->diagnostic));
        for (int64_t j = 0; j < kept; j++, to += axis.inner) {
            size_t from = (size_t)(first + entries[j].index * axis.inner);
            if (run->outputs[0].data) {
                memcpy((char *)run->outputs[0].data + (size_t)to * size,
                       (const char *)input->data + from * size, size);
            }
            if (run->output_count > 1 && run->outputs[1].data) {
                ((int64_t *)run->outputs[1].data)[to] = entries[j].index;
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_topk(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    int32_t index;
    OctOrderAxis axis;
    OCT_TRY(oct_order_axis(node, &node->inputs[0]->shape, -1, &index, &axis, prepare->diagnostic));
    prepared->run = run_topk;
    prepared->kernel = "topk";
    prepared->state = (void *)(uintptr_t)node;
    if (!oct_mul_size((size_t)axis.dim, sizeof(Entry), &prepared->workspace_bytes)) {
        return oct_fail_memory(prepare->diagnostic);
    }
    return OCTET_OK;
}

const OctOp oct_ops_topk[] = {
    {"", "TopK", 1, 9, 0, 1, 1, 1, 2, NULL, infer_topk, prepare_topk},
    {"", "TopK", 10, 0, OCT_OP_DYNAMIC, 2, 2, 1, 2, NULL, infer_topk, prepare_topk},
};
OCT_OPS_COUNT(topk);
