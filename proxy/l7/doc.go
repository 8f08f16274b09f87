// Package l7 is the application gateway: listener, route, stages, upstream,
// record.
//
// A Gateway runs Frontends, which accept connections, and answers each
// request by the Snapshot that is current when the request's head is
// complete. A new configuration is a new Snapshot; what must live on (pools,
// idle connections, counters) is handed to it by whoever builds it.
package l7
