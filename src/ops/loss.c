/* Losses, forward only: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. */
#include "base/patience.h"
#include "kernels/vmath.h"
#include "ops/ops.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum Reduction { REDUCE_NONE, REDUCE_SUM, REDUCE_MEAN } Reduction;

static bool read_reduction(const OctNode *node, Reduction *reduction) {
    static const char *const names[] = {"none", "sum", "mean"};
    const char *name = oct_node_string(node, "reduction", "mean");
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            *reduction = (Reduction)i;
            return true;
        }
    }
    return false;
}

static OctetStatus check_loss(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    Reduction reduction;
    if (!read_reduction(node, &reduction)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a reduction that is none");
    }
    return oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic);
}

/* Scores are [N][C][places...], labels [N][places...]. */
static OctetStatus infer_loss(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *scores = oct_input_shape(node, 0);
    const OctetShape *labels = oct_input_shape(node, 1);
    const OctetShape scalar = {.rank = 0};
    Reduction reduction = REDUCE_MEAN;
    bool fits = scores->rank < 0 || scores->rank >= 2;
    if (fits && scores->rank >= 2 && labels->rank >= 0) {
        fits = labels->rank == scores->rank - 1 && oct_dims_agree(labels->dims[0], scores->dims[0]);
        for (int32_t i = 1; fits && i < labels->rank; i++) {
            fits = oct_dims_agree(labels->dims[i], scores->dims[i + 1]);
        }
    }
    if (!fits) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has labels that do not fit its scores");
    }
    read_reduction(node, &reduction);
    oct_set_output(node, 0, oct_input_dtype(node, 0), reduction == REDUCE_NONE ? labels : &scalar);
    oct_set_output(node, 1, oct_input_dtype(node, 0), scores);
    return OCTET_OK;
}

typedef struct Loss {
    const OctNode *node;
    const OctVmathBundle *math;
    Reduction reduction;
    bool softmax;
    bool ignores;
    int64_t ignored;
} Loss;

static float one(OctF32UnaryKernel function, float x) {
    function(&x, &x, 1);
    return x;
}

/* Classes of one place lie `stride` apart. */
static void log_softmax(const Loss *loss, const float *from, float *to, int64_t classes,
                        int64_t stride) {
    float maximum = from[0];
    float total = 0;
    for (int64_t c = 1; c < classes; c++) {
        maximum = from[c * stride] > maximum ? from[c * stride] : maximum;
    }
    for (int64_t c = 0; c < classes; c++) {
        total += one(loss->math->exp, from[c * stride] - maximum);
    }
    float shift = one(loss->math->log, total);
    for (int64_t c = 0; c < classes; c++) {
        to[c * stride] = from[c * stride] - maximum - shift;
    }
}

typedef struct Totals {
    float loss, weight;
} Totals;

static OctetStatus add_place(const Loss *loss, const OctRun *run, const float *scores,
                             int64_t classes, int64_t stride, int64_t place, Totals *totals) {
    const OctView *labels = &run->inputs[1];
    int64_t label;
    size_t size = octet_dtype_size(labels->dtype);
    OCT_TRY(oct_convert(OCTET_S64, &label, labels->dtype,
                        (const char *)labels->data + (size_t)place * size, 1, run->diagnostic));
    bool ignored = loss->ignores && label == loss->ignored;
    if (!ignored && (label < 0 || label >= classes)) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, loss->node,
                           "has label %" PRId64 " of %" PRId64 " classes", label, classes);
    }
    const float *weights = run->input_count > 2 ? run->inputs[2].data : NULL;
    float weight = ignored ? 0 : weights ? weights[label] : 1;
    float value = ignored ? 0 : -scores[label * stride] * weight;
    if (loss->reduction == REDUCE_NONE) {
        ((float *)run->outputs[0].data)[place] = value;
    }
    totals->loss += value;
    totals->weight += weight;
    return OCTET_OK;
}

static OctetStatus run_loss(void *state, const OctRun *run) {
    const Loss *loss = state;
    const OctetShape *shape = &run->inputs[0].shape;
    int64_t classes = shape->dims[1];
    int64_t places = 0;
    Totals totals = {0, 0};
    oct_shape_product(shape, 2, shape->rank, &places);
    const float *scores = run->inputs[0].data;
    if (loss->softmax) {
        float *logs =
            run->output_count > 1 && run->outputs[1].data ? run->outputs[1].data : run->workspace;
        size_t stint = 0;
        for (int64_t i = 0; classes > 0 && i < shape->dims[0] * places &&
                            !oct_is_over_after(&stint, 20 * (size_t)classes);
             i++) {
            int64_t first = i / places * classes * places + i % places;
            log_softmax(loss, scores + first, logs + first, classes, places);
        }
        scores = logs;
    }
    for (int64_t i = 0; i < shape->dims[0] * places; i++) {
        int64_t first = i / places * classes * places + i % places;
        OCT_TRY(add_place(loss, run, scores + first, classes, places, i, &totals));
    }
    if (loss->reduction != REDUCE_NONE) {
        float divisor = loss->reduction == REDUCE_MEAN ? totals.weight : 1;
        *(float *)run->outputs[0].data = totals.loss / divisor;
    }
    return OCTET_OK;
}

static OctetStatus prepare_loss(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    Loss *loss = oct_prepare_state(prepare, prepared, sizeof *loss);
    if (!loss) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctValue *weights = oct_node_input(node, 2);
    if (weights &&
        (weights->shape.rank != 1 || weights->shape.dims[0] != node->inputs[0]->shape.dims[1])) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs one weight for each class");
    }
    loss->node = node;
    loss->math = oct_vmath_select(prepare->cpu);
    loss->softmax = node->op_type[0] == 'S';
    loss->ignores = oct_node_attribute(node, "ignore_index") != NULL;
    loss->ignored = oct_node_int(node, "ignore_index", 0);
    read_reduction(node, &loss->reduction);
    prepared->run = run_loss;
    prepared->kernel = "f32_loss";
    return loss->softmax ? oct_tensor_bytes(OCTET_F32, &node->inputs[0]->shape,
                                            &prepared->workspace_bytes, prepare->diagnostic)
                         : OCTET_OK;
}

#define LOSS check_loss, infer_loss, prepare_loss

const OctOp oct_ops_loss[] = {
    {"", "NegativeLogLikelihoodLoss", 12, 0, 0, 2, 3, 1, 1, LOSS},
    {"", "SoftmaxCrossEntropyLoss", 12, 0, 0, 2, 3, 1, 2, LOSS},
};
OCT_OPS_COUNT(loss);
