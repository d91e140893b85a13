/* Where a function ends flat. HardSwish makes 0 of everything below -3, HardSigmoid 0 or 1 of what
 * lies outside a short interval. A layer whose result goes there alone may saturate at the flat
 * part: nothing is lost, and all integers go to what counts. The first layers of MobileNetV3 and
 * PP-OCR reach from -30 to 14 before their HardSwish; from -3 to 14 their steps are less than half
 * as wide. Exporters spell HardSwish in several nodes, too: Add 3, Clip to [0, 6], Mul, Div. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "ptq/prepared.h"

/* Everything below `low` gives what `low` gives, everything above `high` what `high` gives. */
typedef struct Ends {
    float low, high;
} Ends;

static const Ends nowhere = {-INFINITY, INFINITY};

static bool is(const OctNode *node, const char *op_type) {
    return node->domain[0] == '\0' && strcmp(node->op_type, op_type) == 0;
}

/* A constant of one element, as a float. */
static bool scalar_of(const OctValue *value, float *number) {
    const OctetTensor *tensor = oct_value_tensor(value);
    int64_t count;
    if (!tensor || tensor->dtype != OCTET_F32 || oct_value_quantized(value) ||
        !octet_shape_count(&tensor->shape, &count) || count != 1) {
        return false;
    }
    *number = *(const float *)tensor->data;
    return isfinite(*number);
}

/* The ends of a function of one value that is a straight line between them: HardSigmoid, and an
 * addition with a clip behind it. `zero`: below its low end it gives 0. */
static bool line_ends(const OctNode *node, const OctValue *value, Ends *ends, bool *zero) {
    float added;
    if (is(node, "HardSigmoid") && node->activation.kind == OCT_ACTIVATION_NONE) {
        float alpha = oct_node_float(node, "alpha", 0.2F);
        float beta = oct_node_float(node, "beta", 0.5F);
        *ends = (Ends){-beta / alpha, (1 - beta) / alpha};
        *zero = true;
        return alpha > 0 && isfinite(ends->low) && isfinite(ends->high);
    }
    if (is(node, "Add") && node->activation.kind == OCT_ACTIVATION_CLIP && node->input_count == 2 &&
        scalar_of(node->inputs[node->inputs[0] == value ? 1 : 0], &added)) {
        *ends = (Ends){node->activation.minimum - added, node->activation.maximum - added};
        *zero = node->activation.minimum == 0;
        return true;
    }
    return false;
}

/* Past scalings by a constant, the node that made the value. */
static const OctNode *unscaled(const OctValue *value) {
    const OctNode *node = value->producer;
    for (int steps = 0; node && steps < 4; steps++) {
        float factor;
        bool div = is(node, "Div"), mul = is(node, "Mul");
        if ((!div && !mul) || node->activation.kind != OCT_ACTIVATION_NONE ||
            node->input_count != 2) {
            return node;
        }
        int32_t other = scalar_of(node->inputs[1], &factor)          ? 0
                        : mul && scalar_of(node->inputs[0], &factor) ? 1
                                                                     : -1;
        if (other < 0) {
            return node;
        }
        node = node->inputs[other]->producer;
    }
    return node;
}

static Ends ends_of_use(const OctNode *node, const OctValue *value) {
    Ends ends = nowhere;
    bool zero = false;
    if (is(node, "HardSwish")) {
        return (Ends){-3, INFINITY};
    }
    if (line_ends(node, value, &ends, &zero)) {
        return ends;
    }
    /* x times a gate that is 0 below */
    if (is(node, "Mul") && node->input_count == 2 && node->inputs[0] != node->inputs[1]) {
        const OctValue *gate = node->inputs[node->inputs[0] == value ? 1 : 0];
        const OctNode *made = unscaled(gate);
        for (int32_t k = 0; made && k < made->input_count; k++) {
            if (made->inputs[k] == value && line_ends(made, value, &ends, &zero) && zero) {
                return (Ends){ends.low, INFINITY};
            }
        }
    }
    return nowhere;
}

static Ends ends_of(const OctUses *uses, const OctValue *value) {
    Ends ends = {INFINITY, -INFINITY};
    int32_t first = uses->first[value->id], last = uses->first[value->id + 1];
    for (int32_t i = first; i < last; i++) {
        Ends own = ends_of_use(uses->nodes[i], value);
        ends.low = fminf(ends.low, own.low);
        ends.high = fmaxf(ends.high, own.high);
    }
    return first == last || uses->output_uses[value->id] > 0 ? nowhere : ends;
}

/* Octet's own qconfig; PyTorch's get the ranges that PyTorch gives them. */
static bool is_own(const OctNodePlan *plan) {
    return plan->int8 && plan->qconfig.requantize == OCTET_REQUANTIZE_ONNX &&
           plan->qconfig.weight.spec.symmetry == OCTET_SYMMETRY_ABSMAX;
}

/* The value that is the only one of its group and the result of a node of Octet's own qconfig; NULL
 * for other groups. */
static void find_single(const OctetPrepared *prepared, const OctValue **single, int32_t *members) {
    const OctGraph *graph = prepared->graph;
    for (int32_t v = 0; v < graph->value_count; v++) {
        if (prepared->group_of[v] >= 0) {
            members[prepared->group_of[v]]++;
        }
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctValue *value = oct_node_output(graph->nodes[i], 0);
        int32_t group = value && is_own(&prepared->nodes[i]) ? prepared->group_of[value->id] : -1;
        if (group >= 0 && members[group] == 1) {
            single[group] = value;
        }
    }
}

static OctetStatus narrow(const OctetObserver *observer, Ends ends, OctetQParams *grid,
                          OctetDiagnostic *diagnostic) {
    const OctetObserverOptions *options = octet_observer_get_options(observer);
    OctetObserverStats stats;
    float low, high;
    octet_observer_stats(observer, &stats);
    if (grid->count != 1 || stats.channels != 1 || stats.values == 0 ||
        options->type == OCTET_OBSERVER_FIXED_QPARAMS ||
        options->spec.qscheme != OCTET_PER_TENSOR_AFFINE) {
        return OCTET_OK;
    }
    OCT_TRY(octet_observer_range(observer, &low, &high, diagnostic));
    /* half a step beyond, so that the last integer lies in the flat part after rounding, too */
    float narrow_low = fmaxf(low, fminf(ends.low, 0));
    float narrow_high = fminf(high, fmaxf(ends.high, 0));
    float half_step = (narrow_high - narrow_low) / 508;
    narrow_low = fmaxf(low, narrow_low - half_step);
    narrow_high = fminf(high, narrow_high + half_step);
    if (!(narrow_low > low || narrow_high < high)) {
        return OCTET_OK;
    }
    return octet_choose_qparams(&options->spec, narrow_low, narrow_high, grid->scale,
                                grid->zero_point, diagnostic);
}

OctetStatus oct_narrow_to_flat(const OctetPrepared *prepared, OctetQParams *grids,
                               OctetDiagnostic *diagnostic) {
    size_t groups = (size_t)prepared->group_count;
    const OctValue **single = oct_calloc(groups + 1, sizeof *single);
    int32_t *members = oct_calloc(groups + 1, sizeof *members);
    OctUses uses = {0};
    OctetStatus status = single && members ? oct_graph_uses(prepared->graph, &uses, diagnostic)
                                           : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        find_single(prepared, single, members);
    }
    for (size_t i = 0; i < groups && status == OCTET_OK; i++) {
        Ends ends = single[i] ? ends_of(&uses, single[i]) : nowhere;
        if (ends.low > -INFINITY || ends.high < INFINITY) {
            status = narrow(prepared->groups[i].observer, ends, &grids[i], diagnostic);
        }
    }
    oct_uses_free(&uses);
    oct_free(members);
    oct_free(single);
    return status;
}
