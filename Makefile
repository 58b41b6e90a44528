# The two commands: `make demo` and `make test`. Each sets everything up on a machine that has only
# Python 3.11 or newer and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/ready
OUT ?= out
ARM64 ?= build/arm64

.PHONY: demo test check unit test-android test-arm64 clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "edgevit needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[all,test]' -c constraints.txt
	touch $@

demo: $(READY)
	$(BIN)/edgevit convert efficientmod_xxs --to executorch,tflite,coreml,onnx -o $(OUT)
	$(BIN)/edgevit profile $(OUT)/efficientmod_xxs.* --threads 1 --html $(OUT)/profile.html
	$(BIN)/python examples/photographs.py $(OUT)/photographs
	$(BIN)/edgevit classify $(OUT)/efficientmod_xxs.tflite $(OUT)/photographs/*.jpg
	$(BIN)/python examples/digits.py $(OUT)/digits

test: check unit

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed
	$(BIN)/uv build -q --wheel --out-dir build/typed --python $(BIN)/python
	$(BIN)/python -m zipfile -e build/typed/*.whl build/typed/wheel
	$(BIN)/mypy --config-file pyproject.toml --python-executable $(BIN)/python build/typed/wheel/edgevit

unit: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not android"

# Builds the Android app and tests it on a JVM, and behind real adb. Minutes, and 600 MB from Maven the first time; so
# `make test` leaves it out, by the marker `android`.
test-android: $(READY)
	$(BIN)/python -m pytest -m android tests/android tests/devices

# Needs Debian's qemu-user-static and openssh-server; the emulated Python is made once.
test-arm64: $(READY)
	$(BIN)/python tests/arm64/rootfs.py $(ARM64)
	EDGEVIT_ARM64=$(ARM64) $(BIN)/python -m pytest tests/arm64
	cat $(ARM64)/agreement.txt

clean:
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache android_demo/target
