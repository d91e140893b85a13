#include "quant/float_bins.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SHIFT = 15, SIGN_PAGE = 256, PAGE_BITS = 8, BINS = OCT_FLOAT_BIN_PAGES << PAGE_BITS };
/* The exponent of infinities and NaN: its page is never made. */
enum { NOT_FINITE = 255, CHUNK = 1024 };

void oct_float_bins_clear(OctFloatBins *bins) {
    for (int32_t i = 0; i < OCT_FLOAT_BIN_PAGES; i++) {
        oct_free(bins->pages[i]);
        bins->pages[i] = NULL;
    }
}

static int64_t *page_of(OctFloatBins *bins, uint32_t page) {
    if (!bins->pages[page]) {
        bins->pages[page] = oct_calloc(OCT_FLOAT_BIN_PAGE, sizeof *bins->pages[page]);
    }
    return bins->pages[page];
}

bool oct_float_bins_add(OctFloatBins *bins, const float *values, int64_t count) {
    uint32_t index[CHUNK];
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t length = count - first < CHUNK ? count - first : CHUNK;
        for (int64_t i = 0; i < length; i++) {
            float value = values[first + i] + 0.0F; /* -0 becomes 0 */
            memcpy(&index[i], &value, sizeof value);
            index[i] >>= SHIFT;
        }
        for (int64_t i = 0; i < length; i++) {
            int64_t *page = bins->pages[index[i] >> PAGE_BITS];
            if (!page) {
                if (((index[i] >> PAGE_BITS) & NOT_FINITE) == NOT_FINITE) {
                    continue;
                }
                page = page_of(bins, index[i] >> PAGE_BITS);
                if (!page) {
                    return false;
                }
            }
            page[index[i] & (OCT_FLOAT_BIN_PAGE - 1)]++;
        }
    }
    return true;
}

bool oct_float_bins_add_count(OctFloatBins *bins, int32_t index, int64_t count) {
    int64_t *page = page_of(bins, (uint32_t)index >> PAGE_BITS);
    if (page) {
        page[index & (OCT_FLOAT_BIN_PAGE - 1)] += count;
    }
    return page != NULL;
}

bool oct_float_bins_merge(OctFloatBins *bins, const OctFloatBins *other) {
    for (uint32_t p = 0; p < OCT_FLOAT_BIN_PAGES; p++) {
        if (!other->pages[p]) {
            continue;
        }
        int64_t *page = page_of(bins, p);
        if (!page) {
            return false;
        }
        for (int32_t i = 0; i < OCT_FLOAT_BIN_PAGE; i++) {
            page[i] += other->pages[p][i];
        }
    }
    return true;
}

/* The least magnitude of a bin, given as index without the sign; the first of the bin above it is
 * its greatest. */
static double magnitude(uint32_t index) {
    uint32_t bits = index << SHIFT;
    float value;
    memcpy(&value, &bits, sizeof value);
    return isfinite(value) ? (double)value : (double)FLT_MAX;
}

static OctFloatBin make_bin(uint32_t index, int64_t count, float minimum, float maximum) {
    bool negative = index >= BINS / 2;
    uint32_t unsigned_index = negative ? index - BINS / 2 : index;
    OctFloatBin bin = {.count = count};
    if (unsigned_index != 0) {
        double inner = magnitude(unsigned_index), outer = magnitude(unsigned_index + 1);
        bin.low = fmax(negative ? -outer : inner, (double)minimum);
        bin.high = fmin(negative ? -inner : outer, (double)maximum);
    }
    return bin;
}

/* Appends the bins of one page, downward for negative values. */
static int64_t list_page(const OctFloatBins *bins, uint32_t page, float minimum, float maximum,
                         OctFloatBin *list) {
    int64_t found = 0;
    for (uint32_t i = 0; bins->pages[page] && i < OCT_FLOAT_BIN_PAGE; i++) {
        uint32_t entry = page >= SIGN_PAGE ? OCT_FLOAT_BIN_PAGE - 1 - i : i;
        int64_t count = bins->pages[page][entry];
        if (count > 0) {
            if (list) {
                list[found] = make_bin((page << PAGE_BITS) + entry, count, minimum, maximum);
            }
            found++;
        }
    }
    return found;
}

/* All pages in ascending order of value; only counts when list is NULL. */
static int64_t list_pages(const OctFloatBins *bins, float minimum, float maximum,
                          OctFloatBin *list) {
    int64_t found = 0;
    for (uint32_t p = OCT_FLOAT_BIN_PAGES; p-- > SIGN_PAGE;) {
        found += list_page(bins, p, minimum, maximum, list ? list + found : NULL);
    }
    for (uint32_t p = 0; p < SIGN_PAGE; p++) {
        found += list_page(bins, p, minimum, maximum, list ? list + found : NULL);
    }
    return found;
}

OctFloatBin *oct_float_bins_list(const OctFloatBins *bins, float minimum, float maximum,
                                 int64_t *count) {
    *count = list_pages(bins, minimum, maximum, NULL);
    OctFloatBin *list = oct_calloc((size_t)*count, sizeof *list);
    if (list) {
        list_pages(bins, minimum, maximum, list);
    }
    return list;
}
