package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// LinkLife is for how long the link in a notice works, from when the notice was written.
const LinkLife = 30 * 24 * time.Hour

// errLink is the answer for a link that is none of ours or has expired; which of the two is nobody's business.
var errLink = errors.New("journal: not a valid link")

// NoticeLink is a token for the link in a notice about a record: position and last moment, sealed under a key that all replicas of the
// hub derive, so that the log need not hold it. It says nothing to whoever reads it in a URL.
func (j *Journal) NoticeLink(cause int64) (string, error) {
	aead, err := j.linkSeal()
	if err != nil {
		return "", err
	}
	until := j.Now(Timing{Told: true}).Add(LinkLife).Unix()
	plain := binary.BigEndian.AppendUint64(nil, uint64(cause))                        // #nosec G115 -- positions are ≥ 0
	plain = binary.BigEndian.AppendUint64(plain, uint64(until))                       // #nosec G115 -- after 1970
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain, nil)), nil // #nosec G407 -- it makes its own random nonce
}

// OpenNoticeLink returns the position that a link's token is about.
func (j *Journal) OpenNoticeLink(token string) (cause int64, err error) {
	aead, err := j.linkSeal()
	if err != nil {
		return 0, err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return 0, errLink
	}
	plain, err := aead.Open(nil, nil, sealed, nil)
	if err != nil || len(plain) != 16 {
		return 0, errLink
	}
	if until := int64(binary.BigEndian.Uint64(plain[8:])); j.Now(Timing{Told: true}).Unix() > until { // #nosec G115 -- as NoticeLink wrote it
		return 0, errLink
	}
	return int64(binary.BigEndian.Uint64(plain)), nil // #nosec G115 -- as NoticeLink wrote it
}

func (j *Journal) linkSeal() (cipher.AEAD, error) {
	key := j.Digest("notice link")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return aead, nil
}
