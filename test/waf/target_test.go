package waf_test

import (
	"testing"

	"gatehouse/internal/httpmsg"
	"gatehouse/proxy/http1"
)

// TestTargetsThatAreNotReadAlikeReachNoRule sends the targets of the Core Rule
// Set's tests that the firewall reads otherwise than Coraza alone
// (waf/testdata/stock.yaml). The gateway forwards none of them.
func TestTargetsThatAreNotReadAlikeReachNoRule(t *testing.T) {
	for _, tc := range []struct {
		test, line string
		forwarded  bool
	}{
		{"920100-4", "CONNECT 1.2.3.4:80 HTTP/1.1", false},
		{"920100-5", "CONNECT www.coreruleset.org HTTP/1.1", false},
		{"920100-7", "GET /get/index.html?I=Like&Apples=Today#tag HTTP/1.1", false},
		{"920100-8", "GET /get/index.html:80?I=Like&Apples=Today#tag HTTP/1.1", false},
		{"920100-11", `GET \ HTTP/1.1`, false},
		{"920100-13", `GET \index.html HTTP\1.0`, false},
		{"920100-15", `GET /get/demo/xss/xml/vuln.xml.php?input=<script xmlns="http://www.w3.org/1999/xhtml"> HTTP/1.1`, false},
		{"one that is", "GET /get/index.html?I=Like HTTP/1.1", true},
	} {
		t.Run(tc.test, func(t *testing.T) {
			head := []byte(tc.line + "\r\nHost: localhost\r\n\r\n")
			err := http1.ParseRequest(head, &httpmsg.Request{}, &http1.Limits{HeadBytes: 64 << 10, Fields: 1000, URLBytes: 32 << 10})
			if forwarded := err == nil; forwarded != tc.forwarded {
				t.Errorf("forwarded %t (%v), want %t", forwarded, err, tc.forwarded)
			}
		})
	}
}
