/* octet run: a model on one set of inputs. */
#include "border.h"
#include "commands.h"
#include "common.h"
#include "inputs.h"
#include "report.h"
#include "run_outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    RunOptions run;
    PreprocessOptions preprocess;
    TextList inputs, outputs;
    const char *classes;
    bool int_repr;
} Settings;

typedef struct Job {
    const Settings *settings;
    OctetThreadPool *pool;
    OctetGraph *graph;
    OctetSession *session;
    OctetDataInput *wanted;
    int32_t input_count;
    size_t output_count;
    OctetTensor **inputs;
    OctetTensor **outputs; /* whole, owned */
    ClassNames names;
    double seconds;
} Job;

static void release(Job *job) {
    for (int32_t i = 0; job->inputs && i < job->input_count; i++) {
        octet_tensor_free(job->inputs[i]);
    }
    for (size_t i = 0; job->outputs && i < job->output_count; i++) {
        octet_tensor_free(job->outputs[i]);
    }
    class_names_release(&job->names);
    free(job->inputs);
    free(job->outputs);
    free(job->wanted);
    octet_session_free(job->session);
    octet_graph_free(job->graph);
    octet_thread_pool_free(job->pool);
}

/* Splits "NAME=FILE" if what stands before some "=" names a value; NULL where it does not. Names
 * may have "=" in them, and so may files. */
static const char *split(const char *text, const char *name) {
    size_t length = strlen(name);
    return strncmp(text, name, length) == 0 && text[length] == '=' ? text + length + 1 : NULL;
}

static OctetStatus fail_name(const Job *job, const char *text, bool input,
                             OctetDiagnostic *diagnostic) {
    char names[512] = "";
    size_t count = input ? (size_t)job->input_count : job->output_count;
    for (size_t i = 0; i < count; i++) {
        const OctetValue *value =
            input ? octet_graph_input_at(job->graph, i) : octet_graph_output_at(job->graph, i);
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", octet_value_name(value));
    }
    const char *kind = input ? "input" : "output";
    return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                "--%s %s: the model has the %ss %s; say --%s NAME=FILE", kind, text, kind, names,
                kind);
}

/* Finds the value that an --input or --output is about, and its file. */
static OctetStatus find_value(const Job *job, const char *text, bool input, size_t *index,
                              const char **file, OctetDiagnostic *diagnostic) {
    size_t count = input ? (size_t)job->input_count : job->output_count;
    for (size_t i = 0; i < count; i++) {
        const OctetValue *value =
            input ? octet_graph_input_at(job->graph, i) : octet_graph_output_at(job->graph, i);
        *file = split(text, octet_value_name(value));
        if (*file) {
            *index = i;
            return OCTET_OK;
        }
    }
    if (count == 1) {
        *index = 0;
        *file = text;
        return OCTET_OK;
    }
    return fail_name(job, text, input, diagnostic);
}

static OctetStatus read_inputs(Job *job, OctetDiagnostic *diagnostic) {
    const TextList *given = &job->settings->inputs;
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < given->count; i++) {
        size_t index = 0;
        const char *file = NULL;
        status = find_value(job, given->items[i], true, &index, &file, diagnostic);
        if (status == OCTET_OK && job->inputs[index]) {
            status = fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                          "input '%s' is given twice", job->wanted[index].name);
        }
        if (status == OCTET_OK) {
            status = input_read(&job->settings->preprocess, job->graph, &job->wanted[index], file,
                                &job->inputs[index], diagnostic);
        }
    }
    for (int32_t i = 0; status == OCTET_OK && i < job->input_count; i++) {
        if (!job->inputs[i]) {
            status = fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                          "input '%s' is missing: say --input %s=FILE", job->wanted[i].name,
                          job->wanted[i].name);
        }
    }
    return status;
}

static OctetStatus check_outputs(const Job *job, OctetDiagnostic *diagnostic) {
    const TextList *given = &job->settings->outputs;
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < given->count; i++) {
        size_t index;
        const char *file;
        status = find_value(job, given->items[i], false, &index, &file, diagnostic);
        if (status == OCTET_OK) {
            status = check_writable(file, diagnostic);
        }
    }
    return status;
}

/* How often a model with a fixed batch must run for all of the data; 1 where it takes it whole. */
static int64_t count_runs(const Job *job) {
    int64_t runs = 1;
    for (int32_t i = 0; i < job->input_count; i++) {
        const OctetShape *want = &job->wanted[i].shape;
        const OctetShape *have = &job->inputs[i]->shape;
        if (want->rank < 1 || have->rank < 1 || want->dims[0] < 1 ||
            have->dims[0] % want->dims[0] != 0) {
            return 1;
        }
        int64_t own = have->dims[0] / want->dims[0];
        if (i > 0 && own != runs) {
            return 1;
        }
        runs = own;
    }
    return runs > 0 ? runs : 1;
}

/* The run-th part of a tensor along its first axis, over the same memory. */
static OctetStatus part_of(const OctetTensor *whole, int64_t run, int64_t runs, OctetTensor **part,
                           OctetDiagnostic *diagnostic) {
    OctetShape shape = whole->shape;
    size_t bytes = whole->bytes / (size_t)runs;
    if (runs > 1) {
        shape.dims[0] /= runs;
    }
    return octet_tensor_wrap(whole->dtype, &shape, (char *)whole->data + (size_t)run * bytes, bytes,
                             part, diagnostic);
}

/* Puts one run's output where it belongs in the whole one. */
static OctetStatus keep_output(OctetTensor **whole, const OctetTensor *output, int64_t run,
                               int64_t runs, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    if (run == 0) {
        OctetShape shape = output->shape;
        if (runs > 1 && shape.rank > 0) {
            shape.dims[0] *= runs;
        } else if (runs > 1) {
            shape = (OctetShape){.rank = 1, .dims = {runs}};
        }
        status = octet_tensor_create(output->dtype, &shape, whole, diagnostic);
        if (status == OCTET_OK) {
            status = octet_tensor_set_qparams(*whole, &output->qparams, diagnostic);
        }
    }
    if (status == OCTET_OK && output->bytes * (size_t)runs != (*whole)->bytes) {
        status = fail(diagnostic, OCTET_ERROR_SHAPE, NULL,
                      "an output's shape differs between samples; run them one by one");
    }
    if (status == OCTET_OK && output->bytes > 0) {
        memcpy((char *)(*whole)->data + (size_t)run * output->bytes, output->data, output->bytes);
    }
    return status;
}

static OctetStatus run_part(Job *job, int64_t run, int64_t runs, OctetDiagnostic *diagnostic) {
    OctetTensor **parts = checked_calloc((size_t)job->input_count, sizeof(*parts));
    const OctetTensor **outputs = checked_calloc(job->output_count, sizeof(*outputs));
    OctetStatus status = check_interrupt(diagnostic);
    for (int32_t i = 0; status == OCTET_OK && i < job->input_count; i++) {
        status = part_of(job->inputs[i], run, runs, &parts[i], diagnostic);
    }
    if (status == OCTET_OK) {
        double started = seconds_now();
        status = border_run(job->session, job->graph, (const OctetTensor *const *)parts,
                            (size_t)job->input_count, outputs, job->output_count, diagnostic);
        job->seconds += seconds_now() - started;
    }
    for (size_t i = 0; status == OCTET_OK && i < job->output_count; i++) {
        status = keep_output(&job->outputs[i], outputs[i], run, runs, diagnostic);
    }
    for (int32_t i = 0; i < job->input_count; i++) {
        octet_tensor_free(parts[i]);
    }
    free(parts);
    free(outputs);
    return status;
}

/* A file of this command holds one tensor. */
static OctetStatus check_kinds(const OctetGraph *graph, OctetDiagnostic *diagnostic) {
    size_t inputs = octet_graph_input_count(graph), outputs = octet_graph_output_count(graph);
    for (size_t i = 0; i < inputs + outputs; i++) {
        const OctetValue *value =
            i < inputs ? octet_graph_input_at(graph, i) : octet_graph_output_at(graph, i - inputs);
        if (octet_value_kind(value) != OCTET_KIND_TENSOR) {
            return fail(diagnostic, OCTET_ERROR_UNSUPPORTED, NULL,
                        "'%s' is a sequence or an optional value, which octet run neither reads "
                        "nor writes: octet test and the library do",
                        octet_value_name(value));
        }
    }
    return OCTET_OK;
}

static OctetStatus open_session(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    OctetStatus status = pool_create(&settings->run, &job->pool, diagnostic);
    if (status == OCTET_OK) {
        status = model_load(settings->operands.items[0], &job->graph, diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    status = check_kinds(job->graph, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    bool real =
        octet_graph_metadata(job->graph, PREPROCESS_KEY) || preprocess_given(&settings->preprocess);
    job->wanted = model_inputs(job->graph, real, &job->input_count);
    job->output_count = octet_graph_output_count(job->graph);
    job->inputs = checked_calloc((size_t)job->input_count, sizeof(*job->inputs));
    job->outputs = checked_calloc(job->output_count, sizeof(*job->outputs));
    OctetSessionOptions options = {.pool = job->pool,
                                   .limits = run_limits(),
                                   .requantize = run_requantize(&settings->run),
                                   .int8_outputs = settings->int_repr};
    return octet_session_create(job->graph, &options, &job->session, diagnostic);
}

static OctetStatus write_outputs(const Job *job, OctetDiagnostic *diagnostic) {
    const TextList *given = &job->settings->outputs;
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < given->count; i++) {
        size_t index = 0;
        const char *file = NULL;
        status = find_value(job, given->items[i], false, &index, &file, diagnostic);
        if (status == OCTET_OK) {
            status = octet_npy_write(file, job->outputs[index], diagnostic);
        }
    }
    return status;
}

static OctetStatus run_model(Job *job, OctetDiagnostic *diagnostic) {
    OctetStatus status = open_session(job, diagnostic);
    if (status == OCTET_OK) {
        status = check_outputs(job, diagnostic);
    }
    if (status == OCTET_OK && job->settings->classes) {
        status = class_names_read(job->settings->classes, &job->names, diagnostic);
    }
    if (status == OCTET_OK) {
        status = read_inputs(job, diagnostic);
    }
    int64_t runs = status == OCTET_OK ? count_runs(job) : 0;
    for (int64_t run = 0; status == OCTET_OK && run < runs; run++) {
        status = run_part(job, run, runs, diagnostic);
    }
    return status == OCTET_OK ? write_outputs(job, diagnostic) : status;
}

static OctetStatus show_outputs(const Job *job, OctetDiagnostic *diagnostic) {
    RunOutputs outputs = {.graph = job->graph,
                          .tensors = job->outputs,
                          .count = job->output_count,
                          .names = &job->names,
                          .seconds = job->seconds};
    if (job->settings->general.json) {
        return outputs_print_json(&outputs, diagnostic);
    }
    return job->settings->outputs.count > 0 ? OCTET_OK : outputs_print_text(&outputs, diagnostic);
}

static int run_run(const void *given) {
    const Settings *settings = given;
    if (settings->inputs.count == 0) {
        return usage_error("run", "--input FILE is needed");
    }
    if (settings->classes && settings->outputs.count > 0 && !settings->general.json) {
        return usage_error("run", "--classes is for results that are printed, not for --output");
    }
    int code = preprocess_check("run", &settings->preprocess);
    if (code != 0) {
        return code;
    }
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    OctetDiagnostic diagnostic = {0};
    Job job = {.settings = settings};
    OctetStatus status = run_model(&job, &diagnostic);
    if (status == OCTET_OK) {
        status = show_outputs(&job, &diagnostic);
    }
    if (status != OCTET_OK) {
        code = report_failure(&diagnostic);
    }
    release(&job);
    return code;
}

static const Option options[] = {
    {"input", OPTION_LIST, offsetof(Settings, inputs), "[NAME=]FILE",
     "An .npy, an image, or an ONNX .pb for an input; the name may be left out where there is only "
     "one. Once for every input.",
     NULL},
    {"output", OPTION_LIST, offsetof(Settings, outputs), "[NAME=]FILE",
     "Write an output as .npy; otherwise the five best classes are printed, or the range of "
     "values.",
     NULL},
    {"classes", OPTION_TEXT, offsetof(Settings, classes), "FILE",
     "Names of the classes, one a line, to print with the best ones.", NULL},
    {"int-repr", OPTION_FLAG, offsetof(Settings, int_repr), NULL,
     "Give quantized outputs as the integers that they are.", NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"Preprocessing", preprocess_options, offsetof(Settings, preprocess)},
    {"Running", run_options, offsetof(Settings, run)},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command run_command = {
    .name = "run",
    .summary = "Run a model on an image or an array.",
    .usage = "MODEL.onnx --input [NAME=]FILE [--output [NAME=]FILE] [options]",
    .description =
        "Runs a float or an int8 model once. The first axis of an array is the batch; a model with "
        "a fixed batch is run as often as the data needs. Preprocessing that is kept in the model "
        "is applied to images and to arrays of integers; arrays of floats are taken as they are, "
        "unless options say otherwise.",
    .examples = "  octet run int8.onnx --input cat.jpg --classes classes.txt\n"
                "  octet run net.onnx --input x.npy --output y.npy\n"
                "  octet run net.onnx --input ids=ids.npy --input mask=mask.npy --output "
                "scores=y.npy\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_run,
};
