package main

import (
	"strings"

	"gatehouse/config"
	"gatehouse/health"
)

// reasonCode is Azure's code for what is known of a member (LoadBalancer
// health status).
func reasonCode(p *config.L4Probe, s health.Status) string {
	switch {
	case s.Checked.IsZero() && s.State == health.Untried:
		return "NA"
	case s.State == health.Healthy && s.Streak < 0:
		return "Up_Probe_ApproachingUnhealthyThreshold"
	case s.State == health.Healthy:
		return "Up_Probe_Success"
	case s.Streak > 0:
		return "Down_Probe_ApproachingHealthyThreshold"
	case strings.HasPrefix(s.Reason, "status "):
		return "Down_Probe_HttpStatusCodeError"
	case p.Protocol == config.L4ProbeTCP:
		return "Down_Probe_TcpProbeTimeout"
	case strings.HasPrefix(s.Reason, "timeout"):
		return "Down_Probe_HttpNoResponse"
	}
	return "Down_Probe_HttpEndpointUnreachable"
}
