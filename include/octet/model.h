/* ONNX files. */
#ifndef OCTET_MODEL_H
#define OCTET_MODEL_H

#include "octet/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Something that is wrong with a node of a file. The texts live as long as the call that tells. */
typedef struct OctetFinding {
    OctetStatus status; /* OCTET_ERROR_UNSUPPORTED, or what is malformed */
    const char *node;   /* the first one's name or, without one, its first output's; may be empty */
    const char *op_type, *domain;
    int64_t opset;
    const char *reason; /* names the operator and its opset */
    uint64_t nodes;     /* how many nodes it is true of */
} OctetFinding;

enum { OCTET_MAX_FINDINGS = 50 };
/* `count` findings in the order of the file; `left_out` ones more were not kept. */
typedef void (*OctetFindingsCallback)(const OctetFinding *findings, size_t count, uint64_t left_out,
                                      void *user);

/* Limits for files that nobody vouches for; 0 means the default. */
typedef struct OctetLoadOptions {
    uint64_t max_file_bytes; /* 4 GiB; the file and its external data together */
    uint64_t max_nodes;      /* 1,000,000 */
    uint32_t max_depth;      /* 32 levels of subgraphs */
    bool lenient; /* keep nodes that Octet can't run (for `inspect`) instead of failing */
    /* The file is mapped, not read, and must not be changed in place while the graph lives (a new
     * file in its place is fine). This reads it instead. */
    bool copy_file;
    /* Called once with all that is wrong with nodes, if anything is: before loading fails for it
     * or, with lenient, before it succeeds. May be NULL. */
    OctetFindingsCallback on_findings;
    void *findings_user;
    /* Of loading and, for the graph that is loaded and its copies, of each later call that takes no
     * OctetLimits: octet_fuse, octet_convert, octet_model_save and the like. 600 seconds; canceled
     * (may be NULL) is asked very often, on the calling thread, and true ends the call with
     * OCTET_ERROR_CANCELED. canceled_user must outlive the graph. */
    double max_seconds;
    bool (*canceled)(void *user);
    void *canceled_user;
} OctetLoadOptions;

/* Reads a model, opsets 1 to 22, with external data from the model's own folder only. Folds
 * QuantizeLinear/DequantizeLinear and the QLinear operators into quantization parameters. What is
 * unsupported or malformed in nodes is collected and told at once: as much as fits in the
 * diagnostic, all of it to on_findings. options may be NULL. Free with octet_graph_free. */
OCTET_API OctetStatus octet_model_load(const char *path, const OctetLoadOptions *options,
                                       OctetGraph **graph, OctetDiagnostic *diagnostic);
/* Same from memory; external data is refused. `name` is for messages. */
OCTET_API OctetStatus octet_model_load_memory(const void *data, size_t size, const char *name,
                                              const OctetLoadOptions *options, OctetGraph **graph,
                                              OctetDiagnostic *diagnostic);

typedef enum OctetModelFormat { OCTET_FORMAT_QDQ = 0, OCTET_FORMAT_QOPERATOR = 1 } OctetModelFormat;

/* What the inputs and outputs of the model that lie on grids carry. INT8 and UINT8 hold whatever
 * the type of the grid is: where it is the other one, value and zero point move by 128, which is
 * exact; 16-bit grids are OCTET_ERROR_UNSUPPORTED then. */
typedef enum OctetModelIo {
    OCTET_IO_FLOAT32 = 0, /* real numbers */
    OCTET_IO_INT8 = 1,
    OCTET_IO_UINT8 = 2,
    OCTET_IO_GRID = 3 /* integers, of each grid's own type */
} OctetModelIo;

typedef struct OctetSaveOptions {
    OctetModelFormat format;
    OctetModelIo io;
    /* 16-bit grids are written with com.microsoft's QuantizeLinear and DequantizeLinear, in the
     * opset that the rest needs, instead of with ONNX's of opset 21. */
    bool microsoft_int16;
    bool external_data; /* tensors in PATH.data; forced above 2 GB */
} OctetSaveOptions;

/* Writes beside and renames: after a failure or a crash there is no partial file. The bytes are a
 * function of the graph alone. options may be NULL. */
OCTET_API OctetStatus octet_model_save(const OctetGraph *graph, const char *path,
                                       const OctetSaveOptions *options,
                                       OctetDiagnostic *diagnostic);

/* A serialized ONNX TensorProto, as in the .pb files of ONNX's test data. */
OCTET_API OctetStatus octet_tensor_load_pb(const char *path, OctetTensor **tensor,
                                           OctetDiagnostic *diagnostic);
/* The same for a value of any kind (OCTET_KIND_ bits: see octet_value_kind): a TensorProto, a
 * SequenceProto or an OptionalProto. */
OCTET_API OctetStatus octet_value_load_pb(const char *path, uint32_t kind, OctetTensor **value,
                                          OctetDiagnostic *diagnostic);

#ifdef __cplusplus
}
#endif
#endif
