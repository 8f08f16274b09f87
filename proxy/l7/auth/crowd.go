package auth

import (
	"sync/atomic"
	"time"
)

const (
	// crowdWaiting is how many may wait for their turn, and crowdPatience how
	// long.
	crowdWaiting  = 64
	crowdPatience = 5 * time.Second
)

// Crowd bounds how many do at a time what takes much of a core.
type Crowd struct {
	places  chan struct{}
	waiting atomic.Int64
}

// NewCrowd makes a crowd of n at a time.
func NewCrowd(n int) *Crowd { return &Crowd{places: make(chan struct{}, max(n, 1))} }

// enter waits for a place; false: there are too many, or it takes too long.
func (c *Crowd) enter() bool {
	select {
	case c.places <- struct{}{}:
		return true
	default:
	}
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > crowdWaiting {
		return false
	}
	late := time.NewTimer(crowdPatience)
	defer late.Stop()
	select {
	case c.places <- struct{}{}:
		return true
	case <-late.C:
		return false
	}
}

func (c *Crowd) leave() { <-c.places }
