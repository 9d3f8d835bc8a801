package embedded

import "errors"

// ErrInUse says that another process runs a server in the directory.
var ErrInUse = errors.New("directory is in use")

// ErrForeign says that the directory holds something that Start did not make.
var ErrForeign = errors.New("directory was not made by pgbell")

// ErrNoBinaries says that PostgreSQL is neither installed nor could be
// downloaded. Its text says what to do.
var ErrNoBinaries = errors.New(`there is no PostgreSQL to run; three ways lead on:
  - install it:                 apt-get install postgresql   (macOS: brew install postgresql@17)
  - say where its programs are: ` + BinariesVariable + `=/path/to/postgresql/bin
  - use a running server:       docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres:17
                                pgbell … --database-url postgres://postgres:secret@localhost:5432/postgres`)

// errPortTaken says that somebody else listens on the port.
var errPortTaken = errors.New("port is taken")

// BinariesVariable is the environment variable that names the directory of
// PostgreSQL's programs; nothing else is looked at when it is set.
const BinariesVariable = "PGBELL_POSTGRES_BIN"

// MinMajor is the oldest major version of PostgreSQL that pgbell runs on.
const MinMajor = 15
