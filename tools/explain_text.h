/* The story of one channel, for people. */
#ifndef OCTET_TOOLS_EXPLAIN_TEXT_H
#define OCTET_TOOLS_EXPLAIN_TEXT_H

#include "octet/octet.h"

/* pixel: an output worked out from a real input; NULL for the example of the channel. */
void explain_print_channel(const OctetLayerExplanation *layer, int64_t channel,
                           const OctetPixelExplanation *pixel);

#endif
