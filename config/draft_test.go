package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDraftOfARefusedFile(t *testing.T) {
	tests := []struct{ name, text, admin, path, want string }{
		{"good address", "admin: {address: 127.0.0.1:7}\nlisteners: nonsense\n", "127.0.0.1:7", "listeners", "2: listeners: m"},
		{"default address", "nobody: 1\n", "127.0.0.1:9901", "", "1: m"},
		{"bad address", "admin: {address: 10.0.0.1:7}\n", "", "admin.address", "1: admin.address: m"},
		{"off", "admin:\n  address: off\n", "off", "admin.address", "2: admin.address: m"},
		{"element of a list", "listeners:\n  - {name: a}\n  - {name: b, address: 7}\n", "127.0.0.1:9901", "listeners[1].tls", "3: listeners[1].tls: m"},
		{"a percent sign is no verb", "nobody: 1\n", "127.0.0.1:9901", "a%d", "1: a%d: m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := LoadDraft(file)
			if err != nil {
				t.Fatal(err)
			}
			if d.AdminAddress != tt.admin {
				t.Errorf("admin address %q, want %q", d.AdminAddress, tt.admin)
			}
			if got := d.Problem(tt.path, "m").Error(); got != file+":"+tt.want {
				t.Errorf("got %q, want %q after the file", got, tt.want)
			}
		})
	}
}

func TestDraftOfWhatIsNoConfiguration(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "not YAML": "a: [", "alias": "a: &b 1\nc: *b\n"} {
		file := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := LoadDraft(file); err == nil {
			t.Errorf("%s: accepted: %v", name, d)
		}
	}
	if _, err := LoadDraft(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is accepted")
	}
}
