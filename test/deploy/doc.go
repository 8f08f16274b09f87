// Package deploy tests what deploy/ ships: that the binary needs nothing but itself and its configuration, and that image,
// compose file and systemd unit say what they must.
package deploy
