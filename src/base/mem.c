#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef OCTET_BASE_COPY
/* Compiled into another shared library, which must use the allocator of liboctet. */
void *oct_realloc(void *pointer, size_t size) {
    return octet_reallocate(pointer, size);
}

void oct_free(void *pointer) {
    octet_release(pointer);
}
#else
static OctetReallocate custom_reallocate;
static OctetRelease custom_release;
static void *custom_user;

void octet_set_allocator(OctetReallocate reallocate, OctetRelease release, void *user) {
    bool both = reallocate != NULL && release != NULL;
    custom_reallocate = both ? reallocate : NULL;
    custom_release = both ? release : NULL;
    custom_user = both ? user : NULL;
}

void *oct_realloc(void *pointer, size_t size) {
    if (size == 0) {
        size = 1;
    }
    if (size > PTRDIFF_MAX) {
        return NULL;
    }
    return custom_reallocate ? custom_reallocate(pointer, size, custom_user)
                             : realloc(pointer, size);
}

void oct_free(void *pointer) {
    if (custom_release) {
        custom_release(pointer, custom_user);
    } else {
        free(pointer);
    }
}

void *octet_reallocate(void *pointer, size_t size) {
    return oct_realloc(pointer, size);
}

void octet_release(void *pointer) {
    oct_free(pointer);
}
#endif

void *oct_alloc(size_t size) {
    return oct_realloc(NULL, size);
}

void *oct_calloc(size_t count, size_t size) {
    size_t bytes;
    if (!oct_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX) {
        return NULL;
    }
#ifndef OCTET_BASE_COPY
    if (!custom_reallocate) {
        return calloc(bytes ? bytes : 1, 1); /* large blocks come zeroed from the system */
    }
#endif
    void *pointer = oct_realloc(NULL, bytes);
    if (pointer) {
        memset(pointer, 0, bytes);
    }
    return pointer;
}

char *oct_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = oct_alloc(size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

enum { ALIGNMENT = 64 };

static void *aligned(size_t size, bool zeroed) {
    size_t bytes;
    if (!oct_add_size(size, 2 * ALIGNMENT + sizeof(void *), &bytes)) {
        return NULL;
    }
    char *base = zeroed ? oct_calloc(1, bytes) : oct_alloc(bytes);
    if (!base) {
        return NULL;
    }
    uintptr_t address = (uintptr_t)base + sizeof(void *) + ALIGNMENT - 1;
    char *start = base + ((address & ~(uintptr_t)(ALIGNMENT - 1)) - (uintptr_t)base);
    memcpy(start - sizeof(void *), &base, sizeof base);
    if (!zeroed) {
        memset(start + size, 0, ALIGNMENT);
    }
    return start;
}

void *oct_aligned_alloc(size_t size) {
    return aligned(size, false);
}

void *oct_aligned_calloc(size_t size) {
    return aligned(size, true);
}

void oct_aligned_free(void *pointer) {
    if (pointer) {
        void *base;
        memcpy(&base, (char *)pointer - sizeof(void *), sizeof base);
        oct_free(base);
    }
}

#ifndef OCTET_BASE_COPY
enum { HUGE_PAGE = 2 << 20 };

/* AddressSanitizer watches what malloc gives, and nothing else. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_WATCHED true
#elif defined(__has_feature)
#define IS_WATCHED __has_feature(address_sanitizer)
#else
#define IS_WATCHED false
#endif

/* Pages at a multiple of HUGE_PAGE, what is around them given back. */
static void *huge_pages(size_t size) {
    size_t bytes;
    if (!oct_add_size(size, HUGE_PAGE, &bytes)) {
        return NULL;
    }
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    size_t before = (HUGE_PAGE - (uintptr_t)base % HUGE_PAGE) % HUGE_PAGE;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t end = before + (size + page - 1) / page * page;
    if (before > 0) {
        (void)munmap(base, before);
    }
    if (end < bytes) {
        (void)munmap(base + end, bytes - end);
    }
#ifdef MADV_HUGEPAGE
    (void)madvise(base + before, size, MADV_HUGEPAGE);
#endif
    return base + before;
}

void *oct_pages_alloc(size_t size) {
    if (custom_reallocate || IS_WATCHED) {
        return oct_aligned_calloc(size);
    }
    if (size >= HUGE_PAGE) {
        return huge_pages(size);
    }
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

size_t oct_pages_round(size_t size) {
    bool fits = size >= HUGE_PAGE / 2 && size <= PTRDIFF_MAX - HUGE_PAGE;
    return fits ? (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : size;
}

void oct_pages_free(void *pages, size_t size) {
    if (custom_release || IS_WATCHED) {
        oct_aligned_free(pages);
    } else if (pages) {
        (void)munmap(pages, size);
    }
}
#endif

bool oct_mul_size(size_t a, size_t b, size_t *product) {
    size_t result;
    if (__builtin_mul_overflow(a, b, &result)) {
        return false;
    }
    *product = result;
    return true;
}

bool oct_add_size(size_t a, size_t b, size_t *sum) {
    size_t result;
    if (__builtin_add_overflow(a, b, &result)) {
        return false;
    }
    *sum = result;
    return true;
}

bool oct_mul_i64(int64_t a, int64_t b, int64_t *product) {
    int64_t result;
    if (__builtin_mul_overflow(a, b, &result)) {
        return false;
    }
    *product = result;
    return true;
}

bool oct_grow(void *items_pointer, int32_t *capacity, int32_t needed, size_t element_size) {
    if (needed <= *capacity) {
        return true;
    }
    if (needed > INT32_MAX / 2) {
        return false;
    }
    int32_t next = *capacity < 8 ? 8 : *capacity * 2;
    if (next < needed) {
        next = needed;
    }
    void *items;
    memcpy(&items, items_pointer, sizeof items);
    size_t bytes;
    if (!oct_mul_size((size_t)next, element_size, &bytes)) {
        return false;
    }
    void *grown = oct_realloc(items, bytes);
    if (!grown) {
        return false;
    }
    memcpy(items_pointer, &grown, sizeof grown);
    *capacity = next;
    return true;
}
