// Package kafka publishes ministries' streams to Apache Kafka, each number exactly once and in order, on stock kafka-go.
//
// kafka-go's own Writer reorders and doubles records when a broker or a connection fails. So a [Lane], one per partition, sends batches
// by itself: kafka-go encodes the records, the lane stamps the batch with a producer id, an epoch and a sequence number, and the broker
// then drops what it has already got. One batch is in flight at a time; what arrives meanwhile goes into the next one.
//
// A lane is fail-stop. [Lane.Send] returns nil only when the broker has acknowledged; after any error nothing more is sent until
// [Lane.TakeOver] has fenced the partition (a marker record under the next epoch, after which nothing older can arrive) and has read
// backwards from the marker which number was the last to get in. A restarted hub starts with that very step, so recovery is no special
// case.
//
// [Publisher] and [Subscriber] show the same lanes to Watermill.
package kafka
