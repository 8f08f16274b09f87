// Package attack lets sqlmap loose on a shop whose every page can be injected, with and without the web application firewall
// before it, as an attacker would who knows that it is there: with the head of a browser and payloads spelt otherwise.
//
// A short run belongs to the long tests; `make test-attack` runs all.
package attack
