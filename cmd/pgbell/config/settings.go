package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings say how the server runs. The zero value of a field means that
// nobody said anything, and the default in its comment holds. Of the places
// where a setting may stand the later wins: file, environment, flag. A list is
// replaced as a whole, never merged.
type Settings struct {
	// Listen is the address of the HTTP server. Default ":8080" for serve,
	// "127.0.0.1:8080" for demo.
	Listen string
	// DatabaseURL is where the tables are: a URL or key=value pairs, as libpq
	// reads them. No default.
	DatabaseURL string
	JWT         JWT
	// Origins are those that browsers may connect from, such as
	// https://app.example. Default: the server's own.
	Origins []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	// Default: none, the address of the TCP connection counts.
	TrustedProxies []netip.Prefix
	API            API
	SocketIO       SocketIO
	Limits         Limits
	Window         Window
	Retention      Retention
	Log            Log
}

// JWT says which tokens are believed. At least one of Secret, SecretFile,
// PublicKeyFile and JWKSURL has to be set.
type JWT struct {
	// Secret is the HMAC secret. It is taken from the environment only, so that
	// it stands in no file that is passed around and in no process list.
	Secret string
	// SecretFile holds the HMAC secret; white space around it is cut off.
	SecretFile string
	// PublicKeyFile holds an RSA, ECDSA or Ed25519 public key in PEM.
	PublicKeyFile string
	// JWKSURL is where an identity provider publishes its keys.
	JWKSURL string
	// Issuer is what the claim iss has to be. Default: anything.
	Issuer string
	// Audience is what the claim aud has to contain. Default: anything.
	Audience string
	// RoleClaim is the path of the claim that holds a role or a list of roles,
	// with dots between nested names. Default: "role" and "roles", both.
	RoleClaim string
	// Algorithms are those allowed. Default: those that the keys are for.
	Algorithms []string
	// Leeway is how far clocks may differ. Default 30 s.
	Leeway time.Duration
}

// API says what token roles may do beyond what everybody may.
type API struct {
	// AdminRoles see who is connected and what went wrong. Default: none.
	AdminRoles []string
	// ServiceRoles may publish, and see who is connected. Default: none.
	ServiceRoles []string
}

// SocketIO says how Socket.IO clients are served.
type SocketIO struct {
	// Recovery is on or off: whether clients that come back go on where they
	// were. Default "on".
	Recovery string
}

// Limits bound what clients may take.
type Limits struct {
	// MaxConnections, at once. Default 100,000.
	MaxConnections int
	// PerAddress is the connections at once from one IP address. Default: no
	// limit, because many users may share one.
	PerAddress int
	// PerUser is the sessions at once of one user. Default 100.
	PerUser int
	// AttemptsPerSecond are the connections that one IP address may try to
	// open; ten times as many at once. Default: no limit, because many users
	// may share one.
	AttemptsPerSecond float64
	// FailuresPerSecond are the tokens from one IP address that may be refused;
	// ten times as many at once. Default: no limit, for the same reason.
	FailuresPerSecond float64
	// MessagesPerSecond are a session's messages, and a user's requests; three
	// times as many at once. Default 20.
	MessagesPerSecond float64
	// MessageBytes is the longest message from a client. Default 64 KiB.
	MessageBytes int
	// QueueBytes is what may wait for one slow client before it is cut.
	// Default 1 MiB.
	QueueBytes int
}

// Window bounds the recent events kept in memory for clients that come back.
type Window struct {
	// Bytes of event bodies. Default 64 MiB.
	Bytes int
	// Age of the oldest event. Default 5 min.
	Age time.Duration
}

// Retention says how long notifications are kept.
type Retention struct {
	// NotificationsRead is for how long after they were read. Default 90 days.
	NotificationsRead time.Duration
	// NotificationsUnread is for how long after they were made, if nobody reads
	// them. Default 365 days.
	NotificationsUnread time.Duration
}

// The defaults of Retention, and the least that it may be: a day, so that
// nobody holds what goes.
const (
	KeepRead   = 90 * 24 * time.Hour
	KeepUnread = 365 * 24 * time.Hour
	keepLeast  = 24 * time.Hour
)

// Log says what the process writes to its standard error.
type Log struct {
	// Level is debug, info, warn or error. Default "info".
	Level string
	// Format is text or json. Default: text on a terminal, else json.
	Format string
}

// setting is one entry of the file's server part, by its dotted key.
type setting struct {
	key  string
	list bool
	// secret keeps the value out of errors and the key out of files.
	secret bool
	set    func(*Settings, []string) error
}

var settings = []setting{
	text("listen", func(s *Settings) *string { return &s.Listen }),
	{key: "database_url", set: func(s *Settings, v []string) error { s.DatabaseURL = v[0]; return nil }},
	{key: "jwt.secret", secret: true, set: func(s *Settings, v []string) error { s.JWT.Secret = v[0]; return nil }},
	text("jwt.secret_file", func(s *Settings) *string { return &s.JWT.SecretFile }),
	text("jwt.public_key_file", func(s *Settings) *string { return &s.JWT.PublicKeyFile }),
	{key: "jwt.jwks_url", set: func(s *Settings, v []string) error { return setURL(&s.JWT.JWKSURL, v[0]) }},
	text("jwt.issuer", func(s *Settings) *string { return &s.JWT.Issuer }),
	text("jwt.audience", func(s *Settings) *string { return &s.JWT.Audience }),
	text("jwt.role_claim", func(s *Settings) *string { return &s.JWT.RoleClaim }),
	{key: "jwt.algorithms", list: true, set: func(s *Settings, v []string) error { s.JWT.Algorithms = v; return nil }},
	duration("jwt.leeway", func(s *Settings) *time.Duration { return &s.JWT.Leeway }),
	{key: "origins", list: true, set: setOrigins},
	{key: "trusted_proxies", list: true, set: setTrustedProxies},
	{key: "api.admin_roles", list: true, set: func(s *Settings, v []string) error { s.API.AdminRoles = v; return nil }},
	{key: "api.service_roles", list: true, set: func(s *Settings, v []string) error { s.API.ServiceRoles = v; return nil }},
	oneOf("socketio.recovery", func(s *Settings) *string { return &s.SocketIO.Recovery }, "on", "off"),
	count("limits.max_connections", func(s *Settings) *int { return &s.Limits.MaxConnections }),
	count("limits.per_address", func(s *Settings) *int { return &s.Limits.PerAddress }),
	count("limits.per_user", func(s *Settings) *int { return &s.Limits.PerUser }),
	perSecond("limits.attempts_per_second", func(s *Settings) *float64 { return &s.Limits.AttemptsPerSecond }),
	perSecond("limits.failures_per_second", func(s *Settings) *float64 { return &s.Limits.FailuresPerSecond }),
	perSecond("limits.messages_per_second", func(s *Settings) *float64 { return &s.Limits.MessagesPerSecond }),
	size("limits.message_bytes", func(s *Settings) *int { return &s.Limits.MessageBytes }),
	size("limits.queue_bytes", func(s *Settings) *int { return &s.Limits.QueueBytes }),
	size("window.bytes", func(s *Settings) *int { return &s.Window.Bytes }),
	duration("window.age", func(s *Settings) *time.Duration { return &s.Window.Age }),
	days("retention.notifications_read", func(s *Settings) *time.Duration { return &s.Retention.NotificationsRead }),
	days("retention.notifications_unread", func(s *Settings) *time.Duration { return &s.Retention.NotificationsUnread }),
	oneOf("log.level", func(s *Settings) *string { return &s.Log.Level }, "debug", "info", "warn", "error"),
	oneOf("log.format", func(s *Settings) *string { return &s.Log.Format }, "text", "json"),
}

// Keys are the dotted names of all settings, in the order of the manual.
func Keys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}

// Variable is the environment variable of the setting key:
// limits.per_user is PGBELL_LIMITS_PER_USER.
func Variable(key string) string {
	return "PGBELL_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// FromEnvironment takes every setting that lookup (os.LookupEnv) knows and that
// is not empty. DATABASE_URL stands in for PGBELL_DATABASE_URL. Lists are
// separated by commas. Errors name the variable.
func (s *Settings) FromEnvironment(lookup func(string) (string, bool)) error {
	for _, known := range settings {
		name := Variable(known.key)
		value, _ := lookup(name)
		if value == "" && known.key == "database_url" {
			name = "DATABASE_URL"
			value, _ = lookup(name)
		}
		if value == "" {
			continue
		}
		if err := known.parse(s, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Set takes one setting from text, as a flag does. It panics if there is no
// such key; only programmers write keys here.
func (s *Settings) Set(key, value string) error {
	i := slices.IndexFunc(settings, func(known setting) bool { return known.key == key })
	if i < 0 {
		panic("config: no setting " + key)
	}
	return settings[i].parse(s, value)
}

func (k setting) parse(s *Settings, value string) error {
	if !k.list {
		return k.set(s, []string{value})
	}
	var values []string
	for v := range strings.SplitSeq(value, ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return k.set(s, values)
}

// SlogLevel is the level as slog knows it.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	// Every word that the setting accepts is one that slog reads.
	_ = level.UnmarshalText([]byte(l.Level))
	return level
}

func text(key string, field func(*Settings) *string) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		*field(s) = v[0]
		return nil
	}}
}

func oneOf(key string, field func(*Settings) *string, words ...string) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		if !slices.Contains(words, v[0]) {
			return fmt.Errorf("want %s, not %q", strings.Join(words, ", "), v[0])
		}
		*field(s) = v[0]
		return nil
	}}
}

func count(key string, field func(*Settings) *int) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		n, err := strconv.Atoi(v[0])
		if err != nil || n < 1 {
			return fmt.Errorf("want a whole number above 0, not %q", v[0])
		}
		*field(s) = n
		return nil
	}}
}

func duration(key string, field func(*Settings) *time.Duration) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		d, err := time.ParseDuration(v[0])
		if err != nil || d <= 0 {
			return fmt.Errorf("want a duration such as 30s or 5m, not %q", v[0])
		}
		*field(s) = d
		return nil
	}}
}

// days is a duration that may be told in days.
func days(key string, field func(*Settings) *time.Duration) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		d, err := time.ParseDuration(v[0])
		if number, ok := strings.CutSuffix(v[0], "d"); ok {
			var n int
			if n, err = strconv.Atoi(number); n > 100*365 {
				err = strconv.ErrRange
			}
			d = time.Duration(n) * 24 * time.Hour
		}
		if err != nil || d < keepLeast {
			return fmt.Errorf("want at least a day, such as 90d or 48h, not %q", v[0])
		}
		*field(s) = d
		return nil
	}}
}

func perSecond(key string, field func(*Settings) *float64) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		n, err := strconv.ParseFloat(v[0], 64)
		if err != nil || !(n > 0 && n <= 1e6) {
			return fmt.Errorf("want a number above 0, such as 0.5 or 20, not %q", v[0])
		}
		*field(s) = n
		return nil
	}}
}

func size(key string, field func(*Settings) *int) setting {
	return setting{key: key, set: func(s *Settings, v []string) error {
		n, ok := parseSize(v[0])
		if !ok {
			return fmt.Errorf("want a size such as 64KiB or 1MiB, not %q", v[0])
		}
		*field(s) = n
		return nil
	}}
}

// parseSize reads bytes: a whole number above 0, alone or with B, KiB, MiB or
// GiB behind it.
func parseSize(value string) (int, bool) {
	digits := strings.TrimRight(value, "BKMGi")
	shift := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30}
	by, ok := shift[value[len(digits):]]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 1 || n > math.MaxInt>>by {
		return 0, false
	}
	return int(n << by), true
}

func setURL(field *string, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("want a URL that starts with https://")
	}
	*field = value
	return nil
}

func setTrustedProxies(s *Settings, values []string) error {
	networks := make([]netip.Prefix, 0, len(values))
	for _, v := range values {
		network, err := netip.ParsePrefix(v)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(v); err == nil {
				network, err = address.Prefix(address.BitLen())
			}
		}
		if err != nil {
			return fmt.Errorf("want networks such as 10.0.0.0/8, or addresses, not %q", v)
		}
		networks = append(networks, network.Masked())
	}
	s.TrustedProxies = networks
	return nil
}

func setOrigins(s *Settings, values []string) error {
	for _, v := range values {
		if v == "*" {
			continue
		}
		u, err := url.Parse(v)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
			return fmt.Errorf("want an origin such as https://app.example, without a path, not %q", v)
		}
	}
	s.Origins = values
	return nil
}
