// Package proxy is what the L4 and L7 proxies share: pools of backends, which
// of them may be used, and the drain and accounting of what is in flight.
//
// A [Pool] is one pair of backend pool and backend settings that rules use.
// It is made by [NewPool], which may fail and changes nothing, and set to
// work by [Pool.Commit], which cannot fail; a new configuration's pool takes
// over the live backends of its predecessor. For a request,
//
//	b, err := pool.Acquire(nil)
//	if err != nil {
//		... // 502; err is a reason for people
//	}
//	defer b.End()
//
// What a proxy keeps for each backend, such as idle connections, it attaches
// with Options.Attach and finds with [Backend.Attached].
package proxy
