package body

// Refusal says why a body is not accepted: two parsers could read it
// differently, or it cannot be read at all.
type Refusal struct {
	Status int    // the status to answer: 400, 413 or 415
	Reason string // for the log and for people
}

// Error makes a refusal an error, for Decode and KindOf.
func (r *Refusal) Error() string { return "body refused: " + r.Reason }

func refuse(status int, reason string) *Refusal { return &Refusal{Status: status, Reason: reason} }

// Reasons that concern the Content-Type field, or bodies of every kind.
const (
	reasonTypeTwice     = "Content-Type: several values"
	reasonCharset       = "Content-Type: charset that is not read"
	reasonCharsetTwice  = "Content-Type: charset given twice"
	reasonBoundaryTwice = "Content-Type: boundary given twice"
	reasonType          = "Content-Type: not well-formed"
	reasonBoundary      = "Content-Type: no boundary, or one that RFC 2046 does not allow"
	reasonWide          = "body is UTF-16"
)

// Reasons that concern JSON.
const (
	reasonJSONSyntax    = "JSON: not well-formed"
	reasonJSONDuplicate = "JSON: a key twice in one object"
	reasonJSONUnicode   = "JSON: text that is not Unicode"
	reasonJSONDepth     = "JSON: nested too deep"
	reasonJSONSize      = "JSON: names of its leaves are too large"
)

// Reasons that concern XML.
const (
	reasonXMLSyntax    = "XML: not well-formed"
	reasonXMLDirective = "XML: document type or entity declaration"
	reasonXMLEncoding  = "XML: encoding that is not read"
	reasonXMLAttribute = "XML: an attribute twice in one element"
	reasonXMLDepth     = "XML: nested too deep"
	reasonXMLSize      = "XML: too large a tag, or too many"
)

// Reasons that concern multipart/form-data.
const (
	reasonPreamble     = "multipart: data before the first boundary"
	reasonEpilogue     = "multipart: data after the last boundary"
	reasonDelimiter    = "multipart: boundary that is not a line of its own"
	reasonUnfinished   = "multipart: no final boundary"
	reasonParts        = "multipart: too many parts"
	reasonPartHeader   = "multipart: part header not well-formed"
	reasonHeaderTwice  = "multipart: a header twice in one part"
	reasonDisposition  = "multipart: Content-Disposition not well-formed"
	reasonParamTwice   = "multipart: a parameter twice in Content-Disposition"
	reasonContinuation = "multipart: parameter in pieces or in a coding"
	reasonPartName     = "multipart: part without a name"
	reasonQuoting      = "multipart: escapes in a name"
	reasonEncodedWord  = "multipart: encoded word in a name"
	reasonTwoFilenames = "multipart: filename and filename* differ"
	reasonFilename     = "multipart: filename* not well-formed"
	reasonTransfer     = "multipart: part with a transfer encoding"
	reasonNested       = "multipart: part that is multipart itself"
	reasonPartCharset  = "multipart: part with a charset that is not read"
	reasonCharsetPart  = "multipart: a part named _charset_"
)

// Reasons that concern content codings.
const (
	reasonCoding      = "Content-Encoding: coding that is not read"
	reasonCodings     = "Content-Encoding: too many codings"
	reasonCoded       = "Content-Encoding: data not well-formed"
	reasonCodedRest   = "Content-Encoding: data after its end"
	reasonCodedLarge  = "Content-Encoding: decoded size too large"
	reasonCodedRatio  = "Content-Encoding: compressed too well"
	reasonCodedFrames = "Content-Encoding: several frames or members"
)
