/* octet pack: a model file that opens without packing its weights. */
#include "commands.h"
#include "common.h"
#include "report.h"
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    const char *output;
    TextList shapes;
} Settings;

static OctetStatus pack(const Settings *settings, const OctetGraph *graph, uint64_t *packed_bytes,
                        OctetDiagnostic *diagnostic) {
    size_t count = octet_graph_input_count(graph);
    OctetShape *shapes = checked_calloc(count + 1, sizeof *shapes);
    const OctetLimits limits = run_limits();
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; i < count && status == OCTET_OK; i++) {
        status = input_shape(&settings->shapes, octet_graph_input_at(graph, i), count, &shapes[i],
                             diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_model_pack(graph, shapes, count, &limits, settings->output, packed_bytes,
                                  diagnostic);
    }
    free(shapes);
    return status;
}

static void print_result(const Settings *settings, uint64_t packed_bytes) {
    const char *path = settings->operands.items[0];
    if (settings->general.json) {
        json_t *object = json_new_object();
        json_add(object, "packed_bytes", json_integer((json_int_t)packed_bytes));
        json_add(object, "bytes_before", json_integer((json_int_t)file_bytes(path)));
        json_add(object, "bytes_after", json_integer((json_int_t)file_bytes(settings->output)));
        json_add(object, "cpu", json_text(octet_cpu_name(octet_get_cpu())));
        json_print(object);
        return;
    }
    char packed[32];
    char after[32];
    printf("%s: %s of weights packed for %s, %s in all\n", settings->output,
           format_bytes(packed_bytes, packed, sizeof packed), octet_cpu_name(octet_get_cpu()),
           format_bytes(file_bytes(settings->output), after, sizeof after));
}

static int run_pack(const void *given) {
    const Settings *settings = given;
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = NULL;
    uint64_t packed_bytes = 0;
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    if (!settings->output) {
        report_error("--output FILE is missing: where the packed model is to be written");
        return EXIT_USAGE;
    }
    OctetStatus status = check_writable(settings->output, &diagnostic);
    if (status == OCTET_OK) {
        status = model_load(settings->operands.items[0], &graph, &diagnostic);
    }
    if (status == OCTET_OK) {
        status = pack(settings, graph, &packed_bytes, &diagnostic);
    }
    if (status == OCTET_OK && packed_bytes == 0) {
        report_warning(
            "no layer of this model has weights of its own, so there was nothing to pack");
    }
    int code = 0;
    if (status == OCTET_OK) {
        print_result(settings, packed_bytes);
    } else {
        code = report_failure(&diagnostic);
    }
    octet_graph_free(graph);
    return code;
}

static const Option options[] = {
    {"output", OPTION_TEXT, offsetof(Settings, output), "FILE", "The file to write.", NULL},
    {"shape", OPTION_LIST, offsetof(Settings, shapes), "[NAME=]SHAPE",
     "The shape of an input, such as data=1x3x224x224; open dimensions count as 1 without it.",
     NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command pack_command = {
    .name = "pack",
    .summary = "Add packed weights to a model, so that it opens at once.",
    .usage = "MODEL.onnx --output PACKED.onnx [--shape NAME=1x3x224x224]",
    .description =
        "Writes a copy of the model that also holds its weights in the order in which this "
        "machine's kernels read them. Octet then maps them from the file: opening takes a few "
        "milliseconds, and processes that run the same file share the memory. The file is still an "
        "ONNX model with the same results; other runtimes skip what was added. On a machine of "
        "another kind, or with another version of Octet, weights are packed as always. "
        "OCTET_CPU=avx2 and the like pack for a lower CPU level. The file must not be changed in "
        "place while it is in use; replacing it is fine.",
    .examples = "  octet pack int8.onnx --output packed.onnx\n"
                "  octet bench packed.onnx\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_pack,
};
