# liboctet (inference and quantization) and liboctet_data (images, arrays, reports).
# A file's folder or suffix says how it is compiled: src/kernels/x86/*_avx2.c and so on.

add_library(octet_flags INTERFACE)
target_compile_options(octet_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Werror
  -ffp-contract=off -fno-math-errno)
target_compile_definitions(octet_flags INTERFACE
  _GNU_SOURCE OCTET_VERSION_STRING="${PROJECT_VERSION}" $<$<BOOL:${OCTET_CHECKS}>:OCTET_CHECKS=1>)
target_include_directories(octet_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)

set(OCTET_OBJECTS)

function(octet_object_library name flags)
  if(NOT ARGN)
    return()
  endif()
  add_library(${name} OBJECT ${ARGN})
  target_link_libraries(${name} PRIVATE octet_flags)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include
    ${ONNX_GENERATED})
  target_include_directories(${name} SYSTEM PRIVATE ${PTHREADPOOL_INCLUDE})
  target_include_directories(${name} SYSTEM PRIVATE ${ONNX_GENERATED} ${PROTOBUF_C_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE OCTET_BUILDING)
  target_compile_options(${name} PRIVATE ${flags})
  set(OCTET_OBJECTS ${OCTET_OBJECTS} $<TARGET_OBJECTS:${name}> PARENT_SCOPE)
endfunction()

file(GLOB OCTET_CORE CONFIGURE_DEPENDS
  src/base/*.c src/quant/*.c src/ir/*.c src/onnx/*.c src/passes/*.c src/kernels/*.c src/ops/*.c
  src/engine/*.c src/functional/*.c src/ptq/*.c src/emit/*.c)
octet_object_library(octet_core "" ${OCTET_CORE})
# The library is to stay small: only kernels are unrolled and specialized as -O3 does, and nothing
# unwinds its frames.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  file(GLOB OCTET_VALUES CONFIGURE_DEPENDS src/base/*.c src/quant/*.c src/ops/*.c)
  file(GLOB OCTET_OPENING CONFIGURE_DEPENDS src/ir/*.c src/onnx/*.c src/passes/*.c src/engine/*.c)
  file(GLOB OCTET_SELDOM CONFIGURE_DEPENDS src/onnx/export*.c src/functional/*.c src/ptq/*.c
    src/onnx/import_old.c src/onnx/import_experimental.c src/onnx/import_modernize.c
    src/onnx/import_function.c src/onnx/attribute_types.c
    src/ir/builder.c src/ir/findings.c src/ir/inspect.c src/ir/extract.c src/ir/edit.c
    src/passes/*.c src/quant/*config*.c src/quant/format.c src/quant/text.c
    src/quant/observer_options.c
    src/engine/tell.c src/engine/sequence.c src/engine/scan.c src/engine/control.c
    src/ops/query.c src/ops/ngrams.c src/ops/control.c src/ops/sequence.c src/ops/custom.c
    src/ops/reshape.c src/ops/signal.c src/ops/signal_windows.c src/ops/random.c src/ops/loss.c
    src/ops/unique.c)
  set_source_files_properties(${OCTET_VALUES} PROPERTIES COMPILE_OPTIONS
    "-O2;$<$<C_COMPILER_ID:GNU>:-fvect-cost-model=dynamic>")
  set_source_files_properties(${OCTET_OPENING} PROPERTIES COMPILE_OPTIONS -O2)
  set_source_files_properties(${OCTET_SELDOM} PROPERTIES COMPILE_OPTIONS -Os)
  target_compile_options(octet_flags INTERFACE -fno-asynchronous-unwind-tables)
endif()
add_dependencies(octet_core octet_onnx_proto)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(GLOB OCTET_AVX2 CONFIGURE_DEPENDS src/kernels/x86/*_avx2.c)
  file(GLOB OCTET_AVXVNNI CONFIGURE_DEPENDS src/kernels/x86/*_avxvnni.c)
  file(GLOB OCTET_AVX512 CONFIGURE_DEPENDS src/kernels/x86/*_avx512vnni.c)
  set(AVX2_FLAGS -mavx2 -mfma -mf16c -mbmi2)
  octet_object_library(octet_avx2 "${AVX2_FLAGS}" ${OCTET_AVX2})
  octet_object_library(octet_avxvnni "${AVX2_FLAGS};-mavxvnni" ${OCTET_AVXVNNI})
  octet_object_library(octet_avx512
    "${AVX2_FLAGS};-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni;-mprefer-vector-width=512"
    ${OCTET_AVX512})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  file(GLOB OCTET_NEON CONFIGURE_DEPENDS src/kernels/arm/*_neon.c)
  file(GLOB OCTET_NEONDOT CONFIGURE_DEPENDS src/kernels/arm/*_neondot.c)
  octet_object_library(octet_neon "" ${OCTET_NEON})
  octet_object_library(octet_neondot "-march=armv8.2-a+dotprod" ${OCTET_NEONDOT})
endif()

add_library(octet ${OCTET_OBJECTS} $<TARGET_OBJECTS:octet_onnx_proto>)
target_include_directories(octet PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(octet PRIVATE PkgConfig::PROTOBUF_C PkgConfig::CPUINFO
  ${PTHREADPOOL_LIBRARY} Threads::Threads ${MATH_LIBRARY})
set_target_properties(octet PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

# Readers of images and arrays, kept apart so that inference needs none of their libraries.
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
file(GLOB OCTET_DATA CONFIGURE_DEPENDS src/data/*.c)
if(OCTET_DATA)
  set(OCTET_DATA_SOURCES ${OCTET_DATA})
  if(BUILD_SHARED_LIBS)
    # liboctet hides its internals; those that the readers need are compiled in once more, hidden,
    # with liboctet's allocator and log
    list(APPEND OCTET_DATA_SOURCES src/base/arena.c src/base/convert.c src/base/diag.c
      src/base/dtype.c src/base/file.c src/base/file_writer.c src/base/float8.c src/base/mapping.c
      src/base/mem.c src/base/patience.c src/base/shape.c src/base/tensor.c)
  endif()
  add_library(octet_data ${OCTET_DATA_SOURCES})
  set_source_files_properties(${OCTET_DATA} PROPERTIES COMPILE_DEFINITIONS OCTET_BUILDING)
  target_link_libraries(octet_data PRIVATE $<BUILD_INTERFACE:octet_flags> PUBLIC octet
    PRIVATE JPEG::JPEG PNG::PNG ZLIB::ZLIB ${MATH_LIBRARY})
  if(BUILD_SHARED_LIBS)
    target_compile_definitions(octet_data PRIVATE OCTET_BASE_COPY)
    set_target_properties(octet_data PROPERTIES VERSION ${PROJECT_VERSION}
      SOVERSION ${PROJECT_VERSION_MAJOR})
  endif()
endif()
