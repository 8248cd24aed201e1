#!/bin/bash
# Stands in for the official postgres image's entrypoint: the same variables, the same order, nothing more.
set -eu

file_or_value() { # file_or_value NAME: NAME, or the contents of the file that NAME_FILE names
	local name=$1 file_name="${1}_FILE"
	if [ -n "${!file_name:-}" ]; then
		printf -v "$name" '%s' "$(cat "${!file_name}")"
		unset "$file_name"
	fi
}

initialize() {
	if [ -z "${POSTGRES_PASSWORD:-}" ]; then
		echo "Error: Database is uninitialized and superuser password is not specified." >&2
		echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
		exit 1
	fi
	initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8
	{
		echo
		echo "host all all all scram-sha-256"
	} >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
	local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER")
	if [ "$POSTGRES_DB" != postgres ]; then
		"${psql[@]}" --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
	fi
	for file in /docker-entrypoint-initdb.d/*; do
		case $file in
		*.sh) . "$file" ;;
		*.sql) "${psql[@]}" --dbname "$POSTGRES_DB" -f "$file" ;;
		esac
	done
	pg_ctl -D "$PGDATA" -m fast -w stop
}

[ "${1:0:1}" = - ] && set -- postgres "$@"
if [ "$1" = postgres ]; then
	if [ "$(id -u)" = 0 ]; then
		mkdir -p "$PGDATA" /var/run/postgresql
		chmod 0700 "$PGDATA"
		chmod 2775 /var/run/postgresql
		chown -R postgres:postgres "$PGDATA" /var/run/postgresql
		exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
	fi
	file_or_value POSTGRES_PASSWORD
	file_or_value POSTGRES_USER
	file_or_value POSTGRES_DB
	: "${POSTGRES_USER:=postgres}"
	: "${POSTGRES_DB:=$POSTGRES_USER}"
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		initialize
	fi
	unset POSTGRES_PASSWORD
fi
exec "$@"
