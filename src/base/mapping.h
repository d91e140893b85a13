/* The bytes of a file in memory, read-only and shared by counting references. */
#ifndef OCT_BASE_MAPPING_H
#define OCT_BASE_MAPPING_H

#include "octet/status.h"

typedef struct OctMapping OctMapping;

/* Maps a regular file of at most `limit` bytes (OCTET_ERROR_LIMIT if it has more): its pages come
 * from the system's cache when they are first touched, and a file that is shortened in place
 * meanwhile kills the process (a file that is replaced by renaming does not). Small files, pipes
 * and, if `copy` is set, all files are read into memory instead. */
OctetStatus oct_mapping_open(const char *path, uint64_t limit, bool copy, OctMapping **mapping,
                             OctetDiagnostic *diagnostic);
const uint8_t *oct_mapping_data(const OctMapping *mapping);
size_t oct_mapping_bytes(const OctMapping *mapping);
/* The bytes that may be read from `data` on: to the end of the file's last page; 0 if `data` lies
 * outside of the file. */
size_t oct_mapping_room(const OctMapping *mapping, const void *data);
/* False where the bytes are a copy in memory. */
bool oct_mapping_is_mapped(const OctMapping *mapping);
OctMapping *oct_mapping_retain(OctMapping *mapping); /* NULL is fine, here and below */
void oct_mapping_release(OctMapping *mapping);

/* Maps all pages of [data, data + bytes) at once, which costs a third of having a few of them
 * mapped whenever one is touched. For what is going to be read. */
void oct_mapping_expect(const OctMapping *mapping, const void *data, size_t bytes);
/* Gives back the memory of the whole pages in [data, data + bytes); they are read again from the
 * file when they are touched again. */
void oct_mapping_forget(const OctMapping *mapping, const void *data, size_t bytes);

#endif
