/* Applying a preprocessing to pixels and to arrays. */
#ifndef OCT_DATA_PREPROCESS_H
#define OCT_DATA_PREPROCESS_H

#include "data/image.h"

/* Resizes, crops, orders the channels, scales: a tensor with a batch of 1 as `input` wants it. The
 * image is consumed: its pixels change and stay the caller's to free. */
OctetStatus oct_preprocess_image(const OctetPreprocess *preprocess, OctImage *image,
                                 const OctetDataInput *input, OctetTensor **tensor,
                                 OctetDiagnostic *diagnostic);

#endif
