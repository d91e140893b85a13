/* Running one folder in ONNX's test layout: model.onnx and test_data_set_N with input_K.pb and
 * output_K.pb. */
#ifndef OCTET_TOOLS_CONFORMANCE_H
#define OCTET_TOOLS_CONFORMANCE_H

#include "octet/octet.h"

typedef enum CaseResult { CASE_PASSED, CASE_FAILED, CASE_UNSUPPORTED } CaseResult;

typedef struct CaseOutcome {
    CaseResult result;
    char reason[1400]; /* the first difference, or what is unsupported; empty if it passed */
} CaseOutcome;

/* A float passes where |got - expected| <= absolute + relative * |expected|, NaN equals NaN and an
 * infinity itself; everything else must be equal. */
typedef struct Tolerance {
    double relative, absolute;
} Tolerance;

void conformance_run(const char *folder, const Tolerance *tolerance, OctetThreadPool *pool,
                     CaseOutcome *outcome);

#endif
