package authority

// Types and classes that decide what becomes of a query.
const (
	typeA      = 1
	typeNS     = 2
	typeCNAME  = 5
	typeSOA    = 6
	typeHINFO  = 13
	typeAAAA   = 28
	typeOPT    = 41
	typeDS     = 43
	typeRRSIG  = 46
	typeNSEC   = 47
	typeDNSKEY = 48
	typeSVCB   = 64
	typeHTTPS  = 65
	typeNXNAME = 128 // RFC 9824 2
	typeTKEY   = 249
	typeTSIG   = 250
	typeIXFR   = 251
	typeAXFR   = 252
	typeANY    = 255

	classIN = 1
)

// Response codes (RFC 1035 4.1.1, RFC 6891 9).
const (
	noError  = 0
	formErr  = 1
	servFail = 2
	nxDomain = 3
	notImp   = 4
	refused  = 5
	notAuth  = 9
	badVers  = 16
)

// Extended errors (RFC 8914 4).
const (
	edeOther            = 0
	edeNotAuthoritative = 20
	edeInvalidQueryType = 30
)
