package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
)

// The log as porcupine sees it: a list of small things that were appended, each to one of a few aggregates.
type (
	// input is one call: an append of a tag to aggregate Writes expecting Reads (and maybe Writes) at given versions, or a read of all.
	input struct {
		read   bool
		tag    string
		writes int
		reads  int
		expect [2]int32 // of writes and of reads; -1: none
	}
	// output is its answer: a position (-1: conflict; -2: unknown, the call may or may not have happened), or what was read.
	output struct {
		position int64
		tags     string
	}
	// logState is the tags so far, in order, and the aggregates' versions. It is a value: porcupine compares states with ==.
	logState struct {
		tags     string
		length   int64
		versions [linearAggregates]int32
	}
)

const (
	linearAggregates = 3
	linearClients    = 5
	linearCalls      = 14
	linearRounds     = 8
	tagLength        = 3
)

// logModel is the sequential specification.
func logModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return logState{} },
		Step: func(state, in, out any) (bool, any) {
			s, i, o := state.(logState), in.(input), out.(output)
			if i.read {
				return o.tags == s.tags, s
			}
			holds := (i.expect[0] < 0 || s.versions[i.writes] == i.expect[0]) && (i.expect[1] < 0 || s.versions[i.reads] == i.expect[1])
			if o.position == -1 {
				return !holds, s
			}
			if !holds || o.position != s.length {
				return false, s
			}
			s.tags += i.tag
			s.length++
			s.versions[i.writes]++
			return true, s
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
	}
}

// Linearizable records histories of concurrent appends (with expectations, of what they write and of what they only read) and reads over
// several handles, and requires an order, consistent with real time, that explains every answer.
func Linearizable(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 3)
	for round := range linearRounds {
		operations, err := fx.record(stores, round)
		require.NoError(t, err)
		result, _ := porcupine.CheckOperationsVerbose(logModel(), operations, f.patience())
		require.NotEqual(t, porcupine.Illegal, result, "no order explains the history of round %d", round)
		require.Equal(t, porcupine.Ok, result, "the history of round %d was too hard to check", round)
	}
}

// record lets several clients work on fresh aggregates and returns what they asked and got, with times.
func (fx *fixture) record(stores []eventstore.Store, round int) ([]porcupine.Operation, error) {
	head, err := fx.store.Head(fx.ctx)
	if err != nil {
		return nil, err
	}
	var aggregates [linearAggregates]eventstore.Aggregate
	for i := range aggregates {
		aggregates[i] = citizen()
	}
	var mu sync.Mutex
	var operations []porcupine.Operation
	began := time.Now()
	group, ctx := errgroup.WithContext(fx.ctx)
	for id := range linearClients {
		c := &client{
			id: id, store: stores[id%len(stores)], aggregates: aggregates, base: head.Position + 1,
			random: rand.New(rand.NewPCG(uint64(round), uint64(id))), // #nosec -- a test's choice
		}
		group.Go(func() error {
			for n := range linearCalls {
				in := c.choose(n)
				call := time.Since(began)
				out, err := c.do(ctx, in)
				if err != nil {
					return err
				}
				mu.Lock()
				operations = append(operations, porcupine.Operation{
					ClientId: id, Input: in, Call: call.Nanoseconds(), Output: out, Return: time.Since(began).Nanoseconds(),
				})
				mu.Unlock()
			}
			return nil
		})
	}
	return operations, errors.Join(group.Wait())
}

// client is one caller of a recorded history. It remembers the versions it believes in, as a caller who decides by what it has read.
type client struct {
	id         int
	store      eventstore.Store
	aggregates [linearAggregates]eventstore.Aggregate
	base       int64
	random     *rand.Rand
	versions   [linearAggregates]int32
}

func (c *client) choose(n int) input {
	if c.random.IntN(4) == 0 {
		return input{read: true}
	}
	in := input{
		tag:    fmt.Sprintf("%c%02d", 'a'+c.id, n),
		writes: c.random.IntN(linearAggregates),
		reads:  c.random.IntN(linearAggregates),
		expect: [2]int32{-1, -1},
	}
	if c.random.IntN(4) > 0 {
		in.expect[0] = c.versions[in.writes]
	}
	if c.random.IntN(2) > 0 && in.reads != in.writes {
		in.expect[1] = c.versions[in.reads]
	}
	return in
}

func (c *client) do(ctx context.Context, in input) (output, error) {
	if in.read {
		return c.read(ctx)
	}
	a := write(c.aggregates[in.writes], 1)
	a.Events[0].Type = in.tag
	if in.expect[0] >= 0 {
		a = expecting(a, c.aggregates[in.writes], in.expect[0])
	}
	if in.expect[1] >= 0 {
		a = expecting(a, c.aggregates[in.reads], in.expect[1])
	}
	results, err := c.store.Append(ctx, a)
	if errors.Is(err, eventstore.ErrConflict) {
		// The next try goes by what stands now; this reading is not part of the history.
		_, err := c.read(ctx)
		return output{position: -1}, err
	}
	if err != nil {
		return output{}, err
	}
	c.versions[in.writes]++
	return output{position: results[0].Position - c.base}, nil
}

// read reads the whole log of this round and updates the versions the client believes in.
func (c *client) read(ctx context.Context) (output, error) {
	records, err := c.store.ReadAll(ctx, c.base, linearClients*linearCalls+1)
	if err != nil {
		return output{}, err
	}
	tags := make([]byte, 0, len(records)*tagLength)
	c.versions = [linearAggregates]int32{}
	for _, r := range records {
		tags = append(tags, r.Type...)
		for i, a := range c.aggregates {
			if a == r.Aggregate {
				c.versions[i] = r.Version
			}
		}
	}
	return output{tags: string(tags)}, nil
}
