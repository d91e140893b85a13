#include "octet/qconfig.h"
#include "base/diag.h"

#include <string.h>

/* The short names, in the order that help texts show them in. */
static const char *const names[] = {"octet",
                                    "fbgemm",
                                    "x86",
                                    "qnnpack",
                                    "onednn",
                                    "symmetric_qnnpack",
                                    "per_channel_symmetric_qnnpack",
                                    "default",
                                    "default_per_channel",
                                    "none"};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

static const float qnnpack_eps = 0x1p-12F;

static OctetObserverOptions histogram(OctetDType dtype, bool reduce_range, float eps) {
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_HISTOGRAM);
    options.spec.dtype = dtype;
    options.spec.reduce_range = reduce_range;
    options.spec.eps = eps;
    return options;
}

/* PyTorch's default_observer: min/max into [0, 127]. */
static OctetObserverOptions minmax_seven_bits(void) {
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_MINMAX);
    options.spec.custom_range = true;
    options.spec.quant_min = 0;
    options.spec.quant_max = 127;
    return options;
}

/* s8 symmetric weights as PyTorch's default_weight_observer and default_per_channel one. */
static OctetObserverOptions weights(bool per_channel) {
    OctetObserverOptions options = octet_observer_options(
        per_channel ? OCTET_OBSERVER_PER_CHANNEL_MINMAX : OCTET_OBSERVER_MINMAX);
    options.spec.dtype = OCTET_S8;
    options.spec.qscheme = per_channel ? OCTET_PER_CHANNEL_SYMMETRIC : OCTET_PER_TENSOR_SYMMETRIC;
    return options;
}

/* Without -128, as XNNPACK needs them. */
static OctetObserverOptions weights_127(bool per_channel) {
    OctetObserverOptions options = weights(per_channel);
    options.spec.custom_range = true;
    options.spec.quant_min = -127;
    options.spec.quant_max = 127;
    options.spec.eps = qnnpack_eps;
    return options;
}

OctetQConfig octet_qconfig_default(void) {
    OctetQConfig qconfig = {.quantize = true,
                            .activation = octet_observer_options(OCTET_OBSERVER_MINMAX),
                            .weight = weights(true)};
    qconfig.weight.spec.symmetry = OCTET_SYMMETRY_ABSMAX;
    return qconfig;
}

OctetQConfig octet_qconfig_none(void) {
    return (OctetQConfig){.quantize = false,
                          .activation = octet_observer_options(OCTET_OBSERVER_NOOP),
                          .weight = octet_observer_options(OCTET_OBSERVER_NOOP)};
}

const char *octet_qconfig_name(int32_t index) {
    return index >= 0 && index < NAME_COUNT ? names[index] : NULL;
}

/* Cuts PyTorch's "default_" and "_qconfig" off a name: true if what is left is `short_name`. */
static bool is_named(const char *name, const char *short_name) {
    if (strcmp(name, short_name) == 0) {
        return true;
    }
    const char suffix[] = "_qconfig", prefix[] = "default_";
    size_t length = strlen(name), cut = sizeof suffix - 1;
    if (length <= cut || strcmp(name + length - cut, suffix) != 0) {
        return false;
    }
    length -= cut;
    if (length == strlen(short_name) && strncmp(name, short_name, length) == 0) {
        return true;
    }
    size_t head = sizeof prefix - 1;
    return length > head && strncmp(name, prefix, head) == 0 &&
           length - head == strlen(short_name) &&
           strncmp(name + head, short_name, length - head) == 0;
}

OctetStatus octet_qconfig_by_name(const char *name, OctetQConfig *qconfig,
                                  OctetDiagnostic *diagnostic) {
    int index = 0;
    while (index < NAME_COUNT && !is_named(name, names[index])) {
        index++;
    }
    const float eps = octet_observer_options(OCTET_OBSERVER_HISTOGRAM).spec.eps;
    *qconfig = (OctetQConfig){.quantize = true, .requantize = OCTET_REQUANTIZE_FBGEMM};
    switch (index) {
    case 0:
        *qconfig = octet_qconfig_default();
        return OCTET_OK;
    case 1:
    case 2:
        qconfig->activation = histogram(OCTET_U8, true, eps);
        qconfig->weight = weights(true);
        return OCTET_OK;
    case 3:
        qconfig->requantize = OCTET_REQUANTIZE_QNNPACK;
        /* fall through */
    case 4:
        qconfig->activation = histogram(OCTET_U8, false, eps);
        qconfig->weight = weights(index == 4);
        return OCTET_OK;
    case 5:
    case 6:
        qconfig->requantize = OCTET_REQUANTIZE_QNNPACK;
        qconfig->activation = histogram(OCTET_S8, false, qnnpack_eps);
        qconfig->weight = weights_127(index == 6);
        return OCTET_OK;
    case 7:
    case 8:
        qconfig->activation = minmax_seven_bits();
        qconfig->weight = weights(index == 8);
        return OCTET_OK;
    case 9:
        *qconfig = octet_qconfig_none();
        return OCTET_OK;
    default:
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "there is no qconfig \"%s\"",
                        name);
    }
}

static OctetStatus check_observer(const OctetObserverOptions *options,
                                  OctetDiagnostic *diagnostic) {
    OctetObserverType type = options->type;
    if (type == OCTET_OBSERVER_PLACEHOLDER || type == OCTET_OBSERVER_RECORDING ||
        type == OCTET_OBSERVER_REUSE_INPUT) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the %s observer computes no parameters, so no qconfig can have it (noop "
                        "leaves an operator in float)",
                        octet_observer_type_name(type));
    }
    return octet_observer_options_check(options, diagnostic);
}

OctetStatus octet_qconfig_check(const OctetQConfig *qconfig, OctetDiagnostic *diagnostic) {
    if (!qconfig->quantize) {
        return OCTET_OK;
    }
    OCT_TRY(check_observer(&qconfig->activation, diagnostic));
    return check_observer(&qconfig->weight, diagnostic);
}
