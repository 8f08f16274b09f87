// Package cache keeps responses of backends and says when they may be used: a
// shared cache as RFC 9111 has it.
//
// It knows no sockets. Whoever serves requests makes a Query of one, looks for
// an Entry, has it judged against the request, and either sends it or asks a
// backend, whose response a Capture takes down while it passes by. Requests for
// the same thing that come meanwhile join the Flight of the first.
//
// Times are nanoseconds on any clock that only goes forward; the wall clock is
// asked for once for each response, to compare with its Date.
package cache
