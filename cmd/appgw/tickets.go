package main

import (
	"fmt"
	"os"

	"gatehouse/config"
	"gatehouse/internal/tlscert"
)

// loadTicketKeys reads the keys of session tickets that listeners share with
// other instances.
func (b *build) loadTicketKeys() {
	for i := range b.conf.Listeners {
		file := b.conf.Listeners[i].TLS.TicketKeyFile
		if file == "" {
			continue
		}
		path := fmt.Sprintf("listeners[%d].tls.ticketKeys.file", i)
		b.depend(file)
		keys, err := tlscert.LoadTicketKeys(file)
		if err != nil {
			b.fail(path, "%w", err)
			continue
		}
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
			b.warnf(path, "%s: every user may read these keys (mode %04o)", file, info.Mode().Perm())
		}
		b.ticketKeys[b.conf.Listeners[i].Name] = keys
	}
}

// tickets are the keys of a listener: shared ones, or the process's own.
func (b *build) tickets(c *config.Listener) tlscert.TicketSource {
	if keys := b.ticketKeys[c.Name]; keys != nil {
		return keys
	}
	return b.app.tickets
}
