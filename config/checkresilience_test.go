package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatResilienceRefuses(t *testing.T) {
	for _, tt := range []struct{ name, settings, want string }{
		{"a longest ejection that is shorter than the first", "ejection: {time: 30s, maxTime: 10s}",
			"backendSettings[0].ejection.maxTime: must be at least time, which is 30s"},
		{"a queue before nothing", "queue: {length: 1}",
			"backendSettings[0].queue: has no effect: nothing is limited; set maxConnections, maxRequests or adaptive"},
		{"a queue before members", "queue: {length: 1}, maxConnections: 1", ""},
		{"an attempt that may take longer than all", "retries: {on: [timeout], perTryTimeout: 20s}",
			"backendSettings[0].retries.perTryTimeout: must be less than requestTimeout, which is 20s"},
		{"an attempt whose end is of no use", "retries: {perTryTimeout: 1s}",
			"backendSettings[0].retries.perTryTimeout: is for retries after a timeout; add timeout to on, or remove it"},
		{"a status for no attempts", "retries: {onStatus: [503], attempts: 0}",
			"backendSettings[0].retries.onStatus: has no effect with attempts: 0"},
		{"a pause before no attempts", "retries: {backoff: 1s, attempts: 0}",
			"backendSettings[0].retries.backoff: has no effect with attempts: 0"},
		{"a timeout of no attempts", "retries: {on: [timeout], perTryTimeout: 1s, attempts: 0}",
			"backendSettings[0].retries.perTryTimeout: has no effect with attempts: 0"},
		{"a wait in no queue", "queue: {timeout: 1s}",
			"backendSettings[0].queue.timeout: has no effect without length"},
		{"a lowest limit of none", "adaptive: {min: 10}",
			"backendSettings[0].adaptive.min: has no effect without max"},
		{"a tolerance of no limit", "adaptive: {tolerance: 150}",
			"backendSettings[0].adaptive.tolerance: has no effect without max"},
		{"a status that is none of an error", "retries: {onStatus: [200]}",
			`backendSettings[0].retries.onStatus[0]: must be 400 to 599, not "200"`},
		{"all retries that make sense", "retries: {on: [connectFailure, timeout, reset], onStatus: [503], perTryTimeout: 1s, backoff: 10ms}", ""},
		{"responses of layer 4", "protocol: tcp, ejection: {serverErrors: 3}",
			"backendSettings[0].ejection.serverErrors: is about responses, of which settings with protocol: tcp or tls know none; remove it"},
		{"resets at layer 4", "protocol: tcp, retries: {on: [reset]}",
			"backendSettings[0].retries.on: reset is about requests, of which settings with protocol: tcp or tls know none; remove it"},
		{"a queue at layer 4", "protocol: tcp, queue: {length: 1}", "backendSettings[0].queue: "},
		{"a hedge after the end", "hedge: {after: 20s}", "backendSettings[0].hedge.after: must be less than requestTimeout, which is 20s"},
		{"gRPC-Web over HTTP/1.1", "grpcWeb: true", "backendSettings[0].grpcWeb: gRPC-Web becomes gRPC, which backends speak over HTTP/2; set http2: true, or remove it"},
		{"gRPC-Web over HTTP/2", "grpcWeb: true, http2: true", ""},
		{"a highest limit below the lowest", "adaptive: {max: 4}", "backendSettings[0].adaptive.max: must be at least min, which is 5"},
		{"a queue before an adaptive limit", "queue: {length: 1}, adaptive: {max: 40}", ""},
		{"one that is not written", "ejection: {time: 1h}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(web, "{name: plain}", "{name: plain, "+tt.settings+"}", 1)
			_, warnings, err := ParseGateway("appgw.yaml", []byte(text))
			switch {
			case tt.want == "" && (err != nil || len(warnings) > 0):
				t.Errorf("%v %v", err, warnings)
			case !strings.Contains(fmt.Sprint(err, warnings), tt.want):
				t.Errorf("%v %v, want %s", err, warnings, tt.want)
			}
		})
	}
}
