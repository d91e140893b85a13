/* What octet compare prints. */
#include "compare.h"

#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not-a-number counts as worse than any. */
static int order(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(b) - isnan(a);
    }
    return (a > b) - (a < b);
}

static bool known(const Similarity *similarity) {
    return similarity->count > 0;
}

/* What a layer costs at the output, the highest costs first; then those that can't be taken out,
 * by their errors. */
static int worse_first(const void *left, const void *right) {
    const Layer *a = left, *b = right;
    if (known(&a->output) != known(&b->output)) {
        return known(&b->output) - known(&a->output);
    }
    int by_output =
        known(&a->output) ? order(similarity_sqnr(&a->output), similarity_sqnr(&b->output)) : 0;
    return by_output != 0 ? by_output
                          : order(similarity_sqnr(&a->total.similarity),
                                  similarity_sqnr(&b->total.similarity));
}

void compare_rank(Compare *compare) {
    qsort(compare->layers, compare->layer_count, sizeof(*compare->layers), worse_first);
}

/* The layer that --skip should name: the first one that loses anything. */
static const Layer *worst(const Compare *compare) {
    const Layer *layer = compare->layers;
    bool any = compare->layer_count > 0 && known(&layer->output) && layer->output.noise > 0;
    return any ? layer : NULL;
}

/* "--skip NAME", quoted for a shell where the name needs it; 4 bytes a character are enough. */
static char *skip_line(const Layer *layer) {
    const char *name = octet_node_name(layer->node);
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-:";
    size_t size = 4 * strlen(name) + 16;
    char *line = checked_calloc(size, 1);
    if (name[strspn(name, plain)] == '\0' && name[0] != '-') {
        snprintf(line, size, "--skip %s", name);
        return line;
    }
    size_t used = (size_t)snprintf(line, size, "--skip='");
    for (; *name; name++) {
        used += (size_t)snprintf(line + used, size - used, *name == '\'' ? "'\\''" : "%c", *name);
    }
    snprintf(line + used, size - used, "'");
    return line;
}

static double mean_shift(const Shift *shift, int64_t channel) {
    return shift->per_channel > 0 ? shift->sums[channel] / (double)shift->per_channel : 0;
}

/* The channel whose mean moved most. */
static int64_t most_shifted(const Shift *shift) {
    int64_t most = 0;
    for (int64_t c = 1; c < shift->channels; c++) {
        most = fabs(shift->sums[c]) > fabs(shift->sums[most]) ? c : most;
    }
    return most;
}

static json_t *json_shifts(const Shift *shift) {
    json_t *array = json_new_array();
    for (int64_t c = 0; c < shift->channels; c++) {
        json_push(array, json_number(mean_shift(shift, c)));
    }
    return array;
}

/* Ratios of each channel, in lists. */
static void add_channels(json_t *entry, const char *sqnr, const char *cosine, const Shift *shift) {
    json_t *decibels = json_new_array(), *cosines = json_new_array();
    for (int64_t c = 0; c < shift->channels; c++) {
        json_push(decibels, json_number(similarity_sqnr(&shift->similarities[c])));
        json_push(cosines, json_number(similarity_cosine(&shift->similarities[c])));
    }
    json_add(entry, sqnr, decibels);
    json_add(entry, cosine, cosines);
}

static void add_ratios(json_t *entry, const char *sqnr, const char *cosine,
                       const Similarity *similarity) {
    json_add(entry, sqnr, json_number(similarity_sqnr(similarity)));
    json_add(entry, cosine,
             known(similarity) ? json_number(similarity_cosine(similarity)) : json_null());
}

static json_t *json_layer(const Layer *layer) {
    json_t *entry = json_new_object();
    json_add(entry, "name", json_text(octet_node_name(layer->node)));
    json_add(entry, "op_type", json_text(octet_node_op_type(layer->node)));
    json_add(entry, "value", json_text(layer->value));
    json_add(entry, "int8", json_boolean(node_in_int8(layer->node)));
    add_ratios(entry, "sqnr_db", "cosine", &layer->total.similarity);
    json_add(entry, "mean_shift", json_shifts(&layer->total.shift));
    add_channels(entry, "channel_sqnr_db", "channel_cosine", &layer->total.shift);
    add_ratios(entry, "weight_sqnr_db", "weight_cosine", &layer->weight);
    add_ratios(entry, "own_sqnr_db", "own_cosine", &layer->own.similarity);
    json_add(entry, "own_mean_shift", json_shifts(&layer->own.shift));
    add_channels(entry, "own_channel_sqnr_db", "own_channel_cosine", &layer->own.shift);
    add_ratios(entry, "output_sqnr_db", "output_cosine", &layer->output);
    return entry;
}

void compare_print_json(const Compare *compare, size_t shown) {
    json_t *object = json_new_object();
    json_t *layers = json_new_array();
    for (size_t i = 0; i < shown; i++) {
        json_push(layers, json_layer(&compare->layers[i]));
    }
    const Layer *layer = worst(compare);
    char *skip = layer ? skip_line(layer) : NULL;
    json_add(object, "n", json_integer(compare->n));
    json_add(object, "skipped", json_integer(samples_skipped(compare->samples)));
    json_add(object, "output_samples", json_integer(compare->remembered_samples));
    json_add(object, "skip", json_text(skip));
    json_add(object, "layers", layers);
    json_print(object);
    free(skip);
}

static const char *decibels(const Similarity *similarity, char *buffer, size_t size) {
    return known(similarity) ? format_decibels(similarity_sqnr(similarity), buffer, size) : "-";
}

/* The greatest mean shift in per cent of what the layer's values are (root of the mean square). */
static const char *format_shift(const Loss *loss, char *buffer, size_t size) {
    const Similarity *similarity = &loss->similarity;
    if (!known(similarity) || loss->shift.channels == 0 || similarity->signal == 0) {
        return "-";
    }
    int64_t channel = most_shifted(&loss->shift);
    double rms = sqrt(similarity->signal / (double)similarity->count);
    snprintf(buffer, size, "%+.2g%% (%lld)", 100 * mean_shift(&loss->shift, channel) / rms,
             (long long)channel);
    return buffer;
}

static void print_layer(const Layer *layer, int width) {
    char output[32], own[32], total[32], weight[32], shift[64];
    printf("%-*s  %-17s %-5s  %9s  %7s  %7s  %9.6f  %7s  %s\n", width, octet_node_name(layer->node),
           octet_node_op_type(layer->node), node_in_int8(layer->node) ? "int8" : "float",
           decibels(&layer->output, output, sizeof output),
           decibels(&layer->own.similarity, own, sizeof own),
           decibels(&layer->total.similarity, total, sizeof total),
           similarity_cosine(&layer->total.similarity),
           decibels(&layer->weight, weight, sizeof weight),
           format_shift(&layer->own, shift, sizeof shift));
}

void compare_print_text(const Compare *compare, size_t shown, const char *model) {
    int width = 5;
    for (size_t i = 0; i < shown; i++) {
        int length = (int)strlen(octet_node_name(compare->layers[i].node));
        width = length > width && length <= 48 ? length : width;
    }
    printf("%-*s  %-17s %-5s  %9s  %7s  %7s  %9s  %7s  %s\n", width, "layer", "operator", "",
           "at output", "own", "total", "cosine", "weights", "shift (channel)");
    for (size_t i = 0; i < shown; i++) {
        print_layer(&compare->layers[i], width);
    }
    printf("%zu of %zu layers, those that cost most at the output first; %lld samples\n\n", shown,
           compare->layer_count, (long long)compare->n);
    printf("SQNR in dB, the higher the better. at output: of the network's outputs if this layer "
           "alone\nis taken from the second model (%lld samples); own: of what the layer makes of "
           "the first\nmodel's values; total: of what it makes in the second model; weights: of "
           "its weights.\nshift: how far a channel's mean moves by the layer's own error, in per "
           "cent of its values.\n",
           (long long)compare->remembered_samples);
    const Layer *layer = worst(compare);
    if (layer) {
        char *skip = skip_line(layer);
        printf("\nTo leave the worst in float:  octet quantize %s ... %s\n", model, skip);
        free(skip);
    }
}
