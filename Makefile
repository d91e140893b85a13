# The short way in. CMake does the work: see CMakePresets.json.
#   make demo     install what is missing, build, quantize a small network and show what was lost
#   make test     install what is missing, build, run all tests
#   make build    the command at build/octet, the library beside it
#   make bench    speed beside ONNX Runtime and oneDNN; writes docs/benchmarks.md
#   make conformance  ONNX's operator tests; writes docs/operators.md (with CASES=FOLDER also those
#                     that a later ONNX published: onnx/backend/test/data/node of VERSION's source)
#   make differential ORT=FOLDER  random graphs beside ONNX Runtime (npm's onnxruntime-node)
#   make format / lint / fuzz SECONDS=60 / parity / install
.PHONY: all build test demo bench format lint fuzz parity conformance differential install clean setup

SECONDS ?= 60
SOURCES = $(shell git ls-files '*.c' '*.h')

all: build

setup:
	@scripts/setup

build: setup
	@cmake --preset release >build.configure.log 2>&1 || { cat build.configure.log; exit 1; }
	@rm -f build.configure.log
	@ninja -C build --quiet

test: build
	@scripts/run_tests build

demo: build
	@examples/demo/run build/octet

install: build
	cmake --install build

bench:
	@scripts/setup bench
	@scripts/bench

parity: build
	@scripts/setup develop
	@/usr/bin/python3 scripts/parity.py build/octet

conformance: build
	@scripts/setup develop
	@/usr/bin/python3 scripts/conformance.py build/octet \
	  $(if $(CASES),--published $(VERSION) $(CASES))

differential: build
	@scripts/setup develop
	@/usr/bin/python3 scripts/integer_operators.py build/octet $(ORT)
	@/usr/bin/python3 scripts/differential.py build/octet $(ORT)

format:
	@scripts/setup ci
	clang-format -i $(SOURCES)

lint: build
	@scripts/setup ci
	clang-format --dry-run -Werror $(SOURCES)
	@scripts/lint build

fuzz:
	@scripts/setup ci
	@scripts/fuzz $(SECONDS)

clean:
	rm -rf build build-debug build-asan build-tsan build-clang build-fuzz build-arm
