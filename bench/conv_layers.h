/* All convolutions of ResNet-50 and MobileNetV2, equal ones once with their number. */
#ifndef OCT_BENCH_CONV_LAYERS_H
#define OCT_BENCH_CONV_LAYERS_H

#include <stddef.h>

typedef struct Layer {
    size_t in, out, groups, kernel, stride, size;
    int count; /* how often the network has it */
} Layer;

enum { MAX_LAYERS = 64 };

typedef struct Network {
    const char *name;
    Layer layers[MAX_LAYERS];
    size_t count;
    size_t size; /* of the image so far */
} Network;

/* Appends a layer, or counts an equal one once more. */
static void add(Network *network, size_t in, size_t out, size_t groups, size_t kernel,
                size_t stride) {
    Layer layer = {in, out, groups, kernel, stride, network->size, 1};
    for (size_t i = 0; i < network->count; i++) {
        Layer *other = &network->layers[i];
        if (other->in == in && other->out == out && other->groups == groups &&
            other->kernel == kernel && other->stride == stride && other->size == layer.size) {
            other->count++;
            return;
        }
    }
    if (network->count < MAX_LAYERS) {
        network->layers[network->count++] = layer;
    }
}

static void make_resnet50(Network *network) {
    static const size_t blocks[4] = {3, 4, 6, 3};
    *network = (Network){.name = "resnet50", .size = 224};
    add(network, 3, 64, 1, 7, 2);
    network->size = 56;
    size_t in = 64;
    for (size_t stage = 0; stage < 4; stage++) {
        size_t inner = (size_t)64 << stage;
        for (size_t block = 0; block < blocks[stage]; block++) {
            size_t stride = block == 0 && stage > 0 ? 2 : 1;
            if (block == 0) {
                add(network, in, 4 * inner, 1, 1, stride);
            }
            add(network, in, inner, 1, 1, 1);
            add(network, inner, inner, 1, 3, stride);
            network->size /= stride;
            add(network, inner, 4 * inner, 1, 1, 1);
            in = 4 * inner;
        }
    }
}

static void make_mobilenet_v2(Network *network) {
    static const size_t stages[][4] = {/* expansion, channels, blocks, stride */
                                       {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                       {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    *network = (Network){.name = "mobilenet_v2", .size = 224};
    add(network, 3, 32, 1, 3, 2);
    network->size = 112;
    size_t in = 32;
    for (size_t stage = 0; stage < sizeof stages / sizeof stages[0]; stage++) {
        for (size_t block = 0; block < stages[stage][2]; block++) {
            size_t stride = block == 0 ? stages[stage][3] : 1;
            size_t inner = in * stages[stage][0];
            if (inner != in) {
                add(network, in, inner, 1, 1, 1);
            }
            add(network, inner, inner, inner, 3, stride);
            network->size /= stride;
            add(network, inner, stages[stage][1], 1, 1, 1);
            in = stages[stage][1];
        }
    }
    add(network, in, 1280, 1, 1, 1);
}

#endif
