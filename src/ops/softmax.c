/* Softmax, LogSoftmax, Hardmax. Up to opset 12 the input is seen as a matrix whose rows are all
 * dimensions from `axis` on; since opset 13 a row is one axis. */
#include "kernels/f32_rows.h"
#include "ops/rows.h"

#include <string.h>

typedef struct Softmax {
    OctRows rows;
    const OctF32RowsBundle *kernels;
} Softmax;

static void softmax_row(const void *user, size_t row, const float *x, float *y) {
    (void)row;
    const Softmax *softmax = user;
    softmax->kernels->softmax(x, y, softmax->rows.count);
}

static void log_softmax_row(const void *user, size_t row, const float *x, float *y) {
    (void)row;
    const Softmax *softmax = user;
    softmax->kernels->log_softmax(x, y, softmax->rows.count);
}

/* One at the first maximum, else zero. */
static void hardmax_row(const void *user, size_t row, const float *x, float *y) {
    (void)row;
    size_t count = ((const Softmax *)user)->rows.count, best = 0;
    for (size_t i = 1; i < count; i++) {
        best = x[i] > x[best] ? i : best;
    }
    memset(y, 0, count * sizeof(float));
    y[best] = 1.0f;
}

static OctetStatus run_softmax(void *state, const OctRun *run) {
    const Softmax *softmax = state;
    oct_rows_run(&softmax->rows, run, softmax_row, softmax);
    return OCTET_OK;
}

static OctetStatus run_log_softmax(void *state, const OctRun *run) {
    const Softmax *softmax = state;
    oct_rows_run(&softmax->rows, run, log_softmax_row, softmax);
    return OCTET_OK;
}

static OctetStatus run_hardmax(void *state, const OctRun *run) {
    const Softmax *softmax = state;
    oct_rows_run(&softmax->rows, run, hardmax_row, softmax);
    return OCTET_OK;
}

static int64_t default_axis(const OctNode *node) {
    return node->opset < 13 ? 1 : -1;
}

static OctetStatus infer_softmax(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    return oct_infer_same_along(graph, node, default_axis(node), diagnostic);
}

static OctetStatus prepare(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    Softmax *softmax = oct_prepare_state(prepare, prepared, sizeof *softmax);
    if (!softmax) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    bool old = node->opset < 13;
    int32_t axis = 0;
    if (shape->rank > 0) {
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", default_axis(node)),
                                   shape->rank, &axis, prepare->diagnostic));
        oct_rows_around(shape, axis, &softmax->rows);
    } else {
        softmax->rows.outer = softmax->rows.count = softmax->rows.inner = 1;
    }
    if (old) {
        softmax->rows.count *= softmax->rows.inner;
        softmax->rows.inner = 1;
    }
    softmax->kernels = oct_f32_rows_select(prepare->cpu);
    prepared->cpu = prepare->cpu;
    return oct_rows_prepare(&softmax->rows, prepare, prepared);
}

static OctetStatus prepare_softmax(const OctPrepare *to, OctPreparedOp *prepared) {
    prepared->run = run_softmax;
    prepared->kernel = "softmax";
    return prepare(to, prepared);
}

static OctetStatus prepare_log_softmax(const OctPrepare *to, OctPreparedOp *prepared) {
    prepared->run = run_log_softmax;
    prepared->kernel = "log_softmax";
    return prepare(to, prepared);
}

static OctetStatus prepare_hardmax(const OctPrepare *to, OctPreparedOp *prepared) {
    prepared->run = run_hardmax;
    prepared->kernel = "hardmax";
    return prepare(to, prepared);
}

const OctOp oct_ops_softmax[] = {
    {"", "Softmax", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_softmax, prepare_softmax},
    {"", "LogSoftmax", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_softmax, prepare_log_softmax},
    {"", "Hardmax", 1, 0, 0, 1, 1, 1, 1, NULL, infer_softmax, prepare_hardmax},
};
OCT_OPS_COUNT(softmax);
