#include "quantize_rules.h"

#include "common.h"

#include <stdio.h>
#include <string.h>

static OctetStatus choose_qconfig(const QuantizeRules *rules, OctetQConfig *qconfig,
                                  OctetDiagnostic *diagnostic) {
    *qconfig = octet_qconfig_default();
    OctetStatus status = OCTET_OK;
    if (rules->qconfig) {
        status = octet_qconfig_by_name(rules->qconfig, qconfig, diagnostic);
    }
    if (status == OCTET_OK && rules->observer) {
        OctetObserverType type = OCTET_OBSERVER_MINMAX;
        octet_observer_type_parse(rules->observer, &type);
        OctetQSpec spec = qconfig->activation.spec;
        qconfig->activation = octet_observer_options(type);
        qconfig->activation.spec = spec;
    }
    if (status == OCTET_OK && rules->per_tensor && qconfig->quantize) {
        OctetObserverOptions *weight = &qconfig->weight;
        bool symmetric = octet_qscheme_is_symmetric(weight->spec.qscheme);
        weight->spec.qscheme = symmetric ? OCTET_PER_TENSOR_SYMMETRIC : OCTET_PER_TENSOR_AFFINE;
        if (weight->type == OCTET_OBSERVER_PER_CHANNEL_MINMAX) {
            weight->type = OCTET_OBSERVER_MINMAX;
        }
    }
    if (rules->activation_type) {
        octet_qdtype_parse(rules->activation_type, &qconfig->activation.spec.dtype);
    }
    if (rules->symmetric) {
        qconfig->activation.spec.qscheme = OCTET_PER_TENSOR_SYMMETRIC;
        qconfig->activation.spec.symmetry = OCTET_SYMMETRY_ABSMAX;
    }
    qconfig->activation.spec.power_of_two = rules->power_of_two;
    qconfig->weight.spec.power_of_two = rules->power_of_two;
    return status == OCTET_OK ? octet_qconfig_check(qconfig, diagnostic) : status;
}

/* Activations of 16 bits, without a zero point as 16-bit hardware wants them. */
static OctetQConfig with_int16(OctetQConfig qconfig) {
    qconfig.activation.spec.dtype = OCTET_S16;
    qconfig.activation.spec.qscheme = OCTET_PER_TENSOR_SYMMETRIC;
    qconfig.activation.spec.symmetry = OCTET_SYMMETRY_ABSMAX;
    qconfig.activation.spec.reduce_range = false;
    qconfig.activation.spec.custom_range = false;
    return qconfig;
}

/* A node that an option names, by its name or a pattern. Nothing matched is most likely a typo. */
static OctetStatus check_named(const OctetGraph *graph, const char *option, const char *pattern,
                               bool by_type, OctetDiagnostic *diagnostic) {
    for (size_t i = 0; i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        const char *text = by_type ? octet_node_op_type(node) : octet_node_name(node);
        if (strcmp(pattern, text) == 0 || (!by_type && octet_glob_match(pattern, text))) {
            return OCTET_OK;
        }
    }
    return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                "--%s %s: the model has no such %s (octet inspect lists them)", option, pattern,
                by_type ? "operator" : "node");
}

static OctetStatus set_nodes(OctetQConfigMapping *mapping, const OctetGraph *graph,
                             const char *option, const char *pattern, const OctetQConfig *qconfig,
                             OctetDiagnostic *diagnostic) {
    OctetStatus status = check_named(graph, option, pattern, false, diagnostic);
    /* a name that has the characters of a pattern still names itself */
    if (status == OCTET_OK && octet_graph_find_node(graph, pattern)) {
        return octet_qconfig_mapping_set_name(mapping, pattern, qconfig, diagnostic);
    }
    return status == OCTET_OK
               ? octet_qconfig_mapping_set_pattern(mapping, pattern, qconfig, diagnostic)
               : status;
}

OctetStatus rules_mapping(const QuantizeRules *rules, const OctetGraph *graph,
                          OctetQConfigMapping **mapping, OctetDiagnostic *diagnostic) {
    OctetQConfig qconfig;
    OctetQConfig none = octet_qconfig_none();
    OctetStatus status = choose_qconfig(rules, &qconfig, diagnostic);
    if (status == OCTET_OK) {
        status = octet_qconfig_mapping_create(mapping, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_qconfig_mapping_set_global(*mapping, &qconfig, diagnostic);
    }
    for (size_t i = 0; status == OCTET_OK && i < rules->skip_type.count; i++) {
        const char *type = rules->skip_type.items[i];
        status = check_named(graph, "skip-type", type, true, diagnostic);
        if (status == OCTET_OK) {
            status = octet_qconfig_mapping_set_type(*mapping, type, &none, diagnostic);
        }
    }
    const OctetQConfig wide = with_int16(qconfig);
    for (size_t i = 0; status == OCTET_OK && i < rules->int16.count; i++) {
        status = set_nodes(*mapping, graph, "int16", rules->int16.items[i], &wide, diagnostic);
    }
    for (size_t i = 0; status == OCTET_OK && i < rules->skip.count; i++) {
        status = set_nodes(*mapping, graph, "skip", rules->skip.items[i], &none, diagnostic);
    }
    return status;
}

/* PyTorch's longer names are fine, too, so this is no choice of a list. */
int rules_check(const char *command, const QuantizeRules *rules) {
    const char *name = rules->qconfig;
    OctetQConfig qconfig;
    if (!name || octet_qconfig_by_name(name, &qconfig, NULL) == OCTET_OK) {
        return 0;
    }
    const char *names[32] = {NULL};
    char known[256] = "";
    for (int32_t i = 0; i < 31 && octet_qconfig_name(i); i++) {
        size_t used = strlen(known);
        names[i] = octet_qconfig_name(i);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *meant = closest(name, names);
    return usage_error(command, "--qconfig can't be '%s'%s%s%s; there are %s", name,
                       meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "",
                       known);
}

static const char *const observer_names[] = {
    "minmax",     "moving-average", "histogram", "torch-histogram",
    "percentile", "entropy",        "mse",       NULL};
static const char *const activation_types[] = {"u8", "s8", NULL};
const Option rules_options[] = {
    {"observer", OPTION_CHOICE, offsetof(QuantizeRules, observer), "NAME",
     "How the ranges of activations are found: minmax, moving-average, histogram, "
     "torch-histogram, percentile, entropy, mse. Default: the qconfig's.",
     observer_names},
    {"qconfig", OPTION_TEXT, offsetof(QuantizeRules, qconfig), "NAME",
     "octet (the default), fbgemm, x86, qnnpack, onednn, symmetric_qnnpack, "
     "per_channel_symmetric_qnnpack, default, default_per_channel, none.",
     NULL},
    {"per-tensor", OPTION_FLAG, offsetof(QuantizeRules, per_tensor), NULL,
     "One scale for each weight tensor instead of one for each output channel.", NULL},
    {"activation-type", OPTION_CHOICE, offsetof(QuantizeRules, activation_type), "TYPE",
     "u8 (the default) or s8: the integers of activations.", activation_types},
    {"symmetric", OPTION_FLAG, offsetof(QuantizeRules, symmetric), NULL,
     "Activations without a zero point: 0 for s8, 128 for u8.", NULL},
    {"power-of-two", OPTION_FLAG, offsetof(QuantizeRules, power_of_two), NULL,
     "Scales that are powers of two, for hardware that shifts.", NULL},
    {"int16", OPTION_LIST, offsetof(QuantizeRules, int16), "NODE",
     "The output of this node has 16 bits (a pattern for several). May be repeated.", NULL},
    {"skip", OPTION_LIST, offsetof(QuantizeRules, skip), "NODE",
     "Leave this node in float; a pattern such as 'head/*' for several. May be repeated.", NULL},
    {"skip-type", OPTION_LIST, offsetof(QuantizeRules, skip_type), "OP",
     "Leave all operators of this type in float, such as Softmax. May be repeated.", NULL},
    {0},
};
