#include "border.h"

#include "metrics.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

static bool holds_integers(const OctetValue *value) {
    OctetDType dtype = octet_value_dtype(value);
    bool integers =
        dtype == OCTET_U8 || dtype == OCTET_S8 || dtype == OCTET_U16 || dtype == OCTET_S16;
    return integers && !octet_value_qparams(value);
}

static int32_t integer_of(const OctetTensor *tensor) {
    switch (tensor->dtype) {
    case OCTET_U8:
        return *(const uint8_t *)tensor->data;
    case OCTET_S8:
        return *(const int8_t *)tensor->data;
    case OCTET_U16:
        return *(const uint16_t *)tensor->data;
    default:
        return *(const int16_t *)tensor->data;
    }
}

static const OctetTensor *one_number(const OctetNode *node, size_t index, OctetDType dtype) {
    const OctetValue *value =
        index < octet_node_input_count(node) ? octet_node_input(node, index) : NULL;
    const OctetTensor *tensor = value ? octet_value_tensor(value) : NULL;
    int64_t count;
    bool fits = tensor && tensor->dtype == dtype && !octet_value_qparams(value) &&
                octet_shape_count(&tensor->shape, &count) && count == 1;
    return fits ? tensor : NULL;
}

/* The parameters that a QuantizeLinear or DequantizeLinear states for integers of type `dtype`. */
static bool read_grid(const OctetNode *node, OctetDType dtype, BorderGrid *grid) {
    const OctetTensor *scale = one_number(node, 1, OCTET_F32);
    const OctetTensor *zero_point = one_number(node, 2, dtype);
    bool stated = octet_node_input_count(node) > 2;
    if (!scale || (stated && !zero_point)) {
        return false;
    }
    *grid =
        (BorderGrid){dtype, *(const float *)scale->data, zero_point ? integer_of(zero_point) : 0};
    return grid->scale > 0;
}

bool border_input_grid(const OctetGraph *graph, size_t index, BorderGrid *grid) {
    const OctetValue *input = octet_graph_input_at(graph, index);
    for (size_t i = 0; holds_integers(input) && i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        if (octet_node_input_count(node) > 0 && octet_node_input(node, 0) == input &&
            strcmp(octet_node_op_type(node), "DequantizeLinear") == 0) {
            return read_grid(node, octet_value_dtype(input), grid);
        }
    }
    return false;
}

bool border_output_grid(const OctetGraph *graph, size_t index, BorderGrid *grid) {
    const OctetValue *output = octet_graph_output_at(graph, index);
    for (size_t i = 0; holds_integers(output) && i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        if (octet_node_output_count(node) > 0 && octet_node_output(node, 0) == output &&
            strcmp(octet_node_op_type(node), "QuantizeLinear") == 0) {
            return read_grid(node, octet_value_dtype(output), grid);
        }
    }
    return false;
}

static OctetQParams qparams_of(BorderGrid *grid) {
    return (OctetQParams){.dtype = grid->dtype,
                          .axis = -1,
                          .count = 1,
                          .scale = &grid->scale,
                          .zero_point = &grid->zero_point};
}

OctetStatus border_run(OctetSession *session, const OctetGraph *graph,
                       const OctetTensor *const *inputs, size_t input_count,
                       const OctetTensor **outputs, size_t output_count,
                       OctetDiagnostic *diagnostic) {
    const OctetTensor **wanted = checked_calloc(input_count, sizeof(*wanted));
    OctetTensor **made = checked_calloc(input_count, sizeof(*made));
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < input_count; i++) {
        BorderGrid grid;
        wanted[i] = inputs[i];
        if (inputs[i]->dtype == OCTET_F32 && border_input_grid(graph, i, &grid)) {
            OctetQParams qparams = qparams_of(&grid);
            status = octet_quantize(inputs[i], &qparams, OCTET_QUANTIZE_DIVIDE, &made[i], NULL,
                                    diagnostic);
            wanted[i] = made[i];
        }
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
    BorderGrid grid;
    if (!border_output_grid(graph, index, &grid) || output->dtype != grid.dtype) {
        return tensor_floats(output, values, count, made, diagnostic);
    }
    OctetTensor *integers;
    OctetStatus status = octet_tensor_copy(output, &integers, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    OctetQParams qparams = qparams_of(&grid);
    status = octet_tensor_set_qparams(integers, &qparams, diagnostic);
    if (status == OCTET_OK) {
        status = tensor_floats(integers, values, count, made, diagnostic);
    }
    octet_tensor_free(integers);
    return status;
}
