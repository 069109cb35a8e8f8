// Reads requests, one JSON object a line, as a ministry in JavaScript would: verifies the signature, parses the CloudEvents, and prints the
// ids of the events, or "refused". The library knows v1 alone; v1a is verified with Node's own Ed25519.
const { createPublicKey, verify } = require("node:crypto");
const { HTTP } = require("cloudevents");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

function verifyEd25519(key, { headers, body }) {
  const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(key.slice("whpk_".length), "base64").toString("base64url") };
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = headers["webhook-signature"].split(" ").filter((s) => s.startsWith("v1a,"));
  const key_ = createPublicKey({ key: jwk, format: "jwk" });
  if (!signatures.some((s) => verify(null, content, key_, Buffer.from(s.slice("v1a,".length), "base64")))) {
    throw new WebhookVerificationError("no signature of this key");
  }
}

const lines = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const request = JSON.parse(line);
  try {
    if (request.secret.startsWith("whpk_")) verifyEd25519(request.secret, request);
    else new Webhook(request.secret).verify(request.body, request.headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("refused");
    continue;
  }
  const events = HTTP.toEvent({ headers: request.headers, body: request.body });
  console.log([].concat(events).map((event) => event.id).join(" "));
}
