#include "quant/bias.h"
#include "base/diag.h"
#include "base/mem.h"
#include "quant/quantize_values.h"
#include "quant/requantize.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A layer while it is quantized. Its scales are tried one by one: scale k covers `covered` indices
 * along the output axis, one when per channel, all of them when per tensor. */
typedef struct Work {
    const OctBiasLayer *layer;
    OctBiasResult *result;
    int64_t count, length, outer, inner, covered;
    double input_scale;
} Work;

static OctetStatus check_layer(const OctBiasLayer *layer, const OctetQParams *qparams, Work *work,
                               OctetDiagnostic *diagnostic) {
    const OctWeightLayout *layout = &layer->layout;
    OCT_TRY(oct_weight_channels(layout, &work->result->channels, diagnostic));
    OCT_TRY(octet_qparams_check(qparams, &layout->shape, diagnostic));
    bool eight_bits = qparams->dtype == OCTET_S8 || qparams->dtype == OCTET_U8;
    if (!eight_bits || qparams->block_size != 0 ||
        (qparams->axis >= 0 && qparams->axis != layout->axis)) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "weights need 8 bits and parameters per tensor or per output channel");
    }
    if (!(layer->input_scale > 0) || isinf(layer->input_scale)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "the input's scale is %g",
                        (double)layer->input_scale);
    }
    (void)octet_shape_count(&layout->shape, &work->count); /* checked with the channels */
    for (int64_t i = 0; i < work->count; i++) {
        if (!isfinite(layer->weight[i])) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "weight %" PRId64 " is %g", i,
                            (double)layer->weight[i]);
        }
    }
    for (int64_t c = 0; layer->bias && c < work->result->channels; c++) {
        if (!isfinite(layer->bias[c])) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                            "the bias of channel %" PRId64 " is %g", c, (double)layer->bias[c]);
        }
    }
    work->length = layout->shape.dims[layout->axis];
    work->outer = work->inner = 1;
    for (int32_t i = 0; i < layout->shape.rank; i++) {
        work->outer *= i < layout->axis ? layout->shape.dims[i] : 1;
        work->inner *= i > layout->axis ? layout->shape.dims[i] : 1;
    }
    work->covered = qparams->axis < 0 ? work->length : 1;
    return OCTET_OK;
}

/* Quantizes the weights that scale k covers. */
static void quantize_covered(const Work *work, int64_t k) {
    const OctetQParams *qparams = &work->result->qparams;
    OctQuantizeTarget target =
        oct_quantize_target(qparams->dtype, qparams->scale[k], qparams->zero_point[k],
                            oct_requantize_quantize_rule(work->layer->mode));
    for (int64_t o = 0; o < work->outer; o++) {
        int64_t first = (o * work->length + k * work->covered) * work->inner;
        oct_quantize_values(work->layer->weight + first, work->covered * work->inner, &target,
                            (uint8_t *)work->result->weight + first);
    }
}

/* Bounds of the channels that scale k covers, from the integers as they are. */
static void bound_covered(const Work *work, int64_t k) {
    const OctWeightLayout *layout = &work->layer->layout;
    for (int64_t m = k * work->covered; m < (k + 1) * work->covered; m++) {
        for (int64_t g = 0; g < layout->groups; g++) {
            work->result->bounds[g * work->length + m] =
                oct_channel_bound(layout, work->result->weight, &work->result->qparams, g, m);
        }
    }
}

/* b / (sx * sw), what the integer bias of an output channel has to be. */
static double exact_bias(const Work *work, int64_t channel, double weight_scale) {
    return work->layer->bias
               ? (double)work->layer->bias[channel] / (work->input_scale * weight_scale)
               : 0.0;
}

static bool channel_fits(const Work *work, int64_t channel, double weight_scale) {
    return oct_bias_fits_all_modes(work->result->bounds[channel],
                                   exact_bias(work, channel, weight_scale));
}

/* Quantizes with a scale for k and says whether all that it covers fits. */
static bool try_scale(const Work *work, int64_t k, float scale) {
    bool fits = true;
    work->result->qparams.scale[k] = scale;
    quantize_covered(work, k);
    bound_covered(work, k);
    for (int64_t m = k * work->covered; m < (k + 1) * work->covered; m++) {
        for (int64_t g = 0; g < work->layer->layout.groups; g++) {
            fits = fits && channel_fits(work, g * work->length + m, (double)scale);
        }
    }
    return fits;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Raises scale k to the least float32 that fits, by bisection of its bits; false if none does. */
static bool raise_scale(const Work *work, int64_t k, float old_scale) {
    float high = old_scale;
    do {
        if (high > FLT_MAX / 2) {
            return false;
        }
        high *= 2;
    } while (!try_scale(work, k, high));
    if (work->layer->power_of_two) {
        return true; /* doubled, it still is one */
    }
    uint32_t does_not = bits_of(fmaxf(high / 2, old_scale)), does = bits_of(high);
    while (does - does_not > 1) {
        uint32_t middle = does_not + (does - does_not) / 2;
        if (try_scale(work, k, float_of(middle))) {
            does = middle;
        } else {
            does_not = middle;
        }
    }
    return try_scale(work, k, float_of(does));
}

/* Below this many units, an integer bias on its own has lost bits; a finer scale gives it more. */
static const double coarse_bias = 0x1p15;
static const int fine_bias_bits = 23;

/* A channel without weights may have any scale: one that gives its bias 23 bits. */
static void refine_empty(const Work *work, int64_t k) {
    float scale = work->result->qparams.scale[k];
    double largest = 0;
    for (int64_t g = 0; g < work->layer->layout.groups; g++) {
        int64_t channel = g * work->length + k;
        OctAccumulatorBound bound = work->result->bounds[channel];
        if (bound.minimum != 0 || bound.maximum != 0) {
            return;
        }
        largest = fmax(largest, fabs(exact_bias(work, channel, (double)scale)));
    }
    if (work->covered != 1 || largest == 0 || largest >= coarse_bias) {
        return;
    }
    double wanted = ldexp((double)scale * largest, -fine_bias_bits);
    float finer = wanted > (double)FLT_MIN ? (float)wanted : FLT_MIN;
    if (work->layer->power_of_two) {
        finer = ldexpf(1.0F, ilogbf(finer));
    }
    bool fits = try_scale(work, k, finer);
    for (int64_t g = 0; fits && g < work->layer->layout.groups; g++) {
        OctAccumulatorBound bound = work->result->bounds[g * work->length + k];
        fits = bound.minimum == 0 && bound.maximum == 0;
    }
    if (!fits) {
        (void)try_scale(work, k, scale);
    }
}

static OctetStatus note_repair(const Work *work, int64_t channel, double bias_before,
                               float old_scale, OctetDiagnostic *diagnostic) {
    OctBiasResult *result = work->result;
    if (!oct_grow(&result->repairs, &result->repair_capacity, result->repair_count + 1,
                  sizeof *result->repairs)) {
        return oct_fail_memory(diagnostic);
    }
    result->repairs[result->repair_count++] =
        (OctBiasRepair){.channel = channel,
                        .old_scale = old_scale,
                        .bias = work->layer->bias ? work->layer->bias[channel] : 0.0F,
                        .bias_before = bias_before};
    return OCTET_OK;
}

/* Quantizes what scale k covers and acts where it doesn't fit. */
static OctetStatus fit_scale(const Work *work, int64_t k, OctetBiasPolicy policy,
                             OctetDiagnostic *diagnostic) {
    OctBiasResult *result = work->result;
    const float old_scale = result->qparams.scale[k];
    if (try_scale(work, k, old_scale)) {
        if (policy == OCTET_BIAS_REPAIR) {
            refine_empty(work, k);
        }
        return OCTET_OK;
    }
    for (int64_t g = 0; g < work->layer->layout.groups; g++) {
        for (int64_t m = k * work->covered; m < (k + 1) * work->covered; m++) {
            int64_t channel = g * work->length + m;
            if (!channel_fits(work, channel, (double)old_scale)) {
                OCT_TRY(note_repair(work, channel, exact_bias(work, channel, (double)old_scale),
                                    old_scale, diagnostic));
            }
        }
    }
    result->leave_float = result->leave_float || policy == OCTET_BIAS_FLOAT;
    if (policy == OCTET_BIAS_REPAIR && !raise_scale(work, k, old_scale)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "no weight scale makes the bias of channel %" PRId64 " fit int32",
                        result->repairs[result->repair_count - 1].channel);
    }
    return OCTET_OK;
}

/* Which scale an output channel has. */
static int64_t scale_index(const Work *work, int64_t channel) {
    return work->covered == work->length || work->length < 2 ? 0 : channel % work->length;
}

/* The integer biases, and what became of those that were repaired. */
static void quantize_bias(const Work *work) {
    OctBiasResult *result = work->result;
    const OctetQParams *qparams = &result->qparams;
    for (int64_t c = 0; result->bias && c < result->channels; c++) {
        float scale = qparams->scale[scale_index(work, c)];
        result->bias[c] = oct_bias_integer(work->layer->mode, work->layer->bias[c],
                                           work->layer->input_scale, scale);
    }
    for (int32_t i = 0; i < result->repair_count; i++) {
        OctBiasRepair *repair = &result->repairs[i];
        repair->new_scale = qparams->scale[scale_index(work, repair->channel)];
        repair->bias_after = result->bias ? result->bias[repair->channel] : 0;
    }
}

static OctetStatus quantize_layer(const OctBiasLayer *layer, const OctetQParams *qparams,
                                  OctetBiasPolicy policy, OctBiasResult *result,
                                  OctetDiagnostic *diagnostic) {
    Work work = {.layer = layer, .result = result, .input_scale = (double)layer->input_scale};
    OCT_TRY(check_layer(layer, qparams, &work, diagnostic));
    OCT_TRY(octet_qparams_copy(qparams, &result->qparams, diagnostic));
    result->weight = oct_calloc((size_t)work.count, 1);
    result->bounds = oct_calloc((size_t)result->channels, sizeof *result->bounds);
    result->bias = layer->bias ? oct_calloc((size_t)result->channels, sizeof *result->bias) : NULL;
    if (!result->weight || !result->bounds || (layer->bias && !result->bias)) {
        return oct_fail_memory(diagnostic);
    }
    for (int64_t k = 0; k < qparams->count; k++) {
        OCT_TRY(fit_scale(&work, k, policy, diagnostic));
    }
    quantize_bias(&work);
    return OCTET_OK;
}

OctetStatus oct_bias_quantize(const OctBiasLayer *layer, const OctetQParams *qparams,
                              OctetBiasPolicy policy, OctBiasResult *result,
                              OctetDiagnostic *diagnostic) {
    *result = (OctBiasResult){.qparams = {.axis = -1}};
    OctetStatus status = quantize_layer(layer, qparams, policy, result, diagnostic);
    if (status != OCTET_OK) {
        oct_bias_clear(result);
        if (layer->name) {
            oct_fail_in_node(diagnostic, status, layer->name);
        }
    }
    return status;
}

void oct_bias_clear(OctBiasResult *result) {
    octet_qparams_clear(&result->qparams);
    oct_free(result->weight);
    oct_free(result->bias);
    oct_free(result->bounds);
    oct_free(result->repairs);
    *result = (OctBiasResult){.qparams = {.axis = -1}};
}
