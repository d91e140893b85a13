/* Post-training quantization: fuse, prepare, calibrate, convert. */
#ifndef OCTET_PTQ_H
#define OCTET_PTQ_H

#include "octet/graph.h"
#include "octet/qconfig.h"
#include "octet/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Folds constants and batch norms, fuses activations, drops what is dead. In place. A quantized
 * graph keeps its weights as they are; only the rest is done. */
OCTET_API OctetStatus octet_fuse(OctetGraph *graph, OctetDiagnostic *diagnostic);

/* PyTorch's fuse_modules: only the named nodes, a chain such as {"conv", "norm", "relu"}: conv+bn,
 * conv+bn+relu, conv+relu, linear+relu, linear+bn, bn+relu, add+relu. OCTET_ERROR_INVALID_ARGUMENT
 * if a name is unknown or the nodes do not form such a chain; the graph is then unchanged. */
OCTET_API OctetStatus octet_fuse_modules(OctetGraph *graph, const char *const *names, size_t count,
                                         OctetDiagnostic *diagnostic);
/* PyTorch's QuantWrapper: a quant stub behind every float input, a dequant stub before every float
 * output, so that all between is to be int8. */
OCTET_API OctetStatus octet_quant_wrapper(OctetGraph *graph, OctetDiagnostic *diagnostic);

typedef struct OctetPrepared OctetPrepared;

typedef struct OctetPrepareOptions {
    OctetThreadPool *pool; /* NULL: one thread */
    /* Results of matrix products that only float nodes or the user take are left in float, with
     * the full precision of their int32 sums, unless this is set (PyTorch's way; int8 outputs
     * need it). */
    bool quantize_outputs;
    /* Every float input and output of the network gets a grid, though float nodes take or make it,
     * and results as with quantize_outputs: for models whose inputs and outputs carry integers
     * (OctetModelIo). Nothing does if there is no int8 node. */
    bool quantize_borders;
    OctetLimits limits; /* of every calibrating run */
} OctetPrepareOptions;

/* Decides what becomes int8 and places observers. The graph is borrowed, unchanged, and must
 * outlive the result. A graph that is quantized already is OCTET_ERROR_STATE. */
OCTET_API OctetStatus octet_prepare(const OctetGraph *graph, const OctetQConfigMapping *mapping,
                                    const OctetPrepareOptions *options, OctetPrepared **prepared,
                                    OctetDiagnostic *diagnostic);
OCTET_API void octet_prepared_free(OctetPrepared *prepared);

/* What was decided for a node of the graph. */
typedef struct OctetNodePlan {
    bool int8;
    bool computes;      /* false: makes shapes or indices, and is neither int8 nor float */
    const char *reason; /* why it stays in float; NULL if it does not. Belongs to `prepared`. */
} OctetNodePlan;
/* `index` as in octet_graph_node_at. */
OCTET_API OctetNodePlan octet_prepared_node(const OctetPrepared *prepared, size_t index);

/* How many passes over the data the observers need (1 or 2; 0 after stats were loaded). For two:
 * calibrate with all samples, octet_calibrate_next_pass, calibrate with all again. */
OCTET_API int octet_calibrate_passes(const OctetPrepared *prepared);
/* Runs the float network on one batch (inputs in the graph's order) and observes. Memory does not
 * grow with the number of calls. OCTET_ERROR_STATE after convert. */
OCTET_API OctetStatus octet_calibrate(OctetPrepared *prepared, const OctetTensor *const *inputs,
                                      size_t input_count, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_calibrate_next_pass(OctetPrepared *prepared,
                                                OctetDiagnostic *diagnostic);
/* What the observers have seen, to convert again without the data, on any machine. */
OCTET_API OctetStatus octet_stats_save(const OctetPrepared *prepared, const char *path,
                                       OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_stats_load(OctetPrepared *prepared, const char *path,
                                       OctetDiagnostic *diagnostic);
/* Adds another shard's statistics (same graph, same qconfig) to these. */
OCTET_API OctetStatus octet_stats_merge(OctetPrepared *prepared, const char *path,
                                        OctetDiagnostic *diagnostic);

/* A bias that did not fit into int32, and what was done: the channel's weight scale was raised, or
 * (scales equal) the bias was saturated. */
typedef struct OctetBiasRepair {
    const char *node;
    int64_t channel;
    float bias;
    float scale_before, scale_after; /* of the weights */
    double bias_before;              /* what the int32 would have had to be */
    int32_t bias_after;
} OctetBiasRepair;

/* The repairs that octet_convert noted in the graph's metadata (key octet.repairs, a line each:
 * channel, bias, scale before and after, integer before and after, node), so that they can be told
 * of a file as well. Lines that are not of that form are left out. *repairs is freed with
 * octet_repairs_free; with *count 0 it may be NULL. */
OCTET_API OctetStatus octet_graph_repairs(const OctetGraph *graph, OctetBiasRepair **repairs,
                                          size_t *count, OctetDiagnostic *diagnostic);
OCTET_API void octet_repairs_free(OctetBiasRepair *repairs);

typedef struct OctetConvertOptions {
    OctetBiasPolicy bias;
    /* Biases stay float32, as PyTorch keeps them: each runtime makes what it wants of them, fbgemm
     * no integer at all. They must fit into int32 all the same. */
    bool float_bias;
} OctetConvertOptions;

typedef struct OctetConvertReport {
    size_t quantized_nodes; /* that compute in int8 */
    size_t float_nodes;     /* compute nodes left in float; each node tells its reason */
    size_t repair_count;
    const OctetBiasRepair *repairs; /* owned by the prepared object */
} OctetConvertReport;

/* Makes the int8 graph. Can be called once per prepared object (OCTET_ERROR_STATE afterwards).
 * options and report may be NULL. Free the graph with octet_graph_free. */
OCTET_API OctetStatus octet_convert(OctetPrepared *prepared, const OctetConvertOptions *options,
                                    OctetGraph **quantized, OctetConvertReport *report,
                                    OctetDiagnostic *diagnostic);

#ifdef __cplusplus
}
#endif
#endif
