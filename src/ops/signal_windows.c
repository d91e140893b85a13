/* What signals are weighed with: windows, MelWeightMatrix. */
#include "base/patience.h"
#include "kernels/vmath_rare.h"
#include "ops/signal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- windows ---- */

static OctetStatus check_output_type(const OctGraph *graph, const OctNode *node,
                                     OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t dtype = oct_node_int(node, "output_datatype", OCTET_F32);
    if (dtype < 1 || dtype > OCTET_S4 || octet_dtype_size((OctetDType)dtype) == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a type that is none");
    }
    return OCTET_OK;
}

static OctetDType output_type(const OctNode *node) {
    return oct_dtype_computed((OctetDType)oct_node_int(node, "output_datatype", OCTET_F32));
}

static OctetStatus infer_window(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = {.rank = 1};
    OCT_TRY(oct_signal_scalar(node, 0, OCT_DIM_UNKNOWN, &shape.dims[0], diagnostic));
    if (shape.dims[0] == 0 || shape.dims[0] > OCT_SIGNAL_LONGEST) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a size that is not legal");
    }
    oct_set_output(node, 0, output_type(node), &shape);
    return OCTET_OK;
}

/* a - b * cos(t) + c * cos(2 t) */
static OctetStatus run_window(void *state, const OctRun *run) {
    const OctNode *node = state;
    bool hann = node->op_type[1] == 'a' && node->op_type[2] == 'n';
    bool hamming = node->op_type[1] == 'a' && !hann;
    double a = hann ? 0.5 : hamming ? 25.0 / 46 : 0.42;
    double b = hann ? 0.5 : hamming ? 21.0 / 46 : 0.5;
    double c = hann || hamming ? 0 : 0.08;
    OctetShape shape = {.rank = 1};
    OCT_TRY(oct_signal_scalar_now(node, run, 0, 0, &shape.dims[0]));
    OCT_TRY(oct_signal_check_length(node, shape.dims[0], run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    int64_t period = shape.dims[0] - (oct_node_int(node, "periodic", 1) ? 0 : 1);
    size_t size = octet_dtype_size(run->outputs[0].dtype);
    size_t stint = 0;
    for (int64_t i = 0; i < shape.dims[0] && !oct_is_over_after(&stint, 100); i++) {
        double once = 1;
        double twice = 1;
        double sine;
        if (period > 0) {
            oct_vmath_turn(i, period, &once, &sine);
            oct_vmath_turn(2 * i, period, &twice, &sine);
        }
        float value = (float)(a - b * once + c * twice);
        OCT_TRY(oct_convert(run->outputs[0].dtype, (char *)run->outputs[0].data + (size_t)i * size,
                            OCTET_F32, &value, 1, run->diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus prepare_window(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_window;
    prepared->kernel = "window";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- MelWeightMatrix ---- */

static OctetStatus infer_mel(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t bins;
    int64_t length;
    OCT_TRY(oct_signal_scalar(node, 0, OCT_DIM_UNKNOWN, &bins, diagnostic));
    OCT_TRY(oct_signal_scalar(node, 1, OCT_DIM_UNKNOWN, &length, diagnostic));
    const OctetShape shape = {2, {length >= 0 ? length / 2 + 1 : OCT_DIM_UNKNOWN, bins}};
    oct_set_output(node, 0, output_type(node), &shape);
    return OCTET_OK;
}

static double to_mel(double hertz) {
    return 2595 * oct_vmath_log_double(1 + hertz / 700) / oct_vmath_log_double(10);
}

/* The spectrum's bin of mel step i. */
static int64_t mel_bin(int64_t i, double low, double step, int64_t length, int64_t rate) {
    double hertz =
        700 *
        (oct_vmath_exp_double(((double)i * step + low) / 2595 * oct_vmath_log_double(10)) - 1);
    return (int64_t)floor((double)(length + 1) * hertz / (double)rate);
}

static OctetStatus read_mel(const OctNode *node, const OctRun *run, int64_t *sizes, float *edges) {
    for (int32_t k = 0; k < 5; k++) {
        const OctView *view = &run->inputs[k];
        if (oct_view_count(view) != 1) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node, "needs five numbers");
        }
        void *to = k < 3 ? (void *)&sizes[k] : (void *)&edges[k - 3];
        OCT_TRY(oct_convert(k < 3 ? OCTET_S64 : OCTET_F32, to, view->dtype, view->data, 1,
                            run->diagnostic));
    }
    OCT_TRY(oct_signal_check_length(node, sizes[0], run->diagnostic));
    OCT_TRY(oct_signal_check_length(node, sizes[1], run->diagnostic));
    bool legal = sizes[2] > 0 && edges[0] >= 0 && edges[1] >= edges[0] && edges[1] < 1e9f;
    return legal ? OCTET_OK
                 : oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                               "has frequencies that are not legal");
}

static OctetStatus run_mel(void *state, const OctRun *run) {
    const OctNode *node = state;
    int64_t sizes[3]; /* mel bins, length of the transform, samples a second */
    float edges[2];
    OCT_TRY(read_mel(node, run, sizes, edges));
    const OctetShape shape = {2, {sizes[1] / 2 + 1, sizes[0]}};
    OCT_TRY(oct_run_output(run, 0, &shape));
    size_t size = octet_dtype_size(run->outputs[0].dtype);
    memset(run->outputs[0].data, 0, (size_t)(shape.dims[0] * shape.dims[1]) * size);
    double low = to_mel((double)edges[0]);
    double step = (to_mel((double)edges[1]) - low) / (double)(sizes[0] + 2);
    for (int64_t i = 0; i < sizes[0]; i++) {
        int64_t lower = mel_bin(i, low, step, sizes[1], sizes[2]);
        int64_t center = mel_bin(i + 1, low, step, sizes[1], sizes[2]);
        int64_t higher = mel_bin(i + 2, low, step, sizes[1], sizes[2]);
        for (int64_t j = lower; j <= higher && j < shape.dims[0]; j++) {
            double weight = j < center    ? (double)(j - lower) / (double)(center - lower)
                            : j == center ? 1.0
                                          : (double)(higher - j) / (double)(higher - center);
            float value = (float)weight;
            char *to = (char *)run->outputs[0].data + (size_t)(j * shape.dims[1] + i) * size;
            OCT_TRY(oct_convert(run->outputs[0].dtype, to, OCTET_F32, &value, 1, run->diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_mel(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_mel;
    prepared->kernel = "mel_weights";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

#define WINDOW OCT_OP_DYNAMIC, 1, 1, 1, 1, check_output_type, infer_window, prepare_window

const OctOp oct_ops_signal_windows[] = {
    {"", "HannWindow", 17, 0, WINDOW},
    {"", "HammingWindow", 17, 0, WINDOW},
    {"", "BlackmanWindow", 17, 0, WINDOW},
    {"", "MelWeightMatrix", 17, 0, OCT_OP_DYNAMIC, 5, 5, 1, 1, check_output_type, infer_mel,
     prepare_mel},
};
OCT_OPS_COUNT(signal_windows);
