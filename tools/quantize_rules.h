/* Which layers octet quantize quantizes, and how: qconfig, observer, what stays in float. */
#ifndef OCTET_TOOLS_QUANTIZE_RULES_H
#define OCTET_TOOLS_QUANTIZE_RULES_H

#include "octet/octet.h"
#include "options.h"

typedef struct QuantizeRules {
    const char *qconfig, *observer;
    bool per_tensor, symmetric, power_of_two;
    const char *activation_type;
    TextList skip, skip_type, int16;
} QuantizeRules;
extern const Option rules_options[];

/* 0, or an exit code after an error of `command` was printed. */
int rules_check(const char *command, const QuantizeRules *rules);
/* Free with octet_qconfig_mapping_free, also after a failure. */
OctetStatus rules_mapping(const QuantizeRules *rules, const OctetGraph *graph,
                          OctetQConfigMapping **mapping, OctetDiagnostic *diagnostic);

#endif
