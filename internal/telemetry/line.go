package telemetry

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/internal/tlscert"
)

// Bounds of the values of a line, in bytes as written. A client chooses most
// of them, so that without bounds it would choose the size of the log.
const (
	maxURL      = 8 << 10
	maxAgent    = 1 << 10
	maxReferer  = 2 << 10
	maxHost     = 512
	maxShort    = 256 // names, reasons, content types
	maxToken    = 64  // methods
	maxLineSize = 40 << 10
)

// encoder formats the lines of one shard; it remembers the last second, in
// which most lines are.
type encoder struct {
	second int64
	stamp  [32]byte
	length int
}

// Layouts of the part of a time stamp that is remembered.
const (
	jsonStamp     = "2006-01-02T15:04:05."
	combinedStamp = "02/Jan/2006:15:04:05 +0000"
)

// appendStamp appends the second in which start lies.
func (e *encoder) appendStamp(dst []byte, start int64, layout string) []byte {
	second := start / int64(time.Second)
	if second != e.second || e.length != len(layout) {
		b := time.Unix(second, 0).UTC().AppendFormat(e.stamp[:0], layout)
		e.second, e.length = second, len(b)
	}
	return append(dst, e.stamp[:e.length]...)
}

// json appends r as one line: one JSON object with the facts of Azure's
// access log under Azure's names, then HAProxy's timers and what else helps
// to find out why. All times are seconds. Facts that do not apply (no
// backend, no TLS) are left out, except timers, which are -1.
func (e *encoder) json(dst []byte, r *Record) []byte {
	start := max(r.Start, 0)
	dst = append(dst, `{"timeStamp":"`...)
	dst = e.appendStamp(dst, start, jsonStamp)
	dst = appendDigits3(dst, int(start/int64(time.Millisecond)%1000))
	dst = append(dst, `Z","listenerName":"`...)
	dst = appendJSON(dst, []byte(r.Listener), maxShort)
	dst = append(dst, `","ruleName":"`...)
	dst = appendJSON(dst, []byte(r.Rule), maxShort)
	if r.PathRule != "" {
		dst = append(dst, `","pathRuleName":"`...)
		dst = appendJSON(dst, []byte(r.PathRule), maxShort)
	}
	dst = append(dst, `","backendPoolName":"`...)
	dst = appendJSON(dst, []byte(r.Pool), maxShort)
	dst = append(dst, `","backendSettingName":"`...)
	dst = appendJSON(dst, []byte(r.Settings), maxShort)
	dst = jsonClient(dst, r)
	dst = jsonRequest(dst, r)
	dst = jsonResponse(dst, r)
	dst = jsonTLS(dst, r)
	if r.Backend != "" {
		dst = jsonBackend(dst, r)
	}
	if r.CacheResult != "" {
		dst = append(dst, `,"cacheResult":"`...)
		dst = append(append(dst, r.CacheResult...), '"')
	}
	if r.WAFPolicy != "" {
		dst = jsonWAF(dst, r)
	}
	dst = jsonTimers(dst, r)
	return jsonEnd(dst, r)
}

func jsonClient(dst []byte, r *Record) []byte {
	dst = append(dst, `","clientIP":"`...)
	dst = appendAddr(dst, r.ClientAddr.Addr())
	dst = append(dst, `","clientPort":`...)
	dst = strconv.AppendUint(dst, uint64(r.ClientAddr.Port()), 10)
	if r.PeerAddr.IsValid() && r.PeerAddr != r.ClientAddr {
		dst = append(dst, `,"peerIP":"`...)
		dst = appendAddr(dst, r.PeerAddr.Addr())
		dst = append(dst, `","peerPort":`...)
		dst = strconv.AppendUint(dst, uint64(r.PeerAddr.Port()), 10)
	}
	if r.User != "" {
		dst = append(dst, `,"clientUser":"`...)
		dst = appendJSON(dst, []byte(r.User), maxShort)
		dst = append(dst, '"')
	}
	return dst
}

func jsonRequest(dst []byte, r *Record) []byte {
	dst = append(dst, `,"httpMethod":"`...)
	dst = appendJSON(dst, r.Method, maxToken)
	dst = append(dst, `","requestUri":"`...)
	dst = appendJSON(dst, r.Path, maxURL)
	dst = append(dst, `","requestQuery":"`...)
	dst = appendJSON(dst, r.Query, maxURL)
	dst = append(dst, `","originalRequestUriWithArgs":"`...)
	dst = appendJSON(dst, r.Target, maxURL)
	dst = append(dst, `","httpVersion":"`...)
	dst = appendJSON(dst, []byte(r.Proto), maxToken)
	dst = append(dst, `","originalHost":"`...)
	dst = appendJSON(dst, r.Host, maxHost)
	dst = append(dst, `","host":"`...)
	dst = appendJSON(dst, r.HostSent, maxHost)
	dst = append(dst, `","userAgent":"`...)
	dst = appendJSON(dst, r.UserAgent, maxAgent)
	if len(r.Referer) > 0 {
		dst = append(dst, `","referer":"`...)
		dst = appendJSON(dst, r.Referer, maxReferer)
	}
	return dst
}

func jsonResponse(dst []byte, r *Record) []byte {
	dst = append(dst, `","httpStatus":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"contentType":"`...)
	dst = appendJSON(dst, r.ContentType, maxShort)
	dst = append(dst, `","receivedBytes":`...)
	dst = strconv.AppendInt(dst, r.BytesIn, 10)
	dst = append(dst, `,"sentBytes":`...)
	dst = strconv.AppendInt(dst, r.BytesOut, 10)
	dst = append(dst, `,"timeTaken":`...)
	dst = appendSeconds(dst, max(r.Ta, 0))
	dst = append(dst, `,"transactionId":"`...)
	if r.TraceID[0] != 0 {
		dst = appendJSON(dst, r.TraceID[:], len(r.TraceID))
	}
	return dst
}

func jsonTLS(dst []byte, r *Record) []byte {
	if !r.TLS {
		return append(dst, `","sslEnabled":"off"`...)
	}
	dst = append(dst, `","sslEnabled":"on","sslCipher":"`...)
	dst = append(dst, tlscert.OpenSSLName(r.Cipher)...)
	dst = append(dst, `","sslProtocol":"`...)
	dst = append(dst, tlsProtocol(r.TLSVersion)...)
	dst = append(dst, `","sslServerName":"`...)
	dst = appendJSON(dst, []byte(r.ServerName), maxHost)
	dst = append(dst, '"')
	if r.ClientVerify == "" {
		return dst
	}
	dst = append(dst, `,"sslClientVerify":"`...)
	dst = appendJSON(dst, []byte(r.ClientVerify), maxShort)
	dst = append(dst, `","sslClientCertificateFingerprint":"`...)
	dst = append(dst, r.ClientFingerprint...)
	dst = append(dst, `","sslClientCertificateIssuerName":"`...)
	dst = appendJSON(dst, []byte(r.ClientIssuer), maxHost)
	return append(dst, '"')
}

// tlsProtocol names a version as Azure and OpenSSL do.
func tlsProtocol(version uint16) string {
	switch version {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS10:
		return "TLSv1"
	}
	return ""
}

// jsonBackend appends what Azure knows of the backend. As in nginx, whose
// variables these are, header time and latency include connecting.
func jsonBackend(dst []byte, r *Record) []byte {
	dst = append(dst, `,"serverRouted":"`...)
	dst = appendJSON(dst, []byte(r.Backend), maxShort)
	dst = append(dst, `","serverStatus":`...)
	dst = strconv.AppendInt(dst, int64(r.BackendStatus), 10)
	if r.Tc >= 0 {
		dst = append(dst, `,"serverConnectTime":`...)
		dst = appendSeconds(dst, r.Tc)
	}
	if r.Tr >= 0 {
		dst = append(dst, `,"serverHeaderTime":`...)
		dst = appendSeconds(dst, max(r.Tc, 0)+r.Tr)
		dst = append(dst, `,"serverResponseLatency":`...)
		dst = appendSeconds(dst, max(r.Tc, 0)+r.Tr+max(r.Td, 0))
	}
	dst = append(dst, `,"serverReceivedBytes":`...)
	dst = strconv.AppendInt(dst, r.BackendIn, 10)
	dst = append(dst, `,"serverSentBytes":`...)
	dst = strconv.AppendInt(dst, r.BackendOut, 10)
	if r.Reused {
		return append(dst, `,"reused":true`...)
	}
	return append(dst, `,"reused":false`...)
}

// jsonWAF appends what the firewall did: Azure's three facts, and the outcome.
func jsonWAF(dst []byte, r *Record) []byte {
	dst = append(dst, `,"WAFEvaluationTime":`...)
	dst = appendSeconds(dst, max(r.WAFEvaluationTime, 0))
	dst = append(dst, `,"WAFMode":"`...)
	dst = appendJSON(dst, []byte(r.WAFMode), maxToken)
	dst = append(dst, `","WAFPolicyID":"`...)
	dst = appendJSON(dst, []byte(r.WAFPolicy), maxShort)
	dst = append(dst, `","WAFAction":"`...)
	dst = appendJSON(dst, []byte(r.WAFAction), maxToken)
	return append(dst, '"')
}

func jsonTimers(dst []byte, r *Record) []byte {
	dst = append(dst, `,"timers":{"Th":`...)
	dst = appendSeconds(dst, r.Th)
	dst = append(dst, `,"Ti":`...)
	dst = appendSeconds(dst, r.Ti)
	dst = append(dst, `,"TR":`...)
	dst = appendSeconds(dst, r.TR)
	dst = append(dst, `,"Tw":`...)
	dst = appendSeconds(dst, r.Tw)
	dst = append(dst, `,"Tc":`...)
	dst = appendSeconds(dst, r.Tc)
	dst = append(dst, `,"Tr":`...)
	dst = appendSeconds(dst, r.Tr)
	dst = append(dst, `,"Td":`...)
	dst = appendSeconds(dst, r.Td)
	dst = append(dst, `,"Ta":`...)
	return appendSeconds(dst, r.Ta)
}

func jsonEnd(dst []byte, r *Record) []byte {
	dst = append(dst, `},"retries":`...)
	dst = strconv.AppendInt(dst, int64(r.Retries), 10)
	if r.Queued > 0 {
		dst = append(dst, `,"queueTime":`...)
		dst = appendSeconds(dst, r.Queued)
	}
	if r.Hedge != "" {
		dst = append(dst, `,"hedge":"`...)
		dst = append(dst, r.Hedge...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"termination":"`...)
	if i := r.Termination.index(); i == 0 {
		dst = append(dst, "--"...)
	} else {
		dst = appendJSON(dst, r.Termination[:], maxToken)
	}
	if r.Reason != "" {
		dst = append(dst, `","reason":"`...)
		dst = appendJSON(dst, []byte(r.Reason), maxShort)
	}
	dst = append(dst, `","error_info":"`...)
	if r.ErrorInfo == "" {
		dst = append(dst, ErrorInfoNone...)
	} else {
		dst = appendJSON(dst, []byte(r.ErrorInfo), maxToken)
	}
	return append(dst, "\"}\n"...)
}

// combined appends r as a line of Apache's combined format, in UTC. Its size
// is that of the whole response, as in the JSON format.
func (e *encoder) combined(dst []byte, r *Record) []byte {
	if r.ClientAddr.IsValid() {
		dst = appendAddr(dst, r.ClientAddr.Addr())
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, " - "...)
	dst = appendUser(dst, r.User)
	dst = append(dst, " ["...)
	dst = e.appendStamp(dst, max(r.Start, 0), combinedStamp)
	dst = append(dst, `] "`...)
	if len(r.Method) > 0 || len(r.Target) > 0 {
		dst = appendQuoted(dst, r.Method, maxToken)
		dst = append(dst, ' ')
		dst = appendQuoted(dst, r.Target, maxURL)
		dst = append(dst, ' ')
		dst = appendQuoted(dst, []byte(r.Proto), maxToken)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, `" `...)
	if r.Status > 0 {
		dst = strconv.AppendInt(dst, int64(r.Status), 10)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.BytesOut, 10)
	dst = append(dst, ` "`...)
	dst = appendQuoted(dst, r.Referer, maxReferer)
	dst = append(dst, `" "`...)
	dst = appendQuoted(dst, r.UserAgent, maxAgent)
	return append(dst, "\"\n"...)
}

// appendUser appends a user's name, which must not look like the next column.
func appendUser(dst []byte, user string) []byte {
	if user == "" || user == "-" {
		return append(dst, '-')
	}
	return appendQuoted(dst, bytes.ReplaceAll([]byte(user), []byte(" "), []byte("%20")), maxShort)
}

// appendAddr appends an address without its zone: an interface may have any
// name, quotes included.
func appendAddr(dst []byte, a netip.Addr) []byte {
	return a.Unmap().WithZone("").AppendTo(dst)
}

// appendSeconds appends nanoseconds as seconds with microseconds, or -1.
func appendSeconds(dst []byte, ns int64) []byte {
	if ns <= 0 {
		if ns < 0 {
			return append(dst, "-1"...)
		}
		return append(dst, '0')
	}
	us := uint64(ns) / 1000
	if us >= 1e6 {
		dst = strconv.AppendUint(dst, us/1e6, 10)
		us %= 1e6
	} else {
		dst = append(dst, '0')
	}
	dst = append(dst, '.')
	dst = appendDigits3(dst, int(us/1000))
	return appendDigits3(dst, int(us%1000))
}

// appendDigits3 appends n, 0 to 999, with leading zeros.
func appendDigits3(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}
