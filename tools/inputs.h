/* Reading what a model's input is given. */
#ifndef OCTET_TOOLS_INPUTS_H
#define OCTET_TOOLS_INPUTS_H

#include "common.h"

/* Reads an image, an .npy or a .pb file for `wanted`, preprocessed as the options or the model's
 * metadata say. The caller frees *tensor. */
OctetStatus input_read(const PreprocessOptions *options, const OctetGraph *graph,
                       const OctetDataInput *wanted, const char *path, OctetTensor **tensor,
                       OctetDiagnostic *diagnostic);

#endif
