# SPDX-License-Identifier: MIT
# The real programs, from outside: see README. A new file needs its name here. The long ones stand
# first: make starts them in this order.

system_tests += \
	%D%/service/systemd_test.py \
	%D%/control/hostile_test.py \
	%D%/control/events_test.py \
	%D%/service/handover_test.py \
	%D%/control/tapping_test.py \
	%D%/service/crash_test.py \
	%D%/clients/senders_test.py \
	%D%/link/linger_test.py \
	%D%/service/kills_test.py \
	%D%/service/install_test.py \
	%D%/link/connected_test.py \
	%D%/link/faults_test.py \
	%D%/ctl/top_test.py \
	%D%/ctl/written_files_test.py \
	%D%/link/hold_test.py \
	%D%/control/leaks_test.py \
	%D%/delivery/balance_test.py \
	%D%/clients/bad_clients_test.py \
	%D%/clients/churn_test.py \
	%D%/clients/client_heartbeat_test.py \
	%D%/clients/closed_test.py \
	%D%/clients/crowd_test.py \
	%D%/clients/fair_test.py \
	%D%/clients/limits_test.py \
	%D%/clients/local_test.py \
	%D%/clients/ninjatcp_client_test.py \
	%D%/clients/path_gone_test.py \
	%D%/clients/slow_client_test.py \
	%D%/clients/socket_test.py \
	%D%/clients/vanished_test.py \
	%D%/control/admin_test.py \
	%D%/control/latency_test.py \
	%D%/control/metrics_test.py \
	%D%/control/steer_test.py \
	%D%/ctl/completion_test.py \
	%D%/ctl/config_verb_test.py \
	%D%/ctl/ctl_call_test.py \
	%D%/ctl/ctl_data_test.py \
	%D%/ctl/ctl_test.py \
	%D%/ctl/elsewhere_test.py \
	%D%/ctl/peer_test.py \
	%D%/delivery/delivery_test.py \
	%D%/delivery/drop_test.py \
	%D%/delivery/flush_test.py \
	%D%/delivery/hold_size_test.py \
	%D%/delivery/isolation_test.py \
	%D%/delivery/lend_test.py \
	%D%/delivery/short_memory_test.py \
	%D%/delivery/starved_test.py \
	%D%/delivery/throttle_test.py \
	%D%/docs/examples_test.py \
	%D%/docs/language_test.py \
	%D%/docs/layers_test.py \
	%D%/docs/operations_test.py \
	%D%/docs/papers_test.py \
	%D%/docs/programs_test.py \
	%D%/docs/protocol_test.py \
	%D%/docs/readme_test.py \
	%D%/link/greeting_test.py \
	%D%/link/heartbeat_test.py \
	%D%/link/link_test.py \
	%D%/link/names_test.py \
	%D%/link/redial_test.py \
	%D%/link/stall_test.py \
	%D%/link/upstream_bad_test.py \
	%D%/service/host_test.py \
	%D%/service/reload_test.py \
	%D%/service/stop_test.py \
	%D%/service/surroundings_test.py

EXTRA_DIST += %D%/README %D%/soak.py %D%/soak_service.py %D%/clients/hasty.c %D%/docs/parted.c \
	%D%/lib/cable.py %D%/lib/cells.py %D%/lib/dies.c %D%/lib/failing.c %D%/lib/faults.py \
	%D%/lib/faults_ends.py %D%/lib/faults_judge.py \
	%D%/lib/faults_machine.py %D%/lib/framed.py %D%/lib/harness.py %D%/lib/hostile.py \
	%D%/lib/idl.py %D%/lib/kills.py %D%/lib/late_wake.c %D%/lib/local.py %D%/lib/losses.py \
	%D%/lib/manager.py %D%/lib/manual.py %D%/lib/names.c %D%/lib/nspawn.py \
	%D%/lib/played.py %D%/lib/runner.py %D%/lib/short.c %D%/lib/slow_books.c \
	%D%/lib/small_store.c %D%/lib/spreading.py %D%/lib/standstill.py %D%/lib/starve.c \
	%D%/lib/steering.py \
	%D%/lib/storm.py %D%/lib/untold.c %D%/lib/volume.c %D%/lib/wires.py %D%/lib/yields.c \
	%D%/service/memfd.c
