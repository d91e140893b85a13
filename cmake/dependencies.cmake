# Everything comes from the system's packages (scripts/setup); nothing is downloaded here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(CPUINFO REQUIRED IMPORTED_TARGET libcpuinfo)
find_library(PTHREADPOOL_LIBRARY pthreadpool REQUIRED)
find_path(PTHREADPOOL_INCLUDE pthreadpool.h REQUIRED)
find_library(MATH_LIBRARY m REQUIRED)
