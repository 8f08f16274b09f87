// Package multiplex is what HTTP/2 and HTTP/3 have in common: requests whose
// heads are field sections, many at once on one connection.
//
// A [Section] becomes the head of an HTTP/1.1 request, which package http1
// parses, so that all protocols refuse the same things. A [Budget] bounds what
// clients may make us do for nothing, [Workers] run what streams ask for.
package multiplex
