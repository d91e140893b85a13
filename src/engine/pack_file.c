/* octet_model_pack: the one place where the engine writes a file. */
#include "base/diag.h"
#include "engine/engine.h"
#include "onnx/packed.h"

static OctetStatus pack(const OctetGraph *graph, const OctetShape *input_shapes, size_t input_count,
                        const OctetSessionOptions *options, const char *output,
                        uint64_t *packed_bytes, OctetDiagnostic *diagnostic) {
    OctetSession *session;
    OCT_TRY(octet_session_create(graph, options, &session, diagnostic));
    OctBlocks *blocks = oct_pack_blocks(session->packs);
    oct_blocks_record(blocks);
    OctetStatus status = octet_session_plan(session, input_shapes, input_count, diagnostic);
    if (status == OCTET_OK) {
        status = oct_packed_write(graph, blocks, output, diagnostic);
    }
    if (status == OCTET_OK && packed_bytes) {
        *packed_bytes = oct_blocks_recorded_bytes(blocks);
    }
    octet_session_free(session);
    return status;
}

OctetStatus octet_model_pack(const OctetGraph *graph, const OctetShape *input_shapes,
                             size_t input_count, const OctetLimits *limits, const char *output,
                             uint64_t *packed_bytes, OctetDiagnostic *diagnostic) {
    OctPatience patience;
    OctetSessionOptions options = {0};
    if (!graph || !output || !graph->file) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "packing needs a graph that was loaded from a regular file");
    }
    if (oct_pack_store_exists(graph)) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "the graph can't be packed while a session over it is open");
    }
    options.limits = limits ? *limits
                            : (OctetLimits){.max_seconds = graph->max_seconds,
                                            .canceled = graph->canceled,
                                            .canceled_user = graph->canceled_user};
    oct_patience_begin(&patience, options.limits.canceled, options.limits.canceled_user,
                       options.limits.max_seconds);
    OctetStatus status =
        pack(graph, input_shapes, input_count, &options, output, packed_bytes, diagnostic);
    oct_patience_end(&patience);
    return status;
}
