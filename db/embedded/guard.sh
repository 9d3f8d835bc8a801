# Waits beside a private Postgres, or its initdb, for the process that started
# it.
#
# That process first writes Postgres's pid, and later, when Postgres has ended,
# a word. Should the pipe close without the word, the process is gone and
# Postgres is to follow: sessions ended, checkpoint written, then the directory
# removed if it was temporary.
#
#   $1  a path that is there as long as the program may run: postmaster.pid
#   $2  a directory to remove afterwards, or nothing
trap '' HUP INT QUIT TERM
read -r pid || exit 0
read -r word && exit 0
kill -INT "$pid" || exit 0
tries=0
while kill -0 "$pid" 2>/dev/null && [ -e "$1" ]; do
	tries=$((tries + 1))
	[ "$tries" -eq 300 ] && kill -QUIT "$pid"
	[ "$tries" -ge 400 ] && exit 1
	sleep 0.1
done
[ -z "$2" ] || rm -rf "$2"
