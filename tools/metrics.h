/* Comparing outputs: signal-to-noise ratio, cosine, and which class wins. */
#ifndef OCTET_TOOLS_METRICS_H
#define OCTET_TOOLS_METRICS_H

#include "octet/octet.h"

/* Sums over pairs of values, kept in double. */
typedef struct Similarity {
    double signal;  /* of the reference's squares */
    double other;   /* of the other's squares */
    double product; /* of their products */
    double noise;   /* of the squared differences */
    int64_t count;
} Similarity;

void similarity_add(Similarity *similarity, const float *reference, const float *other,
                    int64_t count);
/* 10 log10(signal / noise); infinite when they are equal, NaN for nothing or not-a-number. */
double similarity_sqnr(const Similarity *similarity);
/* 1 for two signals that are both zero. */
double similarity_cosine(const Similarity *similarity);

/* The f32 values of a tensor: its own, or converted (then *made is to be freed). Quantized ones
 * become real numbers. */
OctetStatus tensor_floats(const OctetTensor *tensor, const float **values, int64_t *count,
                          OctetTensor **made, OctetDiagnostic *diagnostic);

/* True for scores of classes: one row a sample and nothing but 1s beside the classes, of which
 * there are at least two. */
bool is_scores(const OctetShape *shape);

#endif
