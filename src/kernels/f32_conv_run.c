#include "kernels/f32_conv_run.h"
#include "base/diag.h"
#include "base/mem.h"
#include "kernels/f32_conv_private.h"
#include "kernels/f32_driver.h"

enum { MAX_SIZE = 1 << 30 };

/* batch * pixels * channels floats and their bytes fit into an int64. */
static bool image_fits(size_t batch, const size_t *sizes, size_t channels) {
    size_t product = batch;
    bool fits = oct_mul_size(product, channels, &product);
    for (int axis = 0; axis < 3; axis++) {
        fits = fits && sizes[axis] <= MAX_SIZE && oct_mul_size(product, sizes[axis], &product);
    }
    return fits && product <= INT64_MAX / 64;
}

OctetStatus oct_f32_conv_setup(const OctF32Conv *conv, const OctF32ConvShape *shape,
                               OctetDiagnostic *diagnostic) {
    for (int axis = 0; axis < 3; axis++) {
        if (shape->pad_begin[axis] > MAX_SIZE || shape->pad_begin[axis] < -MAX_SIZE) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a convolution's padding is too big");
        }
    }
    if (!image_fits(shape->batch, shape->input, conv->spec.input_channels) ||
        !image_fits(shape->batch, shape->output, conv->spec.output_channels)) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a convolution's tensors are too big");
    }
    return OCTET_OK;
}

static OctF32WindowAxis make_axis(const OctF32Conv *conv, const OctF32ConvShape *shape,
                                  const OctF32ConvPhase *phase, int axis) {
    int64_t stride = (int64_t)conv->spec.stride[axis];
    int64_t dilation = (int64_t)conv->spec.dilation[axis];
    int64_t pad = shape->pad_begin[axis];
    OctF32WindowAxis made = {.input = (int64_t)shape->input[axis],
                             .taps = (int64_t)phase->taps[axis],
                             .output = (int64_t)shape->output[axis]};
    if (!conv->spec.transposed) {
        made.count = made.output;
        made.stride = stride;
        made.origin = -pad;
        made.step = dilation;
        made.output_step = 1;
        return made;
    }
    /* output index o takes input index (o + pad - k * dilation) / stride from tap k */
    int64_t first_output = ((int64_t)phase->residue[axis] - pad) % stride;
    first_output += first_output < 0 ? stride : 0;
    int64_t reach = first_output + pad - (int64_t)phase->first[axis] * dilation;
    made.count = first_output < made.output ? (made.output - 1 - first_output) / stride + 1 : 0;
    made.stride = 1;
    made.origin = phase->taps[axis] ? reach / stride : 0;
    made.step = -((int64_t)phase->step[axis] * dilation / stride);
    made.output_origin = first_output;
    made.output_step = stride;
    return made;
}

void oct_f32_conv_run(const OctF32Conv *conv, const OctF32ConvShape *shape,
                      const OctF32ConvCall *call, OctetThreadPool *pool) {
    const OctF32ConvSpec *spec = &conv->spec;
    size_t input_pixels = shape->input[0] * shape->input[1] * shape->input[2];
    size_t output_pixels = shape->output[0] * shape->output[1] * shape->output[2];
    OctF32Job job = {.gemm = conv->gemm,
                     .depthwise = conv->depthwise,
                     .batch = shape->batch,
                     .groups = conv->depthwise ? 1 : spec->groups,
                     .input_image = input_pixels * spec->input_channels,
                     .output_image = output_pixels * spec->output_channels,
                     .input = call->input,
                     .zero = conv->zero,
                     .residual = call->residual,
                     .output = call->output,
                     .minimum = call->minimum,
                     .maximum = call->maximum};
    job.columns = spec->output_channels / job.groups;
    job.window.input_pixel = spec->input_channels;
    job.window.output_pixel = spec->output_channels;
    job.window.channels = spec->input_channels / job.groups;
    for (size_t i = 0; i < conv->phase_count; i++) {
        const OctF32ConvPhase *phase = &conv->phases[i];
        for (int axis = 0; axis < 3; axis++) {
            job.window.axis[axis] = make_axis(conv, shape, phase, axis);
        }
        oct_f32_window_finish(&job.window);
        job.packed = (const float *)(const void *)phase->packed.data;
        size_t k = oct_f32_window_taps(&job.window) * job.window.channels;
        size_t panels = (job.columns + job.gemm->nr - 1) / job.gemm->nr;
        job.group_floats = panels * oct_f32_gemm_panel_floats(job.gemm, k);
        if (job.depthwise) {
            oct_f32_depthwise_run(&job, pool);
        } else {
            oct_f32_job_run(&job, pool);
        }
    }
}
