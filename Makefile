# Two commands: `make run` shows the hub, `make test` passes everything. Each does its own set-up.
GO    ?= go
TOOL   = $(GO) tool -modfile=deploy/tools/go.mod

.PHONY: run build check test lint bench mutate clean

run: ## A sandbox with invented residents, on the embedded store
	$(GO) run ./cmd/tellonce demo

build: ## bin/tellonce
	$(GO) build -trimpath -o bin/tellonce ./cmd/tellonce

check: ## Fast: formatting, vet and all tests that need no server, in under 2 minutes
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt on these"; exit 1; }
	$(GO) vet ./...
	env -u DATABASE_URL -u KAFKA_BROKERS -u TELLONCE_REQUIRE_SERVERS $(GO) test -short ./...

test: ## Everything: real PostgreSQL, real Kafka, real browser, crashes; then the race detector
	deploy/dev/test

lint: ## gofmt, vet, staticcheck, golangci-lint, gosec, deadcode; pinned in deploy/tools/go.mod
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt on these"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) golangci-lint run ./...
	$(TOOL) gosec -quiet -exclude-generated -exclude=G115 ./... # G115: numbers of our own, to bytes and back
	@unused="$$($(TOOL) deadcode -test ./...)" && test -z "$$unused" || { echo "$$unused"; exit 1; }

bench: ## Ratios against raw limits of the same run; needs DATABASE_URL or starts PostgreSQL
	deploy/dev/bench

mutate: ## Mutation testing of the pure rules
	deploy/dev/mutate

clean:
	rm -rf bin
