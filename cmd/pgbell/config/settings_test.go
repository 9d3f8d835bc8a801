package config_test

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
)

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f", []byte("listen: file\nlog: {level: warn, format: text}\norigins: [https://a.example, https://b.example]\n"))
	require.NoError(t, err)
	s := c.Settings
	require.NoError(t, s.FromEnvironment(environment(map[string]string{
		"PGBELL_LOG_LEVEL":           "error",
		"PGBELL_LISTEN":              "environment",
		"PGBELL_ORIGINS":             "https://c.example, https://d.example",
		"PGBELL_JWT_SECRET":          "hush",
		"PGBELL_JWT_LEEWAY":          "9s",
		"PGBELL_LIMITS_QUEUE_BYTES":  "2MiB",
		"PGBELL_LIMITS_PER_ADDRESS":  "",
		"DATABASE_URL":               "postgres://plain",
		"PGBELL_SERVICE_PORT_HTTP":   "8080", // orchestrators add such; they are not ours
		"PGBELL_PORT_8080_TCP_PROTO": "tcp",
	})))
	require.NoError(t, s.Set("listen", "flag"))
	require.Equal(t, config.Settings{
		Listen:      "flag",
		DatabaseURL: "postgres://plain",
		JWT:         config.JWT{Secret: "hush", Leeway: 9 * time.Second},
		Origins:     []string{"https://c.example", "https://d.example"},
		Limits:      config.Limits{QueueBytes: 2 << 20},
		Log:         config.Log{Level: "error", Format: "text"},
	}, s)
	require.Equal(t, slog.LevelError, s.Log.SlogLevel())

	require.NoError(t, s.FromEnvironment(environment(map[string]string{
		"DATABASE_URL": "postgres://plain", "PGBELL_DATABASE_URL": "postgres://ours",
	})))
	require.Equal(t, "postgres://ours", s.DatabaseURL)
}

func TestEnvironmentMistake(t *testing.T) {
	t.Parallel()
	var s config.Settings
	err := s.FromEnvironment(environment(map[string]string{"PGBELL_LIMITS_PER_USER": "many"}))
	require.EqualError(t, err, `PGBELL_LIMITS_PER_USER: want a whole number above 0, not "many"`)
	require.Equal(t, slog.LevelInfo, s.Log.SlogLevel())
}

func TestDoorSettings(t *testing.T) {
	t.Parallel()
	var s config.Settings
	require.NoError(t, s.FromEnvironment(environment(map[string]string{
		"PGBELL_TRUSTED_PROXIES":            "10.1.2.3/8, 192.0.2.1, fd00::/8",
		"PGBELL_API_ADMIN_ROLES":            "ROOT,ADMIN",
		"PGBELL_API_SERVICE_ROLES":          "SERVICE",
		"PGBELL_SOCKETIO_RECOVERY":          "off",
		"PGBELL_LIMITS_ATTEMPTS_PER_SECOND": "20",
		"PGBELL_LIMITS_FAILURES_PER_SECOND": "0.5",
		"PGBELL_LIMITS_MESSAGES_PER_SECOND": "5",
	})))
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("fd00::/8")}, s.TrustedProxies)
	require.Equal(t, config.API{AdminRoles: []string{"ROOT", "ADMIN"}, ServiceRoles: []string{"SERVICE"}}, s.API)
	require.Equal(t, config.SocketIO{Recovery: "off"}, s.SocketIO)
	require.InDelta(t, 20, s.Limits.AttemptsPerSecond, 0)
	require.InDelta(t, 0.5, s.Limits.FailuresPerSecond, 0)
	require.InDelta(t, 5, s.Limits.MessagesPerSecond, 0)
	for key, value := range map[string]string{
		"trusted_proxies": "a.example", "limits.attempts_per_second": "0", "limits.failures_per_second": "NaN", "limits.messages_per_second": "-1",
		"socketio.recovery": "yes",
	} {
		require.Error(t, s.Set(key, value), key)
	}
}
