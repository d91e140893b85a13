/* octet observe: what an observer makes of arrays, each file one batch. */
#include "commands.h"
#include "common.h"
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

typedef struct Settings {
    TextList operands;
    const char *observer, *dtype, *qscheme, *axis, *quant_min, *quant_max, *eps,
        *averaging_constant, *percentile;
    int64_t bins, upsample_rate;
    bool reduce_range, absmax, json;
} Settings;

static int read_number(const char *option, const char *text, double *number) {
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !isfinite(*number)) {
        return usage_error("observe", "--%s %s: not a number", option, text);
    }
    return 0;
}

static int read_integer(const char *option, const char *text, int32_t *number) {
    double value;
    int code = read_number(option, text, &value);
    if (code == 0 && (value != floor(value) || fabs(value) > 0x1p31 || value == 0x1p31)) {
        code = usage_error("observe", "--%s %s: not an integer of 32 bits", option, text);
    }
    *number = code == 0 ? (int32_t)value : 0;
    return code;
}

static int read_range(const Settings *settings, OctetQSpec *spec) {
    if (!settings->quant_min != !settings->quant_max) {
        return usage_error("observe", "--quant-min and --quant-max go together");
    }
    if (!settings->quant_min) {
        return 0;
    }
    spec->custom_range = true;
    int code = read_integer("quant-min", settings->quant_min, &spec->quant_min);
    return code == 0 ? read_integer("quant-max", settings->quant_max, &spec->quant_max) : code;
}

static int read_constants(const Settings *settings, OctetObserverOptions *options) {
    double number = 0;
    int code = 0;
    if (settings->axis) {
        code = read_integer("axis", settings->axis, &options->axis);
    }
    if (code == 0 && settings->eps) {
        code = read_number("eps", settings->eps, &number);
        options->spec.eps = (float)number;
    }
    if (code == 0 && settings->averaging_constant) {
        code = read_number("averaging-constant", settings->averaging_constant, &number);
        options->averaging_constant = (float)number;
    }
    if (code == 0 && settings->percentile) {
        code = read_number("percentile", settings->percentile, &options->percentile);
    }
    return code;
}

static int read_options(const Settings *settings, OctetObserverOptions *options) {
    OctetObserverType type = OCTET_OBSERVER_MINMAX;
    if (settings->observer) {
        octet_observer_type_parse(settings->observer, &type);
    }
    *options = octet_observer_options(type);
    if (settings->dtype && !octet_qdtype_parse(settings->dtype, &options->spec.dtype)) {
        return usage_error("observe", "--dtype %s: use quint8, qint8 or qint32", settings->dtype);
    }
    if (settings->qscheme) {
        octet_qscheme_parse(settings->qscheme, &options->spec.qscheme);
    }
    options->spec.reduce_range = settings->reduce_range;
    options->spec.symmetry = settings->absmax ? OCTET_SYMMETRY_ABSMAX : OCTET_SYMMETRY_PYTORCH;
    if (settings->bins) {
        options->bins = settings->bins > INT32_MAX ? INT32_MAX : (int32_t)settings->bins;
    }
    if (settings->upsample_rate) {
        options->upsample_rate =
            settings->upsample_rate > INT32_MAX ? INT32_MAX : (int32_t)settings->upsample_rate;
    }
    int code = read_range(settings, &options->spec);
    return code == 0 ? read_constants(settings, options) : code;
}

static OctetStatus observe_file(OctetObserver *observer, const char *path,
                                OctetDiagnostic *diagnostic) {
    OctetTensor *read = NULL, *real = NULL;
    OctetStatus status = octet_npy_read(path, &read, diagnostic);
    if (status == OCTET_OK) {
        status = octet_tensor_cast(read, OCTET_F32, &real, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_observer_observe(observer, real->data, &real->shape, diagnostic);
    }
    octet_tensor_free(read);
    octet_tensor_free(real);
    return status == OCTET_OK ? check_interrupt(diagnostic) : status;
}

/* All files once for each pass, in the order given. */
static OctetStatus observe_files(OctetObserver *observer, const TextList *files,
                                 OctetDiagnostic *diagnostic) {
    int32_t passes = octet_observer_passes(observer);
    OctetStatus status = OCTET_OK;
    for (int32_t pass = 0; status == OCTET_OK && pass < passes; pass++) {
        if (pass > 0) {
            status = octet_observer_next_pass(observer, diagnostic);
        }
        for (size_t i = 0; status == OCTET_OK && i < files->count; i++) {
            status = observe_file(observer, files->items[i], diagnostic);
        }
    }
    return status;
}

/* One number, or a list where there is one a channel. */
static json_t *json_floats(const float *values, int64_t count, bool list) {
    if (!list) {
        return json_number((double)values[0]);
    }
    json_t *array = json_new_array();
    for (int64_t i = 0; i < count; i++) {
        json_push(array, json_number((double)values[i]));
    }
    return array;
}

static OctetStatus add_qparams(const OctetObserver *observer, json_t *object,
                               OctetDiagnostic *diagnostic) {
    const OctetQSpec *spec = &octet_observer_get_options(observer)->spec;
    bool list = octet_qscheme_is_per_channel(spec->qscheme);
    int64_t count;
    if (spec->qscheme == OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS) {
        float *scale, *zero_point;
        OctetStatus status = octet_observer_calculate_float_qparams(observer, &scale, &zero_point,
                                                                    &count, diagnostic);
        if (status == OCTET_OK) {
            json_add(object, "scale", json_floats(scale, count, list));
            json_add(object, "zero_point", json_floats(zero_point, count, list));
            octet_floats_free(scale);
            octet_floats_free(zero_point);
        }
        return status;
    }
    OctetQParams qparams;
    OctetStatus status = octet_observer_calculate_qparams(observer, &qparams, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    json_t *zeros = json_new_array();
    for (int64_t i = 0; i < qparams.count; i++) {
        json_push(zeros, json_integer(qparams.zero_point[i]));
    }
    json_add(object, "scale", json_floats(qparams.scale, qparams.count, list));
    json_add(object, "zero_point", list ? zeros : json_integer(qparams.zero_point[0]));
    if (!list) {
        json_decref(zeros);
    }
    octet_qparams_clear(&qparams);
    return OCTET_OK;
}

static OctetStatus add_all(const OctetObserver *observer, json_t *object,
                           OctetDiagnostic *diagnostic) {
    const OctetObserverOptions *options = octet_observer_get_options(observer);
    OctetObserverStats stats;
    int32_t low, high;
    OctetStatus status = octet_qspec_range(&options->spec, &low, &high, diagnostic);
    if (status == OCTET_OK) {
        status = add_qparams(observer, object, diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    octet_observer_stats(observer, &stats);
    bool list = octet_qscheme_is_per_channel(options->spec.qscheme);
    json_add(object, "min", json_floats(stats.minimum, stats.channels, list));
    json_add(object, "max", json_floats(stats.maximum, stats.channels, list));
    json_add(object, "observer", json_text(octet_observer_type_name(options->type)));
    json_add(object, "dtype", json_text(octet_qdtype_name(options->spec.dtype)));
    json_add(object, "qscheme", json_text(octet_qscheme_name(options->spec.qscheme)));
    json_add(object, "quant_min", json_integer(low));
    json_add(object, "quant_max", json_integer(high));
    json_add(object, "batches", json_integer(stats.batches));
    json_add(object, "values", json_integer(stats.values));
    json_add(object, "nan", json_integer(stats.nan));
    json_add(object, "infinite", json_integer(stats.infinite));
    return OCTET_OK;
}

static int run_observe(const void *given) {
    const Settings *settings = given;
    OctetObserverOptions options;
    OctetDiagnostic diagnostic = {0};
    OctetObserver *observer = NULL;
    int code = read_options(settings, &options);
    if (code != 0) {
        return code;
    }
    json_t *object = json_new_object();
    OctetStatus status = octet_observer_create(&options, &observer, &diagnostic);
    if (status == OCTET_OK) {
        status = observe_files(observer, &settings->operands, &diagnostic);
    }
    if (status == OCTET_OK) {
        status = add_all(observer, object, &diagnostic);
    }
    if (status == OCTET_OK) {
        json_print_exact(object);
    } else {
        json_decref(object);
        code = report_failure(&diagnostic);
    }
    octet_observer_free(observer);
    return code;
}

static const char *const observers[] = {"minmax",
                                        "moving-average",
                                        "per-channel-minmax",
                                        "moving-average-per-channel",
                                        "histogram",
                                        "torch-histogram",
                                        "percentile",
                                        "entropy",
                                        "mse",
                                        NULL};
static const char *const qschemes[] = {"per_tensor_affine",
                                       "per_tensor_symmetric",
                                       "per_channel_affine",
                                       "per_channel_symmetric",
                                       "per_channel_affine_float_qparams",
                                       NULL};

static const Option option_list[] = {
    {"observer", OPTION_CHOICE, offsetof(Settings, observer), "NAME",
     "minmax (the default), moving-average, per-channel-minmax, moving-average-per-channel, "
     "histogram (two passes over the files), torch-histogram (PyTorch's single pass), percentile, "
     "entropy, mse.",
     observers},
    {"dtype", OPTION_TEXT, offsetof(Settings, dtype), "TYPE",
     "quint8 (the default), qint8 or qint32.", NULL},
    {"qscheme", OPTION_CHOICE, offsetof(Settings, qscheme), "SCHEME",
     "per_tensor_affine, per_tensor_symmetric, per_channel_affine, per_channel_symmetric, "
     "per_channel_affine_float_qparams. Default: affine, per channel for the observers named so.",
     qschemes},
    {"axis", OPTION_TEXT, offsetof(Settings, axis), "K",
     "The channels' axis (0); from the end if negative.", NULL},
    {"reduce-range", OPTION_FLAG, offsetof(Settings, reduce_range), NULL, "Use one bit less.",
     NULL},
    {"quant-min", OPTION_TEXT, offsetof(Settings, quant_min), "A",
     "The least integer; with --quant-max.", NULL},
    {"quant-max", OPTION_TEXT, offsetof(Settings, quant_max), "B",
     "The greatest integer; with --quant-min.", NULL},
    {"eps", OPTION_TEXT, offsetof(Settings, eps), "E", "The least scale (2^-23).", NULL},
    {"averaging-constant", OPTION_TEXT, offsetof(Settings, averaging_constant), "C",
     "The weight of each new batch in a moving average (0.01).", NULL},
    {"bins", OPTION_COUNT, offsetof(Settings, bins), "N", "Bins of a histogram (2048).", NULL},
    {"upsample-rate", OPTION_COUNT, offsetof(Settings, upsample_rate), "N",
     "How finely torch-histogram spreads old bins (128).", NULL},
    {"percentile", OPTION_TEXT, offsetof(Settings, percentile), "P",
     "Per cent of the values that percentile keeps (99.99).", NULL},
    {"absmax", OPTION_FLAG, offsetof(Settings, absmax), NULL,
     "Symmetric scales as ONNX Runtime and TensorFlow Lite take them, absmax / 127, instead of "
     "PyTorch's absmax / 127.5.",
     NULL},
    {"json", OPTION_FLAG, offsetof(Settings, json), NULL, "JSON is what is printed anyway.", NULL},
    {0},
};

static const OptionGroup groups[] = {{"Options", option_list, 0}, {0}};

const Command observe_command = {
    .name = "observe",
    .summary = "Scale and zero point that an observer finds for arrays.",
    .usage = "[options] FILE.npy...",
    .description =
        "Takes each file as one batch, in the order given, and prints one JSON object with scale, "
        "zero_point, min and max: numbers, or lists where the scheme is per channel. The numbers "
        "are those of PyTorch's observers to the last bit (docs/numerics.md).",
    .examples = "  octet observe --observer moving-average a.npy b.npy c.npy\n"
                "  octet observe --observer per-channel-minmax --dtype qint8 --qscheme "
                "per_channel_symmetric weight.npy\n",
    .groups = groups,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = SIZE_MAX,
    .run = run_observe,
};
