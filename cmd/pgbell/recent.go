package main

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pgbell/pgbell/listener"
)

const (
	// sampleEvery is the distance of two points in the console's charts.
	sampleEvery = 2 * time.Second
	// keptSamples make ten minutes.
	keptSamples = 300
	// lately is what the latencies beside the charts are of.
	lately = time.Minute
)

// recent is how the node fared in the last minutes, for the console. Unlike
// what Prometheus collects, it is there with no other program.
type recent struct {
	mu      sync.Mutex // guards what follows
	started time.Time
	warm    bool      // the stream has been live
	began   time.Time // when the present sample began
	doors   map[string]int
	now     tally
	kept    []tally // a ring
	oldest  int     // where it begins
	state   listener.State
	since   time.Time // when it went over to state
	working time.Duration
}

// tally is what happened within one sample.
type tally struct {
	point
	lag, fanOut spread
}

// point is one sample, as the charts show it. Rates are per second.
type point struct {
	// At is the end of the sample, in milliseconds since 1970.
	At          int64          `json:"at"`
	Connections map[string]int `json:"connections"`
	Events      float64        `json:"events"`
	Delivered   float64        `json:"delivered"`
	Bells       float64        `json:"bells"`
	Reads       float64        `json:"reads"`
	Errors      float64        `json:"errors"`
	// Lag is from the row to this node, FanOut from there into the queues.
	Lag    delays `json:"lag"`
	FanOut delays `json:"fanOut"`
	// State is the listener's at the end, Rounds the share of the time in which
	// no bell rang for it.
	State  string  `json:"state"`
	Rounds float64 `json:"rounds"`
	// Behind is how far the node was behind the log at worst, in milliseconds:
	// the age of what it read, or how long it has been without its connection.
	Behind float64 `json:"behind"`
}

// delays is a distribution in milliseconds; zero if there was nothing.
type delays struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func newRecent() *recent {
	now := time.Now()
	return &recent{started: now, began: now, since: now, doors: make(map[string]int)}
}

// update changes the present sample. It is called from traces, so it is quick.
func (r *recent) update(f func(*tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.now)
}

// connections counts one more or one less at a door.
func (r *recent) connections(door string, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doors[door] += change
}

// events counts what the hub took and gave out.
func (r *recent) events(sessions int, took time.Duration) {
	r.update(func(t *tally) {
		t.Events++
		t.Delivered += float64(sessions)
		t.fanOut.add(took)
	})
}

// arrived counts a batch of the listener. Of what was written before the node
// was there it cannot be late.
func (r *recent) arrived(lag time.Duration) {
	r.update(func(t *tally) {
		if lag <= time.Since(r.started) {
			t.lag.add(lag)
		}
	})
}

// live says that the stream is. What came before the first time was read to
// have it in memory, and nobody waited for it.
func (r *recent) live() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.warm {
		r.warm, r.now = true, tally{}
	}
}

func (r *recent) failed() { r.update(func(t *tally) { t.Errors++ }) }
func (r *recent) bell()   { r.update(func(t *tally) { t.Bells++ }) }
func (r *recent) read()   { r.update(func(t *tally) { t.Reads++ }) }

// turned notes the listener's state.
func (r *recent) turned(state listener.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(time.Now())
	r.state = state
}

// turn adds the time in the present state, and begins it anew. The caller holds the mutex.
func (r *recent) turn(now time.Time) {
	if r.state == listener.Rounds || r.state == listener.Settling {
		r.working += min(now.Sub(r.since), now.Sub(r.began))
	}
	r.since = now
}

// sample ends the present sample.
func (r *recent) sample(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lasted := now.Sub(r.began)
	if lasted < sampleEvery/2 {
		return // the first one, right after the start
	}
	down := r.state == listener.Disconnected
	behind := r.now.lag.most
	if down {
		behind = max(behind, now.Sub(r.since))
	}
	since := r.since
	r.turn(now)
	if down {
		r.since = since // for how long it is down, over all samples
	}
	t := r.now
	for _, rate := range []*float64{&t.Events, &t.Delivered, &t.Bells, &t.Reads, &t.Errors} {
		*rate /= lasted.Seconds()
	}
	t.At = now.UnixMilli()
	t.Connections = maps.Clone(r.doors)
	t.Lag, t.FanOut = t.lag.delays(), t.fanOut.delays()
	t.State = r.state.String()
	t.Rounds = r.working.Seconds() / lasted.Seconds()
	t.Behind = milliseconds(behind)
	if len(r.kept) < keptSamples {
		r.kept = append(r.kept, t)
	} else {
		r.kept[r.oldest] = t
		r.oldest = (r.oldest + 1) % keptSamples
	}
	r.now, r.began, r.working = tally{}, now, 0
}

// recently is what the console shows of it.
type recently struct {
	EveryMS int64   `json:"everyMs"`
	Samples []point `json:"samples"`
	// State is the listener's at this moment.
	State string `json:"state"`
	// Lag and FanOut are of the last minute.
	Lag    delays `json:"lag"`
	FanOut delays `json:"fanOut"`
}

// report is the samples after one, the oldest first.
func (r *recent) report(after time.Time) recently {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := recently{EveryMS: sampleEvery.Milliseconds(), Samples: []point{}, State: r.state.String()}
	lag, fanOut := r.now.lag, r.now.fanOut
	minute := r.began.Add(-lately).UnixMilli()
	for i := range r.kept {
		t := &r.kept[(r.oldest+i)%len(r.kept)]
		if t.At > after.UnixMilli() {
			told.Samples = append(told.Samples, t.point)
		}
		if t.At > minute {
			lag.merge(&t.lag)
			fanOut.merge(&t.fanOut)
		}
	}
	told.Lag, told.FanOut = lag.delays(), fanOut.delays()
	return told
}

// spread counts times in buckets, each 9 % wider than the one before: from a
// microsecond to a good hour.
type spread struct {
	buckets [32 * perOctave]uint32
	count   int64
	most    time.Duration
}

const perOctave = 8

// add counts one. What clocks that disagree make negative counts as nothing.
func (s *spread) add(d time.Duration) {
	d = max(d, 0)
	i := 0
	if us := float64(d) / float64(time.Microsecond); us > 1 {
		i = min(int(math.Log2(us)*perOctave)+1, len(s.buckets)-1)
	}
	s.buckets[i]++
	s.count++
	s.most = max(s.most, d)
}

func (s *spread) merge(other *spread) {
	for i, n := range &other.buckets {
		s.buckets[i] += n
	}
	s.count += other.count
	s.most = max(s.most, other.most)
}

func (s *spread) delays() delays {
	return delays{s.count, s.quantile(.5), s.quantile(.95), s.quantile(.99), milliseconds(s.most)}
}

// quantile is the upper end of the bucket in which it lies.
func (s *spread) quantile(q float64) float64 {
	if s.count == 0 {
		return 0
	}
	rank := int64(math.Ceil(q * float64(s.count)))
	i := slices.IndexFunc(s.buckets[:], func(n uint32) bool {
		rank -= int64(n)
		return rank <= 0
	})
	us := math.Exp2(float64(i) / perOctave)
	return min(round(us/1000), milliseconds(s.most))
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round keeps a microsecond's precision.
func round(ms float64) float64 { return math.Round(ms*1000) / 1000 }
