package config

import (
	"fmt"
	"slices"
	"strings"
)

func (c *checker) checkPathMaps() {
	merged := !slices.ContainsFunc(c.g.Listeners, func(l Listener) bool { return l.DuplicateSlashes == DuplicateSlashesKeep })
	for i, m := range c.g.PathMaps {
		path := fmt.Sprintf("pathMaps[%d]", i)
		if c.has(path + ".default") {
			c.checkAction(path+".default", m.Default, "")
		}
		seen := pathCover{specific: m.Order == OrderSpecific}
		for j, p := range m.Paths {
			at := fmt.Sprintf("%s.paths[%d]", path, j)
			c.checkAction(at, p.Action, "")
			c.checkMatch(at+".match", &p.Match)
			for k, pattern := range p.Paths {
				path := fmt.Sprintf("%s.paths[%d]", at, k)
				c.checkPattern(path, pattern, j, &seen, p.Match.Given() || c.has(at+".match"))
				if merged && strings.Contains(pattern, "//") {
					c.warnf(path, "%s can never match: every listener merges //; write one slash, or duplicateSlashes: keep", quote(pattern))
				}
			}
		}
	}
}

// checkPattern warns of a pattern that an earlier one takes everything from.
// A rule that wants more than a path takes not everything.
func (c *checker) checkPattern(path, pattern string, rule int, seen *pathCover, more bool) {
	if pattern == "" {
		return
	}
	if by, ok := seen.by(pattern); ok && !(more && seen.specific) {
		c.warnf(path, "%s can never match: %s in paths[%d] comes first and takes it; order the more specific before", quote(pattern), quote(by.pattern), by.rule)
		return
	}
	if !more {
		seen.add(pattern, rule)
	}
}

// pathCover knows which earlier pattern covers a path, with one look-up per
// byte rather than one per pattern.
type pathCover struct {
	specific        bool // the most specific comes first: only the same pattern covers
	exact, prefixes map[string]patternOf
}

type patternOf struct {
	pattern string
	rule    int
}

func (s *pathCover) add(pattern string, rule int) {
	if s.exact == nil {
		s.exact, s.prefixes = map[string]patternOf{}, map[string]patternOf{}
	}
	lower := strings.ToLower(pattern)
	if prefix, ok := strings.CutSuffix(lower, "*"); ok {
		s.prefixes[prefix] = patternOf{pattern, rule}
	} else {
		s.exact[lower] = patternOf{pattern, rule}
	}
}

func (s *pathCover) by(pattern string) (patternOf, bool) {
	literal, wild := strings.CutSuffix(strings.ToLower(pattern), "*")
	if by, ok := s.exact[literal]; ok && !wild {
		return by, true
	}
	if by, ok := s.prefixes[literal]; s.specific {
		return by, ok && wild
	}
	for n := range len(literal) + 1 {
		if by, ok := s.prefixes[literal[:n]]; ok {
			return by, true
		}
	}
	return patternOf{}, false
}
