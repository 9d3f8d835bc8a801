package listener

// State is what a [Listener] waits for; see the package comment.
type State int

// The states.
const (
	Disconnected State = iota // for a connection
	Rounds                    // for the time of the next round; no bell rings for us
	Settling                  // for the bell, or for those to end who saw nobody asleep
	Asleep                    // for the bell
)

// States are all of them.
var States = []State{Disconnected, Rounds, Settling, Asleep}

// String is the state's name, as in metrics and logs.
func (s State) String() string {
	return [...]string{"disconnected", "rounds", "settling", "asleep"}[s]
}
