# SPDX-License-Identifier: MIT
# Programs of cmocka. A new one needs its name here and its source NAME.c, nothing else.

# The long ones stand first, here and below: make starts them in this order.
unit_tests = \
	%D%/test_recovery \
	%D%/test_monitor \
	%D%/test_address \
	%D%/test_backoff \
	%D%/test_balance \
	%D%/test_budget \
	%D%/test_busy_poll \
	%D%/test_client \
	%D%/test_config \
	%D%/test_config_files \
	%D%/test_config_messages \
	%D%/test_config_notes \
	%D%/test_config_people \
	%D%/test_control \
	%D%/test_control_queue \
	%D%/test_control_tap \
	%D%/test_ctl \
	%D%/test_cursor \
	%D%/test_damage \
	%D%/test_deadlines \
	%D%/test_delivery \
	%D%/test_diag \
	%D%/test_events \
	%D%/test_extents \
	%D%/test_failure_reports \
	%D%/test_filter \
	%D%/test_frame \
	%D%/test_health \
	%D%/test_histogram \
	%D%/test_hold \
	%D%/test_ledger \
	%D%/test_ledger_fate \
	%D%/test_ledger_unheard \
	%D%/test_lend \
	%D%/test_limits \
	%D%/test_liveness \
	%D%/test_log \
	%D%/test_lookups \
	%D%/test_metrics \
	%D%/test_pace \
	%D%/test_pass_times \
	%D%/test_poller \
	%D%/test_program \
	%D%/test_refused \
	%D%/test_resolver \
	%D%/test_service \
	%D%/test_session \
	%D%/test_shares \
	%D%/test_slabs \
	%D%/test_socket \
	%D%/test_socket_path \
	%D%/test_stall \
	%D%/test_starved \
	%D%/test_status_json \
	%D%/test_steer \
	%D%/test_store \
	%D%/test_tap \
	%D%/test_turn \
	%D%/test_units \
	%D%/test_upgrade \
	%D%/test_users \
	%D%/test_varlink \
	%D%/test_waits
config_room = %D%/lib/config_room.c %D%/lib/config_room.h
tests_unit_test_config_SOURCES = %D%/test_config.c $(config_room)
tests_unit_test_config_files_SOURCES = %D%/test_config_files.c $(config_room)
tests_unit_test_config_messages_SOURCES = %D%/test_config_messages.c $(config_room)
tests_unit_test_config_notes_SOURCES = %D%/test_config_notes.c $(config_room)
tests_unit_test_config_people_SOURCES = %D%/test_config_people.c $(config_room)
tests_unit_test_starved_SOURCES = \
	%D%/test_starved.c tests/system/lib/starve.c %D%/lib/starve.h %D%/lib/often.h $(config_room)
tests_unit_test_control_SOURCES = \
	%D%/test_control.c %D%/lib/control_room.c %D%/lib/control_room.h
tests_unit_test_control_queue_SOURCES = \
	%D%/test_control_queue.c %D%/lib/control_room.c %D%/lib/control_room.h
tests_unit_test_control_tap_SOURCES = \
	%D%/test_control_tap.c %D%/lib/control_room.c %D%/lib/control_room.h
tests_unit_test_limits_SOURCES = %D%/test_limits.c %D%/lib/told.h $(config_room)
tests_unit_test_lookups_SOURCES = %D%/test_lookups.c %D%/lib/told.h
tests_unit_test_service_SOURCES = %D%/test_service.c %D%/lib/told.h
tests_unit_test_monitor_SOURCES = \
	%D%/test_monitor.c %D%/lib/control_room.c %D%/lib/control_room.h
tests_unit_test_steer_SOURCES = \
	%D%/test_steer.c %D%/lib/control_room.c %D%/lib/control_room.h
tests_unit_test_ctl_SOURCES = \
	%D%/test_ctl.c src/ctl/peer/encode.c src/ctl/show/event_text.c src/ctl/show/rates.c \
	src/ctl/top/canvas.c src/ctl/show/screen.c src/ctl/peer/script.c src/ctl/show/show.c \
	src/ctl/top/draw.c src/ctl/top/keys.c src/ctl/top/model.c src/ctl/top/table.c

# A plain model of who gets which message of the peer.
audience = \
	%D%/lib/audience.c %D%/lib/audience.h %D%/lib/audience_image.c \
	%D%/lib/audience_runs.c %D%/lib/audience_runs.h

# A simulated kernel below the layers that must be recoverable.
sim = \
	%D%/lib/often.h %D%/lib/sim.h %D%/lib/sim_dice.c %D%/lib/sim_link.c \
	%D%/lib/sim_plan.c %D%/lib/sim_recover.c %D%/lib/sim_side.c %D%/lib/sim_readers.c \
	%D%/lib/sim_spread.c %D%/lib/sim_truth.c %D%/lib/sim_world.c $(audience)
sim_wraps = -Wl,--wrap=mmap,--wrap=munmap
filled = %D%/lib/filled.c %D%/lib/filled.h
tests_unit_test_client_SOURCES = %D%/test_client.c $(filled)
tests_unit_test_session_SOURCES = %D%/test_session.c $(filled)
tests_unit_test_damage_SOURCES = %D%/test_damage.c %D%/lib/sim_use.c $(filled) $(sim)
tests_unit_test_damage_LDFLAGS = $(sim_wraps)
tests_unit_test_recovery_SOURCES = %D%/test_recovery.c $(sim)
tests_unit_test_recovery_LDFLAGS = $(sim_wraps)

# Streams of every kind of frame, for the tests of what stands on frames.
stream = %D%/lib/stream.c %D%/lib/stream.h
feed = $(stream) %D%/lib/feed.c %D%/lib/feed.h
scene = $(feed) %D%/lib/scene.c %D%/lib/scene.h
tests_unit_test_log_SOURCES = %D%/test_log.c $(feed)
tests_unit_test_cursor_SOURCES = %D%/test_cursor.c $(scene)
tests_unit_test_delivery_SOURCES = \
	%D%/test_delivery.c %D%/lib/delivery.h %D%/lib/delivery_down.c \
	%D%/lib/delivery_room.c %D%/lib/delivery_up.c %D%/lib/often.h \
	$(audience) $(stream)
tests_unit_test_extents_SOURCES = %D%/test_extents.c $(scene)
tests_unit_test_balance_SOURCES = %D%/test_balance.c $(feed)
tests_unit_test_filter_SOURCES = %D%/test_filter.c $(feed)
tests_unit_test_busy_poll_SOURCES = %D%/test_busy_poll.c $(stream)
tests_unit_test_frame_SOURCES = %D%/test_frame.c $(stream)
tests_unit_test_histogram_SOURCES = %D%/test_histogram.c $(stream)
ledger_room = $(stream) %D%/lib/ledger_room.c %D%/lib/ledger_room.h
tests_unit_test_ledger_fate_SOURCES = %D%/test_ledger_fate.c $(ledger_room)
tests_unit_test_ledger_unheard_SOURCES = %D%/test_ledger_unheard.c $(ledger_room)
tests_unit_test_tap_SOURCES = %D%/test_tap.c $(feed)
tests_unit_test_turn_SOURCES = %D%/test_turn.c $(feed)
tests_unit_test_waits_SOURCES = %D%/test_waits.c $(feed)

EXTRA_DIST += %D%/run %D%/state-1
