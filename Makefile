# woofstream: build, install, demo and test. See README.md; every target works in a fresh clone.

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo
# 1: a binary without shared libraries and at a fixed address, which starts fastest and runs in any container. 0: an ordinary one.
STATIC  ?= 1
# The cryptography looks at the processor when it is first used, and not at the start of every command: see docs/decisions/0009-keys-and-tls.md.
TLS_CFLAGS ?= -DBORINGSSL_NO_STATIC_INITIALIZER
# Its random numbers come from the kernel and the processor. To gather more from the jitter of the processor's clock takes each process
# 30 ms when it first connects. Empty to have it nevertheless.
TLS_NO_JITTER ?= 1

comma      := ,
HOST       := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# Every x86-64 processor since 2008 has it, and to ask one is what a short command spends a twentieth of its time with.
SSE        := $(if $(filter x86_64-%,$(HOST)),$(comma)+sse4.2)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TOOLS      := $(TARGET_DIR)/tools
# What could not be tested on this machine, a line each with its reason.
SKIPPED    := $(abspath $(TARGET_DIR))/skipped
DENY_VERSION := 0.20.2
WOOF       := $(TARGET_DIR)/$(HOST)/release/woof
WOOFD      := $(WOOF)d

BIN   = $(DESTDIR)$(PREFIX)/bin
LINKS = $(DESTDIR)$(PREFIX)/lib/woofstream/bin
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: all build where demo test check fmt lint doc unit deny bench man install uninstall clean tools

all: build

# Says what is missing before a compiler says something less clear. What comes after it may add to the list of what was skipped.
tools:
	@command -v $(CARGO) >/dev/null && command -v rustc >/dev/null || \
	  { echo 'make: no Rust: install it from https://rustup.rs (1.95 or later)' >&2; exit 1; }
	@rustc --version | awk '{ split($$2, v, "[.-]"); \
	  if (v[1] < 1 || (v[1] == 1 && v[2] < 95)) { print "make: " $$0 " is too old: Rust 1.95 or later is needed" > "/dev/stderr"; exit 1 } }'
	@command -v cc >/dev/null || { echo 'make: no C compiler (cc) to link with: install gcc or clang' >&2; exit 1; }
	@mkdir -p '$(TARGET_DIR)' && : > '$(SKIPPED)'

build: tools
	@flags='$(RUSTFLAGS)'; \
	if [ '$(STATIC)' = 1 ]; then \
	  if printf 'int main(void) { return 0; }\n' | cc -static -x c -o /dev/null - 2>/dev/null; then \
	    flags="$$flags -C target-feature=+crt-static$(SSE) -C relocation-model=static"; \
	  else \
	    echo 'make: no static C library here (libc.a): the binary will use shared ones' >&2; \
	  fi; \
	fi; \
	RUSTFLAGS="$$flags" AWS_LC_SYS_CFLAGS="$(TLS_CFLAGS)" \
	  $(if $(TLS_NO_JITTER),AWS_LC_SYS_NO_JITTER_ENTROPY=$(TLS_NO_JITTER)) $(CARGO) build --release --locked --target '$(HOST)'

# Prints where the binary is.
where:
	@echo '$(abspath $(WOOF))'

demo: build
	@WOOF='$(abspath $(WOOF))' sh examples/demo.sh

# What CI runs. In the order of what fails fastest. It ends with a list of what this machine could not test. With CI=true a
# test that cannot run fails.
test check: tools fmt lint doc deny unit
	@echo 'make test: all passed'

# One after another, also with -j: cargo uses all processors by itself.
.NOTPARALLEL:

fmt: tools
	@$(CARGO) fmt --version >/dev/null 2>&1 || { echo 'make: no rustfmt: rustup component add rustfmt' >&2; exit 1; }
	$(CARGO) fmt --all --check

lint: tools
	@$(CARGO) clippy --version >/dev/null 2>&1 || { echo 'make: no clippy: rustup component add clippy' >&2; exit 1; }
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) check -p libwoofstream --no-default-features --locked

doc: tools
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked

# Unit tests, examples in the docs, commands as processes, golden files, a short run of the fuzz targets.
unit: tools
	WOOF_TEST_SKIPPED='$(SKIPPED)' $(CARGO) test --workspace --locked
	@if [ -s '$(SKIPPED)' ]; then \
	  echo "*** NOT TESTED on this machine: $$(sort -u '$(SKIPPED)' | wc -l) ***"; sort -u '$(SKIPPED)'; echo '***'; \
	fi

# Licences, sources and advisories of dependencies. CI builds the tool where it is missing; who works on the project installs it, or is told.
deny: tools
	@if ! command -v cargo-deny >/dev/null && [ '$(CI)' = true ] && [ ! -x '$(TOOLS)/bin/cargo-deny' ]; then \
	  $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --quiet --debug --root '$(TOOLS)'; \
	fi; \
	PATH="$$PATH:$(abspath $(TOOLS))/bin"; \
	if ! command -v cargo-deny >/dev/null; then \
	  echo 'make deny: licences and advisories of dependencies: needs cargo-deny' >> '$(SKIPPED)'; \
	  exit 0; \
	fi; \
	$(CARGO) deny check --hide-inclusion-graph licenses bans sources || exit 1; \
	if $(CARGO) deny fetch db >/dev/null 2>&1; then \
	  $(CARGO) deny check --disable-fetch advisories; \
	else \
	  echo 'make deny: advisories of dependencies: their database cannot be fetched' >> '$(SKIPPED)'; \
	fi

# Ratios against something that runs beside them; see docs/performance.md. No test.
bench: build
	WOOF='$(abspath $(WOOF))' sh tests/bench/run.sh $(BENCH)

man: tools
	$(CARGO) run --locked -- --man-pages man/man1

install: build
	install -d '$(BIN)' '$(LINKS)' '$(SHARE)/man/man1' '$(SHARE)/man/man5' '$(SHARE)/man/man7' \
	  '$(SHARE)/bash-completion/completions' '$(SHARE)/zsh/site-functions' '$(SHARE)/fish/vendor_completions.d'
	install -m 755 '$(WOOF)' '$(BIN)/woof'
	install -m 755 '$(WOOFD)' '$(BIN)/woofd'
	for page in man/man1/w*.1; do \
	  name=$$(basename "$$page" .1); \
	  [ "$$name" = woof ] || ln -sf ../../../bin/woof '$(LINKS)'/"$$name"; \
	done
	ln -sf ../../../bin/woofd '$(LINKS)'/wserve
	install -m 644 man/man1/*.1 '$(SHARE)/man/man1'
	ln -sf wserve.1 '$(SHARE)/man/man1/woofd.1'
	install -m 644 man/man5/*.5 '$(SHARE)/man/man5'
	install -m 644 man/man7/*.7 '$(SHARE)/man/man7'
	'$(WOOF)' --completions bash > '$(SHARE)/bash-completion/completions/woof'
	'$(WOOF)' --completions zsh > '$(SHARE)/zsh/site-functions/_woof'
	'$(WOOF)' --completions fish > '$(SHARE)/fish/vendor_completions.d/woof.fish'
	for page in man/man1/w*.1; do \
	  name=$$(basename "$$page" .1); \
	  [ "$$name" = woof ] || { \
	    ln -sf woof '$(SHARE)/bash-completion/completions'/"$$name"; \
	    ln -sf woof.fish '$(SHARE)/fish/vendor_completions.d'/"$$name.fish"; \
	  }; \
	done
	@echo 'The commands are in $(PREFIX)/lib/woofstream/bin: put it into your PATH.'

uninstall:
	for page in man/man1/w*.1; do \
	  name=$$(basename "$$page" .1); \
	  rm -f '$(LINKS)'/"$$name" '$(SHARE)/man/man1'/"$$name.1" \
	    '$(SHARE)/bash-completion/completions'/"$$name" '$(SHARE)/fish/vendor_completions.d'/"$$name.fish"; \
	done
	for page in man/man5/*.5; do rm -f '$(SHARE)/man/man5'/"$$(basename "$$page")"; done
	for page in man/man7/*.7; do rm -f '$(SHARE)/man/man7'/"$$(basename "$$page")"; done
	rm -f '$(BIN)/woof' '$(BIN)/woofd' '$(SHARE)/man/man1/woofd.1' '$(SHARE)/zsh/site-functions/_woof'
	-rmdir '$(LINKS)' '$(DESTDIR)$(PREFIX)/lib/woofstream'

clean:
	$(CARGO) clean
