#include "explain_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef OctetChannelExplanation Channel;

static bool is_fixed_point(OctetRequantize mode) {
    return mode == OCTET_REQUANTIZE_TFLITE || mode == OCTET_REQUANTIZE_TFLITE_SINGLE;
}

/* "(x - 3)", "(x + 128)" or "x". */
static const char *shifted(char name, int32_t zero_point, char *buffer, size_t size) {
    if (zero_point == 0) {
        snprintf(buffer, size, "%c", name);
    } else {
        snprintf(buffer, size, "(%c %c %lld)", name, zero_point < 0 ? '+' : '-',
                 llabs((long long)zero_point));
    }
    return buffer;
}

static void tell_grids(const Channel *e) {
    char x[32], w[32], y[32];
    printf("1. What the integers stand for\n"
           "   input      real = %s * %.9g\n"
           "   weights    real = %s * %.9g\n",
           shifted('x', e->input_zero_point, x, sizeof x), (double)e->input_scale,
           shifted('w', e->weight_zero_point, w, sizeof w), (double)e->weight_scale);
    if (e->output_scale > 0) {
        printf("   output     real = %s * %.9g, integers from %" PRId32 " to %" PRId32 "\n",
               shifted('y', e->output_zero_point, y, sizeof y), (double)e->output_scale,
               e->output_minimum, e->output_maximum);
    } else {
        printf("   output     stays in float\n");
    }
}

/* How the mode makes an integer of the bias. */
static const char *rule_of(OctetRequantize mode) {
    switch (mode) {
    case OCTET_REQUANTIZE_QNNPACK:
        return "bias * (1 / unit) in float32, rounded half to even";
    case OCTET_REQUANTIZE_TFLITE:
    case OCTET_REQUANTIZE_TFLITE_SINGLE:
        return "bias * (1 / unit) in float32, rounded half away from zero";
    default:
        return "bias / unit, rounded half to even";
    }
}

static void tell_rule(OctetRequantize mode, const Channel *e) {
    if (e->bias_stored) {
        printf("   The file has it as the int32\n     %" PRId32 "\n", e->bias_integer);
    }
    if (e->bias_stored && e->bias_by_rule != e->bias_integer) {
        printf("   (%s itself takes %s: %" PRId32 ")\n", octet_requantize_name(mode), rule_of(mode),
               e->bias_by_rule);
    } else {
        printf("   %s%s%s\n", e->bias_stored ? "(" : "", rule_of(mode), e->bias_stored ? ")" : ":");
    }
    if (!e->bias_stored) {
        printf("     %" PRId32 "\n", e->bias_integer);
    }
}

static void tell_error(const Channel *e) {
    const double limit = e->output_scale > 0 ? e->bias_error_limit / (double)e->output_scale : 0;
    if (!e->bias_known) {
        printf(
            "   The file has the integer alone; the float bias it was made of may have been half a"
            "\n   unit more or less, which is %.3g",
            e->bias_error_limit);
    } else {
        printf("   Rounding changed the bias by %.3g", e->bias_error);
    }
    if (e->output_scale > 0) {
        printf(": %.3g of a step of the output.\n",
               e->bias_known ? fabs(e->bias_error) / (double)e->output_scale : limit);
    } else {
        printf(".\n");
    }
    printf("   It takes %.3g%% of int32's range.\n", fabs((double)e->bias_integer) / 0x1p31 * 100);
}

static void tell_bias(OctetRequantize mode, const Channel *e) {
    printf(
        "\n2. The bias\n"
        "   The layer sums the products of the integers with their zero points taken off. One unit"
        "\n   of that sum is worth input scale * weight scale:\n"
        "     %.9g * %.9g = %.9g\n",
        (double)e->input_scale, (double)e->weight_scale, e->bias_scale);
    if (!e->has_bias) {
        printf("   This layer has no bias.\n");
        return;
    }
    printf("   The bias is added to the sum, so it is counted in the same unit; that is all its\n"
           "   quantization: scale %.9g, zero point 0.\n"
           "     %.9g / %.9g = %.10g\n",
           e->bias_scale, e->bias, e->bias_scale, e->bias_exact);
    if (e->bias_stays_real && e->bias_stored) {
        printf("   The file has the int32 %" PRId32
               " alone. fbgemm takes biases in float: what that\n"
               "   stands for is divided by the unit in float32 and added to the sum as %.9g.\n",
               e->bias_integer, e->bias_added);
        tell_error(e);
        return;
    }
    if (e->bias_stays_real) {
        printf("   fbgemm does not round it: it is added to the sum in float32.\n");
        return;
    }
    tell_rule(mode, e);
    tell_error(e);
}

static void tell_weight_zero_point(const Channel *e) {
    if (e->weight_zero_point == 0) {
        return;
    }
    printf("   The weights have a zero point, too: %" PRId32 ".\n", e->weight_zero_point);
    if (e->input_zero_point != 0) {
        printf("   What is folded in has two parts, the stored weights' sum being %" PRId64 ":\n"
               "     input's zero point   -(%" PRId32 ") * %" PRId64 " = %" PRId64 "\n"
               "     both zero points     %" PRId64 " * %" PRId32 " * %" PRId32 " = %" PRId64 "\n",
               e->stored_weight_sum, e->input_zero_point, e->stored_weight_sum,
               -e->input_zero_point * e->stored_weight_sum, e->weight_count, e->input_zero_point,
               e->weight_zero_point, e->weight_count * e->input_zero_point * e->weight_zero_point);
    }
    printf("   The weights' own part differs from output to output and can't be folded in:\n"
           "     weights' zero point  -(%" PRId32 ") * sum of the window's stored inputs\n",
           e->weight_zero_point);
}

static void tell_range(const Channel *e) {
    printf("\n3. The zero point of the input, and room in int32\n");
    if (e->input_zero_point == 0) {
        printf("   The input's zero point is 0, so the stored integers can be multiplied as they "
               "are.\n");
    } else {
        printf("   Kernels multiply the stored x. What is too much is the same for every output,\n"
               "   zero point * sum of the weights = %" PRId32 " * %" PRId64
               ", and is taken off the "
               "bias\n   beforehand: %" PRId64 " is folded in.\n",
               e->input_zero_point, e->weight_sum, e->zero_point_correction);
    }
    tell_weight_zero_point(e);
    printf("   Whatever the input, the sum of the %" PRId64 " products is between %" PRId64
           " and %" PRId64
           ";\n   with the bias it takes at most %.3g%% of int32: it %s overflow.\n",
           e->weight_count, e->accumulator_minimum, e->accumulator_maximum, e->int32_share * 100,
           e->int32_share < 1 ? "can't" : "CAN");
}

static void tell_multiplier(OctetRequantize mode, const Channel *e) {
    if (!(e->output_scale > 0)) {
        printf("\n4. The output stays in float: the sum times %.9g.\n", e->bias_scale);
        return;
    }
    printf("\n4. From the sum to a step of the output\n"
           "   unit / output scale = %.9g / %.9g = %.9g\n",
           e->bias_scale, (double)e->output_scale, e->exact_multiplier);
    if (is_fixed_point(mode)) {
        printf("   in integers: %" PRId32 " * 2^%" PRId32 "\n", e->fixed.mantissa,
               e->fixed.shift - 31);
    } else {
        printf("   in float32: %.9g (for targets without floating point: %" PRId32 " * 2^%" PRId32
               ")\n",
               (double)e->multiplier, e->fixed.mantissa, e->fixed.shift - 31);
    }
}

/* The first products of a window, as far as a line holds them. */
static void tell_products(const OctetPixelExplanation *pixel) {
    enum { SHOWN = 10 };
    int64_t shown = pixel->count < SHOWN ? pixel->count : SHOWN;
    const char *more = pixel->count > SHOWN ? " ..." : "";
    printf("   inputs       x =");
    for (int64_t i = 0; i < shown; i++) {
        printf(" %5" PRId32, pixel->inputs[i]);
    }
    printf("%s\n   weights      w =", more);
    for (int64_t i = 0; i < shown; i++) {
        printf(" %5" PRId32, pixel->weights[i]);
    }
    printf("%s\n", more);
}

static void tell_window(const OctetPixelExplanation *pixel) {
    const Channel *e = &pixel->channel;
    printf("\n5. An example: output [");
    for (int32_t i = 0; i < pixel->rank; i++) {
        printf("%s%" PRId64, i ? ", " : "", pixel->position[i]);
    }
    printf("] of this input, a window of %" PRId64 " products", pixel->count);
    if (pixel->count < e->weight_count) {
        printf(" (%" PRId64 " more in the\n   padding are 0)", e->weight_count - pixel->count);
    }
    printf("\n");
    tell_products(pixel);
    printf("   as stored    sum of x * w = %" PRId64 "\n", pixel->product_sum);
    if (e->input_zero_point != 0) {
        printf("   input's zp   %" PRId32 " times the sum of w, %" PRId64 ", is taken off: %" PRId64
               "\n",
               e->input_zero_point, pixel->weight_sum, -e->input_zero_point * pixel->weight_sum);
    }
    if (e->weight_zero_point != 0) {
        printf("   weights' zp  %" PRId32 " times the sum of x, %" PRId64 ", is taken off: %" PRId64
               "\n",
               e->weight_zero_point, pixel->input_sum, -e->weight_zero_point * pixel->input_sum);
    }
    if (e->input_zero_point != 0 && e->weight_zero_point != 0) {
        printf("   both         what was taken off twice: %" PRId64 " * %" PRId32 " * %" PRId32
               " = %" PRId64 "\n",
               pixel->count, e->input_zero_point, e->weight_zero_point,
               pixel->count * e->input_zero_point * e->weight_zero_point);
    }
    printf("   sum          %" PRId64 "\n", e->example_accumulator);
}

static void tell_uniform(const Channel *e) {
    const double real_input =
        ((double)e->example_input - e->input_zero_point) * (double)e->input_scale;
    printf("\n5. An example: all inputs of the window are %" PRId32 ", which is %.6g\n"
           "   sum          (%" PRId32 " - %" PRId32 ") * %" PRId64 " (the weights' sum) = %" PRId64
           "\n",
           e->example_input, real_input, e->example_input, e->input_zero_point, e->weight_sum,
           e->example_accumulator);
}

static void tell_result(const Channel *e) {
    if (e->bias_stays_real) {
        printf("   with bias    %" PRId64 " + %.9g\n", e->example_accumulator, e->bias_added);
    } else {
        printf("   with bias    %" PRId64 " + %" PRId32 " = %" PRId64 "\n", e->example_accumulator,
               e->bias_integer, e->example_sum);
    }
    if (!(e->output_scale > 0)) {
        printf("   real         %.9g\n", (double)e->example_sum * e->bias_scale);
        return;
    }
    printf("   in steps     times the multiplier: %.9g\n"
           "   integer      rounded, plus %" PRId32 ", kept in [%" PRId32 ", %" PRId32 "]: %" PRId32
           "\n"
           "   real         (%" PRId32 " - %" PRId32
           ") * %.9g = %.9g; in float arithmetic, before any\n"
           "                activation: %.9g\n",
           e->example_steps, e->output_zero_point, e->output_minimum, e->output_maximum,
           e->example_output, e->example_output, e->output_zero_point, (double)e->output_scale,
           (double)(e->example_output - e->output_zero_point) * (double)e->output_scale,
           e->example_exact);
}

void explain_print_channel(const OctetLayerExplanation *layer, int64_t channel,
                           const OctetPixelExplanation *pixel) {
    const Channel *e = pixel ? &pixel->channel : &layer->channels[channel];
    printf("%s (%s), output channel %" PRId64 " of %" PRId64 ", in the arithmetic of %s\n\n",
           layer->name, layer->op_type, channel, layer->channel_count,
           octet_requantize_name(layer->mode));
    tell_grids(e);
    tell_bias(layer->mode, e);
    tell_range(e);
    tell_multiplier(layer->mode, e);
    if (pixel) {
        tell_window(pixel);
    } else {
        tell_uniform(e);
    }
    tell_result(e);
}
