include(CMakePackageConfigHelpers)

install(TARGETS octet EXPORT octet_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS octet_data EXPORT octet_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET octet_command)
  set_target_properties(octet_command PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS octet_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/octet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
if(EXISTS ${PROJECT_SOURCE_DIR}/docs/octet.1)
  install(FILES docs/octet.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()

# A static library passes its own libraries on; a shared one keeps them to itself.
configure_package_config_file(cmake/octet-config.cmake.in octet-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
write_basic_package_version_file(octet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT octet_targets NAMESPACE octet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/octet-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/octet-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
# relative to the .pc file, so that `cmake --install --prefix` may choose another place
file(RELATIVE_PATH OCTET_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(package octet octet_data)
  configure_file(cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
