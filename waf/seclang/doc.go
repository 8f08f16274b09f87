// Package seclang reads SecLang, the rule language of ModSecurity and Coraza,
// into plain data: what a rule looks at, how it compares and what it does.
//
// Parse reads the text of files into directives, in order; Apply carries out
// those of them that change rules and gives the rules that remain. Neither
// opens a file nor evaluates anything.
//
// A rule means here exactly what it means to Coraza 3.8, which decides about
// requests: text that Parse accepts Coraza accepts too, and understands alike,
// as far as it does not depend on the argument of an operator (an expression
// that does not compile, a file that does not exist) or on the value of a
// setting (SecRequestBodyLimit). Parse refuses more than Coraza, namely what
// Coraza would pass over or misread in silence, since a rule that does not do
// what it says is worse than none.
package seclang
