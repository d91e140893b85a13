/* Reading the parameters of QuantizeLinear and DequantizeLinear. */
#include "base/diag.h"
#include "base/tensor.h"
#include "onnx/fold.h"
#include "quant/qparams.h"

#include <string.h>

enum { DATA = 0, SCALE = 1, ZERO_POINT = 2, MAX_IDENTITIES = 16 };

static bool has_type(const OctNode *node, const char *op_type) {
    return strcmp(node->op_type, op_type) == 0 &&
           (!*node->domain || strcmp(node->domain, "com.microsoft") == 0);
}

bool oct_is_quantize(const OctNode *node) {
    return node && !node->dead && has_type(node, "QuantizeLinear") && node->output_count == 1 &&
           oct_node_input(node, DATA) && node->outputs[0];
}

bool oct_is_dequantize(const OctNode *node) {
    return node && !node->dead && has_type(node, "DequantizeLinear") && node->output_count == 1 &&
           oct_node_input(node, DATA) && node->outputs[0];
}

const OctetTensor *oct_constant_behind(const OctValue *value) {
    for (int i = 0; value && i < MAX_IDENTITIES; i++) {
        if (value->constant) {
            return oct_value_quantized(value) ? NULL : oct_constant_tensor(value->constant);
        }
        const OctNode *producer = value->producer;
        bool identity = producer && !producer->dead && strcmp(producer->op_type, "Identity") == 0;
        value = identity ? oct_node_input(producer, DATA) : NULL;
    }
    return NULL;
}

/* The integers' type: the zero point's, or what else tells it. */
static OctetDType integer_type(const OctNode *node) {
    const OctetTensor *zero_point = oct_constant_behind(oct_node_input(node, ZERO_POINT));
    if (zero_point) {
        return zero_point->dtype;
    }
    const OctValue *data = node->inputs[DATA];
    if (oct_is_quantize(node)) {
        int64_t stated = oct_node_int(node, "output_dtype", 0);
        return stated > 0 && stated <= OCTET_S4 ? (OctetDType)stated : OCTET_U8;
    }
    if (data->constant) {
        return oct_constant_tensor(data->constant)->dtype;
    }
    return oct_is_quantize(data->producer) ? integer_type(data->producer) : data->dtype;
}

static bool is_quantized_type(OctetDType dtype) {
    switch (dtype) {
    case OCTET_U8:
    case OCTET_S8:
    case OCTET_U16:
    case OCTET_S16:
    case OCTET_U4:
    case OCTET_S4:
    case OCTET_S32:
        return true;
    default:
        return false;
    }
}

static OctetStatus fail_params(const OctNode *node, OctetDiagnostic *diagnostic,
                               const char *reason) {
    return oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, node->name, "%s of opset %d: %s",
                         node->op_type, (int)node->opset, reason);
}

/* Fills axis and block_size. */
static OctetStatus read_axis(const OctNode *node, const OctetShape *shape, const OctetTensor *scale,
                             OctetQParams *qparams, bool *found, OctetDiagnostic *diagnostic) {
    int64_t axis = oct_node_int(node, "axis", 1);
    int64_t block_size = oct_node_int(node, "block_size", 0);
    if (qparams->count == 1 && scale->shape.rank <= 1) {
        return OCTET_OK; /* one scale for all, whatever the axis says */
    }
    if (shape->rank < 0) {
        *found = false;
        return OCTET_OK;
    }
    axis += axis < 0 ? shape->rank : 0;
    if (axis < 0 || axis >= shape->rank) {
        return fail_params(node, diagnostic, "its axis lies outside of its input");
    }
    if (block_size < 0 || (block_size == 0 && scale->shape.rank != 1)) {
        return fail_params(node, diagnostic, "its scale has a shape that doesn't fit its axis");
    }
    if (block_size > 0) {
        bool fits = scale->shape.rank == shape->rank;
        for (int32_t i = 0; fits && i < shape->rank; i++) {
            int64_t dim = shape->dims[i];
            int64_t blocks = i == axis && dim > 0 ? (dim - 1) / block_size + 1 : dim;
            fits = scale->shape.dims[i] == blocks;
        }
        if (!fits) {
            return fail_params(node, diagnostic, "its scale doesn't have one value a block");
        }
    }
    qparams->axis = (int32_t)axis;
    qparams->block_size = block_size;
    return OCTET_OK;
}

static OctetStatus read_zero_points(const OctNode *node, const OctetTensor *zero_point,
                                    OctetQParams *qparams, OctetDiagnostic *diagnostic) {
    int64_t count;
    if (!octet_shape_count(&zero_point->shape, &count) || count != qparams->count) {
        return fail_params(node, diagnostic, "its zero point has another shape than its scale");
    }
    return oct_convert(OCTET_S32, qparams->zero_point, zero_point->dtype, zero_point->data, count,
                       diagnostic);
}

OctetStatus oct_read_qparams(const OctNode *node, const OctetShape *shape, OctetQParams *qparams,
                             bool *found, OctetDiagnostic *diagnostic) {
    const OctetTensor *scale = oct_constant_behind(oct_node_input(node, SCALE));
    const OctValue *zero_value = oct_node_input(node, ZERO_POINT);
    const OctetTensor *zero_point = oct_constant_behind(zero_value);
    OctetDType dtype = integer_type(node);
    int64_t count;
    *qparams = (OctetQParams){.axis = -1};
    *found = scale && scale->dtype == OCTET_F32 && (zero_point || !zero_value) &&
             is_quantized_type(dtype) && octet_shape_count(&scale->shape, &count) && count > 0;
    if (!*found) {
        return OCTET_OK;
    }
    OCT_TRY(octet_qparams_create(dtype, count > 1 ? 0 : -1, count, qparams, diagnostic));
    memcpy(qparams->scale, scale->data, (size_t)count * sizeof(float));
    OctetStatus status = read_axis(node, shape, scale, qparams, found, diagnostic);
    if (status == OCTET_OK && zero_point && *found) {
        status = read_zero_points(node, zero_point, qparams, diagnostic);
    }
    if (status == OCTET_OK && !oct_scales_are_finite(qparams->scale, count)) {
        status = fail_params(node, diagnostic, "a scale is negative, infinite or no number");
    }
    if (status != OCTET_OK || !*found) {
        octet_qparams_clear(qparams);
    }
    return status;
}

OctetStatus oct_read_activation_qparams(const OctNode *node, OctetQParams *qparams, bool *found,
                                        OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_read_qparams(node, &(OctetShape){.rank = -1}, qparams, found, diagnostic));
    if (!*found) {
        return OCTET_OK;
    }
    if (qparams->scale[0] == 0) {
        octet_qparams_clear(qparams);
        return fail_params(node, diagnostic, "its scale is 0");
    }
    if (qparams->count != 1 || qparams->dtype == OCTET_S32) {
        octet_qparams_clear(qparams);
        *found = false;
    }
    return OCTET_OK;
}

OctetStatus oct_check_qparams(const OctNode *node, OctetDiagnostic *diagnostic) {
    if (!oct_is_quantize(node) && !oct_is_dequantize(node)) {
        return OCTET_OK;
    }
    const OctetTensor *data = oct_constant_behind(oct_node_input(node, DATA));
    OctetQParams qparams;
    bool found;
    OCT_TRY(oct_read_qparams(node, data ? &data->shape : &(OctetShape){.rank = -1}, &qparams,
                             &found, diagnostic));
    bool is_zero = found && !data && qparams.scale[0] == 0;
    octet_qparams_clear(&qparams);
    return is_zero ? fail_params(node, diagnostic, "its scale is 0") : OCTET_OK;
}

const char *oct_name_of_real(OctGraph *graph, const char *name) {
    static const char suffix[] = "_quantized";
    size_t length = strlen(name);
    size_t cut = sizeof suffix - 1;
    bool named = length > cut && strcmp(name + length - cut, suffix) == 0;
    return named ? oct_arena_strndup(graph->arena, name, length - cut) : name;
}

bool oct_turn_into_identity(OctGraph *graph, OctNode *dequantize, OctValue *from,
                            const OctetQParams *qparams) {
    dequantize->op_type = "Identity";
    dequantize->domain = "";
    dequantize->inputs[DATA] = from;
    dequantize->input_count = 1;
    while (dequantize->attribute_count > 0) {
        oct_node_remove_attribute(dequantize, dequantize->attributes[0].name);
    }
    dequantize->outputs[0]->dtype = OCTET_F32;
    return graph->parent || oct_graph_set_qparams(graph, dequantize->outputs[0], qparams);
}
