package transform

import "strings"

func removeNulls(text string) string { return strings.ReplaceAll(text, "\x00", "") }

// replaceNulls makes a space of each NUL.
func replaceNulls(text string) string { return strings.ReplaceAll(text, "\x00", " ") }
