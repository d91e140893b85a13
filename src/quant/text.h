/* Text that grows. */
#ifndef OCT_QUANT_TEXT_H
#define OCT_QUANT_TEXT_H

#include "octet/status.h"

/* Zero-initialize; free `chars` with oct_free. Once out of memory it stays as it is and `failed`.
 */
typedef struct OctText {
    char *chars; /* terminated, or NULL while empty */
    size_t length, capacity;
    bool failed;
} OctText;

void oct_text_add(OctText *text, const char *added, size_t length);
void oct_text_put(OctText *text, const char *added);
void oct_text_repeat(OctText *text, char character, int64_t count);
/* Text of at most 400 characters. */
void oct_text_format(OctText *text, const char *format, ...) OCTET_PRINTF(2, 3);
/* A number as Python's repr writes it: the shortest digits that give the same double. */
void oct_text_repr(OctText *text, double value);

#endif
