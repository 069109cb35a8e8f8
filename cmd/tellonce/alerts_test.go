package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

const alerts = "../../deploy/prometheus/"

// TestAlertsNameOurMetrics: a rule on a metric that nobody has would never fire, and nobody would know.
func TestAlertsNameOurMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(alerts + "alerts.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	declared, name := declaredMetrics(t), regexp.MustCompile(`tellonce_[a-z_]+`)
	rules := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			rules++
			used := name.FindAllString(rule.Expr, -1)
			require.NotEmpty(t, used, rule.Alert)
			for _, metric := range used {
				require.True(t, declared[metric], "%s: nothing declares %s", rule.Alert, metric)
			}
			require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		}
	}
	require.Positive(t, rules)
}

// declaredMetrics are the names that the code gives to metrics.
func declaredMetrics(t *testing.T) map[string]bool {
	t.Helper()
	out, name := map[string]bool{}, regexp.MustCompile(`"(tellonce_[a-z_]+)"`)
	for _, room := range []string{"adapters", "domain"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", "..", room), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, found := range name.FindAllStringSubmatch(string(text), -1) {
				out[found[1]] = true
			}
			return err
		}))
	}
	return out
}

// TestAlertsFire as their test file says, where Prometheus's own tool is installed.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		tool, err = filepath.Abs("../../deploy/dev/.state/promtool")
		require.NoError(t, err)
		_, err = os.Stat(tool)
	}
	if err != nil {
		require.Empty(t, os.Getenv("TELLONCE_REQUIRE_SERVERS"), "promtool must be there: deploy/dev/up --tools")
		t.Skip("promtool is not installed; the rules' names are tested without it")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(tool, args...) //nolint:gosec // a test's
		cmd.Dir = alerts
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
