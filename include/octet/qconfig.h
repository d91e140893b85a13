/* QConfig: how a layer's activations and weights are observed and quantized, and which layer gets
 * which. */
#ifndef OCTET_QCONFIG_H
#define OCTET_QCONFIG_H

#include "octet/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OctetQConfig {
    bool quantize; /* false: leave in float; the rest is then ignored */
    OctetObserverOptions activation;
    OctetObserverOptions weight;
    /* The runtime that the integers are made for: its rules turn weights and biases into integers
     * (they differ by 1 at most). onnx for octet; fbgemm for fbgemm, x86, onednn; qnnpack for the
     * qnnpack ones. */
    OctetRequantize requantize;
} OctetQConfig;

/* The qconfigs that have names:
 *   octet                             u8 affine activations, s8 symmetric per-channel weights with
 *                                     absmax / 127: the library's own default
 *   fbgemm, x86                       histogram u8 reduced + per-channel s8 symmetric
 *   qnnpack                           histogram u8 + per-tensor s8 symmetric
 *   onednn                            histogram u8 + per-channel s8 symmetric
 *   symmetric_qnnpack                 histogram s8, eps 2^-12 + per-tensor s8 in [-127, 127]
 *   per_channel_symmetric_qnnpack     the same with per-channel weights
 *   default                           minmax u8 in [0, 127] + per-tensor s8 symmetric
 *   default_per_channel               the same with per-channel weights
 *   none                              left in float
 * PyTorch's longer spellings (default_symmetric_qnnpack_qconfig, default_qconfig, ...) are read
 * too. Its HistogramObserver is OCTET_OBSERVER_HISTOGRAM here; see docs/numerics.md. */
OCTET_API OctetStatus octet_qconfig_by_name(const char *name, OctetQConfig *qconfig,
                                            OctetDiagnostic *diagnostic);
/* The i-th name, NULL behind the last: for help texts. */
OCTET_API const char *octet_qconfig_name(int32_t index);
/* The library's default ("octet"). */
OCTET_API OctetQConfig octet_qconfig_default(void);
/* "Leave in float". */
OCTET_API OctetQConfig octet_qconfig_none(void);
/* Checks both observers. With noop for activations or weights the operator stays in float;
 * placeholder, recording and reuse-input compute nothing that a converted graph could use, and are
 * errors (INVALID_ARGUMENT). Movers (reshape, max pooling, ...) reuse their input's parameters by
 * themselves. */
OCTET_API OctetStatus octet_qconfig_check(const OctetQConfig *qconfig, OctetDiagnostic *diagnostic);

/* Which node gets which qconfig. The most particular rule wins: node name, then name pattern (the
 * first that matches, in the order given), then operator type, then the global one. Setting a name,
 * pattern or type again replaces it. */
typedef struct OctetQConfigMapping OctetQConfigMapping;

/* Makes a mapping whose global qconfig is octet_qconfig_default. */
OCTET_API OctetStatus octet_qconfig_mapping_create(OctetQConfigMapping **mapping,
                                                   OctetDiagnostic *diagnostic);
OCTET_API void octet_qconfig_mapping_free(OctetQConfigMapping *mapping);
OCTET_API OctetStatus octet_qconfig_mapping_set_global(OctetQConfigMapping *mapping,
                                                       const OctetQConfig *qconfig,
                                                       OctetDiagnostic *diagnostic);
/* By operator type as ONNX names it ("Conv"). */
OCTET_API OctetStatus octet_qconfig_mapping_set_type(OctetQConfigMapping *mapping,
                                                     const char *op_type,
                                                     const OctetQConfig *qconfig,
                                                     OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_qconfig_mapping_set_name(OctetQConfigMapping *mapping,
                                                     const char *node_name,
                                                     const OctetQConfig *qconfig,
                                                     OctetDiagnostic *diagnostic);
/* By a glob over the node's whole name: * any run of characters, ? any one, [a-z] and [!a-z] one
 * of a set, \ takes the next character as it is. */
OCTET_API OctetStatus octet_qconfig_mapping_set_pattern(OctetQConfigMapping *mapping,
                                                        const char *pattern,
                                                        const OctetQConfig *qconfig,
                                                        OctetDiagnostic *diagnostic);
/* The qconfig for a node, never NULL; valid until the mapping changes. node_name may be NULL. */
OCTET_API const OctetQConfig *octet_qconfig_mapping_find(const OctetQConfigMapping *mapping,
                                                         const char *node_name,
                                                         const char *op_type);
/* True if the text matches the glob: what set_pattern uses. */
OCTET_API bool octet_glob_match(const char *pattern, const char *text);

#ifdef __cplusplus
}
#endif
#endif
