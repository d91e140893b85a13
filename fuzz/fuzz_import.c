/* Any bytes as a model: it is loaded, leniently or not, and what loads is written in each form. */
#include "octet/octet.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int lenient = 0; lenient < 2; lenient++) {
        OctetLoadOptions load = {.max_nodes = 4000, .lenient = lenient != 0};
        OctetGraph *graph;
        OctetDiagnostic diagnostic = {0};
        OctetStatus status =
            octet_model_load_memory(data, size, "fuzz", &load, &graph, &diagnostic);
        if (status == OCTET_ERROR_INTERNAL) {
            __builtin_trap(); /* a graph that breaks its own rules */
        }
        for (int form = 0; form < 3 && status == OCTET_OK; form++) {
            OctetSaveOptions save = {.format =
                                         form == 1 ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ,
                                     .io = form == 2 ? OCTET_IO_UINT8 : OCTET_IO_FLOAT32};
            OctetDiagnostic ignored = {0};
            if (octet_model_save(graph, "/dev/null", &save, &ignored) == OCTET_ERROR_INTERNAL) {
                __builtin_trap();
            }
        }
        if (status == OCTET_OK) {
            octet_graph_free(graph);
        }
    }
    return 0;
}
