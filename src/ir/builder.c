/* Networks written down in C: the public half of graph.h that makes things. */
#include "base/diag.h"
#include "ir/findings.h"
#include "ir/op.h"
#include "octet/graph.h"

#include <string.h>

/* The newest opset of which Octet implements every operator that the builder offers. */
enum { BUILDER_OPSET = 17, BUILDER_IR_VERSION = 8 };

OctetGraph *octet_graph_create(void) {
    OctGraph *graph = oct_graph_create();
    if (graph && !oct_graph_set_opset(graph, "", BUILDER_OPSET)) {
        oct_graph_free(graph);
        return NULL;
    }
    if (graph) {
        graph->ir_version = BUILDER_IR_VERSION;
        graph->producer_name = "octet";
    }
    return graph;
}

void octet_graph_free(OctetGraph *graph) {
    oct_graph_free(graph);
}

OctetStatus octet_graph_clone(const OctetGraph *graph, OctetGraph **clone,
                              OctetDiagnostic *diagnostic) {
    return oct_graph_clone(graph, clone, diagnostic);
}

/* The first failure is remembered in the graph; finish reports it. */
static OctValue *failed(OctGraph *graph, OctetStatus status, const char *reason, const char *name) {
    oct_fail_node(&graph->build_failure, status, name, "%s", reason);
    return NULL;
}

OctetValue *octet_graph_input(OctetGraph *graph, const char *name, OctetDType dtype,
                              const OctetShape *shape) {
    OctValue *value = oct_graph_add_value(graph, name);
    if (!value || !oct_graph_add_input(graph, value)) {
        return failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", name);
    }
    value->dtype = dtype;
    value->shape = *shape;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            value->shape.dims[i] = oct_graph_symbol(graph, "N");
        }
    }
    return value;
}

OctetValue *octet_graph_constant(OctetGraph *graph, const char *name, const OctetTensor *tensor) {
    OctetTensor *copy;
    if (octet_tensor_copy(tensor, &copy, &graph->build_failure) != OCTET_OK) {
        return NULL;
    }
    OctValue *value = oct_graph_add_constant(graph, name, copy);
    return value ? value : failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", name);
}

OctetValue *octet_graph_operator(OctetGraph *graph, const char *op_type, const char *name,
                                 OctetValue *const *inputs, size_t input_count) {
    if (graph->build_failure.status != OCTET_OK) {
        return NULL;
    }
    if (input_count > INT16_MAX || (input_count > 0 && !inputs[0])) {
        return failed(graph, OCTET_ERROR_INVALID_ARGUMENT, "has no first input", name);
    }
    OctValue *output = oct_graph_add_value(graph, NULL);
    OctNode *node = output ? oct_graph_add_node(graph, op_type, "", name, inputs,
                                                (int32_t)input_count, &output, 1)
                           : NULL;
    return node ? output : failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", name);
}

static OctetStatus set_result(OctGraph *graph, const OctValue *value, bool done) {
    if (graph->build_failure.status != OCTET_OK || !value) {
        return OCTET_ERROR_STATE; /* an earlier failure, which finish reports */
    }
    if (!value->producer) {
        return oct_fail(&graph->build_failure, OCTET_ERROR_INVALID_ARGUMENT,
                        "%s is made by no operator that could have attributes", value->name);
    }
    return done ? OCTET_OK : oct_fail_memory(&graph->build_failure);
}

OctetStatus octet_graph_set_int(OctetGraph *graph, OctetValue *value, const char *name,
                                int64_t number) {
    bool done = value && value->producer && oct_node_set_int(graph, value->producer, name, number);
    return set_result(graph, value, done);
}

OctetStatus octet_graph_set_ints(OctetGraph *graph, OctetValue *value, const char *name,
                                 const int64_t *numbers, size_t count) {
    bool done = value && value->producer && count <= INT16_MAX &&
                oct_node_set_ints(graph, value->producer, name, numbers, (int32_t)count);
    return set_result(graph, value, done);
}

OctetStatus octet_graph_set_float(OctetGraph *graph, OctetValue *value, const char *name,
                                  float number) {
    bool done =
        value && value->producer && oct_node_set_float(graph, value->producer, name, number);
    return set_result(graph, value, done);
}

OctetStatus octet_graph_set_string(OctetGraph *graph, OctetValue *value, const char *name,
                                   const char *text) {
    bool done = value && value->producer && oct_node_set_string(graph, value->producer, name, text);
    return set_result(graph, value, done);
}

static OctValue *float_constant(OctGraph *graph, const char *layer, const char *suffix,
                                const OctetShape *shape, const float *data) {
    char name[192];
    int64_t count;
    OctetTensor *wrapped;
    size_t layer_length = strnlen(layer ? layer : "layer", 150);
    memcpy(name, layer ? layer : "layer", layer_length);
    strcpy(name + layer_length, suffix);
    if (!octet_shape_count(shape, &count) || count > PTRDIFF_MAX / 8) {
        return failed(graph, OCTET_ERROR_SHAPE, "the shape of its weights is impossible", layer);
    }
    size_t bytes = (size_t)count * sizeof(float);
    /* wrapping needs a plain pointer; the data is only read, by the copy that follows */
    if (octet_tensor_wrap(OCTET_F32, shape, (void *)(uintptr_t)data, bytes, &wrapped,
                          &graph->build_failure) != OCTET_OK) {
        return NULL;
    }
    OctValue *value = octet_graph_constant(graph, name, wrapped);
    octet_tensor_free(wrapped);
    return value;
}

OctetValue *octet_graph_conv(OctetGraph *graph, const char *name, OctetValue *input,
                             const OctetConvOptions *options, const float *weight,
                             const float *bias) {
    if (!input || graph->build_failure.status != OCTET_OK) {
        return NULL;
    }
    int32_t spatial = input->shape.rank - 2;
    int64_t groups = options->groups > 0 ? options->groups : 1;
    if (spatial < 1 || spatial > 3 || input->shape.dims[1] < 1 ||
        input->shape.dims[1] % groups != 0 || options->out_channels < 1) {
        return failed(graph, OCTET_ERROR_SHAPE,
                      "a convolution's input has 3 to 5 dimensions, known channels that divide by "
                      "its groups, and at least one output channel",
                      name);
    }
    OctetShape weight_shape = {spatial + 2, {options->out_channels, input->shape.dims[1] / groups}};
    int64_t strides[3];
    int64_t dilations[3];
    int64_t pads[6];
    for (int32_t i = 0; i < spatial; i++) {
        weight_shape.dims[i + 2] = options->kernel[i];
        strides[i] = options->stride[i] ? options->stride[i] : 1;
        dilations[i] = options->dilation[i] ? options->dilation[i] : 1;
        pads[i] = options->padding[i];
        pads[i + spatial] = options->padding[i];
    }
    OctetShape bias_shape = {1, {options->out_channels}};
    OctValue *inputs[3] = {input, float_constant(graph, name, ".weight", &weight_shape, weight),
                           bias ? float_constant(graph, name, ".bias", &bias_shape, bias) : NULL};
    OctValue *output = octet_graph_operator(graph, "Conv", name, inputs, bias ? 3 : 2);
    bool done =
        output && inputs[1] && (!bias || inputs[2]) &&
        oct_node_set_ints(graph, output->producer, "kernel_shape", options->kernel, spatial) &&
        oct_node_set_ints(graph, output->producer, "strides", strides, spatial) &&
        oct_node_set_ints(graph, output->producer, "dilations", dilations, spatial) &&
        oct_node_set_ints(graph, output->producer, "pads", pads, 2 * spatial) &&
        oct_node_set_int(graph, output->producer, "group", groups);
    if (!done) {
        return failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", name);
    }
    /* known at once, since the next layer asks for its channels */
    output->dtype = OCTET_F32;
    output->shape = input->shape;
    output->shape.dims[1] = options->out_channels;
    for (int32_t i = 0; i < spatial; i++) {
        int64_t size = input->shape.dims[i + 2];
        int64_t reach = dilations[i] * (options->kernel[i] - 1) + 1;
        output->shape.dims[i + 2] =
            size < 0 ? OCT_DIM_UNKNOWN : (size + 2 * pads[i] - reach) / strides[i] + 1;
    }
    return output;
}

OctetValue *octet_graph_linear(OctetGraph *graph, const char *name, OctetValue *input,
                               int64_t in_features, int64_t out_features, const float *weight,
                               const float *bias) {
    if (!input || graph->build_failure.status != OCTET_OK) {
        return NULL;
    }
    OctetShape weight_shape = {2, {out_features, in_features}};
    OctetShape bias_shape = {1, {out_features}};
    OctValue *inputs[3] = {input, float_constant(graph, name, ".weight", &weight_shape, weight),
                           bias ? float_constant(graph, name, ".bias", &bias_shape, bias) : NULL};
    OctValue *output = octet_graph_operator(graph, "Gemm", name, inputs, bias ? 3 : 2);
    bool done = output && inputs[1] && (!bias || inputs[2]) &&
                oct_node_set_int(graph, output->producer, "transB", 1);
    if (!done) {
        return failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", name);
    }
    output->dtype = OCTET_F32;
    output->shape = (OctetShape){
        2, {input->shape.rank == 2 ? input->shape.dims[0] : OCT_DIM_UNKNOWN, out_features}};
    return output;
}

static OctValue *same_shape(OctValue *output, const OctValue *input) {
    if (output) {
        output->dtype = input->dtype;
        output->shape = input->shape;
    }
    return output;
}

OctetValue *octet_graph_relu(OctetGraph *graph, const char *name, OctetValue *input) {
    return same_shape(octet_graph_operator(graph, "Relu", name, &input, 1), input);
}

OctetValue *octet_graph_add(OctetGraph *graph, const char *name, OctetValue *a, OctetValue *b) {
    if (!b) {
        return NULL;
    }
    OctValue *output = octet_graph_operator(graph, "Add", name, (OctValue *[]){a, b}, 2);
    return a && octet_shape_equal(&a->shape, &b->shape) ? same_shape(output, a) : output;
}

static OctetValue *stub(OctetGraph *graph, OctetValue *input, int64_t kind) {
    if (!input || graph->build_failure.status != OCTET_OK) {
        return NULL;
    }
    OctValue *output = octet_graph_operator(graph, "Identity", NULL, &input, 1);
    if (!output || !oct_node_set_int(graph, output->producer, OCT_STUB, kind)) {
        return failed(graph, OCTET_ERROR_OUT_OF_MEMORY, "out of memory", "stub");
    }
    return same_shape(output, input);
}

OctetValue *octet_graph_quant_stub(OctetGraph *graph, OctetValue *input) {
    return stub(graph, input, OCT_STUB_QUANT);
}

OctetValue *octet_graph_dequant_stub(OctetGraph *graph, OctetValue *input) {
    return stub(graph, input, OCT_STUB_DEQUANT);
}

OctetStatus octet_graph_output(OctetGraph *graph, OctetValue *value, const char *name) {
    if (graph->build_failure.status != OCTET_OK || !value) {
        return OCTET_ERROR_STATE;
    }
    if (value->is_output || value->is_input || value->constant) {
        return oct_fail(&graph->build_failure, OCTET_ERROR_INVALID_ARGUMENT,
                        "%s is an output already, an input or a constant", value->name);
    }
    if (name && strcmp(name, value->name) != 0) {
        const char *own = oct_graph_unique_name(graph, name);
        if (!own || !oct_names_set(&graph->value_names, value->name, NULL) ||
            !oct_names_set(&graph->value_names, own, value)) {
            return oct_fail_memory(&graph->build_failure);
        }
        value->name = own;
    }
    return oct_graph_add_output(graph, value) ? OCTET_OK : oct_fail_memory(&graph->build_failure);
}

static OctetStatus resolve(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctFindings findings = {0};
    OctetDiagnostic own = {0};
    graph->findings = &findings;
    OctetStatus status = oct_graph_resolve(graph, &own);
    graph->findings = NULL;
    if (status != OCTET_OK) {
        status = oct_fail_node(diagnostic, status, own.node, "%s", own.message);
    } else if (findings.count > 0) {
        status = oct_findings_fail(&findings, diagnostic);
    }
    oct_findings_free(&findings);
    return status;
}

OctetStatus octet_graph_finish(OctetGraph *graph, OctetDiagnostic *diagnostic) {
    if (graph->build_failure.status != OCTET_OK) {
        if (diagnostic && diagnostic->status == OCTET_OK) {
            *diagnostic = graph->build_failure;
        }
        return graph->build_failure.status;
    }
    if (graph->output_count == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "the network has no output");
    }
    OCT_TRY(oct_graph_compact(graph, diagnostic));
    OCT_TRY(resolve(graph, diagnostic));
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    return oct_graph_verify(graph, diagnostic);
}
