#include "base/diag.h"
#include "base/mem.h"
#include "octet/qconfig.h"

#include <string.h>

/* The kinds of rules, most particular first. */
typedef enum RuleKind { RULE_NAME, RULE_PATTERN, RULE_TYPE, RULE_KINDS } RuleKind;

typedef struct Rule {
    RuleKind kind;
    char *key;
    OctetQConfig qconfig;
} Rule;

struct OctetQConfigMapping {
    OctetQConfig global;
    Rule *rules;
    int32_t count, capacity;
};

OctetStatus octet_qconfig_mapping_create(OctetQConfigMapping **mapping,
                                         OctetDiagnostic *diagnostic) {
    *mapping = oct_calloc(1, sizeof **mapping);
    if (!*mapping) {
        return oct_fail_memory(diagnostic);
    }
    (*mapping)->global = octet_qconfig_default();
    return OCTET_OK;
}

void octet_qconfig_mapping_free(OctetQConfigMapping *mapping) {
    if (mapping) {
        for (int32_t i = 0; i < mapping->count; i++) {
            oct_free(mapping->rules[i].key);
        }
        oct_free(mapping->rules);
        oct_free(mapping);
    }
}

OctetStatus octet_qconfig_mapping_set_global(OctetQConfigMapping *mapping,
                                             const OctetQConfig *qconfig,
                                             OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_qconfig_check(qconfig, diagnostic));
    mapping->global = *qconfig;
    return OCTET_OK;
}

static OctetStatus set_rule(OctetQConfigMapping *mapping, RuleKind kind, const char *key,
                            const OctetQConfig *qconfig, OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_qconfig_check(qconfig, diagnostic));
    for (int32_t i = 0; i < mapping->count; i++) {
        Rule *rule = &mapping->rules[i];
        if (rule->kind == kind && strcmp(rule->key, key) == 0) {
            rule->qconfig = *qconfig;
            return OCTET_OK;
        }
    }
    char *copy = oct_strdup(key);
    if (!copy || !oct_grow(&mapping->rules, &mapping->capacity, mapping->count + 1, sizeof(Rule))) {
        oct_free(copy);
        return oct_fail_memory(diagnostic);
    }
    mapping->rules[mapping->count++] = (Rule){.kind = kind, .key = copy, .qconfig = *qconfig};
    return OCTET_OK;
}

OctetStatus octet_qconfig_mapping_set_type(OctetQConfigMapping *mapping, const char *op_type,
                                           const OctetQConfig *qconfig,
                                           OctetDiagnostic *diagnostic) {
    return set_rule(mapping, RULE_TYPE, op_type, qconfig, diagnostic);
}

OctetStatus octet_qconfig_mapping_set_name(OctetQConfigMapping *mapping, const char *node_name,
                                           const OctetQConfig *qconfig,
                                           OctetDiagnostic *diagnostic) {
    return set_rule(mapping, RULE_NAME, node_name, qconfig, diagnostic);
}

OctetStatus octet_qconfig_mapping_set_pattern(OctetQConfigMapping *mapping, const char *pattern,
                                              const OctetQConfig *qconfig,
                                              OctetDiagnostic *diagnostic) {
    return set_rule(mapping, RULE_PATTERN, pattern, qconfig, diagnostic);
}

static bool applies(const Rule *rule, const char *node_name, const char *op_type) {
    switch (rule->kind) {
    case RULE_NAME:
        return node_name && strcmp(rule->key, node_name) == 0;
    case RULE_PATTERN:
        return node_name && octet_glob_match(rule->key, node_name);
    default:
        return op_type && strcmp(rule->key, op_type) == 0;
    }
}

const OctetQConfig *octet_qconfig_mapping_find(const OctetQConfigMapping *mapping,
                                               const char *node_name, const char *op_type) {
    for (int kind = 0; kind < RULE_KINDS; kind++) {
        for (int32_t i = 0; i < mapping->count; i++) {
            const Rule *rule = &mapping->rules[i];
            if (rule->kind == (RuleKind)kind && applies(rule, node_name, op_type)) {
                return &rule->qconfig;
            }
        }
    }
    return &mapping->global;
}
