package geo

import (
	_ "embed" // for the table
	"fmt"
	"sync"
)

//go:generate go run ./gen -in . -out countries.bin

// countries is the built-in database; DATA.md says where it is from.
//
//go:embed countries.bin
var countries []byte

// Builtin returns the built-in database of countries. It is decoded at the
// first call, which takes some 30 ms, and shared from then on: 11 MB.
func Builtin() *Database { return builtin() }

var builtin = sync.OnceValue(func() *Database {
	d, err := Decode(countries)
	if err != nil {
		panic(fmt.Sprintf("geo: the embedded database: %v", err)) // the build is broken, see TestBuiltin
	}
	d.builtin = true
	return d
})
