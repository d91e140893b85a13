/* What was measured of one node, with what the machine allows. */
#ifndef OCTET_TOOLS_BENCH_STEPS_H
#define OCTET_TOOLS_BENCH_STEPS_H

#include "bench_report.h"

typedef struct BenchStep {
    OctetNodeInfo info;
    double seconds;      /* of one run */
    double at_peak;      /* that its multiplications take at the peak */
    double at_bandwidth; /* that its bytes take from main memory */
} BenchStep;

BenchStep bench_step(const BenchContext *context, size_t index);
/* Multiply-accumulates a second of all threads. */
double bench_peak(const BenchContext *context, bool int8);

#endif
