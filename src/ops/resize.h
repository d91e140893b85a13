/* Resize and Upsample: coordinates and weights of one axis, and the passes that apply them. */
#ifndef OCT_OPS_RESIZE_H
#define OCT_OPS_RESIZE_H

#include "ops/quantized.h"

typedef enum OctResizeMode {
    OCT_RESIZE_NEAREST,
    OCT_RESIZE_LINEAR,
    OCT_RESIZE_CUBIC
} OctResizeMode;

typedef enum OctResizeCoordinates {
    OCT_RESIZE_HALF_PIXEL,
    OCT_RESIZE_HALF_PIXEL_SYMMETRIC,
    OCT_RESIZE_PYTORCH_HALF_PIXEL,
    OCT_RESIZE_ALIGN_CORNERS,
    OCT_RESIZE_ASYMMETRIC,
    OCT_RESIZE_TF_HALF_PIXEL_FOR_NN,
    OCT_RESIZE_TF_CROP_AND_RESIZE
} OctResizeCoordinates;

typedef enum OctResizeRounding {
    OCT_RESIZE_PREFER_FLOOR,
    OCT_RESIZE_PREFER_CEIL,
    OCT_RESIZE_FLOOR,
    OCT_RESIZE_CEIL,
    OCT_RESIZE_SIMPLE /* before opset 11: up when downsampling, else down */
} OctResizeRounding;

typedef enum OctResizePolicy {
    OCT_RESIZE_STRETCH,
    OCT_RESIZE_NOT_LARGER,
    OCT_RESIZE_NOT_SMALLER
} OctResizePolicy;

typedef struct OctResizeRules {
    OctResizeMode mode;
    OctResizeCoordinates coordinates;
    OctResizeRounding rounding;
    OctResizePolicy policy;
    float cubic_a, extrapolation;
    bool exclude_outside, antialias;
} OctResizeRules;

/* Attributes, checked. OCTET_ERROR_UNSUPPORTED for a mode that Octet lacks. */
OctetStatus oct_resize_rules(const OctNode *node, OctResizeRules *rules,
                             OctetDiagnostic *diagnostic);

/* Floats of an attribute, a constant or a view; count -1: not known now. */
typedef struct OctResizeFloats {
    const float *data;
    int64_t count; /* 0: absent */
} OctResizeFloats;

/* What decides the output's size, an ONNX axis each. */
typedef struct OctResizeRequest {
    OctResizeFloats scales, roi;
    OctInts sizes;
} OctResizeRequest;

/* What is known before running; *open if that does not decide the output. */
OctetStatus oct_resize_known_request(const OctNode *node, OctResizeRequest *request, bool *open,
                                     OctetDiagnostic *diagnostic);
/* What the inputs say when running. */
OctetStatus oct_resize_running_request(const OctNode *node, const OctRun *run,
                                       OctResizeRequest *request);

/* Sizes and scales of all ONNX axes. Unknown input sizes give unknown output sizes. */
typedef struct OctResizeSizes {
    int64_t out[OCTET_MAX_RANK];
    float scale[OCTET_MAX_RANK], start[OCTET_MAX_RANK], end[OCTET_MAX_RANK];
} OctResizeSizes;

/* `in` in ONNX's order of axes. */
OctetStatus oct_resize_output_sizes(const OctNode *node, const OctResizeRules *rules,
                                    const OctResizeRequest *request, int32_t rank,
                                    const int64_t *in, OctResizeSizes *sizes,
                                    OctetDiagnostic *diagnostic);

/* Output i takes sum over t of weights[i * taps + t] * input[index[i * taps + t]]. Nearest has one
 * tap and no weights. */
typedef struct OctResizeAxis {
    int64_t in, out;
    bool identity; /* nothing to do along this axis */
    int32_t taps;
    int64_t *index;
    float *weights;
    bool *outside; /* where the extrapolation value takes over; NULL: nowhere */
} OctResizeAxis;

typedef struct OctResizePlan {
    OctResizeRules rules;
    OctetShape input, output;           /* in memory order */
    OctResizeAxis axes[OCTET_MAX_RANK]; /* likewise */
} OctResizePlan;

/* Coordinates and weights of one axis. `scale` is output over input as the model gives it, start
 * and end are the axis' roi. What they take is taken off *bytes_left; OCTET_ERROR_LIMIT if it is
 * more. Free with oct_resize_plan_clear. */
OctetStatus oct_resize_axis(const OctResizeRules *rules, int64_t in, int64_t out, float scale,
                            float start, float end, OctResizeAxis *axis, uint64_t *bytes_left,
                            OctetDiagnostic *diagnostic);
void oct_resize_plan_clear(OctResizePlan *plan);

/* No elements: then there are no tables and there is no work. */
bool oct_resize_is_empty(const OctetShape *shape);

/* What the passes need besides the plan; 0 for nearest. False on overflow. */
bool oct_resize_workspace(const OctResizePlan *plan, size_t *bytes);
/* Linear and cubic: one pass an axis, the first axis first, in f32; u8 is read and rounded on its
 * grid (x and y say how). workspace: as many bytes as oct_resize_workspace says, aligned. */
void oct_resize_interpolate(const OctResizePlan *plan, const OctElement *x, const OctElement *y,
                            OctetCpu cpu, const void *input, void *output, void *workspace,
                            OctetThreadPool *pool);
/* Nearest, for elements of 1, 2, 4 or 8 bytes; `fill` is the extrapolation value's bytes. */
void oct_resize_nearest(const OctResizePlan *plan, size_t element_size, const void *fill,
                        const void *input, void *output, OctetThreadPool *pool);

#endif
