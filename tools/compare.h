/* What octet compare knows of two forms of a network. */
#ifndef OCTET_TOOLS_COMPARE_H
#define OCTET_TOOLS_COMPARE_H

#include "common.h"
#include "metrics.h"
#include "samples.h"

/* Sums of differences and of what ratios need, one a channel. */
typedef struct Shift {
    double *sums;
    Similarity *similarities;
    int64_t channels;
    int64_t per_channel; /* values that each sum has */
} Shift;

/* An error by its ratio and by what it moves. */
typedef struct Loss {
    Similarity similarity;
    Shift shift;
} Loss;

/* A value of the first model that is needed: its tensor of the current batch. */
typedef struct Kept {
    const OctetValue *value;
    OctetTensor *tensor; /* f32 where the value is real */
} Kept;

/* A value that both models have, by its name. */
typedef struct Layer {
    const char *value;
    const OctetNode *node; /* of the second model */
    const OctetValue *first, *second;
    Loss total;        /* of the second model against the first */
    Similarity weight; /* of the quantized weights against the float ones */
    Loss own;          /* what the layer adds: its inputs taken from the first model */
    Similarity output; /* of the first model with this layer alone from the second one */
    OctetGraph *alone; /* the layer; NULL if it has no integers or can't be taken out */
    OctetSession *session;
    const OctetValue **inputs; /* in the first model */
    size_t input_count;
    OctetTensor **results; /* what it gave, for the batches that are remembered */
} Layer;

/* A batch and what the first model made of it. */
typedef struct Remembered {
    OctetTensor **inputs, **outputs;
} Remembered;

typedef struct Compare {
    OctetThreadPool *pool;
    OctetRequantize requantize;
    OctetGraph *graphs[2];
    OctetSession *sessions[2];
    const OctetTensor **outputs[2];
    Samples *samples;
    Layer *layers;
    size_t layer_count;
    Kept *kept;
    size_t kept_count;
    Remembered *remembered;
    /* Errors at the outputs are measured on a few batches: all layers' results for them are kept.
     */
    size_t remembered_count, most_remembered;
    int64_t n, remembered_samples;
} Compare;

/* ---- compare_layers.c: what layers have in common ---- */
void compare_find_layers(Compare *compare);
/* The current tensor of a value of the first model, NULL if there is none. */
OctetTensor *compare_kept(const Compare *compare, const OctetValue *value);
/* Adds the difference of two tensors of one shape; others are left out. */
OctetStatus compare_loss(const Layer *layer, const OctetTensor *reference,
                         const OctetTensor *tensor, Loss *loss);
/* Values that a run computes while it plans, such as constants, are never seen. */
void compare_drop_unseen(Compare *compare);
void compare_release(Compare *compare);

/* ---- compare_alone.c: what a layer does by itself ---- */
/* Takes the layers with integers out of the second model. */
void compare_open_alone(Compare *compare);
/* Runs them on what the first model's layers gave for this batch. */
OctetStatus compare_run_alone(Compare *compare, const Batch *batch, OctetDiagnostic *diagnostic);
/* Runs the first model's rest behind every layer on what that layer gave by itself. */
OctetStatus compare_run_rests(Compare *compare, OctetDiagnostic *diagnostic);

/* ---- compare_report.c ---- */
/* Sorts the layers: those that cost most at the output first. */
void compare_rank(Compare *compare);
void compare_print_text(const Compare *compare, size_t shown, const char *model);
void compare_print_json(const Compare *compare, size_t shown);

#endif
