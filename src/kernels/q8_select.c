/* The ladders: the best bundle of a level, one entry a level that has its own. */
#include "base/cpu.h"
#include "kernels/q8_conv_c.h"
#include "kernels/q8_vector_c.h"
#if defined(__x86_64__)
#include "kernels/x86/q8_x86.h"
#elif defined(__aarch64__)
#include "kernels/arm/q8_arm.h"
#endif

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Ordered from the best down; portable is last and always fits. */
static const OctQ8ConvBundle *const conv_bundles[] = {
#if defined(__x86_64__)
    &oct_q8_conv_avx512vnni,
    &oct_q8_conv_avxvnni,
    &oct_q8_conv_avx2,
#elif defined(__aarch64__)
    &oct_q8_conv_neondot,
    &oct_q8_conv_neon,
#endif
    &oct_q8_conv_c,
};
static const OctQ8DepthwiseBundle *const depthwise_bundles[] = {
#if defined(__x86_64__)
    &oct_q8_depthwise_avx512vnni,
    &oct_q8_depthwise_avxvnni,
    &oct_q8_depthwise_avx2,
#elif defined(__aarch64__)
    &oct_q8_depthwise_neondot,
    &oct_q8_depthwise_neon,
#endif
    &oct_q8_depthwise_c,
};
static const OctQ8VectorOps *const vector_ops[] = {
#if defined(__x86_64__)
    &oct_q8_vector_avx512vnni,
    &oct_q8_vector_avx2,
#elif defined(__aarch64__)
    &oct_q8_vector_neon,
#endif
    &oct_q8_vector_c,
};

const OctQ8ConvBundle *oct_q8_conv_select(OctetCpu cpu) {
    size_t i = 0;
    while (i + 1 < COUNT(conv_bundles) && !oct_cpu_has(cpu, conv_bundles[i]->cpu)) {
        i++;
    }
    return conv_bundles[i];
}

const OctQ8DepthwiseBundle *oct_q8_depthwise_select(OctetCpu cpu) {
    size_t i = 0;
    while (i + 1 < COUNT(depthwise_bundles) && !oct_cpu_has(cpu, depthwise_bundles[i]->cpu)) {
        i++;
    }
    return depthwise_bundles[i];
}

const OctQ8VectorOps *oct_q8_vector_ops(OctetCpu cpu) {
    size_t i = 0;
    while (i + 1 < COUNT(vector_ops) && !oct_cpu_has(cpu, vector_ops[i]->cpu)) {
        i++;
    }
    return vector_ops[i];
}
