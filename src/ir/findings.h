/* What is wrong with the nodes of a file: collected while it is imported, so that all of it can be
 * told at once. */
#ifndef OCT_IR_FINDINGS_H
#define OCT_IR_FINDINGS_H

#include "ir/graph.h"
#include "octet/model.h"

typedef struct OctFault {
    OctetStatus status;
    int64_t order;  /* of the first node in the file */
    uint64_t nodes; /* how many nodes it is true of */
    int64_t opset;
    char node[192]; /* texts are escaped */
    char op_type[96];
    char domain[96];
    char reason[512];
} OctFault;

typedef struct OctFindings {
    OctFault *faults; /* those that are kept, up to OCTET_MAX_FINDINGS */
    int32_t count, capacity;
    uint64_t nodes;    /* with a fault */
    uint64_t left_out; /* faults that are not kept */
    bool malformed;    /* one of them is not OCTET_ERROR_UNSUPPORTED */
} OctFindings;

/* A node that is not in the graph, since nothing could be made of it. */
typedef struct OctFaultPlace {
    int64_t order;
    const char *node, *op_type, *domain;
    int64_t opset;
} OctFaultPlace;

/* Whether this is about a node, so that other nodes may be looked at (and not about memory, limits
 * or a wish to stop). */
bool oct_is_fault(OctetStatus status);
OctetStatus oct_findings_add(OctFindings *findings, const OctFaultPlace *place, OctetStatus status,
                             OctetDiagnostic *diagnostic);
/* A failure that `diagnostic` tells and that is about `node`. While the graph's root has findings
 * it is noted there, the node is refused, the diagnostic is emptied and the result OCTET_OK; else
 * the failure is returned, with the node's name. */
OctetStatus oct_graph_fault(OctGraph *graph, OctNode *node, OctetStatus status,
                            OctetDiagnostic *diagnostic);

/* Sorts the faults by their place in the file. */
void oct_findings_sort(OctFindings *findings);
/* Fails with as many of the faults as the message has room for. */
OctetStatus oct_findings_fail(const OctFindings *findings, OctetDiagnostic *diagnostic);
void oct_findings_tell(const OctFindings *findings, OctetFindingsCallback callback, void *user);
void oct_findings_free(OctFindings *findings);

#endif
