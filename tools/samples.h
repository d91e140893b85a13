/* The samples of a data set in the batches that a model needs, decoded ahead on a thread. */
#ifndef OCTET_TOOLS_SAMPLES_H
#define OCTET_TOOLS_SAMPLES_H

#include "common.h"

/* One batch. */
typedef struct Batch {
    OctetTensor **inputs; /* in the model's order; NULL at the end of the data */
    size_t input_count;
    int64_t *items; /* the samples' places in the data set */
    int64_t count;  /* samples; the last batch of a model with a fixed batch repeats its last one */
    int64_t visited; /* samples read or skipped since samples_rewind */
} Batch;

typedef struct Samples Samples;

typedef struct SamplesOptions {
    const char *path;
    const DataOptions *data;
    const PreprocessOptions *preprocess;
    const char *stored; /* preprocessing from the model's metadata; may be NULL */
    bool prefetch;      /* decode on a thread of its own */
} SamplesOptions;

/* The graph must outlive it. */
OctetStatus samples_open(const OctetGraph *graph, const SamplesOptions *options, Samples **samples,
                         OctetDiagnostic *diagnostic);
int64_t samples_count(const Samples *samples);
/* Images that could not be read so far. Each is named and counted once, however often the data is
 * gone through. */
int64_t samples_skipped(const Samples *samples);
const char *samples_name(const Samples *samples, int64_t item); /* may be NULL */
/* What is applied, with float_arrays set only where the data has floats: to be stored. */
OctetPreprocess samples_preprocess(const Samples *samples);
/* The next batch, interrupts checked; free it with batch_release. */
OctetStatus samples_next(Samples *samples, Batch *batch, OctetDiagnostic *diagnostic);
/* To the first sample again. */
void samples_rewind(Samples *samples);
void samples_close(Samples *samples);
void batch_release(Batch *batch);

#endif
