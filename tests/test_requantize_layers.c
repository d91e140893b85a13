/* Whole int8 layers in the modes qnnpack and fbgemm against the bytes of PyTorch's engines qnnpack
 * and onednn, by their hashes (scripts/golden_layers.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "op_harness.h"

#include <inttypes.h>

enum { MAX_FIELDS = 24, MAX_CHANNELS = 256 };

typedef struct Layer {
    const char *kind;
    OctetRequantize mode;
    bool transposed, relu, has_bias;
    uint64_t seed, hash;
    int64_t batch, inputs, outputs, groups;
    int rank, scale_count;
    int64_t image[3], kernel[3], stride[3], padding[3], dilation[3];
    float input_scale, output_scale, scales[MAX_CHANNELS];
    int32_t input_zero, output_zero, weight_zero;
    OctetShape output;
} Layer;

static float from_bits(const char *hex) {
    uint32_t bits = (uint32_t)strtoul(hex, NULL, 16);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* "3x4" to numbers; "-" to none. */
static int read_dims(const char *text, int64_t *dims) {
    int count = 0;
    char *end;
    for (; *text && *text != '-'; text = *end ? end + 1 : end) {
        dims[count++] = strtol(text, &end, 10);
    }
    return count;
}

static uint64_t hash_of(const void *data, int64_t bytes) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int64_t i = 0; i < bytes; i++) {
        hash = (hash ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static int cut(char *line, char **fields) {
    int count = 0;
    char *save = NULL;
    for (char *field = strtok_r(line, " \n", &save); field && count < MAX_FIELDS;
         field = strtok_r(NULL, " \n", &save)) {
        fields[count++] = field;
    }
    return count;
}

static void read_layer(char *line, Layer *layer) {
    char *fields[MAX_FIELDS], *save = NULL;
    assert_int_equal(cut(line, fields), 22);
    *layer = (Layer){.kind = fields[0],
                     .mode = strcmp(fields[1], "qnnpack") == 0 ? OCTET_REQUANTIZE_QNNPACK
                                                               : OCTET_REQUANTIZE_FBGEMM,
                     .transposed = strncmp(fields[0], "transpose", 9) == 0,
                     .seed = strtoull(fields[2], NULL, 10),
                     .batch = atoi(fields[3]),
                     .inputs = atoi(fields[4]),
                     .outputs = atoi(fields[5]),
                     .groups = atoi(fields[6]),
                     .relu = atoi(fields[12]),
                     .has_bias = atoi(fields[13]),
                     .input_scale = from_bits(fields[14]),
                     .input_zero = atoi(fields[15]),
                     .output_scale = from_bits(fields[16]),
                     .output_zero = atoi(fields[17]),
                     .weight_zero = atoi(fields[18]),
                     .hash = strtoull(fields[21], NULL, 16)};
    layer->rank = read_dims(fields[7], layer->image);
    read_dims(fields[8], layer->kernel);
    read_dims(fields[9], layer->stride);
    read_dims(fields[10], layer->padding);
    read_dims(fields[11], layer->dilation);
    for (char *hex = strtok_r(fields[19], ",", &save); hex; hex = strtok_r(NULL, ",", &save)) {
        layer->scales[layer->scale_count++] = from_bits(hex);
    }
    layer->output.rank = read_dims(fields[20], layer->output.dims);
}

static uint64_t random_state;

static uint32_t next_random(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 32);
}

static OctetShape image_of(int64_t first, int64_t second, const int64_t *sizes, int rank) {
    OctetShape shape = {.rank = rank + 2, .dims = {first, second}};
    for (int i = 0; i < rank; i++) {
        shape.dims[i + 2] = sizes[i];
    }
    return shape;
}

static void set_attributes(OpHarness *h, const Layer *layer) {
    int64_t pads[6];
    if (layer->rank == 0) {
        assert_true(oct_node_set_int(h->graph, h->node, "transB", 1));
    } else {
        int rank = layer->rank;
        memcpy(pads, layer->padding, rank * sizeof *pads);
        memcpy(pads + rank, layer->padding, rank * sizeof *pads);
        assert_true(oct_node_set_ints(h->graph, h->node, "strides", layer->stride, rank));
        assert_true(oct_node_set_ints(h->graph, h->node, "dilations", layer->dilation, rank));
        assert_true(oct_node_set_ints(h->graph, h->node, "pads", pads, 2 * rank));
        assert_true(oct_node_set_int(h->graph, h->node, "group", layer->groups));
    }
    if (layer->relu) {
        h->node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0F, INFINITY};
    }
}

/* Input, weights and bias from the generator, in the script's order. */
static void add_operands(OpHarness *h, const Layer *layer) {
    OctetShape xs = image_of(layer->batch, layer->inputs, layer->image, layer->rank);
    OctetShape ws =
        layer->transposed
            ? image_of(layer->inputs, layer->outputs / layer->groups, layer->kernel, layer->rank)
            : image_of(layer->outputs, layer->inputs / layer->groups, layer->kernel, layer->rank);
    int64_t x_count, w_count;
    int32_t zeros[MAX_CHANNELS];
    float bias[MAX_CHANNELS];
    assert_true(octet_shape_count(&xs, &x_count));
    assert_true(octet_shape_count(&ws, &w_count));
    uint8_t *x = malloc(x_count);
    int8_t *w = malloc(w_count);
    random_state = layer->seed;
    for (int64_t i = 0; i < x_count; i++) {
        x[i] = (uint8_t)(next_random() % 256);
    }
    for (int64_t i = 0; i < w_count; i++) {
        w[i] = (int8_t)((int32_t)(next_random() % 255) - 127);
    }
    for (int64_t c = 0; c < layer->outputs; c++) {
        float units = (float)((int32_t)(next_random() % 32768) - 16384) * 0.5F;
        float unit = layer->input_scale * layer->scales[layer->scale_count == 1 ? 0 : c];
        bias[c] = units * unit;
        zeros[c] = layer->weight_zero;
    }
    op_input_q(h, OCTET_U8, &xs, x, layer->input_scale, layer->input_zero);
    OctValue *weight = op_constant(h, OCTET_S8, &ws, w);
    OctetQParams qparams = {.dtype = OCTET_S8,
                            .axis = layer->scale_count == 1 ? -1 : 0,
                            .count = layer->scale_count,
                            .scale = (float *)layer->scales,
                            .zero_point = zeros};
    weight->dtype = OCTET_F32;
    assert_true(oct_graph_set_qparams(h->graph, weight, &qparams));
    if (layer->has_bias) {
        op_constant(h, OCTET_F32, SHAPE(layer->outputs), bias);
    }
    free(x);
    free(w);
}

/* True if the layer gives torch's bytes; *bytes is how many they are. */
static bool runs_like_torch(const Layer *layer, int64_t *bytes) {
    OpHarness h;
    op_begin(&h, "",
             layer->rank == 0    ? "Gemm"
             : layer->transposed ? "ConvTranspose"
                                 : "Conv",
             13, 1);
    h.requantize = layer->mode;
    set_attributes(&h, layer);
    add_operands(&h, layer);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, layer->output_scale, layer->output_zero);
    op_run_ok(&h);
    *bytes = op_expect_shape(&h, 0, OCTET_U8, &layer->output);
    uint64_t hash = hash_of(h.outputs[0].data, *bytes);
    op_end(&h);
    return hash == layer->hash;
}

static void every_layer_equals_torch(void **state) {
    (void)state;
    static char line[1 << 14];
    FILE *file = open_golden("layers.txt");
    int64_t bytes[2] = {0};
    int layers[2] = {0}, different[2] = {0};
    while (fgets(line, sizeof line, file)) {
        Layer layer;
        int64_t own;
        if (line[0] == '#') {
            continue;
        }
        read_layer(line, &layer);
        int engine = layer.mode == OCTET_REQUANTIZE_FBGEMM;
        if (!runs_like_torch(&layer, &own)) {
            print_message("%s %s seed %" PRIu64 " differs\n", layer.kind,
                          octet_requantize_name(layer.mode), layer.seed);
            different[engine]++;
        }
        layers[engine]++;
        bytes[engine] += own;
    }
    fclose(file);
    print_message("qnnpack: %d of %d layers (%" PRId64 " bytes) differ; onednn: %d of %d (%" PRId64
                  " bytes)\n",
                  different[0], layers[0], bytes[0], different[1], layers[1], bytes[1]);
    assert_true(bytes[0] >= 200000 && bytes[1] >= 200000);
    assert_int_equal(different[0], 0);
    assert_int_equal(different[1], 0);
}

static OctetRequantize mode_of(const char *engine) {
    return strcmp(engine, "qnnpack") == 0 ? OCTET_REQUANTIZE_QNNPACK : OCTET_REQUANTIZE_FBGEMM;
}

static uint8_t *random_bytes(int64_t count) {
    uint8_t *bytes = malloc(count);
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(next_random() % 256);
    }
    return bytes;
}

static void sums_and_products_equal_torch(void **state) {
    (void)state;
    char line[512], *f[MAX_FIELDS];
    FILE *file = open_golden("pairs.txt");
    int cases = 0, different = 0;
    int64_t bytes = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(cut(line, f), 12);
        int64_t count = atoi(f[3]);
        random_state = strtoull(f[2], NULL, 10);
        uint8_t *a = random_bytes(count), *b = random_bytes(count);
        OpHarness h;
        op_begin(&h, "", strcmp(f[0], "add") == 0 ? "Add" : "Mul", 14, 1);
        h.requantize = mode_of(f[1]);
        op_input_q(&h, OCTET_U8, SHAPE(count), a, from_bits(f[5]), atoi(f[6]));
        op_input_q(&h, OCTET_U8, SHAPE(count), b, from_bits(f[7]), atoi(f[8]));
        op_quantize(&h, h.node->outputs[0], OCTET_U8, from_bits(f[9]), atoi(f[10]));
        if (atoi(f[4])) {
            h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0F, INFINITY};
        }
        op_run_ok(&h);
        if (hash_of(h.outputs[0].data, count) != strtoull(f[11], NULL, 16)) {
            print_message("%s %s seed %s differs\n", f[0], f[1], f[2]);
            different++;
        }
        op_end(&h);
        free(a);
        free(b);
        cases++;
        bytes += count;
    }
    fclose(file);
    print_message("%d of %d sums and products (%" PRId64 " bytes) differ\n", different, cases,
                  bytes);
    assert_int_equal(cases, 400);
    assert_int_equal(different, 0);
}

static void pools_equal_torch(void **state) {
    (void)state;
    char line[512], *f[MAX_FIELDS];
    FILE *file = open_golden("pools.txt");
    int cases = 0, different = 0;
    int64_t bytes = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(cut(line, f), 10);
        OctetShape x = {0}, y = {0};
        int64_t kernel[3], stride[3], count, own;
        x.rank = read_dims(f[3], x.dims);
        y.rank = read_dims(f[8], y.dims);
        read_dims(f[4], kernel);
        read_dims(f[5], stride);
        assert_true(octet_shape_count(&x, &count));
        random_state = strtoull(f[2], NULL, 10);
        uint8_t *data = random_bytes(count);
        OpHarness h;
        bool global = strcmp(f[0], "global") == 0;
        op_begin(&h, "",
                 global                     ? "GlobalAveragePool"
                 : strcmp(f[0], "max") == 0 ? "MaxPool"
                                            : "AveragePool",
                 12, 1);
        h.requantize = mode_of(f[1]);
        if (!global) {
            assert_true(oct_node_set_ints(h.graph, h.node, "kernel_shape", kernel, 2));
            assert_true(oct_node_set_ints(h.graph, h.node, "strides", stride, 2));
        }
        op_input_q(&h, OCTET_U8, &x, data, from_bits(f[6]), atoi(f[7]));
        op_quantize(&h, h.node->outputs[0], OCTET_U8, from_bits(f[6]), atoi(f[7]));
        op_run_ok(&h);
        own = op_expect_shape(&h, 0, OCTET_U8, &y);
        if (hash_of(h.outputs[0].data, own) != strtoull(f[9], NULL, 16)) {
            print_message("%s %s seed %s differs\n", f[0], f[1], f[2]);
            different++;
        }
        op_end(&h);
        free(data);
        cases++;
        bytes += own;
    }
    fclose(file);
    print_message("%d of %d pools (%" PRId64 " bytes) differ\n", different, cases, bytes);
    assert_int_equal(cases, 360);
    assert_int_equal(different, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_equals_torch),
        cmocka_unit_test(sums_and_products_equal_torch),
        cmocka_unit_test(pools_equal_torch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
