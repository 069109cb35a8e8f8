# shellcheck shell=bash
# What deploy/dev/up and deploy/dev/down share: where the state lies, how a process is known to be ours, and how it is stopped.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# Git-ignored; delete it only after down. A test that kills a broker has one of its own, by naming another folder.
state=${TELLONCE_DEV_STATE:-$here/.state}
pg_user=postgres   # who runs PostgreSQL when we are root

say() { printf 'dev: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# lock_state waits until no other up or down works on this folder. Servers must be started with 9>&-, or they would hold the lock for ever.
lock_state() {
	mkdir -p "$state"
	exec 9>"$state/lock"
	flock -n 9 || {
		say "another up or down is at work here, waiting for it"
		flock -w 900 9 || die "gave up waiting for the other up or down (it holds $state/lock)"
	}
}

# ours PID TEXT: is PID alive and does its command line name TEXT? A pid alone proves nothing: it may have been given to another program.
ours() {
	[[ ${1:-} =~ ^[0-9]+$ ]] && [[ -r /proc/$1/cmdline ]] || return 1
	local cmdline
	cmdline=$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) || return 1
	[[ $cmdline == *"$2"* ]]
}

# wait_gone PID TEXT SECONDS: true once the process has ended.
wait_gone() {
	local end=$((SECONDS + $3))
	while ours "$1" "$2"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# as_pg runs a command as the user who owns the PostgreSQL data: initdb and postgres refuse root. cd / because that user need not be
# able to enter the folder we were called from.
as_pg() {
	if ((EUID == 0)); then
		(cd / && exec setpriv --reuid="$pg_user" --regid="$pg_user" --init-groups env HOME=/ "$@")
	else
		"$@"
	fi
}

compose() { docker compose -f "$here/compose.yaml" "$@"; }

pg_data() { cat "$state/postgres.dir" 2>/dev/null; }
pg_pid() {
	local dir
	dir=$(pg_data) && [[ -n $dir ]] && head -n 1 "$dir/postmaster.pid" 2>/dev/null
}

# stop_postgres ends what up started, by pid, and only if the process is ours.
stop_postgres() {
	local pid dir
	dir=$(pg_data) || dir=
	pid=$(pg_pid) || pid=
	if [[ -n $dir ]] && ours "$pid" "$dir"; then
		say "stopping PostgreSQL (pid $pid)"
		kill -INT "$pid" # fast shutdown: open connections are ended, then a checkpoint
		wait_gone "$pid" "$dir" 60 || die "PostgreSQL (pid $pid) does not end"
	fi
}
