package main

import (
	"gatehouse/config"
	"gatehouse/internal/command"
)

// operatorError places why the operator's addresses cannot be listened on.
func (a *app) operatorError(err error) error {
	conf := a.running().conf
	key, err := command.OperatorError(err, map[string]string{"admin.address": conf.Admin.Address, "metrics.address": conf.Metrics.Address})
	if key == "" || a.source.file == "" {
		return err
	}
	if draft, failure := config.LoadDraft(a.source.file); failure == nil {
		return placed(draft, problem{key, err})
	}
	return err
}
