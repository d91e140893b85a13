#include "base/diag.h"
#include "onnx/export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void oct_export_name(char *buffer, size_t size, const char *base, const char *suffix) {
    snprintf(buffer, size, "%.160s_%s", base, suffix);
}

OctValue *oct_export_ints(OctGraph *graph, const OctNode *node, const char *suffix,
                          const int64_t *ints, int32_t count, bool scalar) {
    char name[256];
    OctetShape shape = {.rank = scalar ? 0 : 1, .dims = {scalar ? 0 : count}};
    OctetTensor *tensor;
    if (octet_tensor_create(OCTET_S64, &shape, &tensor, NULL) != OCTET_OK) {
        return NULL;
    }
    if (count > 0) {
        memcpy(tensor->data, ints, (size_t)count * sizeof *ints);
    }
    oct_export_name(name, sizeof name, node->name, suffix);
    return oct_graph_add_constant(graph, name, tensor);
}

OctValue *oct_export_float(OctGraph *graph, const char *base, const char *suffix, float value) {
    char name[256];
    OctetTensor *tensor;
    if (octet_tensor_create(OCTET_F32, &(OctetShape){0}, &tensor, NULL) != OCTET_OK) {
        return NULL;
    }
    memcpy(tensor->data, &value, sizeof value);
    oct_export_name(name, sizeof name, base, suffix);
    return oct_graph_add_constant(graph, name, tensor);
}

/* A Relu, or a Clip as it was before opset 11, with attributes; raising the opset changes it. */
static OctNode *add_activation(OctGraph *graph, const OctNode *node, OctValue *from, OctValue *to) {
    const OctActivation *a = &node->activation;
    bool relu = a->minimum == 0 && a->maximum == INFINITY;
    char name[256];
    oct_export_name(name, sizeof name, node->name, relu ? "relu" : "clip");
    OctNode *made =
        oct_graph_add_node(graph, relu ? "Relu" : "Clip", "",
                           node->activation_name ? node->activation_name : name, &from, 1, &to, 1);
    if (made) {
        made->notes = node->activation_notes;
    }
    if (!made || relu) {
        return made;
    }
    made->opset = 6;
    bool set = (a->minimum == -INFINITY || oct_node_set_float(graph, made, "min", a->minimum)) &&
               (a->maximum == INFINITY || oct_node_set_float(graph, made, "max", a->maximum));
    return set ? made : NULL;
}

OctetStatus oct_export_activations(OctGraph *graph, OctetDiagnostic *diagnostic) {
    int32_t count = graph->node_count;
    for (int32_t i = 0; i < count; i++) {
        OctNode *node = graph->nodes[i];
        OctValue *output = oct_node_output(node, 0);
        if (node->fusion) {
            return oct_fail_node(diagnostic, OCTET_ERROR_INTERNAL, node->name,
                                 "a graph that is compiled for the engine can't be saved");
        }
        if (node->activation.kind == OCT_ACTIVATION_NONE || !output) {
            continue;
        }
        char name[256];
        oct_export_name(name, sizeof name, output->name, "linear");
        OctValue *linear =
            oct_graph_add_value(graph, node->activation_input ? node->activation_input : name);
        if (!linear) {
            return oct_fail_memory(diagnostic);
        }
        linear->dtype = output->dtype;
        linear->shape = output->shape;
        linear->producer = node;
        node->outputs[0] = linear;
        if (!add_activation(graph, node, linear, output)) {
            return oct_fail_memory(diagnostic);
        }
        node->activation = (OctActivation){0};
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_export_activations(graph->children[i], diagnostic));
    }
    return oct_graph_compact(graph, diagnostic);
}
