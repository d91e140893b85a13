/* QuantizeLinear -> DequantizeLinear around activations becomes a property of the value before it,
 * where nothing else needs that value unrounded, else of an Identity's output. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/fold.h"

#include <string.h>

/* Rounded copies of one value, for each set of parameters one. */
typedef struct Copy {
    OctValue *value;
    struct Copy *next;
} Copy;

enum { MAX_SHARED_COPIES = 64 };

typedef struct Fold {
    OctGraph *graph;
    OctUses uses;
    OctValue **replaced; /* by number of the value; NULL: it stays */
    Copy **copies;
    bool *mixed;         /* by number: found to be used by more than one kind of QuantizeLinear */
    int32_t value_count; /* values that were there at the start */
    OctetDiagnostic *diagnostic;
} Fold;

static bool owns(const Fold *fold, const OctValue *value) {
    return value->id >= 0 && value->id < fold->value_count &&
           fold->graph->values[value->id] == value;
}

static OctValue *resolve(const Fold *fold, OctValue *value) {
    OctValue *to = owns(fold, value) ? fold->replaced[value->id] : NULL;
    return to ? to : value;
}

/* *same: the node's parameters are `qparams`. */
static OctetStatus has_qparams(const OctNode *node, const OctetQParams *qparams, bool *same,
                               OctetDiagnostic *diagnostic) {
    OctetQParams own;
    OCT_TRY(oct_read_activation_qparams(node, &own, same, diagnostic));
    if (*same) {
        *same = octet_qparams_equal(&own, qparams);
        octet_qparams_clear(&own);
    }
    return OCTET_OK;
}

/* Does every use of the value quantize it with these parameters? */
static OctetStatus only_quantized(const Fold *fold, const OctValue *value,
                                  const OctetQParams *qparams, bool *only) {
    *only = owns(fold, value) && !fold->mixed[value->id] && !fold->uses.output_uses[value->id] &&
            !value->constant;
    for (int32_t i = 0; *only && i < oct_uses_count(&fold->uses, value); i++) {
        const OctNode *user = fold->uses.nodes[fold->uses.first[value->id] + i];
        *only = oct_is_quantize(user) && user->inputs[0] == value;
        if (*only) {
            OCT_TRY(has_qparams(user, qparams, only, fold->diagnostic));
        }
    }
    if (owns(fold, value) && !*only) {
        fold->mixed[value->id] = true; /* whatever the parameters are */
    }
    return OCTET_OK;
}

static bool makes_integers(const OctValue *value) {
    const OctNode *producer = value->producer;
    if (value->dtype != OCTET_DTYPE_NONE) {
        return value->dtype != OCTET_F32;
    }
    if (!producer) {
        return false;
    }
    bool cast = strcmp(producer->op_type, "Cast") == 0 &&
                oct_node_int(producer, "to", OCTET_F32) != OCTET_F32;
    return cast || strcmp(producer->op_type, "ConvInteger") == 0 ||
           strcmp(producer->op_type, "MatMulInteger") == 0;
}

static OctetStatus set_qparams(const Fold *fold, OctValue *value, const OctetQParams *qparams) {
    if (!oct_graph_set_qparams(fold->graph, value, qparams)) {
        return oct_fail_memory(fold->diagnostic);
    }
    value->dtype = OCTET_F32;
    return OCTET_OK;
}

/* A copy of the value that carries the parameters; one that exists is shared. */
static OctetStatus rounded_copy(Fold *fold, OctValue *value, const OctetQParams *qparams,
                                OctValue **rounded) {
    OctGraph *graph = fold->graph;
    bool own = owns(fold, value);
    int32_t tried = 0;
    for (Copy *copy = own ? fold->copies[value->id] : NULL; copy && tried < MAX_SHARED_COPIES;
         copy = copy->next, tried++) {
        if (octet_qparams_equal(&copy->value->qparams, qparams)) {
            *rounded = copy->value;
            return OCTET_OK;
        }
    }
    Copy *copy = oct_arena_alloc(graph->arena, sizeof *copy);
    *rounded = oct_graph_add_value(graph, value->name);
    if (!copy || !*rounded ||
        !oct_graph_add_node(graph, "Identity", "", NULL, &value, 1, rounded, 1)) {
        return oct_fail_memory(fold->diagnostic);
    }
    if (own) {
        copy->value = *rounded;
        copy->next = fold->copies[value->id];
        fold->copies[value->id] = copy;
    }
    return set_qparams(fold, *rounded, qparams);
}

static void swap_output(OctGraph *graph, OctValue *from, OctValue *to) {
    const char *name = to->name;
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == from) {
            graph->outputs[i] = to;
        }
    }
    to->is_output = true;
    from->is_output = false;
    to->name = from->name;
    to->doc = from->doc ? from->doc : to->doc;
    from->name = name;
    /* both names are in the map already, so that setting can't fail */
    (void)oct_names_set(&graph->value_names, to->name, to);
    (void)oct_names_set(&graph->value_names, from->name, from);
}

/* Lets `to` take the place of what the DequantizeLinear makes. */
static OctetStatus retire(Fold *fold, OctNode *dequantize, OctValue *to,
                          const OctetQParams *qparams) {
    OctValue *from = dequantize->outputs[0];
    fold->replaced[from->id] = to;
    if (from->is_output) {
        bool free_to_take = !fold->graph->parent && to->producer && !to->is_output;
        if (!free_to_take) {
            return oct_turn_into_identity(fold->graph, dequantize, to, qparams)
                       ? OCTET_OK
                       : oct_fail_memory(fold->diagnostic);
        }
        swap_output(fold->graph, from, to);
    }
    oct_graph_remove_node(fold->graph, dequantize);
    return OCTET_OK;
}

/* Counts the uses that are DequantizeLinear with the same parameters. */
static OctetStatus count_pairs(const Fold *fold, const OctValue *integers,
                               const OctetQParams *qparams, int32_t *pairs) {
    *pairs = 0;
    for (int32_t i = 0; i < oct_uses_count(&fold->uses, integers); i++) {
        const OctNode *user = fold->uses.nodes[fold->uses.first[integers->id] + i];
        bool same = oct_is_dequantize(user) && user->inputs[0] == integers;
        if (same) {
            OCT_TRY(has_qparams(user, qparams, &same, fold->diagnostic));
        }
        *pairs += same;
    }
    return OCTET_OK;
}

static OctetStatus retire_pairs(Fold *fold, const OctValue *integers, OctValue *to,
                                const OctetQParams *qparams) {
    for (int32_t i = 0; i < oct_uses_count(&fold->uses, integers); i++) {
        OctNode *user = fold->uses.nodes[fold->uses.first[integers->id] + i];
        bool same = oct_is_dequantize(user) && user->inputs[0] == integers;
        if (same) {
            OCT_TRY(has_qparams(user, qparams, &same, fold->diagnostic));
        }
        if (same) {
            OCT_TRY(retire(fold, user, to, qparams));
        }
    }
    return OCTET_OK;
}

/* Finds or makes the value that holds `value` on the grid of `qparams`. */
static OctetStatus place(Fold *fold, OctValue *value, const OctetQParams *qparams, bool pairs,
                         OctValue **rounded) {
    bool only;
    *rounded = value;
    if (oct_value_quantized(value) && octet_qparams_equal(&value->qparams, qparams)) {
        return OCTET_OK;
    }
    /* the node around a child graph gives it plain floats */
    bool usable = !oct_value_quantized(value) && !(fold->graph->parent && value->is_input);
    if (usable) {
        OCT_TRY(only_quantized(fold, value, qparams, &only));
        if (only) {
            return set_qparams(fold, value, qparams);
        }
    }
    return pairs ? rounded_copy(fold, value, qparams, rounded) : OCTET_OK;
}

static OctetStatus fold_quantize(Fold *fold, OctNode *node) {
    OctValue *integers = node->outputs[0];
    OctValue *value = resolve(fold, node->inputs[0]);
    OctetQParams qparams;
    bool found;
    int32_t pairs;
    if (makes_integers(value)) {
        return OCTET_OK;
    }
    OCT_TRY(oct_read_activation_qparams(node, &qparams, &found, fold->diagnostic));
    if (!found) {
        return OCTET_OK;
    }
    OctValue *rounded;
    OctetStatus status = count_pairs(fold, integers, &qparams, &pairs);
    if (status == OCTET_OK) {
        status = place(fold, value, &qparams, pairs > 0, &rounded);
    }
    if (status == OCTET_OK) {
        status = retire_pairs(fold, integers, rounded, &qparams);
    }
    octet_qparams_clear(&qparams);
    if (status != OCTET_OK) {
        return status;
    }
    if (pairs == oct_uses_count(&fold->uses, integers) && !integers->is_output) {
        oct_graph_remove_node(fold->graph, node);
    } else {
        node->inputs[0] = rounded;
    }
    return OCTET_OK;
}

/* A node that stays is read as the standard operator of the first version that has all types. */
static void standardize(OctNode *node) {
    enum { ALL_TYPES = 21 };
    if (*node->domain) {
        node->domain = "";
        node->opset = ALL_TYPES;
    }
}

/* A DequantizeLinear that stays: what it makes lies on its grid. */
static OctetStatus mark_dequantize(const Fold *fold, OctNode *node) {
    OctetQParams qparams;
    bool found;
    if (fold->graph->parent && node->outputs[0]->is_output) {
        return OCTET_OK;
    }
    OCT_TRY(oct_read_activation_qparams(node, &qparams, &found, fold->diagnostic));
    if (!found) {
        return OCTET_OK;
    }
    OctetStatus status = set_qparams(fold, node->outputs[0], &qparams);
    octet_qparams_clear(&qparams);
    return status;
}

static OctetStatus fold_nodes(Fold *fold) {
    OctGraph *graph = fold->graph;
    int32_t count = graph->node_count;
    for (int32_t i = 0; i < count; i++) {
        OctNode *node = graph->nodes[i];
        if (oct_is_quantize(node) || oct_is_dequantize(node)) {
            standardize(node);
        }
        if (oct_is_quantize(node)) {
            OCT_TRY(fold_quantize(fold, node));
        } else if (oct_is_dequantize(node)) {
            OCT_TRY(mark_dequantize(fold, node));
        }
    }
    oct_graph_replace_all(graph, fold->replaced, fold->value_count);
    return OCTET_OK;
}

OctetStatus oct_fold_pairs(OctGraph *graph, OctetDiagnostic *diagnostic) {
    Fold fold = {.graph = graph, .value_count = graph->value_count, .diagnostic = diagnostic};
    size_t count = (size_t)graph->value_count + 1;
    fold.replaced = oct_calloc(count, sizeof *fold.replaced);
    fold.copies = oct_calloc(count, sizeof *fold.copies);
    fold.mixed = oct_calloc(count, sizeof *fold.mixed);
    OctetStatus status = fold.replaced && fold.copies && fold.mixed
                             ? oct_graph_uses(graph, &fold.uses, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = fold_nodes(&fold);
        oct_uses_free(&fold.uses);
    }
    oct_free(fold.replaced);
    oct_free(fold.copies);
    oct_free(fold.mixed);
    return status == OCTET_OK ? oct_graph_compact(graph, diagnostic) : status;
}
