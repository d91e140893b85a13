/* One output of a layer, from the stored integers to the byte. */
#include "base/diag.h"
#include "base/mem.h"
#include "ops/window.h"
#include "ptq/explain_layer.h"

#include <string.h>

/* Which element of the input each weight of a channel meets. */
typedef struct Meeting {
    const OctNode *node;
    OctetShape input, weight, output;
    bool product; /* Gemm or MatMul */
    bool transposed;
    OctWindow window;
    int64_t groups;
    const int64_t *position;
    int64_t channel;
} Meeting;

static int64_t flat_index(const OctetShape *shape, const int64_t *index) {
    int64_t flat = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        flat = flat * shape->dims[i] + index[i];
    }
    return flat;
}

static void split_index(const OctetShape *shape, int64_t flat, int64_t *index) {
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        index[i] = flat % shape->dims[i];
        flat /= shape->dims[i];
    }
}

/* Places in the image where tap `tap` meets the output; false in the padding or between strides. */
static bool meet_image(const Meeting *m, const int64_t *tap, int64_t *at) {
    for (int32_t i = 0; i < m->window.rank; i++) {
        int64_t moved = tap[i] * m->window.dilation[i] - m->window.pad_begin[i];
        int64_t place = m->position[2 + i];
        if (m->transposed) {
            place -= moved;
            if (place < 0 || place % m->window.stride[i] != 0) {
                return false;
            }
            at[i] = place / m->window.stride[i];
        } else {
            at[i] = place * m->window.stride[i] + moved;
        }
        if (at[i] < 0 || at[i] >= m->input.dims[2 + i]) {
            return false;
        }
    }
    return true;
}

static bool meet_convolution(const Meeting *m, const int64_t *w, int64_t *x) {
    int64_t inputs = m->input.dims[1], outputs = m->output.dims[1];
    int64_t group = m->channel / (outputs / m->groups);
    x[0] = m->position[0];
    if (m->transposed) {
        x[1] = w[0];
        if (w[0] / (inputs / m->groups) != group || w[1] != m->channel % (outputs / m->groups)) {
            return false;
        }
    } else {
        x[1] = group * (inputs / m->groups) + w[1];
        if (w[0] != m->channel) {
            return false;
        }
    }
    return meet_image(m, w + 2, x + 2);
}

static bool meet_product(const Meeting *m, const int64_t *w, int64_t *x) {
    bool gemm = strcmp(m->node->op_type, "Gemm") == 0;
    bool b_transposed = gemm && oct_node_int(m->node, "transB", 0) != 0;
    bool a_transposed = gemm && oct_node_int(m->node, "transA", 0) != 0;
    int64_t k = w[b_transposed ? 1 : 0];
    if (w[b_transposed ? 0 : 1] != m->channel) {
        return false;
    }
    memcpy(x, m->position, (size_t)m->input.rank * sizeof *x);
    x[m->input.rank - 1] = k;
    if (a_transposed) {
        x[0] = k;
        x[1] = m->position[0];
    }
    return true;
}

/* The output's shape for this input. */
static OctetStatus open_convolution(Meeting *m, OctetDiagnostic *diagnostic) {
    int32_t spatial = m->weight.rank - 2;
    int64_t inputs_of_weight = m->weight.dims[m->transposed ? 0 : 1];
    if (spatial < 1 || spatial > OCT_WINDOW_MAX || m->input.rank != m->weight.rank) {
        return oct_fail_node(diagnostic, OCTET_ERROR_SHAPE, m->node->name,
                             "the input does not fit the weights");
    }
    m->groups = oct_node_int(m->node, "group", 1);
    if (m->groups < 1 || inputs_of_weight * (m->transposed ? 1 : m->groups) != m->input.dims[1]) {
        return oct_fail_node(diagnostic, OCTET_ERROR_SHAPE, m->node->name,
                             "the input has %lld channels, which do not fit the weights",
                             (long long)m->input.dims[1]);
    }
    OCT_TRY(oct_window_read(m->node, spatial, m->weight.dims + 2, &m->window, diagnostic));
    m->output = m->input;
    m->output.dims[1] = m->transposed ? m->weight.dims[1] * m->groups : m->weight.dims[0];
    return m->transposed ? oct_window_transposed(&m->window, m->node, m->input.dims + 2,
                                                 m->output.dims + 2, diagnostic)
                         : oct_window_output(&m->window, m->node, m->input.dims + 2,
                                             m->output.dims + 2, diagnostic);
}

static OctetStatus open_product(Meeting *m, OctetDiagnostic *diagnostic) {
    bool gemm = strcmp(m->node->op_type, "Gemm") == 0;
    bool b_transposed = gemm && oct_node_int(m->node, "transB", 0) != 0;
    bool a_transposed = gemm && oct_node_int(m->node, "transA", 0) != 0;
    int32_t rank = m->input.rank;
    if (m->weight.rank != 2 || rank < 1 || (gemm && rank != 2) ||
        m->input.dims[a_transposed ? 0 : rank - 1] != m->weight.dims[b_transposed ? 1 : 0]) {
        return oct_fail_node(diagnostic, OCTET_ERROR_SHAPE, m->node->name,
                             "the input does not fit the weights, or these are no single matrix");
    }
    m->output = m->input;
    m->output.dims[rank - 1] = m->weight.dims[b_transposed ? 0 : 1];
    if (a_transposed) {
        m->output.dims[0] = m->input.dims[1];
    }
    return OCTET_OK;
}

static OctetStatus open_meeting(const OctExplained *layer, const OctetTensor *input, Meeting *m,
                                OctetDiagnostic *diagnostic) {
    const char *op = layer->node->op_type;
    *m = (Meeting){.node = layer->node,
                   .input = input->shape,
                   .weight = oct_value_tensor(layer->weight)->shape,
                   .product = strcmp(op, "Gemm") == 0 || strcmp(op, "MatMul") == 0,
                   .transposed = strcmp(op, "ConvTranspose") == 0};
    return m->product ? open_product(m, diagnostic) : open_convolution(m, diagnostic);
}

/* The middle of the first sample, or the caller's place, which must be inside. */
static OctetStatus set_position(Meeting *m, const int64_t *given, OctetPixelExplanation *e,
                                OctetDiagnostic *diagnostic) {
    int32_t axis = m->product ? m->output.rank - 1 : 1;
    e->rank = m->output.rank;
    for (int32_t i = 0; i < e->rank; i++) {
        int64_t middle = i == 0 && e->rank > 1 ? 0 : m->output.dims[i] / 2;
        e->position[i] = i == axis ? m->channel : given ? given[i] : middle;
        if (e->position[i] < 0 || e->position[i] >= m->output.dims[i]) {
            char text[128];
            octet_shape_format(&m->output, text, sizeof text);
            return oct_fail_node(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, m->node->name,
                                 "no such output: its shape is %s", text);
        }
    }
    m->position = e->position;
    return OCTET_OK;
}

static int32_t integer_at(const OctetTensor *tensor, int64_t index) {
    return tensor->dtype == OCTET_U8 ? ((const uint8_t *)tensor->data)[index]
                                     : ((const int8_t *)tensor->data)[index];
}

static OctetStatus gather(const Meeting *m, const OctetTensor *input, const OctetTensor *weight,
                          OctetPixelExplanation *e, OctetDiagnostic *diagnostic) {
    int64_t all = 0;
    (void)octet_shape_count(&m->weight, &all); /* checked with the channels */
    size_t most = (size_t)e->channel.weight_count;
    e->inputs = oct_calloc(most, sizeof *e->inputs);
    e->weights = oct_calloc(most, sizeof *e->weights);
    if (!e->inputs || !e->weights) {
        return oct_fail_memory(diagnostic);
    }
    for (int64_t i = 0; i < all; i++) {
        int64_t w[OCTET_MAX_RANK], x[OCTET_MAX_RANK];
        split_index(&m->weight, i, w);
        if (m->product ? !meet_product(m, w, x) : !meet_convolution(m, w, x)) {
            continue;
        }
        int32_t from = integer_at(input, flat_index(&m->input, x)), by = integer_at(weight, i);
        e->inputs[e->count] = from;
        e->weights[e->count++] = by;
        e->product_sum += (int64_t)from * by;
        e->input_sum += from;
        e->weight_sum += by;
    }
    return OCTET_OK;
}

static OctetStatus explain(const OctExplained *layer, const OctetTensor *input, int64_t channel,
                           const int64_t *position, OctetPixelExplanation *e,
                           OctetDiagnostic *diagnostic) {
    Meeting meeting;
    OctRequantizeChannel parameters;
    if (channel < 0 || channel >= layer->channels) {
        return oct_fail_node(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, layer->node->name,
                             "no channel %lld: there are %lld", (long long)channel,
                             (long long)layer->channels);
    }
    e->channel.channel = channel;
    OCT_TRY(oct_explain_channel(layer, &e->channel, &parameters, diagnostic));
    OCT_TRY(open_meeting(layer, input, &meeting, diagnostic));
    meeting.channel = channel;
    OCT_TRY(set_position(&meeting, position, e, diagnostic));
    OCT_TRY(gather(&meeting, input, oct_value_tensor(layer->weight), e, diagnostic));
    const OctetChannelExplanation *c = &e->channel;
    int64_t accumulator = e->product_sum - c->input_zero_point * e->weight_sum -
                          c->weight_zero_point * e->input_sum +
                          e->count * c->input_zero_point * c->weight_zero_point;
    oct_explain_sum(layer, &parameters, accumulator, &e->channel);
    return OCTET_OK;
}

OctetStatus octet_explain_pixel(const OctetNode *node, const OctetNode *original,
                                OctetRequantize mode, const OctetTensor *input, int64_t channel,
                                const int64_t *position, OctetPixelExplanation *explanation,
                                OctetDiagnostic *diagnostic) {
    OctExplained layer = {0};
    OctetTensor *quantized = NULL;
    *explanation = (OctetPixelExplanation){0};
    OctetStatus status = oct_explained_open(node, original, mode, &layer, diagnostic);
    if (status == OCTET_OK && input->dtype == OCTET_F32) {
        status = octet_quantize(input, &layer.input->qparams, OCTET_QUANTIZE_DIVIDE, &quantized,
                                NULL, diagnostic);
        input = quantized;
    } else if (status == OCTET_OK && input->dtype != layer.input->qparams.dtype) {
        status = oct_fail_node(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, node->name,
                               "its input has integers of type %s, not %s",
                               octet_dtype_name(layer.input->qparams.dtype),
                               octet_dtype_name(input->dtype));
    }
    if (status == OCTET_OK) {
        status = explain(&layer, input, channel, position, explanation, diagnostic);
    }
    octet_tensor_free(quantized);
    oct_explained_close(&layer);
    if (status != OCTET_OK) {
        octet_pixel_clear(explanation);
    }
    return status;
}

void octet_pixel_clear(OctetPixelExplanation *explanation) {
    oct_free(explanation->inputs);
    oct_free(explanation->weights);
    *explanation = (OctetPixelExplanation){0};
}
