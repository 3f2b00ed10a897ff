# `make` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run build test fmt lint check docs bench conformance clients clients-osc deny size adopt-glance schemathesis check-deploy image faults-full fuzz clean reset

# a toolchain that rustup installed without changing PATH
export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve on 127.0.0.1:9292 with PostgreSQL and S3 of its own; ARGS="--ephemeral" throws the data away
	@scripts/setup compiler $(if $(DATABASE_URL),,postgres)
	cargo run --release --locked -- dev $(ARGS)

build: ## build in release mode
	@scripts/setup compiler
	cargo build --release --locked

test: ## formatting, lints and every test; says how many ran
	@scripts/setup compiler postgres qemu rabbitmq lints
	@scripts/test

fmt: ## format the code
	@scripts/setup compiler lints
	cargo fmt

lint: ## formatting and lints, warnings being errors
	@scripts/setup compiler lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

check: ## compile without producing anything: the quickest look for errors
	@scripts/setup compiler
	cargo check --locked --all-targets

docs: ## write the references in docs/reference anew, from the code
	@scripts/setup compiler postgres
	VITRINE_WRITE_DOCS=1 cargo test --locked --test main -- docs::

bench: ## measure throughput, latency and memory of a release build
	@scripts/setup compiler postgres python
	@scripts/bench.sh $(ARGS)

conformance: ## run the API conformance checkers of ../shared/conformance against a running service
	@scripts/setup compiler postgres python
	@scripts/conformance.sh $(ARGS)

clients: ## drive two replicas behind one address with the stock clients; ARGS="openstack" runs one session
	@scripts/setup compiler postgres python
	@scripts/client-session.sh $(ARGS)

# not part of CI: an optimised build of that client takes a quarter of an hour of a small machine
clients-osc: ## the same with openstack_cli, the client in Rust, which is built first
	@scripts/setup compiler postgres python
	@scripts/clients/osc-build
	@scripts/client-session.sh osc

# not part of CI: a database of advisories is fetched from afar; `make check-deploy` holds the rest of deny.toml
deny: ## licences, advisories and sources of the dependencies, by cargo-deny, which is built first
	@scripts/setup compiler
	cargo install --quiet cargo-deny --version 0.20.2 --locked --root target/tools
	target/tools/bin/cargo-deny --locked check

size: ## build the binary of the container image, and hold it and its memory at rest against their limits
	@scripts/setup compiler postgres python
	@scripts/size.sh

adopt-glance: ## fill a real Glance, take its images over, and compare what both serve
	@scripts/setup compiler postgres python
	@scripts/adopt-glance.sh

schemathesis: ## send generated requests to every operation of the OpenAPI document
	@scripts/setup compiler postgres python
	@scripts/schemathesis.sh $(ARGS)

check-deploy: ## the Helm chart and what else installs the service, without a cluster; ARGS="helm" runs those checks
	@scripts/setup compiler postgres python
	@scripts/check-deploy.sh $(ARGS)

image: ## build the container image for amd64 and arm64, with SBOM and provenance, and push it: IMAGE=registry/name:tag
	@IMAGE="$(IMAGE)" scripts/image.sh $(ARGS)

faults-full: ## the fault tests with every seed and every point of failure; takes long
	@scripts/setup compiler postgres
	VITRINE_TEST_FAULTS=full cargo test --locked --test main -- faults

fuzz: ## fuzz the parsers and inspectors, guided by coverage; ARGS="SECONDS TARGET..." (60 s each)
	@scripts/setup compiler c++
	@scripts/fuzz.sh $(ARGS)

clean: ## remove what was built
	cargo clean
	rm -rf .venv

reset: ## throw away the data of `make run`
	@target=$$(readlink .vitrine/postgres || true); \
	case $$target in /var/lib/vitrine-dev-*) rm -rf -- "$$target" ;; esac
	rm -rf .vitrine
