# onnx.proto as libonnx-dev installs it, turned into C by protobuf-c at build time.
find_program(PROTOC_C NAMES protoc-c REQUIRED)
find_path(ONNX_PROTO_DIR onnx/onnx.proto REQUIRED)
set(ONNX_GENERATED ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${ONNX_GENERATED})
add_custom_command(
  OUTPUT ${ONNX_GENERATED}/onnx/onnx.pb-c.c ${ONNX_GENERATED}/onnx/onnx.pb-c.h
  COMMAND ${PROTOC_C} --c_out=${ONNX_GENERATED} --proto_path=${ONNX_PROTO_DIR} onnx/onnx.proto
  DEPENDS ${ONNX_PROTO_DIR}/onnx/onnx.proto
  VERBATIM)
add_library(octet_onnx_proto OBJECT ${ONNX_GENERATED}/onnx/onnx.pb-c.c)
target_include_directories(octet_onnx_proto SYSTEM PUBLIC ${ONNX_GENERATED})
target_link_libraries(octet_onnx_proto PRIVATE PkgConfig::PROTOBUF_C)
# the generated file is not ours to clean
target_compile_options(octet_onnx_proto PRIVATE -w)
