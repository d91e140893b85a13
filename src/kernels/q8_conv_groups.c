/* Narrow groups of an int8 convolution computed as one. */
#include "base/mem.h"
#include "kernels/q8_conv_plan.h"

size_t oct_q8_groups_to_join(const OctQ8Conv *conv, const OctQ8ConvParams *params,
                             size_t narrowest) {
    size_t joined = narrowest * params->groups / params->out_channels;
    joined = joined < params->groups ? joined : params->groups;
    while (joined > 1 && params->groups % joined != 0) {
        joined--;
    }
    bool plain = conv->copies == 1 && !params->weight_zero_points && !params->weight_strides[0] &&
                 !params->weight_flip;
    return plain && joined > 1 ? joined : 1;
}

int8_t *oct_q8_join_groups(const OctQ8ConvParams *params, const int8_t *weights, size_t joined) {
    size_t taps = params->kernel_h * params->kernel_w, channels = params->out_channels;
    size_t inputs = params->in_channels / params->groups, group = channels / params->groups;
    int8_t *made = oct_calloc(channels * taps, inputs * joined);
    for (size_t c = 0; made && c < channels; c++) {
        const int8_t *from = weights + c * taps * inputs;
        int8_t *to = made + c * taps * inputs * joined + c / group % joined * inputs;
        for (size_t t = 0; t < taps; t++) {
            for (size_t i = 0; i < inputs; i++) {
                to[t * inputs * joined + i] =
                    from[params->weights_oihw ? i * taps + t : t * inputs + i];
            }
        }
    }
    return made;
}
