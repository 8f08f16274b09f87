// Package crs runs the regression tests of the OWASP Core Rule Set, some
// 4700 requests with the rules that must or must not match them, against a
// running appgw. They are judged by go-ftw, the tool that the rule set's
// authors use. It is a module of its own, so that what go-ftw needs is not
// needed by the product:
//
//	cd test/crs && go test -count=1 -v .
//
// overrides.yaml has the tests whose expectation is another one here, among
// them those that the gateway refuses before a rule is asked; ignored.yaml
// those that are not run. Each has its reason.
package crs
