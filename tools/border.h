/* Models whose inputs and outputs carry integers (octet quantize --io int8, and those of other
 * tools): what the integers mean, so that they can be fed with and compared to real numbers. */
#ifndef OCTET_TOOLS_BORDER_H
#define OCTET_TOOLS_BORDER_H

#include "octet/octet.h"

/* A grid of one scale. */
typedef struct BorderGrid {
    OctetDType dtype;
    float scale;
    int32_t zero_point;
} BorderGrid;

/* The grid of an input that takes 8-bit or 16-bit integers and is dequantized at once; false for
 * others. */
bool border_input_grid(const OctetGraph *graph, size_t index, BorderGrid *grid);
/* The grid of an output that is quantized last of all; false for others. */
bool border_output_grid(const OctetGraph *graph, size_t index, BorderGrid *grid);

/* Runs a session on inputs of which those that are real where it takes integers are quantized. */
OctetStatus border_run(OctetSession *session, const OctetGraph *graph,
                       const OctetTensor *const *inputs, size_t input_count,
                       const OctetTensor **outputs, size_t output_count,
                       OctetDiagnostic *diagnostic);
/* An output of such a run as real numbers: see tensor_floats. */
OctetStatus border_floats(const OctetGraph *graph, size_t index, const OctetTensor *output,
                          const float **values, int64_t *count, OctetTensor **made,
                          OctetDiagnostic *diagnostic);

#endif
