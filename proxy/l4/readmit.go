package l4

// Readmit is Admit for a flow that was let in by another process, which this
// one goes on with: it counts as the others do, but is neither new to a
// security group nor to a limit of new flows in a second. A refusal is not
// told, as the flow will begin anew and be Admitted or not.
func (b *Balancer) Readmit(d *Door, t *Tuple, now int64) Refusal {
	bounds := d.Rule.Limits
	bounds.FlowRate, bounds.FlowRatePerClient = 0, 0
	return b.admitWithin(&bounds, d, t, now)
}
