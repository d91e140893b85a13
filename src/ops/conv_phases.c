#include "ops/conv_phases.h"

enum { MOST_TAPS = 4096 }; /* along one axis */

/* One axis of a phase: which taps reach the outputs with this remainder, and from where. */
typedef struct AxisTaps {
    int64_t count; /* of taps */
    int64_t tap[MOST_TAPS], offset[MOST_TAPS];
} AxisTaps;

/* a / b rounded down, b > 0. */
static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static void axis_taps(const OctConvGeometry *geometry, int32_t axis, int64_t remainder,
                      AxisTaps *taps) {
    const OctWindow *window = &geometry->window;
    taps->count = 0;
    for (int64_t k = 0; k < window->kernel[axis]; k++) {
        int64_t at = k * window->dilation[axis];
        if (!geometry->transposed) {
            taps->tap[taps->count] = k;
            taps->offset[taps->count++] = at - window->pad_begin[axis];
        } else {
            int64_t from = remainder + window->pad_begin[axis] - at;
            if (from - floor_div(from, window->stride[axis]) * window->stride[axis] == 0) {
                taps->tap[taps->count] = k;
                taps->offset[taps->count++] = floor_div(from, window->stride[axis]);
            }
        }
    }
}

static OctetStatus make_phase(const OctConvGeometry *geometry, const int64_t *remainder,
                              AxisTaps *taps, OctConvPhase *phase, OctetDiagnostic *diagnostic) {
    const OctWindow *window = &geometry->window;
    size_t total = 1;
    for (int i = 0; i < 3; i++) {
        int32_t axis = i - (3 - window->rank);
        bool used = axis >= 0;
        int64_t out = used ? geometry->output.spatial[axis] : 1;
        bool transposed = used && geometry->transposed;
        phase->step[i] = transposed ? window->stride[axis] : 1;
        phase->stride[i] = used && !transposed ? window->stride[axis] : 1;
        phase->origin[i] = remainder[i];
        phase->count[i] =
            out > remainder[i] ? (out - remainder[i] + phase->step[i] - 1) / phase->step[i] : 0;
        taps[i] = (AxisTaps){.count = 1};
        if (used) {
            axis_taps(geometry, axis, remainder[i], &taps[i]);
        }
        total *= (size_t)taps[i].count;
    }
    phase->empty_taps = total == 0;
    phase->taps = total ? total : 1;
    phase->offsets = oct_calloc(phase->taps, sizeof *phase->offsets);
    phase->kernel_taps = oct_calloc(phase->taps, sizeof *phase->kernel_taps);
    if (!phase->offsets || !phase->kernel_taps) {
        return oct_fail_memory(diagnostic);
    }
    phase->offsets[0][0] = INT32_MIN; /* outside, if this stays the only tap */
    for (size_t t = 0; t < total; t++) {
        size_t rest = t, kernel_tap = 0;
        int64_t choice[3];
        for (int i = 2; i >= 0; i--) {
            choice[i] = (int64_t)(rest % (size_t)taps[i].count);
            rest /= (size_t)taps[i].count;
        }
        for (int i = 0; i < 3; i++) {
            int32_t axis = i - (3 - window->rank);
            int64_t kernel = axis >= 0 ? window->kernel[axis] : 1;
            kernel_tap = kernel_tap * (size_t)kernel + (size_t)taps[i].tap[choice[i]];
            phase->offsets[t][i] = taps[i].offset[choice[i]];
        }
        phase->kernel_taps[t] = kernel_tap;
    }
    return OCTET_OK;
}

OctetStatus oct_conv_phases_make(const OctNode *node, const OctConvGeometry *geometry,
                                 OctConvPhase **phases, size_t *phase_count,
                                 OctetDiagnostic *diagnostic) {
    const OctWindow *window = &geometry->window;
    int64_t remainders[3] = {1, 1, 1};
    size_t count = 1;
    for (int32_t i = 0; i < window->rank; i++) {
        if (window->kernel[i] > MOST_TAPS || (geometry->transposed && window->stride[i] > 64)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                               "its kernel or stride is too large for int8");
        }
        remainders[3 - window->rank + i] = geometry->transposed ? window->stride[i] : 1;
    }
    for (int i = 0; i < 3; i++) {
        count *= (size_t)remainders[i];
    }
    AxisTaps *taps = oct_calloc(3, sizeof *taps);
    *phases = oct_calloc(count, sizeof **phases);
    *phase_count = *phases ? count : 0;
    OctetStatus status = taps && *phases ? OCTET_OK : oct_fail_memory(diagnostic);
    for (size_t p = 0; p < count && status == OCTET_OK; p++) {
        int64_t remainder[3] = {(int64_t)p / (remainders[1] * remainders[2]),
                                (int64_t)p / remainders[2] % remainders[1],
                                (int64_t)p % remainders[2]};
        status = make_phase(geometry, remainder, taps, &(*phases)[p], diagnostic);
    }
    oct_free(taps);
    return status;
}

void oct_conv_phases_free(OctConvPhase *phases, size_t count) {
    for (size_t p = 0; p < count; p++) {
        oct_free(phases[p].offsets);
        oct_free(phases[p].kernel_taps);
    }
    oct_free(phases);
}
