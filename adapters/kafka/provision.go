package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// User is one who logs in to the brokers.
type User struct {
	// Name is the SASL user, or the distinguished name of a certificate, such as CN=moh; "" for nobody.
	Name string
	// Password is set for the SASL user, who is made if missing; "" leaves that to others.
	Password string
}

// principal is the user's name as rights have it.
func (u User) principal() string { return "User:" + u.Name }

// Provision is what one stream needs of a cluster: its topics, and who may use them.
type Provision struct {
	Stream string
	// Lanes is the stream's number of lanes, the partitions of its topics.
	Lanes int
	// Ministry is the stream's; its consumer groups begin with GroupPrefix(Ministry).
	Ministry string
	// Hub writes all streams, and reads them back.
	Hub User
	// Reader reads this stream, and writes its receipts; it can't write what it reads.
	Reader User
	// DryRun changes nothing and says what would be done.
	DryRun bool
}

// GroupPrefix begins the names of a ministry's consumer groups. The colon stands in no ministry's name, so no prefix begins another's.
func GroupPrefix(ministry string) string { return ministry + ":" }

// hubPrefix begins the names of all topics and of the hub's own consumer groups.
const hubPrefix = "tellonce."

// Step is one thing that provisioning looked at.
type Step struct {
	What   string // "topic", "user" or "right"
	Name   string
	Result Result
}

// Result is what became of a Step.
type Result string

// The results. A password can't be compared with the broker's, so that of a user who exists is set again.
const (
	Exists     Result = "exists"
	Created    Result = "created"
	Updated    Result = "password set"
	WouldMake  Result = "would be created"
	WouldReset Result = "password would be set"
)

// Provision makes what is missing and tells did of each step; doing it again changes nothing but passwords. It tries until ctx ends. The
// client must be allowed to do so, which the hub itself need not be. If it stops half-way, what is made stays, and the next run goes on.
func (c *Client) Provision(ctx context.Context, p Provision, did func(Step)) error {
	if strings.HasSuffix(p.Stream, receiptsSuffix) || strings.HasSuffix(p.Stream, replaySuffix) {
		return fmt.Errorf("kafka: stream %s: its topic's name is that of another stream's %s or %s", p.Stream, receiptsSuffix, replaySuffix)
	}
	topics := []string{Topic(p.Stream), ReceiptsTopic(p.Stream), ReplayTopic(p.Stream)}
	c.know(topics...) // or they would look as if they were missing
	for _, topic := range topics {
		if err := c.provisionTopic(ctx, topic, p, did); err != nil {
			return err
		}
	}
	rights := p.rights()
	for _, user := range []User{p.Hub, p.Reader} {
		if user.Name == "" {
			continue
		}
		// Rights before the user: who could log in and do nothing would take it for a refusal, and stop.
		if err := c.provisionRights(ctx, user, rights, p.DryRun, did); err != nil {
			return err
		}
		if err := c.provisionUser(ctx, user, p.DryRun, did); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) provisionTopic(ctx context.Context, topic string, p Provision, did func(Step)) error {
	step := Step{"topic", fmt.Sprintf("%s with %d partitions", topic, p.Lanes), Exists}
	_, err := c.attempt(ctx, nil, func(ctx context.Context) error {
		err := c.topicExists(ctx, topic)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			step.Result = made(p.DryRun)
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: topic %s: %w", topic, err)
	}
	if !p.DryRun || step.Result == Exists { // then it only checks the number of partitions
		if err := c.EnsureTopic(ctx, topic, p.Lanes); err != nil {
			return err
		}
	}
	did(step)
	return nil
}

func made(dryRun bool) Result {
	if dryRun {
		return WouldMake
	}
	return Created
}

// right is one entry of the access control list, without its user.
type right struct {
	kind      kafka.ResourceType
	name      string
	pattern   kafka.PatternType
	operation kafka.ACLOperationType
}

func (r right) String() string {
	name := r.name
	if r.pattern == kafka.PatternTypePrefixed {
		name += "*"
	}
	return fmt.Sprintf("%s on %s %s", r.operation, strings.ToLower(r.kind.String()), name)
}

// rights by user. The hub reads its topics back when it takes a lane over, and receipts in a group of its own. Nobody may make or delete
// topics: that is whose who provisions.
func (p Provision) rights() map[User][]right {
	on := func(topic string, operations ...kafka.ACLOperationType) (out []right) {
		for _, o := range operations {
			out = append(out, right{kafka.ResourceTypeTopic, topic, kafka.PatternTypeLiteral, o})
		}
		return out
	}
	const read, write, describe = kafka.ACLOperationTypeRead, kafka.ACLOperationTypeWrite, kafka.ACLOperationTypeDescribe
	prefixed := func(kind kafka.ResourceType, name string, operation kafka.ACLOperationType) right {
		return right{kind, name, kafka.PatternTypePrefixed, operation}
	}
	hub := []right{
		prefixed(kafka.ResourceTypeTopic, hubPrefix, write),
		prefixed(kafka.ResourceTypeTopic, hubPrefix, describe),
		prefixed(kafka.ResourceTypeTopic, hubPrefix, read),
		prefixed(kafka.ResourceTypeGroup, hubPrefix, read),
		{kafka.ResourceTypeCluster, "kafka-cluster", kafka.PatternTypeLiteral, kafka.ACLOperationTypeIdempotentWrite},
	}
	reader := slices.Concat(
		on(Topic(p.Stream), read, describe), on(ReceiptsTopic(p.Stream), read, describe, write), on(ReplayTopic(p.Stream), read, describe),
		[]right{prefixed(kafka.ResourceTypeGroup, GroupPrefix(p.Ministry), read)},
	)
	return map[User][]right{p.Hub: hub, p.Reader: reader}
}

func (c *Client) provisionRights(ctx context.Context, user User, of map[User][]right, dryRun bool, did func(Step)) error {
	var have map[right]bool
	_, err := c.attempt(ctx, nil, func(ctx context.Context) (err error) {
		have, err = c.rightsOf(ctx, user)
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: the rights of %s: %w", user.Name, noAuthorizer(err))
	}
	var missing []kafka.ACLEntry
	var steps []Step
	for _, r := range of[user] {
		step := Step{"right", fmt.Sprintf("%s: %s", user.principal(), r), Exists}
		if !have[r] {
			step.Result = made(dryRun)
			missing = append(missing, kafka.ACLEntry{
				ResourceType: r.kind, ResourceName: r.name, ResourcePatternType: r.pattern,
				Principal: user.principal(), Host: "*", Operation: r.operation, PermissionType: kafka.ACLPermissionTypeAllow,
			})
		}
		steps = append(steps, step)
	}
	if len(missing) > 0 && !dryRun {
		_, err := c.attempt(ctx, nil, func(ctx context.Context) error {
			answer, err := c.kafka().CreateACLs(ctx, &kafka.CreateACLsRequest{ACLs: missing})
			if err != nil {
				return err
			}
			return errors.Join(answer.Errors...)
		})
		if err != nil {
			return fmt.Errorf("kafka: the rights of %s: %w", user.Name, err)
		}
	}
	for _, step := range steps {
		did(step)
	}
	return nil
}

// rightsOf asks for what a user is allowed already, from wherever.
func (c *Client) rightsOf(ctx context.Context, user User) (map[right]bool, error) {
	answer, err := c.kafka().DescribeACLs(ctx, &kafka.DescribeACLsRequest{Filter: kafka.ACLFilter{
		ResourceTypeFilter: kafka.ResourceTypeAny, ResourcePatternTypeFilter: kafka.PatternTypeAny,
		PrincipalFilter: user.principal(), Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAllow,
	}})
	if err != nil {
		return nil, err
	}
	have := map[right]bool{}
	for _, resource := range answer.Resources {
		for _, entry := range resource.ACLs {
			if entry.Host == "*" {
				have[right{resource.ResourceType, resource.ResourceName, resource.PatternType, entry.Operation}] = true
			}
		}
	}
	return have, answer.Error
}

// noAuthorizer explains the answer of brokers that let everybody do everything.
func noAuthorizer(err error) error {
	if errors.Is(err, kafka.SecurityDisabled) {
		return fmt.Errorf("these brokers keep no rights (authorizer.class.name is not set), so none can be given: %w", err)
	}
	return err
}
