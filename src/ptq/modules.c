/* PyTorch's ways to say by hand what octet_fuse and the placement find by themselves. */
#include "base/diag.h"
#include "base/patience.h"
#include "ir/op.h"
#include "octet/ptq.h"
#include "passes/passes.h"

#include <string.h>

/* The nodes must follow one another, each the only user of the one before. */
static OctetStatus check_chain(const OctGraph *graph, const char *const *names, size_t count,
                               OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctetStatus status = OCTET_OK;
    const OctNode *before = NULL;
    for (size_t i = 0; i < count && status == OCTET_OK; i++) {
        const OctNode *node = oct_graph_find_node(graph, names[i]);
        if (!node) {
            status = oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "there is no node '%s'",
                              names[i]);
        } else if (before && (before->output_count < 1 || !before->outputs[0] ||
                              before->outputs[0]->is_output ||
                              oct_uses_single(&uses, before->outputs[0]) != node)) {
            status = oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                              "'%s' does not follow '%s' alone", names[i], names[i - 1]);
        }
        before = node;
    }
    oct_uses_free(&uses);
    return status;
}

static void hold_all(OctGraph *graph, bool hold) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        graph->nodes[i]->hold = hold;
    }
}

static OctetStatus fuse_modules(OctetGraph *graph, const char *const *names, size_t count,
                                OctetDiagnostic *diagnostic) {
    if (graph->quantized) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "the model is quantized already");
    }
    if (count < 2) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "fusing takes two nodes or more");
    }
    OCT_TRY(check_chain(graph, names, count, diagnostic));
    /* tried on a copy, so that a chain that turns out not to fuse leaves the graph as it was */
    OctGraph *trial = NULL;
    OCT_TRY(oct_graph_clone(graph, &trial, diagnostic));
    OctGraph *both[2] = {trial, graph};
    OctetStatus status = OCTET_OK;
    for (int i = 0; i < 2 && status == OCTET_OK; i++) {
        int32_t nodes = both[i]->node_count;
        hold_all(both[i], true);
        for (size_t k = 0; k < count; k++) {
            oct_graph_find_node(both[i], names[k])->hold = false;
        }
        status = oct_pass_run(oct_pass_fold_batch_norm, both[i], diagnostic);
        if (status == OCTET_OK) {
            status = oct_pass_run(oct_pass_fuse_activations, both[i], diagnostic);
        }
        hold_all(both[i], false);
        if (status == OCTET_OK && both[i]->node_count != nodes - (int32_t)count + 1) {
            status =
                oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                         "'%s' to '%s' is no chain that can be fused", names[0], names[count - 1]);
        }
    }
    oct_graph_free(trial);
    return status;
}

OctetStatus octet_fuse_modules(OctetGraph *graph, const char *const *names, size_t count,
                               OctetDiagnostic *diagnostic) {
    OctPatience patience;
    oct_graph_begin(graph, &patience);
    OctetStatus status = fuse_modules(graph, names, count, diagnostic);
    oct_patience_end(&patience);
    return status;
}

/* A stub between `value` and all its users, or before it if it is an output. */
static OctetStatus add_stub(OctGraph *graph, OctValue *value, int64_t kind,
                            OctetDiagnostic *diagnostic) {
    OctValue *other = oct_graph_add_value(graph, value->name);
    if (!other) {
        return oct_fail_memory(diagnostic);
    }
    other->dtype = value->dtype;
    other->shape = value->shape;
    OctNode *stub = NULL;
    if (kind == OCT_STUB_QUANT) {
        OCT_TRY(oct_graph_replace_uses(graph, value, other, diagnostic));
        OctNode *first = graph->node_count ? graph->nodes[0] : NULL;
        stub = oct_graph_insert_node(graph, first, "Identity", "", "quant", &value, 1, &other, 1);
    } else {
        /* only the output moves behind the stub, with its name; other users stay inside */
        const char *name = other->name;
        other->name = value->name;
        value->name = name;
        if (!oct_names_set(&graph->value_names, other->name, other) ||
            !oct_names_set(&graph->value_names, value->name, value)) {
            return oct_fail_memory(diagnostic);
        }
        for (int32_t i = 0; i < graph->output_count; i++) {
            graph->outputs[i] = graph->outputs[i] == value ? other : graph->outputs[i];
        }
        value->is_output = false;
        other->is_output = true;
        stub = oct_graph_add_node(graph, "Identity", "", "dequant", &value, 1, &other, 1);
    }
    return stub && oct_node_set_int(graph, stub, OCT_STUB, kind) ? OCTET_OK
                                                                 : oct_fail_memory(diagnostic);
}

OctetStatus octet_quant_wrapper(OctetGraph *graph, OctetDiagnostic *diagnostic) {
    if (graph->quantized) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "the model is quantized already");
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        OctValue *output = graph->outputs[i];
        if (output->dtype == OCTET_F32 && output->producer) {
            OCT_TRY(add_stub(graph, output, OCT_STUB_DEQUANT, diagnostic));
        }
    }
    for (int32_t i = 0; i < graph->input_count; i++) {
        if (graph->inputs[i]->dtype == OCTET_F32) {
            OCT_TRY(add_stub(graph, graph->inputs[i], OCT_STUB_QUANT, diagnostic));
        }
    }
    OCT_TRY(oct_graph_compact(graph, diagnostic));
    OCT_TRY(oct_graph_resolve(graph, diagnostic));
    return oct_graph_verify(graph, diagnostic);
}
