#include "functional/call.h"

#include "base/diag.h"
#include "octet/session.h"

#include <string.h>

enum { OPSET = 17 };

static void fail_call(OctCall *call, OctetStatus status) {
    call->status = call->status == OCTET_OK ? status : call->status;
}

static void out_of_memory(OctCall *call) {
    fail_call(call, oct_fail_memory(call->diagnostic));
}

void oct_call_begin(OctCall *call, OctetDiagnostic *diagnostic) {
    *call = (OctCall){.diagnostic = diagnostic};
    call->graph = oct_graph_create();
    if (!call->graph || !oct_graph_set_opset(call->graph, "", OPSET)) {
        out_of_memory(call);
    }
}

static void add_operand(OctCall *call, OctValue *value) {
    if (call->operand_count == OCT_CALL_INPUTS) {
        fail_call(call, oct_fail(call->diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                                 "more than %d tensors", (int)OCT_CALL_INPUTS));
        return;
    }
    call->operands[call->operand_count++] = value;
}

OctetStatus oct_check_quantized(const OctetTensor *tensor, OctetDiagnostic *diagnostic) {
    bool bytes = tensor && (tensor->dtype == OCTET_U8 || tensor->dtype == OCTET_S8);
    if (!bytes || tensor->qparams.dtype != tensor->dtype || tensor->qparams.count != 1) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the input is not a tensor that is quantized to 8 bits per tensor");
    }
    return OCTET_OK;
}

void oct_call_data(OctCall *call, const OctetTensor *tensor) {
    if (call->status != OCTET_OK) {
        return;
    }
    OctetStatus status = oct_check_quantized(tensor, call->diagnostic);
    if (status != OCTET_OK) {
        fail_call(call, status);
        return;
    }
    OctValue *value = oct_graph_add_value(call->graph, "x");
    if (!value || !oct_graph_add_input(call->graph, value) ||
        !oct_graph_set_qparams(call->graph, value, &tensor->qparams)) {
        out_of_memory(call);
        return;
    }
    value->dtype = OCTET_F32;
    value->shape = tensor->shape;
    call->feeds[call->feed_count] = tensor;
    add_operand(call, value);
    call->feed_count += call->status == OCTET_OK ? 1 : 0;
}

void oct_call_constant(OctCall *call, const OctetTensor *tensor) {
    OctetTensor *copy = NULL;
    if (call->status != OCTET_OK) {
        return;
    }
    if (!tensor) {
        fail_call(call, oct_fail(call->diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                                 "a tensor that is needed is NULL"));
        return;
    }
    OctetStatus status = octet_tensor_copy(tensor, &copy, call->diagnostic);
    if (status != OCTET_OK) {
        fail_call(call, status);
        return;
    }
    OctValue *value = oct_graph_add_constant(call->graph, "w", copy);
    if (!value) {
        out_of_memory(call);
        return;
    }
    add_operand(call, value);
}

static void wrap_constant(OctCall *call, OctetDType dtype, const OctetShape *shape,
                          const void *data) {
    OctetTensor view = {.dtype = dtype, .shape = *shape, .qparams = {.axis = -1}};
    int64_t count;
    if (call->status != OCTET_OK) {
        return;
    }
    if (!data || !octet_shape_count(shape, &count) || count > PTRDIFF_MAX / 16) {
        fail_call(call, oct_fail(call->diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                                 "parameters that are needed are missing"));
        return;
    }
    view.bytes = (size_t)count * octet_dtype_size(dtype);
    view.data = (void *)(uintptr_t)data; /* only read, by the copy */
    oct_call_constant(call, &view);
}

void oct_call_floats(OctCall *call, const OctetShape *shape, const float *data) {
    wrap_constant(call, OCTET_F32, shape, data);
}

void oct_call_ints(OctCall *call, const int64_t *data, int32_t count) {
    wrap_constant(call, OCTET_S64, &(OctetShape){1, {count}}, data);
}

void oct_call_absent(OctCall *call) {
    if (call->status == OCTET_OK) {
        add_operand(call, NULL);
    }
}

void oct_call_node(OctCall *call, const char *op_type) {
    if (call->status != OCTET_OK) {
        return;
    }
    OctValue *output = oct_graph_add_value(call->graph, "y");
    call->node = output ? oct_graph_add_node(call->graph, op_type, "", op_type, call->operands,
                                             call->operand_count, &output, 1)
                        : NULL;
    if (!call->node || !oct_graph_add_output(call->graph, output)) {
        out_of_memory(call);
    }
}

void oct_call_set_int(OctCall *call, const char *name, int64_t value) {
    if (call->status == OCTET_OK && !oct_node_set_int(call->graph, call->node, name, value)) {
        out_of_memory(call);
    }
}

void oct_call_set_float(OctCall *call, const char *name, float value) {
    if (call->status == OCTET_OK && !oct_node_set_float(call->graph, call->node, name, value)) {
        out_of_memory(call);
    }
}

void oct_call_set_string(OctCall *call, const char *name, const char *value) {
    if (call->status == OCTET_OK && !oct_node_set_string(call->graph, call->node, name, value)) {
        out_of_memory(call);
    }
}

void oct_call_set_ints(OctCall *call, const char *name, const int64_t *values, int32_t count) {
    if (call->status == OCTET_OK &&
        !oct_node_set_ints(call->graph, call->node, name, values, count)) {
        out_of_memory(call);
    }
}

void oct_call_set_clip(OctCall *call, float minimum, float maximum) {
    if (call->status == OCTET_OK) {
        call->node->activation = (OctActivation){OCT_ACTIVATION_CLIP, minimum, maximum};
    }
}

static OctetStatus run(OctCall *call, OctetDType dtype, const OctetQOutput *output,
                       OctetTensor **result) {
    OctetSession *session = NULL;
    const OctetTensor *computed;
    float scale = output->scale;
    int32_t zero_point = output->zero_point;
    OctetQParams grid = {
        .dtype = dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    OctetShape scalar = {0, {0}};
    OctValue *value = call->node->outputs[0];
    value->dtype = OCTET_F32;
    OCT_TRY(octet_qparams_check(&grid, &scalar, call->diagnostic));
    if (!oct_graph_set_qparams(call->graph, value, &grid)) {
        return oct_fail_memory(call->diagnostic);
    }
    call->graph->quantized = true;
    OCT_TRY(octet_graph_finish(call->graph, call->diagnostic));
    OctetSessionOptions options = {
        .pool = output->pool, .requantize = output->requantize, .int8_outputs = true};
    OctetStatus status = octet_session_create(call->graph, &options, &session, call->diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(session, call->feeds, (size_t)call->feed_count, &computed, 1,
                                   call->diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_tensor_copy(computed, result, call->diagnostic);
    }
    octet_session_free(session);
    return status;
}

OctetStatus oct_call_end(OctCall *call, OctetDType dtype, const OctetQOutput *output,
                         OctetTensor **result) {
    *result = NULL;
    if (call->status == OCTET_OK) {
        call->status = run(call, dtype, output, result);
    }
    oct_graph_free(call->graph);
    call->graph = NULL;
    return call->status;
}

OctetStatus oct_call_end_like(OctCall *call, const OctetTensor *like, OctetTensor **result) {
    OctetQOutput output = {.scale = 1};
    if (call->status == OCTET_OK) {
        output.scale = like->qparams.scale[0];
        output.zero_point = like->qparams.zero_point[0];
    }
    return oct_call_end(call, like ? like->dtype : OCTET_U8, &output, result);
}
