/* Layers by themselves: the error that a layer adds, and what that costs at the output. */
#include "compare.h"

#include "report.h"

#include <stdlib.h>
#include <string.h>

static bool has_integers(const OctetNode *node) {
    bool any = false;
    for (size_t k = 0; k < octet_node_input_count(node); k++) {
        const OctetValue *input = octet_node_input(node, k);
        any = any || (input && octet_value_qparams(input));
    }
    for (size_t k = 0; k < octet_node_output_count(node); k++) {
        const OctetValue *output = octet_node_output(node, k);
        any = any || (output && octet_value_qparams(output));
    }
    return any;
}

static OctetStatus open_layer(const Compare *compare, Layer *layer, OctetDiagnostic *diagnostic) {
    const OctetGraph *graph = compare->graphs[1];
    const OctetValue **inputs = checked_calloc(layer->input_count, sizeof(*inputs));
    for (size_t i = 0; i < layer->input_count; i++) {
        inputs[i] = octet_graph_find_value(graph, octet_value_name(layer->inputs[i]));
    }
    OctetStatus status = octet_graph_extract(graph, inputs, layer->input_count, &layer->second, 1,
                                             &layer->alone, diagnostic);
    free(inputs);
    OctetSessionOptions options = {.pool = compare->pool,
                                   .limits = run_limits(),
                                   .requantize = compare->requantize,
                                   .int8_outputs = true};
    return status == OCTET_OK
               ? octet_session_create(layer->alone, &options, &layer->session, diagnostic)
               : status;
}

void compare_open_alone(Compare *compare) {
    compare->remembered = checked_calloc(compare->most_remembered, sizeof(*compare->remembered));
    for (size_t i = 0; i < compare->layer_count; i++) {
        Layer *layer = &compare->layers[i];
        OctetDiagnostic diagnostic = {0};
        if (layer->input_count == 0 || !has_integers(layer->node)) {
            continue;
        }
        if (open_layer(compare, layer, &diagnostic) != OCTET_OK) {
            octet_graph_free(layer->alone);
            layer->alone = NULL;
            continue;
        }
        layer->results = checked_calloc(compare->most_remembered, sizeof(*layer->results));
    }
}

static OctetStatus copy_all(const OctetTensor *const *tensors, size_t count, OctetTensor ***copies,
                            OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    *copies = checked_calloc(count + 1, sizeof(**copies));
    for (size_t i = 0; status == OCTET_OK && i < count; i++) {
        status = octet_tensor_copy(tensors[i], &(*copies)[i], diagnostic);
    }
    return status;
}

static OctetStatus run_layer(const Compare *compare, Layer *layer, OctetTensor **result,
                             OctetDiagnostic *diagnostic) {
    const OctetTensor *reference = compare_kept(compare, layer->first);
    const OctetTensor **inputs = checked_calloc(layer->input_count, sizeof(*inputs));
    const OctetTensor *output = NULL;
    bool all = reference != NULL;
    for (size_t i = 0; i < layer->input_count; i++) {
        inputs[i] = compare_kept(compare, layer->inputs[i]);
        all = all && inputs[i];
    }
    OctetStatus status = OCTET_OK;
    if (all) {
        status =
            octet_session_run(layer->session, inputs, layer->input_count, &output, 1, diagnostic);
        if (status == OCTET_OK) {
            status = compare_loss(layer, reference, output, &layer->own);
        }
        if (status == OCTET_OK && result) {
            status = octet_tensor_copy(output, result, diagnostic);
        }
    }
    free(inputs);
    return status;
}

OctetStatus compare_run_alone(Compare *compare, const Batch *batch, OctetDiagnostic *diagnostic) {
    bool remember = compare->remembered_count < compare->most_remembered;
    size_t place = compare->remembered_count;
    OctetStatus status = OCTET_OK;
    if (remember) {
        Remembered *kept = &compare->remembered[place];
        compare->remembered_count++;
        compare->remembered_samples += batch->count;
        status = copy_all((const OctetTensor *const *)batch->inputs, batch->input_count,
                          &kept->inputs, diagnostic);
        if (status == OCTET_OK) {
            status = copy_all(compare->outputs[0], octet_graph_output_count(compare->graphs[0]),
                              &kept->outputs, diagnostic);
        }
    }
    for (size_t i = 0; status == OCTET_OK && i < compare->layer_count; i++) {
        Layer *layer = &compare->layers[i];
        if (layer->session) {
            status =
                run_layer(compare, layer, remember ? &layer->results[place] : NULL, diagnostic);
        }
    }
    return status;
}

/* ---- the rest of the network behind a layer ---- */

typedef struct Rest {
    OctetGraph *graph;
    OctetSession *session;
    const OctetValue **inputs; /* the network's, then the layer's value */
    const OctetTensor **tensors, **outputs;
    size_t input_count, output_count;
} Rest;

static OctetStatus open_rest(const Compare *compare, const Layer *layer, Rest *rest,
                             OctetDiagnostic *diagnostic) {
    const OctetGraph *graph = compare->graphs[0];
    rest->input_count = octet_graph_input_count(graph) + 1;
    rest->output_count = octet_graph_output_count(graph);
    rest->inputs = checked_calloc(rest->input_count, sizeof(*rest->inputs));
    rest->tensors = checked_calloc(rest->input_count, sizeof(*rest->tensors));
    rest->outputs = checked_calloc(rest->output_count + 1, sizeof(*rest->outputs));
    const OctetValue **outputs = checked_calloc(rest->output_count + 1, sizeof(*outputs));
    for (size_t i = 0; i + 1 < rest->input_count; i++) {
        rest->inputs[i] = octet_graph_input_at(graph, i);
    }
    rest->inputs[rest->input_count - 1] = layer->first;
    for (size_t i = 0; i < rest->output_count; i++) {
        outputs[i] = octet_graph_output_at(graph, i);
    }
    OctetStatus status = octet_graph_extract(graph, rest->inputs, rest->input_count, outputs,
                                             rest->output_count, &rest->graph, diagnostic);
    free(outputs);
    OctetSessionOptions options = {.pool = compare->pool, .limits = run_limits()};
    return status == OCTET_OK
               ? octet_session_create(rest->graph, &options, &rest->session, diagnostic)
               : status;
}

static void close_rest(Rest *rest) {
    octet_session_free(rest->session);
    octet_graph_free(rest->graph);
    free(rest->inputs);
    free(rest->tensors);
    free(rest->outputs);
}

static OctetStatus add_outputs(const Remembered *batch, const Rest *rest, Similarity *similarity) {
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < rest->output_count; i++) {
        OctetTensor *made[2] = {NULL, NULL};
        const float *a, *b;
        int64_t count, other;
        status = tensor_floats(batch->outputs[i], &a, &count, &made[0], NULL);
        if (status == OCTET_OK) {
            status = tensor_floats(rest->outputs[i], &b, &other, &made[1], NULL);
        }
        if (status == OCTET_OK && count == other) {
            similarity_add(similarity, a, b, count);
        }
        octet_tensor_free(made[0]);
        octet_tensor_free(made[1]);
    }
    return status;
}

static OctetStatus run_rest(const Compare *compare, size_t place, Layer *layer, Rest *rest,
                            OctetDiagnostic *diagnostic) {
    const Remembered *batch = &compare->remembered[place];
    const OctetTensor *result = layer->results[place];
    OctetTensor *real = NULL;
    OctetStatus status = OCTET_OK;
    if (!result) {
        return OCTET_OK;
    }
    if (result->qparams.dtype != OCTET_DTYPE_NONE) {
        status = octet_dequantize(result, &real, diagnostic);
    }
    for (size_t i = 0; i + 1 < rest->input_count; i++) {
        rest->tensors[i] = batch->inputs[i];
    }
    rest->tensors[rest->input_count - 1] = real ? real : result;
    if (status == OCTET_OK) {
        status = octet_session_run(rest->session, rest->tensors, rest->input_count, rest->outputs,
                                   rest->output_count, diagnostic);
    }
    if (status == OCTET_OK) {
        status = add_outputs(batch, rest, &layer->output);
    }
    octet_tensor_free(real);
    return status;
}

OctetStatus compare_run_rests(Compare *compare, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    progress_start("outputs:", (int64_t)compare->layer_count);
    for (size_t i = 0; status == OCTET_OK && i < compare->layer_count; i++) {
        Layer *layer = &compare->layers[i];
        OctetDiagnostic own = {0};
        Rest rest = {0};
        if (layer->session && open_rest(compare, layer, &rest, &own) == OCTET_OK) {
            for (size_t b = 0; status == OCTET_OK && b < compare->remembered_count; b++) {
                status = run_rest(compare, b, layer, &rest, diagnostic);
            }
        }
        close_rest(&rest);
        progress_step((int64_t)i + 1);
        if (status == OCTET_OK) {
            status = check_interrupt(diagnostic);
        }
    }
    progress_end();
    return status;
}
