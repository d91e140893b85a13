/* Quantization as a property to quantization in nodes.
 *
 * A quantized value x has up to four shapes in a file: what its node computes, before rounding
 * ("float"); the integers, made by QuantizeLinear, by an operator on integers, or stored; and the
 * real numbers of those integers, made by DequantizeLinear. Names are dealt so that folding the
 * file gives the same graph again: x is called x in the file where x is a graph's input or output
 * or a constant's real numbers, else the float is. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/fold.h"
#include "onnx/unfold.h"

#include <string.h>

static bool is_original(const OctUnfold *unfold, const OctValue *value) {
    return value->id >= 0 && value->id < unfold->value_count &&
           unfold->graph->values[value->id] == value;
}

/* ---- nodes ---- */

static void swap_names(OctGraph *graph, OctValue *a, OctValue *b) {
    const char *name = a->name;
    a->name = b->name;
    b->name = name;
    /* both names are in the map already, so that setting can't fail */
    (void)oct_names_set(&graph->value_names, a->name, a);
    (void)oct_names_set(&graph->value_names, b->name, b);
}

/* The value keeps its node, which writes integers or floats; forms->integers is made. */
static OctetStatus make_integers(OctUnfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    OctNode *producer = value->producer;
    form->integers = oct_unfold_value(unfold, value, "quantized", value->qparams.dtype);
    if (!form->integers) {
        return oct_fail_memory(unfold->diagnostic);
    }
    if (!producer || unfold->written[value->id] == OCT_FORM_NONE) {
        return oct_unfold_linear(unfold, "QuantizeLinear", value, value, form->integers);
    }
    for (int32_t k = 0; k < producer->output_count; k++) {
        if (producer->outputs[k] == value) {
            producer->outputs[k] = form->integers;
        }
    }
    form->integers->producer = producer;
    value->producer = NULL;
    return oct_export_parameters(unfold->graph, value, &value->qparams, form, unfold->diagnostic);
}

/* ---- which values need what ---- */

/* Quantization that a node of the file does already: a DequantizeLinear makes the value on this
 * grid, or only QuantizeLinear nodes with this grid use it. */
static OctetStatus is_spelt_out(const OctUnfold *unfold, const OctValue *value, bool *spelt) {
    OctetQParams qparams;
    bool found;
    int32_t count = oct_uses_count(&unfold->uses, value);
    *spelt = false;
    if (oct_is_dequantize(value->producer)) {
        OCT_TRY(oct_read_activation_qparams(value->producer, &qparams, &found, unfold->diagnostic));
        *spelt = found && octet_qparams_equal(&qparams, &value->qparams);
        octet_qparams_clear(&qparams);
    }
    bool quantized = !*spelt && count > 0 && !value->is_output;
    for (int32_t i = 0; quantized && i < count; i++) {
        const OctNode *user = unfold->uses.nodes[unfold->uses.first[value->id] + i];
        quantized = oct_is_quantize(user) && user->inputs[0] == value;
        if (quantized) {
            OCT_TRY(oct_read_activation_qparams(user, &qparams, &found, unfold->diagnostic));
            quantized = found && octet_qparams_equal(&qparams, &value->qparams);
            octet_qparams_clear(&qparams);
        }
    }
    *spelt = *spelt || quantized;
    return OCTET_OK;
}

static OctetStatus unfold_constant(OctUnfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    OctetDType stored = oct_constant_tensor(value->constant)->dtype;
    form->real = oct_unfold_value(unfold, value, "quantized", OCTET_F32);
    if (!form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(oct_export_parameters(unfold->graph, value, &value->qparams, form, unfold->diagnostic));
    swap_names(unfold->graph, value, form->real); /* the real numbers have the constant's name */
    value->dtype = stored;
    form->integers = value;
    unfold->replaced[value->id] = form->real;
    return oct_unfold_linear(unfold, "DequantizeLinear", value, value, form->real);
}

/* Users and the graph's outputs take the rounded real numbers. */
static OctetStatus make_real(OctUnfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    form->real = oct_unfold_value(unfold, value, "dequantized", OCTET_F32);
    if (!form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(oct_unfold_linear(unfold, "DequantizeLinear", value, form->integers, form->real));
    unfold->replaced[value->id] = form->real;
    /* a value that is input and output at once stays what it is */
    return value->is_output && !value->is_input ? oct_unfold_output(unfold, value, form->real)
                                                : OCTET_OK;
}

static OctetStatus unfold_value(OctUnfold *unfold, OctValue *value) {
    bool spelt;
    if (value->constant) {
        return unfold_constant(unfold, value);
    }
    OCT_TRY(is_spelt_out(unfold, value, &spelt));
    if (spelt) {
        return OCTET_OK;
    }
    OctetDType border;
    OCT_TRY(oct_unfold_border(unfold, value, &border));
    if (border != OCTET_DTYPE_NONE && value->is_input) {
        return oct_unfold_integer_input(unfold, value, border);
    }
    OCT_TRY(make_integers(unfold, value));
    if (border != OCTET_DTYPE_NONE) {
        OCT_TRY(oct_unfold_integer_output(unfold, value, border));
    }
    return make_real(unfold, value);
}

/* ---- operators on integers ---- */

static bool find_integers(void *user, OctValue *value, OctExportForm *names) {
    const OctUnfold *unfold = user;
    const OctExportForm *form = is_original(unfold, value) ? &unfold->forms[value->id] : NULL;
    if (!form || !form->integers) {
        return false;
    }
    *names = *form;
    return true;
}

/* All that a node takes and gives must be unfolded here and have integers. */
static bool has_integers(const OctUnfold *unfold, const OctValue *value, bool *spelt_failed) {
    bool spelt = false;
    if (!is_original(unfold, value) || !oct_value_quantized(value)) {
        return false;
    }
    if (!value->constant && is_spelt_out(unfold, value, &spelt) != OCTET_OK) {
        *spelt_failed = true;
    }
    return !spelt;
}

static OctetStatus choose_form(const OctUnfold *unfold, const OctNode *node, OctIntegerForm *form) {
    bool failed = false;
    *form = oct_integer_form(node);
    for (int32_t k = 0; k < node->input_count && *form != OCT_FORM_NONE; k++) {
        const OctValue *input = node->inputs[k];
        if (input && oct_value_quantized(input) && !has_integers(unfold, input, &failed)) {
            *form = OCT_FORM_NONE;
        }
    }
    for (int32_t k = 0; k < node->output_count && *form != OCT_FORM_NONE; k++) {
        if (node->outputs[k] && !has_integers(unfold, node->outputs[k], &failed)) {
            *form = OCT_FORM_NONE;
        }
    }
    return failed ? oct_fail_memory(unfold->diagnostic) : OCTET_OK;
}

/* A node as it was before anything changed. */
typedef struct OldNode {
    OctNode *node;
    OctValue *output; /* the first; NULL if there is none */
    OctIntegerForm form;
} OldNode;

static OctetStatus choose_forms(OctUnfold *unfold, OldNode *old) {
    for (int32_t i = 0; i < unfold->graph->node_count; i++) {
        OctNode *node = unfold->graph->nodes[i];
        old[i] = (OldNode){node, oct_node_output(node, 0), OCT_FORM_NONE};
        if (unfold->options->format != OCTET_FORMAT_QOPERATOR || !old[i].output) {
            continue;
        }
        OCT_TRY(choose_form(unfold, node, &old[i].form));
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k]) {
                unfold->written[node->outputs[k]->id] = old[i].form;
            }
        }
    }
    return OCTET_OK;
}

/* A node on integers gets the integers of its inputs. */
static OctetStatus rewrite_node(OctUnfold *unfold, const OldNode *old) {
    OctNode *node = old->node;
    if (old->form == OCT_FORM_QLINEAR) {
        return oct_make_qlinear(unfold->graph, node, old->output, find_integers, unfold,
                                unfold->diagnostic);
    }
    return oct_make_mover(unfold->graph, node, find_integers, unfold, unfold->diagnostic);
}

/* The other nodes, and child graphs, take the rounded real numbers. Nodes that were made here take
 * what they need as it is, so they must not be touched. */
static void replace_in_old_nodes(const OctUnfold *unfold, const OldNode *old, int32_t count,
                                 OctNode **list) {
    OctGraph *graph = unfold->graph;
    OctNode **all = graph->nodes;
    int32_t all_count = graph->node_count;
    graph->nodes = list;
    graph->node_count = 0;
    for (int32_t i = 0; i < count; i++) {
        if (old[i].form == OCT_FORM_NONE) {
            list[graph->node_count++] = old[i].node;
        }
    }
    oct_graph_replace_all(graph, unfold->replaced, unfold->value_count);
    graph->nodes = all;
    graph->node_count = all_count;
}

static OctetStatus unfold_values(OctUnfold *unfold) {
    OctGraph *graph = unfold->graph;
    int32_t count = graph->node_count;
    OldNode *old = oct_arena_array(graph->arena, (size_t)count + 1, sizeof *old);
    OctNode **list = oct_arena_array(graph->arena, (size_t)count + 1, sizeof *list);
    if (!old || !list) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(choose_forms(unfold, old));
    for (int32_t i = 0; i < unfold->value_count; i++) {
        if (oct_value_quantized(graph->values[i])) {
            OCT_TRY(unfold_value(unfold, graph->values[i]));
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (old[i].form != OCT_FORM_NONE) {
            OCT_TRY(rewrite_node(unfold, &old[i]));
        }
    }
    replace_in_old_nodes(unfold, old, count, list);
    for (int32_t i = 0; i < unfold->value_count; i++) {
        graph->values[i]->qparams = (OctetQParams){.axis = -1};
    }
    return OCTET_OK;
}

/* A DequantizeLinear that nobody needs, since all users take the integers. */
static OctetStatus drop_unused(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (oct_is_dequantize(node) && oct_uses_count(&uses, node->outputs[0]) == 0 &&
            !node->outputs[0]->is_output) {
            oct_graph_remove_node(graph, node);
        }
    }
    oct_uses_free(&uses);
    return OCTET_OK;
}

static OctetStatus unfold_graph(OctGraph *graph, const OctetSaveOptions *options, int32_t opset,
                                OctetDiagnostic *diagnostic) {
    size_t count = (size_t)graph->value_count + 1;
    OctUnfold unfold = {.graph = graph,
                        .options = options,
                        .opset = opset,
                        .value_count = graph->value_count,
                        .diagnostic = diagnostic};
    unfold.forms = oct_calloc(count, sizeof *unfold.forms);
    unfold.replaced = oct_calloc(count, sizeof *unfold.replaced);
    unfold.written = oct_calloc(count, sizeof *unfold.written);
    OctetStatus status = unfold.forms && unfold.replaced && unfold.written
                             ? oct_graph_uses(graph, &unfold.uses, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = unfold_values(&unfold);
        oct_uses_free(&unfold.uses);
    }
    oct_free(unfold.forms);
    oct_free(unfold.replaced);
    oct_free(unfold.written);
    return status == OCTET_OK ? drop_unused(graph, diagnostic) : status;
}

OctetStatus oct_export_unfold(OctGraph *graph, const OctetSaveOptions *options,
                              OctetDiagnostic *diagnostic) {
    int32_t opset = (int32_t)oct_graph_opset(graph, "");
    OCT_TRY(unfold_graph(graph, options, opset, diagnostic));
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_export_unfold(graph->children[i], options, diagnostic));
    }
    return oct_graph_compact(graph, diagnostic);
}
