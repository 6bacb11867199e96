#!/usr/bin/env bash
# What was acknowledged survives the daemon's death and a power cut; tests/crash/seal.sh says how.
exec bash "$(dirname "$0")/../crash/seal.sh"
