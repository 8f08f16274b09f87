package config

import "time"

// Cache is a response cache (RFC 9111), which rules and path rules use by its
// name.
type Cache struct {
	Name           string
	MaxBytes       int // in all; default 64 MiB
	MaxObjectBytes int // of one response's body; default 1 MiB
	Key            CacheKey

	// DefaultTTL is how long a response is fresh that does not say so; 0
	// (default): it is not stored.
	DefaultTTL time.Duration
	// StaleWhileRevalidate and StaleIfError (RFC 5861) are for responses that
	// have none.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration
	// IgnoreClientNoCache keeps clients from making the backend be asked.
	IgnoreClientNoCache bool
	Pos                 Pos
}

// CacheKey is what tells responses apart beside host, scheme and path.
type CacheKey struct {
	Query   CacheQuery
	Headers []string // whose values are in the key; in lower case
}

// CacheQuery is how much of the query is in the key: all of it, nothing, or the
// parameters of these names.
type CacheQuery struct {
	None  bool
	Names []string // Valid iff None is false; empty: all
}
