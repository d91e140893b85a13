/* Files: reading with a size limit, and output that appears whole or not at all. */
#ifndef OCT_BASE_FILE_H
#define OCT_BASE_FILE_H

#include "octet/status.h"

/* Every failure names the file in the diagnostic. */

/* The failure that errno tells: "can't VERB the file". */
OctetStatus oct_file_fail(OctetDiagnostic *diagnostic, const char *path, const char *verb);

/* Reads a whole file of at most `limit` bytes (OCTET_ERROR_LIMIT if it has more). *data gets one
 * zero byte behind its end, so that text can be read as a string; free it with oct_free. Pipes
 * work too. */
OctetStatus oct_file_read(const char *path, size_t limit, uint8_t **data, size_t *bytes,
                          OctetDiagnostic *diagnostic);

/* A file open for reading at any place. Reading is thread-safe. */
typedef struct OctFile OctFile;
/* Regular files only. */
OctetStatus oct_file_open(const char *path, OctFile **file, OctetDiagnostic *diagnostic);
uint64_t oct_file_size(const OctFile *file);
const char *oct_file_path(const OctFile *file);
/* Reads exactly `bytes` bytes from `offset`; OCTET_ERROR_FORMAT if the file ends before. */
OctetStatus oct_file_read_at(const OctFile *file, uint64_t offset, void *buffer, size_t bytes,
                             OctetDiagnostic *diagnostic);
void oct_file_close(OctFile *file);

/* Writes a file without a name where the system has such (Linux, most file systems), else one
 * beside `path`, and puts it in place on commit: an error, a full disk or an interrupt leaves what
 * stood at `path` before, and death leaves nothing beside it, or (there, and for a moment while a
 * file is replaced) PATH.PID-N.tmp. A `path` that exists and is no regular file (a device, a pipe)
 * is written directly. A symbolic link is followed. */
typedef struct OctFileWriter OctFileWriter;
OctetStatus oct_file_writer_open(const char *path, OctFileWriter **writer,
                                 OctetDiagnostic *diagnostic);
OctetStatus oct_file_write(OctFileWriter *writer, const void *data, size_t bytes,
                           OctetDiagnostic *diagnostic);
/* Bytes written so far: the offset of the next write. */
uint64_t oct_file_writer_offset(const OctFileWriter *writer);
/* Flushes to the disk and renames. Call oct_file_writer_free afterwards in any case. */
OctetStatus oct_file_writer_commit(OctFileWriter *writer, OctetDiagnostic *diagnostic);
/* Commits a file and another one that refers to it, so that nobody ever finds the referring file
 * beside another data file than its own: where both replace files, the old referring one is removed
 * first. A crash leaves the old pair, no referring file, or the new pair. */
OctetStatus oct_file_writer_commit_pair(OctFileWriter *data, OctFileWriter *referring,
                                        OctetDiagnostic *diagnostic);
/* Removes what was written unless it was committed. NULL is accepted. */
void oct_file_writer_free(OctFileWriter *writer);

#endif
