package kafka

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// scramIterations is the most that Kafka takes: the broker's copy of a weak password is as hard to guess as can be.
const scramIterations = 16384

// provisionUser makes the SASL user, or sets their password again. The password never leaves this process: the broker gets what
// SCRAM-SHA-512 makes of it.
func (c *Client) provisionUser(ctx context.Context, user User, dryRun bool, did func(Step)) error {
	if user.Password == "" {
		return nil
	}
	step := Step{"user", user.Name, Updated}
	_, err := c.attempt(ctx, nil, func(ctx context.Context) error {
		known, err := c.userExists(ctx, user.Name)
		switch {
		case err == nil && !known:
			step.Result = made(dryRun)
		case dryRun:
			step.Result = WouldReset
		}
		return err
	})
	if err == nil && !dryRun {
		err = c.setPassword(ctx, user)
	}
	if err != nil {
		return fmt.Errorf("kafka: user %s: %w", user.Name, err)
	}
	did(step)
	return nil
}

func (c *Client) userExists(ctx context.Context, name string) (bool, error) {
	answer, err := c.kafka().DescribeUserScramCredentials(ctx, &kafka.DescribeUserScramCredentialsRequest{
		Users: []kafka.UserScramCredentialsUser{{Name: name}},
	})
	if err != nil {
		return false, err
	}
	if answer.Error != nil {
		return false, answer.Error
	}
	for _, result := range answer.Results {
		if errors.Is(result.Error, kafka.ResourceNotFound) {
			return false, nil
		}
		if result.Error != nil {
			return false, result.Error
		}
		for _, credential := range result.CredentialInfos {
			if credential.Mechanism == kafka.ScramMechanismSha512 {
				return true, nil
			}
		}
	}
	return false, nil
}

func (c *Client) setPassword(ctx context.Context, user User) error {
	salt := make([]byte, 32)
	if _, err := rand.Read(salt); err != nil {
		return err
	}
	salted, err := pbkdf2.Key(sha512.New, user.Password, salt, scramIterations, sha512.Size)
	if err != nil {
		return err
	}
	_, err = c.attempt(ctx, nil, func(ctx context.Context) error {
		answer, err := c.kafka().AlterUserScramCredentials(ctx, &kafka.AlterUserScramCredentialsRequest{
			Upsertions: []kafka.UserScramCredentialsUpsertion{{
				Name: user.Name, Mechanism: kafka.ScramMechanismSha512, Iterations: scramIterations, Salt: salt, SaltedPassword: salted,
			}},
		})
		if err != nil {
			return err
		}
		for _, result := range answer.Results {
			if result.Error != nil {
				return result.Error
			}
		}
		return nil
	})
	return err
}
