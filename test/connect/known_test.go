package connect

// knownFailure is cases that fail for one reason. All cases that a pattern
// matches must fail, and there must be some: the runner sees to that.
type knownFailure struct {
	reason   string
	patterns []string // in the suite's form: * is one part of a name, ** any number of parts
}

// knownFailures has them by the kind of backend. The others have none.
var knownFailures = map[backendKind][]knownFailure{
	guarded: {
		{
			"the firewall reads application/connect+json and application/grpc-web+json by their suffix, as one JSON text, " +
				"and refuses as broken (400) what is a stream of frames with a JSON text in each",
			[]string{
				"**/Protocol:PROTOCOL_GRPC_WEB/Codec:CODEC_JSON/**",
				"*/*/Protocol:PROTOCOL_CONNECT/Codec:CODEC_JSON/**/client-stream/**",
				"*/*/Protocol:PROTOCOL_CONNECT/Codec:CODEC_JSON/**/server-stream/**",
				"*/*/Protocol:PROTOCOL_CONNECT/Codec:CODEC_JSON/**/bidi-stream/**",
				"Connect to HTTP Code Mapping/*/Codec:CODEC_JSON/**/client-stream/**",
				"Connect to HTTP Code Mapping/*/Codec:CODEC_JSON/**/server-stream/**",
				"Connect to HTTP Code Mapping/*/Codec:CODEC_JSON/**/bidi-stream/**",
			},
		},
		{
			"a coding that the firewall cannot undo is refused (415) before the server is asked: contentEncoding",
			[]string{"Connect Unexpected Requests/*/*/unexpected-compression"},
		},
		{
			"a body that decodes to more than a hundred times its size is refused (413), as the bombs are that look like it",
			[]string{"Server Message Size/*/Protocol:PROTOCOL_CONNECT/Compression:COMPRESSION_GZIP/*/unary/*"},
		},
	},
}
