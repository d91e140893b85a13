#include "ops/layout.h"
#include "kernels/transpose.h"
#include "ops/ops.h"

OctetStatus oct_workspace_add(size_t *workspace, size_t bytes, size_t *offset,
                              OctetDiagnostic *diagnostic) {
    size_t total;
    if (!oct_add_size(*workspace, bytes, &total) || !oct_add_size(total, 64 + 63, &total) ||
        total > PTRDIFF_MAX / 2) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the workspace would be too large");
    }
    *offset = *workspace;
    *workspace = total / 64 * 64;
    return OCTET_OK;
}

OctetStatus oct_layout_prepare(OctLayout *layout, const OctImageShape *image, bool channels_last,
                               size_t element_size, size_t *workspace,
                               OctetDiagnostic *diagnostic) {
    OctetShape shape = oct_image_shape_join(image, channels_last);
    int64_t count;
    size_t bytes;
    if (!octet_shape_count(&shape, &count) || !oct_mul_size((size_t)count, element_size, &bytes)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a tensor is too large");
    }
    int64_t area = count ? oct_image_shape_area(image) : 0;
    *layout = (OctLayout){.copied = !channels_last && area > 1 && image->channels > 1,
                          .element_size = element_size,
                          .batch = (size_t)image->batch,
                          .channels = (size_t)image->channels,
                          .area = (size_t)area};
    if (layout->copied) {
        OCT_TRY(oct_workspace_add(workspace, bytes, &layout->offset, diagnostic));
    }
    return OCTET_OK;
}

const void *oct_layout_read(const OctLayout *layout, const OctRun *run, const void *input) {
    if (!layout->copied) {
        return input;
    }
    void *copy = oct_workspace_at(run, layout->offset);
    oct_transpose_matrix(layout->element_size, layout->batch, layout->channels, layout->area, input,
                         copy, run->pool);
    return copy;
}

void *oct_layout_target(const OctLayout *layout, const OctRun *run, void *output) {
    return layout->copied ? oct_workspace_at(run, layout->offset) : output;
}

void oct_layout_finish(const OctLayout *layout, const OctRun *run, void *output) {
    if (layout->copied) {
        oct_transpose_matrix(layout->element_size, layout->batch, layout->area, layout->channels,
                             oct_workspace_at(run, layout->offset), output, run->pool);
    }
}
