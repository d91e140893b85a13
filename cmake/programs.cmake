# The command, the examples, the tests.
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

file(GLOB OCTET_TOOL CONFIGURE_DEPENDS tools/*.c)
if(OCTET_TOOL)
  add_executable(octet_command ${OCTET_TOOL})
  set_target_properties(octet_command PROPERTIES OUTPUT_NAME octet
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_compile_definitions(octet_command PRIVATE _GNU_SOURCE)
  target_link_libraries(octet_command PRIVATE octet_flags octet_data octet PkgConfig::JANSSON
    ${CMAKE_DL_LIBS} ${MATH_LIBRARY})
endif()

if(OCTET_EXAMPLES)
  file(GLOB OCTET_EXAMPLE_FILES CONFIGURE_DEPENDS examples/*.c)
  foreach(file ${OCTET_EXAMPLE_FILES})
    get_filename_component(name ${file} NAME_WE)
    add_executable(example_${name} ${file})
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
    target_compile_options(example_${name} PRIVATE -Wall -Wextra -Wconversion -Werror)
    target_link_libraries(example_${name} PRIVATE octet_data octet ${MATH_LIBRARY})
  endforeach()
  # a plugin needs Octet's headers only
  add_library(example_plugin MODULE examples/plugin/scaled.c)
  set_target_properties(example_plugin PROPERTIES OUTPUT_NAME scaled PREFIX ""
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
  target_include_directories(example_plugin PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(example_plugin PRIVATE -Wall -Wextra -Wconversion -Werror)
endif()

# Tests reach internals, so they link the objects and not the library with its hidden symbols.
if(OCTET_TESTS)
  enable_testing()
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
  add_library(octet_internal STATIC ${OCTET_OBJECTS} $<TARGET_OBJECTS:octet_onnx_proto>)
  target_link_libraries(octet_internal PUBLIC PkgConfig::PROTOBUF_C PkgConfig::CPUINFO
    ${PTHREADPOOL_LIBRARY} Threads::Threads ${MATH_LIBRARY})
  target_include_directories(octet_internal SYSTEM PUBLIC ${ONNX_GENERATED})
  target_include_directories(octet_internal PUBLIC ${PROJECT_SOURCE_DIR}/include
    ${PROJECT_SOURCE_DIR}/src)
  if(OCTET_DATA)
    add_library(octet_data_internal STATIC ${OCTET_DATA})
    target_link_libraries(octet_data_internal PRIVATE octet_flags PUBLIC octet_internal
      JPEG::JPEG PNG::PNG ZLIB::ZLIB)
  endif()
  # cmocka's headers and the size_t casts of test data are not worth the noise of -Wconversion;
  # a library's flags come after the target's own, so only another library can take one back
  add_library(octet_test_flags INTERFACE)
  target_compile_options(octet_test_flags INTERFACE -Wno-conversion)
  file(GLOB OCTET_TEST_FILES CONFIGURE_DEPENDS tests/test_*.c)
  foreach(file ${OCTET_TEST_FILES})
    get_filename_component(name ${file} NAME_WE)
    add_executable(${name} ${file})
    target_link_libraries(${name} PRIVATE octet_flags octet_test_flags octet_internal PkgConfig::CMOCKA)
    if(TARGET octet_data_internal)
      target_link_libraries(${name} PRIVATE octet_data_internal PkgConfig::JANSSON)
    endif()
    target_compile_definitions(${name} PRIVATE OCTET_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
      OCTET_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${name} COMMAND ${name})
    # these run the command itself
    if(name MATCHES "^test_cli" AND TARGET octet_command)
      add_dependencies(${name} octet_command)
      if(TARGET example_plugin)
        add_dependencies(${name} example_plugin)
      endif()
    endif()
  endforeach()
endif()
