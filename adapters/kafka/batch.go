package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// Header is one header of a record, such as ce_id.
type Header struct{ Key, Value string }

// Message is one record: a CloudEvent in binary mode has its attributes as ce_* headers, content-type, and its data as Value.
type Message struct {
	// Number is the event's number in its lane, from 1; 0 for what has none. It is named in errors; consumers read the headers.
	Number int64
	// Key is the record's key, nil for none. The partition is the lane's, whatever the key.
	Key []byte
	// Headers are written in this order.
	Headers []Header
	// Value is the record's value; nil is a null value, which is not the same as an empty one.
	Value []byte
}

// size is about what the message takes in a batch.
func (m *Message) size() int {
	n := 24 + len(m.Key) + len(m.Value)
	for i := range m.Headers {
		n += 4 + len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	return n
}

// Where the fields lie in kafka-go's encoding of one v2 record batch, after the four bytes of length that precede it.
const (
	batchStart     = 4
	atChecksum     = batchStart + 17
	checksumFrom   = batchStart + 21
	atProducerID   = batchStart + 43
	atProducer     = batchStart + 51
	atBaseSequence = batchStart + 53
	batchHeader    = batchStart + 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is what makes a batch recognisable to the broker: who sends it, and where its first record stands.
type stamp struct {
	State
	sequence int32
}

// encode appends to dst[:0] the bytes of one record batch, as RawProduce takes them. A batch is encoded once: every retry sends the very
// same bytes, for the broker compares first and last sequence with what it has.
func encode(dst []byte, messages []*Message, s stamp) ([]byte, error) {
	out := bytes.NewBuffer(dst[:0])
	set := protocol.RecordSet{Version: 2, Records: &recordReader{messages: messages}}
	if _, err := set.WriteTo(out); err != nil {
		return nil, fmt.Errorf("kafka: encoding a batch: %w", err)
	}
	b := out.Bytes()
	if len(b) < batchHeader {
		return nil, fmt.Errorf("kafka: a batch of %d bytes is shorter than its header", len(b))
	}
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(s.ProducerID)) // #nosec G115 -- the bits, as the protocol has them
	binary.BigEndian.PutUint16(b[atProducer:], uint16(s.Epoch))        // #nosec G115
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(s.sequence)) // #nosec G115
	binary.BigEndian.PutUint32(b[atChecksum:], crc32.Checksum(b[checksumFrom:], castagnoli))
	return b, nil
}

// after returns the sequence that follows s once n records of it are in: sequences go from 0 to 2³¹−1 and begin again.
func (s stamp) after(n int) stamp {
	s.sequence = int32((int64(s.sequence) + int64(n)) & 0x7fffffff) // #nosec G115 -- masked
	return s
}

// recordReader hands messages to kafka-go one by one. kafka-go is done with a record when it asks for the next, so all share the memory.
type recordReader struct {
	messages   []*Message
	record     protocol.Record
	headers    []protocol.Header
	text       []byte // the headers' values
	key, value payload
}

// payload is protocol.Bytes over a slice, reusable.
type payload struct{ bytes.Reader }

// Close does nothing; the slice is the caller's.
func (*payload) Close() error { return nil }

// ReadRecord returns the next record, which is valid until the next call; io.EOF at the end.
func (r *recordReader) ReadRecord() (*protocol.Record, error) {
	if len(r.messages) == 0 {
		return nil, io.EOF
	}
	m := r.messages[0]
	r.messages = r.messages[1:]
	r.headers, r.text = r.headers[:0], r.text[:0]
	for _, h := range m.Headers {
		from := len(r.text)
		r.text = append(r.text, h.Value...) // where it moves, the headers before keep the old memory
		r.headers = append(r.headers, protocol.Header{Key: h.Key, Value: r.text[from:len(r.text):len(r.text)]})
	}
	r.record = protocol.Record{Headers: r.headers}
	if m.Key != nil {
		r.key.Reset(m.Key)
		r.record.Key = &r.key
	}
	if m.Value != nil {
		r.value.Reset(m.Value)
		r.record.Value = &r.value
	}
	return &r.record, nil
}
