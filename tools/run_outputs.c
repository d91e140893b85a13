#include "run_outputs.h"

#include "border.h"
#include "common.h"
#include "metrics.h"
#include "report.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

OctetStatus class_names_read(const char *path, ClassNames *names, OctetDiagnostic *diagnostic) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    if (!file) {
        return fail(diagnostic, OCTET_ERROR_IO, path, "can't open the file");
    }
    for (ssize_t length; (length = getline(&line, &size, file)) >= 0;) {
        while (length > 0 && isspace((unsigned char)line[length - 1])) {
            line[--length] = '\0';
        }
        char **grown = realloc(names->items, (size_t)(names->count + 1) * sizeof(*grown));
        if (!grown) {
            die_out_of_memory();
        }
        names->items = grown;
        names->items[names->count++] = checked_strdup(line);
    }
    free(line);
    fclose(file);
    return OCTET_OK;
}

void class_names_release(ClassNames *names) {
    for (int64_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
    *names = (ClassNames){0};
}

/* How many classes an output scores for each sample; 0 for other outputs. */
static int64_t classes_of(const OctetTensor *tensor) {
    int64_t count;
    if (!is_scores(&tensor->shape) || !octet_shape_count(&tensor->shape, &count) || count == 0) {
        return 0;
    }
    return tensor->shape.rank > 1 ? count / tensor->shape.dims[0] : count;
}

static const char *class_name(const ClassNames *names, int64_t index) {
    return index < names->count ? names->items[index] : "";
}

static json_t *json_top(const RunOutputs *outputs, const float *scores, int64_t classes) {
    int64_t best[5];
    int64_t found = top_values(scores, classes, 5, best);
    json_t *array = json_new_array();
    for (int64_t k = 0; k < found; k++) {
        json_t *entry = json_new_object();
        json_add(entry, "class", json_integer(best[k]));
        if (outputs->names->items) {
            json_add(entry, "name", json_text(class_name(outputs->names, best[k])));
        }
        json_add(entry, "score", json_number((double)scores[best[k]]));
        json_push(array, entry);
    }
    return array;
}

static json_t *json_output(const RunOutputs *outputs, size_t index, const float *values,
                           int64_t count) {
    const OctetTensor *tensor = outputs->tensors[index];
    json_t *object = json_new_object();
    json_add(object, "name",
             json_text(octet_value_name(octet_graph_output_at(outputs->graph, index))));
    json_add(object, "dtype", json_text(octet_dtype_name(tensor->dtype)));
    json_add(object, "shape", json_shape(outputs->graph, &tensor->shape));
    int64_t classes = classes_of(tensor);
    if (classes > 0) {
        json_t *samples = json_new_array();
        for (int64_t i = 0; i + classes <= count; i += classes) {
            json_push(samples, json_top(outputs, values + i, classes));
        }
        json_add(object, "top5", samples);
    }
    return object;
}

static void print_top(const RunOutputs *outputs, const float *scores, int64_t classes) {
    int64_t best[5];
    int64_t found = top_values(scores, classes, 5, best);
    for (int64_t k = 0; k < found; k++) {
        printf("  %6lld  %-12.6g %s\n", (long long)best[k], (double)scores[best[k]],
               class_name(outputs->names, best[k]));
    }
}

static void print_output(const RunOutputs *outputs, size_t index, const float *values,
                         int64_t count) {
    enum { SAMPLES_SHOWN = 10 };
    const OctetTensor *tensor = outputs->tensors[index];
    char shape[160];
    octet_shape_format(&tensor->shape, shape, sizeof shape);
    printf("%s  %s %s", octet_value_name(octet_graph_output_at(outputs->graph, index)),
           octet_dtype_name(tensor->dtype), shape);
    int64_t classes = classes_of(tensor);
    if (classes == 0 && count > 0) {
        double sum = 0;
        float least = values[0], most = values[0];
        for (int64_t i = 0; i < count; i++) {
            sum += (double)values[i];
            least = values[i] < least ? values[i] : least;
            most = values[i] > most ? values[i] : most;
        }
        printf("  from %.6g to %.6g, mean %.6g", (double)least, (double)most, sum / (double)count);
    }
    putchar('\n');
    int64_t samples = classes > 0 ? count / classes : 0;
    for (int64_t i = 0; i < samples && i < SAMPLES_SHOWN; i++) {
        if (samples > 1) {
            printf(" sample %lld\n", (long long)i);
        }
        print_top(outputs, values + i * classes, classes);
    }
    if (samples > SAMPLES_SHOWN) {
        printf(" and %lld more samples\n", (long long)(samples - SAMPLES_SHOWN));
    }
}

OctetStatus outputs_print_text(const RunOutputs *outputs, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < outputs->count; i++) {
        OctetTensor *made = NULL;
        const float *values = NULL;
        int64_t count = 0;
        status = border_floats(outputs->graph, i, outputs->tensors[i], &values, &count, &made,
                               diagnostic);
        if (status == OCTET_OK) {
            print_output(outputs, i, values, count);
        }
        octet_tensor_free(made);
    }
    return status;
}

OctetStatus outputs_print_json(const RunOutputs *outputs, OctetDiagnostic *diagnostic) {
    json_t *array = json_new_array();
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < outputs->count; i++) {
        OctetTensor *made = NULL;
        const float *values = NULL;
        int64_t count = 0;
        status = border_floats(outputs->graph, i, outputs->tensors[i], &values, &count, &made,
                               diagnostic);
        if (status == OCTET_OK) {
            json_push(array, json_output(outputs, i, values, count));
        }
        octet_tensor_free(made);
    }
    json_t *object = json_new_object();
    json_add(object, "outputs", array);
    json_add(object, "seconds", json_number(outputs->seconds));
    if (status == OCTET_OK) {
        json_print(object);
    } else {
        json_decref(object);
    }
    return status;
}
