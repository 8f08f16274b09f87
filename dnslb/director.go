package dnslb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
	"gatehouse/health"
)

// Places tells where an address is: [geo.Database] does.
type Places interface {
	// Find returns the number of an address's place and the largest prefix
	// around it that has the same place.
	geo.Finder
	// Places are the places by their numbers.
	Places() []geo.Place
	// Divide finds places with the largest prefix around an address whose
	// places have the same class; class has that of each place.
	Divide(class []uint32) geo.Finder
}

// Latencies tells how far an address is from each region: [latency.Table]
// does.
type Latencies interface {
	// Find returns the number of an address's row and the largest prefix
	// around it that has the same row.
	geo.Finder
	// Rows is how many rows there are.
	Rows() int
	// Place is the number of the place of a row, in Places.
	Place(row int) int
	// Order groups regions from the nearest to the farthest; those of a
	// group are equally near.
	Order(row int, regions []latency.Region) [][]latency.Region
	// Divide is that of Places for rows.
	Divide(class []uint32) geo.Finder
}

// Director is the compiled profiles of a configuration. It never changes.
type Director struct {
	// Profiles are in the order of the configuration.
	Profiles []*Profile
	// Endpoints are those of all profiles; Endpoint.ID is the index.
	Endpoints []*Endpoint

	byName  map[string]*Profile
	upwards []*Profile // nested ones before those they are nested in

	places     Places
	latencies  Latencies
	geoClasses map[string]*classes // by the codes that are mapped
	rowClasses map[string]*classes // by the regions that are used
	regions    [][]string          // by place, as long as the director is compiled
}

// Profile is a name that leads to endpoints.
type Profile struct {
	// Name is that of the configuration, unique.
	Name string
	// Endpoints are in the order of the configuration.
	Endpoints []*Endpoint

	conf     *config.Profile
	director *Director
	index    int        // in Director.Profiles
	parents  []*Profile // that this one is nested in
	method   method

	places  *classes // of geographic
	rows    *classes // of performance
	regions []latency.Region
	subnets *spanTable // value: index in Endpoints; nil: no endpoint has any
	tree    tree
}

// Index is the place of the profile in Director.Profiles.
func (p *Profile) Index() int { return p.index }

// Director is the one that the profile is of.
func (p *Profile) Director() *Director { return p.director }

// Config is what the profile was compiled from; it must not be changed.
func (p *Profile) Config() *config.Profile { return p.conf }

// Endpoint is one of the places that a profile leads to.
type Endpoint struct {
	// ID is unique in the director and means nothing outside it.
	ID int
	// Name is unique in the profile; Key, profile/endpoint, everywhere.
	Name, Key string

	conf    *config.Endpoint
	profile *Profile
	index   int      // in Profile.Endpoints
	nested  *Profile // nil: none
	region  latency.Region
	hash    uint64 // of the key
	host    []byte // wire format
	flatten bool   // a host name whose addresses are answered
}

// Config is what the endpoint was compiled from; it must not be changed.
func (e *Endpoint) Config() *config.Endpoint { return e.conf }

// Profile is the one that the endpoint is of.
func (e *Endpoint) Profile() *Profile { return e.profile }

// Nested is the profile that the endpoint stands for, nil if none.
func (e *Endpoint) Nested() *Profile { return e.nested }

// HostWire is the endpoint's host name in wire format; nil if it has none. It
// must not be changed.
func (e *Endpoint) HostWire() []byte { return e.host }

// Flattened tells whether the endpoint is a host name whose addresses have to
// be known, as they are answered.
func (e *Endpoint) Flattened() bool { return e.flatten }

// Monitor is how the endpoint is probed; nil if it is not.
func (e *Endpoint) Monitor() *config.Monitor {
	if e.unmonitored() || e.nested != nil {
		return nil
	}
	if e.conf.Monitor != nil {
		return e.conf.Monitor
	}
	return &e.profile.conf.Monitor
}

func (e *Endpoint) unmonitored() bool {
	if e.conf.Monitor != nil && e.conf.Monitor.Protocol != config.MonitorNone {
		return e.conf.AlwaysServe
	}
	return e.conf.AlwaysServe || e.conf.Monitor != nil || e.profile.conf.Monitor.Protocol == config.MonitorNone
}

// Target is what the endpoint leads to, as people would write it.
func (e *Endpoint) Target() string {
	switch {
	case e.conf.Address.IsValid():
		return e.conf.Address.String()
	case e.conf.Host != "":
		return e.conf.Host
	}
	return "profile " + e.conf.Profile
}

// Compile compiles the profiles of a configuration that was checked. places
// and latencies may be nil if no profile goes by them; both have the same places
// under the same numbers.
func Compile(conf *config.TrafficManager, places Places, latencies Latencies) (*Director, error) {
	d := &Director{byName: map[string]*Profile{}, places: places, latencies: latencies,
		geoClasses: map[string]*classes{}, rowClasses: map[string]*classes{}}
	for i := range conf.Profiles {
		if err := d.add(&conf.Profiles[i]); err != nil {
			return nil, err
		}
	}
	if err := d.nest(); err != nil {
		return nil, err
	}
	for _, p := range d.Profiles {
		p.flattenMixed()
	}
	parts := newPartitions(d)
	for _, p := range d.upwards {
		if err := p.compile(); err != nil {
			return nil, fmt.Errorf("profile %q: %w", p.Name, err)
		}
		p.compileTree(parts)
	}
	parts.lay()
	d.regions = nil
	return d, nil
}

// Profile returns the profile of a name, nil if there is none.
func (d *Director) Profile(name string) *Profile { return d.byName[name] }

// Endpoint returns the endpoint of a key, profile/endpoint; nil if there is
// none.
func (d *Director) Endpoint(key string) *Endpoint {
	for i := len(key) - 1; i >= 0; i-- {
		if p := d.byName[key[:i]]; key[i] == '/' && p != nil {
			return p.endpoint(key[i+1:])
		}
	}
	return nil
}

func (p *Profile) endpoint(name string) *Endpoint {
	for _, e := range p.Endpoints {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// add makes a profile and its endpoints.
func (d *Director) add(conf *config.Profile) error {
	m := methods[conf.Routing]
	if m == nil {
		return fmt.Errorf("profile %q: no routing method %d", conf.Name, conf.Routing)
	}
	p := &Profile{Name: conf.Name, conf: conf, director: d, index: len(d.Profiles), method: m}
	for i := range conf.Endpoints {
		e := &Endpoint{ID: len(d.Endpoints), Name: conf.Endpoints[i].Name, Key: conf.Name + "/" + conf.Endpoints[i].Name,
			conf: &conf.Endpoints[i], profile: p, index: i}
		e.hash, e.host = hash(e.Key), hostWire(e.conf.Host)
		e.flatten = e.conf.Host != "" && (conf.Flatten || conf.Label == "@" || conf.Routing == config.RouteMultiValue)
		d.Endpoints = append(d.Endpoints, e)
		p.Endpoints = append(p.Endpoints, e)
	}
	d.Profiles = append(d.Profiles, p)
	d.byName[p.Name] = p
	return nil
}

// nest finds nested profiles, and the order in which each comes after those
// that are nested in it.
func (d *Director) nest() error {
	for _, e := range d.Endpoints {
		if e.conf.Profile == "" {
			continue
		}
		if e.nested = d.byName[e.conf.Profile]; e.nested == nil {
			return fmt.Errorf("endpoint %q: there is no profile %q", e.Key, e.conf.Profile)
		}
		e.nested.parents = append(e.nested.parents, e.profile)
	}
	const visiting, done = 1, 2
	mark := make([]int, len(d.Profiles))
	var visit func(p *Profile) error
	visit = func(p *Profile) error {
		switch mark[p.index] {
		case done:
			return nil
		case visiting:
			return fmt.Errorf("profile %q is nested in itself", p.Name)
		}
		mark[p.index] = visiting
		for _, e := range p.Endpoints {
			if e.nested != nil {
				if err := visit(e.nested); err != nil {
					return err
				}
			}
		}
		mark[p.index] = done
		d.upwards = append(d.upwards, p)
		return nil
	}
	for _, p := range d.Profiles {
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

// flattenMixed lets host names be answered with their addresses where a
// profile leads to addresses as well. A CNAME for one type and an address for
// another would not do: resolvers use a CNAME for every type (RFC 1034 3.6.2).
// A profile that matches late chooses without regard to the type.
func (p *Profile) flattenMixed() {
	leaves := p.Leaves()
	if p.conf.LateMatch || !slices.ContainsFunc(leaves, func(e *Endpoint) bool { return e.conf.Address.IsValid() }) {
		return
	}
	for _, e := range leaves {
		e.flatten = e.flatten || e.conf.Host != ""
	}
}

// compile prepares what the method needs.
func (p *Profile) compile() error {
	if err := p.compileSubnets(); err != nil {
		return err
	}
	switch p.conf.Routing {
	case config.RouteGeographic:
		if p.director.places == nil {
			return fmt.Errorf("geographic routing needs a database of places")
		}
		p.places = p.director.placeClasses(p.mappedCodes())
	case config.RoutePerformance:
		if err := p.compileRegions(); err != nil {
			return err
		}
	}
	return nil
}

// compileSubnets lays out the ranges of the endpoints.
func (p *Profile) compileSubnets() error {
	var list []span
	for i, e := range p.Endpoints {
		for _, r := range e.conf.Subnets {
			if r.First.BitLen() != r.Last.BitLen() || r.Last.Less(r.First) {
				return fmt.Errorf("endpoint %q: %s-%s is no range", e.Name, r.First, r.Last)
			}
			list = append(list, span{r.First, r.Last, i})
		}
	}
	if list != nil {
		p.subnets = newSpanTable(list)
	}
	return nil
}

// mappedCodes are the codes that some endpoint has, in order of the list.
func (p *Profile) mappedCodes() map[string]int {
	codes := map[string]int{}
	for i, e := range p.Endpoints {
		for _, code := range e.conf.Geo {
			codes[code] = i
		}
	}
	return codes
}

// compileRegions finds the regions of the endpoints.
func (p *Profile) compileRegions() error {
	if p.director.latencies == nil {
		return fmt.Errorf("performance routing needs a table of latencies")
	}
	seen := map[latency.Region]bool{}
	for _, e := range p.Endpoints {
		r, ok := latency.Find(e.conf.Location)
		if !ok {
			return fmt.Errorf("endpoint %q: there is no region %q", e.Name, e.conf.Location)
		}
		e.region = r
		if !seen[r] {
			seen[r] = true
			p.regions = append(p.regions, r)
		}
	}
	p.rows = p.director.latencyClasses(p.regions)
	return nil
}

// Known is what is known of an endpoint beside its configuration. The zero
// value is that of an endpoint that was never probed.
type Known struct {
	Health health.State
	Switch Switch
	// Addresses are those of a host name whose addresses are answered; nil
	// while they are not known.
	Addresses []netip.Addr
}

func (k Known) equal(l Known) bool {
	if k.Health != l.Health || k.Switch != l.Switch || len(k.Addresses) != len(l.Addresses) {
		return false
	}
	for i := range k.Addresses {
		if k.Addresses[i] != l.Addresses[i] {
			return false
		}
	}
	return true
}

// hostWire is a host name of the configuration in wire format.
func hostWire(host string) []byte {
	if host == "" {
		return nil
	}
	var b []byte
	for label := range strings.SplitSeq(host, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// hash is FNV-1a: the same on every machine.
func hash[T string | []byte](s T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// signature names a set of words.
func signature(words []string) string { return strings.Join(words, " ") }

// Leaves are the endpoints that a profile can lead to in the end: its own and
// those of nested profiles, but for the ones that stand for these.
func (p *Profile) Leaves() []*Endpoint {
	var list []*Endpoint
	seen := map[*Profile]bool{}
	var walk func(*Profile)
	walk = func(p *Profile) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, e := range p.Endpoints {
			if e.nested != nil {
				walk(e.nested)
			} else {
				list = append(list, e)
			}
		}
	}
	walk(p)
	return list
}
