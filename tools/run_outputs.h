/* What octet run prints of a model's outputs. */
#ifndef OCTET_TOOLS_RUN_OUTPUTS_H
#define OCTET_TOOLS_RUN_OUTPUTS_H

#include "octet/octet.h"

/* Names of classes, by their number. */
typedef struct ClassNames {
    char **items;
    int64_t count;
} ClassNames;

/* One a line. */
OctetStatus class_names_read(const char *path, ClassNames *names, OctetDiagnostic *diagnostic);
void class_names_release(ClassNames *names);

typedef struct RunOutputs {
    const OctetGraph *graph;
    OctetTensor *const *tensors; /* in the graph's order */
    size_t count;
    const ClassNames *names;
    double seconds;
} RunOutputs;

/* The five best classes of outputs that look like scores, the range of values of others. */
OctetStatus outputs_print_text(const RunOutputs *outputs, OctetDiagnostic *diagnostic);
OctetStatus outputs_print_json(const RunOutputs *outputs, OctetDiagnostic *diagnostic);

#endif
