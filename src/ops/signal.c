/* Signals: DFT and STFT. */
#include "ops/signal.h"
#include "base/patience.h"

#include <inttypes.h>

OctetStatus oct_signal_scalar(const OctNode *node, int32_t input, int64_t fallback, int64_t *value,
                              OctetDiagnostic *diagnostic) {
    OctInts list;
    OCT_TRY(oct_node_int_list(node, NULL, input, &list, diagnostic));
    *value = list.present ? OCT_DIM_UNKNOWN : fallback;
    if (list.known && list.count == 1) {
        *value = oct_dim_of_known(list.v[0]);
    }
    return OCTET_OK;
}

OctetStatus oct_signal_scalar_now(const OctNode *node, const OctRun *run, int32_t input,
                                  int64_t fallback, int64_t *value) {
    OctInts list;
    OCT_TRY(oct_run_int_list(node, NULL, input, run, &list));
    *value = list.present && list.count == 1 ? list.v[0] : fallback;
    return OCTET_OK;
}

OctetStatus oct_signal_check_length(const OctNode *node, int64_t length,
                                    OctetDiagnostic *diagnostic) {
    if (length < 1 || length > OCT_SIGNAL_LONGEST) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has a length of %" PRId64 ", which is not legal", length);
    }
    return OCTET_OK;
}

typedef struct Transform {
    const OctNode *node;
    int64_t n; /* negative where the length is known only when running */
} Transform;

static OctetStatus prepare_transform(const OctPrepare *prepare, OctPreparedOp *prepared, int64_t n,
                                     double lines) {
    const OctetShape *shape = oct_input_shape(prepare->node, 0);
    int64_t parts = shape->rank >= 2 ? shape->dims[shape->rank - 1] : 0;
    if (parts != 1 && parts != 2) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, prepare->node,
                           "needs a last axis of one or two parts");
    }
    if (n >= 0) {
        OCT_TRY(oct_signal_check_length(prepare->node, n, prepare->diagnostic));
    }
    Transform *transform = oct_prepare_state(prepare, prepared, sizeof *transform);
    if (!transform) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    *transform = (Transform){prepare->node, n};
    if (n >= 0) {
        prepared->workspace_bytes = oct_fourier_bytes(n);
        prepared->macs = lines * oct_fourier_macs(n);
    }
    return OCTET_OK;
}

/* Of length n, in the workspace or, where that was not known before, in memory of its own. */
static OctetStatus open_transform(const Transform *transform, const OctRun *run, int64_t n,
                                  bool inverse, OctFourier *fourier, void **own) {
    void *memory = run->workspace;
    *own = NULL;
    OCT_TRY(oct_signal_check_length(transform->node, n, run->diagnostic));
    if (transform->n < 0) {
        memory = *own = oct_aligned_alloc(oct_fourier_bytes(n));
    } else if (transform->n != n) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, transform->node,
                           "has a length of %" PRId64 ", not %" PRId64, n, transform->n);
    }
    if (!memory) {
        return oct_fail_memory(run->diagnostic);
    }
    oct_fourier_open(fourier, n, inverse, memory);
    return OCTET_OK;
}

/* ---- DFT ---- */

static OctetStatus check_dft(const OctGraph *graph, const OctNode *node,
                             OctetDiagnostic *diagnostic) {
    (void)graph;
    if (oct_node_int(node, "onesided", 0) && oct_node_int(node, "inverse", 0)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is an inverse of one side only");
    }
    return oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic);
}

/* The axis: an attribute in opset 17, an input from opset 20 on. */
static OctetStatus dft_axis(const OctNode *node, int64_t axis, int32_t rank, int32_t *normalized,
                            OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_normalize_axis(node, axis, rank, normalized, diagnostic));
    if (*normalized == rank - 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "transforms the axis of real and imaginary parts");
    }
    return OCTET_OK;
}

static OctetStatus infer_dft(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = *oct_input_shape(node, 0);
    int64_t length;
    int64_t axis = oct_node_int(node, "axis", 1);
    if (node->opset >= 20) {
        OCT_TRY(oct_signal_scalar(node, 2, -2, &axis, diagnostic));
    }
    OCT_TRY(oct_signal_scalar(node, 1, -1, &length, diagnostic));
    if (shape.rank >= 2 && axis == OCT_DIM_UNKNOWN) {
        shape = oct_shape_of_rank(shape.rank);
    } else if (shape.rank >= 2) {
        int32_t normalized;
        OCT_TRY(dft_axis(node, axis, shape.rank, &normalized, diagnostic));
        int64_t *dim = &shape.dims[normalized];
        *dim = length == -1 ? *dim : length;
        bool half = oct_node_int(node, "onesided", 0) != 0;
        *dim = half ? (*dim >= 0 ? *dim / 2 + 1 : OCT_DIM_UNKNOWN) : *dim;
    }
    if (shape.rank >= 1) {
        shape.dims[shape.rank - 1] = 2;
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* One line along an axis: elements `stride` complex numbers apart. */
static void transform_line(const OctFourier *fourier, const float *from, int64_t parts,
                           int64_t count, int64_t stride, bool inverse, float *to, int64_t bins) {
    OctComplex *line = fourier->line;
    int64_t n = fourier->n;
    for (int64_t i = 0; i < n; i++) {
        const float *x = from + i * stride * parts;
        line[i] = i < count ? (OctComplex){(double)x[0], parts == 2 ? (double)x[1] : 0.0}
                            : (OctComplex){0, 0};
    }
    oct_fourier_run(fourier);
    double scale = inverse ? 1.0 / (double)n : 1.0;
    for (int64_t k = 0; k < bins; k++) {
        to[2 * k * stride] = (float)(line[k].re * scale);
        to[2 * k * stride + 1] = (float)(line[k].im * scale);
    }
}

static OctetStatus run_dft(void *state, const OctRun *run) {
    const Transform *transform = state;
    const OctNode *node = transform->node;
    OctetShape shape = run->inputs[0].shape;
    int64_t axis = oct_node_int(node, "axis", 1);
    bool inverse = oct_node_int(node, "inverse", 0) != 0;
    int32_t at;
    int64_t n;
    if (node->opset >= 20) {
        OCT_TRY(oct_signal_scalar_now(node, run, 2, -2, &axis));
    }
    OCT_TRY(dft_axis(node, axis, shape.rank, &at, run->diagnostic));
    OCT_TRY(oct_signal_scalar_now(node, run, 1, shape.dims[at], &n));
    OCT_TRY(oct_signal_check_length(node, n, run->diagnostic));
    int64_t parts = shape.dims[shape.rank - 1];
    int64_t count = shape.dims[at];
    int64_t outer = 0;
    int64_t inner = 0;
    oct_shape_product(&shape, 0, at, &outer);
    oct_shape_product(&shape, at + 1, shape.rank - 1, &inner);
    int64_t bins = oct_node_int(node, "onesided", 0) ? n / 2 + 1 : n;
    shape.dims[at] = bins;
    shape.dims[shape.rank - 1] = 2;
    OCT_TRY(oct_run_output(run, 0, &shape));
    OctFourier fourier;
    void *own;
    size_t stint = 0;
    OCT_TRY(open_transform(transform, run, n, inverse, &fourier, &own));
    for (int64_t i = 0; i < outer * inner && !oct_is_over_after(&stint, (size_t)n); i++) {
        int64_t o = i / inner;
        int64_t k = i % inner;
        transform_line(&fourier,
                       (const float *)run->inputs[0].data + (o * count * inner + k) * parts, parts,
                       count, inner, inverse,
                       (float *)run->outputs[0].data + (o * bins * inner + k) * 2, bins);
    }
    oct_aligned_free(own);
    return OCTET_OK;
}

static OctetStatus prepare_dft(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = oct_input_shape(node, 0);
    int64_t axis = oct_node_int(node, "axis", 1);
    int32_t at;
    int64_t n;
    int64_t elements = 0;
    if (node->opset >= 20) {
        OCT_TRY(oct_signal_scalar(node, 2, -2, &axis, prepare->diagnostic));
    }
    int64_t line = 0;
    n = OCT_DIM_UNKNOWN;
    if (axis != OCT_DIM_UNKNOWN) {
        OCT_TRY(dft_axis(node, axis, shape->rank, &at, prepare->diagnostic));
        OCT_TRY(oct_signal_scalar(node, 1, shape->dims[at], &n, prepare->diagnostic));
        line = shape->dims[at] * shape->dims[shape->rank - 1];
    }
    octet_shape_count(shape, &elements);
    double lines = line > 0 ? (double)elements / (double)line : 0;
    OCT_TRY(prepare_transform(prepare, prepared, n, lines));
    prepared->run = run_dft;
    prepared->kernel = "f32_dft";
    return OCTET_OK;
}

/* ---- STFT ---- */

/* Frame length: input 3, or that of the window. */
static int64_t window_length(const OctetShape *window) {
    return window->rank == 1 ? window->dims[0] : OCT_DIM_UNKNOWN;
}

static int64_t frame_count(int64_t signal, int64_t frame, int64_t step) {
    return signal >= frame && step > 0 ? (signal - frame) / step + 1 : 0;
}

static OctetStatus infer_stft(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *signal = oct_input_shape(node, 0);
    OctetShape shape = oct_shape_of_rank(4);
    int64_t step;
    int64_t frame;
    OCT_TRY(oct_signal_scalar(node, 1, OCT_DIM_UNKNOWN, &step, diagnostic));
    OCT_TRY(
        oct_signal_scalar(node, 3, window_length(oct_input_shape(node, 2)), &frame, diagnostic));
    if (signal->rank >= 0 && signal->rank != 3) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs a signal of rank 3");
    }
    if (signal->rank == 3) {
        shape.dims[0] = signal->dims[0];
        if (signal->dims[1] >= 0 && frame > 0 && step > 0) {
            shape.dims[1] = frame_count(signal->dims[1], frame, step);
        }
    }
    if (frame > 0) {
        shape.dims[2] = oct_node_int(node, "onesided", 1) ? frame / 2 + 1 : frame;
    }
    shape.dims[3] = 2;
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus run_stft(void *state, const OctRun *run) {
    const Transform *transform = state;
    const OctNode *node = transform->node;
    const OctetShape *signal = &run->inputs[0].shape;
    const OctView none = {.shape = {.rank = -1}};
    const OctView *window = run->input_count > 2 ? &run->inputs[2] : &none;
    int64_t step;
    int64_t n;
    OCT_TRY(oct_signal_scalar_now(node, run, 1, 0, &step));
    OCT_TRY(oct_signal_scalar_now(node, run, 3, window_length(&window->shape), &n));
    OCT_TRY(oct_signal_check_length(node, n, run->diagnostic));
    OCT_TRY(oct_signal_check_length(node, step, run->diagnostic));
    if (window->data && window_length(&window->shape) != n) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has a window that is not as long as its frames");
    }
    int64_t frames = frame_count(signal->dims[1], n, step);
    int64_t bins = oct_node_int(node, "onesided", 1) ? n / 2 + 1 : n;
    int64_t parts = signal->dims[2];
    const OctetShape shape = {4, {signal->dims[0], frames, bins, 2}};
    OCT_TRY(oct_run_output(run, 0, &shape));
    OctFourier fourier;
    void *own;
    size_t stint = 0;
    OCT_TRY(open_transform(transform, run, n, false, &fourier, &own));
    OctComplex *line = fourier.line;
    float *to = run->outputs[0].data;
    for (int64_t f = 0; f < signal->dims[0] * frames && !oct_is_over_after(&stint, (size_t)n);
         f++) {
        const float *from = (const float *)run->inputs[0].data +
                            (f / frames * signal->dims[1] + f % frames * step) * parts;
        for (int64_t i = 0; i < n; i++) {
            double w = window->data ? (double)((const float *)window->data)[i] : 1.0;
            line[i] = (OctComplex){w * (double)from[i * parts],
                                   parts == 2 ? w * (double)from[i * parts + 1] : 0.0};
        }
        oct_fourier_run(&fourier);
        for (int64_t k = 0; k < bins; k++) {
            *to++ = (float)line[k].re;
            *to++ = (float)line[k].im;
        }
    }
    oct_aligned_free(own);
    return OCTET_OK;
}

static OctetStatus prepare_stft(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *signal = oct_input_shape(node, 0);
    int64_t step;
    int64_t n;
    OCT_TRY(oct_signal_scalar(node, 1, 0, &step, prepare->diagnostic));
    OCT_TRY(oct_signal_scalar(node, 3, window_length(oct_input_shape(node, 2)), &n,
                              prepare->diagnostic));
    int64_t frames = frame_count(signal->dims[1], n, step);
    OCT_TRY(prepare_transform(prepare, prepared, n, (double)signal->dims[0] * (double)frames));
    prepared->run = run_stft;
    prepared->kernel = "f32_stft";
    return OCTET_OK;
}

const OctOp oct_ops_signal[] = {
    {"", "DFT", 17, 19, OCT_OP_DYNAMIC, 1, 2, 1, 1, check_dft, infer_dft, prepare_dft},
    {"", "DFT", 20, 0, OCT_OP_DYNAMIC, 1, 3, 1, 1, check_dft, infer_dft, prepare_dft},
    {"", "STFT", 17, 0, OCT_OP_DYNAMIC, 2, 4, 1, 1, NULL, infer_stft, prepare_stft},
};
OCT_OPS_COUNT(signal);
