package telemetry

import (
	"testing"
	"time"
	"unsafe"
)

func TestAUsualRequestTouchesFewLines(t *testing.T) {
	var s routeShard
	base := uintptr(unsafe.Pointer(&s))
	at := func(p unsafe.Pointer) uintptr { return (uintptr(p) - base) / cacheLine }
	quick, slow := bucketOf(0), bucketOf(int64(2*time.Millisecond))
	lines := map[uintptr]bool{}
	for _, p := range []unsafe.Pointer{
		unsafe.Pointer(&s.codes[codeClass(200)]), unsafe.Pointer(&s.bytesIn), unsafe.Pointer(&s.bytesOut),
		unsafe.Pointer(&s.backendIn), unsafe.Pointer(&s.backendOut), unsafe.Pointer(&s.reuses),
		unsafe.Pointer(&s.duration.sum), unsafe.Pointer(&s.duration.counts[quick]), unsafe.Pointer(&s.duration.counts[slow]),
		unsafe.Pointer(&s.response.sum), unsafe.Pointer(&s.response.counts[quick]), unsafe.Pointer(&s.response.counts[slow]),
	} {
		lines[at(p)] = true
	}
	if len(lines) > 3 {
		t.Errorf("a usual request touches %d lines", len(lines))
	}
	if size := unsafe.Sizeof(s); size%cacheLine != 0 {
		t.Errorf("a shard has %d bytes, not whole lines", size)
	}
}
