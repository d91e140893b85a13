/* Sliding windows: the attributes that Conv, ConvTranspose and the pools share, and the shapes
 * that follow from them. Source: ONNX Operators.md, Conv, ConvTranspose, MaxPool, AveragePool. */
#ifndef OCT_OPS_WINDOW_H
#define OCT_OPS_WINDOW_H

#include "ir/op.h"

#define OCT_WINDOW_MAX 3 /* depth, height, width */
#define OCT_IMAGE_MAX (OCTET_MAX_RANK - 2)

typedef enum OctAutoPad {
    OCT_PAD_EXPLICIT = 0,
    OCT_PAD_VALID,
    OCT_PAD_SAME_UPPER,
    OCT_PAD_SAME_LOWER
} OctAutoPad;

/* A window over `rank` spatial axes. All numbers fit into int32. */
typedef struct OctWindow {
    int32_t rank;
    OctAutoPad auto_pad;
    bool ceil_mode;
    int64_t kernel[OCT_WINDOW_MAX];
    int64_t stride[OCT_WINDOW_MAX];
    int64_t dilation[OCT_WINDOW_MAX];
    int64_t pad_begin[OCT_WINDOW_MAX]; /* zero until resolved when auto_pad is not explicit */
    int64_t pad_end[OCT_WINDOW_MAX];
    int64_t output_padding[OCT_WINDOW_MAX]; /* ConvTranspose */
    int64_t output_shape[OCT_WINDOW_MAX];   /* ConvTranspose; 0 where not given */
} OctWindow;

/* Checks the attributes that don't depend on the rank: auto_pad, lengths that agree, positive
 * strides and dilations, pads of 0 and more. OCTET_ERROR_FORMAT or _UNSUPPORTED. */
OctetStatus oct_window_check(const OctNode *node, OctetDiagnostic *diagnostic);

/* Reads the window for `rank` spatial axes. `kernel` is the weights' kernel shape (NULL: it comes
 * from the attribute kernel_shape, which must be there). OCTET_ERROR_SHAPE where lengths do not
 * fit `rank` or the attribute contradicts `kernel`. */
OctetStatus oct_window_read(const OctNode *node, int32_t rank, const int64_t *kernel,
                            OctWindow *window, OctetDiagnostic *diagnostic);

/* The spatial output sizes of a convolution or pool for inputs `in`, and window->pad_begin/pad_end
 * made explicit (auto_pad resolved). Unknown sizes (below 0) give OCT_DIM_UNKNOWN and leave the
 * axis' padding alone. OCTET_ERROR_SHAPE where the window does not fit into the input. */
OctetStatus oct_window_output(OctWindow *window, const OctNode *node, const int64_t *in,
                              int64_t *out, OctetDiagnostic *diagnostic);

/* The same for ConvTranspose: out = stride * (in - 1) + output_padding + dilated kernel - pads, or
 * the attribute output_shape, from which the pads then follow. */
OctetStatus oct_window_transposed(OctWindow *window, const OctNode *node, const int64_t *in,
                                  int64_t *out, OctetDiagnostic *diagnostic);

/* dilation * (kernel - 1) + 1 */
static inline int64_t oct_window_extent(const OctWindow *window, int32_t axis) {
    return window->dilation[axis] * (window->kernel[axis] - 1) + 1;
}

/* Whether the engine asks for channels-last computation of this node. */
static inline bool oct_channels_last(const OctNode *node) {
    return oct_node_int(node, "channels_last", 0) != 0;
}

/* The parts of an N, C, spatial... shape in either layout. */
typedef struct OctImageShape {
    int64_t batch, channels;
    int32_t rank; /* of the spatial part */
    int64_t spatial[OCT_IMAGE_MAX];
} OctImageShape;

/* Splits a shape of rank 2 to OCTET_MAX_RANK; false if the rank is another. */
bool oct_image_shape_split(const OctetShape *shape, bool channels_last, OctImageShape *image);
OctetShape oct_image_shape_join(const OctImageShape *image, bool channels_last);
/* Product of the spatial sizes (concrete shapes only). */
int64_t oct_image_shape_area(const OctImageShape *image);

#endif
