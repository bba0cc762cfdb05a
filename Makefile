# SPDX-License-Identifier: Apache-2.0
# Everything here works on a fresh Debian 12 or 13: what a target needs is installed by it, once.
# Meson and Ninja do the building; each kind of build has its own folder under build/.

.DEFAULT_GOAL := build
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

ARGS ?=
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
FUZZ_TARGET ?=
# Warnings stop the test builds; a newer compiler's must not stop somebody who only wants the program.
RELEASE_ARGS := --buildtype=release -Doptimization=2 -Db_lto=true -Dtests=false -Dwerror=false

.PHONY: build ranks run test agents bench demo fuzz lint format tsan install clean help deps

build: ## the optimised program, at build/penstock
	@scripts/deps build
	@scripts/configure build/release $(RELEASE_ARGS)
	@scripts/build build/release
	@ln -f build/release/src/penstock build/penstock
	@scripts/ranks --if-possible

ranks: ## the tokenizers' data, from an npm package, so that the mock's tokens are tiktoken's
	@scripts/deps build ranks
	@scripts/configure build/release $(RELEASE_ARGS)
	@scripts/build build/release src/make_ranks
	@scripts/ranks

run: build ## build, then `penstock serve`; more arguments by ARGS="..."
	@exec build/penstock serve $(ARGS)

test: ranks ## all tests under sanitizers; the last line is "N passed, N failed"
	@scripts/deps build test fuzz e2e
	@tests/run $(ARGS)

agents: ranks ## real coding agents through the gateway; installs them first, 750 MB
	@scripts/deps build test e2e agents
	@tests/run $(ARGS) agents

fuzz: ranks ## search for failing inputs; FUZZ_SECONDS=60 for each target, FUZZ_TARGET=name for one
	@scripts/deps build fuzz
	@tests/run --fuzz-only --fuzz-seconds $(FUZZ_SECONDS) --fuzz-target "$(FUZZ_TARGET)" fuzz

tsan: ranks ## unit, golden and simulated tests and an end-to-end smoke test under ThreadSanitizer
	@scripts/deps build test e2e
	@tests/run --sanitize thread --build-dir build/tsan --fuzz-seconds 0 \
	    --pytest "-m smoke" unit golden sim e2e

bench: build ranks ## measure beside nginx, HAProxy and other fake providers; more arguments by ARGS="..."
	@scripts/deps bench
	@bench/run $(ARGS)

demo: build ## the captures of docs/demo, made anew
	@scripts/deps demo
	@docs/demo/make

lint: ## compile with clang, clang-tidy, include order, shellcheck, documents
	@scripts/deps build test lint
	@scripts/lint

format: ## wrap the lines of C files that are over 100 columns; the rest is left as it is written
	@scripts/deps lint
	@scripts/wrap-lines

install: build ## to PREFIX=/usr/local, under DESTDIR if given
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install

deps: ## install all that any target needs
	@scripts/deps all

clean: ## remove all that was built
	rm -rf build tests/e2e/node/node_modules tests/e2e/agents/node_modules

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16
