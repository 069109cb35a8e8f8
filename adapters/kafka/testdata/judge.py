# Reads Kafka records, one JSON object a line, as a ministry in Python would: parses the CloudEvents and prints what they say.
import json
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

for line in sys.stdin:
    record = json.loads(line)
    headers = {name: value.encode() for name, value in record["headers"].items()}
    event = from_kafka_event(KafkaMessage(headers=headers, key=record["key"], value=record["value"].encode()))
    data = event.get_data() or None
    print(json.dumps([event.get_id(), event.get_type(), event.get_subject(), event.get_extension("sequence"), data]))
