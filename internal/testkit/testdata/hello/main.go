// Command hello is what the tests of testkit build and run.
package main

import "fmt"

func main() { fmt.Println("hello") }
