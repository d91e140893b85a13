#include "ir/findings.h"
#include "base/diag.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool oct_is_fault(OctetStatus status) {
    return status == OCTET_ERROR_FORMAT || status == OCTET_ERROR_UNSUPPORTED ||
           status == OCTET_ERROR_SHAPE || status == OCTET_ERROR_NUMERIC;
}

/* The reason, with the operator in front unless it names that already. */
static void describe(OctFault *fault, const OctFaultPlace *place, const char *message) {
    bool told = !*place->op_type || strstr(message, " of opset ");
    if (!told) {
        snprintf(fault->reason, sizeof fault->reason, "%s%s%s of opset %" PRId64 ": ",
                 fault->domain, *fault->domain ? "." : "", fault->op_type, place->opset);
    }
    size_t used = strlen(fault->reason);
    snprintf(fault->reason + used, sizeof fault->reason - used, "%.500s", message);
}

/* The same operator often stands in many nodes: it is named once. */
static OctFault *find_same(const OctFindings *findings, const OctFault *fault) {
    for (int32_t i = 0; i < findings->count; i++) {
        OctFault *known = &findings->faults[i];
        if (known->status == fault->status && strcmp(known->reason, fault->reason) == 0 &&
            strcmp(known->op_type, fault->op_type) == 0 &&
            strcmp(known->domain, fault->domain) == 0) {
            return known;
        }
    }
    return NULL;
}

static void take_first(OctFault *known, const OctFault *fault) {
    if (fault->order < known->order) {
        known->order = fault->order;
        memcpy(known->node, fault->node, sizeof known->node);
    }
}

/* Keeps those that stand first in the file. */
static void replace_last(OctFindings *findings, const OctFault *fault) {
    OctFault *last = findings->faults;
    for (int32_t i = 1; i < findings->count; i++) {
        last = findings->faults[i].order > last->order ? &findings->faults[i] : last;
    }
    if (fault->order < last->order) {
        *last = *fault;
    }
}

OctetStatus oct_findings_add(OctFindings *findings, const OctFaultPlace *place, OctetStatus status,
                             OctetDiagnostic *diagnostic) {
    OctFault fault = {.status = status, .order = place->order, .nodes = 1, .opset = place->opset};
    oct_escape(fault.node, sizeof fault.node, place->node);
    oct_escape(fault.op_type, sizeof fault.op_type, place->op_type);
    oct_escape(fault.domain, sizeof fault.domain, place->domain);
    describe(&fault, place, diagnostic->message);
    *diagnostic = (OctetDiagnostic){0};
    findings->malformed = findings->malformed || status != OCTET_ERROR_UNSUPPORTED;
    findings->nodes++;
    OctFault *same = find_same(findings, &fault);
    if (same) {
        same->nodes++;
        take_first(same, &fault);
        return OCTET_OK;
    }
    if (findings->count == OCTET_MAX_FINDINGS) {
        findings->left_out++;
        replace_last(findings, &fault);
        return OCTET_OK;
    }
    if (!oct_grow(&findings->faults, &findings->capacity, findings->count + 1,
                  sizeof *findings->faults)) {
        return oct_fail_memory(diagnostic);
    }
    findings->faults[findings->count++] = fault;
    return OCTET_OK;
}

OctetStatus oct_graph_fault(OctGraph *graph, OctNode *node, OctetStatus status,
                            OctetDiagnostic *diagnostic) {
    const OctGraph *root = graph;
    while (root->parent) {
        root = root->parent;
    }
    if (status == OCTET_OK || !root->findings || !oct_is_fault(status)) {
        return oct_fail_in_node(diagnostic, status, node->name);
    }
    node->op = NULL;
    if (node->refused) {
        *diagnostic = (OctetDiagnostic){0};
        return OCTET_OK;
    }
    node->refused = true;
    const OctFaultPlace place = {node->file_order, node->name, node->op_type, node->domain,
                                 node->opset};
    return oct_findings_add(root->findings, &place, status, diagnostic);
}

static int compare(const void *a, const void *b) {
    int64_t first = ((const OctFault *)a)->order;
    int64_t second = ((const OctFault *)b)->order;
    return (first > second) - (first < second);
}

void oct_findings_sort(OctFindings *findings) {
    if (findings->count > 0) {
        qsort(findings->faults, (size_t)findings->count, sizeof *findings->faults, compare);
    }
}

/* All are unsupported, or the first that is more than that says what is wrong with the file. */
static OctetStatus common_status(const OctFindings *findings) {
    for (int32_t i = 0; i < findings->count; i++) {
        if (findings->faults[i].status != OCTET_ERROR_UNSUPPORTED) {
            return findings->faults[i].status;
        }
    }
    return findings->malformed ? OCTET_ERROR_FORMAT : OCTET_ERROR_UNSUPPORTED;
}

OctetStatus oct_findings_fail(const OctFindings *findings, OctetDiagnostic *diagnostic) {
    enum { ROOM = 1024, REST = 32 };
    char text[ROOM];
    size_t used = 0;
    OctetStatus status = common_status(findings);
    if (findings->nodes == 1 && findings->count == 1) {
        return oct_fail_node(diagnostic, status, findings->faults[0].node, "%s",
                             findings->faults[0].reason);
    }
    int32_t shown = 0;
    used = (size_t)snprintf(text, sizeof text, "%" PRIu64 " nodes can't be run: ", findings->nodes);
    for (; shown < findings->count; shown++) {
        const OctFault *fault = &findings->faults[shown];
        char line[sizeof fault->reason + sizeof fault->node + 64];
        int length = snprintf(line, sizeof line, "%s%s (%snode '%s')", shown ? "; " : "",
                              fault->reason, fault->nodes > 1 ? "first at " : "", fault->node);
        if (used + (size_t)length + REST > sizeof text) {
            break;
        }
        memcpy(text + used, line, (size_t)length + 1);
        used += (size_t)length;
    }
    uint64_t rest = (uint64_t)(findings->count - shown) + findings->left_out;
    if (rest > 0) {
        snprintf(text + used, sizeof text - used, "; and %" PRIu64 " more", rest);
    }
    return oct_fail(diagnostic, status, "%s", text);
}

void oct_findings_tell(const OctFindings *findings, OctetFindingsCallback callback, void *user) {
    OctetFinding list[OCTET_MAX_FINDINGS];
    if (!callback || findings->count == 0) {
        return;
    }
    for (int32_t i = 0; i < findings->count; i++) {
        const OctFault *fault = &findings->faults[i];
        list[i] = (OctetFinding){fault->status, fault->node,   fault->op_type, fault->domain,
                                 fault->opset,  fault->reason, fault->nodes};
    }
    callback(list, (size_t)findings->count, findings->left_out, user);
}

void oct_findings_free(OctFindings *findings) {
    oct_free(findings->faults);
    *findings = (OctFindings){0};
}
