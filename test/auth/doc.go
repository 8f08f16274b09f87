// Package auth has the tests of authentications and CORS policies against the real binary.
package auth
