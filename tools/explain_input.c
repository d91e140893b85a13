#include "explain_input.h"

#include "border.h"
#include "inputs.h"
#include "report.h"

#include <stdlib.h>

typedef struct Watch {
    const OctetValue *value;
    OctetTensor *copy;
    OctetDiagnostic *diagnostic;
} Watch;

static bool is_watched(void *user, const OctetValue *value) {
    return value == ((const Watch *)user)->value;
}

static OctetStatus keep(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Watch *watch = user;
    (void)value;
    return watch->copy ? OCTET_OK : octet_tensor_copy(tensor, &watch->copy, watch->diagnostic);
}

/* Runs the network until the layer's input is there; the model's own input is taken as it is. */
static OctetStatus run_to(const ExplainInput *request, OctetTensor *input, Watch *watch) {
    if (watch->value == octet_graph_input_at(request->graph, 0)) {
        return octet_tensor_copy(input, &watch->copy, watch->diagnostic);
    }
    const OctetSessionOptions options = {.limits = run_limits(),
                                         .requantize = request->mode,
                                         .observe = keep,
                                         .observe_filter = is_watched,
                                         .observe_user = watch};
    OctetSession *session = NULL;
    size_t count = octet_graph_output_count(request->graph);
    const OctetTensor **outputs = checked_calloc(count + 1, sizeof *outputs);
    OctetStatus status =
        octet_session_create(request->graph, &options, &session, watch->diagnostic);
    if (status == OCTET_OK) {
        status = border_run(session, request->graph, (const OctetTensor *const[]){input}, 1,
                            outputs, count, watch->diagnostic);
    }
    octet_session_free(session);
    free(outputs);
    return status == OCTET_OK && !watch->copy
               ? fail(watch->diagnostic, OCTET_ERROR_UNSUPPORTED, NULL,
                      "the input of %s did not show up while running",
                      octet_node_name(request->node))
               : status;
}

/* --at Y,X: the place in the output, in the middle of the first sample without it. */
static OctetStatus read_position(const ExplainInput *request, int64_t *position,
                                 OctetDiagnostic *diagnostic) {
    OctetShape shape = octet_value_shape(octet_node_output(request->node, 0));
    const char *text = request->at;
    int64_t places[OCTET_MAX_RANK];
    int32_t count = 0;
    while (*text && count < OCTET_MAX_RANK) {
        char *end;
        places[count++] = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',')) {
            count = -1;
            break;
        }
        text = *end ? end + 1 : end;
    }
    bool image = shape.rank > 2;
    if (count < 1 || count > shape.rank || (image && count != shape.rank - 2)) {
        return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                    "--at %s: the output of %s has %d axes; name a place as Y,X (rows for layers "
                    "without an image)",
                    request->at, octet_node_name(request->node),
                    (int)(image ? shape.rank - 2 : shape.rank));
    }
    for (int32_t i = 0; i < count; i++) {
        position[image ? 2 + i : i] = places[i];
    }
    return OCTET_OK;
}

OctetStatus explain_input(const ExplainInput *request, OctetPixelExplanation *pixel,
                          OctetDiagnostic *diagnostic) {
    int64_t position[OCTET_MAX_RANK] = {0};
    Watch watch = {.value = octet_node_input(request->node, 0), .diagnostic = diagnostic};
    OctetTensor *input = NULL;
    int32_t count = 0;
    OctetDataInput *wanted = model_inputs(request->graph, true, &count);
    OctetStatus status = OCTET_OK;
    if (count != 1) {
        status = fail(diagnostic, OCTET_ERROR_UNSUPPORTED, NULL,
                      "--input works for models of one input, this one has %d", (int)count);
    }
    if (status == OCTET_OK && request->at) {
        status = read_position(request, position, diagnostic);
    }
    if (status == OCTET_OK) {
        status = input_read(request->preprocess, request->graph, wanted, request->path, &input,
                            diagnostic);
    }
    if (status == OCTET_OK) {
        status = run_to(request, input, &watch);
    }
    if (status == OCTET_OK) {
        status =
            octet_explain_pixel(request->node, request->original, request->mode, watch.copy,
                                request->channel, request->at ? position : NULL, pixel, diagnostic);
    }
    octet_tensor_free(input);
    octet_tensor_free(watch.copy);
    free(wanted);
    return status;
}
