package listener

import (
	"math"
	"time"
)

// load tells when to sleep and when to go on rounds. It estimates how many
// transactions a second there are, each of which would ring while we sleep.
//
// Above limit it is time for rounds, below floor for sleep. A sleep that ended
// sooner than restful halves the floor, so a load that comes in bursts finds us
// on rounds; one that lasted gives it back.
type load struct {
	limit float64 // transactions a second
	floor float64

	rate  float64 // transactions a second, as of at
	at    time.Time
	slept time.Time // since when we sleep
}

const (
	// memory is the time after which a transaction counts a third.
	memory = 100 * time.Millisecond
	// restful is how long a sleep lasts that was worth lying down for.
	restful = time.Second
	// lowest is the part of the limit below which the floor never falls.
	lowest = 1.0 / 32
)

func newLoad(limit float64) load { return load{limit: limit, floor: limit / 2} }

// add notes that there were n transactions more.
func (l *load) add(n int, now time.Time) {
	l.rate = l.now(now) + float64(n)/memory.Seconds()
	l.at = now
}

// now is the rate at this moment.
func (l *load) now(now time.Time) float64 {
	return l.rate * math.Exp(-float64(now.Sub(l.at))/float64(memory))
}

func (l *load) heavy(now time.Time) bool { return l.now(now) > l.limit }
func (l *load) light(now time.Time) bool { return l.now(now) < l.floor }

func (l *load) sleep(now time.Time) { l.slept = now }

func (l *load) wake(now time.Time) {
	if now.Sub(l.slept) < restful {
		l.floor = max(l.floor/2, l.limit*lowest)
	} else {
		l.floor = l.limit / 2
	}
}
