/* What octet quantize says when it is done. */
#ifndef OCTET_TOOLS_QUANTIZE_REPORT_H
#define OCTET_TOOLS_QUANTIZE_REPORT_H

#include "octet/octet.h"

typedef struct QuantizeResult {
    const char *model, *output, *calib, *save_stats; /* all but the first may be NULL */
    const OctetGraph *quantized;                     /* NULL without output */
    OctetConvertReport report;
    int64_t calibrated, skipped; /* samples */
    double seconds, calibration_seconds;
} QuantizeResult;

void quantize_print_json(const QuantizeResult *result);
void quantize_print_text(const QuantizeResult *result);

#endif
