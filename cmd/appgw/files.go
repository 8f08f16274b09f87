package main

import (
	"errors"
	"fmt"

	"gatehouse/config"
)

// load reads the configuration. Beside what is wrong in it the error has what
// is wrong with the files that it names, as far as they could be read out of
// it: whoever mends it need not come back for them.
func (a *app) load() (conf *config.Gateway, warnings []string, err error) {
	conf, parsed, err := a.source.load()
	warnings = texts(parsed)
	var refused config.Errors
	if !errors.As(err, &refused) || a.source.file == "" {
		return conf, warnings, err
	}
	draft, failure := config.LoadDraft(a.source.file)
	if failure != nil {
		return nil, warnings, err // not YAML, which err says
	}
	b := newBuild(a, named(draft.Gateway), a.running(), true)
	b.refused = draft.Refused
	b.lookAtFiles()
	b.abandon()
	errs := refused.Unwrap()
	for _, p := range b.errs {
		errs = append(errs, placed(draft, p))
	}
	for _, w := range b.warn {
		warnings = append(warnings, placed(draft, w).Error())
	}
	return nil, warnings, joined(errs)
}

// named gives everything that files belong to its place as its name: in a
// draft, names may be missing or there twice.
func named(g *config.Gateway) *config.Gateway {
	for i := range g.Listeners {
		g.Listeners[i].Name = fmt.Sprintf("listeners[%d]", i)
	}
	for i := range g.BackendSettings {
		g.BackendSettings[i].Name = fmt.Sprintf("backendSettings[%d]", i)
	}
	for i := range g.Authentications {
		g.Authentications[i].Name = fmt.Sprintf("authentications[%d]", i)
	}
	return g
}

// lookAtFiles is what a build does with files, without what is made of them.
func (b *build) lookAtFiles() {
	b.loadSecret()
	b.loadCertificates()
	b.loadClientAuth()
	b.loadAuthentications()
	b.loadTicketKeys()
	b.loadACME()
	b.openAccessLog()
	b.openWAFLog()
	b.loadGeo()
	b.loadPages("errorPages", b.conf.ErrorPages)
	for _, l := range b.conf.Listeners {
		b.loadPages(b.listenerPath(l.Name)+".errorPages", l.ErrorPages)
	}
	for i := range b.conf.BackendSettings {
		s := &b.conf.BackendSettings[i]
		if _, err := b.backendTLS(s); err != nil {
			b.fail(b.settingsPath(s.Name)+".tls.caFile", "%w", err)
		}
	}
}
