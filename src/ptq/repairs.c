/* Repaired biases in a model's metadata: what convert did can be told of the file. */
#include "base/diag.h"
#include "base/mem.h"
#include "ptq/prepared.h"
#include "quant/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char repairs_key[] = "octet.repairs";

OctetStatus oct_repairs_note(const OctetPrepared *prepared, OctGraph *graph,
                             OctetDiagnostic *diagnostic) {
    OctText text = {0};
    for (int32_t i = 0; i < prepared->repair_count; i++) {
        const OctetBiasRepair *repair = &prepared->repairs[i];
        oct_text_format(&text, "%" PRId64 " %.9g %.9g %.9g %.17g %" PRId32 " ", repair->channel,
                        (double)repair->bias, (double)repair->scale_before,
                        (double)repair->scale_after, repair->bias_before, repair->bias_after);
        oct_text_put(&text, repair->node);
        oct_text_put(&text, "\n");
    }
    bool done =
        !text.failed && (!text.chars || oct_graph_set_metadata(graph, repairs_key, text.chars));
    oct_free(text.chars);
    return done ? OCTET_OK : oct_fail_memory(diagnostic);
}

/* Reads a line, which it ends at its newline; false if it has another form. */
static bool read_line(char *line, OctetBiasRepair *repair) {
    char *at = line;
    double numbers[5];
    repair->channel = strtoll(line, &at, 10);
    bool good = at > line && *at == ' ' && repair->channel >= 0;
    for (int i = 0; good && i < 5; i++) {
        char *start = at;
        numbers[i] = strtod(start, &at);
        good = at > start && *at == ' ';
    }
    if (!good || at[1] == '\0' || !(numbers[4] >= INT32_MIN && numbers[4] <= INT32_MAX)) {
        return false;
    }
    repair->bias = (float)numbers[0];
    repair->scale_before = (float)numbers[1];
    repair->scale_after = (float)numbers[2];
    repair->bias_before = numbers[3];
    repair->bias_after = (int32_t)numbers[4];
    repair->node = at + 1;
    return true;
}

OctetStatus octet_graph_repairs(const OctetGraph *graph, OctetBiasRepair **repairs, size_t *count,
                                OctetDiagnostic *diagnostic) {
    const char *text = oct_graph_metadata(graph, repairs_key);
    size_t lines = 1;
    *repairs = NULL;
    *count = 0;
    if (!text) {
        return OCTET_OK;
    }
    for (const char *at = text; *at; at++) {
        lines += *at == '\n';
    }
    /* one block: the repairs, then the text that holds the nodes' names */
    size_t length = strlen(text), bytes;
    if (!oct_mul_size(lines, sizeof **repairs, &bytes) ||
        !oct_add_size(bytes, length + 1, &bytes) || !(*repairs = oct_alloc(bytes))) {
        return oct_fail_memory(diagnostic);
    }
    char *line = (char *)(*repairs + lines);
    memcpy(line, text, length + 1);
    while (line) {
        char *end = strchr(line, '\n');
        if (end) {
            *end = '\0';
        }
        *count += read_line(line, *repairs + *count) ? 1 : 0;
        line = end ? end + 1 : NULL;
    }
    return OCTET_OK;
}

void octet_repairs_free(OctetBiasRepair *repairs) {
    oct_free(repairs);
}
