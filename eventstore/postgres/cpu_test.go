package postgres

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// cpuOf is the CPU time in µs that a process has used; 0 where the server isn't on this machine.
func cpuOf(tb testing.TB, pid int) float64 {
	tb.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	return n / 1000
}
