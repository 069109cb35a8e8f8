package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tellonce/hub/domain/delivery"
)

// The codes of what failed, beside http- and a status.
const (
	codeForbidden = "address-forbidden" // the address is one that no endpoint may have
	codeBusy      = "busy"              // the ministry's other requests took all the time there was
	codeStopped   = "stopped"           // by the hub itself
	codeTimeout   = "timeout"
	codeDNS       = "dns"
	codeRefused   = "refused"
	codeReset     = "reset" // the connection ended before an answer
	codeTLS       = "tls"   // a certificate, or no TLS at all
	codeNetwork   = "network"
	codeRedirect  = "redirect"
	codeGone      = "gone"
	codeSecret    = "secret-missing" // no secret that signs
	codeHTTP      = "http-"
)

// maxRetryAfter bounds how long an endpoint may ask to be left alone.
const maxRetryAfter = 24 * time.Hour

// down is an outcome that says nothing about the events.
func down(code string) delivery.Outcome { return delivery.Outcome{Code: code, Down: true} }

// answered reads a status. Nothing of the body counts; its start is kept for whoever looks for the fault.
func answered(r *http.Response, answer, request []byte, now time.Time) delivery.Outcome {
	status := r.StatusCode
	if status >= 200 && status < 300 {
		return delivery.Outcome{}
	}
	o := delivery.Outcome{
		Code: codeHTTP + strconv.Itoa(status), Excerpt: excerpt(answer, request), RetryAfter: retryAfter(r.Header.Get("Retry-After"), now),
	}
	switch {
	case status >= 300 && status < 400:
		o.Code = codeRedirect
	case status == http.StatusGone:
		o.Code, o.Gone = codeGone, true
	case status == http.StatusTooManyRequests, status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		o.Down = true
	}
	return o
}

// retryAfter reads seconds or an HTTP date; 0 for anything else.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// failure names an error that came instead of an answer: never its text, which may hold addresses.
func failure(ctx context.Context, err error) string {
	var netErr net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, errForbidden):
		return codeForbidden
	case errors.Is(ctx.Err(), context.Canceled):
		return codeStopped
	case isTLS(err):
		return codeTLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return codeTimeout
	case errors.As(err, &dns):
		return codeDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return codeReset
	}
	return codeNetwork
}

func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var remote *net.OpError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &invalid) ||
		(errors.As(err, &remote) && remote.Op == "remote error") || // an alert of the endpoint's, such as that it wants a certificate
		errors.Is(err, http.ErrSchemeMismatch) || strings.Contains(err.Error(), "tls: ") // a version or a cipher: errors without a type
}
