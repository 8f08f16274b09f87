// Package config is the vocabulary of Gatehouse: what its configuration files
// can say, decoded strictly into pure data.
package config
