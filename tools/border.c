#include "border.h"

#include "metrics.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

static bool is_8_bits(const OctetValue *value) {
    OctetDType dtype = octet_value_dtype(value);
    return (dtype == OCTET_U8 || dtype == OCTET_S8) && !octet_value_qparams(value);
}

/* The per-tensor grid of `real` if its integers have the type of `stored`. */
static const OctetQParams *grid_of(const OctetValue *real, const OctetValue *stored) {
    const OctetQParams *grid = real ? octet_value_qparams(real) : NULL;
    bool fits = grid && grid->count == 1 && grid->axis < 0 && stored &&
                grid->dtype == octet_value_dtype(stored);
    return fits ? grid : NULL;
}

const OctetQParams *border_input_grid(const OctetGraph *graph, size_t index) {
    const OctetValue *input = octet_graph_input_at(graph, index);
    for (size_t i = 0; is_8_bits(input) && i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        if (octet_node_input_count(node) > 0 && octet_node_input(node, 0) == input &&
            strcmp(octet_node_op_type(node), "DequantizeLinear") == 0) {
            return grid_of(octet_node_output(node, 0), input);
        }
    }
    return NULL;
}

const OctetQParams *border_output_grid(const OctetGraph *graph, size_t index) {
    const OctetValue *output = octet_graph_output_at(graph, index);
    for (size_t i = 0; is_8_bits(output) && i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        if (octet_node_output_count(node) > 0 && octet_node_output(node, 0) == output &&
            strcmp(octet_node_op_type(node), "QuantizeLinear") == 0) {
            return grid_of(octet_node_input(node, 0), output);
        }
    }
    return NULL;
}

OctetStatus border_run(OctetSession *session, const OctetGraph *graph,
                       const OctetTensor *const *inputs, size_t input_count,
                       const OctetTensor **outputs, size_t output_count,
                       OctetDiagnostic *diagnostic) {
    const OctetTensor **wanted = checked_calloc(input_count, sizeof(*wanted));
    OctetTensor **made = checked_calloc(input_count, sizeof(*made));
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < input_count; i++) {
        const OctetQParams *grid =
            inputs[i]->dtype == OCTET_F32 ? border_input_grid(graph, i) : NULL;
        if (grid) {
            status =
                octet_quantize(inputs[i], grid, OCTET_QUANTIZE_DIVIDE, &made[i], NULL, diagnostic);
        }
        wanted[i] = grid ? made[i] : inputs[i];
    }
    if (status == OCTET_OK) {
        status = octet_session_run(session, wanted, input_count, outputs, output_count, diagnostic);
    }
    for (size_t i = 0; i < input_count; i++) {
        octet_tensor_free(made[i]);
    }
    free(made);
    free(wanted);
    return status;
}

OctetStatus border_floats(const OctetGraph *graph, size_t index, const OctetTensor *output,
                          const float **values, int64_t *count, OctetTensor **made,
                          OctetDiagnostic *diagnostic) {
    const OctetQParams *grid = border_output_grid(graph, index);
    if (!grid || output->dtype != grid->dtype) {
        return tensor_floats(output, values, count, made, diagnostic);
    }
    OctetTensor *integers;
    OctetStatus status = octet_tensor_copy(output, &integers, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    status = octet_tensor_set_qparams(integers, grid, diagnostic);
    if (status == OCTET_OK) {
        status = tensor_floats(integers, values, count, made, diagnostic);
    }
    octet_tensor_free(integers);
    return status;
}
