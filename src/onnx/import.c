/* Reading a model: the file, its limits, the parts in their order. */
#include "onnx/import.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/patience.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEFAULT_NODES = 1000000,
    DEFAULT_DEPTH = 32,
    MAX_DEPTH = 256,
    MAX_METADATA = 10000,
    MAX_OPSETS = 1000,
    OLDEST_OPSET = 1,
    NEWEST_OPSET = 22,
    SMALL_FILE = 1 << 16,
    SMALL_TENSOR = 1 << 10, /* of which the bytes may be copied once more */
    MODEL_GRAPH = 7,        /* field numbers of onnx.proto */
    MODEL_TRAINING_INFO = 20,
    GRAPH_INITIALIZER = 5,
    TENSOR_RAW_DATA = 9
};
#define DEFAULT_FILE_BYTES ((uint64_t)4 << 30)
/* What the structure of a file may take in memory beyond a few times its size. */
#define STRUCTURE_BYTES ((uint64_t)512 << 20)
#define DENSE_BYTES ((uint64_t)256 << 20)
#define FUNCTION_BYTES ((uint64_t)64 << 20)

/* A model whose initializers, nearly all of its bytes, are still in the file. */
typedef struct Parts {
    Onnx__ModelProto *model; /* without its graph */
    Onnx__GraphProto *graph; /* without its initializers */
    OctSpan *initializers;
    int32_t initializer_count, initializer_capacity;
} Parts;

static bool is_left_out(const OctField *field, uint32_t first, uint32_t second) {
    return field->number == first || field->number == second || field->number == OCT_MODEL_PACKED;
}

/* Copies the fields of a message except two kinds and packed weights. The second kind is kept in
 * `parts`, if given. */
static OctetStatus strip(OctSpan message, uint32_t first, uint32_t second, Parts *parts,
                         OctSpan *taken, uint8_t **stripped, size_t *size,
                         OctetDiagnostic *diagnostic) {
    OctSpan rest = message;
    OctField field;
    bool malformed;
    *size = 0;
    *stripped = NULL;
    size_t room = 0;
    while (oct_wire_next(&rest, &field, &malformed)) {
        bool out = is_left_out(&field, first, second);
        room += out ? 0 : field.whole.size;
    }
    uint8_t *copy = oct_alloc(room);
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    rest = message;
    while (oct_wire_next(&rest, &field, &malformed)) {
        if (field.number == first && taken) {
            *taken = field.payload;
        } else if (field.number == first && parts) {
            if (!oct_grow(&parts->initializers, &parts->initializer_capacity,
                          parts->initializer_count + 1, sizeof *parts->initializers)) {
                oct_free(copy);
                return oct_fail_memory(diagnostic);
            }
            parts->initializers[parts->initializer_count++] = field.payload;
        } else if (!is_left_out(&field, first, second)) {
            memcpy(copy + *size, field.whole.data, field.whole.size);
            *size += field.whole.size;
        }
    }
    *stripped = copy;
    return OCTET_OK;
}

static OctetStatus unpack_stripped(const ProtobufCMessageDescriptor *type, OctSpan message,
                                   uint32_t first, uint32_t second, Parts *parts, OctSpan *taken,
                                   OctArena *arena, ProtobufCMessage **unpacked,
                                   OctetDiagnostic *diagnostic) {
    uint8_t *stripped;
    size_t size;
    OCT_TRY(strip(message, first, second, parts, taken, &stripped, &size, diagnostic));
    OctetStatus status =
        oct_proto_unpack(type, (OctSpan){stripped, size}, "the model", arena, unpacked, diagnostic);
    oct_free(stripped);
    return status;
}

static OctetStatus unpack_parts(const OctImport *import, OctSpan file, Parts *parts) {
    OctetDiagnostic *diagnostic = import->diagnostic;
    OctSpan graph = {0};
    ProtobufCMessage *unpacked;
    OCT_TRY(oct_wire_check(&onnx__model_proto__descriptor, file, 3 * import->max_depth + 16,
                           STRUCTURE_BYTES + 4 * (uint64_t)file.size, diagnostic));
    OCT_TRY(unpack_stripped(&onnx__model_proto__descriptor, file, MODEL_GRAPH, MODEL_TRAINING_INFO,
                            NULL, &graph, import->messages, &unpacked, diagnostic));
    parts->model = (Onnx__ModelProto *)unpacked;
    if (!graph.data) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "this is not an ONNX file: it has no graph");
    }
    OCT_TRY(unpack_stripped(&onnx__graph_proto__descriptor, graph, GRAPH_INITIALIZER,
                            GRAPH_INITIALIZER, parts, NULL, import->messages, &unpacked,
                            diagnostic));
    parts->graph = (Onnx__GraphProto *)unpacked;
    return OCTET_OK;
}

/* The packed section of a model that was found to be well-formed; empty if it has none. */
static OctSpan find_packed(OctSpan file) {
    OctSpan found = {0};
    OctField field;
    bool malformed;
    while (oct_wire_next(&file, &field, &malformed)) {
        if (field.number == OCT_MODEL_PACKED) {
            found = field.payload;
        }
    }
    return found;
}

/* Keeps the file with the graph, unless that would be a copy which takes memory of its own. */
static void keep_file(OctGraph *graph, OctMapping *mapping, OctSpan file) {
    if (mapping && (oct_mapping_is_mapped(mapping) || file.size <= SMALL_FILE)) {
        OctSpan packed = find_packed(file);
        graph->file = oct_mapping_retain(mapping);
        graph->packed = packed.data;
        graph->packed_bytes = packed.size;
    }
}

/* ---- what belongs to the model as a whole ---- */

static bool copy_text(OctGraph *graph, const char *text, const char **copy) {
    *copy = text && *text ? oct_arena_strdup(graph->arena, text) : NULL;
    return *copy || !text || !*text;
}

static OctetStatus import_opsets(OctGraph *graph, const Onnx__ModelProto *model,
                                 OctetDiagnostic *diagnostic) {
    if (model->n_opset_import > MAX_OPSETS) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the model imports %zu operator sets",
                        model->n_opset_import);
    }
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *opset = model->opset_import[i];
        if (opset->version < 1 || opset->version > INT32_MAX) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                            "the operator set '%s' has the version %" PRId64,
                            oct_text(opset->domain), opset->version);
        }
        if (!oct_graph_set_opset(graph, oct_text(opset->domain), opset->version)) {
            return oct_fail_memory(diagnostic);
        }
    }
    int64_t version = oct_graph_opset(graph, "");
    if (version == 0) { /* files before ir_version 3 mean the first operator set */
        version = 1;
        if (!oct_graph_set_opset(graph, "", version)) {
            return oct_fail_memory(diagnostic);
        }
    }
    if (version < OLDEST_OPSET || version > NEWEST_OPSET) {
        oct_log(OCTET_LOG_WARNING,
                "the model is of opset %" PRId64 "; Octet knows %d to %d and tries its best",
                version, OLDEST_OPSET, NEWEST_OPSET);
    }
    return OCTET_OK;
}

static OctetStatus import_header(OctGraph *graph, const Parts *parts, OctetDiagnostic *diagnostic) {
    const Onnx__ModelProto *model = parts->model;
    const char *name;
    bool copied = copy_text(graph, parts->graph->name, &name) &&
                  copy_text(graph, model->producer_name, &graph->producer_name) &&
                  copy_text(graph, model->producer_version, &graph->producer_version) &&
                  copy_text(graph, model->doc_string, &graph->doc) &&
                  copy_text(graph, model->domain, &graph->model_domain) &&
                  copy_text(graph, parts->graph->doc_string, &graph->graph_doc);
    graph->model_version = model->model_version;
    graph->name = name ? name : "graph";
    graph->ir_version = model->ir_version;
    if (model->n_metadata_props > MAX_METADATA) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the model has %zu entries of metadata",
                        model->n_metadata_props);
    }
    for (size_t i = 0; i < model->n_metadata_props && copied; i++) {
        const Onnx__StringStringEntryProto *entry = model->metadata_props[i];
        copied = oct_graph_set_metadata(graph, oct_text(entry->key), oct_text(entry->value));
    }
    return copied ? import_opsets(graph, model, diagnostic) : oct_fail_memory(diagnostic);
}

/* ---- the graph ---- */

/* The bytes of a large tensor are not copied by unpacking: the message points into the file. */
static OctetStatus unpack_initializer(const OctImport *import, OctSpan message,
                                      Onnx__TensorProto **tensor) {
    const ProtobufCMessageDescriptor *type = &onnx__tensor_proto__descriptor;
    OctSpan raw = {0};
    ProtobufCMessage *unpacked;
    OCT_TRY(oct_go_on(import->diagnostic));
    if (message.size <= SMALL_TENSOR) {
        OCT_TRY(oct_proto_unpack(type, message, "the model", import->message, &unpacked,
                                 import->diagnostic));
    } else {
        OCT_TRY(unpack_stripped(type, message, TENSOR_RAW_DATA, TENSOR_RAW_DATA, NULL, &raw,
                                import->message, &unpacked, import->diagnostic));
    }
    *tensor = (Onnx__TensorProto *)unpacked;
    if (raw.data) {
        (*tensor)->has_raw_data = 1;
        (*tensor)->raw_data = (ProtobufCBinaryData){raw.size, (uint8_t *)(uintptr_t)raw.data};
    }
    return OCTET_OK;
}

/* Room for the names of a usual model, so that the maps don't grow on the way there. */
static bool reserve_names(OctScope *scope, const Parts *parts) {
    enum { MOST = 1 << 20 };
    size_t nodes = parts->graph->n_node < MOST ? parts->graph->n_node : MOST;
    size_t inputs = parts->graph->n_input < MOST ? parts->graph->n_input : MOST;
    int32_t initializers = parts->initializer_count < MOST ? parts->initializer_count : MOST;
    int32_t values = initializers + (int32_t)(nodes + inputs);
    return oct_names_reserve(&scope->values, values) &&
           oct_names_reserve(&scope->graph->value_names, values) &&
           oct_names_reserve(&scope->graph->node_names, (int32_t)nodes);
}

static OctetStatus import_root(OctImport *import, const Parts *parts) {
    OctScope scope = {.graph = import->root};
    OctetStatus status = reserve_names(&scope, parts) ? oct_functions_collect(import, parts->model)
                                                      : oct_fail_memory(import->diagnostic);
    for (int32_t i = 0; i < parts->initializer_count && status == OCTET_OK; i++) {
        Onnx__TensorProto *tensor;
        status = unpack_initializer(import, parts->initializers[i], &tensor);
        if (status == OCTET_OK) {
            status = oct_import_initializer(import, &scope, tensor);
        }
        oct_arena_clear(import->message);
    }
    if (status == OCTET_OK) {
        status = oct_import_graph(import, &scope, parts->graph);
    }
    oct_names_free(&scope.values);
    return status;
}

static OctetStatus import_bytes(OctImport *import, OctSpan file) {
    Parts parts = {0};
    OctetStatus status = unpack_parts(import, file, &parts);
    if (status == OCTET_OK) {
        status = import_header(import->root, &parts, import->diagnostic);
    }
    if (status == OCTET_OK) {
        status = import_root(import, &parts);
    }
    oct_free(parts.initializers);
    return status;
}

/* `mapping`: what `file` lies in, NULL if it is the caller's memory. The reference is released as
 * soon as it isn't needed anymore. */
static OctetStatus load(OctSpan file, OctMapping *mapping, const char *folder,
                        const OctetLoadOptions *options, OctetGraph **graph,
                        OctetDiagnostic *diagnostic) {
    OctetLoadOptions chosen = options ? *options : (OctetLoadOptions){0};
    uint64_t limit = chosen.max_file_bytes ? chosen.max_file_bytes : DEFAULT_FILE_BYTES;
    uint32_t depth = chosen.max_depth ? chosen.max_depth : DEFAULT_DEPTH;
    bool in_place = mapping && oct_mapping_is_mapped(mapping);
    OctetDiagnostic own = {0};
    OctImport import = {
        .root = oct_graph_create(),
        .source = {.folder = folder,
                   .external_left = limit > file.size ? limit - file.size : 0,
                   .dense_left = DENSE_BYTES,
                   .mapping = in_place ? mapping : NULL},
        .messages = oct_arena_create(),
        .message = oct_arena_create(),
        .max_nodes = chosen.max_nodes ? chosen.max_nodes : DEFAULT_NODES,
        .nodes_left = chosen.max_nodes ? chosen.max_nodes : DEFAULT_NODES,
        .function_bytes_left = FUNCTION_BYTES,
        .max_depth = depth < MAX_DEPTH ? depth : MAX_DEPTH,
        .lenient = chosen.lenient,
        .diagnostic = &own,
    };
    bool ready = import.root && import.messages && import.message;
    OctetStatus status = oct_fail_memory(ready ? NULL : &own);
    if (ready) {
        import.root->canceled = chosen.canceled;
        import.root->canceled_user = chosen.canceled_user;
        import.root->max_seconds = chosen.max_seconds;
        import.root->findings = &import.findings;
        status = import_bytes(&import, file);
    }
    oct_arena_free(import.messages);
    oct_arena_free(import.message);
    if (status == OCTET_OK) {
        keep_file(import.root, mapping, file);
    }
    oct_mapping_release(mapping);
    if (status == OCTET_OK) {
        status = oct_import_finish(&import);
    }
    if (status == OCTET_OK) {
        status = oct_go_on(&own);
    }
    status = oct_import_conclude(&import, status, &chosen, diagnostic);
    oct_findings_free(&import.findings);
    oct_data_source_close(&import.source);
    oct_names_free(&import.functions);
    oct_free(import.hints);
    if (status != OCTET_OK) {
        oct_graph_free(import.root);
        return status;
    }
    import.root->findings = NULL;
    *graph = import.root;
    return OCTET_OK;
}

/* The folder that a path's file lies in; NULL when out of memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = oct_strdup(slash ? path : ".");
    if (folder && slash) {
        folder[slash == path ? 1 : slash - path] = 0;
    }
    return folder;
}

static OctetStatus load_path(const char *path, const OctetLoadOptions *options, OctetGraph **graph,
                             OctetDiagnostic *diagnostic) {
    uint64_t limit =
        options && options->max_file_bytes ? options->max_file_bytes : DEFAULT_FILE_BYTES;
    OctMapping *mapping;
    *graph = NULL;
    OctetDiagnostic own = {0};
    OctetStatus opened =
        oct_mapping_open(path, limit, options && options->copy_file, &mapping, &own);
    if (opened != OCTET_OK) {
        opened = oct_fail(diagnostic, opened, "%s%s", own.message,
                          opened == OCTET_ERROR_LIMIT
                              ? "; raise max_file_bytes (--max-file) if that is meant"
                              : "");
        return oct_fail_in_file(diagnostic, opened, path);
    }
    OctSpan file = {oct_mapping_data(mapping), oct_mapping_bytes(mapping)};
    char *folder = folder_of(path);
    if (!folder) {
        oct_mapping_release(mapping);
        return oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
    }
    OctetStatus status = load(file, mapping, folder, options, graph, diagnostic);
    oct_free(folder);
    return status == OCTET_OK ? OCTET_OK : oct_fail_in_file(diagnostic, status, path);
}

static OctetStatus load_memory(const void *data, size_t size, const char *name,
                               const OctetLoadOptions *options, OctetGraph **graph,
                               OctetDiagnostic *diagnostic) {
    uint64_t limit =
        options && options->max_file_bytes ? options->max_file_bytes : DEFAULT_FILE_BYTES;
    OctetStatus status;
    *graph = NULL;
    if (size > limit) {
        status = oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                          "the model has %zu bytes, at most %" PRIu64
                          " are accepted; raise max_file_bytes (--max-file) if that is meant",
                          size, limit);
    } else {
        status = load((OctSpan){data, size}, NULL, NULL, options, graph, diagnostic);
    }
    return status == OCTET_OK ? OCTET_OK : oct_fail_in_file(diagnostic, status, name);
}

static void begin(const OctetLoadOptions *options, OctPatience *patience) {
    OctetLoadOptions none = {0};
    options = options ? options : &none;
    oct_patience_begin(patience, options->canceled, options->canceled_user, options->max_seconds);
}

OctetStatus octet_model_load(const char *path, const OctetLoadOptions *options, OctetGraph **graph,
                             OctetDiagnostic *diagnostic) {
    OctPatience patience;
    begin(options, &patience);
    OctetStatus status = load_path(path, options, graph, diagnostic);
    oct_patience_end(&patience);
    return status;
}

OctetStatus octet_model_load_memory(const void *data, size_t size, const char *name,
                                    const OctetLoadOptions *options, OctetGraph **graph,
                                    OctetDiagnostic *diagnostic) {
    OctPatience patience;
    begin(options, &patience);
    OctetStatus status = load_memory(data, size, name, options, graph, diagnostic);
    oct_patience_end(&patience);
    return status;
}
