# SPDX-License-Identifier: MIT
# Other people's programs beside ours.

system_tests += %D%/cable_test.py %D%/framework_test.py %D%/varlink_test.py

# What %D%/varlink_test.py runs; no test by itself.
certified = %D%/certified
tests_interop_certified_SOURCES = %D%/certified.c

EXTRA_DIST += %D%/peer.py %D%/erlang_peer.escript %D%/twisted_peer.py %D%/varlink_client.go
