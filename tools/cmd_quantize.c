/* octet quantize: a float model and sample data to an int8 model. */
#include "commands.h"
#include "common.h"
#include "quantize_report.h"
#include "quantize_rules.h"
#include "report.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    RunOptions run;
    PreprocessOptions preprocess;
    DataOptions data;
    const char *calib, *output;
    QuantizeRules rules;
    const char *bias, *bias_type;
    const char *format, *io, *int16_domain;
    const char *save_stats;
    TextList load_stats;
} Settings;

/* Everything that the job owns, freed in one place. */
typedef struct Job {
    const Settings *settings;
    OctetThreadPool *pool;
    OctetGraph *graph;
    OctetQConfigMapping *mapping;
    OctetPrepared *prepared;
    OctetGraph *quantized;
    Samples *samples;
    OctetPreprocess preprocess;
    QuantizeResult result;
} Job;

static void release(Job *job) {
    samples_close(job->samples);
    octet_graph_free(job->quantized);
    octet_prepared_free(job->prepared);
    octet_qconfig_mapping_free(job->mapping);
    octet_graph_free(job->graph);
    octet_thread_pool_free(job->pool);
}

static OctetStatus calibrate_pass(Job *job, int pass, int passes, OctetDiagnostic *diagnostic) {
    char label[64];
    int64_t count = samples_count(job->samples);
    snprintf(label, sizeof label,
             passes > 1 ? "calibrating, pass %d of %d:" : "calibrating:", pass + 1, passes);
    progress_start(label, count);
    job->result.calibrated = 0;
    OctetStatus status = OCTET_OK;
    for (;;) {
        Batch batch;
        status = samples_next(job->samples, &batch, diagnostic);
        if (status != OCTET_OK || !batch.inputs) {
            break;
        }
        status = octet_calibrate(job->prepared, (const OctetTensor *const *)batch.inputs,
                                 batch.input_count, diagnostic);
        job->result.calibrated += batch.count;
        progress_step(batch.visited);
        batch_release(&batch);
        if (status != OCTET_OK) {
            break;
        }
    }
    progress_end();
    if (status == OCTET_OK && job->result.calibrated == 0) {
        status = fail(diagnostic, OCTET_ERROR_FORMAT, job->settings->calib,
                      "none of the %lld samples could be read", (long long)count);
    }
    return status;
}

static OctetStatus calibrate(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    SamplesOptions options = {.path = settings->calib,
                              .data = &settings->data,
                              .preprocess = &settings->preprocess,
                              .stored = octet_graph_metadata(job->graph, PREPROCESS_KEY),
                              .prefetch = true};
    double started = seconds_now();
    OctetStatus status = samples_open(job->graph, &options, &job->samples, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    job->preprocess = samples_preprocess(job->samples);
    int passes = octet_calibrate_passes(job->prepared);
    for (int pass = 0; status == OCTET_OK && pass < passes; pass++) {
        if (pass > 0) {
            samples_rewind(job->samples);
            status = octet_calibrate_next_pass(job->prepared, diagnostic);
        }
        if (status == OCTET_OK) {
            status = calibrate_pass(job, pass, passes, diagnostic);
        }
    }
    job->result.skipped = samples_skipped(job->samples);
    job->result.calibration_seconds = seconds_now() - started;
    return status;
}

static OctetStatus load_stats(Job *job, OctetDiagnostic *diagnostic) {
    const TextList *files = &job->settings->load_stats;
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < files->count; i++) {
        status = i == 0 ? octet_stats_load(job->prepared, files->items[i], diagnostic)
                        : octet_stats_merge(job->prepared, files->items[i], diagnostic);
    }
    return status;
}

/* What the data needs is kept with the model, so that run and eval need no options for it. */
static OctetStatus store_preprocess(Job *job, OctetDiagnostic *diagnostic) {
    char text[512];
    octet_preprocess_format(&job->preprocess, text, sizeof text);
    OctetStatus status = octet_graph_set_metadata(job->quantized, PREPROCESS_KEY, text);
    if (status != OCTET_OK) {
        return fail(diagnostic, status, NULL, "out of memory");
    }
    return OCTET_OK;
}

static OctetModelIo io_of(const Settings *settings) {
    const char *io = settings->io ? settings->io : "float32";
    return strcmp(io, "int8") == 0    ? OCTET_IO_INT8
           : strcmp(io, "uint8") == 0 ? OCTET_IO_UINT8
                                      : OCTET_IO_FLOAT32;
}

/* Without a choice, biases are float where the qconfig is of a runtime that adds them in float. */
static bool float_bias(const Settings *settings) {
    bool qoperator = settings->format && strcmp(settings->format, "qoperator") == 0;
    OctetQConfig qconfig = octet_qconfig_default();
    if (settings->bias_type) {
        return strcmp(settings->bias_type, "float32") == 0;
    }
    if (settings->rules.qconfig) {
        (void)octet_qconfig_by_name(settings->rules.qconfig, &qconfig, NULL); /* checked before */
    }
    return qconfig.requantize == OCTET_REQUANTIZE_FBGEMM && !qoperator;
}

static OctetStatus convert(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    OctetConvertOptions options = {0};
    if (settings->bias) {
        octet_bias_policy_parse(settings->bias, &options.bias);
    }
    options.float_bias = float_bias(settings);
    OctetStatus status =
        octet_convert(job->prepared, &options, &job->quantized, &job->result.report, diagnostic);
    if (status == OCTET_OK && (settings->calib || preprocess_given(&settings->preprocess))) {
        status = store_preprocess(job, diagnostic);
    }
    if (status == OCTET_OK) {
        status = check_interrupt(diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    OctetSaveOptions save = {
        .format = settings->format && strcmp(settings->format, "qoperator") == 0
                      ? OCTET_FORMAT_QOPERATOR
                      : OCTET_FORMAT_QDQ,
        .io = io_of(settings),
        .microsoft_int16 = settings->int16_domain && strcmp(settings->int16_domain, "onnx") != 0};
    return octet_model_save(job->quantized, settings->output, &save, diagnostic);
}

static OctetStatus quantize(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    const char *model = settings->operands.items[0];
    OctetStatus status = OCTET_OK;
    if (settings->output) {
        status = check_writable(settings->output, diagnostic);
    }
    if (status == OCTET_OK && settings->save_stats) {
        status = check_writable(settings->save_stats, diagnostic);
    }
    if (status == OCTET_OK) {
        status = pool_create(&settings->run, &job->pool, diagnostic);
    }
    if (status == OCTET_OK) {
        status = model_load(model, &job->graph, diagnostic);
    }
    if (status == OCTET_OK) {
        status = rules_mapping(&settings->rules, job->graph, &job->mapping, diagnostic);
    }
    if (status == OCTET_OK) {
        status = preprocess_resolve(&settings->preprocess,
                                    octet_graph_metadata(job->graph, PREPROCESS_KEY), false,
                                    &job->preprocess, diagnostic);
    }
    if (status == OCTET_OK) {
        /* PyTorch quantizes every output */
        bool octets_own = !settings->rules.qconfig || strcmp(settings->rules.qconfig, "octet") == 0;
        OctetPrepareOptions options = {.pool = job->pool,
                                       .limits = run_limits(),
                                       .quantize_outputs = !octets_own,
                                       .quantize_borders = io_of(settings) != OCTET_IO_FLOAT32};
        status = octet_prepare(job->graph, job->mapping, &options, &job->prepared, diagnostic);
    }
    if (status == OCTET_OK) {
        status = settings->calib ? calibrate(job, diagnostic) : load_stats(job, diagnostic);
    }
    if (status == OCTET_OK && settings->save_stats) {
        status = octet_stats_save(job->prepared, settings->save_stats, diagnostic);
    }
    if (status == OCTET_OK && settings->output) {
        status = convert(job, diagnostic);
    }
    return status;
}

static int check_settings(const Settings *settings) {
    if (!settings->calib && settings->load_stats.count == 0) {
        return usage_error("quantize", "--calib DATA is needed (or --load-stats FILE)");
    }
    if (settings->calib && settings->load_stats.count > 0) {
        return usage_error("quantize", "--calib and --load-stats exclude each other");
    }
    if (!settings->output && !settings->save_stats) {
        return usage_error("quantize", "--output OUT.onnx is needed");
    }
    if (settings->output && strcmp(settings->output, settings->operands.items[0]) == 0) {
        return usage_error("quantize", "--output would replace the float model");
    }
    if (float_bias(settings) && settings->format && strcmp(settings->format, "qoperator") == 0) {
        return usage_error("quantize", "QLinearConv takes int32 biases alone: --bias-type float32 "
                                       "needs --format qdq");
    }
    const char *sampling = option_given(data_options, &settings->data);
    if (!settings->calib && sampling) {
        return usage_error("quantize", "--%s needs --calib", sampling);
    }
    const char *converting = settings->bias        ? "bias"
                             : settings->bias_type ? "bias-type"
                             : settings->format    ? "format"
                                                   : NULL;
    if (!settings->output && converting) {
        return usage_error("quantize", "--%s needs --output", converting);
    }
    int code = rules_check("quantize", &settings->rules);
    return code ? code : preprocess_check("quantize", &settings->preprocess);
}

static int run_quantize(const void *given) {
    const Settings *settings = given;
    int code = check_settings(settings);
    if (code != 0) {
        return code;
    }
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    OctetDiagnostic diagnostic = {0};
    Job job = {.settings = settings,
               .result = {.model = settings->operands.items[0],
                          .output = settings->output,
                          .calib = settings->calib,
                          .save_stats = settings->save_stats}};
    double started = seconds_now();
    OctetStatus status = quantize(&job, &diagnostic);
    job.result.seconds = seconds_now() - started;
    job.result.quantized = job.quantized;
    if (status != OCTET_OK) {
        code = report_failure(&diagnostic);
    } else if (settings->general.json) {
        quantize_print_json(&job.result);
    } else {
        quantize_print_text(&job.result);
    }
    release(&job);
    return code;
}

static const char *const format_names[] = {"qdq", "qoperator", NULL};
static const char *const io_names[] = {"float32", "int8", "uint8", NULL};
static const char *const int16_domains[] = {"onnx", "com.microsoft", NULL};
static const char *const bias_types[] = {"int32", "float32", NULL};
static const char *const bias_names[] = {"repair", "keep", "float", NULL};

static const Option options[] = {
    {"calib", OPTION_TEXT, offsetof(Settings, calib), "DATA",
     "Samples to calibrate with: a folder of JPEG or PNG images; an .npy whose first axis counts "
     "the samples; an .npz or a folder of .npy with one array an input; a folder of ONNX "
     "input_K.pb files.",
     NULL},
    {"output", OPTION_TEXT, offsetof(Settings, output), "FILE", "The int8 model to write.", NULL},
    {0},
};

static const Option method_options[] = {
    {"bias", OPTION_CHOICE, offsetof(Settings, bias), "POLICY",
     "What happens to a bias that int32 can't hold: repair (the default) raises the channel's "
     "weight scale, keep saturates it, float leaves the layer in float.",
     bias_names},
    {"bias-type", OPTION_CHOICE, offsetof(Settings, bias_type), "TYPE",
     "What biases are in the file: int32 at input scale times weight scale, or float32 as in "
     "PyTorch, of which every runtime makes its own. Default: float32 for the qconfigs fbgemm, x86 "
     "and onednn, whose runtimes add biases in float, if --format is qdq; else int32.",
     bias_types},
    {"format", OPTION_CHOICE, offsetof(Settings, format), "FORMAT",
     "qdq (the default): QuantizeLinear and DequantizeLinear around float operators; qoperator: "
     "QLinearConv and such.",
     format_names},
    {"io", OPTION_CHOICE, offsetof(Settings, io), "TYPE",
     "What the model's inputs and outputs carry: float32 (the default), int8 or uint8, whatever "
     "--activation-type is inside. Their scales and zero points are in the file; run, eval and "
     "compare take real numbers as before.",
     io_names},
    {"int16-domain", OPTION_CHOICE, offsetof(Settings, int16_domain), "DOMAIN",
     "Whose QuantizeLinear carries 16 bits (--int16): onnx (the default), which is opset 21, or "
     "com.microsoft, which leaves the opset as it is, for runtimes and tools that read no opset "
     "21.",
     int16_domains},
    {"save-stats", OPTION_TEXT, offsetof(Settings, save_stats), "FILE",
     "Keep what calibration saw, to convert again without the data.", NULL},
    {"load-stats", OPTION_LIST, offsetof(Settings, load_stats), "FILE",
     "Use these statistics instead of --calib; several files, from parts of the data, are merged.",
     NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"Quantization", rules_options, offsetof(Settings, rules)},
    {"Conversion", method_options, 0},
    {"Data", data_options, offsetof(Settings, data)},
    {"Preprocessing", preprocess_options, offsetof(Settings, preprocess)},
    {"Running", thread_options, offsetof(Settings, run)},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command quantize_command = {
    .name = "quantize",
    .summary = "Make an int8 model of a float model, with sample data.",
    .usage = "MODEL.onnx --calib DATA --output OUT.onnx [options]",
    .description =
        "Runs the float model on the samples, notes the ranges of all activations, and writes an "
        "int8 model (ONNX, with QuantizeLinear and DequantizeLinear) that other runtimes load as "
        "well. A hundred samples are usually enough. What was done to the data (preprocessing) is "
        "kept in the model's metadata, so that run and eval need no options for it.",
    .examples =
        "  octet quantize squeezenet.onnx --calib photos/ --preprocess caffe --output int8.onnx\n"
        "  octet quantize resnet.onnx --calib images.npy --divide 255 --mean 0.485,0.456,0.406 \\\n"
        "      --std 0.229,0.224,0.225 --output int8.onnx\n"
        "  octet quantize net.onnx --calib x.npz --observer mse --skip-type Softmax --output "
        "q.onnx\n"
        "  octet quantize net.onnx --calib x.npy --save-stats net.stats --output q.onnx\n"
        "  octet quantize net.onnx --load-stats net.stats --per-tensor --output q.onnx\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_quantize,
};
