package bot

// Class is one of the three groups of Azure's bot rules.
type Class uint8

const (
	None    Class = iota // it does not say that it is a program
	Bad                  // not what it says, or a tool for attacks
	Good                 // a crawler that was verified
	Unknown              // another program, or a crawler that was not verified
)

// String is the class in the configuration.
func (c Class) String() string {
	return [...]string{"none", "badBots", "goodBots", "unknownBots"}[c]
}

// Verdict is what a client is. The zero value is a client that does not say
// that it is a program.
type Verdict struct {
	ID      string // Azure's number of the rule: Bot100200
	Class   Class
	Name    string // what it says it is, in our words: Googlebot
	Reason  string // for people
	Pending bool   // its name is being looked up: next time, the class may be another
}
