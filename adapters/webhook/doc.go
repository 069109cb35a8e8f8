// Package webhook pushes a stream's events to its ministry's HTTPS endpoint: CloudEvents in structured mode, signed as Standard Webhooks
// says (https://www.standardwebhooks.com), one event or a batch a request.
//
// [Client] is the sending side (delivery.Poster). An endpoint's address is chosen by a ministry, so the client trusts it with nothing:
// every address is judged after DNS has answered and right before the connection, no redirect is followed, no proxy is asked, every answer
// is bounded in time and bytes, and what is kept of an answer holds nothing that the request held. It decides nothing about retries: that
// is delivery's.
//
// [Endpoints] is how a ministry sets, sees and removes an endpoint and changes its secret. An endpoint is set only after it has answered a
// challenge, and its secret stands in the keys directory, never on the log.
package webhook
