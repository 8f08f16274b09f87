package waf

import (
	"strings"

	"gatehouse/config"
)

// Action is what a decision wants done with a message.
type Action uint8

const (
	Pass  Action = iota // let it go on
	Hold                // collect the body up to Decision.Limit and show it in one piece
	Block               // answer with Status and Page
	Drop                // close the connection without an answer
)

// Decision is what a transaction says of a part of a message. The zero value
// lets it pass.
type Decision struct {
	Action Action
	Limit  int    // of Hold, in bytes
	Watch  bool   // show what follows the held bytes, too
	Status int    // of Block
	Page   *Page  // of Block; nil: the listener's page for the status
	Reason string // for the access log
}

// Page is an answer.
type Page struct {
	ContentType string
	Fields      [][2]string
	Body        []byte
}

// blockPage is the page of a policy; nil for the listener's.
func blockPage(b *config.BlockResponse, body []byte) *Page {
	if len(body) == 0 && b.Body == "" {
		return nil
	}
	if len(body) == 0 {
		body = []byte(b.Body)
	}
	kind := b.ContentType
	if kind == "" {
		kind = "text/html; charset=utf-8"
	}
	return &Page{ContentType: kind, Body: body}
}

// listed reports whether a media type, in any case, is in a list in lower
// case.
func listed(list []string, mediaType string) bool {
	for _, l := range list {
		if strings.EqualFold(l, mediaType) {
			return true
		}
	}
	return false
}
