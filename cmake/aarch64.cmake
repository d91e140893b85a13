# Cross building with Debian's compiler; the arm64 libraries lie in a folder of their own, which
# scripts/sysroot_aarch64 fills. Tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(OCTET_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build-aarch64/sysroot)
cmake_path(NORMAL_PATH OCTET_SYSROOT)
set(OCTET_SYSROOT_LIB ${OCTET_SYSROOT}/usr/lib/aarch64-linux-gnu)

set(CMAKE_FIND_ROOT_PATH ${OCTET_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${OCTET_SYSROOT_LIB}/pkgconfig:${OCTET_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${OCTET_SYSROOT})
# onnx.proto is text and the same everywhere; the build machine's will do
set(ONNX_PROTO_DIR /usr/include CACHE PATH "")
set(CMAKE_C_FLAGS_INIT "-isystem ${OCTET_SYSROOT}/usr/include/aarch64-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${OCTET_SYSROOT_LIB}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,-rpath-link,${OCTET_SYSROOT_LIB}")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu
  -E LD_LIBRARY_PATH=${OCTET_SYSROOT_LIB})
