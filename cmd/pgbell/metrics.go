package main

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgbell/pgbell/listener"
	"github.com/pgbell/pgbell/ws"
)

// metrics is what /metrics shows. It is fed from the trace structs of the
// parts, which know nothing of Prometheus.
type metrics struct {
	registry *prometheus.Registry
	recent   *recent // the same for the console

	connections *prometheus.GaugeVec
	closed      *prometheus.CounterVec
	refused     *prometheus.CounterVec
	authFailed  *prometheus.CounterVec
	joined      *prometheus.CounterVec
	replayed    prometheus.Counter
	received    prometheus.Counter
	failed      *prometheus.CounterVec
	events      prometheus.Counter
	delivered   prometheus.Counter
	fanOut      prometheus.Histogram
	written     prometheus.Counter
	slow        prometheus.Counter
	merged      prometheus.Counter
	rows        prometheus.Histogram
	rowsRead    prometheus.Counter
	rowsFailed  prometheus.Counter
	history     prometheus.Histogram
	historyRead prometheus.Counter
	historyFail prometheus.Counter
	canary      prometheus.Histogram
	canaryFail  prometheus.Counter
	live        prometheus.Gauge
	gaps        *prometheus.CounterVec
	window      prometheus.Gauge
	windowBytes prometheus.Gauge

	listening   prometheus.Gauge
	state       *prometheus.GaugeVec
	turns       *prometheus.CounterVec
	connects    prometheus.Counter
	disconnects prometheus.Counter
	bells       *prometheus.CounterVec
	reads       prometheus.Histogram
	lag         prometheus.Histogram

	rotations prometheus.Counter
}

// The buckets of times, in seconds. The pipeline's own are below a
// millisecond, so the first are finer than Prometheus's usual ones.
var seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), recent: newRecent()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	gauges := func(name, help, label string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
		m.registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds})
		m.registry.MustRegister(h)
		return h
	}

	m.connections = gauges("pgbell_connections", "Client connections that are open, by the door they came through; a request that waits for events is one.", "transport")
	m.closed = counters("pgbell_connections_closed_total", "Client connections that are over, by close code.", "code")
	m.refused = counters("pgbell_connections_refused_total", "Client connections not accepted, by error code.", "code")
	m.authFailed = counters("pgbell_auth_failures_total", "Tokens refused, by error code.", "code")
	m.joined = counters("pgbell_sessions_joined_total", "Sessions that became live, by whether they resumed exactly.", "recovered")
	m.replayed = counter("pgbell_events_replayed_total", "Events sent to sessions that resumed.")
	m.received = counter("pgbell_messages_received_total", "Messages from clients.")
	m.failed = counters("pgbell_client_errors_total", "Errors told to clients, by error code.", "code")
	m.events = counter("pgbell_events_total", "Events that the hub took.")
	m.delivered = counter("pgbell_events_delivered_total", "Events put into session queues: one event to three sessions counts three.")
	m.fanOut = histogram("pgbell_fan_out_seconds", "Time from the hub's taking an event to its being in every queue.")
	m.written = counter("pgbell_written_bytes_total", "Bytes written to client connections.")
	m.slow = counter("pgbell_slow_clients_total", "Sessions cut because their queue was full.")
	m.merged = counter("pgbell_changes_merged_total", "Changes of rows that were not sent by themselves because of a debounce.")
	m.rows = histogram("pgbell_rows_read_seconds", "Time of reading one page of rows for a client, failed ones included.")
	m.rowsRead = counter("pgbell_rows_read_total", "Rows read for clients.")
	m.rowsFailed = counter("pgbell_rows_failures_total", "Pages of rows that could not be read.")
	m.history = histogram("pgbell_history_read_seconds", "Time of reading one page of the log for a session that resumes, failed ones included.")
	m.historyRead = counter("pgbell_history_events_total", "Events read from the log for sessions that resume.")
	m.historyFail = counter("pgbell_history_failures_total", "Pages of the log that could not be read for a session that resumes.")
	m.canary = histogram("pgbell_canary_seconds", "Time of a canary from the server into the database and back, those that did not arrive included.")
	m.canaryFail = counter("pgbell_canary_failures_total", "Canaries that did not arrive in time.")
	m.live = gauge("pgbell_live", "Whether the stream of events is live: 1 or 0.")
	m.gaps = counters("pgbell_gaps_total", "Holes in the stream that clients were told of, by reason.", "reason")
	m.window = gauge("pgbell_window_events", "Events in the memory window.")
	m.windowBytes = gauge("pgbell_window_bytes", "Bytes in the memory window.")

	m.listening = gauge("pgbell_listener_connected", "Whether the listener has its connection to Postgres: 1 or 0.")
	m.state = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pgbell_listener_state", Help: "1 for the listener's state: disconnected, rounds (no bell rings for it), settling, asleep."}, []string{"state"})
	m.registry.MustRegister(m.state)
	m.turns = counters("pgbell_listener_turns_total", "Times that the listener went over to a state.", "state")
	m.connects = counter("pgbell_listener_connects_total", "Connections that the listener made.")
	m.disconnects = counter("pgbell_listener_failures_total", "Listener connections lost, and attempts that failed.")
	m.bells = counters("pgbell_bells_total", "Bells heard: direct ones delivered their event at once, carried ones had one that was read or known already, empty ones had none.", "kind")
	m.reads = histogram("pgbell_log_read_seconds", "Time of one complete read of the event log.")
	m.lag = histogram("pgbell_listener_lag_seconds", "Age of an event when it was delivered to the hub, by the clocks of both machines.")

	m.rotations = counter("pgbell_retention_rotations_total", "Partitions of the event log that retention emptied.")

	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pgbell_build_info", Help: "Always 1; the label says which build runs.",
		ConstLabels: prometheus.Labels{"version": versionName()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchPool adds what the pool itself counts.
func (m *metrics) watchPool(pool *pgxpool.Pool) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pgbell_pool_connections", Help: "Database connections of the pool that are open.",
		}, func() float64 { return float64(pool.Stat().TotalConns()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pgbell_pool_waits_total", Help: "Times that a query had to wait for a database connection.",
		}, func() float64 { return float64(pool.Stat().EmptyAcquireCount()) }),
	)
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

func (m *metrics) hubTrace() *ws.Trace {
	return &ws.Trace{
		Opened: func(transport string) {
			m.connections.WithLabelValues(transport).Inc()
			m.recent.connections(transport, 1)
		},
		Closed: func(transport string, code int, _ time.Duration) {
			m.recent.connections(transport, -1)
			m.connections.WithLabelValues(transport).Dec()
			m.closed.WithLabelValues(closeLabel(code)).Inc()
		},
		Refused: func(code string) {
			m.refused.WithLabelValues(code).Inc()
			m.recent.failed()
		},
		AuthFailed: func(code string) {
			m.authFailed.WithLabelValues(code).Inc()
			m.recent.failed()
		},
		Joined: func(recovered bool, replayed int, _ time.Duration) {
			m.joined.WithLabelValues(strconv.FormatBool(recovered)).Inc()
			m.replayed.Add(float64(replayed))
		},
		Received: func(int) { m.received.Inc() },
		Failed: func(code string) {
			m.failed.WithLabelValues(code).Inc()
			m.recent.failed()
		},
		Delivered: func(sessions int, took time.Duration) {
			m.events.Inc()
			m.delivered.Add(float64(sessions))
			m.fanOut.Observe(took.Seconds())
			m.recent.events(sessions, took)
		},
		Written: func(_, bytes int) { m.written.Add(float64(bytes)) },
		Slow:    m.slow.Inc,
		Merged:  func(changes int) { m.merged.Add(float64(changes - 1)) },
		Rows: func(rows int, took time.Duration, failed bool) {
			m.rows.Observe(took.Seconds())
			m.rowsRead.Add(float64(rows))
			m.rowsFailed.Add(number(failed))
		},
		History: func(events int, took time.Duration, failed bool) {
			m.history.Observe(took.Seconds())
			m.historyRead.Add(float64(events))
			m.historyFail.Add(number(failed))
		},
		CanaryLanded: func(took time.Duration, failed bool) {
			m.canary.Observe(took.Seconds())
			m.canaryFail.Add(number(failed))
		},
		Live: func(live bool) {
			m.live.Set(number(live))
			if live {
				m.recent.live()
			}
		},
		Gap: func(reason string) { m.gaps.WithLabelValues(reason).Inc() },
		Window: func(events int, bytes int64) {
			m.window.Set(float64(events))
			m.windowBytes.Set(float64(bytes))
		},
	}
}

func (m *metrics) listenerTrace() *listener.Trace {
	return &listener.Trace{
		Connected: func() {
			m.listening.Set(1)
			m.connects.Inc()
		},
		Disconnected: func(error) {
			m.listening.Set(0)
			m.disconnects.Inc()
		},
		State: func(now listener.State) {
			for _, state := range listener.States {
				m.state.WithLabelValues(state.String()).Set(number(state == now))
			}
			m.turns.WithLabelValues(now.String()).Inc()
			m.recent.turned(now)
		},
		Bell: func(carried, direct bool) {
			kind := "empty"
			switch {
			case direct:
				kind = "direct"
			case carried:
				kind = "carried"
			}
			m.bells.WithLabelValues(kind).Inc()
			m.recent.bell()
		},
		Read: func(took time.Duration, _ int) {
			m.reads.Observe(took.Seconds())
			m.recent.read()
		},
		Delivered: func(_ int, lag time.Duration) {
			m.lag.Observe(lag.Seconds())
			m.recent.arrived(lag)
		},
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// knownCodes are the close codes that count by themselves. Clients may send any
// other, and each label costs memory for ever.
var knownCodes = []int{1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 1013, 4001, 4002, 4003, 4008, 4009, 4010}

func closeLabel(code int) string {
	if slices.Contains(knownCodes, code) {
		return strconv.Itoa(code)
	}
	return "other"
}
