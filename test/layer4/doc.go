// Package layer4 tests listeners of appgw that carry bytes and know no requests, with the real binary.
package layer4
