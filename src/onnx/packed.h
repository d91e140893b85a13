/* A model file with its packed weights behind it. */
#ifndef OCT_ONNX_PACKED_H
#define OCT_ONNX_PACKED_H

#include "base/blocks.h"
#include "ir/graph.h"

/* Writes graph->file, without a section that it has already, and a section of all blocks that were
 * noted. */
OctetStatus oct_packed_write(const OctGraph *graph, const OctBlocks *blocks, const char *output,
                             OctetDiagnostic *diagnostic);

#endif
