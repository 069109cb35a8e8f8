// Reads Kafka records, one JSON object a line, as a ministry in JavaScript would: parses the CloudEvents and prints what they say.
const readline = require("node:readline");
const { Kafka } = require("cloudevents");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const record = JSON.parse(line);
  // As Kafka's clients have it: the value is bytes, and empty ones are a value, too.
  const event = Kafka.toEvent({ ...record, value: Buffer.from(record.value) });
  const data = event.data?.length === 0 ? null : event.data;
  console.log(JSON.stringify([event.id, event.type, event.subject, event.sequence, data]));
});
