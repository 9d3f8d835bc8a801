package listener

import (
	"math"
	"time"
)

// load tells when to sleep and when to go on rounds. It estimates how many
// transactions a second there are, each of which would ring while we sleep. A
// bell for which the log has to be read counts for more, as that is what rounds
// would save.
//
// Above limit it is time for rounds, below floor for sleep. A sleep that ended
// sooner than restful halves the floor, so a load that comes in bursts finds us
// on rounds; one that lasted gives it back.
//
// The limit alone would not do. Where a commit takes long, writers that ring
// wait for each other and never come up to it, although without the bell many
// of them could commit at once. So while bells come we also look, now and then,
// whether writers wait; see queue.go. If they do, it is time for rounds
// whatever the rate, and for sleep at half of it.
type load struct {
	limit float64 // transactions a second
	floor float64

	rate    float64 // transactions a second, as of at
	at      time.Time
	slept   time.Time // since when we sleep
	looked  time.Time // when we last looked whether writers wait, or had no reason to
	waiting float64   // writers that did, the earlier ones counting less
}

const (
	// memory is the time after which a transaction counts a third.
	memory = 100 * time.Millisecond
	// restful is how long a sleep lasts that was worth lying down for.
	restful = time.Second
	// looksAbove is how many bells a second, for as long as lookInterval, are
	// worth a look at who waits. The floor never falls below it.
	lookInterval = 250 * time.Millisecond
	looksAbove   = 15
	// queryCost is how many bells more a read counts for.
	queryCost = 4
	// crowd is how many writers that wait make a queue.
	crowd = 2
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

func (l *load) heavy(now time.Time) bool { return l.now(now) > l.limit || l.waiting >= crowd }
func (l *load) light(now time.Time) bool { return l.now(now) < l.floor }

// looks reports whether it is time to look whether writers wait.
func (l *load) looks(now time.Time) bool {
	if l.now(now) <= looksAbove {
		l.looked = now
	}
	return now.Sub(l.looked) >= lookInterval
}

// saw notes that n writers waited.
func (l *load) saw(n int, now time.Time) {
	l.looked = now
	l.waiting = l.waiting/2 + float64(n)
}

func (l *load) sleep(now time.Time) { l.slept, l.looked, l.waiting = now, now, 0 }

func (l *load) wake(now time.Time) {
	if now.Sub(l.slept) < restful {
		l.floor /= 2
	} else {
		l.floor = l.limit / 2
	}
	if l.waiting >= crowd {
		l.floor = min(l.floor, l.now(now)/2)
	}
	l.floor = max(l.floor, min(looksAbove, l.limit/2))
}
