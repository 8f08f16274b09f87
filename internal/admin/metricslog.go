package admin

import (
	"fmt"
	"log/slog"
)

// metricsLog is the logger that promhttp wants.
type metricsLog struct{ log *slog.Logger }

// Println logs a failed scrape.
func (m metricsLog) Println(v ...any) {
	m.log.Warn("metrics", "error", fmt.Sprint(v...))
}
