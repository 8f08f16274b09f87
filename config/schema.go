package config

import (
	"encoding/json"
	"maps"

	yaml "go.yaml.in/yaml/v4"
)

// Schema is the JSON Schema (2020-12) of appgw's configuration, for editors
// to complete and check from. It is made from the table that the decoder
// reads. It knows less than [ParseGateway]: nothing that involves two keys.
func Schema() []byte {
	return document(gatewayObject().schema(), "appgw.yaml", "The configuration of Gatehouse's application gateway.")
}

// TrafficManagerSchema is [Schema] of trafficmgr's configuration.
func TrafficManagerSchema() []byte {
	return document(trafficManagerObject().schema(), "trafficmgr.yaml", "The configuration of Gatehouse's DNS traffic director.")
}

// LoadBalancerSchema is [Schema] of l4lb's configuration.
func LoadBalancerSchema() []byte {
	return document(loadBalancerObject().schema(), "l4lb.yaml", "The configuration of Gatehouse's TCP and UDP load balancer.")
}

func document(s schema, title, description string) []byte {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["description"] = description
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: the schema is not JSON: " + err.Error()) // a test makes it
	}
	return append(out, '\n')
}

// schema describes the mapping. The default of a key is its description's
// neighbour, so a value's own description is kept behind the key's.
func (o object[T]) schema() schema {
	properties := map[string]any{}
	var required []string
	for _, f := range o.fields {
		properties[f.name] = f.describe()
		if f.must {
			required = append(required, f.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	return s
}

func (f field[T]) describe() schema {
	s := maps.Clone(f.schema)
	doc := f.doc
	if more, ok := s["description"].(string); ok {
		doc += " " + more
	}
	s["description"] = doc
	if f.def != "" {
		s["default"] = plain(f.def)
	}
	return s
}

// plain is a default text as JSON would have it.
func plain(def string) any {
	var v any
	if err := yaml.Load([]byte(def), &v); err != nil {
		panic("config: default " + def + " is not YAML")
	}
	return v
}
