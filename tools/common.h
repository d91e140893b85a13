/* Options and steps that several commands share. */
#ifndef OCTET_TOOLS_COMMON_H
#define OCTET_TOOLS_COMMON_H

#include "limits.h"
#include "octet/data.h"
#include "octet/octet.h"
#include "options.h"

/* The key of a model's metadata under which its preprocessing is kept. */
#define PREPROCESS_KEY "octet.preprocess"

typedef struct GeneralOptions {
    bool json;
    bool quiet;
} GeneralOptions;
extern const Option general_options[];

typedef struct RunOptions {
    int64_t threads; /* 0: one a core */
    const char *requantize;
} RunOptions;
extern const Option thread_options[]; /* --threads alone */
extern const Option run_options[];
/* The mode that --requantize names. */
OctetRequantize run_requantize(const RunOptions *options);

typedef struct PreprocessOptions {
    const char *preset;
    const char *resize, *crop, *channels, *divide, *mean, *std;
} PreprocessOptions;
extern const Option preprocess_options[];

typedef struct DataOptions {
    int64_t samples; /* 0: all */
    bool strict;
} DataOptions;
extern const Option data_options[];

/* True if any option was given. */
bool preprocess_given(const PreprocessOptions *options);
/* Checks the options' values; 0 or an exit code after an error was printed. */
int preprocess_check(const char *command, const PreprocessOptions *options);
/* The preprocessing for `path`: the options' preset, else what `stored` says (a text, may be NULL),
 * else "unit" for images and "raw" for arrays, with the options' parts put over it. */
OctetStatus preprocess_resolve(const PreprocessOptions *options, const char *stored, bool images,
                               OctetPreprocess *preprocess, OctetDiagnostic *diagnostic);

/* Loads a model and folds and fuses what can be, ready to run. */
OctetStatus model_load(const char *path, OctetGraph **graph, OctetDiagnostic *diagnostic);
/* True for nodes that compute in int8, those included whose sums leave as floats: the last layer
 * before a float one needs no grid for its output. */
bool node_in_int8(const OctetNode *node);
/* What samples are read for; the names belong to the graph. Free with free(). real: integers at the
 * model's border stand for real numbers that preprocessing makes (border.h); else they are the data
 * themselves. */
OctetDataInput *model_inputs(const OctetGraph *graph, bool real, int32_t *count);
OctetStatus pool_create(const RunOptions *options, OctetThreadPool **pool,
                        OctetDiagnostic *diagnostic);
/* Fails if `path` could not be written later, so that nobody waits in vain. */
OctetStatus check_writable(const char *path, OctetDiagnostic *diagnostic);
/* Records a failure of this program's own. Returns `status`. */
OctetStatus fail(OctetDiagnostic *diagnostic, OctetStatus status, const char *file,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The index of the greatest of `count` values; the first of equal ones. NaN is never greatest. */
int64_t arg_max(const float *values, int64_t count);
/* Indices of the `most` greatest values in falling order; returns how many were written. */
int64_t top_values(const float *values, int64_t count, int64_t most, int64_t *indices);

#endif
