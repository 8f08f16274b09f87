// Package waf is the web application firewall: it decides what becomes of
// requests, and responses, that look like attacks.
//
// A Policy is compiled from config.WAFPolicy and shared by everything that
// uses it. Begin starts a Transaction for one request, which is shown the
// message as it passes, in order, and answers each time with a Decision. In
// that order it asks
//
//  1. custom rules, rate limits and challenges (packages waf/custom,
//     waf/ratelimit, waf/challenge, waf/bot), in our own code;
//  2. the managed rules: the OWASP Core Rule Set. Package waf/index finds out
//     which of them could match. Mostly none can, and that is all; otherwise
//     Coraza judges the request, and those that cannot match are skipped.
//
// Everybody looks at the same reading of the message, variables.Request.
package waf
