/* Kernels compute channels-last. An operator that is asked for N, C, spatial... goes through
 * transposed copies in its workspace. */
#ifndef OCT_OPS_LAYOUT_H
#define OCT_OPS_LAYOUT_H

#include "ops/window.h"

/* One tensor's way between the two layouts. */
typedef struct OctLayout {
    bool copied; /* the layouts differ: goes through the workspace */
    size_t element_size;
    size_t batch, channels, area;
    size_t offset; /* in the workspace */
} OctLayout;

/* Adds `bytes` to a workspace, at a multiple of 64 and with 64 bytes behind it that may be read;
 * gives the offset. OCTET_ERROR_LIMIT on overflow. */
OctetStatus oct_workspace_add(size_t *workspace, size_t bytes, size_t *offset,
                              OctetDiagnostic *diagnostic);
static inline void *oct_workspace_at(const OctRun *run, size_t offset) {
    return run->workspace ? (char *)run->workspace + offset : NULL; /* NULL: none is needed */
}

/* Describes a tensor of this shape, and reserves room for its copy where the layouts differ. */
OctetStatus oct_layout_prepare(OctLayout *layout, const OctImageShape *image, bool channels_last,
                               size_t element_size, size_t *workspace, OctetDiagnostic *diagnostic);
/* The channels-last data of an input: itself or a copy. */
const void *oct_layout_read(const OctLayout *layout, const OctRun *run, const void *input);
/* Where to write the channels-last output ... */
void *oct_layout_target(const OctLayout *layout, const OctRun *run, void *output);
/* ... and bringing it to its place. */
void oct_layout_finish(const OctLayout *layout, const OctRun *run, void *output);

#endif
