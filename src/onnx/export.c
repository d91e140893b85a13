/* Writing a model: the steps in their order, the file, and the one beside it for large tensors. */
#include "onnx/export.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/patience.h"

#include <string.h>

/* protobuf messages end at 2 GiB; from here on tensors go to a file of their own. */
#define LARGEST_MESSAGE ((size_t)2000 << 20)

/* ---- preparing a clone ---- */

/* The version of the file format that an operator set came with (ONNX's Versioning.md), and 4 at
 * least, since initializers need not be listed among the inputs from then on. */
static int64_t ir_version_of(int64_t opset) {
    static const struct {
        int64_t opset, ir_version;
    } table[] = {{21, 10}, {19, 9}, {15, 8}, {12, 7}, {11, 6}, {10, 5}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (opset >= table[i].opset) {
            return table[i].ir_version;
        }
    }
    return 4;
}

static OctetStatus rewrite(OctGraph *graph, const OctetSaveOptions *options,
                           OctetDiagnostic *diagnostic) {
    int64_t opset = oct_export_target_opset(graph, options);
    if (opset > INT32_MAX) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "there is no opset %lld",
                        (long long)opset);
    }
    if (options->format == OCTET_FORMAT_QOPERATOR) {
        OCT_TRY(oct_absorb_activations(graph, diagnostic));
    }
    OCT_TRY(oct_export_activations(graph, diagnostic));
    OCT_TRY(oct_export_raise_opset(graph, (int32_t)opset, diagnostic));
    if (!oct_graph_set_opset(graph, "", opset)) {
        return oct_fail_memory(diagnostic);
    }
    int64_t ir_version = ir_version_of(opset);
    if (graph->ir_version < ir_version) {
        graph->ir_version = ir_version;
    }
    return oct_export_unfold(graph, options, diagnostic);
}

/* ---- writing ---- */

typedef struct Sink {
    ProtobufCBuffer base;
    OctFileWriter *writer;
    OctetStatus status;
    OctetDiagnostic *diagnostic;
} Sink;

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data) {
    Sink *sink = (Sink *)buffer;
    if (sink->status == OCTET_OK) {
        sink->status = oct_file_write(sink->writer, data, size, sink->diagnostic);
    }
}

static OctetStatus write_message(const ProtobufCMessage *message, OctFileWriter *writer,
                                 OctetDiagnostic *diagnostic) {
    Sink sink = {.base = {append}, .writer = writer, .diagnostic = diagnostic};
    protobuf_c_message_pack_to_buffer(message, &sink.base);
    return sink.status;
}

static OctetStatus write_inside(OctGraph *graph, const char *path, size_t largest, bool *too_large,
                                OctetDiagnostic *diagnostic) {
    Onnx__ModelProto *model;
    OctFileWriter *writer;
    OCT_TRY(oct_export_model(graph, &(OctExternalWriter){0}, &model, diagnostic));
    *too_large = protobuf_c_message_get_packed_size(&model->base) > largest;
    if (*too_large) {
        return OCTET_OK;
    }
    OCT_TRY(oct_file_writer_open(path, &writer, diagnostic));
    OctetStatus status = write_message(&model->base, writer, diagnostic);
    if (status == OCTET_OK) {
        status = oct_file_writer_commit(writer, diagnostic);
    }
    oct_file_writer_free(writer);
    return status;
}

/* A model that is there has its data. */
static OctetStatus write_pair(OctGraph *graph, const char *data_path, OctFileWriter *writer,
                              OctFileWriter *data_writer, OctetDiagnostic *diagnostic) {
    const char *slash = strrchr(data_path, '/');
    OctExternalWriter external = {slash ? slash + 1 : data_path, data_writer};
    Onnx__ModelProto *model;
    OCT_TRY(oct_export_model(graph, &external, &model, diagnostic));
    OCT_TRY(write_message(&model->base, writer, diagnostic));
    return oct_file_writer_commit_pair(data_writer, writer, diagnostic);
}

static OctetStatus write_outside(OctGraph *graph, const char *path, OctetDiagnostic *diagnostic) {
    static const char suffix[] = ".data";
    size_t length = strlen(path);
    size_t size;
    OctFileWriter *writer = NULL;
    OctFileWriter *data_writer = NULL;
    if (!oct_add_size(length, sizeof suffix, &size)) {
        return oct_fail_memory(diagnostic);
    }
    char *data_path = oct_arena_alloc(graph->arena, size);
    if (!data_path) {
        return oct_fail_memory(diagnostic);
    }
    memcpy(data_path, path, length);
    memcpy(data_path + length, suffix, sizeof suffix);
    OctetStatus status = oct_file_writer_open(path, &writer, diagnostic);
    if (status == OCTET_OK) {
        status = oct_file_writer_open(data_path, &data_writer, diagnostic);
    }
    if (status == OCTET_OK) {
        status = write_pair(graph, data_path, writer, data_writer, diagnostic);
    }
    oct_file_writer_free(data_writer);
    oct_file_writer_free(writer);
    return status;
}

static OctetStatus save(const OctetGraph *graph, const char *path, const OctetSaveOptions *options,
                        size_t largest, OctetDiagnostic *diagnostic) {
    OctetSaveOptions chosen = options ? *options : (OctetSaveOptions){0};
    OctGraph *clone;
    OCT_TRY(oct_graph_clone(graph, &clone, diagnostic));
    OctetStatus status = rewrite(clone, &chosen, diagnostic);
    bool outside = chosen.external_data;
    if (status == OCTET_OK && !outside) {
        status = write_inside(clone, path, largest, &outside, diagnostic);
    }
    if (status == OCTET_OK && outside) {
        status = write_outside(clone, path, diagnostic);
    }
    oct_graph_free(clone);
    return status == OCTET_OK ? OCTET_OK : oct_fail_in_file(diagnostic, status, path);
}

OctetStatus oct_model_save(const OctGraph *graph, const char *path, const OctetSaveOptions *options,
                           size_t largest, OctetDiagnostic *diagnostic) {
    OctPatience patience;
    oct_graph_begin(graph, &patience);
    OctetStatus status = save(graph, path, options, largest, diagnostic);
    oct_patience_end(&patience);
    return status;
}

OctetStatus octet_model_save(const OctetGraph *graph, const char *path,
                             const OctetSaveOptions *options, OctetDiagnostic *diagnostic) {
    return oct_model_save(graph, path, options, LARGEST_MESSAGE, diagnostic);
}
