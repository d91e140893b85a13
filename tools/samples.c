#include "samples.h"

#include "report.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 4 };

typedef struct Slot {
    Batch batch;
    OctetStatus status;
    OctetDiagnostic diagnostic;
} Slot;

struct Samples {
    OctetDataset *dataset;
    OctetPreprocess preprocess;
    size_t input_count;
    int64_t limit; /* samples to visit */
    int64_t batch; /* the model's fixed batch, or 1 */
    int64_t next;  /* the next sample to read */
    bool *bad;     /* samples that could not be read, so that they are named only once */
    bool ended;
    /* The thread fills slots in a ring; mutex and changed guard what follows. */
    bool prefetch;
    bool running;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    Slot slots[AHEAD];
    size_t head, filled;
    bool stop;
};

/* The batch that all inputs fix in common; 1 where they leave it open. */
static OctetStatus find_batch(const OctetDataInput *inputs, int32_t count, int64_t *batch,
                              OctetDiagnostic *diagnostic) {
    *batch = 1;
    for (int32_t i = 0; i < count; i++) {
        const OctetShape *shape = &inputs[i].shape;
        int64_t own = shape->rank > 1 && shape->dims[0] > 1 ? shape->dims[0] : 1;
        if (own > 65536) {
            return fail(diagnostic, OCTET_ERROR_LIMIT, NULL, "a batch of %lld is too large",
                        (long long)own);
        }
        /* an input whose first dimension is no batch: samples are taken whole */
        *batch = i == 0 || own == *batch ? own : 1;
    }
    return OCTET_OK;
}

static OctetStatus open_dataset(const OctetGraph *graph, const SamplesOptions *options,
                                Samples *samples, OctetDiagnostic *diagnostic) {
    int32_t count;
    bool real = options->stored || preprocess_given(options->preprocess);
    OctetDataInput *inputs = model_inputs(graph, real, &count);
    OctetDatasetOptions dataset_options = {
        .inputs = inputs, .input_count = count, .strict = options->data->strict};
    samples->input_count = (size_t)count;
    OctetStatus status = find_batch(inputs, count, &samples->batch, diagnostic);
    /* what the default is depends on whether the data are images: opened twice where they are */
    for (int images = 0; status == OCTET_OK && images < 2; images++) {
        status = preprocess_resolve(options->preprocess, options->stored, images,
                                    &samples->preprocess, diagnostic);
        dataset_options.preprocess = samples->preprocess;
        if (status == OCTET_OK) {
            octet_dataset_free(samples->dataset);
            status =
                octet_dataset_open(options->path, &dataset_options, &samples->dataset, diagnostic);
        }
        if (status == OCTET_OK && !octet_dataset_has_images(samples->dataset)) {
            break;
        }
    }
    free(inputs);
    if (status == OCTET_OK && octet_dataset_has_images(samples->dataset) && !options->stored &&
        !preprocess_given(options->preprocess)) {
        report_warning("images are scaled to 0..1; if the model wants something else, say so with "
                       "--preprocess");
    }
    return status;
}

OctetStatus samples_open(const OctetGraph *graph, const SamplesOptions *options, Samples **samples,
                         OctetDiagnostic *diagnostic) {
    Samples *made = checked_calloc(1, sizeof(*made));
    *samples = NULL;
    made->prefetch = options->prefetch;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    OctetStatus status = open_dataset(graph, options, made, diagnostic);
    if (status != OCTET_OK) {
        samples_close(made);
        return status;
    }
    int64_t count = octet_dataset_count(made->dataset);
    int64_t wanted = options->data->samples;
    made->limit = wanted > 0 && wanted < count ? wanted : count;
    made->bad = checked_calloc((size_t)made->limit, sizeof(*made->bad));
    *samples = made;
    return OCTET_OK;
}

int64_t samples_count(const Samples *samples) {
    return samples->limit;
}

int64_t samples_skipped(const Samples *samples) {
    return octet_dataset_skipped(samples->dataset);
}

const char *samples_name(const Samples *samples, int64_t item) {
    return octet_dataset_sample_name(samples->dataset, item);
}

OctetPreprocess samples_preprocess(const Samples *samples) {
    OctetPreprocess preprocess = samples->preprocess;
    preprocess.float_arrays = preprocess.float_arrays && octet_dataset_has_floats(samples->dataset);
    return preprocess;
}

void batch_release(Batch *batch) {
    for (size_t i = 0; batch->inputs && i < batch->input_count; i++) {
        octet_tensor_free(batch->inputs[i]);
    }
    free(batch->inputs);
    free(batch->items);
    *batch = (Batch){0};
}

/* Puts single samples one behind the other; the last one again for those that are missing. */
static OctetStatus stack(OctetTensor *const *parts, size_t stride, int64_t have, int64_t want,
                         OctetTensor **whole, OctetDiagnostic *diagnostic) {
    OctetShape shape = parts[0]->shape;
    if (shape.rank < 1 || shape.dims[0] != 1) {
        return fail(diagnostic, OCTET_ERROR_SHAPE, NULL,
                    "the model has a batch of %lld, the data can't be put together to it",
                    (long long)want);
    }
    shape.dims[0] = want;
    OctetStatus status = octet_tensor_create(parts[0]->dtype, &shape, whole, diagnostic);
    for (int64_t i = 0; status == OCTET_OK && i < want; i++) {
        const OctetTensor *part = parts[(size_t)(i < have ? i : have - 1) * stride];
        if (part->bytes != parts[0]->bytes) {
            octet_tensor_free(*whole);
            *whole = NULL;
            return fail(diagnostic, OCTET_ERROR_SHAPE, NULL,
                        "samples of one batch have different shapes");
        }
        memcpy((char *)(*whole)->data + (size_t)i * part->bytes, part->data, part->bytes);
    }
    return status;
}

/* True if one sample is all that a run of the model takes: ONNX test data may hold whole batches.
 */
static bool is_whole(const Samples *samples, const OctetTensor *tensor) {
    return samples->batch == 1 ||
           (tensor->shape.rank > 0 && tensor->shape.dims[0] == samples->batch);
}

/* Reads samples until the batch is full or the data ends. */
static OctetStatus produce(Samples *samples, Batch *batch, OctetDiagnostic *diagnostic) {
    size_t inputs = samples->input_count;
    size_t places = (size_t)samples->batch * inputs;
    OctetTensor **tensors = checked_calloc(places, sizeof(*tensors));
    OctetStatus status = OCTET_OK;
    *batch = (Batch){.input_count = inputs,
                     .items = checked_calloc((size_t)samples->batch, sizeof(int64_t))};
    bool whole = false;
    while (status == OCTET_OK && !whole && batch->count < samples->batch &&
           samples->next < samples->limit) {
        int64_t item = samples->next++;
        if (samples->bad[item]) {
            continue;
        }
        status = octet_dataset_read(samples->dataset, item, tensors + (size_t)batch->count * inputs,
                                    &samples->bad[item], diagnostic);
        if (status == OCTET_OK && !samples->bad[item]) {
            batch->items[batch->count++] = item;
            whole = is_whole(samples, tensors[0]);
        }
    }
    batch->visited = samples->next;
    if (status == OCTET_OK && batch->count > 0) {
        batch->inputs = checked_calloc(inputs, sizeof(*batch->inputs));
        for (size_t i = 0; status == OCTET_OK && i < inputs; i++) {
            if (whole) {
                batch->inputs[i] = tensors[i];
                tensors[i] = NULL;
            } else {
                status = stack(tensors + i, inputs, batch->count, samples->batch, &batch->inputs[i],
                               diagnostic);
            }
        }
    }
    for (size_t i = 0; i < places; i++) {
        octet_tensor_free(tensors[i]);
    }
    free(tensors);
    if (!batch->inputs) { /* the end of the data: nobody releases an empty batch */
        free(batch->items);
        batch->items = NULL;
    }
    if (status != OCTET_OK) {
        batch_release(batch);
    }
    return status;
}

static void *fill_slots(void *argument) {
    Samples *samples = argument;
    for (;;) {
        pthread_mutex_lock(&samples->mutex);
        while (samples->filled == AHEAD && !samples->stop) {
            pthread_cond_wait(&samples->changed, &samples->mutex);
        }
        Slot *slot = &samples->slots[(samples->head + samples->filled) % AHEAD];
        bool stop = samples->stop;
        pthread_mutex_unlock(&samples->mutex);
        if (stop) {
            return NULL;
        }
        slot->diagnostic = (OctetDiagnostic){0};
        slot->status = produce(samples, &slot->batch, &slot->diagnostic);
        bool last = slot->status != OCTET_OK || !slot->batch.inputs;
        pthread_mutex_lock(&samples->mutex);
        samples->filled++;
        pthread_cond_broadcast(&samples->changed);
        pthread_mutex_unlock(&samples->mutex);
        if (last) {
            return NULL;
        }
    }
}

static OctetStatus take_slot(Samples *samples, Batch *batch, OctetDiagnostic *diagnostic) {
    pthread_mutex_lock(&samples->mutex);
    while (samples->filled == 0) {
        pthread_cond_wait(&samples->changed, &samples->mutex);
    }
    Slot *slot = &samples->slots[samples->head];
    *batch = slot->batch;
    slot->batch = (Batch){0};
    OctetStatus status = slot->status;
    if (status != OCTET_OK && diagnostic->status == OCTET_OK) {
        *diagnostic = slot->diagnostic;
    }
    samples->head = (samples->head + 1) % AHEAD;
    samples->filled--;
    pthread_cond_broadcast(&samples->changed);
    pthread_mutex_unlock(&samples->mutex);
    return status;
}

OctetStatus samples_next(Samples *samples, Batch *batch, OctetDiagnostic *diagnostic) {
    *batch = (Batch){0};
    OctetStatus status = check_interrupt(diagnostic);
    if (status != OCTET_OK || samples->ended) {
        return status;
    }
    if (samples->prefetch && !samples->running) {
        samples->stop = false;
        samples->running = pthread_create(&samples->thread, NULL, fill_slots, samples) == 0;
    }
    status = samples->running ? take_slot(samples, batch, diagnostic)
                              : produce(samples, batch, diagnostic);
    samples->ended = status != OCTET_OK || !batch->inputs;
    return status;
}

static void stop_thread(Samples *samples) {
    if (samples->running) {
        pthread_mutex_lock(&samples->mutex);
        samples->stop = true;
        pthread_cond_broadcast(&samples->changed);
        pthread_mutex_unlock(&samples->mutex);
        pthread_join(samples->thread, NULL);
        samples->running = false;
    }
    for (size_t i = 0; i < AHEAD; i++) {
        batch_release(&samples->slots[i].batch);
    }
    samples->head = 0;
    samples->filled = 0;
}

void samples_rewind(Samples *samples) {
    stop_thread(samples);
    samples->next = 0;
    samples->ended = false;
}

void samples_close(Samples *samples) {
    if (!samples) {
        return;
    }
    stop_thread(samples);
    octet_dataset_free(samples->dataset);
    free(samples->bad);
    pthread_mutex_destroy(&samples->mutex);
    pthread_cond_destroy(&samples->changed);
    free(samples);
}
