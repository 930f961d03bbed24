# A thin front for meson: each target says what it does when it runs. README.md lists the ones people use.
BUILD ?= build
FUZZ_SECONDS ?= 60
export SEXTANT = $(CURDIR)/$(BUILD)/sextant

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

# Installs the packages, builds, installs the default model, indexes FOLDER (the project's docs/) and answers a question.
quickstart:
	scripts/install-packages build
	$(MAKE) all
	scripts/install-model
	scripts/quickstart $(FOLDER)

model: all
	scripts/install-model

# Installs what the tests need and runs all of them; TEST=name runs one.
test:
	scripts/install-packages test
	meson setup $$([ -d $(BUILD) ] && echo --reconfigure) $(BUILD) >/dev/null
	$(MAKE) all
	scripts/install-model fp16
	scripts/install-openai-ranks
	scripts/run-tests $(TEST)

# Builds for 64-bit ARM and runs kernel and model tests on an emulated processor: no part of `make test`, because it takes some minutes.
test-arm:
	scripts/test-aarch64 $(TEST)

# Against embedding servers that others wrote: several GB are fetched, and it takes some minutes. Other tests of tests/real run when their parts are there.
test-real: all
	scripts/install-model fp16
	scripts/install-python-packages infinity litellm frameworks
	scripts/test-real $(TEST)

# Measures search quality on the evaluation sets in EVAL (default: ../shared/eval).
EVAL ?= ../shared/eval
eval: all
	python3 bench/eval.py --eval $(EVAL) --sextant $(SEXTANT)

# Each fuzz target for FUZZ_SECONDS seconds.
fuzz:
	scripts/install-packages test
	scripts/fuzz $(FUZZ_SECONDS)

# The long suite: kills, concurrent processes, big inputs and faulty services, for many rounds.
soak: all
	scripts/install-model
	python3 tests/crash/kill_loop.py --sextant $(SEXTANT) --rounds 200
	python3 tests/crash/many_processes.py --sextant $(SEXTANT) --seconds 300
	python3 -B tests/remote/test_faults.py $(SEXTANT) --texts 10000 --rate
	SX_TEST_MODEL=$$($(SEXTANT) models info minilm --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["folder"])') \
	  python3 -B tests/server/soak.py $(SEXTANT) --minutes 30

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build build-asan build-tsan build-fuzz build-aarch64 build-aarch64-root

.PHONY: all quickstart model test test-arm test-real eval fuzz soak install clean
