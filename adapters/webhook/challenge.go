package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tellonce/hub/domain/delivery"
)

// challengeType is the type of the one event that an endpoint must answer with what it holds.
const challengeType = "tellonce.challenge.v1"

// codeNoEcho: it answered with a 2xx, and not with the challenge's text.
const codeNoEcho = "not-echoed"

// challenge is a CloudEvent that belongs to no lane.
type challenge struct {
	SpecVersion string        `json:"specversion"`
	ID          string        `json:"id"`
	Source      string        `json:"source"`
	Type        string        `json:"type"`
	Time        string        `json:"time"`
	ContentType string        `json:"datacontenttype"`
	Data        challengeData `json:"data"`
}

type challengeData struct {
	Challenge string `json:"challenge"`
}

// challenge asks an address whether it wants the events of a source, the address of a stream: it must answer with the random text that it was
// sent, as text or as {"challenge": text}. The code is empty if it did. So nobody can turn a stream on an address that is not theirs.
func (c *Client) challenge(ctx context.Context, stream, url, source string, secrets []secret) (code string, err error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("webhook: random numbers: %w", err)
	}
	text := hex.EncodeToString(random[:16])
	event := challenge{
		SpecVersion: "1.0", ID: "challenge-" + hex.EncodeToString(random[16:]), Source: source, Type: challengeType,
		Time: c.config.Clock().UTC().Format(time.RFC3339), ContentType: "application/json", Data: challengeData{text},
	}
	body, err := json.Marshal(event)
	if err != nil {
		return "", fmt.Errorf("webhook: encode a challenge: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	var answer []byte
	outcome := c.slots.use(ctx, stream, func() (o delivery.Outcome) {
		answer, o = c.send(ctx, parcel{url: url, media: eventType, id: event.ID, body: body, secrets: secrets})
		return o
	})
	if outcome.Code == "" && !echoes(answer, text) {
		return codeNoEcho, nil
	}
	return outcome.Code, nil
}

func echoes(answer []byte, text string) bool {
	answer = bytes.TrimSpace(answer)
	var object challengeData
	if json.Unmarshal(answer, &object) == nil {
		answer = []byte(object.Challenge)
	}
	return subtle.ConstantTimeCompare(answer, []byte(text)) == 1
}
