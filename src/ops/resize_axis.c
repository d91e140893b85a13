/* Where the outputs of one axis lie in the input and which inputs they mix. Coordinates and
 * rounding are in float32 and in ONNX Runtime's order of operations (upsamplebase.h), since
 * another order picks other pixels at ties. */
#include "ops/resize.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

enum { TAPS_PER_ELEMENT = 64 };

static float coordinate(const OctResizeRules *rules, int64_t in, int64_t out, float scale,
                        float start, float end, float x) {
    float length = (float)in, resized = (float)out;
    switch (rules->coordinates) {
    case OCT_RESIZE_HALF_PIXEL:
        return (x + 0.5f) / scale - 0.5f;
    case OCT_RESIZE_HALF_PIXEL_SYMMETRIC: {
        float adjustment = resized / (scale * length);
        float center = length / 2.0f;
        return center * (1.0f - adjustment) + (x + 0.5f) / scale - 0.5f;
    }
    case OCT_RESIZE_PYTORCH_HALF_PIXEL:
        return out > 1 ? (x + 0.5f) / scale - 0.5f : 0.0f;
    case OCT_RESIZE_ALIGN_CORNERS:
        return out == 1 ? 0.0f : x * (length - 1.0f) / (resized - 1.0f);
    case OCT_RESIZE_ASYMMETRIC:
        return x / scale;
    case OCT_RESIZE_TF_HALF_PIXEL_FOR_NN:
        return (x + 0.5f) / scale;
    case OCT_RESIZE_TF_CROP_AND_RESIZE:
        return out > 1 ? start * (length - 1.0f) +
                             x * (end - start) * (length - 1.0f) / (resized - 1.0f)
                       : 0.5f * (start + end) * (length - 1.0f);
    }
    return x;
}

static int64_t clamp_index(int64_t index, int64_t in) {
    return index < 0 ? 0 : index >= in ? in - 1 : index;
}

/* A float to an index, whatever the float is. */
static int64_t to_index(float value) {
    return value >= 1e9f ? 1000000000 : value > -1e9f ? (int64_t)value : -1000000000;
}

/* Halfway between two pixels, but for the rounding of the scale and of the division by it. */
static bool is_halfway(float x) {
    float tolerance = 4.0f * FLT_EPSILON * fmaxf(fabsf(x), 1.0f);
    return fabsf(x - floorf(x) - 0.5f) <= tolerance;
}

static int64_t nearest_index(OctResizeRounding rounding, float x, float scale) {
    switch (rounding) {
    case OCT_RESIZE_PREFER_FLOOR:
        return to_index(is_halfway(x) ? floorf(x) : roundf(x));
    case OCT_RESIZE_PREFER_CEIL:
        return to_index(is_halfway(x) ? ceilf(x) : roundf(x));
    case OCT_RESIZE_FLOOR:
        return to_index(floorf(x));
    case OCT_RESIZE_CEIL:
        return to_index(ceilf(x));
    case OCT_RESIZE_SIMPLE:
        return to_index(scale < 1.0f ? ceilf(x) : truncf(x));
    }
    return 0;
}

static float filter(const OctResizeRules *rules, float distance) {
    float d = fabsf(distance), a = rules->cubic_a;
    if (rules->mode == OCT_RESIZE_LINEAR) {
        return d < 1.0f ? 1.0f - d : 0.0f;
    }
    if (d <= 1.0f) {
        return ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f;
    }
    return d < 2.0f ? ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a : 0.0f;
}

/* The taps of one output around x: inputs first to first + taps - 1, weighed by the filter,
 * those outside replaced by the edge or left out. */
static void weigh(const OctResizeRules *rules, int64_t in, float x, float stretch,
                  OctResizeAxis *axis, int64_t *index, float *weights) {
    float reach = (rules->mode == OCT_RESIZE_LINEAR ? 1.0f : 2.0f) / stretch, total = 0.0f;
    int64_t first = to_index(floorf(x - reach)) + 1;
    for (int32_t t = 0; t < axis->taps; t++) {
        int64_t at = first + t;
        bool outside = at < 0 || at >= in;
        index[t] = clamp_index(at, in);
        weights[t] = filter(rules, ((float)at - x) * stretch);
        if (outside && rules->exclude_outside) {
            weights[t] = 0.0f;
        }
        total += weights[t];
    }
    if ((rules->exclude_outside || rules->antialias) && total != 0.0f) {
        for (int32_t t = 0; t < axis->taps; t++) {
            weights[t] /= total;
        }
    }
}

/* For `count` taps, and as many outputs that may lie outside. */
static OctetStatus take_bytes(size_t count, bool nearest, size_t outside, uint64_t *bytes_left,
                              OctetDiagnostic *diagnostic) {
    size_t bytes;
    size_t a_tap = sizeof(int64_t) + (nearest ? 0 : sizeof(float));
    if (!oct_mul_size(count, a_tap, &bytes) || !oct_add_size(bytes, outside, &bytes) ||
        bytes > *bytes_left) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "its tables of %zu taps need more than the %" PRIu64
                        " bytes that are left; raise max_memory_bytes (--max-memory) if that is "
                        "meant",
                        count, *bytes_left);
    }
    *bytes_left -= bytes;
    return OCTET_OK;
}

OctetStatus oct_resize_axis(const OctResizeRules *rules, int64_t in, int64_t out, float scale,
                            float start, float end, OctResizeAxis *axis, uint64_t *bytes_left,
                            OctetDiagnostic *diagnostic) {
    bool crops = rules->coordinates == OCT_RESIZE_TF_CROP_AND_RESIZE;
    *axis = (OctResizeAxis){.in = in, .out = out, .taps = 1};
    axis->identity = in == out && scale == 1.0f && !crops;
    if (axis->identity || out == 0) {
        return OCTET_OK;
    }
    float stretch = rules->antialias && scale < 1.0f ? scale : 1.0f;
    bool nearest = rules->mode == OCT_RESIZE_NEAREST;
    if (!nearest) {
        float reach = (rules->mode == OCT_RESIZE_LINEAR ? 1.0f : 2.0f) / stretch;
        if (!(reach < 1e6f)) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a scale of %g is too small",
                            (double)scale);
        }
        axis->taps = (int32_t)ceilf(2.0f * reach);
    }
    size_t count;
    size_t most; /* scaling down needs four taps an input element, and some */
    bool counts = oct_add_size((size_t)in, (size_t)out, &most) &&
                  oct_mul_size(most, TAPS_PER_ELEMENT, &most) &&
                  oct_mul_size((size_t)out, (size_t)axis->taps, &count);
    if (counts && axis->taps > TAPS_PER_ELEMENT && count > most) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "a scale of %g is too small for %lld outputs of %lld inputs", (double)scale,
                        (long long)out, (long long)in);
    }
    if (!counts) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "an output of %lld is too large",
                        (long long)out);
    }
    OCT_TRY(take_bytes(count, nearest, crops ? (size_t)out : 0, bytes_left, diagnostic));
    axis->index = oct_calloc(count, sizeof *axis->index);
    axis->weights = nearest ? NULL : oct_calloc(count, sizeof *axis->weights);
    axis->outside = crops ? oct_calloc((size_t)out, sizeof *axis->outside) : NULL;
    if (!axis->index || (!nearest && !axis->weights) || (crops && !axis->outside)) {
        return oct_fail_memory(diagnostic);
    }
    for (int64_t i = 0; i < out; i++) {
        size_t at = (size_t)i * (size_t)axis->taps;
        float x = scale == 1.0f && !crops ? (float)i
                                          : coordinate(rules, in, out, scale, start, end, (float)i);
        if (crops) {
            axis->outside[i] = x < 0.0f || x > (float)(in - 1);
        }
        if (nearest) {
            axis->index[at] = clamp_index(nearest_index(rules->rounding, x, scale), in);
            continue;
        }
        if (rules->mode == OCT_RESIZE_LINEAR && !rules->antialias && !rules->exclude_outside) {
            x = fminf(fmaxf(x, 0.0f), (float)(in - 1));
        }
        weigh(rules, in, x, stretch, axis, axis->index + at, axis->weights + at);
    }
    return OCTET_OK;
}

bool oct_resize_is_empty(const OctetShape *shape) {
    bool empty = false;
    for (int32_t i = 0; i < shape->rank; i++) {
        empty = empty || shape->dims[i] == 0;
    }
    return empty;
}

void oct_resize_plan_clear(OctResizePlan *plan) {
    for (int32_t i = 0; i < OCTET_MAX_RANK; i++) {
        oct_free(plan->axes[i].index);
        oct_free(plan->axes[i].weights);
        oct_free(plan->axes[i].outside);
        plan->axes[i] = (OctResizeAxis){0};
    }
}
