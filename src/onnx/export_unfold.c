/* Quantization as a property to quantization in nodes.
 *
 * A quantized value x has up to four shapes in a file: what its node computes, before rounding
 * ("float"); the integers, made by QuantizeLinear, by an operator on integers, or stored; and the
 * real numbers of those integers, made by DequantizeLinear. Names are dealt so that folding the
 * file gives the same graph again: x is called x in the file where x is a graph's input or output
 * or a constant's real numbers, else the float is. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/export.h"
#include "onnx/fold.h"

#include <string.h>

typedef struct Unfold {
    OctGraph *graph;
    const OctetSaveOptions *options;
    int32_t opset;
    int32_t value_count;
    OctExportForm *forms;    /* by number of the original values */
    OctValue **replaced;     /* likewise: what users of the real numbers take */
    OctIntegerForm *written; /* likewise: the form of the node that makes it */
    OctUses uses;
    OctetDiagnostic *diagnostic;
} Unfold;

static bool is_original(const Unfold *unfold, const OctValue *value) {
    return value->id >= 0 && value->id < unfold->value_count &&
           unfold->graph->values[value->id] == value;
}

/* ---- nodes ---- */

static OctValue *add_value(const Unfold *unfold, const OctValue *like, const char *suffix,
                           OctetDType dtype) {
    char name[256];
    oct_export_name(name, sizeof name, like->name, suffix);
    OctValue *value = oct_graph_add_value(unfold->graph, name);
    if (value) {
        value->dtype = dtype;
        value->shape = like->shape;
    }
    return value;
}

static OctetStatus add_linear(const Unfold *unfold, const char *op_type, const OctValue *value,
                              OctValue *from, OctValue *to) {
    OctExportForm *form = &unfold->forms[value->id];
    const OctetQParams *q = &value->qparams;
    char name[256];
    OCT_TRY(oct_export_parameters(unfold->graph, value, form, unfold->diagnostic));
    oct_export_name(name, sizeof name, value->name, op_type);
    OctNode *node = oct_graph_add_node(unfold->graph, op_type, "", name,
                                       (OctValue *[]){from, form->scale, form->zero_point},
                                       form->zero_point ? 3 : 2, &to, 1);
    if (!node) {
        return oct_fail_memory(unfold->diagnostic);
    }
    node->opset = unfold->opset;
    bool set = q->axis < 0 || oct_node_set_int(unfold->graph, node, "axis", q->axis);
    set = set && (q->block_size == 0 ||
                  oct_node_set_int(unfold->graph, node, "block_size", q->block_size));
    return set ? OCTET_OK : oct_fail_memory(unfold->diagnostic);
}

static void swap_names(OctGraph *graph, OctValue *a, OctValue *b) {
    const char *name = a->name;
    a->name = b->name;
    b->name = name;
    /* both names are in the map already, so that setting can't fail */
    (void)oct_names_set(&graph->value_names, a->name, a);
    (void)oct_names_set(&graph->value_names, b->name, b);
}

/* Makes `made` the graph's output in place of `value`, whose name becomes "..._float". */
static OctetStatus hand_over_output(const Unfold *unfold, OctValue *value, OctValue *made) {
    OctGraph *graph = unfold->graph;
    char base[256];
    oct_export_name(base, sizeof base, value->name, "float");
    const char *name = oct_graph_unique_name(graph, base);
    if (!name || !oct_names_set(&graph->value_names, name, value) ||
        !oct_names_set(&graph->value_names, made->name, NULL) ||
        !oct_names_set(&graph->value_names, value->name, made)) {
        return oct_fail_memory(unfold->diagnostic);
    }
    made->name = value->name;
    value->name = name;
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == value) {
            graph->outputs[i] = made;
        }
    }
    value->is_output = false;
    made->is_output = true;
    return OCTET_OK;
}

/* The value keeps its node, which writes integers or floats; forms->integers is made. */
static OctetStatus make_integers(Unfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    OctNode *producer = value->producer;
    form->integers = add_value(unfold, value, "quantized", value->qparams.dtype);
    if (!form->integers) {
        return oct_fail_memory(unfold->diagnostic);
    }
    if (!producer || unfold->written[value->id] == OCT_FORM_NONE) {
        return add_linear(unfold, "QuantizeLinear", value, value, form->integers);
    }
    for (int32_t k = 0; k < producer->output_count; k++) {
        if (producer->outputs[k] == value) {
            producer->outputs[k] = form->integers;
        }
    }
    form->integers->producer = producer;
    value->producer = NULL;
    return oct_export_parameters(unfold->graph, value, form, unfold->diagnostic);
}

/* ---- which values need what ---- */

/* Quantization that a node of the file does already: a DequantizeLinear makes the value on this
 * grid, or only QuantizeLinear nodes with this grid use it. */
static OctetStatus is_spelt_out(const Unfold *unfold, const OctValue *value, bool *spelt) {
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

static OctetStatus unfold_constant(Unfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    OctetDType stored = oct_constant_tensor(value->constant)->dtype;
    form->real = add_value(unfold, value, "quantized", OCTET_F32);
    if (!form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(oct_export_parameters(unfold->graph, value, form, unfold->diagnostic));
    swap_names(unfold->graph, value, form->real); /* the real numbers have the constant's name */
    value->dtype = stored;
    form->integers = value;
    unfold->replaced[value->id] = form->real;
    return add_linear(unfold, "DequantizeLinear", value, value, form->real);
}

/* Users and the graph's outputs take the rounded real numbers. */
static OctetStatus make_real(Unfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    form->real = add_value(unfold, value, "dequantized", OCTET_F32);
    if (!form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(add_linear(unfold, "DequantizeLinear", value, form->integers, form->real));
    unfold->replaced[value->id] = form->real;
    /* a value that is input and output at once stays what it is */
    return value->is_output && !value->is_input ? hand_over_output(unfold, value, form->real)
                                                : OCTET_OK;
}

/* With integers at the model's border: the input is the integers. */
static OctetStatus make_integer_input(Unfold *unfold, OctValue *value) {
    OctExportForm *form = &unfold->forms[value->id];
    form->integers = value;
    form->real = add_value(unfold, value, "dequantized", OCTET_F32);
    if (!form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    unfold->replaced[value->id] = form->real;
    OCT_TRY(add_linear(unfold, "DequantizeLinear", value, value, form->real));
    value->dtype = value->qparams.dtype;
    return OCTET_OK;
}

static OctetStatus unfold_value(Unfold *unfold, OctValue *value) {
    bool spelt;
    if (value->constant) {
        return unfold_constant(unfold, value);
    }
    OCT_TRY(is_spelt_out(unfold, value, &spelt));
    if (spelt) {
        return OCTET_OK;
    }
    bool border = unfold->options->int8_io && !unfold->graph->parent;
    if (border && value->is_input && !value->is_output) {
        return make_integer_input(unfold, value);
    }
    OCT_TRY(make_integers(unfold, value));
    if (border && value->is_output && !value->is_input) {
        OCT_TRY(hand_over_output(unfold, value, unfold->forms[value->id].integers));
    }
    return make_real(unfold, value);
}

/* ---- operators on integers ---- */

static bool find_integers(void *user, OctValue *value, OctExportForm *names) {
    const Unfold *unfold = user;
    const OctExportForm *form = is_original(unfold, value) ? &unfold->forms[value->id] : NULL;
    if (!form || !form->integers) {
        return false;
    }
    *names = *form;
    return true;
}

/* All that a node takes and gives must be unfolded here and have integers. */
static bool has_integers(const Unfold *unfold, const OctValue *value, bool *spelt_failed) {
    bool spelt = false;
    if (!is_original(unfold, value) || !oct_value_quantized(value)) {
        return false;
    }
    if (!value->constant && is_spelt_out(unfold, value, &spelt) != OCTET_OK) {
        *spelt_failed = true;
    }
    return !spelt;
}

static OctetStatus choose_form(const Unfold *unfold, const OctNode *node, OctIntegerForm *form) {
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

static OctetStatus choose_forms(Unfold *unfold, OldNode *old) {
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
static OctetStatus rewrite_node(Unfold *unfold, const OldNode *old) {
    OctNode *node = old->node;
    if (old->form == OCT_FORM_QLINEAR) {
        return oct_make_qlinear(unfold->graph, node, old->output, find_integers, unfold,
                                unfold->diagnostic);
    }
    for (int32_t k = 0; k < oct_moved_inputs(node) && k < node->input_count; k++) {
        OctExportForm names;
        if (node->inputs[k] && find_integers(unfold, node->inputs[k], &names)) {
            node->inputs[k] = names.integers;
        }
    }
    return OCTET_OK;
}

/* The other nodes, and child graphs, take the rounded real numbers. Nodes that were made here take
 * what they need as it is, so they must not be touched. */
static void replace_in_old_nodes(const Unfold *unfold, const OldNode *old, int32_t count,
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

static OctetStatus unfold_values(Unfold *unfold) {
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
    Unfold unfold = {.graph = graph,
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
