package testkit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Field is one header or trailer line as it was on the wire: the name with its case, the value without surrounding blanks.
type Field struct {
	Name, Value string
}

// Request is one request as an origin received it. Tests get copies; a handler gets the one being read.
type Request struct {
	Conn    int    // ID of the connection it came on, from 1
	Method  string // as sent
	Target  string // as sent, not decoded
	Proto   string // HTTP/1.1 or HTTP/1.0
	Fields  []Field
	Head    []byte // the raw head with its final empty line
	Body    []byte // decoded; at most RecordLimit bytes, see BodyLen
	BodyLen int64
	// BodySum is the SHA-256 of the whole body, valid when Complete.
	BodySum         [sha256.Size]byte
	Chunks          []int64  // sizes of the chunks, without the last one, when the body was chunked
	ChunkExtensions []string // what followed the size of a chunk, if anything did
	Trailers        []Field
	Complete        bool // the body, if any, was read to its end
	// NoContinue keeps ReadBody from sending 100 Continue by itself; set it in the handler before the first read.
	NoContinue bool

	mu      sync.Mutex
	body    io.Reader // nil when there is none
	conn    *Conn
	limit   int
	raw     []byte // the body as it was on the wire, for the second opinion of net/http
	sum     hash.Hash
	failure error
}

// errMalformed marks bytes that are not one strictly formed message.
var errMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// ParseRequest reads raw as exactly one request, strictly, and has net/http read it as well: an error says that one of the
// two refused it, that they disagree, or that bytes are left over.
func ParseRequest(raw []byte) (*Request, error) {
	br := bufio.NewReader(bytes.NewReader(raw))
	r, err := readRequestHead(br, len(raw)+1)
	if err != nil {
		return nil, err
	}
	if _, err := r.ReadBody(); err != nil {
		return nil, err
	}
	if _, err := br.ReadByte(); err == nil {
		return nil, malformed("bytes after the message")
	}
	return r, nil
}

// Get returns the value of the first field of that name, in any case, or "".
func (r *Request) Get(name string) string {
	return first(r.Values(name))
}

// Values returns the values of all fields of that name, in any case, in order.
func (r *Request) Values(name string) []string {
	return valuesOf(r.Fields, name)
}

// Names returns the field names in order, as they were sent.
func (r *Request) Names() []string {
	names := make([]string, len(r.Fields))
	for i, f := range r.Fields {
		names[i] = f.Name
	}
	return names
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func valuesOf(fields []Field, name string) []string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// ReadBody reads the body to its end and returns what was recorded of it. It sends 100 Continue first if the client waits
// for that. Calling it again returns the same. An error means that the client stopped or broke the framing.
func (r *Request) ReadBody() ([]byte, error) {
	buf := make([]byte, 32<<10)
	for {
		if _, err := r.Read(buf); err == io.EOF {
			return r.Body, nil
		} else if err != nil {
			return r.Body, err
		}
	}
}

// Read reads the next piece of the body, for handlers that take only a part of it or take it slowly.
func (r *Request) Read(p []byte) (int, error) {
	if r.failure != nil {
		return 0, r.failure
	}
	if r.body == nil {
		r.finish()
		return 0, r.failure
	}
	r.sendContinue()
	n, err := r.body.Read(p)
	r.record(p[:n])
	switch {
	case err == io.EOF:
		r.finish()
		return n, r.failure
	case err != nil:
		r.failure = err
	}
	return n, err
}

func (r *Request) sendContinue() {
	if r.conn == nil || r.NoContinue || !strings.EqualFold(r.Get("Expect"), "100-continue") {
		return
	}
	r.NoContinue = true
	_, _ = r.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

func (r *Request) record(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.BodyLen += int64(len(p))
	r.Body = append(r.Body, p[:min(len(p), max(0, r.limit-len(r.Body)))]...)
	r.sum.Write(p)
}

// finish ends the message: io.EOF from now on, or what net/http thinks differently about it.
func (r *Request) finish() {
	r.failure = io.EOF
	if r.BodyLen == int64(len(r.Body)) && len(r.raw) < r.limit {
		if err := r.secondOpinion(); err != nil {
			r.failure = err
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Complete = true
	r.sum.Sum(r.BodySum[:0])
}

// secondOpinion has net/http read the same bytes: it must find the same single message in them.
func (r *Request) secondOpinion() error {
	br := bufio.NewReader(io.MultiReader(bytes.NewReader(r.Head), bytes.NewReader(r.raw)))
	h, err := http.ReadRequest(br)
	if err != nil {
		return malformed("net/http: %v", err)
	}
	body, err := io.ReadAll(h.Body)
	if err != nil {
		return malformed("net/http: body: %v", err)
	}
	if h.Method != r.Method || h.RequestURI != r.Target || !bytes.Equal(body, r.Body) {
		return malformed("net/http reads %s %s with %d bytes, we read %s %s with %d", h.Method, h.RequestURI, len(body), r.Method, r.Target, len(r.Body))
	}
	if _, err := br.ReadByte(); err == nil {
		return malformed("net/http finds bytes after the message")
	}
	return nil
}

// snapshot copies what a test may look at while the request is still being read.
func (r *Request) snapshot() *Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Request{
		Conn: r.Conn, Method: r.Method, Target: r.Target, Proto: r.Proto, Fields: r.Fields, Head: r.Head,
		Body: bytes.Clone(r.Body), BodyLen: r.BodyLen, BodySum: r.BodySum, Complete: r.Complete,
		Chunks: append([]int64(nil), r.Chunks...), ChunkExtensions: append([]string(nil), r.ChunkExtensions...),
		Trailers: append([]Field(nil), r.Trailers...), failure: io.EOF,
	}
}

func readRequestHead(br *bufio.Reader, limit int) (*Request, error) {
	head, err := readHead(br)
	if err != nil {
		return nil, err
	}
	r := &Request{Head: head, limit: limit, sum: sha256.New()}
	line, rest, _ := strings.Cut(string(head), "\r\n")
	if err := r.parseRequestLine(line); err != nil {
		return nil, err
	}
	if r.Fields, err = parseFields(rest); err != nil {
		return nil, err
	}
	return r, r.frame(br)
}

func (r *Request) parseRequestLine(line string) error {
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		return malformed("request line %q", line)
	}
	r.Method, r.Target, r.Proto = parts[0], parts[1], parts[2]
	if !isToken(r.Method) {
		return malformed("method %q", r.Method)
	}
	if r.Target == "" || strings.IndexFunc(r.Target, func(c rune) bool { return c <= ' ' || c >= 0x7f }) >= 0 {
		return malformed("target %q", r.Target)
	}
	if r.Proto != "HTTP/1.1" && r.Proto != "HTTP/1.0" {
		return malformed("version %q", r.Proto)
	}
	return nil
}

// frame decides where the body ends (RFC 9112 section 6.3) and refuses everything that two readers could see differently.
func (r *Request) frame(br *bufio.Reader) error {
	hosts, lengths, codings := r.Values("Host"), r.Values("Content-Length"), r.Values("Transfer-Encoding")
	switch {
	case len(hosts) > 1 || len(hosts) == 0 && r.Proto == "HTTP/1.1":
		return malformed("%d Host fields", len(hosts))
	case len(lengths) > 0 && len(codings) > 0:
		return malformed("Content-Length and Transfer-Encoding together")
	case len(lengths) > 1 || len(codings) > 1:
		return malformed("%d Content-Length, %d Transfer-Encoding fields", len(lengths), len(codings))
	case len(codings) == 1 && (r.Proto != "HTTP/1.1" || !strings.EqualFold(codings[0], "chunked")):
		return malformed("%s with Transfer-Encoding %q", r.Proto, codings[0])
	case len(codings) == 1:
		r.body = &chunkReader{br: br, r: r}
	case len(lengths) == 1:
		return r.frameLength(br, lengths[0])
	}
	return nil
}

func (r *Request) frameLength(br *bufio.Reader, text string) error {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || text[0] == '+' {
		return malformed("Content-Length %q", text)
	}
	if n > 0 {
		r.body = &lengthReader{br: br, r: r, left: int64(n)}
	}
	return nil
}

// keepRaw remembers wire bytes of the body for secondOpinion, until they are too many for it.
func (r *Request) keepRaw(p ...byte) {
	if len(r.raw) < r.limit {
		r.raw = append(r.raw, p...)
	}
}

// readHead reads up to and including the empty line. A clean end before the first byte is io.EOF.
func readHead(br *bufio.Reader) ([]byte, error) {
	const most = 4 << 20
	var head []byte
	for len(head) < most {
		line, err := readLine(br)
		if err != nil {
			if err == io.EOF && (len(head) > 0 || line != "") {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		head = append(append(head, line...), "\r\n"...)
		switch {
		case line != "":
		case len(head) == 2:
			return nil, malformed("empty line before the message")
		default:
			return head, nil
		}
	}
	return nil, malformed("head over %d bytes", most)
}

// readLine returns the next line without its CRLF; a bare LF or CR is an error. It gives what it has when the input ends.
func readLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return line, err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", malformed("bare LF after %q", line)
	}
	if strings.ContainsRune(text, '\r') {
		return "", malformed("bare CR in %q", line)
	}
	return text, nil
}

func parseFields(lines string) ([]Field, error) {
	var fields []Field
	for line := range strings.SplitSeq(lines, "\r\n") {
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, malformed("field line %q", line)
		}
		value = strings.Trim(value, " \t")
		if strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) >= 0 {
			return nil, malformed("field value %q", value)
		}
		fields = append(fields, Field{Name: name, Value: value})
	}
	return fields, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

type lengthReader struct {
	br   *bufio.Reader
	r    *Request
	left int64
}

func (l *lengthReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.br.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	l.r.keepRaw(p[:n]...)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunkReader decodes chunked strictly: hexadecimal digits, CRLF, nothing else (RFC 9112 section 7.1).
type chunkReader struct {
	br   *bufio.Reader
	r    *Request
	left int64 // of the chunk at hand
	done bool
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.left == 0 && !c.done {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	if c.done {
		return 0, io.EOF
	}
	n, err := c.br.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.r.keepRaw(p[:n]...)
	if err == nil && c.left == 0 {
		err = c.endOfChunk()
	}
	return n, unexpected(err)
}

func (c *chunkReader) line() (string, error) {
	line, err := readLine(c.br)
	if err == nil {
		c.r.keepRaw(append([]byte(line), "\r\n"...)...)
	}
	return line, unexpected(err)
}

func (c *chunkReader) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 62)
	if err != nil || strings.ContainsAny(size, "+-_xX") {
		return malformed("chunk size %q", line)
	}
	c.r.mu.Lock()
	if extension != "" {
		c.r.ChunkExtensions = append(c.r.ChunkExtensions, extension)
	}
	if n > 0 {
		c.r.Chunks = append(c.r.Chunks, int64(n))
	}
	c.r.mu.Unlock()
	if c.left = int64(n); n == 0 {
		return c.trailers()
	}
	return nil
}

func (c *chunkReader) endOfChunk() error {
	line, err := c.line()
	if err == nil && line != "" {
		err = malformed("%q where a chunk ends", line)
	}
	return err
}

func (c *chunkReader) trailers() error {
	var lines strings.Builder
	for lines.Len() < 1<<20 {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		lines.WriteString(line + "\r\n")
	}
	fields, err := parseFields(lines.String())
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.Trailers, c.done = fields, true
	return err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
