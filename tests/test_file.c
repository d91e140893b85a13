/* Reading files within limits; output that appears whole or not at all. */
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/octet-file-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int entries(void) {
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(stream);
    return count;
}

static int empty_folder(void **state) {
    (void)state;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;) {
        unlink(in_folder(entry->d_name));
    }
    closedir(stream);
    return rmdir(folder);
}

static void write_file(const char *path, const char *text, size_t repeats) {
    OctFileWriter *writer;
    assert_int_equal(oct_file_writer_open(path, &writer, NULL), OCTET_OK);
    for (size_t i = 0; i < repeats; i++) {
        assert_int_equal(oct_file_write(writer, text, strlen(text), NULL), OCTET_OK);
    }
    assert_int_equal(oct_file_writer_offset(writer), strlen(text) * repeats);
    assert_int_equal(oct_file_writer_commit(writer, NULL), OCTET_OK);
    oct_file_writer_free(writer);
}

static void test_round_trip(void **state) {
    (void)state;
    const size_t repeats = 50000; /* several write buffers */
    write_file(in_folder("a"), "0123456789", repeats);
    uint8_t *data;
    size_t bytes;
    assert_int_equal(oct_file_read(in_folder("a"), SIZE_MAX, &data, &bytes, NULL), OCTET_OK);
    assert_int_equal(bytes, 10 * repeats);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(data[i], '0' + (int)(i % 10));
    }
    assert_int_equal(data[bytes], 0);
    oct_free(data);

    OctFile *file;
    char part[6] = {0};
    assert_int_equal(oct_file_open(in_folder("a"), &file, NULL), OCTET_OK);
    assert_int_equal(oct_file_size(file), 10 * repeats);
    assert_int_equal(oct_file_read_at(file, 123457, part, 5, NULL), OCTET_OK);
    assert_string_equal(part, "78901");
    assert_int_equal(oct_file_read_at(file, 10 * repeats - 4, part, 5, NULL), OCTET_ERROR_FORMAT);
    assert_int_equal(oct_file_read_at(file, UINT64_MAX, part, 5, NULL), OCTET_ERROR_FORMAT);
    oct_file_close(file);
    assert_int_equal(entries(), 1);
}

static void test_limits(void **state) {
    (void)state;
    write_file(in_folder("a"), "0123456789", 1);
    uint8_t *data;
    size_t bytes;
    assert_int_equal(oct_file_read(in_folder("a"), 10, &data, &bytes, NULL), OCTET_OK);
    oct_free(data);
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(oct_file_read(in_folder("a"), 9, &data, &bytes, &diagnostic),
                     OCTET_ERROR_LIMIT);
    assert_non_null(strstr(diagnostic.message, "10 bytes"));
    assert_string_equal(diagnostic.file, in_folder("a"));
    /* a file without a size of its own */
    assert_int_equal(oct_file_read("/dev/zero", 3000000, &data, &bytes, NULL), OCTET_ERROR_LIMIT);
    assert_int_equal(oct_file_read("/proc/self/status", 1 << 20, &data, &bytes, NULL), OCTET_OK);
    assert_true(bytes > 0);
    oct_free(data);
}

static void test_missing(void **state) {
    (void)state;
    OctetDiagnostic diagnostic = {0};
    uint8_t *data;
    size_t bytes;
    OctFile *file;
    OctFileWriter *writer;
    assert_int_equal(oct_file_read(in_folder("none"), 9, &data, &bytes, &diagnostic),
                     OCTET_ERROR_IO);
    assert_non_null(strstr(diagnostic.message, "No such file"));
    assert_int_equal(oct_file_open(folder, &file, NULL), OCTET_ERROR_IO);
    assert_null(file);
    assert_int_equal(oct_file_writer_open(folder, &writer, NULL), OCTET_ERROR_IO);
    assert_int_equal(oct_file_writer_open(in_folder("none/x"), &writer, NULL), OCTET_ERROR_IO);
    assert_null(writer);
}

/* What stood there before survives everything but a commit. */
static void test_abandoned(void **state) {
    (void)state;
    write_file(in_folder("a"), "before", 1);
    int count = entries();
    OctFileWriter *writer;
    assert_int_equal(oct_file_writer_open(in_folder("a"), &writer, NULL), OCTET_OK);
    assert_int_equal(oct_file_write(writer, "after", 5, NULL), OCTET_OK);
    assert_true(entries() <= count + 1); /* it has a name already, or none yet */
    oct_file_writer_free(writer);
    assert_int_equal(entries(), count);
    uint8_t *data;
    size_t bytes;
    assert_int_equal(oct_file_read(in_folder("a"), 99, &data, &bytes, NULL), OCTET_OK);
    assert_string_equal((char *)data, "before");
    oct_free(data);
}

static void test_full_disk(void **state) {
    (void)state;
    OctetDiagnostic diagnostic = {0};
    OctFileWriter *writer;
    assert_int_equal(oct_file_writer_open("/dev/full", &writer, NULL), OCTET_OK);
    assert_int_equal(oct_file_write(writer, "text", 4, NULL), OCTET_OK);
    assert_int_equal(oct_file_writer_commit(writer, &diagnostic), OCTET_ERROR_IO);
    assert_non_null(strstr(diagnostic.message, "No space left"));
    oct_file_writer_free(writer);
}

static void test_link_and_mode(void **state) {
    (void)state;
    write_file(in_folder("a"), "before", 1);
    assert_int_equal(chmod(in_folder("a"), 0640), 0);
    char target[320];
    snprintf(target, sizeof target, "%s", in_folder("a"));
    assert_int_equal(symlink(target, in_folder("link")), 0);
    write_file(in_folder("link"), "after", 1);
    struct stat info;
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(target, &info), 0);
    assert_int_equal(info.st_size, 5);
    assert_int_equal(info.st_mode & 0777, 0640);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_full_disk),  cmocka_unit_test(test_link_and_mode),
    };
    return cmocka_run_group_tests(tests, make_folder, empty_folder);
}
