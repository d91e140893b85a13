#include "octet/observer.h"

#include <string.h>

/* Names in the order of the enumeration that they belong to. */
static const char *const qschemes[] = {"per_tensor_affine", "per_tensor_symmetric",
                                       "per_channel_affine", "per_channel_symmetric",
                                       "per_channel_affine_float_qparams"};
static const char *const requantizes[] = {"onnx", "fbgemm", "qnnpack", "tflite", "tflite-single"};
static const char *const policies[] = {"repair", "keep", "float"};
static const char *const observers[] = {
    "minmax",    "moving-average",  "per-channel-minmax", "moving-average-per-channel",
    "histogram", "torch-histogram", "percentile",         "entropy",
    "mse",       "fixed-qparams",   "placeholder",        "recording",
    "noop",      "reuse-input"};
static const struct {
    OctetDType dtype;
    const char *name;
} qdtypes[] = {{OCTET_U8, "quint8"},   {OCTET_S8, "qint8"},   {OCTET_S32, "qint32"},
               {OCTET_U16, "quint16"}, {OCTET_S16, "qint16"}, {OCTET_U4, "quint4"},
               {OCTET_S4, "qint4"}};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *name_of(const char *const *names, size_t count, size_t index) {
    return index < count ? names[index] : "?";
}

/* The index of a name, or count. */
static size_t index_of(const char *const *names, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

const char *octet_qscheme_name(OctetQScheme qscheme) {
    return name_of(qschemes, COUNT(qschemes), (size_t)qscheme);
}

bool octet_qscheme_parse(const char *name, OctetQScheme *qscheme) {
    size_t index = index_of(qschemes, COUNT(qschemes), name);
    if (index == COUNT(qschemes)) {
        return false;
    }
    *qscheme = (OctetQScheme)index;
    return true;
}

bool octet_qscheme_is_per_channel(OctetQScheme qscheme) {
    return qscheme == OCTET_PER_CHANNEL_AFFINE || qscheme == OCTET_PER_CHANNEL_SYMMETRIC ||
           qscheme == OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS;
}

bool octet_qscheme_is_symmetric(OctetQScheme qscheme) {
    return qscheme == OCTET_PER_TENSOR_SYMMETRIC || qscheme == OCTET_PER_CHANNEL_SYMMETRIC;
}

const char *octet_qdtype_name(OctetDType dtype) {
    for (size_t i = 0; i < COUNT(qdtypes); i++) {
        if (qdtypes[i].dtype == dtype) {
            return qdtypes[i].name;
        }
    }
    return "?";
}

bool octet_qdtype_parse(const char *name, OctetDType *dtype) {
    for (size_t i = 0; i < COUNT(qdtypes); i++) {
        if (strcmp(qdtypes[i].name, name) == 0 ||
            strcmp(octet_dtype_name(qdtypes[i].dtype), name) == 0) {
            *dtype = qdtypes[i].dtype;
            return true;
        }
    }
    return false;
}

const char *octet_requantize_name(OctetRequantize mode) {
    return name_of(requantizes, COUNT(requantizes), (size_t)mode);
}

bool octet_requantize_parse(const char *name, OctetRequantize *mode) {
    size_t index = index_of(requantizes, COUNT(requantizes), name);
    if (index == COUNT(requantizes)) {
        return false;
    }
    *mode = (OctetRequantize)index;
    return true;
}

const char *octet_bias_policy_name(OctetBiasPolicy policy) {
    return name_of(policies, COUNT(policies), (size_t)policy);
}

bool octet_bias_policy_parse(const char *name, OctetBiasPolicy *policy) {
    size_t index = index_of(policies, COUNT(policies), name);
    if (index == COUNT(policies)) {
        return false;
    }
    *policy = (OctetBiasPolicy)index;
    return true;
}

const char *octet_observer_type_name(OctetObserverType type) {
    return name_of(observers, COUNT(observers), (size_t)type);
}

bool octet_observer_type_parse(const char *name, OctetObserverType *type) {
    size_t index = index_of(observers, COUNT(observers), name);
    if (index == COUNT(observers)) {
        return false;
    }
    *type = (OctetObserverType)index;
    return true;
}
