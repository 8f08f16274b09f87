package command

import (
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/admin"
	"gatehouse/internal/daemon"
)

// Binary is what the commands that talk to a running process have to know of
// its kind.
type Binary struct {
	Name         string // "appgw"
	Thing        string // what runs, for people: "gateway"
	DefaultFile  string // of its configuration
	DefaultAdmin string // its admin address unless configured otherwise
	// Draft reads a configuration file without judging it.
	Draft func(file string) (*config.Draft, error)
}

// Remote holds the flags of a command that talks to a running process.
type Remote struct {
	Binary
	admin string
	file  string
	json  bool
}

// Flags adds the flags to a command.
func (o *Remote) Flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.admin, "admin", "", "admin `address` of the running "+o.Thing+": host:port or unix:/path (default: that of the configuration, or "+o.DefaultAdmin+")")
	cmd.Flags().StringVarP(&o.file, "config", "c", "", "configuration `file` to take the admin address from (default: "+o.DefaultFile+" if it is here)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// client finds the running process.
func (o *Remote) client() (*admin.Client, error) {
	address, err := o.address()
	if err != nil {
		return nil, err
	}
	return &admin.Client{Address: address, Name: o.Name}, nil
}

// address is that of --admin, else that of the configuration, which may be a
// refused one: that is when its process is asked most.
func (o *Remote) address() (string, error) {
	if o.admin != "" {
		return o.admin, nil
	}
	file := o.file
	if file == "" {
		file = o.DefaultFile
	}
	draft, err := o.Draft(file)
	switch {
	case err != nil && o.file == "":
		return o.DefaultAdmin, nil // none here, or none that could be read
	case err != nil:
		return "", fmt.Errorf("%w\nname the admin address with --admin", err)
	case draft.AdminAddress == "":
		return "", fmt.Errorf("%s has no valid admin.address; name the admin address with --admin", file)
	case draft.AdminAddress == "off":
		return "", fmt.Errorf("%s has admin.address: off, so that there is nobody to ask", file)
	}
	return draft.AdminAddress, nil
}

// Get fetches and prints: as JSON, or as text does.
func (o *Remote) Get(cmd *cobra.Command, path string, args url.Values, into any, text func(io.Writer)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	if err := c.Get(cmd.Context(), path, args, into); err != nil {
		return err
	}
	if o.json {
		return PrintJSON(cmd.OutOrStdout(), into)
	}
	text(cmd.OutOrStdout())
	return nil
}

// Post does something and says that it was done.
func (o *Remote) Post(cmd *cobra.Command, path string, args url.Values, done string) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	var answer any
	if err := c.Post(cmd.Context(), path, args, &answer); err != nil {
		return err
	}
	if o.json {
		return PrintJSON(cmd.OutOrStdout(), answer)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}

// PostFor does something and prints what came of it: as JSON, or as text does.
func (o *Remote) PostFor(cmd *cobra.Command, path string, args url.Values, into any, text func(io.Writer)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	if err := c.Post(cmd.Context(), path, args, into); err != nil {
		return err
	}
	if o.json {
		return PrintJSON(cmd.OutOrStdout(), into)
	}
	text(cmd.OutOrStdout())
	return nil
}

// NewReload is the command that makes a running process read its
// configuration again.
func (b Binary) NewReload() *cobra.Command {
	o := Remote{Binary: b}
	cmd := &cobra.Command{
		Use: "reload", Short: "Make a running " + b.Thing + " read its configuration again", Args: NoArguments,
		Long:    "Reload makes a running " + b.Thing + " read its configuration again and waits for the\nresult. A refused one changes nothing; every error is printed and the exit\nstatus is 1.",
		Example: fmt.Sprintf("  %[1]s reload\n  %[1]s reload -c /etc/gatehouse/%[2]s", b.Name, b.DefaultFile),
		RunE: Work(func(cmd *cobra.Command, _ []string) error {
			return o.Post(cmd, "/reload", nil, "configuration applied")
		}),
	}
	o.Flags(cmd)
	return cmd
}

// NewUpgrade is the command that makes a running process start the binary on
// disk.
func (b Binary) NewUpgrade() *cobra.Command {
	o := Remote{Binary: b}
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Make a running " + b.Thing + " start the binary on disk and hand it the sockets", Args: NoArguments,
		Long:    "Upgrade makes a running " + b.Thing + " start the binary that is now on disk and hand it\nthe sockets; the old process drains. SIGUSR2 does the same. No connection is\nrefused meanwhile.",
		Example: "  " + b.Name + " upgrade",
		RunE: Work(func(cmd *cobra.Command, _ []string) error {
			return o.Post(cmd, "/upgrade", nil, "the new process serves; the old one drains")
		}),
	}
	o.Flags(cmd)
	return cmd
}

// Reloads is what a status says of the configurations of a process.
type Reloads struct {
	Applied uint64    `json:"applied"`
	Refused uint64    `json:"refused"`
	Last    time.Time `json:"last"`
	Outcome string    `json:"outcome"`
	Trigger string    `json:"trigger"`
	Error   string    `json:"error,omitempty"`
}

// ReloadsOf asks a reloader.
func ReloadsOf(r *daemon.Reloader) Reloads {
	stats := r.Stats()
	s := Reloads{Applied: stats.Applied, Refused: stats.Refused, Last: stats.Last.Time, Outcome: stats.Last.Outcome(), Trigger: stats.Last.Trigger}
	if stats.Last.Err != nil {
		s.Error = stats.Last.Err.Error()
	}
	return s
}

// Print prints them as text; file may be empty.
func (r *Reloads) Print(w io.Writer, file string, warnings []string) {
	name := "configuration"
	if file != "" {
		name += " " + file
	}
	fmt.Fprintf(w, "%s: %s at %s (%s); %d applied, %d refused\n", name, r.Outcome, r.Last.Format(time.DateTime), r.Trigger, r.Applied, r.Refused)
	if r.Error != "" {
		fmt.Fprintln(w, r.Error)
	}
	for _, warning := range warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}
