/* Any bytes as a model: what loads and has small inputs is planned and run. */
#include "octet/octet.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUTS = 8, MAX_OUTPUTS = 64, LARGEST_INPUT = 4096 };

static void silent(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    (void)user;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    octet_set_log_callback(silent, NULL, OCTET_LOG_ERROR);
    return 0;
}

static OctetTensor *make_tensor(const OctetValue *value) {
    OctetShape shape = octet_value_shape(value);
    OctetTensor *tensor = NULL;
    int64_t count;
    if (shape.rank < 0) {
        shape.rank = 1;
        shape.dims[0] = 4;
    }
    for (int32_t i = 0; i < shape.rank; i++) {
        shape.dims[i] = shape.dims[i] < 0 ? 2 : shape.dims[i];
    }
    if (octet_shape_count(&shape, &count) && count <= LARGEST_INPUT) {
        (void)octet_tensor_create(octet_value_dtype(value), &shape, &tensor, NULL);
    }
    for (size_t i = 0; tensor && tensor->dtype == OCTET_F32 && i < tensor->bytes / 4; i++) {
        ((float *)tensor->data)[i] = (float)(i % 7) - 3;
    }
    return tensor;
}

/* A tensor, a sequence of two, or an absent optional value. */
static OctetTensor *make_input(const OctetValue *value) {
    uint32_t kind = octet_value_kind(value);
    OctetTensor *made = NULL;
    if (kind == OCTET_KIND_TENSOR) {
        return make_tensor(value);
    }
    if (kind & OCTET_KIND_OPTIONAL) {
        (void)octet_absent_create(octet_value_dtype(value), &made, NULL);
        return made;
    }
    OctetTensor *items[2] = {make_tensor(value), make_tensor(value)};
    if (octet_sequence_create(octet_value_dtype(value), items, 2, &made, NULL) != OCTET_OK) {
        octet_tensor_free(items[0]);
        octet_tensor_free(items[1]);
    }
    return made;
}

static void run(const OctetGraph *graph) {
    OctetTensor *inputs[MAX_INPUTS] = {NULL};
    const OctetTensor *outputs[MAX_OUTPUTS];
    OctetSessionOptions options = {
        .limits = {.max_memory_bytes = 64 << 20, .max_iterations = 10000, .max_seconds = 5}};
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    size_t count = octet_graph_input_count(graph);
    size_t output_count = octet_graph_output_count(graph);
    bool ready = count <= MAX_INPUTS && output_count <= MAX_OUTPUTS;
    for (size_t i = 0; i < count && ready; i++) {
        inputs[i] = make_input(octet_graph_input_at(graph, i));
        ready = inputs[i] != NULL;
    }
    if (ready && octet_session_create(graph, &options, &session, &diagnostic) == OCTET_OK) {
        (void)octet_session_run(session, (const OctetTensor *const *)inputs, count, outputs,
                                output_count, &diagnostic);
    }
    octet_session_free(session);
    for (size_t i = 0; i < MAX_INPUTS; i++) {
        octet_tensor_free(inputs[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    OctetLoadOptions load = {.max_nodes = 200};
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    if (octet_model_load_memory(data, size, "fuzz", &load, &graph, &diagnostic) == OCTET_OK) {
        run(graph);
        octet_graph_free(graph);
    }
    return 0;
}
