# Two commands: `make demo` shows the hub (`make run` without npm), `make test` passes everything. Each does its own set-up.
GO    ?= go
TOOL   = $(GO) tool -modfile=deploy/tools/go.mod

.PHONY: run demo web screenshots build check test test-kafka3 lint bench mutate clean

run: ## A sandbox with invented residents, on the embedded store
	$(GO) run ./cmd/tellonce demo

demo: web ## The same in the full look: needs npm, and says so and goes on without
	$(GO) run ./cmd/tellonce demo

web: ## The pages' full look, into adapters/web/dist
	@deploy/dev/web

build: web ## bin/tellonce
	$(GO) build -trimpath -o bin/tellonce ./cmd/tellonce

check: ## Fast: formatting, vet and all tests that need no server, in under 2 minutes
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt on these"; exit 1; }
	$(GO) vet ./...
	env -u DATABASE_URL -u KAFKA_BROKERS -u TELLONCE_REQUIRE_SERVERS $(GO) test -short ./...

test: ## Everything: real PostgreSQL, real Kafka, real browser, crashes; then the race detector
	deploy/dev/test

KILLS ?= 24
test-kafka3: ## Three Kafka brokers, KILLS leaders killed under load; prints what was lost, doubled or reordered, and fails unless that is nothing
	@addresses="$$(deploy/dev/up --native --only kafka)" && eval "$$addresses" && TELLONCE_REQUIRE_SERVERS=1 TELLONCE_LEADER_KILLS=$(KILLS) \
		$(GO) test ./adapters/kafka -run '^TestLeaderKills$$' -count=1 -v -timeout 120m

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
