/* The layers that two forms of a network have in common. */
#include "compare.h"

#include "report.h"

#include <stdlib.h>
#include <string.h>

/* Layers that only pass on what another one made would repeat its numbers. */
static bool moves_data(const OctetNode *node) {
    static const char *const types[] = {"Reshape", "Flatten",   "Squeeze",  "Unsqueeze", "Identity",
                                        "Dropout", "Transpose", "Constant", "Shape",     "Cast"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(octet_node_op_type(node), types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_real(const OctetValue *value) {
    return octet_value_qparams(value) || octet_value_dtype(value) == OCTET_F32;
}

static bool weights_of(const Layer *layer, const OctetGraph *first, const OctetTensor **real,
                       OctetTensor **integers) {
    const OctetNode *node = octet_graph_find_node(first, octet_node_name(layer->node));
    const OctetValue *here = octet_node_input(layer->node, 1);
    const OctetValue *there = node ? octet_node_input(node, 1) : NULL;
    const OctetTensor *tensor = here ? octet_value_tensor(here) : NULL;
    *real = there ? octet_value_tensor(there) : NULL;
    return tensor && octet_value_qparams(here) && *real && (*real)->dtype == OCTET_F32 &&
           octet_shape_equal(&tensor->shape, &(*real)->shape) &&
           octet_tensor_copy(tensor, integers, NULL) == OCTET_OK;
}

static void compare_weights(Layer *layer, const OctetGraph *first) {
    const OctetTensor *real;
    OctetTensor *integers = NULL, *made = NULL;
    const float *values;
    int64_t count;
    if (!weights_of(layer, first, &real, &integers)) {
        return;
    }
    const OctetQParams *qparams = octet_value_qparams(octet_node_input(layer->node, 1));
    if (octet_tensor_set_qparams(integers, qparams, NULL) == OCTET_OK &&
        tensor_floats(integers, &values, &count, &made, NULL) == OCTET_OK) {
        similarity_add(&layer->weight, real->data, values, count);
    }
    octet_tensor_free(made);
    octet_tensor_free(integers);
}

static void keep(Compare *compare, const OctetValue *value) {
    for (size_t i = 0; i < compare->kept_count; i++) {
        if (compare->kept[i].value == value) {
            return;
        }
    }
    compare->kept[compare->kept_count++] = (Kept){.value = value};
}

/* The inputs' counterparts in the first model; false if one has none. */
static bool find_inputs(const Compare *compare, Layer *layer) {
    size_t count = octet_node_input_count(layer->node);
    layer->inputs = checked_calloc(count + 1, sizeof(*layer->inputs));
    for (size_t k = 0; k < count; k++) {
        const OctetValue *input = octet_node_input(layer->node, k);
        if (!input || octet_value_tensor(input)) {
            continue;
        }
        const OctetValue *other =
            octet_graph_find_value(compare->graphs[0], octet_value_name(input));
        bool same = other && !octet_value_tensor(other) && !octet_value_qparams(other);
        for (size_t i = 0; same && i < layer->input_count; i++) {
            same = layer->inputs[i] != other; /* x + x has one input */
        }
        if (!same) {
            layer->input_count = 0;
            return false;
        }
        layer->inputs[layer->input_count++] = other;
    }
    return layer->input_count > 0;
}

static void add_layer(Compare *compare, const OctetNode *node, const OctetValue *value) {
    const OctetValue *other =
        value ? octet_graph_find_value(compare->graphs[0], octet_value_name(value)) : NULL;
    /* shapes and indices are integers, and either right or wrong */
    if (!other || !is_real(value) || !is_real(other) || octet_value_tensor(other)) {
        return;
    }
    Layer *layer = &compare->layers[compare->layer_count++];
    *layer =
        (Layer){.value = octet_value_name(value), .node = node, .first = other, .second = value};
    compare_weights(layer, compare->graphs[0]);
    keep(compare, other);
    if (find_inputs(compare, layer)) {
        for (size_t i = 0; i < layer->input_count; i++) {
            keep(compare, layer->inputs[i]);
        }
    }
}

void compare_find_layers(Compare *compare) {
    const OctetGraph *second = compare->graphs[1];
    size_t nodes = octet_graph_node_count(second), outputs = 0, places = 0;
    for (size_t i = 0; i < nodes; i++) {
        const OctetNode *node = octet_graph_node_at(second, i);
        outputs += octet_node_output_count(node);
        places += octet_node_output_count(node) * (octet_node_input_count(node) + 1);
    }
    compare->layers = checked_calloc(outputs + 1, sizeof(*compare->layers));
    compare->kept = checked_calloc(places + 1, sizeof(*compare->kept));
    for (size_t i = 0; i < nodes; i++) {
        const OctetNode *node = octet_graph_node_at(second, i);
        for (size_t k = 0; !moves_data(node) && k < octet_node_output_count(node); k++) {
            add_layer(compare, node, octet_node_output(node, k));
        }
    }
}

OctetTensor *compare_kept(const Compare *compare, const OctetValue *value) {
    for (size_t i = 0; i < compare->kept_count; i++) {
        if (compare->kept[i].value == value) {
            return compare->kept[i].tensor;
        }
    }
    return NULL;
}

/* Channels are the second axis; behind matrix products with more axes they are the last. */
static int32_t channel_axis(const OctetNode *node, const OctetShape *shape) {
    bool matrix = strcmp(octet_node_op_type(node), "MatMul") == 0;
    return shape->rank < 2 ? -1 : matrix ? shape->rank - 1 : 1;
}

static void add_shift(Shift *shift, int32_t axis, const OctetShape *shape, const float *reference,
                      const float *values, int64_t count) {
    int64_t channels = axis < 0 ? 1 : shape->dims[axis], inner = 1;
    for (int32_t d = axis + 1; axis >= 0 && d < shape->rank; d++) {
        inner *= shape->dims[d];
    }
    if (!shift->sums && channels > 0) {
        shift->sums = checked_calloc((size_t)channels, sizeof(*shift->sums));
        shift->similarities = checked_calloc((size_t)channels, sizeof(*shift->similarities));
        shift->channels = channels;
    }
    if (channels == 0 || channels != shift->channels || count == 0) {
        return;
    }
    inner = axis < 0 ? count : inner;
    for (int64_t i = 0; i < count; i += inner) {
        double sum = 0;
        for (int64_t k = i; k < i + inner; k++) {
            sum += (double)values[k] - (double)reference[k];
        }
        shift->sums[i / inner % channels] += sum;
        similarity_add(&shift->similarities[i / inner % channels], reference + i, values + i,
                       inner);
    }
    shift->per_channel += count / channels;
}

OctetStatus compare_loss(const Layer *layer, const OctetTensor *reference,
                         const OctetTensor *tensor, Loss *loss) {
    OctetTensor *made[2] = {NULL, NULL};
    const float *a = NULL, *b = NULL;
    int64_t count = 0, other = 0;
    OctetStatus status = tensor_floats(reference, &a, &count, &made[0], NULL);
    if (status == OCTET_OK) {
        status = tensor_floats(tensor, &b, &other, &made[1], NULL);
    }
    if (status == OCTET_OK && count == other) {
        similarity_add(&loss->similarity, a, b, count);
        add_shift(&loss->shift, channel_axis(layer->node, &reference->shape), &reference->shape, a,
                  b, count);
    }
    octet_tensor_free(made[0]);
    octet_tensor_free(made[1]);
    return status;
}

static void release_layer(const Compare *compare, Layer *layer) {
    for (size_t i = 0; layer->results && i < compare->remembered_count; i++) {
        octet_tensor_free(layer->results[i]);
    }
    octet_session_free(layer->session);
    octet_graph_free(layer->alone);
    free(layer->results);
    free(layer->inputs);
    free(layer->total.shift.sums);
    free(layer->total.shift.similarities);
    free(layer->own.shift.sums);
    free(layer->own.shift.similarities);
}

void compare_drop_unseen(Compare *compare) {
    size_t seen = 0;
    for (size_t i = 0; i < compare->layer_count; i++) {
        if (compare->layers[i].total.similarity.count > 0) {
            compare->layers[seen++] = compare->layers[i];
        } else {
            release_layer(compare, &compare->layers[i]);
        }
    }
    compare->layer_count = seen;
}

void compare_release(Compare *compare) {
    samples_close(compare->samples);
    for (size_t i = 0; i < compare->layer_count; i++) {
        release_layer(compare, &compare->layers[i]);
    }
    for (size_t i = 0; i < compare->remembered_count; i++) {
        Remembered *batch = &compare->remembered[i];
        for (size_t k = 0; batch->inputs && k < octet_graph_input_count(compare->graphs[0]); k++) {
            octet_tensor_free(batch->inputs[k]);
        }
        for (size_t k = 0; batch->outputs && k < octet_graph_output_count(compare->graphs[0]);
             k++) {
            octet_tensor_free(batch->outputs[k]);
        }
        free(batch->inputs);
        free(batch->outputs);
    }
    for (size_t i = 0; i < compare->kept_count; i++) {
        octet_tensor_free(compare->kept[i].tensor);
    }
    free(compare->remembered);
    free(compare->kept);
    free(compare->layers);
    for (int side = 0; side < 2; side++) {
        octet_session_free(compare->sessions[side]);
        octet_graph_free(compare->graphs[side]);
        free(compare->outputs[side]);
    }
    octet_thread_pool_free(compare->pool);
}
