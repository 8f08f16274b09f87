package config

// BodyBuffering holds a body, or its beginning, before it is passed on. The
// zero value does not.
type BodyBuffering struct {
	MaxSize int // how much is held at most; 1 KiB..16 MiB, default 1 MiB
}

// maxBodySize is the largest bound on a request body.
const maxBodySize = 1 << 40

func bodySize() value[int] { return size(0, maxBodySize) }

// bufferingObject describes the buffering of one direction.
func bufferingObject() object[BodyBuffering] {
	return object[BodyBuffering]{fields: []field[BodyBuffering]{
		key("maxSize", func(b *BodyBuffering) *int { return &b.MaxSize }, size(1<<10, 16<<20), "How much of a body is held; what is longer is passed on as it comes.").or("1MiB"),
	}}
}
