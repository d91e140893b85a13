/* Where a network's time goes: a line a node, and what would help most. */
#ifndef OCTET_TOOLS_BENCH_REPORT_H
#define OCTET_TOOLS_BENCH_REPORT_H

#include "octet/octet.h"

#include <jansson.h>

typedef struct BenchContext {
    const OctetSession *session; /* has run with per_node_times */
    OctetPeak peak;
    double threads;
    bool quantized;             /* the model */
    const double *node_seconds; /* of every node, a run: the median */
} BenchContext;

void bench_print_nodes(const BenchContext *context);
/* The three things that would help most, in words. */
void bench_print_advice(const BenchContext *context);
json_t *bench_nodes_json(const BenchContext *context);
json_t *bench_advice_json(const BenchContext *context);

#endif
