#!/bin/sh
# Builds the sample application and puts it beside the platform's file.
set -e
cargo build --quiet --release --package mainstay-sample
mkdir -p bin
cp "${CARGO_TARGET_DIR:-../../target}/release/mainstay-sample" bin/
