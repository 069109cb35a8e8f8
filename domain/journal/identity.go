package journal

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// Issuer is the client program through which a command came. The numbers are on the log.
type Issuer int16

// The issuers.
const (
	IssuerHub     Issuer = 0 // the hub itself: followers, jobs
	IssuerAPI     Issuer = 1
	IssuerPages   Issuer = 2
	IssuerImport  Issuer = 3
	IssuerCommand Issuer = 4 // the command line
)

// Channel is how the citizen told it. The numbers are on the log.
type Channel int16

// The channels.
const (
	ChannelNone    Channel = 0
	ChannelWeb     Channel = 1
	ChannelPhone   Channel = 2
	ChannelCounter Channel = 3
	ChannelPost    Channel = 4
)

// ParseChannel reads a channel's name: web, phone, counter, post; anything else is ChannelNone.
func ParseChannel(name string) Channel {
	switch name {
	case "web":
		return ChannelWeb
	case "phone":
		return ChannelPhone
	case "counter":
		return ChannelCounter
	case "post":
		return ChannelPost
	}
	return ChannelNone
}

// CommandID names a command: who issued it, its id, and its content, of which the log keeps keyed hashes only.
type CommandID struct {
	Issuer  string // namespace of ids: an import source, or a client with its user
	ID      string
	Content []byte
}

func (j *Journal) command(id CommandID) eventstore.Command {
	if id.ID == "" {
		return eventstore.Command{}
	}
	return eventstore.Command{
		Key:  j.keyring.MAC("command", []byte(id.Issuer), []byte(id.ID)),
		Body: j.keyring.MAC("command-body", id.Content),
	}
}

// Digest is a keyed hash of parts, for what a form carries back (the preview's digest).
func (j *Journal) Digest(domain string, parts ...[]byte) [32]byte {
	return j.keyring.MAC(domain, parts...)
}

// Pairwise returns the id under which a ministry knows each citizen.
func (j *Journal) Pairwise(ctx context.Context, ministry string, epoch int32, citizens ...citizen.ID) ([]string, error) {
	ids := make([]uuid.UUID, len(citizens))
	for i, id := range citizens {
		ids[i] = uuid.UUID(id)
	}
	return j.keyring.PairwiseAll(ctx, ids, ministry, epoch)
}

// Lane is a citizen's lane in a stream: a keyed hash, stable when pairwise ids rotate.
func (j *Journal) Lane(id citizen.ID, stream string, lanes int) int {
	if lanes <= 1 {
		return 0
	}
	sum := j.keyring.MAC("lane", id[:], []byte(stream))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(lanes))
}

// Reference returns the citizens that a source knows under references; zero where it knows none.
func (j *Journal) Reference(ctx context.Context, source string, references ...string) ([]citizen.ID, error) {
	ids, err := j.keyring.References(ctx, source, references...)
	return citizenIDs(ids), err
}

// Register gives each of a source's new references a random citizen id; known ones keep theirs. A citizen is registered by
// person-registered only: an id without it is nobody yet.
func (j *Journal) Register(ctx context.Context, source string, references ...string) ([]citizen.ID, error) {
	ids, err := j.keyring.Register(ctx, source, references)
	return citizenIDs(ids), err
}

// Repoint makes all references to one citizen id lead to another: of two that are one person's. It may be repeated.
func (j *Journal) Repoint(ctx context.Context, from, to citizen.ID) error {
	_, err := j.keyring.Repoint(ctx, uuid.UUID(from), uuid.UUID(to))
	return err
}

func citizenIDs(ids []uuid.UUID) []citizen.ID {
	out := make([]citizen.ID, len(ids))
	for i, id := range ids {
		out[i] = citizen.ID(id)
	}
	return out
}

// CitizenAggregate is a citizen's own sequence.
func CitizenAggregate(id citizen.ID) eventstore.Aggregate {
	return eventstore.Aggregate{Category: eventstore.Citizen, ID: uuid.UUID(id)}
}

// The aggregates of which there is one.
var (
	HubAggregate        = eventstore.Aggregate{Category: eventstore.Hub}
	AgreementsAggregate = eventstore.Aggregate{Category: eventstore.Agreements}
	AccessesAggregate   = eventstore.Aggregate{Category: eventstore.Accesses}
)

// namespace makes stream and lane aggregate ids from names (UUID version 5): names are public, so are the ids.
var namespace = uuid.MustParse("5b0c6ab6-7f0e-5d0e-9b8e-3f5f6b1d2c47")

// StreamAggregate is a ministry stream's settings and answers.
func StreamAggregate(stream string) eventstore.Aggregate {
	return eventstore.Aggregate{Category: eventstore.Stream, ID: uuid.NewSHA1(namespace, []byte(stream))}
}

// LaneAggregate is one lane of a stream: what was disclosed and redelivered.
func LaneAggregate(stream string, lane int) eventstore.Aggregate {
	return eventstore.Aggregate{Category: eventstore.Lane, ID: uuid.NewSHA1(namespace, fmt.Appendf(nil, "%s/%d", stream, lane))}
}

// crockford is Douglas Crockford's base 32: no I, L, O or U.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Receipt is the number that stands for a citizen's change: the last 60 bits of its event id, 12 Crockford characters.
func Receipt(event uuid.UUID) string {
	var low [10]byte // 60 bits, left-aligned by 4: 12 characters of 5 bits
	v := binary.BigEndian.Uint64(event[8:]) << 4
	binary.BigEndian.PutUint64(low[:8], v)
	return crockford.EncodeToString(low[:8])[:12]
}
