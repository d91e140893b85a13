/* Keys and values of earlier calls: Attention has them in one tensor [2][batch][heads][past][size],
 * MultiHeadAttention in two, [batch][heads][past][size] each. */
#include "ops/attention.h"
#include "ops/layout.h"

#include <string.h>

enum { ATTENTION_PAST = 4, KEY_PAST = 6, VALUE_PAST = 7 };

static OctetStatus misfit(const OctPrepare *prepare) {
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, prepare->node,
                       "its past does not fit its other inputs");
}

/* The last four dimensions of a past. */
static bool fits(const OctAttention *attention, const OctValue *past, int32_t rank, size_t size,
                 int64_t length) {
    const int64_t *dims = past->shape.dims + rank - 4;
    return past->dtype == OCTET_F32 && past->shape.rank == rank &&
           (rank == 4 || past->shape.dims[0] == 2) && (size_t)dims[0] == attention->batch &&
           (size_t)dims[1] == attention->heads && dims[2] == length && (size_t)dims[3] == size;
}

OctetStatus oct_attention_bind_past(const OctPrepare *prepare, OctAttention *attention) {
    const OctNode *node = prepare->node;
    const OctValue *key = oct_node_input(node, attention->projects ? ATTENTION_PAST : KEY_PAST);
    const OctValue *value = attention->projects ? key : oct_node_input(node, VALUE_PAST);
    int32_t rank = attention->projects ? 5 : 4;
    size_t size = attention->qk_size / attention->heads;
    size_t width = attention->v_size / attention->heads;
    attention->keys = attention->fresh;
    attention->cached = key || oct_node_output(node, 1) || oct_node_output(node, 2);
    if (!key != !value || (attention->cached && attention->projects && size != width)) {
        return misfit(prepare);
    }
    if (key) {
        int64_t length = key->shape.rank == rank ? key->shape.dims[rank - 2] : -1;
        if (!fits(attention, key, rank, size, length) ||
            !fits(attention, value, rank, width, length) ||
            (size_t)length > SIZE_MAX / 2 - attention->fresh) {
            return misfit(prepare);
        }
        attention->past = (size_t)length;
        attention->keys += attention->past;
    }
    return OCTET_OK;
}

static void gather(const OctAttention *attention, const float *past, float *to, size_t size,
                   OctAttentionSide *side) {
    const size_t before = attention->past * size, whole = attention->keys * size;
    for (size_t b = 0; b < attention->batch; b++) {
        for (size_t h = 0; h < attention->heads; h++) {
            size_t head = b * attention->heads + h;
            const float *from = side->data + b * side->batch_stride + h * side->head_stride;
            float *rows = to + head * whole;
            if (before) {
                memcpy(rows, past + head * before, before * sizeof(float));
            }
            for (size_t r = 0; r < attention->fresh; r++) {
                memcpy(rows + before + r * size, from + r * side->stride, size * sizeof(float));
            }
        }
    }
    *side = (OctAttentionSide){to, size, attention->heads * whole, whole};
}

void oct_attention_gather(const OctAttention *attention, const OctRun *run,
                          OctAttentionSide *sides) {
    const bool one = attention->projects;
    const size_t rows = attention->batch * attention->heads;
    const size_t size = attention->qk_size / attention->heads;
    const size_t width = attention->v_size / attention->heads;
    const int32_t key_input = one ? ATTENTION_PAST : KEY_PAST;
    const float *key = attention->past ? run->inputs[key_input].data : NULL;
    const float *value = !attention->past ? NULL
                         : one            ? key + rows * attention->past * size
                                          : run->inputs[VALUE_PAST].data;
    float *workspace = oct_workspace_at(run, attention->cache_offset);
    float *present = run->output_count > 1 ? run->outputs[1].data : NULL;
    float *present_value = run->output_count > 2 ? run->outputs[2].data : NULL;
    float *keys = present ? present : workspace;
    float *values = one             ? keys + rows * attention->keys * size
                    : present_value ? present_value
                                    : workspace + rows * attention->keys * size;
    gather(attention, key, keys, size, &sides[1]);
    gather(attention, value, values, width, &sides[2]);
}

/* ---- inference ---- */

static int64_t sum(int64_t a, int64_t b) {
    return a >= 0 && b >= 0 && a <= INT64_MAX - b ? a + b : OCT_DIM_UNKNOWN;
}

/* [batch][heads][past + rows][size]; `rows` is a shape [batch][rows][heads * size]. */
static OctetShape present_shape(const OctNode *node, const OctetShape *rows, int64_t channels,
                                int32_t past_input) {
    OctetShape shape = oct_shape_of_rank(4);
    const OctValue *past = oct_node_input(node, past_input);
    int64_t heads = oct_node_int(node, "num_heads", 0);
    if (rows->rank == 3 && heads > 0) {
        int64_t before = !past                  ? 0
                         : past->shape.rank > 1 ? past->shape.dims[past->shape.rank - 2]
                                                : OCT_DIM_UNKNOWN;
        shape.dims[0] = rows->dims[0];
        shape.dims[1] = heads;
        shape.dims[2] = sum(before, rows->dims[1]);
        shape.dims[3] = channels >= 0 ? channels / heads : OCT_DIM_UNKNOWN;
    }
    return shape;
}

void oct_attention_infer_present(const OctNode *node) {
    if (strcmp(node->op_type, "Attention") == 0) {
        const OctValue *output = oct_node_output(node, 0);
        const OctetShape unknown = oct_shape_unknown();
        const OctetShape *y = output ? &output->shape : &unknown;
        OctetShape one = present_shape(node, y, y->rank == 3 ? y->dims[2] : 0, ATTENTION_PAST);
        OctetShape both = oct_shape_of_rank(5);
        both.dims[0] = 2;
        memcpy(both.dims + 1, one.dims, 4 * sizeof *one.dims);
        oct_set_output(node, 1, OCTET_F32, &both);
        return;
    }
    for (int32_t k = 1; k < 3; k++) {
        const OctetShape *rows = oct_input_shape(node, k);
        OctetShape shape = present_shape(node, rows, rows->rank == 3 ? rows->dims[2] : 0,
                                         k == 1 ? KEY_PAST : VALUE_PAST);
        oct_set_output(node, k, OCTET_F32, &shape);
    }
}
