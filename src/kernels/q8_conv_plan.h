/* The inside of OctQ8Conv, shared by create (q8_conv_create.c) and run (q8_conv_run.c). */
#ifndef OCT_KERNELS_Q8_CONV_PLAN_H
#define OCT_KERNELS_Q8_CONV_PLAN_H

#include "kernels/q8_conv.h"
#include "kernels/q8_conv_run.h"

/* Pointers to input rows are made piece by piece in a buffer of this size on the stack, small
 * enough to stay in the first-level cache. It is also the largest kernel window. */
enum { OCT_Q8_MAX_POINTERS = 4096 };

/* Most pixels that a unit of work has. */
enum { OCT_Q8_MOST_PIXELS = 144 };

typedef enum OctQ8ConvPath {
    /* 1x1, stride 1, no padding: rows of the input are rows of a matrix */
    OCT_Q8_PATH_DIRECT,
    /* one pointer a tap and pixel */
    OCT_Q8_PATH_POINTERS,
    /* few channels: the input is copied with its padding, so that a kernel row (kernel_w *
     * channels bytes) is contiguous and counts as one tap */
    OCT_Q8_PATH_PADDED,
    /* likewise, and every window is copied, so that it counts as one tap */
    OCT_Q8_PATH_WINDOWS,
    OCT_Q8_PATH_DEPTHWISE
} OctQ8ConvPath;

static inline bool oct_q8_path_pads(OctQ8ConvPath path) {
    return path == OCT_Q8_PATH_PADDED || path == OCT_Q8_PATH_WINDOWS;
}

struct OctQ8Conv {
    OctQ8ConvParams params; /* without the pointers that are not kept */
    OctQ8ConvPath path;
    const OctQ8ConvBundle *bundle;
    const OctQ8DepthwiseBundle *depthwise;
    size_t depth; /* weights of an output channel */
    size_t group_in, group_out;
    size_t taps, k; /* of the kernel call; taps counts the copies */
    size_t copies;  /* more than 1 if w - zero_point takes so many s8 numbers that are summed */
    OctBlock packed;
    size_t packed_bytes, group_bytes;
    uint8_t *zero_row; /* in_channels bytes of the input's zero point, and some more */
};

/* How many groups are computed as one, with zeros where a channel of one meets an input of another:
 * so many as fill the narrowest panel, which takes the same time for fewer channels. */
size_t oct_q8_groups_to_join(const OctQ8Conv *conv, const OctQ8ConvParams *params,
                             size_t narrowest);
/* Weights [channel][tap][input] of `joined` groups, from those of single groups, which are in the
 * order that params says. Free with oct_free; NULL when out of memory. */
int8_t *oct_q8_join_groups(const OctQ8ConvParams *params, const int8_t *weights, size_t joined);

#endif
