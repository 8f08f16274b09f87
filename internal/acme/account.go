package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// storedAccount is an account as it is kept, with its key in PEM.
type storedAccount struct {
	Account acme.Account `json:"account"`
	Key     string       `json:"key"`
}

// accountFile is where the account is kept: by authority, and by who it is.
func (i *issuer) accountFile() string {
	who := sha256.Sum256([]byte(i.Email + "\n" + i.KeyID))
	return fmt.Sprintf("acme/%s/account-%x.json", i.key, who[:4])
}

// account is the one that is kept, or a new one, of which instances that share
// the storage make one only.
func (i *issuer) account(ctx context.Context) (acme.Account, error) {
	if a, err := i.storedAccount(ctx); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	lock := "account_" + i.key
	if err := i.storage.Lock(ctx, lock); err != nil {
		return acme.Account{}, err
	}
	defer i.storage.Unlock(context.WithoutCancel(ctx), lock)
	if a, err := i.storedAccount(ctx); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	return i.register(ctx)
}

func (i *issuer) storedAccount(ctx context.Context) (acme.Account, error) {
	file := i.accountFile()
	data, err := i.storage.Load(ctx, file)
	if err != nil {
		return acme.Account{}, err
	}
	var s storedAccount
	if err := json.Unmarshal(data, &s); err != nil {
		return acme.Account{}, fmt.Errorf("%s: %w", file, err)
	}
	if s.Account.PrivateKey, err = certmagic.PEMDecodePrivateKey([]byte(s.Key)); err != nil {
		return acme.Account{}, fmt.Errorf("%s: %w", file, err)
	}
	return s.Account, nil
}

// register makes an account; the terms are agreed to in the configuration.
func (i *issuer) register(ctx context.Context) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	pem, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	a := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if i.Email != "" {
		a.Contact = []string{"mailto:" + i.Email}
	}
	if i.KeyID != "" {
		if err := a.SetExternalAccountBinding(ctx, i.client.Client, acme.EAB{KeyID: i.KeyID, MACKey: i.MAC}); err != nil {
			return acme.Account{}, err
		}
	}
	if a, err = i.client.NewAccount(ctx, a); err != nil {
		return acme.Account{}, err
	}
	data, err := json.Marshal(storedAccount{a, string(pem)})
	if err != nil {
		return acme.Account{}, err
	}
	return a, i.storage.Store(ctx, i.accountFile(), data)
}

func (i *issuer) forgetAccount(ctx context.Context) error {
	return i.storage.Delete(ctx, i.accountFile())
}
