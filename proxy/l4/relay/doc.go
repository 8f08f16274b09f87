// Package relay carries the TCP flows of package l4: it accepts connections,
// asks which member each goes to, connects there, and moves bytes both ways
// until both ends are done.
//
// [Loops] are the event loops of the process, one for each core. A [Server]
// serves one door with sockets from [Listen], one in each loop; a flow stays
// in the loop that accepted it, with both of its sockets. A loop is one
// goroutine with an epoll set of its own and direct, non-blocking system
// calls: no message wakes a goroutine, and no idle flow holds a stack.
//
// What a flow holds while nothing moves is one struct and two descriptors.
// Bytes that one side has sent and the other does not take wait in a buffer of
// at most [bufferSize] for each direction, or in one of a bounded number of
// pipes, and nothing more is read until they are gone.
package relay
