#include "inputs.h"

#include <stdio.h>
#include <string.h>

static bool has_ending(const char *path, const char *ending) {
    size_t length = strlen(path), end = strlen(ending);
    return length >= end && strcmp(path + length - end, ending) == 0;
}

OctetStatus input_read(const PreprocessOptions *options, const OctetGraph *graph,
                       const OctetDataInput *wanted, const char *path, OctetTensor **tensor,
                       OctetDiagnostic *diagnostic) {
    OctetPreprocess preprocess;
    bool image = octet_is_image(path);
    OctetStatus status = preprocess_resolve(options, octet_graph_metadata(graph, PREPROCESS_KEY),
                                            image, &preprocess, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    if (image) {
        return octet_image_read(path, &preprocess, wanted, tensor, diagnostic);
    }
    status = has_ending(path, ".pb") ? octet_tensor_load_pb(path, tensor, diagnostic)
                                     : octet_npy_read(path, tensor, diagnostic);
    if (status == OCTET_OK) {
        status = octet_array_prepare(tensor, &preprocess, wanted, diagnostic);
        if (status != OCTET_OK && !diagnostic->file[0]) {
            snprintf(diagnostic->file, sizeof diagnostic->file, "%s", path);
        }
    }
    return status;
}
