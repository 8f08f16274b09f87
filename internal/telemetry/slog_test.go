package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"
)

func TestProcessLogHasDurationsForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5384211 * time.Nanosecond:   "5.4ms",
		30 * time.Second:            "30s",
		0:                           "0s",
		-1500 * time.Millisecond:    "-1.5s",
		90*time.Second + 44444:      "1m30s",
		12345 * time.Nanosecond:     "12.3µs",
		999 * time.Nanosecond:       "999ns",
		2*time.Hour + time.Second/3: "2h0m0.3s",
	} {
		var b bytes.Buffer
		NewLogger(&b, slog.LevelInfo).Info("done", slog.Group("reload", "took", d))
		var line struct{ Reload struct{ Took string } }
		if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Reload.Took != want {
			t.Errorf("%v is written %q (%v), want %q", d, line.Reload.Took, err, want)
		}
	}
}
