package waf

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/config"
)

const cleanGET = `GET /shop/search?q=garden+chairs&page=2 HTTP/1.1
Host: shop.example
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Accept-Language: en-US,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
Referer: https://shop.example/shop/
Connection: keep-alive
Cookie: session=0b7c1a2f9d; cart=3f29ac; theme=dark
Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin`

// bench shows a policy one request after the other, of which n are different.
func bench(b *testing.B, acceleration config.Acceleration, head, body func(n int) string, n int) {
	p, err := Compile(conf(func(c *config.WAFPolicy) { c.Acceleration = acceleration }), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		b.StopTimer()
		m, data := message(head(i%n)), []byte(body(i%n))
		b.StartTimer()
		t := p.Begin(client)
		d := t.Head(m)
		if d.Action == Hold {
			d = t.Body(data, true)
		}
		if d.Action != Pass {
			b.Fatal(d)
		}
		t.Done()
		i++
	}
}

func noBody(int) string { return "" }

func repeatedGET(int) string { return cleanGET }

func freshGET(n int) string {
	return strings.NewReplacer("garden+chairs", fmt.Sprintf("garden+%d+chairs", n), "0b7c1a2f9d", fmt.Sprintf("%dc1a2f9d", n*7919)).Replace(cleanGET)
}

func jsonPOST(int) string {
	return strings.Replace(cleanGET, "GET", "POST", 1) + "\nContent-Type: application/json\nTransfer-Encoding: chunked"
}

// jsonOf is some JSON with prose in it.
func jsonOf(size int) func(int) string {
	return func(n int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"id":%d,"items":[`, n)
		for i := 0; b.Len() < size; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"sku":"A-%d","name":"Garden chair, teak no. %d","price":%d.50,"text":"A sturdy chair for long evenings; it can be left outside in %d seasons. Delivered in two parcels, with screws and a spare foot; assembly takes some twenty minutes. Our customers say that it creaks a little in the first week, and then no more. Cushions are sold apart, in green, blue and sand."}`, i*7+n, i, 20+i, i%4)
		}
		b.WriteString("]}")
		return b.String()
	}
}

func BenchmarkCleanGET(b *testing.B) { bench(b, config.AccelerationOn, repeatedGET, noBody, 1) }
func BenchmarkFreshGET(b *testing.B) { bench(b, config.AccelerationOn, freshGET, noBody, 1<<20) }
func BenchmarkPlainGET(b *testing.B) { bench(b, config.AccelerationOff, freshGET, noBody, 1<<20) }
func BenchmarkFreshJSON20k(b *testing.B) {
	bench(b, config.AccelerationOn, jsonPOST, jsonOf(20_000), 1<<20)
}
func BenchmarkPlainJSON20k(b *testing.B) {
	bench(b, config.AccelerationOff, jsonPOST, jsonOf(20_000), 1<<20)
}
func BenchmarkFreshJSON200(b *testing.B) {
	bench(b, config.AccelerationOn, jsonPOST, jsonOf(150), 1<<20)
}
func BenchmarkPlainJSON200(b *testing.B) {
	bench(b, config.AccelerationOff, jsonPOST, jsonOf(150), 1<<20)
}
