# Reads requests, one JSON object a line, as a ministry in Python would: verifies the signature, parses the CloudEvents, and prints the ids
# of the events, or "refused".
import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    request = json.loads(line)
    headers, body = request["headers"], request["body"].encode()
    try:
        Webhook(request["secret"]).verify(body, headers)
    except WebhookVerificationError:
        print("refused")
        continue
    bodies = [body]
    if headers["content-type"].startswith("application/cloudevents-batch+json"):
        # The SDK has no batches: each of one is an event in structured mode.
        headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
        bodies = [json.dumps(event).encode() for event in json.loads(body)]
    print(" ".join(from_http_event(HTTPMessage(headers=headers, body=one)).get_id() for one in bodies))
