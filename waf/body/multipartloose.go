package body

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"gatehouse/waf/variables"
)

// looseMultipart reads a body as Coraza does, which is as Go's library does:
// with blanks after boundaries, bare line feeds, text around the parts, and
// quoted-printable undone. MULTIPART_STRICT_ERROR tells rules of what is
// wrong. Limits.Parts is ours.
func looseMultipart(b *variables.Body, contentType, text string, lim Limits) (truncated bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		b.StrictError = true
		b.Error = reasonType
		return false
	case !strings.HasPrefix(kind, "multipart/"):
		b.Error = reasonType
		return false
	}
	r := multipart.NewReader(strings.NewReader(text), params["boundary"])
	for n := 0; ; n++ {
		p, err := r.NextPart()
		if err == io.EOF {
			return false
		}
		if err == nil && n == lim.Parts {
			err, truncated = errParts, true
		}
		if err == nil {
			err = loosePart(b, p)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && p != nil {
			b.StrictError = true
			return false
		}
		if err != nil {
			b.StrictError = true
			b.Error = "multipart: " + strings.TrimPrefix(err.Error(), "multipart: ")
			return truncated
		}
	}
}

var errParts = errors.New(reasonParts)

// loosePart keeps one part. A part that the body ends in is kept as far as it
// goes, with io.ErrUnexpectedEOF.
func loosePart(b *variables.Body, p *multipart.Part) error {
	name := p.FormName()
	d := looseDisposition(p.Header.Get("Content-Disposition"))
	for key, values := range p.Header {
		d.duplicate = d.duplicate || len(values) > 1
		for _, value := range values {
			b.PartHeaders = append(b.PartHeaders, variables.Pair{Name: name, Value: key + ": " + value})
		}
	}
	b.DuplicateHeader = b.DuplicateHeader || d.duplicate
	b.InvalidQuoting = b.InvalidQuoting || d.quoted
	b.StrictError = b.StrictError || d.duplicate || d.quoted || d.malformed
	b.PartNames = append(b.PartNames, variables.Pair{Name: name, Value: name})
	for _, filename := range [...]string{d.filename, d.other} {
		if filename != "" {
			b.PartFilenames = append(b.PartFilenames, variables.Pair{Name: name, Value: filename})
		}
	}
	if d.extended {
		b.FilenameCharsets = append(b.FilenameCharsets, variables.Pair{Name: name, Value: d.charset})
		b.FilenameLanguages = append(b.FilenameLanguages, variables.Pair{Name: name, Value: d.language})
	}
	if d.filename == "" && d.other == "" {
		return looseField(b, name, p)
	}
	return looseFile(b, name, d, p)
}

func looseField(b *variables.Body, name string, content io.Reader) error {
	data, err := io.ReadAll(content)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	b.FilesCombinedSize += len(data)
	b.ArgsPost = append(b.ArgsPost, variables.Pair{Name: name, Value: string(data)})
	return err
}

// looseFile keeps what is known of a file: both of its names, if it has two.
func looseFile(b *variables.Body, name string, d looseNames, content io.Reader) error {
	n, err := io.Copy(io.Discard, content)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	b.FilesCombinedSize += int(n)
	for _, filename := range [...]string{d.filename, d.other} {
		if filename != "" {
			b.Files = append(b.Files, filename)
			addSize(b, filename, int(n))
		}
	}
	b.FileFields = append(b.FileFields, name)
	return err
}
