#include "common.h"

#include "border.h"

#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const Option general_options[] = {
    {"json", OPTION_FLAG, offsetof(GeneralOptions, json), NULL,
     "Print one JSON object on standard output.", NULL},
    {"quiet", OPTION_FLAG, offsetof(GeneralOptions, quiet), NULL, "No progress, no warnings.",
     NULL},
    {0},
};

static const char threads_help[] =
    "Threads to compute with (default: one a core); samples are decoded on one more. Results do "
    "not depend on it.";

const Option thread_options[] = {
    {"threads", OPTION_COUNT, offsetof(RunOptions, threads), "N", threads_help, NULL},
    {0},
};

static const char *const requantize_names[] = {"onnx",   "fbgemm",        "qnnpack",
                                               "tflite", "tflite-single", NULL};

const Option run_options[] = {
    {"threads", OPTION_COUNT, offsetof(RunOptions, threads), "N", threads_help, NULL},
    {"requantize", OPTION_CHOICE, offsetof(RunOptions, requantize), "MODE",
     "Whose integers to compute: onnx (the default), fbgemm, qnnpack, tflite, tflite-single.",
     requantize_names},
    {0},
};

OctetRequantize run_requantize(const RunOptions *options) {
    OctetRequantize mode = OCTET_REQUANTIZE_ONNX;
    if (options->requantize) {
        octet_requantize_parse(options->requantize, &mode);
    }
    return mode;
}

static const char *const preset_names[] = {"imagenet", "caffe", "unit", "raw", NULL};
static const char *const channel_names[] = {"rgb", "bgr", "gray", NULL};

const Option preprocess_options[] = {
    {"preprocess", OPTION_CHOICE, offsetof(PreprocessOptions, preset), "NAME",
     "imagenet: short side to 256, center crop 224, rgb, divide 255, mean 0.485,0.456,0.406, std "
     "0.229,0.224,0.225; caffe: 256, 224, bgr, divide 1, mean 104,117,123; unit: divide 255; raw: "
     "nothing. Default: what the model's metadata says, else unit for images, raw for arrays. The "
     "options below override its parts.",
     preset_names},
    {"resize", OPTION_TEXT, offsetof(PreprocessOptions, resize), "N|WxH",
     "Resize images: short side to N, or to W x H; none. Without it an image is scaled to the "
     "model's input size.",
     NULL},
    {"crop", OPTION_TEXT, offsetof(PreprocessOptions, crop), "N",
     "Crop the middle N x N of an image; none.", NULL},
    {"channels", OPTION_CHOICE, offsetof(PreprocessOptions, channels), "ORDER",
     "rgb, bgr or gray (default: as many as the model has, rgb).", channel_names},
    {"divide", OPTION_TEXT, offsetof(PreprocessOptions, divide), "D",
     "Values become (x / D - mean) / std.", NULL},
    {"mean", OPTION_TEXT, offsetof(PreprocessOptions, mean), "A,B,C",
     "One number, or one a channel in the model's order.", NULL},
    {"std", OPTION_TEXT, offsetof(PreprocessOptions, std), "A,B,C", "Likewise.", NULL},
    {0},
};

const Option data_options[] = {
    {"samples", OPTION_COUNT, offsetof(DataOptions, samples), "N", "Use the first N samples only.",
     NULL},
    {"strict", OPTION_FLAG, offsetof(DataOptions, strict), NULL,
     "Fail at an unreadable image instead of skipping it.", NULL},
    {0},
};

/* The parts of a preprocessing that have options of their own. */
static const struct {
    const char *key;
    size_t offset;
} parts[] = {
    {"resize", offsetof(PreprocessOptions, resize)},
    {"crop", offsetof(PreprocessOptions, crop)},
    {"channels", offsetof(PreprocessOptions, channels)},
    {"divide", offsetof(PreprocessOptions, divide)},
    {"mean", offsetof(PreprocessOptions, mean)},
    {"std", offsetof(PreprocessOptions, std)},
};
enum { PARTS = sizeof parts / sizeof *parts };

static const char *part_value(const PreprocessOptions *options, size_t index) {
    return *(const char *const *)(const void *)((const char *)options + parts[index].offset);
}

static bool any_part(const PreprocessOptions *options) {
    for (size_t i = 0; i < PARTS; i++) {
        if (part_value(options, i)) {
            return true;
        }
    }
    return false;
}

bool preprocess_given(const PreprocessOptions *options) {
    return options->preset || any_part(options);
}

int preprocess_check(const char *command, const PreprocessOptions *options) {
    OctetPreprocess scratch;
    octet_preprocess_preset("raw", &scratch);
    for (size_t i = 0; i < PARTS; i++) {
        OctetDiagnostic diagnostic = {0};
        const char *value = part_value(options, i);
        if (value && octet_preprocess_set(&scratch, parts[i].key, value, &diagnostic) != OCTET_OK) {
            return usage_error(command, "--%s", diagnostic.message);
        }
    }
    return 0;
}

OctetStatus preprocess_resolve(const PreprocessOptions *options, const char *stored, bool images,
                               OctetPreprocess *preprocess, OctetDiagnostic *diagnostic) {
    if (options->preset) {
        octet_preprocess_preset(options->preset, preprocess);
    } else if (stored) {
        OctetStatus status = octet_preprocess_parse(stored, preprocess, diagnostic);
        if (status != OCTET_OK) {
            return status;
        }
    } else {
        octet_preprocess_preset(images && !any_part(options) ? "unit" : "raw", preprocess);
    }
    for (size_t i = 0; i < PARTS; i++) {
        const char *value = part_value(options, i);
        if (value) {
            OctetStatus status = octet_preprocess_set(preprocess, parts[i].key, value, diagnostic);
            if (status != OCTET_OK) {
                return status;
            }
        }
    }
    /* what the user asks for applies to whatever data there is */
    preprocess->float_arrays = preprocess->float_arrays || preprocess_given(options);
    return OCTET_OK;
}

OctetStatus model_load(const char *path, OctetGraph **graph, OctetDiagnostic *diagnostic) {
    const OctetLoadOptions options = load_limits();
    OctetStatus status = octet_model_load(path, &options, graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_fuse(*graph, diagnostic);
        if (status != OCTET_OK) {
            octet_graph_free(*graph);
            *graph = NULL;
        }
    }
    return status;
}

bool node_in_int8(const OctetNode *node) {
    if (octet_node_is_int8(node)) {
        return true;
    }
    if (octet_node_input_count(node) < 2) {
        return false;
    }
    const OctetValue *input = octet_node_input(node, 0);
    const OctetValue *weight = octet_node_input(node, 1);
    return input && weight && octet_value_tensor(weight) && octet_value_qparams(input) &&
           octet_value_qparams(weight);
}

static bool is_float(OctetDType dtype) {
    return dtype == OCTET_F32 || dtype == OCTET_F64 || dtype == OCTET_F16 || dtype == OCTET_BF16;
}

OctetDataInput *model_inputs(const OctetGraph *graph, bool real, int32_t *count) {
    size_t inputs = octet_graph_input_count(graph);
    OctetDataInput *made = checked_calloc(inputs, sizeof(*made));
    for (size_t i = 0; i < inputs; i++) {
        const OctetValue *value = octet_graph_input_at(graph, i);
        OctetDType dtype = octet_value_dtype(value);
        /* sessions take real numbers for quantized inputs and quantize them */
        BorderGrid grid;
        bool floats = octet_value_qparams(value) || is_float(dtype) ||
                      (real && border_input_grid(graph, i, &grid));
        made[i] = (OctetDataInput){.name = octet_value_name(value),
                                   .dtype = floats ? OCTET_F32 : dtype,
                                   .shape = octet_value_shape(value)};
    }
    *count = (int32_t)inputs;
    return made;
}

OctetStatus pool_create(const RunOptions *options, OctetThreadPool **pool,
                        OctetDiagnostic *diagnostic) {
    *pool = NULL;
    if (options->threads > 4096) {
        return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL, "%lld threads are too many",
                    (long long)options->threads);
    }
    return octet_thread_pool_create((size_t)options->threads, pool, diagnostic);
}

OctetStatus fail(OctetDiagnostic *diagnostic, OctetStatus status, const char *file,
                 const char *format, ...) {
    if (diagnostic->status != OCTET_OK) {
        return status;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(diagnostic->message, sizeof diagnostic->message, format, arguments);
    va_end(arguments);
    diagnostic->status = status;
    snprintf(diagnostic->file, sizeof diagnostic->file, "%s", file ? file : "");
    return status;
}

OctetStatus check_writable(const char *path, OctetDiagnostic *diagnostic) {
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return fail(diagnostic, OCTET_ERROR_IO, path, "can't write here: this is a folder");
        }
        if (!S_ISREG(info.st_mode)) {
            return OCTET_OK;
        }
    }
    char *folder = checked_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        slash[slash == folder] = '\0';
    }
    int denied = access(slash ? folder : ".", W_OK | X_OK);
    OctetStatus status = OCTET_OK;
    if (denied) {
        status =
            fail(diagnostic, OCTET_ERROR_IO, path, "can't create the file: %s", strerror(errno));
    }
    free(folder);
    return status;
}

int64_t arg_max(const float *values, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++) {
        if (values[i] > values[best] || values[best] != values[best]) {
            best = i;
        }
    }
    return best;
}

int64_t top_values(const float *values, int64_t count, int64_t most, int64_t *indices) {
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = kept;
        while (at > 0 && values[i] > values[indices[at - 1]]) {
            at--;
        }
        if (at == most) {
            continue;
        }
        int64_t last = kept < most ? kept : most - 1;
        memmove(indices + at + 1, indices + at, (size_t)(last - at) * sizeof(*indices));
        indices[at] = i;
        kept = last + 1;
    }
    return kept;
}
