#!/bin/sh
# Installs into an empty folder, static and shared, and builds an outside program both ways: with
# pkg-config and with CMake's package. Then proves that the shared library exports nothing but octet_
# and Octet names, needs few other libraries, and is small.
set -u
build=$(cd "${1:-build}" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() {
    name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        tail -20 "$work/log"
        failures=$((failures + 1))
    fi
}

# a sanitizer's build can't be linked by a stranger who does not use it
if grep -q 'CMAKE_C_FLAGS:.*fsanitize' "$build/CMakeCache.txt"; then
    echo "skipped: a sanitizer build is not installed"
    exit 0
fi

outside_pkg_config() {
    export PKG_CONFIG_PATH="$1/lib/pkgconfig:$1/lib/x86_64-linux-gnu/pkgconfig:$1/lib64/pkgconfig:$1/lib/aarch64-linux-gnu/pkgconfig"
    # shellcheck disable=SC2046
    cc -std=c17 -Wall -Werror "$source/tests/install/outside/outside.c" -o "$work/outside_pc" \
        $(pkg-config --cflags octet) $(pkg-config $2 --libs octet) &&
        LD_LIBRARY_PATH=$(pkg-config --variable=libdir octet) "$work/outside_pc"
}
outside_cmake() {
    rm -rf "$work/outside_build"
    cmake -S "$source/tests/install/outside" -B "$work/outside_build" -DCMAKE_PREFIX_PATH="$1" &&
        cmake --build "$work/outside_build" && "$work/outside_build/outside"
}
exports_only_octet() {
    library=$(find "$1" -name 'liboctet.so' | head -1)
    [ -n "$library" ] || return 1
    nm -D --defined-only "$library" | awk '{print $NF}' | grep -v '^\(octet_\|Octet\)' >"$work/names"
    cat "$work/names"
    [ ! -s "$work/names" ]
}
needs_little() {
    library=$(find "$1" -name 'liboctet.so' | head -1)
    ldd "$library" | awk '{print $1}' |
        grep -v '^\(linux-vdso\|libprotobuf-c\|libcpuinfo\|libpthreadpool\|libpthread\.so\|libm\|libc\|/lib\|ld-\)' \
            >"$work/names"
    cat "$work/names"
    [ ! -s "$work/names" ]
}
# at most 1.5 MB without its symbols
is_small() {
    library=$(find "$1" -name 'liboctet.so' | head -1)
    strip -o "$work/stripped" "$library" || return 1
    stat -c '%s bytes' "$work/stripped"
    [ "$(stat -c %s "$work/stripped")" -le 1500000 ]
}
headers_alone() {
    for header in "$1"/include/octet/*.h; do
        echo "#include <octet/$(basename "$header")>" >"$work/alone.c"
        cc -std=c17 -Wall -Wextra -Werror -I"$1/include" -fsyntax-only "$work/alone.c" || return 1
    done
    if command -v c++ >/dev/null; then
        echo '#include <octet/octet.h>' >"$work/alone.cpp"
        c++ -std=c++17 -Wall -I"$1/include" -fsyntax-only "$work/alone.cpp" || return 1
    fi
}

check install_static cmake --install "$build" --prefix "$work/static"
check static_pkg_config outside_pkg_config "$work/static" --static
check static_cmake outside_cmake "$work/static"
check headers_compile_alone headers_alone "$work/static"
check command_runs "$work/static/bin/octet" version
check man_page test -s "$work/static/share/man/man1/octet.1"
check configure_shared cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=ON -DOCTET_TESTS=OFF -DOCTET_EXAMPLES=OFF
check build_shared ninja -C "$work/build"
check install_shared cmake --install "$work/build" --prefix "$work/shared"
check shared_pkg_config outside_pkg_config "$work/shared" ""
check shared_cmake outside_cmake "$work/shared"
check exports_only_octet_names exports_only_octet "$work/shared"
check depends_on_little needs_little "$work/shared"
check stripped_library_is_small is_small "$work/shared"
[ $failures -eq 0 ]
