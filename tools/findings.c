/* What is wrong with the nodes of a model, kept from loading until it is told. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

typedef struct Kept {
    char *line;
    json_t *object;
} Kept;

static Kept kept[OCTET_MAX_FINDINGS];
static size_t kept_count;
static uint64_t kept_left_out;

static json_t *json_finding(const OctetFinding *finding) {
    json_t *object = json_new_object();
    bool lacks = finding->status == OCTET_ERROR_UNSUPPORTED;
    json_add(object, "kind", json_text(lacks ? "unsupported" : "malformed"));
    json_add(object, "node", json_text(finding->node));
    json_add(object, "op_type", json_text(finding->op_type));
    json_add(object, "domain", json_text(finding->domain));
    json_add(object, "opset", json_integer(finding->opset));
    json_add(object, "reason", json_text(finding->reason));
    json_add(object, "nodes", json_integer((json_int_t)finding->nodes));
    return object;
}

static char *line_of(const OctetFinding *finding) {
    char more[48] = "";
    char line[1024];
    if (finding->nodes > 1) {
        snprintf(more, sizeof more, " and %llu more", (unsigned long long)finding->nodes - 1);
    }
    snprintf(line, sizeof line, "%s%s%s%s%s", *finding->node ? "node " : "", finding->node, more,
             *finding->node ? ": " : "", finding->reason);
    return checked_strdup(line);
}

void findings_forget(void) {
    while (kept_count > 0) {
        kept_count--;
        free(kept[kept_count].line);
        json_decref(kept[kept_count].object);
    }
}

void report_findings(const OctetFinding *findings, size_t count, uint64_t left_out, void *user) {
    (void)user;
    findings_forget();
    for (; kept_count < count && kept_count < OCTET_MAX_FINDINGS; kept_count++) {
        kept[kept_count] =
            (Kept){line_of(&findings[kept_count]), json_finding(&findings[kept_count])};
    }
    kept_left_out = left_out;
}

size_t findings_count(void) {
    return kept_count;
}

void findings_print(FILE *stream, const char *indent) {
    for (size_t i = 0; i < kept_count; i++) {
        fprintf(stream, "%s%s\n", indent, kept[i].line);
    }
    if (kept_left_out > 0) {
        fprintf(stream, "%sand %llu more\n", indent, (unsigned long long)kept_left_out);
    }
}

json_t *json_findings(void) {
    json_t *array = json_new_array();
    for (size_t i = 0; i < kept_count; i++) {
        json_push(array, json_incref(kept[i].object));
    }
    return array;
}
