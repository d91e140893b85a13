#include "base/diag.h"
#include "base/mem.h"
#include "kernels/f32_conv_private.h"

#include <string.h>

static size_t greatest_common_divisor(size_t a, size_t b) {
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Taps k of one axis with k * dilation = residue modulo stride. */
static void find_phase_taps(const OctF32ConvSpec *spec, int axis, OctF32ConvPhase *phase) {
    size_t kernel = spec->kernel[axis];
    if (!spec->transposed) {
        phase->step[axis] = 1;
        phase->taps[axis] = kernel;
        return;
    }
    size_t stride = spec->stride[axis];
    size_t step = stride / greatest_common_divisor(stride, spec->dilation[axis]);
    size_t first = 0;
    while (first < step && first * spec->dilation[axis] % stride != phase->residue[axis]) {
        first++;
    }
    phase->first[axis] = first;
    phase->step[axis] = step;
    phase->taps[axis] = first < step && first < kernel ? (kernel - 1 - first) / step + 1 : 0;
}

static size_t phase_tap_count(const OctF32ConvPhase *phase) {
    return phase->taps[0] * phase->taps[1] * phase->taps[2];
}

/* The kernel index of a phase's tap. */
static size_t phase_tap(const OctF32ConvSpec *spec, const OctF32ConvPhase *phase, size_t tap) {
    size_t x = tap % phase->taps[2];
    size_t y = tap / phase->taps[2] % phase->taps[1];
    size_t z = tap / phase->taps[2] / phase->taps[1];
    size_t kernel_z = phase->first[0] + z * phase->step[0];
    size_t kernel_y = phase->first[1] + y * phase->step[1];
    size_t kernel_x = phase->first[2] + x * phase->step[2];
    return (kernel_z * spec->kernel[1] + kernel_y) * spec->kernel[2] + kernel_x;
}

/* Where a group's weights lie in the caller's array. */
static OctF32MatrixView view_weights(const OctF32ConvSpec *spec, size_t group) {
    size_t taps = spec->kernel[0] * spec->kernel[1] * spec->kernel[2];
    size_t depth = spec->input_channels / spec->groups;
    size_t columns = spec->output_channels / spec->groups;
    OctF32MatrixView view = {.taps = taps, .depth = depth, .columns = columns};
    view.data = spec->weights + group * taps * depth * columns;
    switch (spec->layout) {
    case OCT_F32_WEIGHTS_OIHW:
        view.tap_stride = 1;
        view.depth_stride = taps;
        view.column_stride = taps * depth;
        break;
    case OCT_F32_WEIGHTS_OHWI:
        view.tap_stride = depth;
        view.depth_stride = 1;
        view.column_stride = taps * depth;
        break;
    case OCT_F32_WEIGHTS_IOHW:
        view.tap_stride = 1;
        view.depth_stride = taps * columns;
        view.column_stride = taps;
        break;
    }
    return view;
}

/* Packs the chosen taps of one view (tap indices irregular for transposed convolutions) by way of
 * a panel-sized view a tap: `gathered` is [taps][depth][columns]. */
static void gather_taps(const OctF32ConvSpec *spec, const OctF32ConvPhase *phase,
                        OctF32MatrixView *view, float *gathered) {
    size_t taps = phase_tap_count(phase);
    float *destination = gathered;
    for (size_t tap = 0; tap < taps; tap++) {
        const float *source = view->data + phase_tap(spec, phase, tap) * view->tap_stride;
        for (size_t i = 0; i < view->depth; i++) {
            for (size_t column = 0; column < view->columns; column++) {
                *destination++ = source[i * view->depth_stride + column * view->column_stride];
            }
        }
    }
    view->data = gathered;
    view->taps = taps;
    view->tap_stride = view->depth * view->columns;
    view->depth_stride = view->columns;
    view->column_stride = 1;
}

/* Memory for the packed weights, and what they are a function of. Each phase of a transposed
 * convolution has its own: as many as strides allow, too many to compare the weights each time. */
static OctetStatus get_block(const OctF32Conv *conv, const OctF32ConvSpec *spec,
                             OctF32ConvPhase *phase, size_t bytes, OctetDiagnostic *diagnostic) {
    const uint64_t sizes[] = {spec->input_channels,  spec->output_channels, spec->groups,
                              spec->kernel[0],       spec->kernel[1],       spec->kernel[2],
                              (uint64_t)spec->layout};
    size_t weights = spec->input_channels / spec->groups * spec->output_channels *
                     phase_tap_count(phase) * sizeof(float);
    const OctBlockRequest request = {
        .kernel = oct_f32_conv_kernel_name(conv),
        .bytes = bytes,
        .parts = {{sizes, sizeof sizes},
                  {spec->weights, weights},
                  {spec->bias, spec->bias ? spec->output_channels * sizeof(float) : 0}}};
    return oct_block_get(spec->transposed ? NULL : spec->blocks, &request, &phase->packed,
                         diagnostic);
}

static OctetStatus pack_phase(OctF32Conv *conv, const OctF32ConvSpec *spec, OctF32ConvPhase *phase,
                              OctetDiagnostic *diagnostic) {
    size_t taps = phase_tap_count(phase);
    size_t depth = spec->input_channels / spec->groups;
    size_t columns = spec->output_channels / spec->groups;
    size_t floats = 0;
    size_t bytes = 0;
    /* one group of all channels for depthwise kernels: the views of its groups are one column */
    size_t groups = conv->depthwise ? 1 : spec->groups;
    bool fits = conv->depthwise
                    ? oct_f32_depthwise_packed_floats(conv->depthwise, taps, spec->groups, &floats)
                    : oct_f32_gemm_packed_floats(conv->gemm, taps * depth, columns, &floats);
    if (!fits || !oct_mul_size(floats, sizeof(float), &bytes) ||
        !oct_mul_size(bytes, groups, &bytes)) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the weights of a convolution are too big");
    }
    OCT_TRY(get_block(conv, spec, phase, bytes, diagnostic));
    conv->bytes += bytes;
    if (phase->packed.filled) {
        return OCTET_OK;
    }
    float *packed = (float *)(void *)phase->packed.data;
    float *gathered = spec->transposed
                          ? oct_alloc(taps * depth * columns *
                                      (conv->depthwise ? spec->groups : 1) * sizeof(float))
                          : NULL;
    if (spec->transposed && !gathered) {
        return oct_fail_memory(diagnostic);
    }
    for (size_t group = 0; group < groups; group++) {
        OctF32MatrixView view = view_weights(spec, group);
        if (conv->depthwise) {
            view.column_stride = view.taps;
            view.columns = spec->groups;
            view.tap_stride = 1;
        }
        if (spec->transposed) {
            gather_taps(spec, phase, &view, gathered);
        }
        const float *bias = spec->bias ? spec->bias + group * columns : NULL;
        if (conv->depthwise) {
            oct_f32_depthwise_pack(conv->depthwise, &view, bias, packed);
        } else {
            oct_f32_gemm_pack(conv->gemm, &view, bias, packed + group * floats);
        }
    }
    oct_free(gathered);
    return OCTET_OK;
}

static OctetStatus check_spec(const OctF32ConvSpec *spec, OctetDiagnostic *diagnostic) {
    if (spec->groups == 0 || spec->input_channels == 0 || spec->output_channels == 0 ||
        spec->input_channels % spec->groups || spec->output_channels % spec->groups) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "%zu input and %zu output channels can't be split into %zu groups",
                        spec->input_channels, spec->output_channels, spec->groups);
    }
    size_t weights = spec->input_channels / spec->groups;
    bool fits = oct_mul_size(weights, spec->output_channels, &weights);
    for (int axis = 0; axis < 3; axis++) {
        if (spec->kernel[axis] == 0 || spec->stride[axis] == 0 || spec->dilation[axis] == 0 ||
            spec->stride[axis] > INT32_MAX || spec->dilation[axis] > INT32_MAX) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                            "kernel sizes, strides and dilations must be 1 to 2147483647");
        }
        fits = fits && oct_mul_size(weights, spec->kernel[axis], &weights);
    }
    if (!fits || weights > INT64_MAX / 64) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the weights of a convolution are too big");
    }
    return OCTET_OK;
}

static OctetStatus make_phases(OctF32Conv *conv, const OctF32ConvSpec *spec,
                               OctetDiagnostic *diagnostic) {
    size_t count = 1;
    if (spec->transposed) {
        if (!oct_mul_size(spec->stride[0], spec->stride[1], &count) ||
            !oct_mul_size(count, spec->stride[2], &count) || count > 4096) {
            return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                            "a transposed convolution with a product of strides above 4096");
        }
    }
    conv->phases = oct_calloc(count, sizeof *conv->phases);
    if (!conv->phases) {
        return oct_fail_memory(diagnostic);
    }
    conv->phase_count = count;
    for (size_t i = 0; i < count; i++) {
        OctF32ConvPhase *phase = &conv->phases[i];
        size_t rest = i;
        for (int axis = 2; axis >= 0; axis--) {
            if (spec->transposed) {
                phase->residue[axis] = rest % spec->stride[axis];
                rest /= spec->stride[axis];
            }
            find_phase_taps(spec, axis, phase);
        }
        OCT_TRY(pack_phase(conv, spec, phase, diagnostic));
    }
    return OCTET_OK;
}

OctetStatus oct_f32_conv_create(const OctF32ConvSpec *spec, OctetCpu cpu, OctF32Conv **conv,
                                OctetDiagnostic *diagnostic) {
    *conv = NULL;
    OCT_TRY(check_spec(spec, diagnostic));
    OctF32Conv *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->spec = *spec;
    made->spec.weights = NULL;
    made->spec.bias = NULL;
    made->spec.blocks = NULL;
    made->gemm = oct_f32_gemm_select(cpu);
    size_t taps = spec->kernel[0] * spec->kernel[1] * spec->kernel[2];
    bool one_to_one = spec->groups == spec->input_channels && spec->groups == spec->output_channels;
    if (one_to_one && spec->groups > 1 && taps <= OCT_F32_DEPTHWISE_MAX_TAPS) {
        made->depthwise = oct_f32_depthwise_select(cpu);
    }
    OctetStatus status = make_phases(made, spec, diagnostic);
    if (status == OCTET_OK) {
        size_t zeros = spec->input_channels / spec->groups * spec->kernel[2] * sizeof(float);
        made->zero = oct_aligned_alloc(zeros);
        if (made->zero) {
            memset(made->zero, 0, zeros);
            made->bytes += zeros;
        } else {
            status = oct_fail_memory(diagnostic);
        }
    }
    if (status != OCTET_OK) {
        oct_f32_conv_free(made);
        return status;
    }
    *conv = made;
    return OCTET_OK;
}

void oct_f32_conv_free(OctF32Conv *conv) {
    if (!conv) {
        return;
    }
    for (size_t i = 0; i < conv->phase_count; i++) {
        oct_block_free(&conv->phases[i].packed);
    }
    oct_free(conv->phases);
    oct_aligned_free(conv->zero);
    oct_free(conv);
}

size_t oct_f32_conv_bytes(const OctF32Conv *conv) {
    return conv->bytes;
}

const char *oct_f32_conv_kernel_name(const OctF32Conv *conv) {
    return conv->depthwise ? conv->depthwise->name : conv->gemm->name;
}
