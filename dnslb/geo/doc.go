// Package geo tells the place of an address: its country and continent, and
// with a city database its subdivision too.
//
// A [Database] is either the one that is built in (countries only, from
// [Builtin]) or a file in MaxMind's format that the operator has (from
// [Open]). Both become the same sorted table in memory, so that a lookup costs
// some tens of nanoseconds, allocates nothing, and never touches a file.
//
// A Database does not change. Who follows a file opens it again when it
// changed, stores the new Database where the old one was (one atomic pointer),
// and closes the old one, whenever it likes: a lookup that already runs in it
// still gets its answer, and later ones find nothing.
package geo
