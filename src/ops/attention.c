/* com.microsoft's Attention and MultiHeadAttention:
 * softmax(scale * Q x K^T + mask) x V for each batch and head. */
#include "ops/attention.h"
#include "base/patience.h"
#include "kernels/f32_matmul.h"
#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"
#include "ops/layout.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const OctView *operand(const OctRun *run, int32_t k) {
    return k >= 0 && k < run->input_count && run->inputs[k].data ? &run->inputs[k] : NULL;
}

/* The element of an s32 (or bool) mask that belongs to a score: 0 is masked. Masks are [batch]
 * (how many keys are real), [2 * batch] (where they end, then where they start), [batch][keys] or
 * [batch][queries][keys]. */
static bool masked(const OctAttention *attention, const OctView *mask, size_t batch, size_t query,
                   size_t key) {
    const int32_t *data = mask->data;
    if (mask->shape.rank == 1) {
        bool starts = mask->shape.dims[0] == 2 * (int64_t)attention->batch;
        int64_t at = (int64_t)key;
        return at >= data[batch] || (starts && at < data[attention->batch + batch]);
    }
    size_t row = mask->shape.rank == 2 ? batch : batch * attention->queries + query;
    return data[row * attention->keys + key] == 0;
}

static void mask_scores(const OctAttention *attention, const OctRun *run, size_t batch, size_t head,
                        float *scores) {
    const OctView *mask = operand(run, attention->mask);
    const OctView *addend = operand(run, attention->addend);
    size_t keys = attention->keys;
    for (size_t q = 0; q < attention->queries; q++) {
        float *row = scores + q * keys;
        for (size_t k = 0; k < keys; k++) {
            row[k] *= attention->scale;
            if (addend) {
                const float *data = addend->data;
                row[k] += data[(size_t)(attention->addend_strides[0] * (int64_t)batch +
                                        attention->addend_strides[1] * (int64_t)head) +
                               q * keys + k];
            }
            if (mask && masked(attention, mask, batch, q, k)) {
                row[k] += attention->filter;
            }
            if (attention->causal && k > q + (keys - attention->queries)) {
                row[k] = -FLT_MAX;
            }
        }
    }
}

static void multiply(const OctAttention *attention, const OctRun *run, const OctF32GemmSpec *spec,
                     const OctF32GemmCall *call) {
    oct_f32_matmul_run(attention->cpu, spec, call, oct_workspace_at(run, attention->pack_offset),
                       run->pool);
}

static void run_head(const OctAttention *attention, const OctRun *run,
                     const OctAttentionSide *sides, size_t batch, size_t head) {
    size_t size = attention->qk_size / attention->heads,
           width = attention->v_size / attention->heads;
    size_t queries = attention->queries, keys = attention->keys;
    float *scores = oct_workspace_at(run, attention->score_offset);
    const OctAttentionSide *q = &sides[0], *k = &sides[1], *v = &sides[2];
    OctF32GemmSpec score_spec = {.k = size,
                                 .n = keys,
                                 .b = k->data + batch * k->batch_stride + head * k->head_stride,
                                 .b_stride = k->stride,
                                 .b_transposed = true};
    OctF32GemmCall score_call = {.m = queries,
                                 .a = q->data + batch * q->batch_stride + head * q->head_stride,
                                 .a_stride = q->stride,
                                 .output = scores,
                                 .output_stride = keys,
                                 .minimum = -INFINITY,
                                 .maximum = INFINITY};
    multiply(attention, run, &score_spec, &score_call);
    mask_scores(attention, run, batch, head, scores);
    oct_f32_softmax_run(oct_f32_rows_select(attention->cpu), false, scores, scores, queries, keys,
                        run->pool);
    float *output = run->outputs[0].data;
    OctF32GemmSpec spec = {.k = keys,
                           .n = width,
                           .b = v->data + batch * v->batch_stride + head * v->head_stride,
                           .b_stride = v->stride};
    OctF32GemmCall call = {.m = queries,
                           .a = scores,
                           .a_stride = keys,
                           .output = output + batch * queries * attention->v_size + head * width,
                           .output_stride = attention->v_size,
                           .minimum = -INFINITY,
                           .maximum = INFINITY};
    multiply(attention, run, &spec, &call);
}

/* Attention: one product makes Q, K and V side by side. */
static void project(const OctAttention *attention, const OctRun *run, OctAttentionSide *sides) {
    float *all = oct_workspace_at(run, attention->projection_offset);
    size_t n = 2 * attention->qk_size + attention->v_size;
    OctF32GemmSpec spec = {.k = attention->input_size,
                           .n = n,
                           .b = run->inputs[1].data,
                           .b_stride = n,
                           .bias = operand(run, 2) ? run->inputs[2].data : NULL};
    OctF32GemmCall call = {.m = attention->batch * attention->queries,
                           .a = run->inputs[0].data,
                           .a_stride = attention->input_size,
                           .output = all,
                           .output_stride = n,
                           .minimum = -INFINITY,
                           .maximum = INFINITY};
    multiply(attention, run, &spec, &call);
    const size_t size = attention->qk_size / attention->heads;
    const size_t width = attention->v_size / attention->heads;
    const size_t batch = attention->queries * n;
    sides[0] = (OctAttentionSide){all, n, batch, size};
    sides[1] = (OctAttentionSide){all + attention->qk_size, n, batch, size};
    sides[2] = (OctAttentionSide){all + 2 * attention->qk_size, n, batch, width};
}

/* MultiHeadAttention: the inputs, plus a bias of all three in a row. */
static void take_inputs(const OctAttention *attention, const OctRun *run, OctAttentionSide *sides) {
    const size_t sizes[3] = {attention->qk_size, attention->qk_size, attention->v_size};
    const OctView *bias = operand(run, 3);
    float *copy = oct_workspace_at(run, attention->projection_offset);
    const float *own = bias ? bias->data : NULL;
    OctF32BinaryKernel add = oct_f32_vector_select(attention->cpu)->vector_vector[OCT_F32_ADD];
    for (int i = 0; i < 3; i++) {
        size_t length = i == 0 ? attention->queries : attention->fresh;
        size_t rows = attention->batch * length;
        sides[i] = (OctAttentionSide){run->inputs[i].data, sizes[i], length * sizes[i],
                                      sizes[i] / attention->heads};
        for (size_t r = 0; own && r < rows; r++) {
            add(sides[i].data + r * sizes[i], own, copy + r * sizes[i], sizes[i]);
        }
        if (own) {
            sides[i].data = copy;
            copy += rows * sizes[i];
            own += sizes[i];
        }
    }
}

static OctetStatus run_attention(void *state, const OctRun *run) {
    const OctAttention *attention = state;
    OctAttentionSide sides[3];
    if (attention->batch * attention->queries * attention->v_size == 0) {
        return OCTET_OK;
    }
    if (attention->projects) {
        project(attention, run, sides);
    } else {
        take_inputs(attention, run, sides);
    }
    if (attention->cached) {
        oct_attention_gather(attention, run, sides);
    }
    for (size_t b = 0; b < attention->batch; b++) {
        for (size_t h = 0; h < attention->heads && !oct_is_over(); h++) {
            run_head(attention, run, sides, b, h);
        }
    }
    return OCTET_OK;
}

/* ---- preparation ---- */

static OctetStatus misfit(const OctPrepare *prepare, const char *what) {
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                       "%s has a shape or type that is not supported", what);
}

static OctetStatus bind_sizes(const OctPrepare *prepare, OctAttention *attention) {
    const OctNode *node = prepare->node;
    const OctetShape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    const int64_t *sizes;
    if (x->rank != 3) {
        return misfit(prepare, "the input");
    }
    attention->batch = (size_t)x->dims[0];
    attention->queries = attention->fresh = (size_t)x->dims[1];
    attention->input_size = (size_t)x->dims[2];
    if (attention->projects) {
        if (w->rank != 2 || (size_t)w->dims[0] != attention->input_size) {
            return misfit(prepare, "the weight matrix");
        }
        attention->qk_size = attention->v_size = (size_t)w->dims[1] / 3;
        bool given = oct_node_ints(node, "qkv_hidden_sizes", &sizes) == 3;
        if (!given && w->dims[1] % 3 != 0) {
            return misfit(prepare, "the weight matrix");
        }
        if (given) {
            if (sizes[0] < 1 || sizes[0] != sizes[1] || 2 * sizes[0] + sizes[2] != w->dims[1] ||
                sizes[2] < 0) {
                return misfit(prepare, "the weight matrix");
            }
            attention->qk_size = (size_t)sizes[0];
            attention->v_size = (size_t)sizes[2];
        }
    } else {
        const OctValue *v = oct_node_input(node, 2);
        if (w->rank != 3 || !v || v->shape.rank != 3 || w->dims[0] != x->dims[0] ||
            v->shape.dims[0] != x->dims[0] || w->dims[2] != x->dims[2] ||
            v->shape.dims[1] != w->dims[1]) {
            return misfit(prepare, "query, key or value");
        }
        attention->fresh = (size_t)w->dims[1];
        attention->qk_size = attention->input_size;
        attention->v_size = (size_t)v->shape.dims[2];
    }
    if (attention->heads < 1 || attention->qk_size % attention->heads != 0 ||
        attention->v_size % attention->heads != 0 || attention->qk_size == 0) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "its heads do not divide the channels");
    }
    return oct_attention_bind_past(prepare, attention);
}

static bool has_length(const OctValue *value, size_t length) {
    return !value || (value->shape.rank == 1 && (size_t)value->shape.dims[0] == length);
}

static OctetStatus bind_masks(const OctPrepare *prepare, OctAttention *attention) {
    const OctNode *node = prepare->node;
    const OctValue *mask = oct_node_input(node, attention->mask);
    const OctValue *addend = oct_node_input(node, attention->addend);
    int64_t batch = (int64_t)attention->batch, keys = (int64_t)attention->keys;
    int64_t queries = (int64_t)attention->queries, heads = (int64_t)attention->heads;
    if (!has_length(oct_node_input(node, attention->projects ? 2 : 3),
                    2 * attention->qk_size + attention->v_size)) {
        return misfit(prepare, "the bias");
    }
    if (mask) {
        const OctetShape *shape = &mask->shape;
        bool fits =
            mask->dtype == OCTET_S32 && shape->rank >= 1 && shape->rank <= 3 &&
            (shape->dims[0] == batch || (shape->rank == 1 && shape->dims[0] == 2 * batch)) &&
            (shape->rank == 1 || shape->dims[shape->rank - 1] == keys) &&
            (shape->rank < 3 || shape->dims[1] == queries);
        if (!fits) {
            return misfit(prepare, "the mask");
        }
    }
    if (addend) {
        const OctetShape *shape = &addend->shape;
        bool fits = shape->rank == 4 && (shape->dims[0] == 1 || shape->dims[0] == batch) &&
                    (shape->dims[1] == 1 || shape->dims[1] == heads) && shape->dims[2] == queries &&
                    shape->dims[3] == keys;
        if (!fits) {
            return misfit(prepare, "the attention bias");
        }
        attention->addend_strides[1] = shape->dims[1] == 1 ? 0 : queries * keys;
        attention->addend_strides[0] = shape->dims[0] == 1 ? 0 : shape->dims[1] * queries * keys;
    }
    return OCTET_OK;
}

static OctetStatus reserve(const OctPrepare *prepare, OctAttention *attention,
                           OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes, pack[3] = {0}, most = 0, bytes;
    size_t all = 2 * attention->qk_size + attention->v_size;
    size_t rows = attention->queries > attention->keys ? attention->queries : attention->keys;
    OctetShape projection = {.rank = 3,
                             .dims = {(int64_t)attention->batch, (int64_t)rows, (int64_t)all}};
    OctetShape scores = {.rank = 2,
                         .dims = {(int64_t)attention->queries, (int64_t)attention->keys}};
    bool fits =
        oct_f32_matmul_workspace_bytes(attention->cpu, attention->qk_size / attention->heads,
                                       attention->keys, &pack[0]) &&
        oct_f32_matmul_workspace_bytes(attention->cpu, attention->keys,
                                       attention->v_size / attention->heads, &pack[1]) &&
        oct_f32_matmul_workspace_bytes(attention->cpu, attention->input_size, all, &pack[2]);
    if (!fits) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    for (int i = 0; i < 3; i++) {
        most = pack[i] > most ? pack[i] : most;
    }
    OCT_TRY(oct_workspace_add(workspace, most, &attention->pack_offset, diagnostic));
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &scores, &bytes, diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &attention->score_offset, diagnostic));
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &projection, &bytes, diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &attention->projection_offset, diagnostic));
    OctetShape cache = projection;
    cache.dims[2] = attention->cached ? (int64_t)(attention->qk_size + attention->v_size) : 0;
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &cache, &bytes, diagnostic));
    return oct_workspace_add(workspace, bytes, &attention->cache_offset, diagnostic);
}

static OctetStatus prepare_attention(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctAttention *attention = oct_prepare_state(prepare, prepared, sizeof *attention);
    if (!attention) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_attention;
    prepared->kernel = "attention";
    prepared->cpu = attention->cpu = prepare->cpu;
    attention->projects = strcmp(node->op_type, "Attention") == 0;
    attention->mask = attention->projects ? 3 : 4;
    attention->addend = 5;
    int64_t heads = oct_node_int(node, "num_heads", 0);
    attention->heads = heads > 0 && heads < 1 << 20 ? (size_t)heads : 0;
    attention->causal = oct_node_int(node, "unidirectional", 0) != 0;
    attention->filter = oct_node_float(node, "mask_filter_value", -10000.0f);
    enum { PAST_LENGTH = 6 }; /* of Attention */
    uint32_t lengths = attention->projects ? 1u << PAST_LENGTH : 0;
    OCT_TRY(oct_check_f32(prepare, 1u << attention->mask | lengths));
    OCT_TRY(bind_sizes(prepare, attention));
    OCT_TRY(bind_masks(prepare, attention));
    float scale = oct_node_float(node, "scale", 0.0f);
    int64_t head_size = (int64_t)attention->qk_size / (int64_t)attention->heads;
    attention->scale = scale != 0.0f ? scale : 1.0f / sqrtf((float)head_size);
    double pairs = (double)attention->batch * (double)attention->queries * (double)attention->keys;
    prepared->macs = pairs * (double)(attention->qk_size + attention->v_size);
    if (attention->projects) {
        prepared->macs += (double)attention->batch * (double)attention->queries *
                          (double)attention->input_size *
                          (double)(2 * attention->qk_size + attention->v_size);
    }
    return reserve(prepare, attention, prepared);
}

static OctetStatus check_attention(const OctGraph *graph, const OctNode *node,
                                   OctetDiagnostic *diagnostic) {
    (void)graph;
    bool projects = strcmp(node->op_type, "Attention") == 0;
    if (oct_node_input(node, projects ? 6 : 8)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "a past that shares its memory with the present is not supported");
    }
    if (oct_node_int(node, "do_rotary", 0) != 0 || (!projects && !oct_node_input(node, 1))) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "rotation and packed inputs are not supported");
    }
    return OCTET_OK;
}

static OctetStatus infer_attention(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    const OctetShape *x = oct_input_shape(node, 0), *w = oct_input_shape(node, 1);
    OctetShape y = *x;
    const int64_t *sizes;
    if (x->rank == 3) {
        y.dims[2] = OCT_DIM_UNKNOWN;
        if (strcmp(node->op_type, "Attention") == 0) {
            if (oct_node_ints(node, "qkv_hidden_sizes", &sizes) == 3) {
                y.dims[2] = sizes[2];
            } else if (w->rank == 2 && w->dims[1] >= 0) {
                y.dims[2] = w->dims[1] / 3;
            }
        } else if (oct_input_shape(node, 2)->rank == 3) {
            y.dims[2] = oct_input_shape(node, 2)->dims[2];
        }
    }
    oct_set_output(node, 0, OCTET_F32, &y);
    oct_attention_infer_present(node);
    return OCTET_OK;
}

const OctOp oct_ops_attention[] = {
    {"com.microsoft", "Attention", 1, 0, 0, 2, 7, 1, 2, check_attention, infer_attention,
     prepare_attention},
    {"com.microsoft", "MultiHeadAttention", 1, 0, 0, 2, 8, 1, 3, check_attention, infer_attention,
     prepare_attention},
};
OCT_OPS_COUNT(attention);
