# libFuzzer targets: cmake --preset fuzz, then scripts/fuzz SECONDS.
if(OCTET_FUZZ)
  file(GLOB OCTET_FUZZ_FILES CONFIGURE_DEPENDS fuzz/fuzz_*.c)
  foreach(file ${OCTET_FUZZ_FILES})
    get_filename_component(name ${file} NAME_WE)
    # the readers of data know nothing of protobuf
    if(name MATCHES "^fuzz_data_")
      add_executable(${name} ${file})
      target_link_libraries(${name} PRIVATE octet_flags octet_data_internal)
    else()
      add_executable(${name} ${file} fuzz/onnx_mutator.c fuzz/onnx_insert.c)
      target_link_libraries(${name} PRIVATE octet_flags octet_internal)
    endif()
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  endforeach()
  add_executable(fuzz_seeds fuzz/seeds.c)
  target_link_libraries(fuzz_seeds PRIVATE octet_flags octet_test_flags octet_internal
    PkgConfig::CMOCKA)
  # a main of its own beside instrumented objects
  target_link_options(fuzz_seeds PRIVATE -fsanitize=fuzzer-no-link)
endif()
