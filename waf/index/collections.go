package index

import (
	"strconv"

	"gatehouse/waf/variables"
)

// collection is a source of values: a variable of the rules, or a part of one
// (ARGS is argsGet and argsPost).
type collection uint8

const (
	argsGet collection = iota
	argsPost
	argsGetNames
	argsPostNames
	argsCombinedSize
	cookies
	cookieNames
	headers
	headerNames
	method
	protocol
	line
	uri
	uriRaw
	filename
	basename
	query
	remoteAddr
	bodyText
	bodyLength
	bodyProcessor
	bodyError
	uriError
	argumentsLimit
	files
	fileFields
	fileSizes
	filesCombinedSize
	partHeaders
	partNames
	partFilenames
	filenameCharsets
	filenameLanguages
	strictError
	duplicateHeader
	invalidQuoting
	xmlAttributes
	xmlText
	responseBody
	responseStatus
	responseProtocol
	responseContentType
	responseHeaders
	responseHeaderNames
	numCollections
)

// collectionsOf are the collections of each variable that is known here; a
// rule that uses another one is left to Coraza.
var collectionsOf = map[string][]collection{
	"ARGS": {argsGet, argsPost}, "ARGS_GET": {argsGet}, "ARGS_POST": {argsPost},
	"ARGS_NAMES": {argsGetNames, argsPostNames}, "ARGS_GET_NAMES": {argsGetNames}, "ARGS_POST_NAMES": {argsPostNames},
	"ARGS_COMBINED_SIZE": {argsCombinedSize},
	"REQUEST_COOKIES":    {cookies}, "REQUEST_COOKIES_NAMES": {cookieNames},
	"REQUEST_HEADERS": {headers}, "REQUEST_HEADERS_NAMES": {headerNames},
	"REQUEST_METHOD": {method}, "REQUEST_PROTOCOL": {protocol}, "REQUEST_LINE": {line},
	"REQUEST_URI": {uri}, "REQUEST_URI_RAW": {uriRaw}, "REQUEST_FILENAME": {filename}, "REQUEST_BASENAME": {basename},
	"QUERY_STRING": {query}, "REMOTE_ADDR": {remoteAddr},
	"REQUEST_BODY": {bodyText}, "REQUEST_BODY_LENGTH": {bodyLength}, "REQBODY_PROCESSOR": {bodyProcessor}, "REQBODY_ERROR": {bodyError},
	"URI_PARSE_ERROR": {uriError}, "ARGUMENTS_LIMIT_REACHED": {argumentsLimit},
	"FILES": {files}, "FILES_NAMES": {fileFields}, "FILES_SIZES": {fileSizes}, "FILES_COMBINED_SIZE": {filesCombinedSize},
	"MULTIPART_PART_HEADERS": {partHeaders}, "MULTIPART_NAME": {partNames}, "MULTIPART_FILENAME": {partFilenames},
	"MULTIPART_FILENAME_CHARSET": {filenameCharsets}, "MULTIPART_FILENAME_LANGUAGE": {filenameLanguages},
	"MULTIPART_STRICT_ERROR": {strictError}, "MULTIPART_DUPLICATE_PART_HEADER": {duplicateHeader}, "MULTIPART_INVALID_QUOTING": {invalidQuoting},
	"RESPONSE_BODY": {responseBody}, "RESPONSE_STATUS": {responseStatus}, "RESPONSE_PROTOCOL": {responseProtocol},
	"RESPONSE_CONTENT_TYPE": {responseContentType}, "RESPONSE_HEADERS": {responseHeaders}, "RESPONSE_HEADERS_NAMES": {responseHeaderNames},
}

// xmlCollections are the two that XML is read into, by selector.
var xmlCollections = map[string]collection{"/*": xmlText, "//@*": xmlAttributes}

// each calls visit for every value of a collection, with its name, which is
// empty where there is none. A collection of one value has it even when it is
// empty, as Coraza's has.
func (c collection) each(r *variables.Request, p *variables.Response, visit func(name, value string)) {
	switch b := &r.Body; c {
	case argsGet:
		pairs(r.ArgsGet, visit)
	case argsPost:
		pairs(b.ArgsPost, visit)
	case argsGetNames:
		names(r.ArgsGet, visit)
	case argsPostNames:
		names(b.ArgsPost, visit)
	case cookies:
		pairs(r.Cookies, visit)
	case cookieNames:
		names(r.Cookies, visit)
	case headers:
		pairs(r.Headers, visit)
	case headerNames:
		names(r.Headers, visit)
	case files:
		texts(b.Files, visit)
	case fileFields:
		texts(b.FileFields, visit)
	case fileSizes:
		pairs(b.FileSizes, visit)
	case partHeaders:
		pairs(b.PartHeaders, visit)
	case partNames:
		pairs(b.PartNames, visit)
	case partFilenames:
		pairs(b.PartFilenames, visit)
	case filenameCharsets:
		pairs(b.FilenameCharsets, visit)
	case filenameLanguages:
		pairs(b.FilenameLanguages, visit)
	case xmlAttributes:
		texts(b.XMLAttributes, visit)
	case xmlText:
		texts(b.XMLText, visit)
	case responseHeaders:
		pairs(p.Headers, visit)
	case responseHeaderNames:
		names(p.Headers, visit)
	default:
		visit("", c.single(r, p))
	}
}

// single is the value of a collection that has one.
func (c collection) single(r *variables.Request, p *variables.Response) string {
	switch b := &r.Body; c {
	case argsCombinedSize:
		return strconv.Itoa(size(r.ArgsGet) + size(b.ArgsPost))
	case method:
		return r.Method
	case protocol:
		return r.Protocol
	case line:
		return r.Line
	case uri:
		return r.URI
	case uriRaw:
		return r.Target
	case filename:
		return r.Path
	case basename:
		return r.Basename
	case query:
		return r.Query
	case remoteAddr:
		return r.Client.Addr().String()
	case bodyText:
		return b.Raw
	case bodyLength:
		return number(b.Length)
	case bodyProcessor:
		return b.Processor.String()
	case bodyError:
		return flag(b.Error != "")
	case uriError:
		return flag(r.URIParseError)
	case argumentsLimit:
		return flag(r.ArgsTruncated)
	case filesCombinedSize:
		return number(b.FilesCombinedSize)
	case strictError:
		return flag(b.StrictError)
	case duplicateHeader:
		return flag(b.DuplicateHeader)
	case invalidQuoting:
		return flag(b.InvalidQuoting)
	case responseBody:
		return p.Body
	case responseStatus:
		return strconv.Itoa(p.Status)
	case responseProtocol:
		return p.Protocol
	case responseContentType:
		return p.ContentType
	}
	return ""
}

// flag is a condition as the rules have it. Rules compare it as a number, and
// no text is zero.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// number is a size as the rules have it.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func size(list []variables.Pair) (n int) {
	for i := range list {
		n += len(list[i].Name) + len(list[i].Value)
	}
	return n
}

func pairs(list []variables.Pair, visit func(name, value string)) {
	for i := range list {
		visit(list[i].Name, list[i].Value)
	}
}

func names(list []variables.Pair, visit func(name, value string)) {
	for i := range list {
		visit(list[i].Name, list[i].Name)
	}
}

func texts(list []string, visit func(name, value string)) {
	for i := range list {
		visit("", list[i])
	}
}
