package config

import "time"

func queueObject() object[Queue] {
	return object[Queue]{fields: []field[Queue]{
		key("length", func(q *Queue) *int { return &q.Length }, integer(0, 100_000), "How many requests may wait for a member of a pool; over: 503. 0: none.").or("0"),
		key("timeout", func(q *Queue) *time.Duration { return &q.Timeout }, duration(time.Millisecond, 10*time.Minute), "How long each may wait; over: 503.").or("5s"),
	}}
}

func hedgeObject() object[Hedge] {
	return object[Hedge]{fields: []field[Hedge]{
		key("after", func(h *Hedge) *time.Duration { return &h.After }, duration(0, time.Hour), "How long a GET or HEAD request without a body waits for a response head before another member is asked as well; the head that comes first is the answer. 0s: for ever.").or("0s"),
	}}
}

func adaptiveObject() object[Adaptive] {
	return object[Adaptive]{fields: []field[Adaptive]{
		key("max", func(a *Adaptive) *int { return &a.Max }, integer(0, 100_000), "The highest limit; 0: off.").or("0"),
		key("min", func(a *Adaptive) *int { return &a.Min }, integer(1, 100_000), "The lowest limit.").or("5"),
		key("tolerance", func(a *Adaptive) *int { return &a.Tolerance }, integer(101, 10_000), "What the mean response time may be before the limit falls, in percent of the member's lowest.").or("200"),
	}}
}
