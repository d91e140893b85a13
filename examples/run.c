/* run MODEL.onnx X.npy: runs a network, float or int8, and prints its first output. */
#include <octet/data.h>
#include <octet/octet.h>

#include <stdio.h>

int main(int argc, char **argv) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = NULL;
    OctetSession *session = NULL;
    OctetThreadPool *pool = NULL;
    OctetTensor *input = NULL;
    const OctetTensor *outputs[16];
    OctetStatus status;
    if (argc != 3) {
        fprintf(stderr, "usage: run MODEL.onnx X.npy\n");
        return 2;
    }
    if ((status = octet_model_load(argv[1], NULL, &graph, &diagnostic)) != OCTET_OK ||
        (status = octet_npy_read(argv[2], &input, &diagnostic)) != OCTET_OK ||
        (status = octet_thread_pool_create(0, &pool, &diagnostic)) != OCTET_OK) {
        goto done;
    }
    size_t count = octet_graph_output_count(graph);
    if (octet_graph_input_count(graph) != 1 || count > 16) {
        fprintf(stderr, "run: this example takes networks of one input and up to 16 outputs\n");
        goto done;
    }
    OctetSessionOptions options = {.pool = pool};
    if ((status = octet_session_create(graph, &options, &session, &diagnostic)) == OCTET_OK &&
        (status = octet_session_run(session, (const OctetTensor *[]){input}, 1, outputs, count,
                                    &diagnostic)) == OCTET_OK) {
        status = octet_tensor_print(outputs[0], stdout, &diagnostic);
    }
done:
    octet_session_free(session);
    octet_thread_pool_free(pool);
    octet_tensor_free(input);
    octet_graph_free(graph);
    if (status != OCTET_OK) {
        char text[1500];
        octet_diagnostic_format(&diagnostic, text, sizeof text);
        fprintf(stderr, "run: %s\n", text);
    }
    return status == OCTET_OK ? 0 : 1;
}
