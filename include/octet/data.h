/* Sample data: images, NumPy arrays, ONNX tensor files, labels, preprocessing. In the library
 * octet_data, apart from inference, since it needs libjpeg, libpng and zlib.
 * Everything that is read is taken as untrusted: sizes are checked and bounded. */
#ifndef OCTET_DATA_H
#define OCTET_DATA_H

#include "octet/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OCTET_MAX_CHANNELS 4
/* Images with more pixels are refused. */
#define OCTET_MAX_PIXELS 100000000

typedef enum OctetChannels {
    OCTET_CHANNELS_AUTO = 0, /* what the model's input has: RGB for 3 channels, gray for 1 */
    OCTET_CHANNELS_RGB = 1,
    OCTET_CHANNELS_BGR = 2,
    OCTET_CHANNELS_GRAY = 3 /* as Pillow's "L": 0.299 R + 0.587 G + 0.114 B, rounded */
} OctetChannels;

/* How an image becomes numbers: resize, center crop, order of channels, then for each value x
 * (x / divide - mean[c]) / std[c] in f32, each step rounded, c counting the model's channels.
 * Arrays get the last step alone. Zero-initialized it is not usable: start from a preset. */
typedef struct OctetPreprocess {
    int32_t resize_short;  /* > 0: the short side gets this length, the long one is scaled with it,
                              rounded to nearest (torchvision rounds down) */
    int32_t resize_width;  /* > 0 (with resize_height): exactly this size */
    int32_t resize_height; /* neither: an image is scaled to the model's input size */
    int32_t crop;          /* > 0: center crop to a square, offsets rounded down */
    OctetChannels channels;
    float divide;       /* not 0 */
    int32_t mean_count; /* 1: the same for all channels; else one a channel */
    int32_t std_count;
    float mean[OCTET_MAX_CHANNELS];
    float std[OCTET_MAX_CHANNELS];
    /* Arrays of floats are scaled too. False: they are taken as what the model wants, and only
     * arrays of integers are scaled. */
    bool float_arrays;
} OctetPreprocess;

/* "imagenet" (short side 256, crop 224, RGB, divide 255, mean 0.485,0.456,0.406, std
 * 0.229,0.224,0.225), "caffe" (256, 224, BGR, mean 104,117,123), "unit" (divide 255), "raw"
 * (nothing). False for any other name. */
OCTET_API bool octet_preprocess_preset(const char *name, OctetPreprocess *preprocess);
/* Sets one part. key: resize (N, WxH or none), crop (N or none), channels (rgb, bgr, gray or
 * auto), divide (a number), mean, std (1 to 4 numbers between commas), floats (0 or 1: see
 * float_arrays). */
OCTET_API OctetStatus octet_preprocess_set(OctetPreprocess *preprocess, const char *key,
                                           const char *value, OctetDiagnostic *diagnostic);
/* Writes a text such as "resize=256 crop=224 channels=rgb divide=255 mean=0.5,0.5,0.5" that
 * octet_preprocess_parse reads back exactly. Returns its length, as snprintf does. */
OCTET_API int octet_preprocess_format(const OctetPreprocess *preprocess, char *buffer, size_t size);
/* Reads a text of parts `key=value` and presets' names between spaces; the later ones override. */
OCTET_API OctetStatus octet_preprocess_parse(const char *text, OctetPreprocess *preprocess,
                                             OctetDiagnostic *diagnostic);

/* Reads a whole .npy file (versions 1 to 3, numbers and booleans of either byte order, C or
 * Fortran order). Free with octet_tensor_free. */
OCTET_API OctetStatus octet_npy_read(const char *path, OctetTensor **tensor,
                                     OctetDiagnostic *diagnostic);
/* Writes a .npy file, whole or not at all. bf16 is written as f32, 4-bit types as 8-bit ones. */
OCTET_API OctetStatus octet_npy_write(const char *path, const OctetTensor *tensor,
                                      OctetDiagnostic *diagnostic);

/* One input of the model that samples are read for. */
typedef struct OctetDataInput {
    const char *name;
    OctetDType dtype; /* what the tensors are to have; f32 makes preprocessing apply */
    OctetShape shape; /* unknown dimensions (below 0) and an unknown rank are fine */
} OctetDataInput;

/* True if the file's first bytes are a JPEG's or a PNG's. False too if it can't be read. */
OCTET_API bool octet_is_image(const char *path);
/* Reads one JPEG or PNG for `input`: 1xCxHxW or 1xHxWxC as its shape has the channels, f32 or
 * whatever input->dtype says. Palettes, gray, CMYK and 16 bits become 8-bit channels, alpha is
 * dropped, EXIF orientation ignored, all as Pillow's convert("RGB") has it. */
OCTET_API OctetStatus octet_image_read(const char *path, const OctetPreprocess *preprocess,
                                       const OctetDataInput *input, OctetTensor **tensor,
                                       OctetDiagnostic *diagnostic);
/* Makes `tensor` what `input` wants: scales as `preprocess` says, converts the type, gives it the
 * model's shape where only the grouping of dimensions or the batch differs. *tensor is replaced;
 * unchanged on failure. */
OCTET_API OctetStatus octet_array_prepare(OctetTensor **tensor, const OctetPreprocess *preprocess,
                                          const OctetDataInput *input, OctetDiagnostic *diagnostic);

/* Samples that are read when they are asked for; memory does not grow with their number. */
typedef struct OctetDataset OctetDataset;

typedef struct OctetDatasetOptions {
    const OctetDataInput *inputs; /* copied */
    int32_t input_count;
    OctetPreprocess preprocess;
    bool strict; /* an unreadable image is an error; else it is logged, counted and skipped */
} OctetDatasetOptions;

/* Opens
 * - an image, or a folder of JPEG and PNG files, in the order of their names;
 * - an .npy file whose first axis counts the samples;
 * - an .npz file or a folder of .npy files with one array per input name (in file names, "/" and
 *   ":" of a name may be "_"; a single array needs no name);
 * - a folder of ONNX test data: input_0.pb, input_1.pb, ..., or subfolders test_data_set_0, ...
 *   with these. */
OCTET_API OctetStatus octet_dataset_open(const char *path, const OctetDatasetOptions *options,
                                         OctetDataset **dataset, OctetDiagnostic *diagnostic);
OCTET_API int64_t octet_dataset_count(const OctetDataset *dataset);
/* The file's name without its folder for images, the subfolder's for ONNX test data, else NULL. */
OCTET_API const char *octet_dataset_sample_name(const OctetDataset *dataset, int64_t index);
/* True for images, false for arrays. */
OCTET_API bool octet_dataset_has_images(const OctetDataset *dataset);
/* True if the arrays hold floats, so that preprocessing needs float_arrays to apply. */
OCTET_API bool octet_dataset_has_floats(const OctetDataset *dataset);
/* Reads sample `index` into tensors[0 .. input_count), in the order of the inputs and each with a
 * batch of 1 (ONNX test data: with the batch in the file). The caller frees them. A skipped image
 * gives OCTET_OK and *skipped true, and no tensors. May be called from several threads. */
OCTET_API OctetStatus octet_dataset_read(OctetDataset *dataset, int64_t index,
                                         OctetTensor **tensors, bool *skipped,
                                         OctetDiagnostic *diagnostic);
/* How many reads were skipped so far. */
OCTET_API int64_t octet_dataset_skipped(const OctetDataset *dataset);
OCTET_API void octet_dataset_free(OctetDataset *dataset);

/* The true class of every sample: "class" or "file class" a line. */
typedef struct OctetLabels OctetLabels;
OCTET_API OctetStatus octet_labels_read(const char *path, OctetLabels **labels,
                                        OctetDiagnostic *diagnostic);
OCTET_API int64_t octet_labels_count(const OctetLabels *labels);
/* True if lines name their files. */
OCTET_API bool octet_labels_named(const OctetLabels *labels);
/* The class of the sample `name` (of its file name) where the file has names, else of the line
 * `index`. False if there is none. */
OCTET_API bool octet_labels_find(const OctetLabels *labels, const char *name, int64_t index,
                                 int64_t *label);
OCTET_API void octet_labels_free(OctetLabels *labels);

#ifdef __cplusplus
}
#endif
#endif
