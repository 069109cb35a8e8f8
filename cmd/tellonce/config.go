package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// config holds the global settings. Flags win over TELLONCE_* variables, those over the file of --config.
type config struct {
	store   string
	keys    string
	output  string
	noColor bool
	file    string

	cachedStates int // set by bench only; 0: the default
}

func (c *config) flags(f *pflag.FlagSet) {
	f.StringVar(&c.store, "store", "./tellonce-data", "the log: a directory, or postgres://…")
	f.StringVar(&c.keys, "keys", "", "directory of the keys (default: <store>-keys beside it, ./tellonce-keys for PostgreSQL)")
	f.StringVar(&c.output, "output", "text", "text, or json: one object a line")
	f.BoolVar(&c.noColor, "no-color", false, "no colours (also by NO_COLOR)")
	f.StringVar(&c.file, "config", "", "a YAML file that sets flags by name")
}

// complete fills in from the environment and the configuration file what no flag sets.
func (c *config) complete(cmd *cobra.Command) error {
	file := map[string]any{}
	name := c.file
	if name == "" {
		name = os.Getenv("TELLONCE_CONFIG")
	}
	if name != "" {
		text, err := os.ReadFile(name) // #nosec G304 G703 -- the operator's own file
		if err != nil {
			return usageError{fmt.Errorf("the configuration file can't be read: %w", err)}
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			return usageError{fmt.Errorf("the configuration file %s is no YAML map of flags: %w", name, err)}
		}
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			return
		}
		value, from, ok := "", "", false
		if v, set := file[f.Name]; set {
			value, from, ok = fmt.Sprint(v), "--config", true
		}
		variable := "TELLONCE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v, set := os.LookupEnv(variable); set && f.Name != "config" {
			value, from, ok = v, variable, true
		}
		if !ok {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", from, f.Name, err))
		}
	})
	if c.output != "text" && c.output != "json" {
		errs = append(errs, fmt.Errorf("--output is text or json, not %q", c.output))
	}
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	return nil
}

// postgres says whether the store is a PostgreSQL database.
func (c *config) postgres() bool {
	return strings.HasPrefix(c.store, "postgres://") || strings.HasPrefix(c.store, "postgresql://")
}

// keysDir is the directory of the keys.
func (c *config) keysDir() string {
	switch {
	case c.keys != "":
		return c.keys
	case c.postgres():
		return "./tellonce-keys"
	}
	return strings.TrimRight(c.store, "/") + "-keys"
}

// database splits a PostgreSQL address into what the driver takes and the schema of the log: the parameter `tellonce_schema`, which lets
// several logs stand in one database.
func (c *config) database() (dsn, schema string, err error) {
	u, err := url.Parse(c.store)
	if err != nil {
		return "", "", usageError{errors.New("--store is no PostgreSQL address: it is like postgres://user:password@host:5432/database")}
	}
	query := u.Query()
	schema = query.Get("tellonce_schema")
	query.Del("tellonce_schema")
	u.RawQuery = query.Encode()
	return u.String(), schema, nil
}

// place names the store in messages, without a password.
func (c *config) place() string {
	if !c.postgres() {
		return c.store
	}
	if u, err := url.Parse(c.store); err == nil {
		return u.Redacted()
	}
	return "the PostgreSQL database"
}
