#include "inspect_plan.h"

#include "common.h"
#include "report.h"
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the plan. */
typedef struct Line {
    const char *name, *op_type, *kernel, *reason; /* kernel: of a quantized model, else NULL */
    bool int8, computes;
    double macs;
} Line;

typedef struct Plan {
    const char *path;
    bool quantized;
    Line *lines;
    size_t count;
    OctetPrepared *prepared;
    OctetSession *session;
} Plan;

/* ---- a float model: what prepare decides ---- */

static OctetStatus plan_float(Plan *plan, const OctetGraph *graph, const QuantizeRules *rules,
                              OctetDiagnostic *diagnostic) {
    OctetQConfigMapping *mapping = NULL;
    OctetStatus status = rules_mapping(rules, graph, &mapping, diagnostic);
    if (status == OCTET_OK) {
        status = octet_prepare(graph, mapping, NULL, &plan->prepared, diagnostic);
    }
    octet_qconfig_mapping_free(mapping);
    plan->count = status == OCTET_OK ? octet_graph_node_count(graph) : 0;
    plan->lines = checked_calloc(plan->count + 1, sizeof *plan->lines);
    for (size_t i = 0; i < plan->count; i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        OctetNodePlan decided = octet_prepared_node(plan->prepared, i);
        plan->lines[i] = (Line){.name = octet_node_name(node),
                                .op_type = octet_node_op_type(node),
                                .reason = decided.reason,
                                .int8 = decided.int8,
                                .computes = decided.computes,
                                .macs = octet_node_macs(node)};
    }
    return status;
}

/* ---- a quantized model: what the engine plans ---- */

static OctetStatus plan_session(Plan *plan, const OctetGraph *graph, const TextList *shapes,
                                OctetDiagnostic *diagnostic) {
    size_t inputs = octet_graph_input_count(graph);
    OctetShape *sizes = checked_calloc(inputs + 1, sizeof *sizes);
    OctetStatus status = octet_session_create(graph, NULL, &plan->session, diagnostic);
    for (size_t i = 0; status == OCTET_OK && i < inputs; i++) {
        status = input_shape(shapes, octet_graph_input_at(graph, i), inputs, &sizes[i], diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_session_plan(plan->session, sizes, inputs, diagnostic);
    }
    free(sizes);
    plan->count = status == OCTET_OK ? octet_session_node_count(plan->session) : 0;
    plan->lines = checked_calloc(plan->count + 1, sizeof *plan->lines);
    for (size_t i = 0; i < plan->count; i++) {
        OctetNodeInfo info;
        octet_session_node_info(plan->session, i, &info);
        plan->lines[i] = (Line){.name = info.name,
                                .op_type = info.op_type,
                                .kernel = info.kernel,
                                .reason = info.int8 ? NULL : info.float_reason,
                                .int8 = info.int8,
                                .computes = true,
                                .macs = info.macs};
    }
    return status;
}

/* ---- telling ---- */

static const char *place_of(const Line *line) {
    return line->int8 ? "int8" : line->computes ? "float" : "-";
}

static void print_totals(const Plan *plan) {
    size_t int8 = 0, real = 0;
    double int8_macs = 0, macs = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const Line *line = &plan->lines[i];
        int8 += line->int8;
        real += !line->int8 && line->computes;
        macs += line->macs;
        int8_macs += line->int8 ? line->macs : 0;
    }
    printf("\n%zu %s in int8 (%.1f%% of the multiply-accumulates), %zu in float.\n", int8,
           plan->quantized ? "steps run" : "nodes will be", macs > 0 ? 100 * int8_macs / macs : 0.0,
           real);
    if (!plan->quantized) {
        printf("\"-\": computes shapes or indices, which are never quantized.\n");
    }
}

static void print_text(const Plan *plan) {
    int width = 4;
    for (size_t i = 0; i < plan->count; i++) {
        int length = (int)strlen(plan->lines[i].name);
        width = length > width && length <= 48 ? length : width;
    }
    printf("%-*s  %-20s  %-5s  %10s  %s\n", width, "node", "operator", "type", "MMAC",
           plan->quantized ? "kernel" : "why");
    for (size_t i = 0; i < plan->count; i++) {
        const Line *line = &plan->lines[i];
        const char *reason = line->reason ? line->reason : "";
        printf("%-*s  %-20s  %-5s  %10.3f  %s%s%s\n", width, line->name, line->op_type,
               place_of(line), line->macs * 1e-6, line->kernel ? line->kernel : "",
               line->kernel && *reason ? ": " : "", reason);
    }
    print_totals(plan);
}

static void print_json(const Plan *plan) {
    json_t *object = json_new_object();
    json_t *nodes = json_new_array();
    for (size_t i = 0; i < plan->count; i++) {
        const Line *line = &plan->lines[i];
        json_t *node = json_new_object();
        json_add(node, "name", json_text(line->name));
        json_add(node, "op_type", json_text(line->op_type));
        json_add(node, "int8", json_boolean(line->int8));
        json_add(node, "computes", json_boolean(line->computes));
        json_add(node, "reason", json_text(line->reason));
        json_add(node, "kernel", json_text(line->kernel));
        json_add(node, "macs", json_number(line->macs));
        json_push(nodes, node);
    }
    json_add(object, "file", json_text(plan->path));
    json_add(object, "quantized", json_boolean(plan->quantized));
    json_add(object, "plan", nodes);
    json_print(object);
}

OctetStatus inspect_plan(const char *path, const OctetGraph *graph, const QuantizeRules *rules,
                         const TextList *shapes, bool json, OctetDiagnostic *diagnostic) {
    Plan plan = {.path = path, .quantized = octet_graph_is_quantized(graph)};
    OctetStatus status = plan.quantized ? plan_session(&plan, graph, shapes, diagnostic)
                                        : plan_float(&plan, graph, rules, diagnostic);
    if (status == OCTET_OK && json) {
        print_json(&plan);
    } else if (status == OCTET_OK) {
        print_text(&plan);
    }
    free(plan.lines);
    octet_prepared_free(plan.prepared);
    octet_session_free(plan.session);
    return status;
}
