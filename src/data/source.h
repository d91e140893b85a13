/* Bytes to read at any place: a file, or an entry of a zip archive. */
#ifndef OCT_DATA_SOURCE_H
#define OCT_DATA_SOURCE_H

#include "base/file.h"

typedef struct OctSource OctSource;

/* A whole file. */
OctetStatus oct_source_open(const char *path, OctSource **source, OctetDiagnostic *diagnostic);
/* A window of a file that must outlive the source. `unpacked` bytes; deflated: `packed` bytes of a
 * raw deflate stream, else the two are the same. `name` is copied, for messages. */
OctetStatus oct_source_window(OctFile *file, const char *name, uint64_t offset, uint64_t packed,
                              uint64_t unpacked, bool deflated, OctSource **source,
                              OctetDiagnostic *diagnostic);
uint64_t oct_source_size(const OctSource *source);
/* The file's path, and for an entry "path: entry". */
const char *oct_source_name(const OctSource *source);
/* Reads exactly `bytes` bytes. Thread-safe. Reading a deflated source forward is cheap; going back
 * starts it again. */
OctetStatus oct_source_read_at(OctSource *source, uint64_t offset, void *buffer, size_t bytes,
                               OctetDiagnostic *diagnostic);
void oct_source_free(OctSource *source);

/* The entries of a zip archive, stored or deflated; zip64 too. */
typedef struct OctZip OctZip;
OctetStatus oct_zip_open(const char *path, OctZip **zip, OctetDiagnostic *diagnostic);
int32_t oct_zip_count(const OctZip *zip);
const char *oct_zip_name(const OctZip *zip, int32_t index);
/* The archive must outlive the source. */
OctetStatus oct_zip_entry(const OctZip *zip, int32_t index, OctSource **source,
                          OctetDiagnostic *diagnostic);
void oct_zip_free(OctZip *zip);

#endif
