/* A stranger's program: builds a network with the installed headers, runs it, checks the result. */
#include <octet/octet.h>

#include <stdio.h>

int main(void) {
    OctetDiagnostic diagnostic = {0};
    const float weight[4] = {1, 2, 3, 4}, bias[2] = {10, 20};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &(OctetShape){2, {-1, 2}});
    OctetValue *y = octet_graph_linear(graph, "linear", x, 2, 2, weight, bias);
    octet_graph_output(graph, y, "y");
    OctetSession *session = NULL;
    if (octet_graph_finish(graph, &diagnostic) != OCTET_OK ||
        octet_session_create(graph, NULL, &session, &diagnostic) != OCTET_OK) {
        printf("%s\n", diagnostic.message);
        return 1;
    }
    float data[2] = {1, -1};
    OctetTensor *input;
    const OctetTensor *output;
    if (octet_tensor_wrap(OCTET_F32, &(OctetShape){2, {1, 2}}, data, sizeof data, &input,
                          &diagnostic) != OCTET_OK ||
        octet_session_run(session, (const OctetTensor *[]){input}, 1, &output, 1, &diagnostic) !=
            OCTET_OK) {
        printf("%s\n", diagnostic.message);
        return 1;
    }
    const float *result = output->data;
    printf("%s %g %g\n", octet_version(), result[0], result[1]);
    int wrong = result[0] != 9 || result[1] != 19;
    octet_tensor_free(input);
    octet_session_free(session);
    octet_graph_free(graph);
    return wrong;
}
