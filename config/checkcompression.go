package config

import (
	"fmt"
	"slices"
)

func (c *checker) checkCompressions() {
	for i, p := range c.g.CompressionPolicies {
		path := fmt.Sprintf("compressionPolicies[%d]", i)
		if p.Name == CompressionOff {
			c.errorf(path+".name", "off is what path rules write for no compression; choose another name")
		}
		for j, e := range p.Encodings {
			if slices.Contains(p.Encodings[:j], e) && e != CodingNone {
				c.errorf(fmt.Sprintf("%s.encodings[%d]", path, j), "is there twice; remove one")
			}
		}
	}
}

// checkCompressionOfAction checks what a path rule or a default says.
func (c *checker) checkCompressionOfAction(path string, a Action) {
	c.checkCompressionOf(path, a.Compression)
	if a.Compression != "" && a.Redirect != "" {
		c.errorf(path+".compression", "the answer of a redirect is not compressed; remove it")
	}
}

// checkCompressionOf looks the policy of a listener or an action up.
func (c *checker) checkCompressionOf(path, name string) {
	if name != CompressionOff {
		c.refer(&c.compressions, path+".compression", name)
	}
}
