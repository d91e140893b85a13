/* Running a network. */
#ifndef OCTET_SESSION_H
#define OCTET_SESSION_H

#include "octet/graph.h"
#include "octet/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OctetSession OctetSession;

/* Called after each node that makes a value has run, with the value in its logical form: f32 for
 * float values, the integers with qparams for quantized ones, in the graph's own (ONNX) layout.
 * The tensor is valid during the call. Anything but OCTET_OK ends the run with that status. */
typedef OctetStatus (*OctetObserveCallback)(void *user, const OctetValue *value,
                                            const OctetTensor *tensor);

/* What one run may take; a network that nobody vouches for may ask for any amount. 0 means the
 * default. A run that reaches a limit ends with OCTET_ERROR_LIMIT, and the message names the node,
 * what it wanted, and the limit. */
typedef struct OctetLimits {
    /* For activations, workspace and what loops collect; default: half of what this machine, or the
     * container that the process is in, has. Weights are bounded by the file that they come from.
     */
    uint64_t max_memory_bytes;
    uint64_t max_iterations; /* of all loops (Loop, Scan) together; 10,000,000 */
    double max_seconds;      /* 600; of a run, of planning without one, of making a session */
    /* Asked very often, within long nodes too, on the calling thread; true ends the call with
     * OCTET_ERROR_CANCELED. May be NULL. */
    bool (*canceled)(void *user);
    void *canceled_user;
} OctetLimits;

typedef struct OctetSessionOptions {
    OctetThreadPool *pool; /* NULL: one thread. Must outlive the session. */
    OctetRequantize requantize;
    OctetLimits limits;
    bool int8_outputs;   /* quantized outputs come as integers with qparams, not as f32 */
    bool per_node_times; /* measure; see octet_session_node_info */
    /* If set, `observe` is called for the values for which observe_filter (NULL: all) is true.
     * Fusions that would hide such a value are left out. */
    OctetObserveCallback observe;
    bool (*observe_filter)(void *user, const OctetValue *value);
    void *observe_user;
} OctetSessionOptions;

/* Makes a session over a graph that stays unchanged and outlives it. Several sessions may be made
 * from one graph, and run at the same time on different threads; they share packed weights. One
 * session is used by one thread at a time. Shapes are planned at the first run, and again when
 * an input's shape changes (the last few plans are kept). options may be NULL. */
OCTET_API OctetStatus octet_session_create(const OctetGraph *graph,
                                           const OctetSessionOptions *options,
                                           OctetSession **session, OctetDiagnostic *diagnostic);
OCTET_API void octet_session_free(OctetSession *session);

/* Runs. inputs[i] belongs to graph input i (f32 or the input's own type; for a quantized input also
 * its integers: tensor dtype then is the integers'); every dimension that the graph fixes must
 * match. The outputs' array is filled with tensors that the session owns, in the graph's order,
 * valid until the next run. */
OCTET_API OctetStatus octet_session_run(OctetSession *session, const OctetTensor *const *inputs,
                                        size_t input_count, const OctetTensor **outputs,
                                        size_t output_count, OctetDiagnostic *diagnostic);
/* Plans for these input shapes now, without running. */
OCTET_API OctetStatus octet_session_plan(OctetSession *session, const OctetShape *input_shapes,
                                         size_t input_count, OctetDiagnostic *diagnostic);

/* Writes a copy of the model file from which `graph` was loaded that also holds its weights as
 * this machine's kernels want them, for the current CPU level: a session over a graph that is
 * loaded from it takes them from the file's mapping instead of packing. It stays an ONNX model
 * with the same results; other programs skip what was added, and Octet packs again where it does
 * not fit (another CPU level or version). input_shapes: what to plan for, one an input; limits
 * (NULL: the time that the graph was loaded with): what making the session and planning may take.
 * No session over the graph may be open (OCTET_ERROR_STATE), and the graph must come from a file
 * that is mapped (OCTET_ERROR_INVALID_ARGUMENT). Written beside and renamed. *packed_bytes (may be
 * NULL) gets the bytes of packed weights. */
OCTET_API OctetStatus octet_model_pack(const OctetGraph *graph, const OctetShape *input_shapes,
                                       size_t input_count, const OctetLimits *limits,
                                       const char *output, uint64_t *packed_bytes,
                                       OctetDiagnostic *diagnostic);

/* Of the current plan: bytes of the activations' arena, and the lower bound (the largest set of
 * tensors alive at once). */
typedef struct OctetMemoryInfo {
    uint64_t arena_bytes;
    uint64_t lower_bound_bytes;
    uint64_t packed_weight_bytes;
    uint64_t mapped_weight_bytes; /* of these, what comes from the model's file as it is */
    uint64_t workspace_bytes;
} OctetMemoryInfo;
OCTET_API OctetStatus octet_session_memory(const OctetSession *session, OctetMemoryInfo *info);

/* One step of the current plan. Strings belong to the session. */
typedef struct OctetNodeInfo {
    const char *name;
    const char *op_type;
    const char *kernel; /* such as "q8_conv_6x64" */
    const char *cpu;
    bool int8;
    const char *float_reason; /* NULL if none is known */
    double macs;
    double bytes;   /* read and written, weights included */
    double seconds; /* total over the runs so far; 0 unless per_node_times */
    uint64_t runs;
} OctetNodeInfo;
OCTET_API size_t octet_session_node_count(const OctetSession *session);
OCTET_API OctetStatus octet_session_node_info(const OctetSession *session, size_t index,
                                              OctetNodeInfo *info);

/* What one core of this machine can do at the current CPU level, measured in some 100 ms: the
 * yardstick for a network's speed. 0 where it can't be measured. */
typedef struct OctetPeak {
    double int8_macs_per_second;
    double f32_macs_per_second;
    double bytes_per_second; /* read from main memory */
} OctetPeak;
OCTET_API void octet_measure_peak(OctetPeak *peak);

#ifdef __cplusplus
}
#endif
#endif
