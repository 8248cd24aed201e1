#!/bin/sh
# Makes the database's password inside the cluster, at installation, once. It is in no file and on no command line.
set -eu
found=$(kubectl --namespace shop get secret shop-db --ignore-not-found --output name)
if [ -z "$found" ]; then
	head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' |
		kubectl --namespace shop create secret generic shop-db --from-file=password=/dev/stdin
fi
