/* An output of a layer, explained for a real input of the model. */
#ifndef OCTET_TOOLS_EXPLAIN_INPUT_H
#define OCTET_TOOLS_EXPLAIN_INPUT_H

#include "common.h"

typedef struct ExplainInput {
    const OctetGraph *graph;
    const OctetNode *node, *original; /* original: the float model's, or NULL */
    OctetRequantize mode;
    int64_t channel;
    const PreprocessOptions *preprocess;
    const char *path; /* of the model's input */
    const char *at;   /* a place in the output, "Y,X"; NULL: the middle */
} ExplainInput;

/* Runs the model up to the layer. Free *pixel with octet_pixel_clear. */
OctetStatus explain_input(const ExplainInput *request, OctetPixelExplanation *pixel,
                          OctetDiagnostic *diagnostic);

#endif
