#include "base/diag.h"
#include "base/mem.h"
#include "quant/bias.h"

#include <inttypes.h>
#include <math.h>

OctetStatus oct_weight_channels(const OctWeightLayout *layout, int64_t *channels,
                                OctetDiagnostic *diagnostic) {
    char text[128];
    int64_t count, outer = 1;
    bool fits = octet_shape_count(&layout->shape, &count) && layout->axis >= 0 &&
                layout->axis < layout->shape.rank && layout->groups >= 1;
    for (int32_t i = 0; fits && i < layout->axis; i++) {
        outer *= layout->shape.dims[i];
    }
    if (!fits || outer % layout->groups != 0 ||
        !oct_mul_i64(layout->shape.dims[layout->axis], layout->groups, channels)) {
        octet_shape_format(&layout->shape, text, sizeof text);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "weights of shape %s have no output channels along axis %" PRId32
                        " in %" PRId64 " groups",
                        text, layout->axis, layout->groups);
    }
    return OCTET_OK;
}

OctAccumulatorBound oct_channel_bound(const OctWeightLayout *layout, const void *weight,
                                      const OctetQParams *qparams, int64_t group, int64_t index) {
    const OctetShape *shape = &layout->shape;
    const int64_t length = shape->dims[layout->axis];
    const int32_t zero_point = qparams->zero_point[qparams->axis < 0 ? 0 : index];
    int64_t outer = 1, inner = 1, negative = 0, positive = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        outer *= i < layout->axis ? shape->dims[i] : 1;
        inner *= i > layout->axis ? shape->dims[i] : 1;
    }
    const int64_t part = outer / layout->groups;
    for (int64_t o = group * part; o < (group + 1) * part; o++) {
        const int64_t first = (o * length + index) * inner;
        for (int64_t i = first; i < first + inner; i++) {
            int32_t w = qparams->dtype == OCTET_S8 ? ((const int8_t *)weight)[i]
                                                   : ((const uint8_t *)weight)[i];
            w -= zero_point;
            negative += w < 0 ? w : 0;
            positive += w > 0 ? w : 0;
        }
    }
    const int64_t low = (int64_t)layout->input_min - layout->input_zero_point;
    const int64_t high = (int64_t)layout->input_max - layout->input_zero_point;
    return (OctAccumulatorBound){.minimum = positive * low + negative * high,
                                 .maximum = positive * high + negative * low};
}

OctetStatus oct_accumulator_bounds(const OctWeightLayout *layout, const void *weight,
                                   const OctetQParams *qparams, OctAccumulatorBound *bounds,
                                   OctetDiagnostic *diagnostic) {
    int64_t channels = 0;
    OCT_TRY(oct_weight_channels(layout, &channels, diagnostic));
    if (qparams->dtype != OCTET_S8 && qparams->dtype != OCTET_U8) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "weights of %s have no bound",
                        octet_dtype_name(qparams->dtype));
    }
    for (int64_t g = 0; g < layout->groups; g++) {
        for (int64_t m = 0; m < channels / layout->groups; m++) {
            *bounds++ = oct_channel_bound(layout, weight, qparams, g, m);
        }
    }
    return OCTET_OK;
}

bool oct_bias_fits(OctAccumulatorBound bound, int64_t bias) {
    return bias >= INT32_MIN && bias <= INT32_MAX && bound.minimum >= INT32_MIN &&
           bound.maximum <= INT32_MAX && bound.minimum + bias >= INT32_MIN &&
           bound.maximum + bias <= INT32_MAX;
}

bool oct_bias_fits_all_modes(OctAccumulatorBound bound, double bias) {
    /* 1 / (sx * sw) in float32 is off by 2^-23 at most, its product with the bias by 2^-24 more */
    double magnitude = fabs(bias) * (1.0 + 0x1p-22) + 1.0;
    if (!(magnitude < (double)INT32_MAX)) {
        return false;
    }
    int64_t most = (int64_t)ceil(magnitude);
    return oct_bias_fits(bound, bias < 0 ? -most : most);
}

bool oct_bias_rescale(int32_t stored, double from_scale, double to_scale, int32_t *rescaled) {
    double value = rint((double)stored * from_scale / to_scale);
    bool fits = value >= INT32_MIN && value <= INT32_MAX;
    *rescaled = fits ? (int32_t)value : value > 0 ? INT32_MAX : INT32_MIN;
    return fits;
}

bool oct_bias_stored(int32_t stored, double scale, float input_scale, float weight_scale,
                     int32_t *integer) {
    double product = (double)input_scale * (double)weight_scale;
    if (scale == 0.0 || scale == product || scale == (double)(input_scale * weight_scale)) {
        *integer = stored;
        return true;
    }
    return oct_bias_rescale(stored, scale, product, integer);
}

float oct_bias_real(int32_t stored, double scale, float input_scale, float weight_scale) {
    float unit = scale == 0.0 ? input_scale * weight_scale : (float)scale;
    return (float)stored * unit;
}
